"""Lift tests: the conversions that a channel caused, as measured in experiments."""

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
from attribution.schema.experiment import Period
from attribution.schema.experiment.settings import Number, Settings


class LiftTest(Settings):
    """The conversions that a channel caused in a period, or in the whole window, as measured in an experiment."""

    channel: str
    period_start: dt.date | None = None
    period_end: dt.date | None = None
    incremental_conversions: Number
    standard_error: Annotated[Number, Field(gt=0)]

    @property
    def period(self) -> Period:
        """The days of the test; open where it is of the whole window."""
        return Period(start=self.period_start, end=self.period_end)

    @model_validator(mode="after")
    def _in_order(self) -> LiftTest:
        _ = self.period
        return self


def read_lift_tests(path: Path) -> list[dict[str, object]]:
    """Rows of a CSV or Parquet file of lift tests, without nulls."""
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(
            f"lift_tests: file {path} does not exist", hint="paths are relative to the criteria file"
        ) from None
    except Exception as error:  # whatever readers raise on files of another kind
        raise InputError(f"lift_tests: file {path} cannot be read: {error}") from None
    return [{str(name): of for name, of in row.items() if pd.notna(of)} for row in table.to_dict("records")]


def check_covered(tests: Sequence[LiftTest], period: Period, judged: Training | None) -> None:
    """Raise `InputError` for tests with days outside the window, since some of their conversions are missing.

    The window is the ``period`` of the experiment; where that is open, it is the span of the data in ``judged``.
    """
    span = (None, None) if judged is None else (judged.first, judged.last)
    ends = [
        np.datetime64(bound, "us") if bound is not None else at for bound, at in zip(period.bounds(), span, strict=True)
    ]
    if None in ends:
        return
    first, last = (dt.date.fromisoformat(str(moment)[:10]) for moment in ends)
    for test in tests:
        days = [day for day in (test.period_start, test.period_end) if day is not None]
        if any(not first <= day <= last for day in days):
            raise InputError(
                f"a lift test of channel {test.channel!r} has days outside the window",
                given=" to ".join(map(str, days)),
                allowed=f"{first} to {last}",
                hint="leave the test out, or choose a window that contains it",
            )
