"""One raw table against its contract: which columns, which types, which values are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa

from attribution.data.engine import Engine, quote
from attribution.data.loading.findings import Finding
from attribution.data.loading.null_texts import NullTest
from attribution.data.loading.numbers import check_marks, hint_number, odd_marks, read_number
from attribution.data.loading.times import LARGEST_POSITION, SLOT, clock_changes, is_text, read_times
from attribution.data.loading.totals import is_total
from attribution.errors import InputError, did_you_mean
from attribution.schema.clicks import TAGS
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import RAW_MARKETING, RESERVED, TOUCHPOINTS, Column, Table

NUMBERS = ("number", "money", "count")
"""Types of columns that hold numbers."""

_FIRST_TEXT = "'!'"
"""The smallest text that neither is blank nor begins with a blank."""


class Check(NamedTuple):
    """Rows in which ``predicate`` holds are refused; ``shown`` is SQL for an example."""

    column: str
    problem: str
    predicate: str
    shown: str
    allowed: str


@dataclass(frozen=True)
class Reading:
    """How to read one column: ``sql`` over the raw table gives the canonical value, null where it cannot.

    ``is_sure`` says that the type rules out values that cannot be read; ``local`` is SQL for the clock time that the
    raw value is in its zone, where clocks are changed; ``spec`` is how its table is read; ``null_test`` finds values
    that mean nothing, None where there can be none.
    """

    column: Column
    raw: str
    kind: pa.DataType
    sql: str
    is_integer: bool | None = False
    is_sure: bool = True
    time_format: str | None = None
    is_zoned: bool | None = None
    local: str | None = None
    spec: TableSpec | None = None
    null_test: NullTest | None = None


def map_columns(table: Table, spec: TableSpec, present: Iterable[str]) -> dict[str, str]:
    """Canonical name → source column, checked against what is there."""
    present = list(present)
    if spec.columns is None:
        mapping = {name: name for name in table.column_names if name in present}
        if table is TOUCHPOINTS:
            mapping |= _find_raw(present, mapping)
        if "channel" in mapping:
            # Raw marketing columns tell the channel where there is none; beside one they are asked for by name.
            mapping = {name: source for name, source in mapping.items() if name not in RAW_MARKETING}
    else:
        mapping = spec.single_columns
        if "" in mapping:
            raise InputError(f"table {table.name!r}: a column needs a name", given=repr(mapping))
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
    needed = list(table.required)
    if table is TOUCHPOINTS and not {"channel", "code", *RAW_MARKETING} & set(mapping):
        needed.append("channel")
    missing = [name for name in needed if name not in mapping]
    if missing:
        raise InputError(
            f"table {table.name!r}: column {missing[0]!r} is missing",
            given=present,
            allowed=f"required columns: {', '.join(needed)}",
            hint=did_you_mean(missing[0], present) or 'map it: columns = { canonical = "source" }',
        )
    return mapping


def _find_raw(present: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Raw marketing columns under another case, and tags under the names that other products give them."""
    by_letters: dict[str, str] = {}
    for name in present:
        by_letters.setdefault(name.casefold(), name)
    names = {name: (name, *TAGS.get(name, ())) for name in RAW_MARKETING if name not in mapping}
    matches = {name: next((by_letters[one] for one in ones if one in by_letters), None) for name, ones in names.items()}
    return {name: source for name, source in matches.items() if source is not None}


def read_column(
    engine: Engine, table: Table, view: str, column: Column, source: str, *, spec: TableSpec, text_ids: bool
) -> Reading:
    """How to read ``source`` of ``view`` as ``column``."""
    kind = engine.schema(view).field(source).type
    raw = quote(source)
    by_format = column.type == "day" and spec.time_format is not None
    if not by_format and not _fits(column, kind) and not (column.name == "path" and _is_list(kind)):
        sql = f"select count(*) as n, count({raw}) as bad, (min({raw}))::varchar as example from {quote(view)}"
        counts = engine.query(sql, table=table.name).to_pylist()[0]
        if counts["bad"]:
            where = f"table {table.name!r}, column {column.name!r}"
            raise InputError(
                f"{where}: values {_MISFITS[column.type]} in {counts['bad']:,} of {counts['n']:,} rows",
                given=f"{counts['example']!r} ({kind})",
                allowed=_ALLOWED[column.type],
            )
    if column.type == "time":
        days_end = spec.same_day is not None and column.name in _MAY_BE_DAYS
        times = read_times(engine, table.name, view, source, spec, days_end=days_end)
        return Reading(
            column,
            source,
            kind,
            times.sql,
            times.is_integer,
            times.is_sure,
            spec.time_format,
            times.is_zoned,
            times.local,
            spec,
        )
    if column.type == "id":
        # Where no id can be blank, its column need not be read to count the nulls.
        if pa.types.is_string(kind) and engine.rules_out(view, f"{raw} < {_FIRST_TEXT}"):
            return Reading(column, source, kind, raw)
        return Reading(column, source, kind, _id(raw, kind, text_ids))
    if column.type == "text":
        if column.name == "path" and _is_list(kind):
            return Reading(column, source, kind, f"{raw}::varchar[]")
        # A blank name is no name. Touchpoints are too many to look: theirs are found among the distinct channels.
        name = read_kind(_text(raw, kind)) if column.name == "kind" else _text(raw, kind)
        shown = name if column.nullable else f"trim({name})"
        return Reading(column, source, kind, f"case when {shown} <> '' then {name} end")
    if column.type == "day":
        if by_format:
            times = read_times(engine, table.name, view, source, spec)
            day = f"make_timestamp({times.sql})::date"
            return Reading(column, source, kind, day, is_sure=times.is_sure, time_format=spec.time_format)
        return Reading(column, source, kind, f"try_cast({raw} as date)")
    if column.type == "flag":
        # A cast would take any number but 0 for true, such as that of the customer's second order.
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        sql = f"case when {raw} = 1 then true when {raw} = 0 then false end"
        return Reading(column, source, kind, sql if is_number else f"try_cast({raw} as boolean)")
    number = read_number(raw, spec) if is_text(kind) else f"try_cast({raw} as double)"
    if not pa.types.is_integer(kind):
        number = f"case when isnan({number}) then null else {number} end"
    return Reading(column, source, kind, number, spec=spec)


_MISFITS = {
    "id": "are not ids",
    "time": "cannot be read as times",
    "day": "are not days",
    "text": "are not text",
    "number": "are not numbers",
    "money": "are not numbers",
    "count": "are not numbers",
    "flag": "are not true or false",
}
_ALLOWED = {
    "id": "text or whole numbers",
    "time": "ISO 8601 times or whole numbers",
    "day": "days such as 2024-04-03",
    "text": "text",
    "number": "finite numbers",
    "money": "finite numbers ≥ 0",
    "count": "finite numbers ≥ 0",
    "flag": "true, false, 1, 0",
}


def _fits(column: Column, kind: pa.DataType) -> bool:
    """Whether a column of this type can hold what is asked for at all."""
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return False
    if column.type == "day":
        return not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
    if column.type in NUMBERS:
        return not (pa.types.is_temporal(kind) or pa.types.is_boolean(kind))
    if column.type == "id":
        return not (pa.types.is_temporal(kind) or pa.types.is_boolean(kind))
    return True


class CheckedTable(NamedTuple):
    """A table that keeps its contract.

    Its rows, what was found, the signs of currencies beside its numbers, and columns with values that may mean nothing.
    """

    rows: int
    findings: tuple[Finding, ...]
    signs: dict[str, str]
    suspects: set[str]


def check_values(engine: Engine, table: Table, view: str, readings: Sequence[Reading]) -> CheckedTable:
    """Refuse the table if a value breaks its contract.

    Raises
    ------
    InputError
        Naming table, column, how many rows, an example, and what is allowed.
    """
    texts = [reading for reading in readings if reading.column.type in NUMBERS and is_text(reading.kind)]
    # Numbers in texts are read once, for all that is asked of them.
    numbers = {reading.column.name: f"number of {reading.column.name}" for reading in texts}
    looked_at = [
        replace(reading, sql=quote(numbers[reading.column.name])) if reading.column.name in numbers else reading
        for reading in readings
    ]
    listed = "".join(f", {reading.sql} as {quote(numbers[reading.column.name])}" for reading in texts)
    rows = f"(select *{listed} from {quote(view)})" if texts else quote(view)
    checks = [check for reading in looked_at for check in (*_checks(reading), *_total_checks(table, reading))]
    notes = [note for reading in readings for note in _clock_notes(reading)]
    tests = {reading.column.name: reading.null_test.sql for reading in readings if reading.null_test is not None}
    select = ["count(*) as n", *(f"count(*) filter ({sql}) as nothing_{i}" for i, sql in enumerate(tests.values()))]
    for i, check in enumerate([*checks, *notes]):
        select.append(f"count(*) filter ({check.predicate}) as bad_{i}")
        select.append(f"(min({check.shown}) filter ({check.predicate}))::varchar as example_{i}")
    for i, reading in enumerate(texts):
        select.append(f"{odd_marks(reading.raw, _spec(reading))} as odd_{i}")
    counts = engine.query(f"select {', '.join(select)} from {rows}", table=table.name).to_pylist()[0]
    if counts["n"] == 0:
        raise InputError(f"table {table.name!r} has no rows", hint="check its file and its row filter")
    for i, check in enumerate(checks):
        if counts[f"bad_{i}"]:
            where = f"table {table.name!r}, column {check.column!r}"
            example = counts[f"example_{i}"]
            raise InputError(
                f"{where}: values {check.problem} in {counts[f'bad_{i}']:,} of {counts['n']:,} rows",
                given=repr(example),
                allowed=check.allowed,
                hint=_hint(table, check, str(example)),
            )
    suspects = {name for i, name in enumerate(tests) if counts[f"nothing_{i}"]}
    signs: dict[str, str] = {}
    for i, reading in enumerate(texts):
        if counts[f"odd_{i}"]:
            where = f"table {table.name!r}, column {reading.column.name!r}"
            sign = check_marks(engine, view, reading.raw, reading.sql, where=where, spec=_spec(reading))
            signs |= {reading.column.name: sign} if sign else {}
    findings = [
        Finding(
            note.problem,
            table.name,
            "warn" if note.problem == SKIPPED else "pass",
            counts[f"bad_{i}"],
            counts["n"],
            counts[f"example_{i}"],
            f"{note.column}: {note.allowed}",
        )
        for i, note in enumerate(notes, len(checks))
        if counts[f"bad_{i}"]
    ]
    return CheckedTable(int(counts["n"]), tuple(findings), signs, suspects)


def _spec(reading: Reading) -> TableSpec:
    return reading.spec or TableSpec(source="")


def _total_checks(table: Table, reading: Reading) -> list[Check]:
    """Rows of totals by their name, which would be one more channel or customer."""
    predicate = is_total(table.name, reading.column.name, quote(reading.raw)) if is_text(reading.kind) else None
    if predicate is None:
        return []
    shown = f"{quote(reading.raw)}::varchar"
    return [Check(reading.column.name, TOTALS, predicate, shown, "rows that sum up no others")]


TOTALS = "seem to sum up other rows"
SKIPPED, DOUBLED = "times_that_never_were", "times_that_came_twice"


def _clock_notes(reading: Reading) -> list[Check]:
    """Clock times that do not exist or are ambiguous where clocks are put forward and back."""
    if reading.local is None or reading.spec is None or reading.spec.time_zone is None:
        return []
    zone = reading.spec.time_zone
    changes = clock_changes(zone)
    texts = {
        SKIPPED: (
            changes.skipped,
            f"clock times that do not exist in {zone}, where clocks were put forward (read as an hour later): probably "
            "they are in another zone; check time_zone",
        ),
        DOUBLED: (
            changes.doubled,
            f"clock times that came twice in {zone}, where clocks were put back (read as the second time): times with "
            "an offset, or in UTC, would be sure",
        ),
    }
    slot = f"epoch_us({reading.local}) // {SLOT}"
    return [
        Check(
            reading.column.name,
            name,
            f"{slot} in ({', '.join(map(str, slots))})",
            f"{quote(reading.raw)}::varchar",
            allowed,
        )
        for name, (slots, allowed) in texts.items()
        if slots
    ]


def _hint(table: Table, check: Check, example: str) -> str | None:
    """What would read values that were refused, as far as their kind or an example tells."""
    if check.problem == "are not numbers":
        return hint_number(example)
    if check.problem == TOTALS:
        return (
            f"leave them out with where, on the columns of the source: name <> {example!r}; or rename what is called so"
        )
    if check.problem == "are negative":
        return _NEGATIVE.get((table.name, check.column))
    if table.name == "costs" and (check.problem == "are null" or example[:1].isalpha()):
        return "if they are rows of totals, leave them out with where"
    return None


_NEGATIVE = {
    ("conversions", "value"): "set negative = 'net' if they are refunds of earlier conversions, or give what was paid "
    "back in a column refund",
    ("costs", "amount"): "set negative = 'net' if they are credits that reduce the other costs of their channel",
    ("paths", "value"): "give what was paid back in a column refund",
}


def check_channels(table: str, channels: Iterable[str]) -> None:
    """Raise `InputError` if a channel has a name that the toolkit needs itself."""
    taken = sorted(set(channels) & set(RESERVED))
    if taken:
        raise InputError(
            f"table {table!r}, column 'channel': the name {taken[0]!r} is reserved",
            allowed=f"any name but {', '.join(RESERVED)}",
            hint="rename the channel in a query",
        )


def is_integer_like(kind: pa.DataType) -> bool:
    """Whether ids of this type are kept as integers (a float comes from integers with gaps)."""
    result: bool = (pa.types.is_integer(kind) and kind != pa.uint64()) or pa.types.is_floating(kind)
    return result


_MAY_BE_DAYS = ("converted_at", "stage_time")
"""Times that may be mere days, with ``same_day``."""

_MAY_BE_NEGATIVE = ("value", "amount")
"""Columns that may be negative, with ``negative``."""


def _may_be_negative(reading: Reading) -> bool:
    return reading.spec is not None and reading.spec.negative is not None and reading.column.name in _MAY_BE_NEGATIVE


def _is_list(kind: pa.DataType) -> bool:
    result: bool = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return result


def _text(raw: str, kind: pa.DataType) -> str:
    """A value as text; pandas turns integers with a gap into floats, and 1.0 means 1."""
    if not pa.types.is_floating(kind):
        return f"{raw}::varchar"
    whole = f"{raw} = floor({raw}) and abs({raw}) < 9007199254740992"
    return f"case when {whole} then {raw}::bigint::varchar else {raw}::varchar end"


def read_kind(name: str) -> str:
    """SQL for a kind of touchpoint or conversion: the same in any case of letters, which most are in already."""
    return f"case when {name} in ('click', 'impression') then {name} else lower(trim({name})) end"


def _id(raw: str, kind: pa.DataType, as_text: bool) -> str:
    whole = f"case when {raw} = floor({raw}) and abs({raw}) < 9007199254740992 then {raw}::bigint end"
    number = whole if pa.types.is_floating(kind) else f"{raw}::bigint" if is_integer_like(kind) else raw
    if not as_text:
        return number
    # A blank id is no id; few begin with a blank, so few are looked at twice.
    name = f"{number}::varchar"
    return f"case when {name} >= {_FIRST_TEXT} then {name} when trim({name}) <> '' then {name} end"


def _times_allowed(reading: Reading) -> str:
    return (
        "ISO 8601, or whole numbers" if reading.time_format is None else f"times in the format {reading.time_format!r}"
    )


def _days_allowed(reading: Reading) -> str:
    if reading.time_format is not None:
        return f"days in the format {reading.time_format!r}"
    return "days such as 2024-04-03, or set time_format, e.g. '%d/%m/%Y'"


def _checks(reading: Reading) -> list[Check]:
    """What to refuse in one column; what its type rules out already is not looked for again."""
    column, kind, raw, sql = reading.column, reading.kind, quote(reading.raw), reading.sql
    shown = f"{raw}::varchar"
    is_text = not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind))
    is_float = pa.types.is_floating(kind)
    blank = f"trim({shown}) in ('', 'nan', 'NaN')" if is_text else f"isnan({raw})" if is_float else "false"
    unread = f"{raw} is not null and {sql} is null and not {blank}"
    is_number = column.type in NUMBERS
    is_money = column.type in ("money", "count")
    checks: list[tuple[bool, str, str, str, str]] = [
        (
            not column.nullable,
            "are null",
            f"{sql} is null and ({raw} is null or {blank})",
            "'null'",
            "a value in every row",
        ),
        (is_number and is_text, "are not numbers", unread, shown, "finite numbers"),
        (is_number and not pa.types.is_integer(kind), "are infinite", f"isinf({sql})", shown, "finite numbers"),
        (is_money and not _may_be_negative(reading), "are negative", f"{sql} < 0", shown, "numbers ≥ 0"),
        (
            column.type == "day" and (is_text or not reading.is_sure),
            "are not days",
            unread,
            shown,
            _days_allowed(reading),
        ),
        (
            column.type == "time" and not reading.is_sure,
            "cannot be read as times",
            unread,
            shown,
            _times_allowed(reading),
        ),
        (bool(reading.is_integer), "are too large", f"abs({sql}) >= {LARGEST_POSITION}", shown, "positions below 2^60"),
        (
            column.type == "flag" and not pa.types.is_boolean(kind),
            "are not true or false",
            unread,
            shown,
            "true, false, 1, 0",
        ),
        (column.type == "id" and is_float, "are not ids", unread, shown, "text or whole numbers"),
    ]
    return [Check(column.name, *check[1:]) for check in checks if check[0]]
