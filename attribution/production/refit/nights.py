"""Which days of summaries a log says something new about: the rule of scoring, on days that journeys are booked on.

Summaries hold no conversion. Hashes of ids tell that one has moved; the day that it left is then known in part, and
days that depend on it are stale until a log tells all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.journeys import DAY, JourneyChunk, Journeys, Summary
from attribution.kernels.statistics.sums import sum_by_key
from attribution.production.refit.ids import Ids, read_ids
from attribution.production.refit.store import LogState
from attribution.production.scoring.days import Input, News, Reach, Span, daily_digests, daily_touchpoints
from attribution.production.scoring.takeback import check_gaps


@dataclass(frozen=True)
class Log:
    """What a job is given.

    Attributes
    ----------
    rows : fingerprints by day
    ids : of its conversions
    history : a day needs all that happened so many days before it
    """

    rows: Input
    ids: Ids
    history: Reach


@dataclass(frozen=True)
class Tonight:
    """What a log means for the days that are there.

    Attributes
    ----------
    write : days to write, ascending
    stale : days that may be wrong and cannot be made right from this log
    log_state : what is known of the log once they are written
    last : the last day that is complete
    cut : days in the middle of which the log begins or ends
    """

    write: tuple[int, ...]
    stale: tuple[int, ...]
    log_state: LogState
    last: int
    cut: tuple[int, ...] = ()


def given_log(
    sources: Sources,
    lookback_days: float,
    covers: tuple[int, int] | None = None,
    *,
    history_days: int,
    max_gap_days: int,
    unsure_days: int = 0,
) -> Log:
    """The log day by day; ``unsure_days`` as `attribution.production.scoring.days.Input` has them.

    ``history_days`` is how long before a day touchpoints and conversions matter to it, if longer than the window.

    Raises
    ------
    InputError
        If rows lie further than ``max_gap_days`` from all others.
    """
    touched, volumes = daily_touchpoints(sources)
    converted = daily_digests(sources, "conversions", "converted_at", sources.conversions_view)
    check_gaps(sources, touched, converted, max_gap_days)
    reach = Reach(math.ceil(lookback_days), True)
    rows = Input(touched, converted, reach, covers, volumes=volumes, unsure_days=unsure_days)
    return Log(rows, read_ids(sources), replace(reach, days=max(reach.days, history_days)))


def choose_tonight(
    log: Log, journeys: Journeys, log_state: LogState, held: Sequence[int], *, last: int, since: int | None = None
) -> Tonight:
    """Which days to write, up to ``last``; those that are there are ``held``.

    Those from ``since`` on are written, whether they changed or not, and none before.

    A change reaches the days from one window before it on: a conversion takes touchpoints back, and journeys that
    seemed to be two become one.
    """
    assert journeys.span is not None
    begun = journeys.span[0] // DAY
    news, reach = log.rows.against(log_state.inputs), log.rows.reach
    taken = _take_back(log, news, log_state)
    news = replace(news, moved=dict.fromkeys(taken.emptied, 0))
    if not log_state.inputs:  # a new folder, or one of an earlier version
        first = begun if not held else max(held[-1] + 1 - reach.days, held[0], begun)
        if held and held[-1] >= last:
            first = last + 1
        first = first if since is None else since
        state = LogState(news.merge_inputs(), ids=taken.ids, volumes=news.merge_volumes(log_state.volumes))
        return Tonight(tuple(range(first, last + 1)), (), state, last)
    changed = {*news.changed("touchpoints"), *news.changed("conversions"), *taken.days}
    changed |= {day for day in log_state.partly if day in news.conversions}
    partly = {day for day in (*log_state.partly, *taken.days) if day not in news.conversions} - taken.emptied
    closing = {*news.missing("conversions"), *partly}
    # A conversion parts journeys that were to close up to one window before it.
    missing = sorted({*news.missing("touchpoints"), *(day - back for day in closing for back in (0, reach.days))})
    end = max(last, held[-1]) if held else last
    wrong = set(range(min(changed) - reach.days, end + 1)) if changed else set()
    wrong |= {*range(held[-1] + 1 if held else begun, last + 1), *log_state.stale}
    wrong &= {*held, *range(max(begun, held[0]) if held else begun, last + 1)}
    wrong |= set() if since is None else {*range(since, last + 1)}
    # A day that was complete once is so, too, if the last events after it were taken back.
    is_asked = last != journeys.span[1] // DAY - 1
    writable = {day for day in wrong if day <= (last if is_asked else end) and not log.history.meets(day, missing)}
    writable = {day for day in writable if since is None or day >= since}
    stale = (wrong - writable) | (_cut_journeys(journeys, missing, reach) & writable) | (taken.left_out & {*held})
    volumes = news.merge_volumes(log_state.volumes)
    now = LogState(news.merge_inputs(), tuple(sorted(stale)), tuple(sorted(partly)), taken.ids, volumes)
    cut = tuple(sorted({*news.conversions.cut, *news.touchpoints.cut}))
    return Tonight(tuple(sorted(writable)), now.stale, now, last, cut)


@dataclass(frozen=True)
class _Taken:
    """What the ids of a log take back.

    Attributes
    ----------
    days : that the log does not speak for, and that lost conversions to others or gained them
    emptied : those of ``days`` that lost all they had, so that everything is known of them
    left_out : days with conversions that the log tells of and does not speak for
    ids : that are known now
    """

    days: set[int]
    emptied: set[int]
    left_out: set[int]
    ids: Ids


def _take_back(log: Log, news: News, log_state: LogState) -> _Taken:
    span, before = news.conversions, log_state.ids
    is_known = np.isin(log.ids.day, np.array([*news.earlier["conversions"]], dtype=np.int64))
    counts = _are_in(span, log.ids.day) | ~is_known
    arrived, beside = log.ids.on(counts), log.ids.on(~counts)
    has_left = ~_are_in(span, before.day) & np.isin(before.id, arrived.id)
    stays = ~_are_in(span, before.day) & ~has_left
    replaced = before.on(_are_in(span, before.day))
    entered = beside.on(np.isin(beside.id, replaced.id) & ~np.isin(beside.id, arrived.id))
    held = {day: set(before.id[before.day == day].tolist()) for day in span.cut}
    current = {day: set(log.ids.id[log.ids.day == day].tolist()) for day in span.cut}
    left_out = {
        day for day in span.cut if current[day] - held[day] or (day == span.last + 1 and held[day] - current[day])
    }
    moved, staying = before.on(has_left), before.on(stays)
    counts_before = {day: int(digest.partition("-")[0]) for day, digest in news.earlier["conversions"].items()}
    emptied = {day for day in moved.days - entered.days if counts_before.get(day) == int((moved.day == day).sum())}
    days = moved.days | entered.days
    return _Taken(days, emptied, left_out | entered.days, staying.joined(arrived))


def _are_in(span: Span, days: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (days >= span.first) & (days <= span.last)


def _cut_journeys(journeys: Journeys, missing: Sequence[int], reach: Reach) -> set[int]:
    """Days with journeys that began before the log, as far as anybody knows: they have no end, and grow for long."""
    if not missing:
        return set()
    (begun,) = journeys.read(_begin_days)
    pairs = begun.tables["begun"].keys if "begun" in begun.tables else np.zeros((0, 2), np.int64)
    first: dict[int, int] = {}
    for day, start in pairs.tolist():
        first[day] = min(start, first.get(day, day))
    days = np.array(missing)
    return {day for day, start in first.items() if ((days >= start - reach.days) & (days <= day)).any()}


def _begin_days(chunk: JourneyChunk) -> Summary:
    """On which days the journeys without a conversion that are booked on a day began."""
    assert chunk.bucket is not None
    assert chunk.touched_at is not None
    open_ended = np.flatnonzero((chunk.conversion < 0) & (chunk.lengths > 0))
    if not len(open_ended):
        return Summary({})
    start = chunk.touched_at[chunk.start[open_ended]] // DAY
    pairs = np.column_stack([chunk.bucket[open_ended], start])
    return Summary({"begun": sum_by_key(pairs, np.ones(len(start)))})
