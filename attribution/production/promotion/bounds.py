"""What a model must keep to before it takes the place of another, and what experiments found that it is held to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from attribution.errors import InputError
from attribution.models.saved import Training
from attribution.schema.experiment import Period, checked, read_toml
from attribution.schema.experiment.settings import Number, Settings

Share = Annotated[Number, Field(ge=0, le=1)]


class LiftTest(Settings):
    """What an experiment found that a channel caused in a period, or in the whole window."""

    channel: str
    period_start: dt.date | None = None
    period_end: dt.date | None = None
    incremental_conversions: Number
    standard_error: Annotated[Number, Field(gt=0)]

    @property
    def period(self) -> Period:
        """The days that it is of; open where it is of the whole window."""
        return Period(start=self.period_start, end=self.period_end)

    @model_validator(mode="after")
    def _in_order(self) -> LiftTest:
        _ = self.period
        return self


class Bounds(Settings):
    """What a model must keep to.

    Parameters
    ----------
    laws_broken : int
        Laws of `attribution.check_model` that do not hold.
    outcome_leak : float
        Share of credit that moves where only the values of conversions are changed.
    stability_share_moved : float
        Share of credit that is with other channels in the other half of the window, the model fitted on each.
    transfer_share_moved : float
        Share of credit that moves where the model as it was fitted is fitted on the window anew.
    placebo_excess : float
        Share of credit of a channel that does nothing, beyond its share of touchpoints.
    interval_width : float
        Mean width of the intervals of channels' credit, as a share of all credit.
    experiments_z : float
        Largest distance of credit to what an experiment found, in standard errors.
    experiments : list, or path of a CSV or Parquet file with such rows, relative to the file of bounds
        ``channel``, ``incremental_conversions`` and ``standard_error`` each; ``period_start`` and ``period_end``, both
        inclusive, where it is of some days of the window only.
    draws, seed
        Of the intervals, and of the place of the placebo.
    """

    laws_broken: Annotated[int, Field(ge=0)] = 0
    outcome_leak: Share = 1e-9
    stability_share_moved: Share = 0.25
    transfer_share_moved: Share = 0.25
    placebo_excess: Share = 0.1
    interval_width: Share = 0.25
    experiments_z: Annotated[Number, Field(gt=0)] = 3.0
    experiments: tuple[LiftTest, ...] = ()
    draws: Annotated[int, Field(ge=50)] = 200
    seed: Annotated[int, Field(ge=0)] = 0


def read_bounds(path: Path | None) -> Bounds:
    """Bounds from a TOML file; the defaults without one.

    Raises
    ------
    InputError
        If the file is missing, not TOML, or bounds something that is not checked.
    """
    if path is None:
        return Bounds()
    document = dict(read_toml(path)[1])
    if isinstance(document.get("experiments"), str):
        document["experiments"] = _read_experiments(path.parent / document["experiments"])
    return checked(Bounds, document, origin=str(path))


def _read_experiments(path: Path) -> list[dict[str, object]]:
    """Rows of a table of experiments, without what is null in them."""
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"experiments: file {path} does not exist") from None
    except Exception as error:  # whatever readers raise of files that are something else
        raise InputError(f"experiments: file {path} cannot be read: {error}") from None
    return [{str(name): of for name, of in row.items() if pd.notna(of)} for row in table.to_dict("records")]


def check_covered(experiments: Sequence[LiftTest], period: Period, judged: Training | None) -> None:
    """Raise `InputError` for experiments of days that the window does not have: not all their conversions are there.

    The window is the ``period`` asked for, and where that is open what the data span, as ``judged`` tells.
    """
    seen = (None, None) if judged is None else (judged.first, judged.last)
    ends = [
        np.datetime64(asked, "us") if asked is not None else at for asked, at in zip(period.bounds(), seen, strict=True)
    ]
    if None in ends:
        return
    first, last = (dt.date.fromisoformat(str(moment)[:10]) for moment in ends)
    for test in experiments:
        days = [day for day in (test.period_start, test.period_end) if day is not None]
        if any(not first <= day <= last for day in days):
            raise InputError(
                f"an experiment on channel {test.channel!r} was not made within the window",
                given=" to ".join(map(str, days)),
                allowed=f"{first} to {last}",
                hint="leave it out, or judge on a window that holds it",
            )
