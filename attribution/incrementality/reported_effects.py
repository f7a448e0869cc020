"""Effects that somebody else has measured, to hold credit of the same days against."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attribution.errors import InputError
from attribution.incrementality.lift_readings import LEVEL, reported_estimate
from attribution.incrementality.lift_tests import declare_tests, rows_frame
from attribution.models.saved import Training
from attribution.schema.experiment import LiftTest, Period


class ReportedEffect(NamedTuple):
    """Conversions that a channel caused on the days of a test, or in the whole log where it has none."""

    channel: str
    days: Period
    effect: float
    standard_error: float


def reported_effects(rows: Sequence[LiftTest]) -> list[ReportedEffect]:
    """What somebody else has measured, to hold credit of the same days against.

    Raises
    ------
    InputError
        If a test is not reported: what arms measured is of their customers, not of those in the log.
    """
    tests = declare_tests([rows_frame(rows)]) if rows else []
    for test in tests:
        if test.design != "reported":
            raise InputError(
                f"lift test {test.name!r} cannot be held against credit",
                given=f"design = {test.design!r}",
                allowed="design = 'reported', with the effect in the whole log on the days of the test",
                hint="`attribution lift` says what a test with arms measured",
            )
    estimates = [reported_estimate(test.rows.iloc[0], LEVEL).estimate for test in tests]
    return [
        ReportedEffect(
            str(test.channel), Period(start=test.first_day, end=test.outcome_until), of.effect, of.standard_error
        )
        for test, of in zip(tests, estimates, strict=True)
    ]


def check_covered(tests: Sequence[ReportedEffect], period: Period, judged: Training | None) -> None:
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
        days = [day for day in (test.days.start, test.days.end) if day is not None]
        if any(not first <= day <= last for day in days):
            raise InputError(
                f"a lift test of channel {test.channel!r} has days outside the window",
                given=" to ".join(map(str, days)),
                allowed=f"{first} to {last}",
                hint="leave the test out, or choose a window that contains it",
            )
