"""Raw tables made readable: files, frames and queries, by an adapter where one is named."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.data.adapters import adapt
from attribution.data.engine import Engine, quote
from attribution.data.loading.drift import drift_findings
from attribution.data.loading.files import find_files
from attribution.data.loading.merge import merge_columns
from attribution.data.loading.quality import Finding
from attribution.errors import InputError
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import INPUTS, Table

_QUERY = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|from|values)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class OpenedTable:
    """A raw table that the engine can read.

    Attributes
    ----------
    name : the canonical table that it is to become
    view : what the engine knows it as
    spec : how its columns are to be read
    findings : in what its files differ
    """

    name: str
    view: str
    spec: TableSpec
    findings: tuple[Finding, ...] = ()


def as_spec(value: Any) -> TableSpec:
    """A `TableSpec` from whatever names a table; a text that begins like a query is one."""
    if isinstance(value, TableSpec):
        return value
    if isinstance(value, str) and _QUERY.match(value):
        return TableSpec(query=value)
    return TableSpec(source=value)


def open_table(engine: Engine, name: str, spec: TableSpec, folder: Path) -> OpenedTable:
    """Make the raw table readable, rows filtered, and say how it is to be read further.

    Raises
    ------
    InputError
        If it cannot be read, or lacks columns that are asked for.
    """
    view = f"raw_{name}"
    findings = tuple(_register(engine, name, spec, folder))
    if len(spec.single_columns) < len(spec.columns or {}):
        columns, added = merge_columns(name, engine.schema(view), spec.columns or {})
        merged = "".join(f", {sql} as {quote(column)}" for column, sql in added.items())
        engine.view(f"{view}_merged", f"select *{merged} from {quote(view)}")
        view, spec = f"{view}_merged", spec.model_copy(update={"columns": columns})
    if spec.adapter is None:
        return OpenedTable(name, view, spec, findings)
    own = None if spec.columns is None else spec.single_columns
    adapted = adapt(spec.adapter, name, engine.schema(view), columns=own)
    engine.view(f"raw_{name}_adapted", adapted.select(view))
    update = {
        "columns": {column: column for column in adapted.expressions},
        "time_format": spec.time_format or adapted.time_format,
        "time_zone": spec.time_zone or adapted.time_zone,
    }
    return OpenedTable(name, f"raw_{name}_adapted", spec.model_copy(update=update), findings)


def _register(engine: Engine, name: str, spec: TableSpec, folder: Path) -> list[Finding]:
    """Make what ``spec`` names readable as ``raw_NAME``; return in what its files differ."""
    source = spec.source
    if spec.query is not None:
        if spec.where is not None:
            raise InputError(f"table {name!r}: a query filters its rows itself: drop 'where'", given=spec.where)
        engine.register_query(name, spec.query, folder)
    elif isinstance(source, pd.DataFrame):
        engine.register_arrow(name, _to_arrow(name, source), where=spec.where)
    elif isinstance(source, pa.Table):
        _check_names(name, source.column_names)
        engine.register_arrow(name, source, where=spec.where)
    elif isinstance(source, str | Path | list | tuple):
        needed = {} if spec.adapter else _needed(INPUTS[name], spec)
        files = find_files(name, source, folder, needed=needed, required=INPUTS[name].required)
        engine.register_files(name, files, where=spec.where)
        return drift_findings(name, files)
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
