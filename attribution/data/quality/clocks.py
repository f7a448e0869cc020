"""Clocks that disagree: times in another zone, or times that are only days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.data.loading.findings import Finding, hours, listed
from attribution.data.loading.load import Sources
from attribution.data.quality.timeline import DAY, HOUR, Counts, Timeline

# ---------------------------------------------------------------- the hour of the day

_LEAST_ROWS = 2_000
"""With fewer rows chance alone moves the profile of a day by a tenth."""

_LEAST_RHYTHM = 0.12
"""Total variation from an even day below which there is no rhythm to compare; people who sleep give 0.2 to 0.4."""

_ALIKE = 0.10
"""Two profiles are one, shifted, if their total variation is at most this after the shift …"""

_GAIN = 0.15
"""… and was larger by at least this, and three times as large, before it: 2 hours of an ordinary rhythm."""

_LEAST_SHIFT = 2
"""Hours. A clock that moves by one within a log is daylight saving time, which is right in UTC."""

_WEEK = 7
"""Days on either side that are compared: whole weeks, for weekends have another rhythm."""

# ---------------------------------------------------------------- touchpoints around a conversion

LAG_BIN = HOUR // 4
"""Zones differ by quarters of an hour."""

LAG_RANGE = 30 * HOUR
"""No two zones are further apart than 26 hours; the rest is for the windows."""

_WINDOWS = (4, 8)
"""Bins (1 and 2 hours) compared on either side of a step: clicks crowd before it, views are spread."""

_LEAST_LAG_SHIFT = 4
"""Bins: one hour."""

_CLEAR = 6.0
"""Standard errors of a step, of some 200 that are tried."""

_SOME = 3.0
"""Standard errors of a step at lag 0, where one is expected."""

_NEAR = 3
_STEEPER = 1.5
"""A step rises so many times as much as any of so many neighbouring bins."""

_AT_ZERO = 0.1
"""Height of a step at lag 0, in units of the clearest one, that shows the clocks to agree."""

_HEIGHT = 0.5
"""Height of a step in units of the busiest window: a daily rhythm gives 0.2."""

_SHARP = 0.5
"""Part of the height that is taken from one bin to the next: what people do after a conversion, such as opening
the mail that confirms it, rises and falls in hours."""

# ---------------------------------------------------------------- times that are days

_DAY_ONLY = 0.95
"""Share of rows in two neighbouring hours (daylight saving time makes two of one) beyond which times are days
or the moments of a nightly batch."""

_DAY_ONLY_ROWS = 100
_SECOND = 1_000_000


def profile_shift(one: Counts, other: Counts) -> int | None:
    """By how many hours the daily profile ``one`` runs later than ``other``, if they are one profile, shifted.

    Parameters
    ----------
    one, other : (24,) rows by hour of the day

    Returns
    -------
    int or None
        −11 … 12; None where the profiles agree, differ in shape, are flat, or rest on too few rows.

    Examples
    --------
    >>> import numpy as np
    >>> day = np.array([10] * 8 + [400] * 8 + [150] * 8)
    >>> profile_shift(np.roll(day, 5), day), profile_shift(day, day)
    (5, None)
    """
    if min(one.sum(), other.sum()) < _LEAST_ROWS:
        return None
    p, q = one / one.sum(), other / other.sum()
    if min(_variation(p, 1 / 24), _variation(q, 1 / 24)) < _LEAST_RHYTHM:
        return None
    apart = [_variation(p, np.roll(q, shift)) for shift in range(24)]
    best = int(np.argmin(apart))
    shift = best if best <= 12 else best - 24
    if abs(shift) < _LEAST_SHIFT or apart[best] > _ALIKE:
        return None
    is_gain = apart[0] - apart[best] >= _GAIN and apart[0] >= 3 * apart[best]
    return shift if is_gain else None


def lag_step(lags: Counts) -> int | None:
    """By how many bins conversions run late against touchpoints, told from the touchpoints around a conversion.

    Touchpoints lead to conversions and become fewer after them, so their number drops where the lag from
    touchpoint to conversion turns negative. A zone moves that drop: it is found at another lag, and not at 0.

    Parameters
    ----------
    lags : (2 · range,) touchpoints by lag to their customer's first conversion, the bin of lag 0 in the middle

    Returns
    -------
    int or None
        Where the drop is, 0 as a rule, positive if nothing happens until some time before a conversion; None if no
        drop is clear.

    Examples
    --------
    >>> import numpy as np
    >>> lags = np.zeros(240, dtype=int)
    >>> lags[120:200] = 50
    >>> lag_step(lags), lag_step(np.roll(lags, -20)), lag_step(np.roll(lags, 8))
    (0, -20, 8)
    """
    steps = [(step, height) for step, height in (_clearest_step(lags, width) for width in _WINDOWS) if height > 0]
    at_zero = _height_at_zero(lags)
    moved = (step for step, height in steps if abs(step) >= _LEAST_LAG_SHIFT and at_zero < _AT_ZERO * height)
    return next(moved, 0 if steps else None)


def _clearest_step(lags: Counts, width: int) -> tuple[int, float]:
    """Where the clearest step is, and its height in touchpoints per bin; 0 if it is not clear, high and sharp."""
    ends = np.concatenate([[0], np.cumsum(lags)])
    window = ends[width:] - ends[:-width]
    before, after = window[:-width], window[width:]
    clear = (after - before) / np.sqrt(np.maximum(after + before, 1))
    index = int(np.argmax(clear))
    # Where all lags are alike, as many windows hold them all; the step is where the last of them begins. A lag before
    # the conversion may well be one that all customers have.
    last = int(np.flatnonzero(clear == clear[index])[-1])
    if last + width < len(lags) // 2:
        index = last
    height = float(after[index] - before[index])
    is_step = clear[index] >= _CLEAR and height >= _HEIGHT * window.max()
    is_step = is_step and _is_sharp(lags, index + width, height / width)
    return index + width - len(lags) // 2, height / width if is_step else 0.0


def _height_at_zero(lags: Counts) -> float:
    """Height of a step at lag 0, however unclear: a mail that confirms each conversion may make a higher one."""
    middle, heights = len(lags) // 2, [0.0]
    jumps = np.diff(lags[middle - _NEAR - 1 : middle + _NEAR + 1])
    if jumps[_NEAR] < _STEEPER * np.delete(jumps, _NEAR).max():
        return 0.0  # not a step but a slope, on which 0 happens to lie
    for width in (1, *_WINDOWS):
        after, before = int(lags[middle : middle + width].sum()), int(lags[middle - width : middle].sum())
        if after - before > _SOME * np.sqrt(after + before) and _is_sharp(lags, middle, (after - before) / width):
            heights.append((after - before) / width)
    return max(heights)


def _is_sharp(lags: Counts, index: int, height: float) -> bool:
    """Whether most of a step of ``height`` is taken between two bins, give or take a standard error."""
    return bool(lags[index] - lags[index - 1] + np.sqrt(lags[index] + lags[index - 1]) >= _SHARP * height)


def check_clocks(sources: Sources, touchpoints: Timeline, conversions: Timeline) -> list[Finding]:
    """Whether touchpoints and conversions go by one clock, and each table by one clock throughout."""
    days_only = [is_day_only(timeline) for timeline in (touchpoints, conversions)]
    findings = [_check_day_times(sources, touchpoints, conversions)]
    lags = None if any(days_only) else _read_lags(sources)
    step = 0 if lags is None else lag_step(lags.bins)
    # Two tables may well have rhythms of their own: only where nothing else tells.
    shift = profile_shift(_profile(touchpoints), _profile(conversions)) if step is None else None
    findings.append(_zone_finding(touchpoints, step, shift))
    findings += [_check_constant_clock(timeline) for timeline in (touchpoints, conversions)]
    return findings if lags is None else findings + _check_last_seconds(lags)


def _zone_finding(touchpoints: Timeline, step: int | None, shift: int | None) -> Finding:
    check, table, total = "time_zone", "touchpoints", touchpoints.total
    if step:
        late = -step * LAG_BIN / HOUR
        evidence = f"the last touchpoints lie {hours(late)} {'after' if late > 0 else 'before'} the conversions"
    elif shift is not None:
        late = float(shift)
        evidence = (
            f"their daily rhythm runs about {hours(late)} {'later' if late > 0 else 'earlier'} than that of conversions"
        )
    else:
        message = "touchpoints and conversions seem to be in the same time zone"
        return Finding(check, table, "pass", 0, total, None, message)
    message = (
        f"touchpoints seem to be {hours(late)} too {'late' if late > 0 else 'early'}: {evidence}; "
        "one of the two tables may be in another time zone: set its time_zone"
    )
    return Finding(check, table, "warn", total, total, f"{late:+g} h", message)


def _check_constant_clock(timeline: Timeline) -> Finding:
    check, table, total = "clock_change", timeline.table, timeline.total
    change = _find_clock_change(timeline)
    if change is None:
        return Finding(check, table, "pass", 0, total, None, f"the daily rhythm of {table} does not shift")
    day, shift = change
    after = timeline.start >= day
    message = (
        f"from {np.datetime64(day, 'us').astype('datetime64[D]')} on, the daily rhythm of {table} runs {hours(shift)} "
        f"{'later' if shift > 0 else 'earlier'} than before: check whether some files are in another time zone"
    )
    example = str(np.datetime64(day, "us").astype("datetime64[D]"))
    return Finding(check, table, "warn", int(timeline.rows[after].sum()), total, example, message)


def _find_clock_change(timeline: Timeline) -> tuple[int, int] | None:
    """The first day of the clearest change of the daily profile, and by how many hours it moves."""
    day = timeline.start // DAY
    days = np.unique(day)
    if len(days) < 2 * _WEEK or is_day_only(timeline):
        return None
    cells = np.zeros((len(days), 24), dtype=np.int64)
    np.add.at(cells, (np.searchsorted(days, day), timeline.start % DAY // HOUR), timeline.rows)
    best: tuple[float, int, int] | None = None
    for index in range(_WEEK, len(days) - _WEEK + 1):
        before, after = cells[index - _WEEK : index].sum(axis=0), cells[index : index + _WEEK].sum(axis=0)
        shift = profile_shift(after, before)
        if shift is not None:
            gain = _variation(after / after.sum(), before / before.sum())
            if best is None or gain > best[0]:
                best = (gain, int(days[index]) * DAY, shift)
    return None if best is None else best[1:]


def _check_day_times(sources: Sources, touchpoints: Timeline, conversions: Timeline) -> Finding:
    is_few = conversions.total < _DAY_ONLY_ROWS
    if (is_day_only(conversions) or is_few) and not is_day_only(touchpoints) and not _are_ends_of_days(sources):
        later, midnights = _read_midnights(sources)
        if not is_few:
            profile = _profile(conversions)
            hour = int(np.argmax(profile + np.roll(profile, -1)))
            between = f"lie between {hour:02d} and {(hour + 2) % 24:02d} h UTC"
            return _day_times_finding(conversions, _fullest(profile), between, f"{hour:02d} h", later)
        if later and midnights == conversions.total:
            return _day_times_finding(conversions, midnights, "are at midnight UTC", "00 h", later)
    message = "the times of conversions are as precise as those of touchpoints"
    return Finding("day_times", "conversions", "pass", 0, conversions.total, None, message)


def _day_times_finding(conversions: Timeline, rows: int, where: str, example: str, later: int) -> Finding:
    lost = f", and {later:,} customers have touchpoints later that day, which get no credit" if later else ""
    message = (
        f"{percent(rows / conversions.total)} of conversions {where}{lost}: their times are probably days or the "
        "time of a nightly batch, so touchpoints of the same day may count as later; use the exact time of the "
        "conversion, or set same_day = 'counts'"
    )
    return Finding("day_times", "conversions", "warn", rows, conversions.total, example, message)


def _are_ends_of_days(sources: Sources) -> bool:
    """Whether times are the last moments of days, which ``same_day`` made of them."""
    (row,) = sources.engine.query(
        f"select count(*) as n, count(*) filter (converted_at % {_SECOND} = {_SECOND - 1}) as ends from conversions"
    ).to_pylist()
    return bool(row["ends"] >= _DAY_ONLY * row["n"])


def _read_midnights(sources: Sources) -> tuple[int, int]:
    """Customers whose first conversion is followed by a touchpoint within a day, and conversions at midnight."""
    (row,) = sources.engine.query(
        "select count(distinct t.customer_id) as n from touchpoints t join "
        "(select customer_id, min(converted_at) as first_at from conversions group by customer_id) c "
        f"on t.customer_id = c.customer_id where t.touched_at > c.first_at and t.touched_at < c.first_at + {DAY}"
    ).to_pylist()
    (at_midnight,) = sources.engine.query(
        f"select count(*) filter (converted_at % {DAY} = 0) as n from conversions"
    ).to_pylist()
    return int(row["n"]), int(at_midnight["n"])


def is_day_only(timeline: Timeline) -> bool:
    """Whether times are mere days, or those of a nightly batch."""
    days = len(np.unique(timeline.start // DAY))
    profile = _profile(timeline)
    return days > 1 and timeline.total >= _DAY_ONLY_ROWS and _fullest(profile) >= _DAY_ONLY * timeline.total


def _fullest(profile: Counts) -> int:
    return int((profile + np.roll(profile, -1)).max())


def _profile(timeline: Timeline) -> Counts:
    """(24,) rows by hour of the day, UTC."""
    hour = timeline.start % DAY // HOUR
    return np.bincount(hour, timeline.rows, minlength=24).astype(np.int64)


@dataclass(frozen=True)
class Lags:
    """Touchpoints by lag to the first conversion of their customer.

    ``bins`` (2 · range,) counts each at most once, the bin of lag 0 in the middle; ``before`` are those of each channel
    that lie before that conversion or at it, of which ``close`` within seconds and ``at_once`` at the very instant.
    """

    bins: Counts
    channels: tuple[str, ...]
    before: Counts
    close: Counts
    at_once: Counts


def _read_lags(sources: Sources) -> Lags:
    kind = " and coalesce(t.kind, '') <> 'inferred'" if sources.has("touchpoints", "kind") else ""
    table = sources.engine.query(
        f"select channel, case when lag >= {-LAG_RANGE} and lag < {LAG_RANGE} then "
        f"lag + {LAG_RANGE} - (lag + {LAG_RANGE}) % {LAG_BIN} end as bin, count(*) as n, "
        f"count(*) filter (lag >= 0 and is_own) as before, count(*) filter (lag >= 0 and lag <= {_SECONDS} and is_own) "
        "as close, count(*) filter (lag = 0 and is_own) as at_once from "
        f"(select t.channel, c.first_at - t.touched_at as lag, true{kind} as is_own from touchpoints t join "
        "(select customer_id, min(converted_at) as first_at from conversions group by customer_id) c "
        "on t.customer_id = c.customer_id where c.first_at is not null and t.touched_at is not null) group by 1, 2"
    ).to_pandas()
    bins = np.zeros(2 * LAG_RANGE // LAG_BIN, dtype=np.int64)
    inside = table.dropna(subset="bin")
    np.add.at(bins, (inside["bin"].to_numpy(np.int64) // LAG_BIN), inside["n"].to_numpy(np.int64))
    counts = table.dropna(subset="channel").groupby("channel")[["before", "close", "at_once"]].sum()
    before, close, at_once = (counts[name].to_numpy(np.int64) for name in counts)
    return Lags(bins, tuple(map(str, counts.index)), before, close, at_once)


# ---------------------------------------------------------------- channels that come with the conversion

_SECONDS = 60_000_000
"""Microseconds: who came by a channel needs longer than this to find, choose and pay."""

_NEARLY_ALWAYS = 0.8
_LEAST_TOUCHES = 20


def _check_last_seconds(lags: Lags) -> list[Finding]:
    """Channels that nearly always come with the conversion; nothing is said where none does."""
    findings = []
    texts = {
        "last_instant": (
            lags.at_once,
            "at the very instant of the conversion: they are probably written with it, and did not lead to it",
        ),
        "last_seconds": (
            np.where(lags.at_once >= _NEARLY_ALWAYS * lags.before, 0, lags.close),
            "within a minute before the conversion: they may be put before it, as coupon pages and browser plug-ins "
            "do, and take the last touch from what led to it",
        ),
    }
    for check, (counts, meaning) in texts.items():
        is_odd = (lags.before >= _LEAST_TOUCHES) & (counts >= _NEARLY_ALWAYS * lags.before)
        names = [name for name, odd in zip(lags.channels, is_odd, strict=True) if odd]
        if names:
            touches, total = int(counts[is_odd].sum()), int(lags.before[is_odd].sum())
            message = (
                f"touchpoints of {listed(names)} come {percent(touches / total)} of the time {meaning}; compare models "
                "with and without them (where leaves them out)"
            )
            findings.append(Finding(check, "touchpoints", "warn", touches, total, names[0], message))
    return findings


def _variation(p: NDArray[np.float64], q: NDArray[np.float64] | float) -> float:
    """Total variation distance: the share that would have to move."""
    return float(np.abs(p - q).sum() / 2)
