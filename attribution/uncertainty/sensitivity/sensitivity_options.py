"""How far a ranking depends on choices: the ``[sensitivity]`` part of an experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from attribution.schema.experiment import Experiment
from attribution.schema.experiment.settings import Days, Number, Settings

DirectPolicy = Literal["keep", "drop_if_other", "drop"]


class SensitivityOptions(Settings):
    """Which choices of an analyst are tried, and when that is evidence enough for a verdict.

    Parameters
    ----------
    lookback_days : list of days > 0
        Lookback windows; half the run's own and twice as long unless set. The run's own is always among them.
        Windows by kind or channel stay as they are.
    direct : list of ``keep``, ``drop_if_other`` or ``drop``
        What becomes of touchpoints of direct traffic; keep and drop_if_other unless set, where there is any.
    direct_channels : list of texts
        Which channels are direct traffic; as in ``[journeys]`` unless set.
    cost_bases : list of ``media`` or ``loaded``
        All that are known unless set.
    draws, level, seed
        Resamples of customers, the same under every specification. The chance that sampling makes a verdict wrong is
        at most (1 − ``level``) ÷ 2.
    hurdle_roi : float > −1
        Spend with a higher ROI pays back.
    incremental_share : two floats, 0 ≤ least ≤ most, most > 0
        How much of the credit that a model allocates to a channel it may have caused. The most decides what does not
        pay; the least tells how probable it is at least that spend pays back, and makes no verdict: only tests show
        what a channel caused. Nothing to 1.35 of it unless set, which nearly all channels of simulated shops lay in.
        Credit of incremental models is taken as it is.
    elasticity : float, 0 < e < 1
        By how many per cent the return of a channel grows with one per cent more spend, for regret: an assumption.
    step : float, 0 < s ≤ 1
        How far spend would be moved, as a share of today's, for regret.
    """

    lookback_days: Annotated[list[Days], Field(min_length=1)] | None = None
    direct: Annotated[list[DirectPolicy], Field(min_length=1)] | None = None
    direct_channels: Annotated[list[str], Field(min_length=1)] | None = None
    cost_bases: Annotated[list[Literal["media", "loaded"]], Field(min_length=1)] | None = None
    draws: Annotated[int, Field(ge=50, le=10_000, strict=True)] = 200
    level: Annotated[Number, Field(gt=0, lt=1)] = 0.9
    seed: Annotated[int, Field(ge=0, lt=1 << 63, strict=True)] = 0
    hurdle_roi: Annotated[Number, Field(gt=-1, allow_inf_nan=False)] = 0.0
    incremental_share: tuple[Number, Number] = (0.0, 1.35)
    elasticity: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    step: Annotated[Number, Field(gt=0, le=1)] = 0.3

    @field_validator("incremental_share")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        least, most = value
        if not (0 <= least <= most < float("inf") and most > 0):
            raise ValueError(
                "incremental_share must be the lowest and the highest share, the lowest at least 0, such as [0, 1.35]"
            )
        return value

    @model_validator(mode="after")
    def _each_once(self) -> SensitivityOptions:
        for name in ("lookback_days", "direct", "cost_bases"):
            choices = getattr(self, name)
            if choices is not None and len(set(choices)) < len(choices):
                raise ValueError(f"{name} has the same choice twice")
        return self


def sensitivity_options(experiment: Experiment) -> SensitivityOptions:
    """Those of an experiment; where it has none, those that are taken unless set."""
    return experiment.options("sensitivity", SensitivityOptions) or SensitivityOptions()
