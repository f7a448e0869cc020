"""Whether a log came, and came whole: freshness of its tables, touchpoints by channel and day."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import format_amount, percent, pluralise
from attribution.journeys import DAY
from attribution.kernels.statistics.usual_counts import FEWEST_DAYS, UsualCounts, highest_share, usual_counts
from attribution.production.guards.results import GuardResult
from attribution.production.guards.thresholds import Thresholds
from attribution.production.scoring.days import Digests, day_name, day_number, last_moments
from attribution.production.scoring.volumes import Volumes, rows_by_day

Floats = NDArray[np.float64]

REFERENCE_DAYS = 56
"""Eight weeks: a longer past says more of weekdays, and less of today."""

STRETCHES = (1, 2, 3, 4, 5, 7, 10, 14, 21, 28)
"""A rare channel that is gone is seen once so many days together lack what they would have had."""

RECENT_DAYS = 7
"""Earlier days were judged by earlier jobs."""

_LIVE_DAYS = 2
"""Who was given rows as young as this is given them every night."""

_LONGEST_SILENCE = 60
_AHEAD_DAYS = 1
"""Clocks of other time zones are ahead by less."""


@dataclass(frozen=True)
class Timing:
    """When a log is judged.

    Attributes
    ----------
    now : the time (UTC)
    due : number of the day that every table must have rows of, where it was said
    last_job : when the last job ended that changed something; None if there was none
    live : tables that were given in time before
    """

    now: dt.datetime
    due: int | None = None
    last_job: dt.datetime | None = None
    live: frozenset[str] = frozenset()

    @property
    def today(self) -> int:
        """The number of the day."""
        return day_number(self.now.date().isoformat())

    @classmethod
    def of(
        cls,
        due: int | None,
        last_job: str | None,
        inputs: Mapping[str, Mapping[str, str]],
        guards: Iterable[Mapping[str, object]],
        *,
        now: dt.datetime | None = None,
    ) -> Timing:
        """From what the job before has written: when it ended, its ``inputs`` and its ``guards`` that did not hold.

        A table whose newest row was at most two days old then is given every night, and stays so while it is late.
        """
        now = now or dt.datetime.now(dt.UTC)
        ran_at = None if last_job is None else dt.datetime.fromisoformat(last_job)
        if ran_at is None:
            return cls(now, due)
        late = {row["table"] for row in guards if row["guard"] == "freshness"}
        day = day_number(ran_at.date().isoformat())
        live = {table for table, days in inputs.items() if days and day - day_number(max(days)) <= _LIVE_DAYS}
        return cls(now, due, ran_at, frozenset(live | {str(table) for table in late}))


class Log(NamedTuple):
    """What is known of a log.

    Attributes
    ----------
    touchpoints, conversions : fingerprints by day
    volumes : touchpoints by day and channel
    through : last day that it tells all of, where that was said
    """

    touchpoints: Digests
    conversions: Digests
    volumes: Volumes
    through: int | None = None

    @classmethod
    def of(cls, inputs: Mapping[str, Mapping[str, str]], volumes: Volumes, through: int | None = None) -> Log:
        """From fingerprints by table and the name of the day."""
        tables = [
            {day_number(day): digest for day, digest in inputs.get(table, {}).items()}
            for table in ("touchpoints", "conversions")
        ]
        return cls(tables[0], tables[1], volumes, through)

    @property
    def tables(self) -> dict[str, Digests]:
        """Fingerprints of the tables that have rows, by table."""
        both = {"touchpoints": self.touchpoints, "conversions": self.conversions}
        return {table: digests for table, digests in both.items() if digests}

    def last_complete_day(self, timing: Timing) -> int | None:
        """The last day whose touchpoints are all there; None where that cannot be told.

        The newest day is complete if it was said to be, or if it ends as late as the days before it do.
        """
        if not self.touchpoints:
            return None
        newest = max(self.touchpoints)
        if self.through is not None:
            return min(self.through, newest)
        if timing.due is not None and timing.due >= newest:
            return newest
        if newest >= timing.today and timing.due is None:
            return timing.today - 1
        rest = {day: DAY - moment for day, moment in last_moments(self.touchpoints).items()}
        before = [rest[day] for day in range(newest - FEWEST_DAYS, newest) if day in rest]
        if newest not in rest or len(before) < RECENT_DAYS:
            return newest - 1
        return newest if rest[newest] <= 2 * max(before) - float(np.median(before)) else newest - 1


# ------------------------------------------------------------ clock and freshness


def judge_clock(log: Log, timing: Timing) -> list[GuardResult]:
    """Whether rows, and the job before, lie in the past; nothing where the day that is due was said."""
    if timing.due is not None:
        return []
    results = []
    if timing.last_job is not None:
        ahead = round((timing.last_job - timing.now) / dt.timedelta(days=1), 3)
        says = (
            f"This computer's clock says {timing.now:%Y-%m-%d %H:%M} UTC, but the last job here ended on "
            f"{timing.last_job:%Y-%m-%d at %H:%M}: set the clock right. Until then freshness is not judged."
        )
        results.append(_result("clock", None, timing.today, ahead, bound=1 / 24, holds=ahead <= 1 / 24, says=says))
    for table, digests in log.tables.items():
        newest = max(digests)
        holds = newest - timing.today <= _AHEAD_DAYS
        says = (
            f"The newest row of {table} is of {day_name(newest)}, but this computer's clock says "
            f"{day_name(timing.today)}: correct the clock or the times of these rows. --due DAY sets another day."
        )
        ahead = float(newest - timing.today)
        results.append(_result("clock", table, newest, ahead, bound=_AHEAD_DAYS, holds=holds, says=says))
    return results


def judge_freshness(log: Log, timing: Timing, thresholds: Thresholds) -> list[GuardResult]:
    """Whether every table has rows of the day that is due, or has had silences as long before.

    Without a day that was said to be due, it is the day before the newest row of any table, and yesterday for a table
    that was given in time before.
    """
    tables = log.tables
    if not tables:
        return []
    clock_is_right = not any(result.holds is False for result in judge_clock(log, timing))
    newest_of_all = max(max(digests) for digests in tables.values())
    results = []
    for table, digests in tables.items():
        newest = max(digests)
        due = newest_of_all - 1 if timing.due is None else timing.due
        if timing.due is None and table in timing.live and clock_is_right:
            due = max(due, timing.today - 1)
        age = due - newest
        silence = _usual_silence(digests, newest, age, thresholds.significance / len(tables))
        if silence is None and timing.due is None and age > 0:
            says = f"{table} need {FEWEST_DAYS} days with rows before a missing day means something."
            results.append(_result("freshness", table, due, age, says=says))
            continue
        bound = max(thresholds.freshness_days, silence or 0)
        says = (
            f"No {table} have come since {day_name(newest)}, but rows of {day_name(due)} are due. Check the export of "
            f"{table}, and run this again when they are there."
        )
        results.append(_result("freshness", table, due, age, bound=bound, holds=age <= bound, says=says))
    return results


def judge_costs(through: int, due: int, thresholds: Thresholds) -> GuardResult:
    """Whether costs go on until the day ``due``; ``through`` is the last day that they tell of."""
    says = (
        f"Costs end on {day_name(through)}, but the recent days go on to {day_name(due)}, so their ROI is too high: "
        "add the costs, or end with --through."
    )
    bound = thresholds.freshness_days
    return _result("freshness", "costs", due, due - through, bound=bound, holds=due - through <= bound, says=says)


def _usual_silence(digests: Digests, newest: int, age: int, level: float) -> int | None:
    """How many days without a row, at most ``age``, chance explains; None where too few days are known to tell."""
    rows = rows_by_day(digests)
    first = max(min(rows), newest - REFERENCE_DAYS + 1)
    if newest - first + 1 < FEWEST_DAYS:
        return None
    before = np.array([[float(rows.get(day, 0))] for day in range(first, newest + 1)])
    for length in range(1, min(age, _LONGEST_SILENCE) + 1):
        if usual_counts(before, np.zeros((length, 1)), level=level).lowest[0] > 0:
            return length - 1
    return max(min(age, _LONGEST_SILENCE), 0)


# ------------------------------------------------------------ volume


class _Stretch(NamedTuple):
    """Days ``first`` to ``last``, both included, of a matrix of days."""

    first: int
    last: int

    @property
    def days(self) -> int:
        return self.last - self.first + 1


def judge_volume(
    volumes: Volumes, last: int | None, days: Collection[int], thresholds: Thresholds
) -> list[GuardResult]:
    """Whether each channel has the touchpoints that earlier days and the other channels lead one to expect.

    Each of ``days`` is held against the weeks before it. If a channel is low on the ``last`` day, so are the last
    2, 3, … 28 days together: a rare channel that is gone is seen once it has been gone for long enough. All of these
    comparisons share the probability of a false alarm.

    Parameters
    ----------
    volumes : touchpoints by day and channel
    last : the last complete day; None if there is none
    days : further days to judge
    """
    if last is None or not len(volumes.days):
        return []
    first = max(int(volumes.days[0]), last - REFERENCE_DAYS - max(STRETCHES) - RECENT_DAYS)
    names, counts = volumes.count(first, last)
    stretches = _stretches(last - first, [day - first for day in days])
    if not stretches:
        says = f"it needs {FEWEST_DAYS} days of touchpoints before the day that is judged."
        return [_result("volume", "touchpoints", last, None, says=says)]
    compared = [name not in thresholds.paused_channels for name in names]
    level = thresholds.significance / (2 * len(stretches) * (sum(compared) + 1))
    every = counts.sum(axis=1, keepdims=True)
    least = thresholds.total_volume, thresholds.channel_volume
    results: list[GuardResult] = []
    for stretch in stretches:
        whole = _judge_stretch((None,), every, stretch, first, (level, least[0], thresholds.volume_high))
        parts = _judge_stretch(names, counts, stretch, first, (level, least[1], thresholds.volume_high))
        results += [*whole, *(part for part, is_compared in zip(parts, compared, strict=True) if is_compared)]
    is_low = {row.channel for row in results if (row.day, row.days) == (day_name(last), 1) and _is_low(row, least)}
    return list(_leave_out([row for row in results if row.days == 1 or row.channel in is_low]))


def _is_low(result: GuardResult, least: tuple[float, float]) -> bool:
    """Whether it has less than the share of what its own days lead one to expect: of all channels, or of one."""
    return (result.value or 0.0) < least[result.channel is not None] * (result.expected or 0.0)


def _stretches(last: int, days: Iterable[int]) -> list[_Stretch]:
    """Single days, and longer stretches that end with the ``last``, that have enough days before them."""
    single = [_Stretch(day, day) for day in sorted({*days, last}) if FEWEST_DAYS <= day <= last]
    longer = [_Stretch(last - length + 1, last) for length in STRETCHES[1:] if last - length + 1 >= FEWEST_DAYS]
    return single + longer


def _judge_stretch(
    names: Sequence[str | None], counts: Floats, stretch: _Stretch, begun: int, limits: tuple[float, float, float]
) -> list[GuardResult]:
    """The result of each channel of ``counts`` (days, channels) on the days of a stretch."""
    level, least, most = limits
    before = counts[max(0, stretch.first - REFERENCE_DAYS) : stretch.first]
    during = counts[stretch.first : stretch.last + 1]
    usual = usual_counts(before, during, level=level)
    lowest = np.minimum(usual.lowest, np.ceil(least * usual.low))
    highest = np.maximum(usual.highest, np.floor(most * usual.high))
    day = begun + stretch.last
    return [
        _volume_result(name, (day, stretch.days), float(count), usual, index, (float(lowest[index]), high))
        for index, (name, count, high) in enumerate(
            zip(names, during.sum(axis=0).tolist(), highest.tolist(), strict=True)
        )
    ]


def _volume_result(
    channel: str | None,
    days: tuple[int, int],
    count: float,
    usual: UsualCounts,
    index: int,
    bounds: tuple[float, float],
) -> GuardResult:
    day, length = days
    lowest, highest = bounds
    is_high = count > highest
    expected, bound = float(usual.expected[index]), highest if is_high else lowest
    who = "Touchpoints" if channel is None else f"Touchpoints of {channel}"
    when = f"on {day_name(day)}" if length == 1 else f"from {day_name(day - length + 1)} to {day_name(day)}"
    at = f"at {'most' if is_high else 'least'} {format_amount(bound)}"
    says = f"{who} {when}: {format_amount(count)}; {format_amount(expected)} are expected and {at}. "
    if is_high:
        says += "Check whether rows were loaded twice, and look for bots."
    elif channel is None:
        says += "Check whether the day was loaded whole. On a holiday this may be right."
    else:
        says += "Check its export and its tracking; if it is paused, name it in paused_channels of --thresholds."
    return _result(
        "volume",
        "touchpoints",
        day,
        count,
        channel=channel,
        days=length,
        expected=expected,
        bound=bound,
        holds=lowest <= count <= highest,
        says=says,
    )


def _leave_out(results: Sequence[GuardResult]) -> Iterator[GuardResult]:
    """All but those that no count could break, and longer stretches that hold or say again what is broken.

    A channel that is gone for days is one row: the longest stretch on which it has nothing.
    """
    longer: dict[str | None, GuardResult] = {}
    one_day = {result.channel for result in results if result.days == 1 and not result.holds}
    for result in results:
        if result.days > 1 and not result.holds:
            before = longer.get(result.channel)
            if result.value == 0 or (before is None and result.channel not in one_day):
                longer[result.channel] = result
    for result in results:
        if result.days > 1 or (result.holds and (result.bound or 0) <= 0):
            continue
        whole = longer.get(result.channel)
        is_inside = whole is not None and not result.holds and result.value == 0 and _has(whole, result)
        if not is_inside:
            yield result
    yield from longer.values()


def _has(stretch: GuardResult, day: GuardResult) -> bool:
    """Whether a day is one of a stretch."""
    last, other = day_number(str(stretch.day)), day_number(str(day.day))
    return last - stretch.days < other <= last


# ------------------------------------------------------------ shares


def judge_share(
    guard: str,
    count: float,
    total: float,
    expected: float,
    tolerated: float,
    *,
    level: float,
    table: str,
    day: int,
    days: int = 1,
    remedy: str,
) -> GuardResult:
    """Whether ``count`` of ``total`` is a share that chance explains if the true one is ``tolerated``."""
    bound = max(tolerated, highest_share(total, min(tolerated, 1.0), level))
    share = count / total
    what = {
        "unattributed": "have no touchpoint",
        "baseline": "are the baseline's",
        "unknown_channels": "are of unknown channels",
    }
    when = f"on {day_name(day)}" if days == 1 else f"from {day_name(day - days + 1)} to {day_name(day)}"
    says = (
        f"{percent(share)} of {pluralise(math.floor(total), table.removesuffix('s'))} {when} {what[guard]}; "
        f"{percent(expected)} are expected and at most {percent(bound)}. {remedy}"
    )
    return _result(guard, table, day, share, days=days, expected=expected, bound=bound, holds=share <= bound, says=says)


def judge_new_channels(
    volumes: Volumes, last: int | None, days: Collection[int], thresholds: Thresholds
) -> list[GuardResult]:
    """Whether most touchpoints of ``days`` are of channels that the days before them had."""
    if last is None or not days or not len(volumes.days):
        return []
    begun = int(volumes.days[0])
    names, counts = volumes.count(begun, last)
    first, stop = min(days) - begun, last - begun + 1
    if first < FEWEST_DAYS:
        says = f"it needs {FEWEST_DAYS} days of touchpoints before the days that are judged."
        return [_result("unknown_channels", "touchpoints", last, None, days=stop - first, says=says)]
    recent = counts[first:stop].sum(axis=0)
    is_new = (counts[:first].sum(axis=0) == 0) & (recent > 0)
    if not recent.sum():
        return []
    examples = ", ".join(names[index] for index in np.flatnonzero(is_new)[:3])
    return [
        judge_share(
            "unknown_channels",
            float(recent[is_new].sum()),
            float(recent.sum()),
            0.0,
            thresholds.unknown_channels,
            level=thresholds.significance,
            table="touchpoints",
            day=last,
            days=stop - first,
            remedy=f"Such as {examples}: check how channels are spelled, and refit the model if they are new.",
        )
    ]


def _result(
    guard: str,
    table: str | None,
    day: int,
    value: float | None,
    *,
    channel: str | None = None,
    days: int = 1,
    expected: float | None = None,
    bound: float | None = None,
    holds: bool | None = None,
    says: str,
) -> GuardResult:
    value = None if value is None else float(value)
    bound = None if bound is None else float(bound)
    return GuardResult(
        guard, table, channel, day_name(day), days, value, expected, bound, holds, None if holds else says
    )
