"""Raw tables under their canonical names: which columns, how they are read, and what is null."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa

from attribution.data.engine import Engine, quote
from attribution.data.loading.contract import (
    CheckedTable,
    Reading,
    check_values,
    is_integer_like,
    map_columns,
    read_column,
)
from attribution.data.loading.currencies import (
    MONEY,
)
from attribution.data.loading.findings import Finding
from attribution.data.loading.normalise import optional_cost_columns
from attribution.data.loading.null_texts import (
    NullTest,
    check_null_texts,
    find_null_texts,
    null_test,
    null_text_findings,
    subject_of,
)
from attribution.data.loading.order_rows import keep_earliest, sum_items
from attribution.data.loading.raw_tables import OpenedTable
from attribution.errors import InputError, did_you_mean
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import COSTS, CUSTOMERS, INPUTS, PATHS, Column, Table


@dataclass(frozen=True)
class LoadedTable:
    """One input table as the engine knows it: its canonical columns and its number of rows."""

    name: str
    columns: tuple[str, ...]
    rows: int


class ReadTables(NamedTuple):
    """Tables under their canonical names; ``signs`` are those of currencies beside amounts, by table."""

    tables: Mapping[str, LoadedTable]
    integer_times: bool | None
    zoned: bool | None
    findings: tuple[Finding, ...]
    signs: Mapping[str, str]


def load_tables(engine: Engine, opened: Mapping[str, OpenedTable], account: str | None, *, latest: bool) -> ReadTables:
    """Every table under its canonical name, its values checked; ``latest`` as for `load_sources`."""
    text_ids = not all(_has_integer_ids(engine, table) for table in opened.values())
    loaded: dict[str, LoadedTable] = {}
    findings: list[Finding] = []
    clocks: dict[str, Reading] = {}
    signs: dict[str, str] = {}
    for name, table in opened.items():
        readings = _read_table(engine, table, text_ids, account)
        columns = tuple(reading.column.name for reading in readings)
        checked = _define(engine, table, readings)
        loaded[name] = LoadedTable(name, columns, checked.rows)
        findings += checked.findings
        signs |= {name: checked.signs[MONEY[name]]} if MONEY.get(name) in checked.signs else {}
        clock = next((reading for reading in readings if reading.column.type == "time"), None)
        if clock is not None and clock.is_integer is not None:
            clocks[name] = clock
    if "conversions" in loaded and opened["conversions"].spec.same_id is not None:
        columns = loaded["conversions"].columns
        _check_same_id(columns)
        make_one = sum_items if opened["conversions"].spec.same_id == "sum" else keep_earliest
        findings.append(make_one(engine, columns))
        loaded["conversions"] = LoadedTable("conversions", columns, count_rows(engine, "conversions"))
    if latest and "conversions" in loaded:
        _keep_latest(engine, loaded["conversions"].columns)
    return ReadTables(loaded, *_check_clocks(clocks), tuple(findings), signs)


def _check_same_id(columns: Collection[str]) -> None:
    if "conversion_id" not in columns:
        raise InputError("table 'conversions': same_id needs a column 'conversion_id'", given=list(columns))


def count_rows(engine: Engine, name: str) -> int:
    """How many rows a table has."""
    return int(engine.query(f"select count(*) as n from {quote(name)}")["n"][0].as_py())


def _has_integer_ids(engine: Engine, table: OpenedTable) -> bool:
    """Whether this table's customers, if it has any, are integers."""
    schema = engine.schema(table.view)
    names = {column.name for column in INPUTS[table.name].columns} & {"customer_id", "visitor_id"}
    sources = [table.spec.single_columns.get(name, name) for name in names]
    kinds = [schema.field(source).type for source in sources if source in schema.names]
    return all(is_integer_like(kind) or pa.types.is_null(kind) for kind in kinds)


def _read_table(engine: Engine, opened: OpenedTable, text_ids: bool, account: str | None) -> list[Reading]:
    """How to read each column."""
    table, schema = INPUTS[opened.name], engine.schema(opened.view)
    mapping = map_columns(table, opened.spec, schema.names)
    if table is CUSTOMERS:
        if opened.spec.columns is None:
            # Whatever is there: an account, segments.
            mapping |= {field.name: field.name for field in schema if field.name == account or _is_flat(field.type)}
        if account is not None and account not in mapping:
            unmapped = f"map {account!r} to its source column in columns"
            raise InputError(
                f"table 'customers' has no column {account!r}, which account names",
                given=list(mapping),
                hint=unmapped if opened.spec.columns else did_you_mean(account, mapping),
            )
    check_spelling(table.name, mapping)
    readings = [
        read_column(
            engine,
            table,
            opened.view,
            table.column(name) or _dimension(name),
            source,
            spec=opened.spec,
            text_ids=text_ids or name in ("conversion_id", "deal_id"),
        )
        for name, source in mapping.items()
    ]
    if table is COSTS:
        free = optional_cost_columns(mapping)
        readings = [_nullable(reading) if reading.column.name in free else reading for reading in readings]
    _check_effect(table, opened, readings)
    return [replace(reading, null_test=_null_test(engine, opened, reading, account)) for reading in readings]


def _check_effect(table: Table, opened: OpenedTable, readings: Sequence[Reading]) -> None:
    """Refuse keys that change nothing in how these columns are read; an adapter knows its times by itself."""
    spec, kinds = opened.spec, {reading.column.type for reading in readings}
    has_list = any(reading.column.name == "path" and pa.types.is_nested(reading.kind) for reading in readings)
    check_null_texts(table.name, spec.null_texts)
    for key, works, why in (
        ("separator", table is PATHS and not has_list, "it is for paths written as text"),
        ("time_format", bool(kinds & {"time", "day"}) or spec.adapter, "no column that is read holds times or days"),
        ("time_zone", "time" in kinds or spec.adapter, "no column that is read holds times; days have no zone"),
    ):
        if not works and getattr(spec, key) != TableSpec.model_fields[key].default:
            raise InputError(
                f"table {table.name!r}: {key} has no effect, for {why}",
                given=f"{key} = {getattr(spec, key)!r}",
                hint="leave it out, or map the column that it is for",
            )


def _null_test(engine: Engine, opened: OpenedTable, reading: Reading, account: str | None) -> NullTest | None:
    subject = subject_of(INPUTS[opened.name], reading.column, account)
    if subject is None:
        return None
    test = null_test(subject, reading.kind, quote(reading.raw), opened.spec.null_texts)
    return None if test is None or engine.rules_out(opened.view, test.sql) else test


def _nullable(reading: Reading) -> Reading:
    return replace(reading, column=replace(reading.column, nullable=True))


def _is_flat(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def check_spelling(table: str, columns: Iterable[str]) -> None:
    """Engines do not tell names apart that differ only in case."""
    spelled: dict[str, str] = {}
    for name in columns:
        other = spelled.setdefault(name.casefold(), name)
        if other != name:
            raise InputError(
                f"table {table!r}: the columns {other!r} and {name!r} differ only in case",
                hint="map one of them to another name in columns",
            )


def _dimension(name: str) -> Column:
    return Column(name, "text", "another dimension of touchpoints", required=False, nullable=True)


def _define(engine: Engine, opened: OpenedTable, readings: list[Reading]) -> CheckedTable:
    """Make the table readable under its canonical name, without what means nothing in it."""
    checked = check_values(engine, INPUTS[opened.name], opened.view, readings)
    terms, findings = [], list(checked.findings)
    for reading in readings:
        sql, test = reading.sql, reading.null_test
        if test is not None and reading.column.name in checked.suspects:
            counts = find_null_texts(engine, opened.name, opened.view, test)
            findings += null_text_findings(opened.name, reading.column, test.subject, counts, checked.rows)
            sql = f"case when {test.within(list(counts))} then null else {sql} end" if counts else sql
        terms.append(f"{sql} as {quote(reading.column.name)}")
    engine.view(opened.name, f"select {', '.join(terms)} from {quote(opened.view)}")
    return checked._replace(findings=tuple(findings))


def _keep_latest(engine: Engine, columns: tuple[str, ...]) -> None:
    """One row of ``conversions`` for each id, before refunds and cancellations: a later row may take them back."""
    if "conversion_id" not in columns:
        return
    counts = "select count(conversion_id) as n, count(distinct conversion_id) as ids from conversions"
    (row,) = engine.query(counts, table="conversions").to_pylist()
    if row["n"] == row["ids"]:
        return
    engine.number_rows("delivered_conversions", "conversions")
    latest = "updated_at desc nulls last, delivered desc" if "updated_at" in columns else "delivered desc"
    listed = ", ".join(map(quote, columns))
    engine.define(
        "latest_conversions",
        f"select {listed} from (select *, row_number() over (partition by conversion_id order by {latest}) as place "
        "from delivered_conversions) where conversion_id is null or place = 1",
    )
    engine.view("conversions", "select * from latest_conversions")


def _check_clocks(clocks: Mapping[str, Reading]) -> tuple[bool | None, bool | None]:
    """Whether times are integers, and tell their zone, in all tables alike; None where there are no times."""
    kinds = {bool(reading.is_integer): table for table, reading in clocks.items()}
    if len(kinds) > 1:
        raise InputError(
            f"times of {kinds[True]!r} are integers, but those of {kinds[False]!r} are timestamps",
            allowed="the same in both",
            hint="time_format = 'epoch_s' reads integers as seconds since 1970",
        )
    zoned = {reading.is_zoned: table for table, reading in clocks.items() if reading.is_zoned is not None}
    if len(zoned) > 1:
        raise InputError(
            f"times of {zoned[True]!r} have a time zone, but those of {zoned[False]!r} have none",
            allowed="the same in both",
            hint=f"set the time zone of {zoned[False]!r}, e.g. time_zone = 'UTC' or 'Europe/Paris'",
        )
    return next(iter(kinds), None), next(iter(zoned), None)
