"""Reading times: what a column of times holds, and SQL that turns it into integers.

Timestamps become UTC microseconds since 1970. Integers stay what they are: a log that has only an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

OFFSET_PATTERN = r" ?(Z|z|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
"""What may follow one: where it is in relation to UTC."""

_DAY_MONTH = r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*"
_COMPACT_DAY = r"(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])"


@dataclass(frozen=True)
class TimeColumn:
    """How to read one column of times: ``sql`` gives int64, null where a value cannot be read.

    ``is_sure`` says that the type rules such values out; ``is_integer`` is None where there is no value at all.
    ``is_zoned`` says whether the values themselves, or a setting, tell their zone; None where there is nothing
    to tell, as for days without a clock time.
    """

    sql: str
    is_integer: bool | None
    is_sure: bool = False
    is_zoned: bool | None = None


def read_times(engine: Engine, table: str, view: str, column: str, spec: TableSpec) -> TimeColumn:
    """Decide how to read ``column`` of ``view``.

    Raises
    ------
    InputError
        If values are unreadable, ambiguous, or some have an offset and some have not.
    """
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
        return TimeColumn(_naive(f"{raw}::timestamp", spec), False, is_sure=True, is_zoned=_has_zone(spec))
    if pa.types.is_date(kind):
        return TimeColumn(_naive(f"{raw}::timestamp", spec), False, is_sure=True)
    if spec.time_format is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _parse_format(f"try_cast({raw} as bigint)::varchar", spec)
    if pa.types.is_integer(kind):
        return TimeColumn(f"try_cast({raw} as bigint)", True, is_sure=kind != pa.uint64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        # pandas turns integers with a gap into floats.
        return TimeColumn(f"case when {raw} = floor({raw}) then try_cast({raw} as bigint) end", True)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _text_times(engine, table, view, column, spec)
    if pa.types.is_null(kind):
        return TimeColumn("null::bigint", None)
    raise InputError(
        f"table {table!r}, column {column!r}: these values are not times",
        given=str(kind),
        allowed="timestamps, dates, text, integers",
    )


def _epoch(table: str, column: str, kind: pa.DataType, raw: str, factor: int) -> TimeColumn:
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        raise _times_already(table, column)
    whole = f"try_cast({raw} as bigint)"
    if pa.types.is_integer(kind):
        return TimeColumn(f"case when abs({whole}) < {LARGEST_POSITION // factor} then {whole} * {factor} end", False)
    return TimeColumn(f"try_cast(try_cast({raw} as decimal(30, 6)) * {factor} as bigint)", False)


def _times_already(table: str, column: str) -> InputError:
    return InputError(f"table {table!r}, column {column!r}: values are times already", hint="leave time_format out")


def _naive(timestamp: str, spec: TableSpec) -> str:
    """Microseconds of a timestamp without offset, which is UTC unless a zone is named."""
    if spec.time_zone is None:
        return f"epoch_us({timestamp})"
    return f"epoch_us(timezone({text(spec.time_zone)}, {timestamp}))"


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
        return TimeColumn(f"epoch_us(try_cast({whole} as timestamptz))", False, is_zoned=True)
    has_clock = counts["day"] < total
    return TimeColumn(
        _naive(f"try_cast({whole} as timestamp)", spec), False, is_zoned=_has_zone(spec) if has_clock else None
    )


def _parse_format(raw: str, spec: TableSpec) -> TimeColumn:
    parsed = f"try_strptime({raw}, {text(str(spec.time_format))})"
    if "%z" in str(spec.time_format):
        return TimeColumn(f"epoch_us({parsed})", False, is_zoned=True)
    has_clock = any(code in str(spec.time_format) for code in ("%H", "%I", "%c", "%X"))
    return TimeColumn(_naive(parsed, spec), False, is_zoned=_has_zone(spec) if has_clock else None)


def _has_zone(spec: TableSpec) -> bool:
    """Whether times without offset have a zone all the same."""
    return spec.time_zone is not None


def _classify(engine: Engine, table: str, view: str, raw: str) -> dict[str, Any]:
    """How many values look like what, with an example of each."""
    shapes = {
        "integer": r"[+-]?\d{1,18}",
        "compact_day": _COMPACT_DAY,
        "day": _DAY,
        "naive": TIME_PATTERN,
        "offset": TIME_PATTERN + OFFSET_PATTERN,
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
