"""The thresholds that guards hold a night against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from attribution.schema.experiment import checked, read_toml
from attribution.schema.experiment.settings import Number, Settings

Share = Annotated[Number, Field(ge=0, le=1)]


class Thresholds(Settings):
    """The thresholds that guards hold a night against.

    Parameters
    ----------
    freshness_days : int
        Days by which the newest row of a table may lie before the day that is due.
    history_days : float
        Days that touchpoints must reach back before a day that is scored; the lookback window unless set. 0: no days.
    channel_volume : float
        Touchpoints of a channel on a day must be at least this share of what its earlier days, and the other channels
        of the day, lead one to expect.
    total_volume : float
        The same for the touchpoints of all channels together, which fall on holidays, too.
    volume_high : float
        Touchpoints must be at most this multiple of what is expected.
    paused_channels : list of texts
        Channels whose volume is not judged.
    unattributed_rise : float
        By how much the share of conversions without a touchpoint may be above its earlier level.
    baseline_rise : float
        By how much the share of the baseline in the other conversions may be above its earlier level.
    unknown_channels : float
        Largest share of touchpoints of channels that the model, or the days before, do not know.
    restated_days : int
        Days on which a tenth of the credit or more may change after it was published.
    significance : float
        Probability that a guard raises an alarm in a night although nothing has changed.
    """

    freshness_days: Annotated[int, Field(ge=0)] = 0
    history_days: Annotated[Number, Field(ge=0, allow_inf_nan=False)] | None = None
    channel_volume: Share = 0.5
    total_volume: Share = 0.2
    volume_high: Annotated[Number, Field(gt=1)] = 10.0
    paused_channels: tuple[str, ...] = ()
    unattributed_rise: Share = 0.2
    baseline_rise: Share = 0.2
    unknown_channels: Share = 0.05
    restated_days: Annotated[int, Field(ge=0)] = 7
    significance: Annotated[Number, Field(gt=0, lt=0.5)] = 0.001


def read_thresholds(path: Path | None) -> Thresholds:
    """Thresholds from a TOML file; the defaults without one.

    Raises
    ------
    InputError
        If the file is missing, not TOML, or names an unknown threshold.
    """
    return Thresholds() if path is None else checked(Thresholds, dict(read_toml(path)[1]), origin=str(path))
