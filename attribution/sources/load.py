"""From raw exports to the canonical tables, checked."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.engine import DuckDBEngine, Engine, quote
from attribution.errors import InputError
from attribution.experiment import TableSpec
from attribution.sources.adapters import adapt
from attribution.sources.channels import ChannelRules
from attribution.sources.contract import (
    Reading,
    check_channels,
    check_values,
    is_integer_like,
    map_columns,
    read_column,
)
from attribution.sources.drift import drift_findings
from attribution.sources.enrich import derive_from_raw, redeem_codes, stitch_persons
from attribution.sources.files import find_files
from attribution.sources.merge import merge_columns
from attribution.sources.quality import Finding
from attribution.tables import INPUTS, RAW_MARKETING, TOUCHPOINTS, Column, Table

_QUERY = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|from|values)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class LoadedTable:
    """One input table as the engine knows it: its canonical columns and its number of rows."""

    name: str
    columns: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Sources:
    """The canonical tables of one run, held by the engine.

    Attributes
    ----------
    engine : who answers SQL about them, under their names in ``tables.INPUTS``
    tables : what was loaded, by name
    dimensions : names of the columns that tell touchpoints apart (channel first)
    integer_times : whether times are mere positions; None where there are none
    separator : between the channels of a path
    findings : what was found while files were read and channels, codes and persons put in
    channel_lint : the ``channel_lint`` table, where channel rules were used
    """

    engine: Engine
    tables: Mapping[str, LoadedTable]
    dimensions: tuple[str, ...] = ()
    integer_times: bool | None = None
    separator: str = ">"
    findings: tuple[Finding, ...] = ()
    channel_lint: pa.Table | None = None

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether ``table`` was given, with ``column`` if named."""
        loaded = self.tables.get(table)
        return loaded is not None and (column is None or column in loaded.columns)


def load_sources(
    touchpoints: Any = None,
    conversions: Any = None,
    costs: Any = None,
    *,
    paths: Any = None,
    truth: Any = None,
    identities: Any = None,
    customers: Any = None,
    codes: Any = None,
    channels: ChannelRules | None = None,
    account: str | None = None,
    engine: Engine | None = None,
    folder: str | Path = ".",
) -> Sources:
    """Read and check the input tables.

    Parameters
    ----------
    touchpoints, conversions, costs, paths, truth, identities, customers, codes
        A DataFrame, Arrow table, path, glob, list of paths, SQL query (``select …``), or a `TableSpec` for
        column maps, filters and time formats. Columns: see `attribution.tables`.
    channels : rules of your own, in front of the default grouping, for touchpoints without a channel column
    account : column of ``customers`` whose values own the journeys, instead of customers
    engine : the engine to hold them; DuckDB in this process unless given
    folder : where relative paths start

    Raises
    ------
    InputError
        If a table is missing, empty, unreadable, or breaks its contract.

    Examples
    --------
    >>> import pandas as pd
    >>> sources = load_sources(
    ...     pd.DataFrame({"customer_id": [1, 1], "touched_at": [1, 2], "channel": ["search", "mail"]}),
    ...     pd.DataFrame({"customer_id": [1], "converted_at": [3], "value": [10.0]}),
    ... )
    >>> sources.tables["touchpoints"].rows, sources.integer_times
    (2, True)
    """
    given = {
        "touchpoints": touchpoints,
        "conversions": conversions,
        "costs": costs,
        "paths": paths,
        "truth": truth,
        "identities": identities,
        "customers": customers,
        "codes": codes,
    }
    specs = {name: as_spec(value) for name, value in given.items() if value is not None}
    if "paths" in specs and {"touchpoints", "conversions"} & set(specs):
        raise InputError("give either paths, or touchpoints and conversions, not both")
    if "paths" not in specs and "conversions" not in specs:
        raise InputError("a conversions table is needed", given=sorted(specs), allowed="conversions, or paths")
    engine = engine or DuckDBEngine()
    engine.claim()
    opened = {name: _open(engine, name, spec, Path(folder)) for name, spec in specs.items()}
    specs = {name: spec for name, (spec, _) in opened.items()}
    text_ids = not all(_integer_ids(engine, INPUTS[name], spec) for name, spec in specs.items())
    loaded: dict[str, LoadedTable] = {}
    clocks: dict[str, Reading] = {}
    for name, spec in specs.items():
        readings = _read_table(engine, INPUTS[name], spec, text_ids)
        loaded[name] = LoadedTable(
            name, tuple(reading.column.name for reading in readings), _define(engine, INPUTS[name], readings)
        )
        clock = next((reading for reading in readings if reading.column.type == "time"), None)
        if clock is not None and clock.is_integer is not None:
            clocks[name] = clock
    _check_costs(engine, loaded)
    loaded, lint, findings = _enrich(engine, loaded, channels or ChannelRules(), account)
    return Sources(
        engine,
        loaded,
        dimensions=_dimensions(loaded),
        integer_times=_one_clock(clocks),
        separator=specs["paths"].separator if "paths" in specs else ">",
        findings=(*(finding for _, drift in opened.values() for finding in drift), *findings),
        channel_lint=lint,
    )


def _enrich(
    engine: Engine, loaded: Mapping[str, LoadedTable], rules: ChannelRules, account: str | None
) -> tuple[dict[str, LoadedTable], pa.Table | None, list[Finding]]:
    """Channels from raw marketing columns and codes, persons and accounts for customers."""
    if account is not None and account not in _columns(loaded, "customers"):
        raise InputError(
            f"journeys.account names column {account!r}, which the customers table lacks",
            given=list(_columns(loaded, "customers")),
        )
    findings: list[Finding] = []
    lint = None
    touched = _columns(loaded, "touchpoints")
    has_code = "codes" in loaded and {"code"} & {*touched, *_columns(loaded, "conversions")}
    if has_code and touched:
        findings += redeem_codes(engine, touched, _columns(loaded, "conversions"))
        touched = tuple(engine.schema("touchpoints").names)
    if set(touched) & set(RAW_MARKETING):
        lint, found = derive_from_raw(engine, touched, rules)
        findings += found
        touched = tuple(engine.schema("touchpoints").names)
    if touched and "channel" not in touched:
        raise InputError(
            "table 'touchpoints' tells codes and no channels, and there is no codes table",
            hint="give [tables.codes] with the columns code and channel",
        )
    updated = dict(loaded)
    if touched:
        rows = engine.query("select count(*) as n from touchpoints")["n"][0].as_py()
        updated["touchpoints"] = replace(loaded["touchpoints"], columns=touched, rows=rows)
    findings += stitch_persons(engine, {name: table.columns for name, table in updated.items()}, account)
    return updated, lint, findings


def _columns(loaded: Mapping[str, LoadedTable], name: str) -> tuple[str, ...]:
    return loaded[name].columns if name in loaded else ()


def as_spec(value: Any) -> TableSpec:
    """A `TableSpec` from whatever names a table; a text that begins like a query is one."""
    if isinstance(value, TableSpec):
        return value
    if isinstance(value, str) and _QUERY.match(value):
        return TableSpec(query=value)
    return TableSpec(source=value)


def _open(engine: Engine, name: str, spec: TableSpec, folder: Path) -> tuple[TableSpec, list[Finding]]:
    """Make the raw table readable as ``raw_NAME``, rows filtered; return how it is to be read further."""
    raw = name if spec.adapter is None else f"{name}_export"
    if len(spec.single_columns) == len(spec.columns or {}):
        findings = _open_raw(engine, name, spec, folder, name=raw)
    else:
        findings = _open_raw(engine, name, spec, folder, name=f"{raw}_parts")
        columns, added = merge_columns(name, engine.schema(f"raw_{raw}_parts"), spec.columns or {})
        merged = "".join(f", {sql} as {quote(column)}" for column, sql in added.items())
        engine.view(f"raw_{raw}", f"select *{merged} from {quote(f'raw_{raw}_parts')}")
        spec = spec.model_copy(update={"columns": columns})
    if spec.adapter is None:
        return spec, findings
    own = None if spec.columns is None else spec.single_columns
    adapted = adapt(spec.adapter, name, engine.schema(f"raw_{raw}"), columns=own)
    engine.view(f"raw_{name}", adapted.select(f"raw_{raw}"))
    update = {
        "columns": {column: column for column in adapted.expressions},
        "time_format": spec.time_format or adapted.time_format,
        "time_zone": spec.time_zone or adapted.time_zone,
    }
    return spec.model_copy(update=update), findings


def _open_raw(engine: Engine, table: str, spec: TableSpec, folder: Path, *, name: str) -> list[Finding]:
    """Make what ``spec`` names readable as ``raw_NAME``; return in what the files of ``table`` differ."""
    source = spec.source
    if spec.query is not None:
        engine.register_query(name, spec.query, folder)
    elif isinstance(source, pd.DataFrame):
        engine.register_arrow(name, _to_arrow(name, source), where=spec.where)
    elif isinstance(source, pa.Table):
        _check_names(name, source.column_names)
        engine.register_arrow(name, source, where=spec.where)
    elif isinstance(source, str | Path | list | tuple):
        needed = {} if spec.adapter else _needed(INPUTS[table], spec)
        files = find_files(table, source, folder, needed=needed, required=INPUTS[table].required)
        engine.register_files(name, files, where=spec.where)
        return drift_findings(table, files)
    else:
        raise InputError(
            f"table {name!r}: cannot be read",
            given=type(source).__name__,
            allowed="DataFrame, Arrow table, path, glob, list of paths, SQL query",
        )
    return []


def _needed(table: Table, spec: TableSpec) -> dict[str, tuple[str, ...]]:
    """Columns that no file may lack while another has them: those read, unless a list says that they may differ."""
    if spec.columns is None:
        return {name: (name,) for name in table.column_names}
    single = {name: (source,) for name, source in spec.single_columns.items()}
    several = {name: source for name, source in spec.columns.items() if not isinstance(source, str)}
    return single | {name: source for name, source in several.items() if name in table.required}


def _to_arrow(name: str, frame: pd.DataFrame) -> pa.Table:
    _check_names(name, [str(column) for column in frame.columns])
    for column in (name for name in frame.columns if pd.api.types.is_object_dtype(frame[name])):
        zones = {value.tzinfo is None for value in frame[column] if isinstance(value, dt.datetime)}
        if len(zones) > 1:
            raise InputError(f"table {name!r}, column {column!r}: some times have a time zone and some have none")
    try:
        return pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise InputError(f"table {name!r}: a column mixes types: {error}") from None


def _check_names(name: str, columns: Sequence[str]) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InputError(f"table {name!r} names column {twice[0]!r} twice", given=list(columns))


def _integer_ids(engine: Engine, table: Table, spec: TableSpec) -> bool:
    """Whether this table's customers, if it has any, are integers."""
    schema = engine.schema(f"raw_{table.name}")
    sources = [spec.single_columns.get(name, name) for name in ("customer_id", "visitor_id")]
    return all(is_integer_like(schema.field(source).type) for source in sources if source in schema.names)


def _read_table(engine: Engine, table: Table, spec: TableSpec, text_ids: bool) -> list[Reading]:
    raw = f"raw_{table.name}"
    mapping = map_columns(table, spec, engine.schema(raw).names)
    return [
        read_column(
            engine,
            table,
            raw,
            table.column(name) or _dimension(name),
            source,
            spec=spec,
            text_ids=text_ids or name == "conversion_id",
        )
        for name, source in mapping.items()
    ]


def _dimension(name: str) -> Column:
    return Column(name, "text", "a further dimension of touchpoints", required=False, nullable=True)


def _define(engine: Engine, table: Table, readings: list[Reading]) -> int:
    raw = f"raw_{table.name}"
    rows = check_values(engine, table, raw, readings)
    select = ", ".join(f"{reading.sql} as {quote(reading.column.name)}" for reading in readings)
    engine.view(table.name, f"select {select} from {quote(raw)}")
    return rows


def _dimensions(loaded: Mapping[str, LoadedTable]) -> tuple[str, ...]:
    """Columns that tell touchpoints apart, in the order in which they break ties."""
    if "touchpoints" not in loaded:
        return ()
    columns = loaded["touchpoints"].columns
    further = sorted(name for name in columns if TOUCHPOINTS.column(name) is None)
    return tuple(name for name in ("kind", "channel", "campaign", *further) if name in columns)


def _one_clock(clocks: Mapping[str, Reading]) -> bool | None:
    """Whether times are integers, in all tables alike; None where there are no times."""
    kinds = {bool(reading.is_integer): table for table, reading in clocks.items()}
    if len(kinds) > 1:
        raise InputError(
            f"times of {kinds[True]!r} are integers and those of {kinds[False]!r} timestamps",
            allowed="the same in both",
            hint="time_format = 'epoch_s' reads integers as seconds since 1970",
        )
    zoned = {reading.is_zoned: table for table, reading in clocks.items() if reading.is_zoned is not None}
    if len(zoned) > 1:
        raise InputError(
            f"times of {zoned[True]!r} tell their time zone and those of {zoned[False]!r} do not",
            allowed="the same in both",
            hint=f"say what the latter are: time_zone = 'UTC' (or 'Europe/Paris') under {zoned[False]!r}",
        )
    return next(iter(kinds), None)


def _check_costs(engine: Engine, loaded: Mapping[str, LoadedTable]) -> None:
    if "costs" not in loaded:
        return
    columns = set(loaded["costs"].columns)
    period = columns & {"period_start", "period_end"}
    if len(period) == 1 or (period and "day" in columns):
        raise InputError(
            "table 'costs': a cost lies on a day, in a period, or is a lump sum",
            given=sorted(columns & {"day", "period_start", "period_end"}),
            allowed="day, or period_start and period_end, or none of them",
        )
    if period:
        # Ratios to a period need both ends; a lump sum has neither.
        for problem, test in (
            ("only one of period_start and period_end is given", "(period_start is null) <> (period_end is null)"),
            ("period_end lies before period_start", "period_end < period_start"),
        ):
            found = engine.query(
                f"select count(*) as n, min(concat(period_start, ' … ', period_end)) as example from costs where {test}"
            ).to_pylist()[0]
            if found["n"]:
                raise InputError(f"table 'costs': in {found['n']} rows {problem}", given=found["example"])
    check_channels("costs", engine.query("select distinct channel from costs")["channel"].to_pylist())
