"""One raw table against its contract: which columns, which types, which values are refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from attribution.engine import Engine, quote
from attribution.errors import InputError, did_you_mean
from attribution.experiment import TableSpec
from attribution.sources.times import read_times
from attribution.tables import Column, Table


@dataclass(frozen=True)
class Reading:
    """How to read one column: ``sql`` over the raw table gives the canonical value, null where it cannot."""

    column: Column
    raw: str
    sql: str
    is_integer: bool = False


def map_columns(table: Table, spec: TableSpec, present: Iterable[str]) -> dict[str, str]:
    """Canonical name → source column, checked against what is there."""
    present = list(present)
    if spec.columns is None:
        mapping = {name: name for name in table.column_names if name in present}
    else:
        mapping = dict(spec.columns)
        for name, source in mapping.items():
            if table.column(name) is None and not table.extensible:
                raise InputError(
                    f"table {table.name!r} has no column {name!r}",
                    allowed=table.column_names,
                    hint=did_you_mean(name, table.column_names),
                )
            if source not in present:
                raise InputError(
                    f"table {table.name!r}: source column {source!r} (for {name!r}) is missing",
                    given=present,
                    hint=did_you_mean(source, present),
                )
    missing = [name for name in table.required if name not in mapping]
    if missing:
        raise InputError(
            f"table {table.name!r}: column {missing[0]!r} is missing",
            given=present,
            allowed=f"needed are {', '.join(table.required)}",
            hint=did_you_mean(missing[0], present) or 'map it: columns = { canonical = "source" }',
        )
    return mapping


def read_column(
    engine: Engine, table: Table, view: str, column: Column, source: str, *, spec: TableSpec, text_ids: bool
) -> Reading:
    """How to read ``source`` of ``view`` as ``column``."""
    kind = engine.schema(view).field(source).type
    raw = quote(source)
    if column.type == "time":
        times = read_times(engine, table.name, view, source, spec)
        return Reading(column, source, times.sql, times.is_integer)
    if column.type == "id":
        return Reading(column, source, _id(raw, kind, text_ids))
    if column.type == "text":
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return Reading(column, source, raw)
        return Reading(column, source, f"nullif({raw}::varchar, '')")
    if column.type == "day":
        return Reading(column, source, f"try_cast({raw} as date)")
    number = f"try_cast({raw} as double)"
    return Reading(column, source, f"case when isnan({number}) then null else {number} end")


def check_values(engine: Engine, table: Table, view: str, readings: Iterable[Reading]) -> int:
    """Refuse the table if a value breaks its contract; return the number of rows.

    Raises
    ------
    InputError
        Naming table, column, how many rows, an example, and what is allowed.
    """
    checks = [check for reading in readings for check in _checks(reading)]
    select = ["count(*) as n"]
    for i, (_, _, predicate, raw, _) in enumerate(checks):
        select.append(f"count(*) filter ({predicate}) as bad_{i}")
        select.append(f"(min({raw}) filter ({predicate}))::varchar as example_{i}")
    found = engine.query(f"select {', '.join(select)} from {quote(view)}").to_pylist()[0]
    if found["n"] == 0:
        raise InputError(
            f"table {table.name!r} is given but holds no rows", hint="check its file and its filter"
        )
    for i, (name, problem, _, _, allowed) in enumerate(checks):
        if found[f"bad_{i}"]:
            raise InputError(
                f"table {table.name!r}, column {name!r}: {found[f'bad_{i}']} of {found['n']} rows {problem}",
                given=repr(found[f"example_{i}"]),
                allowed=allowed,
            )
    return int(found["n"])


def is_integer_like(kind: pa.DataType) -> bool:
    """Whether ids of this type are kept as integers (a float comes from integers with gaps)."""
    return (pa.types.is_integer(kind) and kind != pa.uint64()) or pa.types.is_floating(kind)


def _id(raw: str, kind: pa.DataType, as_text: bool) -> str:
    whole = f"case when {raw} = floor({raw}) and abs({raw}) < 9007199254740992 then {raw}::bigint end"
    number = whole if pa.types.is_floating(kind) else f"{raw}::bigint" if is_integer_like(kind) else raw
    if not as_text:
        return number
    return f"nullif({number}::varchar, '')"


def _checks(reading: Reading) -> list[tuple[str, str, str, str, str]]:
    """(column, problem, predicate, raw expression, what is allowed) for one column."""
    column, raw, sql = reading.column, quote(reading.raw), reading.sql
    name = column.name
    shown = f"{raw}::varchar"
    unread = f"{raw} is not null and trim({shown}) <> '' and {sql} is null"
    checks: list[tuple[str, str, str, str, str]] = []
    if not column.nullable:
        checks.append(
            (
                name,
                "are null",
                f"{sql} is null and ({raw} is null or trim({shown}) = '')",
                "'null'",
                "a value in every row",
            )
        )
    if column.type in ("number", "money", "count"):
        checks.append(
            (name, "are no numbers", f"{unread} and lower(trim({shown})) <> 'nan'", shown, "finite numbers")
        )
        checks.append((name, "are infinite", f"isinf({sql})", shown, "finite numbers"))
    if column.type in ("money", "count"):
        checks.append((name, "are negative", f"{sql} < 0", shown, "numbers ≥ 0"))
    if column.type == "day":
        checks.append((name, "are no days", unread, shown, "days such as 2024-04-03"))
    if column.type == "time":
        checks.append((name, "cannot be read as times", unread, shown, "ISO 8601 times or whole numbers"))
        if reading.is_integer:
            checks.append(
                (name, "are too large", f"abs({sql}) >= 1152921504606846976", shown, "positions below 2^60")
            )
    if column.type == "id":
        checks.append(
            (
                name,
                "are no ids",
                f"{raw} is not null and {shown} <> '' and {shown} <> 'nan' and {sql} is null",
                shown,
                "texts or whole numbers",
            )
        )
    return checks
