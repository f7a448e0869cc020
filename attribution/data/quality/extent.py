"""Where the logs begin and end: times far off the rest, and logs that do not cover each other."""

from __future__ import annotations

import math

import numpy as np

from attribution.amounts import percent
from attribution.data.loading.findings import Finding, on_day
from attribution.data.loading.load import Sources
from attribution.data.quality.timeline import DAY, Timeline
from attribution.schema.experiment import Period

_CORE = 0.01
"""Rows far off are at most so many on either side; more of them are no slips."""

_GAP = 30 * DAY
"""A gap before far-off times is at least so long, and as long as the log itself."""

_EXPECTED = 20.0
"""One log has ended if so many rows were expected of it after its last, at its own pace: P(none) < 1e-8."""

_WEEKEND = 3 * DAY
"""Breaks up to this are left alone: many logs rest from Friday night to Monday."""

_BEFORE = 0.01
"""A log of touchpoints that begins late loses those of at least this share of conversions."""

_CUT = 0.10
"""By how much more often conversions near the beginning of the log lack a touchpoint, to be worth a warning."""

_CUT_ROWS = 100
_CUT_CLEAR = 5.0

_AGES = 36_500.0
"""Days; a longer window is no window."""


def without_strays(timeline: Timeline) -> tuple[Timeline, Finding]:
    """The timeline without its few bins far off the rest, and what was found there."""
    ends = np.cumsum(timeline.rows) / timeline.total
    low, high = int(np.searchsorted(ends, _CORE)), int(np.searchsorted(ends, 1 - _CORE))
    gap = max(0 if timeline.is_order else _GAP, int(timeline.start[high] - timeline.start[low]))
    wide = np.flatnonzero(np.diff(timeline.start) > max(gap, 1))
    late, early = wide[wide >= high], wide[wide < low]
    first = int(timeline.start[early[-1] + 1] if len(early) else timeline.start[0])
    last = int(timeline.start[late[0]] if len(late) else timeline.start[-1])
    inner = timeline.between(first, last)
    count = timeline.total - inner.total
    check, table = "stray_times", timeline.table
    if not count:
        return inner, Finding(check, table, "pass", 0, timeline.total, None, "no time is far from the others")
    at = len(timeline.start) - 1 if len(late) else 0
    message = (
        f"times far outside {inner.label(0)} to {inner.label(-1)}, where all others lie; the earliest is "
        f"{timeline.label(0)}, the latest {timeline.label(-1)}: correct them, or leave them out with where"
    )
    return inner, Finding(check, table, "warn", count, timeline.total, timeline.label(at), message)


def check_ends(touchpoints: Timeline, conversions: Timeline, period: Period) -> list[Finding]:
    """Whether either log goes on where the other has ended; what comes after the period does not matter."""
    return [
        _check_end(_inside(touchpoints, None, period.bounds()[1]), conversions),
        _check_end(_inside(conversions, None, period.bounds()[1]), touchpoints),
    ]


def _inside(timeline: Timeline, first: int | None, last: int | None) -> Timeline:
    low, high = int(timeline.start[0]), int(timeline.start[-1])
    return timeline.between(low if first is None else first, high if last is None else last)


def _check_end(going_on: Timeline, ended: Timeline) -> Finding:
    check, table, other = f"after_last_{ended.table[:-1]}", going_on.table, ended.table
    end = int(ended.start[-1])
    after = int(going_on.rows[going_on.start > end].sum())
    expected = after * ended.total / max(going_on.total - after, 1)
    silence = int(going_on.start[-1]) - end if after else 0
    # Mails go out on a few days a month: their log is silent for long and has not ended.
    usual = max(_WEEKEND, int(np.diff(ended.start).max(initial=0)))
    if silence <= usual or expected < _EXPECTED:
        return Finding(check, table, "pass", 0, going_on.total, None, f"{table} and {other} end at about the same time")
    message = (
        f"{percent(after / going_on.total)} of {table} come after the last of the {other} on {on_day(end)}: "
        f"{_HARM[table]}"
    )
    return Finding(check, table, "warn", after, going_on.total, on_day(int(going_on.start[-1])), message)


_HARM = {
    "touchpoints": "later journeys look as if they did not convert; end the period on that day",
    "conversions": "the touchpoints before them are missing; end the period on that day",
}


def check_beginning(
    sources: Sources, touchpoints: Timeline, conversions: Timeline, *, period: Period, lookback_days: float
) -> list[Finding]:
    """Conversions before the log of touchpoints begins, and so soon after that it cannot show what led to them."""
    first = int(touchpoints.start[0])
    return [
        _check_before(_inside(conversions, period.bounds()[0], None), first),
        _check_cut(sources, first, period, lookback_days),
    ]


def _check_before(conversions: Timeline, first: int) -> Finding:
    check, table, total = "before_first_touchpoint", "conversions", conversions.total
    count, begin = int(conversions.rows[conversions.start < first].sum()), on_day(first)
    if count <= _BEFORE * total:
        message = f"{percent(count / max(total, 1))} of conversions are earlier than the first touchpoint ({begin})"
        return Finding(check, table, "pass", 0, total, None, message)
    message = f"conversions earlier than the first touchpoint on {begin}; start the period after that day"
    return Finding(check, table, "warn", count, total, conversions.label(0), message)


def _check_cut(sources: Sources, first: int, period: Period, lookback_days: float) -> Finding:
    check, table = "cut_history", "conversions"
    window = round(min(lookback_days, _AGES) * DAY)
    start, end = period.bounds()
    counted = [f"c.bought_at >= {first if start is None else max(first, start)}"]
    counted += [] if end is None else [f"c.bought_at <= {end}"]
    rows = sources.engine.query(
        f"select case when c.bought_at < {first + window} then 1 else 0 end as cut, count(*) as n, "
        f"sum(case when f.last_at >= c.bought_at - {window} then 0 else 1 end)::bigint as bare from "
        "(select customer_id, min(converted_at) as bought_at from conversions where customer_id is not null "
        "group by customer_id) c "
        f"left join {sources.first_touches} f on c.customer_id = f.customer_id where {' and '.join(counted)} group by 1"
    ).to_pylist()
    by_cut = {row["cut"]: (row["n"], row["bare"]) for row in rows}
    (cut, cut_bare), (whole, whole_bare) = by_cut.get(1, (0, 0)), by_cut.get(0, (0, 0))
    total = cut + whole
    affected = f"{cut:,} of {total:,} first conversions lie within {lookback_days:g} days of the first touchpoint"
    if min(cut, whole) < _CUT_ROWS:
        message = f"{affected}: their earlier touchpoints are not in the data"
        return Finding(check, table, "pass", 0, total, None, message)
    more = cut_bare / cut - whole_bare / whole
    share = (cut_bare + whole_bare) / total
    error = math.sqrt(share * (1 - share) * (1 / cut + 1 / whole))
    lack = f"{percent(cut_bare / cut)} of them have no touchpoint, against {percent(whole_bare / whole)} of later ones"
    if more < _CUT or more < _CUT_CLEAR * error:
        return Finding(check, table, "pass", 0, total, None, f"{affected}; {lack}")
    day = on_day(first + window)
    message = f"{affected}; {lack}, because the touchpoint log starts too late: start the period on {day}"
    return Finding(check, table, "warn", cut, total, day, message)
