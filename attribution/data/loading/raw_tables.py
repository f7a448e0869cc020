"""Raw tables made readable: files, frames and queries, by an adapter where one is named, columns of several names."""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from attribution.data.adapters import adapt
from attribution.data.engine import Engine, Files, RemotePath, check_expression, find_remote, is_remote, quote
from attribution.data.loading.contract import NUMBERS, is_integer_like
from attribution.data.loading.findings import Finding
from attribution.data.loading.schema_drift import (
    drift_findings,
    is_json_array,
    is_text_like,
    read_layouts,
    refuse_drift,
)
from attribution.data.loading.workbooks import read_workbooks
from attribution.errors import InputError, did_you_mean
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import INPUTS, Table

# ---------------------------------------------------------------- from a path, glob or list to files

Format = Literal["csv", "parquet", "json", "excel"]

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
}

_LAYOUT_KEYS: dict[str, tuple[Format, ...]] = {
    "skip_rows": ("csv", "excel"),
    "encoding": ("csv", "json"),
    "sheet": ("excel",),
}
"""Keys that say how files are laid out, and the formats that they are for."""

_TABLES_OF_KEYS = {
    "same_day": ("conversions", "stages"),
    "same_id": ("conversions",),
    "negative": ("conversions", "costs"),
}
"""Keys that change something in some tables alone."""

_TEXTS = (pa.string(), pa.large_string(), pa.string_view())


def list_files(
    table: str, source: str | Path | Iterable[str | Path], folder: Path
) -> tuple[list[Path | RemotePath], Format]:
    """The files that ``source`` names, and the one format that they have.

    Parameters
    ----------
    table : name of the table, for messages
    source : a path, a glob, an address such as ``s3://bucket/*.parquet``, or a list of them; relative paths start at
        ``folder``

    Raises
    ------
    InputError
        If nothing is there, or an ending is unknown.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    paths = [path for name in names for path in _expand(table, name, folder)]
    if not paths:
        raise InputError(f"table {table!r}: the list of files is empty")
    formats = {_format(table, path) for path in paths}
    if len(formats) > 1:
        raise InputError(f"table {table!r}: all files must have the same format", given=sorted(formats))
    return paths, formats.pop()


def group_files(
    table: str, files: Files, *, needed: Mapping[str, Sequence[str]] | None = None, required: Collection[str] = ()
) -> list[Files]:
    """``files`` of one format, grouped by layout.

    Parameters
    ----------
    table : name of the table, for messages
    needed : canonical name → source columns, of which every CSV and Parquet file must have at least one if any file
        has; a row of JSON may lack any key
    required : canonical names without which the table is of no use

    Raises
    ------
    InputError
        If a file cannot be read, or some files lack a column that is needed.
    """
    if files.format == "json":
        arrays = {path: is_json_array(table, files, path) for path in files.paths}
        by_kind = {kind: tuple(path for path in files.paths if arrays[path] is kind) for kind in (False, True)}
        return [replace(files, paths=paths, is_array=kind) for kind, paths in by_kind.items() if paths]
    layouts = read_layouts(table, [files])
    refuse_drift(table, layouts, needed or {}, required=required)
    if files.format == "parquet":
        return [files]
    groups: dict[tuple[tuple[str, ...], str], list[Path | RemotePath]] = {}
    for layout in layouts:
        groups.setdefault((tuple(layout.columns), layout.delimiter), []).append(layout.path)
    return [
        replace(files, paths=tuple(paths), columns=columns, delimiter=mark) for (columns, mark), paths in groups.items()
    ]


def _expand(table: str, name: str | Path, folder: Path) -> Sequence[Path | RemotePath]:
    if not isinstance(name, str | Path):
        raise InputError(f"table {table!r}: a source must be a path, a glob or a list of them", given=repr(name))
    if is_remote(name):
        return find_remote(table, str(name))
    path = folder / Path(name).expanduser()
    try:
        if path.is_file():
            return [path]
    except OSError as error:
        raise InputError(
            f"table {table!r}: this cannot be the name of a file: {error.strerror}", given=repr(str(name))
        ) from None
    if glob.has_magic(str(path)):
        paths = sorted(Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file())
        if paths:
            return paths
        raise InputError(f"table {table!r}: no file matches {path}")
    if path.is_dir():
        raise InputError(f"table {table!r}: {path} is a folder", hint=f"give its files: {name}/*.parquet")
    raise InputError(f"table {table!r}: file {path} does not exist")


def _format(table: str, path: Path | RemotePath) -> Format:
    endings = [ending for ending in path.suffixes if ending.lower() not in (".gz", ".zst")]
    ending = endings[-1].lower() if endings else ""
    if ending not in _FORMATS:
        raise InputError(
            f"table {table!r}: {path.name} has an unknown ending",
            given=repr(ending),
            allowed=[*_FORMATS, "each with or without .gz or .zst"],
        )
    return _FORMATS[ending]


# ---------------------------------------------------------------- one column under several names


def merge_columns(
    table: str, schema: pa.Schema, columns: Mapping[str, str | Sequence[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Give each canonical column one source column.

    Parameters
    ----------
    table : name of the table, for messages
    schema : columns and types of the raw table
    columns : canonical name → source column, or several, of which those that are there are merged

    Returns
    -------
    (columns, added)
        Canonical name → its one source column; name → SQL of the columns that the raw table needs for it.

    Raises
    ------
    InputError
        If none of several source columns is there, they hold values of different kinds, or SQL does more than read.

    Examples
    --------
    >>> schema = pa.schema({"channel": pa.int32(), "chan": pa.int64()})
    >>> merge_columns("touchpoints", schema, {"channel": ["channel", "chan", "kanal"], "cost": ["cost", "channel"]})
    ({'channel': 'channel or chan', 'cost': 'channel'}, {'channel or chan': 'coalesce("channel", "chan")'})
    """
    single: dict[str, str] = {}
    added: dict[str, str] = {}
    for name, sources in columns.items():
        if isinstance(sources, str):
            single[name] = sources
            if sources not in schema.names and is_expression(sources):
                _check_expression(table, name, sources, schema.names)
                single[name] = _unused_name(sources, schema.names)
                added[single[name]] = f"(\n{sources}\n)"
            continue
        present = [source for source in sources if source in schema.names]
        if not present:
            raise InputError(
                f"table {table!r}: none of the source columns {list(sources)} (for {name!r}) exists",
                given=schema.names,
                hint=did_you_mean(sources[0], schema.names),
            )
        single[name] = present[0]
        if len(present) > 1:
            single[name] = _unused_name(" or ".join(present), schema.names)
            added[single[name]] = _first_known(table, name, {part: schema.field(part).type for part in present})
    return single, added


def is_expression(source: str) -> bool:
    """Whether what a column is mapped to is more than a name: SQL on columns.

    Examples
    --------
    >>> is_expression("cost - fee"), is_expression("'Paid Search'"), is_expression("utm-source"), is_expression("cost")
    (True, True, False, False)
    """
    return re.search(r"[^\w .-]|(^| )-", source) is not None


def _check_expression(table: str, name: str, source: str, present: Sequence[str]) -> None:
    try:
        check_expression(table, name, source)
    except InputError:
        hint = did_you_mean(source, present)
        if hint is None:
            raise
        problem = f"table {table!r}: source column {source!r} (for {name!r}) is missing, and it is no SQL either"
        raise InputError(problem, given=list(present), hint=hint) from None


def _first_known(table: str, name: str, kinds: Mapping[str, pa.DataType]) -> str:
    """SQL for the first value that is not null; a blank text is none."""
    families = {_family(kind) for kind in kinds.values()} - {"null"}
    if len(families) > 1:
        raise InputError(
            f"table {table!r}: the source columns of {name!r} have different types",
            given=", ".join(f"{source!r} ({kind})" for source, kind in kinds.items()),
            hint="cast one of them in a query",
        )
    values = [quote(source) for source in kinds]
    if families == {"text"}:
        values = [f"case when trim({value}) <> '' then {value} end" for value in values]
    return f"coalesce({', '.join(values)})"


def _family(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "number" if is_integer_like(kind) or pa.types.is_decimal(kind) else str(kind)


def _unused_name(name: str, present: Sequence[str]) -> str:
    while name in present:
        name += "'"
    return name


# ---------------------------------------------------------------- from what names a table to one that can be read

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
    check_keys(name, spec)
    findings = (*_register(engine, name, spec, folder), *_rows_left_out(engine, name, spec.where))
    columns, added = merge_columns(name, engine.schema(view), spec.columns or {})
    if added or columns != spec.single_columns:
        merged = "".join(f", {sql} as {quote(column)}" for column, sql in added.items())
        try:
            engine.view(f"{view}_merged", f"select *{merged} from {quote(view)}")
        except InputError as error:
            # The user knows the table, not what it is called on its way.
            raise InputError(str(error).replace(f"{view}_merged", name), hint="check the SQL in columns") from None
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


def check_keys(name: str, spec: TableSpec) -> None:
    """Refuse keys of ``spec`` that nothing in the table ``name`` could be read by.

    Raises
    ------
    InputError
        Naming the key and the tables that it is for.
    """
    has_numbers = [table.name for table in INPUTS.values() if any(c.type in NUMBERS for c in table.columns)]
    tables_by_key = {"decimal": has_numbers, "thousands": has_numbers, **_TABLES_OF_KEYS}
    for key, tables in tables_by_key.items():
        if getattr(spec, key) is not None and name not in tables:
            raise InputError(
                f"table {name!r}: {key} changes nothing in this table",
                given=f"{key} = {getattr(spec, key)!r}",
                allowed=f"{key} in {', '.join(tables)}",
                hint="leave it out",
            )
    if isinstance(spec.source, str | Path | list | tuple):
        return  # which of them a file can have is known with its format
    for key in _LAYOUT_KEYS:
        if getattr(spec, key) is not None:
            source = "a query, which reads its files itself" if spec.query is not None else "a table, not of a file"
            raise InputError(
                f"table {name!r}: {key} is a key of files", given=f"{key} beside {source}", hint="leave it out"
            )


def _check_layout_keys(name: str, spec: TableSpec, kind: Format) -> None:
    for key, formats in _LAYOUT_KEYS.items():
        if getattr(spec, key) is not None and kind not in formats:
            raise InputError(
                f"table {name!r}: {key} changes nothing in files of this format",
                given=f"{key} = {getattr(spec, key)!r} for {kind}",
                allowed=f"{key} for {' and '.join(formats)}",
                hint="leave it out",
            )


def _register(engine: Engine, name: str, spec: TableSpec, folder: Path) -> list[Finding]:
    """Make what ``spec`` names readable as ``raw_NAME``; return in what its files differ."""
    source = spec.source
    if spec.query is not None:
        if spec.where is not None:
            raise InputError(
                f"table {name!r}: 'where' cannot be combined with a query: filter inside the query", given=spec.where
            )
        engine.register_query(name, spec.query, folder)
    elif isinstance(source, pd.DataFrame):
        engine.register_arrow(name, _mark_texts(_to_arrow(name, source)), where=spec.where)
    elif isinstance(source, pa.Table):
        _check_names(name, source.column_names)
        _check_texts(name, source)
        engine.register_arrow(name, _mark_texts(source), where=spec.where)
    elif isinstance(source, str | Path | list | tuple):
        needed = {} if spec.adapter else _required_columns(INPUTS[name], spec)
        paths, kind = list_files(name, source, folder)
        _check_layout_keys(name, spec, kind)
        if kind == "excel":
            table, layouts = read_workbooks(name, paths, sheet=spec.sheet, skip_rows=spec.skip_rows or 0)
            refuse_drift(name, layouts, needed, required=INPUTS[name].required)
            engine.register_arrow(name, table, where=spec.where)
            return drift_findings(name, layouts)
        files = Files(tuple(paths), kind, skip_rows=spec.skip_rows or 0, encoding=spec.encoding)
        groups = group_files(name, files, needed=needed, required=INPUTS[name].required)
        engine.register_files(name, groups, where=spec.where)
        return drift_findings(name, read_layouts(name, groups))
    else:
        raise InputError(
            f"table {name!r}: cannot be read",
            given=type(source).__name__,
            allowed="DataFrame, Arrow table, path, glob, list of paths, SQL query",
        )
    return []


def _rows_left_out(engine: Engine, name: str, where: str | None) -> list[Finding]:
    """How many rows a filter leaves out, and how many of them because it cannot tell."""
    if where is None:
        return []
    (row,) = engine.query(
        "select count(*) as n, count(*) filter (stays) as stay, count(*) filter (stays is null) as unknown "
        f"from (select (\n{where}\n)::boolean as stays from {quote(f'every_{name}')}) t",
        table=name,
    ).to_pylist()
    left_out, unknown = row["n"] - row["stay"], row["unknown"]
    message = f"rows that where leaves out: {where}"
    if unknown:
        message += (
            f"; it is null, neither true nor false, in {unknown:,} of them: if these are to stay, write "
            "'… or COLUMN is null' for the column that is null in them"
        )
    return [Finding("where", name, "warn" if unknown else "pass", left_out, row["n"], None, message)]


def _required_columns(table: Table, spec: TableSpec) -> dict[str, tuple[str, ...]]:
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
    except UnicodeEncodeError as error:
        raise _no_text(name, ascii(error.object[max(error.start - 20, 0) : error.end + 20])) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise InputError(f"table {name!r}: a column mixes types: {error}") from None


def _mark_texts(table: pa.Table) -> pa.Table:
    """The table with bytes as texts where they are some: writers of Parquet may leave the mark of texts out."""
    for position, field in enumerate(table.schema):
        if is_text_like(field.type) and field.type not in _TEXTS:
            with contextlib.suppress(pa.ArrowInvalid):
                table = table.set_column(position, field.name, table[field.name].cast(pa.large_string()))
    return table


def _check_texts(name: str, table: pa.Table) -> None:
    """Refuse texts that are none: whoever made the table did not look, and every reader after us would fail on them."""
    for column in table.column_names:
        try:
            table[column].validate(full=True)
        except pa.ArrowInvalid as error:
            raise _no_text(name, f"column {column!r}: {error}") from None


def _no_text(name: str, text: str) -> InputError:
    return InputError(
        f"table {name!r} holds values that are not text: bytes or half characters that UTF-8 cannot encode",
        given=text,
        hint="replace them where the table is made, e.g. value.encode('utf-8', 'replace').decode()",
    )


def _check_names(name: str, columns: Sequence[str]) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InputError(f"table {name!r} names column {twice[0]!r} twice", given=list(columns))
