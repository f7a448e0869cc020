"""Times in the words of each database: as microseconds, whatever the type of the column and the zone of the session.

A database would read a time without an offset in the zone of its session. So each type of column is read in a way of
its own. Databases know the type of a column before they run a query, so the cases cost nothing.
"""

from __future__ import annotations

from typing import NamedTuple

MICROS = "instant_us"
"""Function of a time, and of the zone of times without an offset (UTC unless given): microseconds since 1970 in UTC."""

MOMENT = "timestamp_of_us"
"""Function of microseconds since 1970: the timestamp in UTC."""

_OFFSET = "':[0-9.]+ ?([Zz]|[+-][0-9:]+)$'"
"""Pattern of a text whose clock time has an offset."""


class _Times(NamedTuple):
    """SQL templates of a dialect.

    ``micros`` of a ``{column}``: of times with an offset, and as ``{text}`` and ``{typed}`` of those without one, which
    are ``utc`` or ``local`` of a ``{timestamp}``; ``moment`` of ``{micros}``. ``text``, ``typed`` make timestamps.
    """

    micros: str
    moment: str
    utc: str = ""
    local: str = ""
    text: str = ""
    typed: str = "cast({column} as timestamp)"


_TIMES = {
    "duckdb": _Times(
        micros="case typeof({column}) when 'VARCHAR' then "
        f"case when regexp_matches(trim(cast({{column}} as varchar)), {_OFFSET}) "
        "then epoch_us(cast(trim(cast({column} as varchar)) as timestamptz)) else {text} end "
        "when 'TIMESTAMP WITH TIME ZONE' then epoch_us(cast({column} as timestamptz)) else {typed} end",
        moment="make_timestamp({micros})",
        utc="epoch_us({timestamp})",
        local="epoch_us(timezone('{zone}', {timestamp}))",
        text="cast(nullif(trim(cast({column} as varchar)), '') as timestamp)",
    ),
    "spark": _Times(
        micros="case when typeof({column}) = 'timestamp' then unix_micros(cast({column} as timestamp)) "
        f"when typeof({{column}}) = 'string' then case when trim(cast({{column}} as string)) rlike {_OFFSET} "
        "then unix_micros(cast(trim(cast({column} as string)) as timestamp)) else {text} end else {typed} end",
        # Functions that count or add microseconds go through the zone of the session; the difference does not.
        moment="timestamp_ntz '1970-01-01 00:00:00' + "
        "make_dt_interval(0, 0, 0, cast(cast({micros} as decimal(20, 0)) * 0.000001 as decimal(18, 6)))",
        utc="cast(cast(cast({timestamp} - timestamp_ntz '1970-01-01 00:00:00' as interval second) "
        "as decimal(18, 6)) * 1000000 as bigint)",
        local="unix_micros(cast(concat(cast({timestamp} as string), ' {zone}') as timestamp))",
        text="cast(nullif(trim(cast({column} as string)), '') as timestamp_ntz)",
        typed="cast({column} as timestamp_ntz)",
    ),
    "postgres": _Times(
        micros="cast(extract(epoch from "
        "case when cast(pg_typeof({column}) as text) in ('text', 'character varying') then "
        f"case when trim(cast({{column}} as text)) ~ {_OFFSET} "
        "then cast(trim(cast({column} as text)) as timestamptz) else {text} end "
        "when cast(pg_typeof({column}) as text) = 'timestamp with time zone' then cast({column} as timestamptz) "
        "else {typed} end) * 1000000 as bigint)",
        moment="timestamp '1970-01-01 00:00:00' + {micros} * interval '1 microsecond'",
        utc="{timestamp} at time zone 'UTC'",
        local="{timestamp} at time zone '{zone}'",
        text="cast(nullif(trim(cast({column} as text)), '') as timestamp)",
    ),
    "bigquery": _Times(
        # Its default zone is UTC, whatever the type.
        micros="{typed}",
        moment="timestamp_micros({micros})",
        utc="unix_micros({timestamp})",
        local="unix_micros(timestamp(cast({column} as datetime), '{zone}'))",
    ),
    "snowflake": _Times(
        micros="{typed}",
        moment="to_timestamp_ntz({micros}, 6)",
        utc="date_part(epoch_microsecond, {column})",
        local="date_part(epoch_microsecond, convert_timezone('{zone}', 'UTC', cast({column} as timestamp_ntz)))",
    ),
}

_TYPES = {
    "bigquery": "TIMESTAMP or DATETIME",
    "snowflake": "TIMESTAMP_NTZ, TIMESTAMP_TZ or TIMESTAMP_LTZ; texts must be converted first",
}
_TYPES_LOCAL = {"bigquery": "DATETIME", "snowflake": "TIMESTAMP_NTZ"}


def micros_sql(dialect: str, column: str, zone: str | None = None) -> str:
    """SQL for microseconds since 1970 in UTC.

    Parameters
    ----------
    dialect : one of `attribution.production.sql.DIALECTS`
    column : SQL of a time in this dialect
    zone : of times without an offset, an IANA name; UTC unless given

    Examples
    --------
    >>> micros_sql("bigquery", "at"), micros_sql("snowflake", "at")
    ('unix_micros(cast(at as timestamp))', 'date_part(epoch_microsecond, at)')
    """
    times = _TIMES[dialect]
    naive = times.utc if zone is None else times.local
    read = {
        name: naive.format(column=column, zone=zone, timestamp=timestamp.format(column=column))
        for name, timestamp in (("text", times.text), ("typed", times.typed))
    }
    return times.micros.format(column=column, **read)


def moment_sql(dialect: str, micros: str) -> str:
    """SQL for the timestamp in UTC of microseconds since 1970."""
    return _TIMES[dialect].moment.format(micros=micros)


def allowed_types(dialect: str, zone: str | None = None) -> str:
    """What times may be, in a few words.

    Examples
    --------
    >>> allowed_types("postgres"), allowed_types("bigquery", "Europe/Paris")
    ('timestamps with or without time zone, dates, or ISO 8601 texts', 'DATETIME')
    """
    types = _TYPES if zone is None else _TYPES_LOCAL
    return types.get(dialect, "timestamps with or without time zone, dates, or ISO 8601 texts")
