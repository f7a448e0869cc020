"""Costs beside touchpoints: mixed units, days that one of the two tables lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.data.loading.findings import Finding, listed, on_day
from attribution.data.loading.load import Sources
from attribution.data.quality.timeline import DAY, Timeline
from attribution.schema.experiment import Period

_FACTORS = {2: "100 (cents?)", 3: "1,000", 6: "1,000,000 (micros?)"}
"""Powers of ten between the units in which exports give money."""

_FLIGHTS = 2
"""Where no touchpoints tell how much was bought: from one day to the next, spend may well grow a hundredfold."""

_NEAR = 0.25
"""Decades by which the ratio of two levels may miss such a power: prices change as well."""

_BETWEEN = 0.8
"""Decades between the two levels without a single day: ordinary days leave no such gap."""

_WIDTH = 0.8
"""Decades that hold the middle 80 % of the days of one level."""

_LEAST_DAYS = 3
"""On each level: two odd days may be corrections. And in a row, without a touchpoint: two may be a weekend."""

_MICROS = 1e5
"""Spend of a channel on a touchpoint in units of that of the others: clicks and views are a few thousand apart,
money and micros a million."""

_OVER_VALUE = 1_000.0
"""Spend of a channel in units of the value of all conversions: nobody spends so much on them."""

_LEAST_OTHERS = 2

_EXPECTED = 20.0
"""Touchpoints that a channel lacks, at its usual number on a day with spend: P(none) < 1e-8."""

_OFTEN = 0.6
"""Share of the other days with spend on which the channel has touchpoints: five in seven for those who rest at
weekends, and few for mails that go out now and then."""

_WEEK = 7
"""Days with touchpoints that make a habit."""

_UNCOVERED = 0.05
"""Share of the touchpoints of paid channels before the first or after the last day of costs."""


Touched = Mapping[str, Mapping[int, int]]
"""Channel → day (µs since 1970) → touchpoints."""


@dataclass(frozen=True)
class ChannelDays:
    """One channel's days with spend: (days,) µs since 1970, spend (> 0), and touchpoints on the day."""

    day: NDArray[np.int64]
    spend: NDArray[np.float64]
    touchpoints: NDArray[np.int64]

    def levels(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Days and spend on a touchpoint, or on a day where the channel has no touchpoints.

        A campaign that comes and goes moves both spend and touchpoints; another unit moves spend alone.
        """
        if not self.touchpoints.any():
            return self.day, self.spend
        touched = self.touchpoints > 0
        return self.day[touched], self.spend[touched] / self.touchpoints[touched]


def unit_step(levels: NDArray[np.float64]) -> tuple[int, NDArray[np.bool_]] | None:
    """The power of ten between two levels of amounts, and which of them are on the higher one.

    Parameters
    ----------
    levels : (days,) amounts > 0, such as spend on a touchpoint

    Returns
    -------
    (power, is_high) or None
        None unless the levels are two, each narrow, apart, and by a ratio that tells two units.

    Examples
    --------
    >>> import numpy as np
    >>> power, is_high = unit_step(np.array([0.4, 0.5, 0.4, 0.6, 41.0, 52.0, 47.0]))
    >>> power, is_high.tolist()
    (2, [False, False, False, False, True, True, True])
    >>> unit_step(np.array([0.4, 0.5, 0.4, 0.6, 4.0, 5.0, 4.0])) is None
    True
    """
    if len(levels) < 2 * _LEAST_DAYS:
        return None
    decades = np.log10(levels)
    order = np.sort(decades)
    cut = int(np.argmax(np.diff(order))) + 1
    low, high = order[:cut], order[cut:]
    if high[0] - low[-1] < _BETWEEN or min(len(low), len(high)) < _LEAST_DAYS:
        return None
    if max(np.quantile(part, 0.9) - np.quantile(part, 0.1) for part in (low, high)) > _WIDTH:
        return None
    ratio = float(np.median(high) - np.median(low))
    power = min(_FACTORS, key=lambda factor: abs(factor - ratio))
    return (power, decades > low[-1]) if abs(power - ratio) <= _NEAR else None


def check_spend(sources: Sources, touchpoints: Timeline | None, period: Period) -> list[Finding]:
    """Whether costs keep to one unit, and go along with touchpoints day by day."""
    touched = _read_touched(sources) if sources.has("touchpoints") else {}
    findings = [_check_mix(sources, touched)]
    if not sources.has("costs", "day"):
        return findings
    channels = _channel_days(sources, touched)
    findings.append(_check_jumps(channels))
    if touchpoints is not None and not touchpoints.is_order:
        findings.append(_check_gaps(channels, touchpoints))
        findings.append(_check_covered(sources, touched, period))
    return findings


def _read_touched(sources: Sources) -> Touched:
    """Touchpoints of the channels with costs by day; of all times together where times are positions."""
    day = "0" if sources.integer_times else f"t.touched_at - t.touched_at % {DAY}"
    table = sources.engine.query(
        f"select t.channel, {day} as day, count(*) as n from touchpoints t join "
        "(select distinct channel from media_costs where amount > 0) c on t.channel = c.channel "
        "where t.touched_at is not null group by 1, 2",
        table="touchpoints",
    )
    touched: dict[str, dict[int, int]] = {}
    columns = (table[name].to_pylist() for name in ("channel", "day", "n"))
    for channel, at, n in zip(*columns, strict=True):
        touched.setdefault(channel, {})[at] = n
    return touched


def _check_jumps(channels: dict[str, ChannelDays]) -> Finding:
    check, table = "unit_jump", "costs"
    jumps, odd_days = {}, 0
    for name, channel in channels.items():
        days, levels = channel.levels()
        step = unit_step(levels)
        if step is not None and (channel.touchpoints.any() or step[0] > _FLIGHTS):
            power, is_high = step
            odd = is_high if is_high.sum() * 2 <= len(levels) else ~is_high
            way = "up" if odd is is_high else "down"
            jumps[name] = f"{name!r} goes {way} by a factor of {_FACTORS[power]} on {on_day(days[odd].min())}"
            odd_days += int(odd.sum())
    total = sum(len(channel.day) for channel in channels.values())
    if not jumps:
        return Finding(check, table, "pass", 0, total, None, "the spend of every channel is in one unit")
    message = f"spend changes as if its unit of money did: {listed([*jumps.values()])}; use one unit"
    return Finding(check, table, "warn", odd_days, total, next(iter(jumps)), message)


def _check_mix(sources: Sources, touched: Touched) -> Finding:
    check, table = "unit_mix", "costs"
    spent = sources.engine.query("select channel, sum(amount) as amount from media_costs group by channel").to_pylist()
    paid = {row["channel"]: row["amount"] for row in spent if row["amount"] > 0}
    levels = {name: paid[name] / sum(days.values()) for name, days in touched.items()}
    value = _total_value(sources)
    odd = [
        name
        for name in sorted(paid)
        if (name in levels and _is_far_above(name, levels)) or (value > 0 and paid[name] >= _OVER_VALUE * value)
    ]
    if sources.has("costs", "campaign"):
        odd += _odd_campaigns(sources)
    total = len(paid)
    if not odd:
        return Finding(check, table, "pass", 0, total, None, "spend has a plausible size in all channels")
    message = (
        f"spend is {_MICROS:,.0f} times that of comparable channels, or {_OVER_VALUE:,.0f} times all value: "
        f"{listed(odd)}; check whether it is in micros or cents"
    )
    return Finding(check, table, "warn", min(len(odd), total), total, odd[0], message)


def _total_value(sources: Sources) -> float:
    table = "paths" if sources.has("paths") else "conversions"
    if not sources.has(table, "value"):
        return 0.0
    return float(sources.engine.query(f"select coalesce(sum(value), 0)::double as v from {table}")["v"][0].as_py())


def _is_far_above(name: str, levels: dict[str, float]) -> bool:
    other_levels = [level for other, level in levels.items() if other != name]
    return len(other_levels) >= _LEAST_OTHERS and levels[name] >= _MICROS * float(np.median(other_levels))


def _odd_campaigns(sources: Sources) -> list[str]:
    """Campaigns whose usual amount is far above that of the others of their channel."""
    rows = sources.engine.query(
        "select channel, campaign, percentile_cont(0.5) within group (order by amount) as amount from media_costs "
        "where amount > 0 and campaign is not null group by channel, campaign"
    ).to_pylist()
    by_channel: dict[str, dict[str, float]] = {}
    for row in rows:
        by_channel.setdefault(row["channel"], {})[row["campaign"]] = row["amount"]
    return [
        f"{channel} / {name}"
        for channel, levels in sorted(by_channel.items())
        for name in sorted(levels)
        if _is_far_above(name, levels)
    ]


def _check_gaps(channels: dict[str, ChannelDays], touchpoints: Timeline) -> Finding:
    check, table = "paid_days_without_touchpoint", "costs"
    first, last = touchpoints.start[0] // DAY * DAY, touchpoints.start[-1] // DAY * DAY
    gaps, days = {}, 0
    for name, channel in channels.items():
        inside = (channel.day >= first) & (channel.day <= last)
        run = _longest_gap(channel.touchpoints[inside])
        if run is not None:
            begin, end = run
            day = channel.day[inside]
            gaps[name] = f"{name!r} from {on_day(day[begin])} to {on_day(day[end])}"
            days += end - begin + 1
    total = sum(len(channel.day) for channel in channels.values())
    if not gaps:
        return Finding(check, table, "pass", 0, total, None, "no channel has days of spend without touchpoints")
    message = (
        f"days with spend but no touchpoint, in channels that usually have many: {listed([*gaps.values()])}; load "
        "what is missing"
    )
    return Finding(check, table, "warn", days, total, next(iter(gaps)), message)


def _longest_gap(touchpoints: NDArray[np.int64]) -> tuple[int, int] | None:
    """The longest run of days without touchpoints, if it is no chance."""
    is_empty = np.concatenate([[0], touchpoints == 0, [0]]).astype(np.int8)
    begin, end = np.flatnonzero(np.diff(is_empty) == 1), np.flatnonzero(np.diff(is_empty) == -1)
    if not len(begin) or not touchpoints.any():
        return None
    longest = int(np.argmax(end - begin))
    length = int(end[longest] - begin[longest])
    touched = touchpoints > 0
    often = touched.sum() >= max(_WEEK, _OFTEN * (len(touchpoints) - length))
    if length < _LEAST_DAYS or not often or touchpoints.sum() / touched.sum() * length < _EXPECTED:
        return None
    return int(begin[longest]), int(end[longest]) - 1


def _check_covered(sources: Sources, touched: Touched, period: Period) -> Finding:
    check, table = "touchpoints_without_costs", "touchpoints"
    span = sources.engine.query("select min(day) as first, max(day) as last from media_costs").to_pylist()[0]
    start, end = period.bounds()
    inside = [
        (day, n)
        for days in touched.values()
        for day, n in days.items()
        if (start is None or day >= start - DAY + 1) and (end is None or day <= end)
    ]
    total = sum(n for _, n in inside)
    if span["first"] is None:
        return Finding(check, table, "pass", 0, total, None, "costs are not dated by day")
    first, last = (int(np.datetime64(day, "us").astype(np.int64)) for day in (span["first"], span["last"]))
    count = sum(n for day, n in inside if not first <= day <= last)
    message = (
        f"{percent(count / max(total, 1))} of touchpoints of paid channels lie outside the dates of the costs, "
        f"{span['first']} to {span['last']}"
    )
    if count <= _UNCOVERED * total:
        return Finding(check, table, "pass", 0, total, None, message)
    message += ": their spend is missing from ROI; add the costs, or limit the period to those dates"
    return Finding(check, table, "warn", count, total, str(span["first"]), message)


def _channel_days(sources: Sources, touched: Touched) -> dict[str, ChannelDays]:
    """Per channel with costs, its days with spend in order."""
    spent = sources.engine.query(
        "select channel, day, sum(amount) as amount from media_costs where day is not null group by channel, day "
        "having sum(amount) > 0 order by channel, day"
    )
    days = spent["day"].to_numpy().astype("datetime64[us]").astype(np.int64)
    of_channel: dict[str, list[int]] = {}
    for index, channel in enumerate(spent["channel"].to_pylist()):
        of_channel.setdefault(channel, []).append(index)
    amount = spent["amount"].to_numpy().astype(np.float64)
    return {
        channel: ChannelDays(
            days[places],
            amount[places],
            np.array([touched.get(channel, {}).get(day, 0) for day in days[places].tolist()], dtype=np.int64),
        )
        for channel, places in of_channel.items()
    }
