"""How long a lookback window should be, from how long conversions take."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import percent, pluralise
from attribution.data.loading import Finding
from attribution.journeys import DAY, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.structure import tally

COVERED = 0.95
"""Share of the conversions that touchpoints lead to in the end, which the suggested window holds."""

_FEWEST = 30
"""Conversions after a touchpoint; from fewer no window is suggested."""


class TimeLag(NamedTuple):
    """Kaplan–Meier estimate, by whole days since the first touchpoint of a journey.

    ``converted`` (days,) probability of having converted by the end of the day, journeys that were not yet over
    counted as long as they were seen; ``conversions`` how many were seen.
    """

    converted: NDArray[np.float64]
    conversions: float


def lag_reader(journeys: Journeys) -> Reader:
    """What counts journeys by days from their first touchpoint, for `time_lag`."""
    if not journeys.has_times or journeys.span is None or journeys.lookback_days is None:
        return _read_nothing
    return partial(_count, journeys.span[1], round(journeys.lookback_days * DAY))


def time_lag(summary: Summary) -> TimeLag:
    """The time-lag curve with open journeys taken as censored.

    References
    ----------
    .. [1] E. L. Kaplan, P. Meier, "Nonparametric estimation from incomplete observations", Journal of the American
       Statistical Association 53, 1958.
    """
    days = 1 + max((int(table.keys.max(initial=-1)) for table in summary.tables.values()), default=-1)
    converted, censored = (summary.dense(name, days) for name in ("converted", "censored"))
    leaving = converted + censored
    at_risk = leaving[::-1].cumsum()[::-1]
    stays = 1.0 - np.divide(converted, at_risk, out=np.zeros(days), where=at_risk > 0)
    return TimeLag(1.0 - np.cumprod(stays), float(converted.sum()))


def suggest_lookback(lag: TimeLag) -> int | None:
    """The smallest number of days within which `COVERED` of conversions come; None where there are too few.

    Examples
    --------
    >>> suggest_lookback(TimeLag(np.array([0.1, 0.15, 0.19, 0.2]), 100.0))
    3
    """
    if lag.conversions < _FEWEST:
        return None
    return int(np.argmax(lag.converted >= COVERED * lag.converted[-1])) + 1


def lookback_finding(summary: Summary, journeys: Journeys) -> list[Finding]:
    """The suggestion as a row of the quality table; none where times are positions or journeys overlap."""
    if not journeys.has_times or journeys.lookback_days is None or journeys.overlap:
        return []
    lag = time_lag(summary)
    days = suggest_lookback(lag)
    window = journeys.lookback_days
    if days is None:
        message = (
            f"there are too few conversions after a touchpoint ({lag.conversions:,.0f}) to suggest a lookback window"
        )
        return [Finding("lookback", "journeys", "pass", 0, None, None, message)]
    share = f"{percent(COVERED)} of the conversions within {window:g} days of a journey's first touchpoint"
    at_edge = days >= COVERED * window
    advice = (
        "the window may cut off later conversions, so try a longer one"
        if at_edge
        else f"a window of {pluralise(days, 'day')} covers most"
    )
    message = f"{share} come within {pluralise(days, 'day')} (open journeys counted as unfinished): {advice}"
    return [Finding("lookback", "journeys", "warn" if at_edge else "pass", days, None, None, message)]


def _read_nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def _count(end: int, window: int, chunk: JourneyChunk) -> Summary:
    """Journeys by whole days from first touchpoint to conversion, or to when they were last seen unconverted."""
    touched = chunk.touched
    assert touched.touched_at is not None
    assert touched.ended_at is not None
    began = touched.touched_at[touched.start]
    # One that did not convert was seen until it closed, or until the data end.
    closed = np.minimum(touched.ended_at + window, end)
    return Summary(
        {
            "converted": tally((touched.ended_at - began) // DAY, touched.conversions),
            "censored": tally((closed - began) // DAY, touched.nulls),
        }
    )
