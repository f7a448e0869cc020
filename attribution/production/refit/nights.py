"""Which days of summaries a log says something new about: the rule of scoring, on days that journeys are booked on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attribution.data.loading import Sources
from attribution.journeys import DAY, Journeys
from attribution.production.refit.store import Known
from attribution.production.scoring.days import Input, Reach, daily_digests
from attribution.production.scoring.takeback import check_gaps


@dataclass(frozen=True)
class Tonight:
    """What a log means for the days that are there.

    Attributes
    ----------
    write : days to write, ascending
    stale : days that may be wrong and cannot be made right from this log
    known : what is known of the log once they are written
    last : the last day that is complete
    """

    write: tuple[int, ...]
    stale: tuple[int, ...]
    known: Known
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


def choose_tonight(given: Input, journeys: Journeys, known: Known, held: Sequence[int], last: int) -> Tonight:
    """Which days to write, up to ``last``; those that are there are ``held``.

    A change reaches the days from one window before it on: a conversion takes touchpoints back, and journeys that
    seemed to be two become one.
    """
    assert journeys.span is not None
    begun = journeys.span[0] // DAY
    news, reach = given.against(known.inputs), given.reach.days
    changed = sorted({*news.changed("touchpoints"), *news.changed("conversions")})
    if not known.inputs:  # a new folder, or one of an earlier version
        first = begun if not held else max(held[-1] + 1 - reach, held[0], begun)
        if held and held[-1] >= last:
            first = last + 1
        return Tonight(tuple(range(first, last + 1)), (), Known(news.merged()), last)
    missing = sorted({*news.missing("touchpoints"), *news.missing("conversions")})
    end = max(last, held[-1]) if held else last
    wrong = set(range(min(changed) - reach, end + 1)) if changed else set()
    wrong |= {*range(held[-1] + 1 if held else begun, last + 1), *known.stale}
    wrong &= {*held, *range(max(begun, held[0]) if held else begun, last + 1)}
    told = {day for day in wrong if begun <= day <= last and not given.reach.meets(day, missing)}
    stale = tuple(sorted(wrong - told))
    return Tonight(tuple(sorted(told)), stale, Known(news.merged(), stale), last)
