"""Reading times: what a column of times holds, and SQL that turns it into integers.

Timestamps become UTC microseconds since 1970. Integers stay what they are: a log that has only an order.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from attribution.data.engine import Engine, quote, text
from attribution.errors import InputError, did_you_mean
from attribution.schema.experiment import TableSpec

LARGEST_POSITION = 1 << 60
"""Integer times beyond this could not be added to a window."""

_EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}

_DAY = r"\d{4}-\d{2}-\d{2}"
TIME_PATTERN = _DAY + r"([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?"
"""Texts that are times, or days."""

OFFSET_PATTERN = r" ?(Z|z|UTC|GMT|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
"""What may follow one: where it is in relation to UTC. Warehouses write a name, or a blank before it."""

_PLAIN_OFFSET = r"(Z|z|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
"""What engines read themselves."""

DAY = 86_400_000_000
"""Microseconds."""

_DAY_MONTH = r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*"
_COMPACT_DAY = r"(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])"


@dataclass(frozen=True)
class TimeColumn:
    """How to read one column of times: ``sql`` gives int64, null where a value cannot be read.

    ``is_sure`` says that the type rules such values out; ``is_integer`` is None where there is no value at all.
    ``is_zoned`` says whether the values themselves, or a setting, tell their zone; None where there is nothing
    to tell, as for days without a clock time. ``local`` is SQL for clock times of a zone that puts its clocks forward
    and back, so that some come twice and others never.
    """

    sql: str
    is_integer: bool | None
    is_sure: bool = False
    is_zoned: bool | None = None
    local: str | None = None


def read_times(
    engine: Engine, table: str, view: str, column: str, spec: TableSpec, *, days_end: bool = False
) -> TimeColumn:
    """Decide how to read ``column`` of ``view``; with ``days_end``, a time that is a mere day is its last moment.

    Raises
    ------
    InputError
        If values are unreadable, ambiguous, or some have an offset and some have not.
    """
    reading = _read_times(engine, table, view, column, spec)
    if not days_end:
        return reading
    where = f"table {table!r}, column {column!r}"
    if reading.is_integer is not False:
        raise InputError(f"{where}: same_day is for days, and these are positions", hint="leave same_day out")
    is_day = _is_midnight(engine, view, column, reading)
    return replace(reading, sql=f"case when {is_day} then {reading.sql} + {DAY - 1} else {reading.sql} end")


def _is_midnight(engine: Engine, view: str, column: str, reading: TimeColumn) -> str:
    """SQL for whether a time is a mere day, by the clock that it was written by."""
    kind = engine.schema(view).field(column).type
    if is_text(kind) and reading.is_zoned and reading.local is None:
        # With an offset of its own, of which the text knows the midnight.
        return f"regexp_matches({quote(column)}, '[T ]00:00(:00([.,]0+)?)? ?([Zz+-]|UTC|GMT)')"
    if reading.local is not None:
        return f"epoch_us({reading.local}) % {DAY} = 0"
    return f"({reading.sql}) % {DAY} = 0"


def _read_times(engine: Engine, table: str, view: str, column: str, spec: TableSpec) -> TimeColumn:
    kind = engine.schema(view).field(column).type
    raw = quote(column)
    _check_settings(engine, f"table {table!r}, column {column!r}", spec)
    if spec.time_format in _EPOCHS:
        return _epoch(table, column, kind, raw, _EPOCHS[spec.time_format])
    reading = _read(engine, table, view, column, spec)
    if reading.is_integer and spec.time_zone is not None:
        raise InputError(
            f"table {table!r}, column {column!r}: integer times have no time zone",
            given=f"time_zone = {spec.time_zone!r}",
            hint="leave it out, or set what the integers mean, e.g. time_format = 'epoch_s'",
        )
    return reading


def _check_settings(engine: Engine, where: str, spec: TableSpec) -> None:
    """Refuse a time format or zone that nothing could be read with."""
    if spec.time_zone is not None:
        zones = engine.query("select name from pg_timezone_names()")["name"].to_pylist()
        if spec.time_zone not in zones:
            raise InputError(
                f"{where}: unknown time_zone",
                given=repr(spec.time_zone),
                allowed="IANA names such as Europe/Paris",
                hint=did_you_mean(spec.time_zone, zones),
            )
    if spec.time_format is None or spec.time_format in _EPOCHS:
        return
    allowed = f"strptime formats such as %d/%m/%Y, or {', '.join(_EPOCHS)}"
    if "%" not in spec.time_format:
        raise InputError(f"{where}: unknown time_format", given=repr(spec.time_format), allowed=allowed)
    try:
        engine.query(f"select epoch_us(try_strptime('', {text(spec.time_format)}))")
    except InputError as error:
        format_and_error = f"{spec.time_format!r} ({error})"
        raise InputError(f"{where}: unknown time_format", given=format_and_error, allowed=allowed) from None


def _read(engine: Engine, table: str, view: str, column: str, spec: TableSpec) -> TimeColumn:
    kind = engine.schema(view).field(column).type
    raw = quote(column)
    if spec.time_format is not None and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise _times_already(table, column)
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            # Down to the microsecond, as texts are cut: rounding up could pass the conversion.
            raw = f"make_timestamp((epoch_ns({raw}) - (epoch_ns({raw}) % 1000 + 1000) % 1000) // 1000)"
        if kind.tz is not None:
            return TimeColumn(f"epoch_us({raw})", False, is_sure=True, is_zoned=True)
        return _naive(f"{raw}::timestamp", spec, is_sure=True)
    if pa.types.is_date(kind):
        return _naive(f"{raw}::timestamp", spec, has_clock=False, is_sure=True)
    if spec.time_format is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _parse_format(f"try_cast({raw} as bigint)::varchar", spec)
    if pa.types.is_integer(kind):
        return TimeColumn(f"try_cast({raw} as bigint)", True, is_sure=kind != pa.uint64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        # pandas turns integers with a gap into floats.
        return TimeColumn(f"case when {raw} = floor({raw}) then try_cast({raw} as bigint) end", True)
    if is_text(kind):
        return _text_times(engine, table, view, column, spec)
    if pa.types.is_null(kind):
        return TimeColumn("null::bigint", None)
    raise InputError(
        f"table {table!r}, column {column!r}: these values are not times",
        given=str(kind),
        allowed="timestamps, dates, text, integers",
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    result: bool = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return result


def _epoch(table: str, column: str, kind: pa.DataType, raw: str, factor: int) -> TimeColumn:
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        raise _times_already(table, column)
    whole = f"try_cast({raw} as bigint)"
    if pa.types.is_integer(kind):
        return TimeColumn(f"case when abs({whole}) < {LARGEST_POSITION // factor} then {whole} * {factor} end", False)
    return TimeColumn(f"try_cast(try_cast({raw} as decimal(30, 6)) * {factor} as bigint)", False)


def _times_already(table: str, column: str) -> InputError:
    return InputError(f"table {table!r}, column {column!r}: values are times already", hint="leave time_format out")


def _naive(timestamp: str, spec: TableSpec, *, has_clock: bool = True, is_sure: bool = False) -> TimeColumn:
    """Microseconds of a timestamp without offset, which is UTC unless a zone is named."""
    is_zoned = spec.time_zone is not None if has_clock else None
    if spec.time_zone is None:
        return TimeColumn(f"epoch_us({timestamp})", False, is_sure, is_zoned)
    sql = f"epoch_us(timezone({text(spec.time_zone)}, {timestamp}))"
    return TimeColumn(sql, False, is_sure, is_zoned, local=timestamp)


def _text_times(engine: Engine, table: str, view: str, column: str, spec: TableSpec) -> TimeColumn:
    raw = f"nullif(trim({quote(column)}), '')"
    where = f"table {table!r}, column {column!r}"
    if spec.time_format is not None:
        return _parse_format(raw, spec)
    counts = _classify(engine, table, view, raw)
    total = counts["total"]
    if total == 0:
        return TimeColumn("null::bigint", None)
    if counts["integer"] == total:
        if counts["compact_day"] == total:
            raise InputError(
                f"{where}: these integers could be days or positions",
                given=repr(counts["any_integer"]),
                hint="set time_format = '%Y%m%d' for days, or use an integer column for positions",
            )
        return TimeColumn(f"{raw}::bigint", True)
    if counts["day_month"]:
        raise InputError(
            f"{where}: dates are ambiguous in {counts['day_month']:,} of {total:,} rows",
            given=repr(counts["any_day_month"]),
            hint="set their format, e.g. time_format = '%d/%m/%Y'",
        )
    unread = total - counts["naive"] - counts["offset"]
    if unread == total:
        # Where most are positions, what is wrong is what is not one.
        unread -= counts["integer"]
    if unread:
        raise InputError(
            f"{where}: values are not times in {unread:,} of {total:,} rows",
            given=repr(counts["any_odd"] or counts["any_other"]),
            allowed="ISO 8601 such as 2024-04-03T10:00:00Z, or set time_format",
        )
    if counts["naive"] and counts["offset"]:
        raise InputError(
            f"{where}: times have a time zone offset in {counts['offset']:,} of {total:,} rows, and none in "
            f"{counts['naive']:,}",
            given=f"{counts['any_offset']!r} and {counts['any_naive']!r}",
            allowed="all with an offset, or none",
        )
    whole = rf"regexp_replace(replace({raw}, ',', '.'), '(\.\d{{6}})\d+', '\1')"
    if counts["offset"]:
        if counts["plain"] < counts["offset"]:
            whole = rf"regexp_replace(regexp_replace({whole}, ' ?(UTC|GMT)$', 'Z'), ' ([Zz+-])', '\1')"
        return TimeColumn(f"epoch_us(try_cast({whole} as timestamptz))", False, is_zoned=True)
    return _naive(f"try_cast({whole} as timestamp)", spec, has_clock=counts["day"] < total)


def _parse_format(raw: str, spec: TableSpec) -> TimeColumn:
    parsed = f"try_strptime({raw}, {text(str(spec.time_format))})"
    if "%z" in str(spec.time_format):
        return TimeColumn(f"epoch_us({parsed})", False, is_zoned=True)
    return _naive(parsed, spec, has_clock=any(code in str(spec.time_format) for code in ("%H", "%I", "%c", "%X")))


# ---------------------------------------------------------------- clocks that are put forward and back

SLOT = 1_800_000_000
"""Half an hour in µs: clocks are changed at its multiples, by its multiples."""

_YEARS = (1990, 2050)


class ClockChanges(NamedTuple):
    """Half hours of a zone's clock (µs since 1970 ÷ half an hour) that never come, and that come twice."""

    skipped: tuple[int, ...]
    doubled: tuple[int, ...]


@cache
def clock_changes(zone: str) -> ClockChanges:
    """Which clock times of a zone do not exist, and which are ambiguous.

    Examples
    --------
    >>> import numpy as np
    >>> berlin = clock_changes("Europe/Berlin")
    >>> [str(np.datetime64(slot * 30, "m")) for slot in berlin.skipped if 908_000 < slot < 962_000][-1]
    '2024-03-31T02:30'
    >>> clock_changes("UTC")
    ClockChanges(skipped=(), doubled=())
    """
    try:
        clock = ZoneInfo(zone)
    except ZoneInfoNotFoundError:  # the engine knows zones by itself, and more of them
        return ClockChanges((), ())
    skipped: list[int] = []
    doubled: list[int] = []
    begin, end = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in _YEARS)
    day = begin
    while day < end:
        after = day + dt.timedelta(days=1)
        if _offset(clock, day) != _offset(clock, after):
            slot = dt.timedelta(microseconds=SLOT)
            later = (day + slot * step for step in range(1, 49))
            change = next(at for at in later if _offset(clock, at) != _offset(clock, day))
            old, new = (_since_1970(change) + _offset(clock, at) for at in (day, change))
            (skipped if new > old else doubled).extend(range(min(old, new), max(old, new)))
        day = after
    return ClockChanges(tuple(skipped), tuple(doubled))


def _offset(clock: ZoneInfo, moment: dt.datetime) -> int:
    """Half hours that the clock is ahead of UTC."""
    ahead = moment.astimezone(clock).utcoffset() or dt.timedelta()
    return int(ahead / dt.timedelta(microseconds=SLOT))


def _since_1970(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=SLOT)


def _classify(engine: Engine, table: str, view: str, raw: str) -> dict[str, Any]:
    """How many values look like what, with an example of each."""
    shapes = {
        "integer": r"[+-]?\d{1,18}",
        "compact_day": _COMPACT_DAY,
        "day": _DAY,
        "naive": TIME_PATTERN,
        "offset": TIME_PATTERN + OFFSET_PATTERN,
        "plain": TIME_PATTERN + _PLAIN_OFFSET,
        "day_month": _DAY_MONTH,
    }
    is_shape = {name: f"regexp_full_match(v, {text(pattern)})" for name, pattern in shapes.items()}
    is_shape["other"] = "not (" + " or ".join(is_shape[name] for name in ("naive", "offset")) + ")"
    is_shape["odd"] = f"{is_shape['other']} and not {is_shape['integer']}"
    counts = [f"count(*) filter ({test}) as {name}" for name, test in is_shape.items()]
    examples = [f"min(v) filter ({test}) as any_{name}" for name, test in is_shape.items()]
    select = ", ".join(["count(v) as total", *counts, *examples])
    sql = f"select {select} from (select {raw} as v from {quote(view)}) where v is not null"
    result: dict[str, Any] = engine.query(sql, table=table).to_pylist()[0]
    return result
