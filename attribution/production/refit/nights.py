"""Which days of summaries a log says something new about: the rule of scoring, on days that journeys are booked on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attribution.data.loading import Sources
from attribution.journeys import DAY, Journeys
from attribution.production.refit.store import LogState
from attribution.production.scoring.days import Input, Reach, daily_digests
from attribution.production.scoring.takeback import check_gaps


@dataclass(frozen=True)
class Tonight:
    """What a log means for the days that are there.

    Attributes
    ----------
    write : days to write, ascending
    stale : days that may be wrong and cannot be made right from this log
    log_state : what is known of the log once they are written
    last : the last day that is complete
    """

    write: tuple[int, ...]
    stale: tuple[int, ...]
    log_state: LogState
    last: int


def given_log(
    sources: Sources, lookback_days: float, covers: tuple[int, int] | None = None, *, max_gap_days: int
) -> Input:
    """The log day by day.

    Raises
    ------
    InputError
        If rows lie further than ``max_gap_days`` from all others.
    """
    touched = daily_digests(sources, "touchpoints", "touched_at") if sources.has("touchpoints") else {}
    converted = daily_digests(sources, "conversions", "converted_at", sources.conversions_view)
    check_gaps(sources, touched, converted, max_gap_days)
    return Input(touched, converted, Reach(math.ceil(lookback_days), True), covers)


def choose_tonight(log: Input, journeys: Journeys, log_state: LogState, held: Sequence[int], last: int) -> Tonight:
    """Which days to write, up to ``last``; those that are there are ``held``.

    A change reaches the days from one window before it on: a conversion takes touchpoints back, and journeys that
    seemed to be two become one.
    """
    assert journeys.span is not None
    begun = journeys.span[0] // DAY
    news, reach = log.against(log_state.inputs), log.reach.days
    changed = sorted({*news.changed("touchpoints"), *news.changed("conversions")})
    if not log_state.inputs:  # a new folder, or one of an earlier version
        first = begun if not held else max(held[-1] + 1 - reach, held[0], begun)
        if held and held[-1] >= last:
            first = last + 1
        return Tonight(tuple(range(first, last + 1)), (), LogState(news.merge_inputs()), last)
    missing = sorted({*news.missing("touchpoints"), *news.missing("conversions")})
    end = max(last, held[-1]) if held else last
    wrong = set(range(min(changed) - reach, end + 1)) if changed else set()
    wrong |= {*range(held[-1] + 1 if held else begun, last + 1), *log_state.stale}
    wrong &= {*held, *range(max(begun, held[0]) if held else begun, last + 1)}
    writable = {day for day in wrong if begun <= day <= last and not log.reach.meets(day, missing)}
    stale = tuple(sorted(wrong - writable))
    return Tonight(tuple(sorted(writable)), stale, LogState(news.merge_inputs(), stale), last)
