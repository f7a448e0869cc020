"""Files as Spark tables: Parquet is read by Spark where it holds every column as DuckDB does, all else by DuckDB.

DuckDB reads in Spark's tasks, a file each, so that a text means the same under both engines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.data.engine.base import Files, quote, text
from attribution.data.engine.duckdb import DuckDBEngine, _reader, json_format
from attribution.data.engine.remote import RemotePath
from attribution.data.engine.spark import tasks
from attribution.data.engine.spark.carriers import (
    Carrier,
    Columns,
    arrow_schema,
    describe_columns,
    spark_name,
    spark_schema,
    store_list,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Keep = Callable[["DataFrame"], "DataFrame"]

_HADOOP = {"s3": "s3a"}
"""What Hadoop's own readers call a kind of store, where it has another name."""

_ROWS = 100_000
"""Rows of a batch from DuckDB to Spark."""


def read_files(session: SparkSession, name: str, groups: Sequence[Files], *, keep: Keep) -> tuple[DataFrame, Columns]:
    """The rows of all files, and their columns as DuckDB types them.

    What DuckDB reads is given to ``keep``, for reading text again for every statement would be slow.

    Raises
    ------
    InputError
        If a file cannot be read, as far as that is known before its rows are.
    """
    # Tasks may run in other folders than we do.
    groups = [replace(group, paths=tuple(path.absolute() for path in group.paths)) for group in groups]
    columns = _describe(name, groups)
    if groups[0].format == "parquet":
        return _read_parquet(session, name, groups, columns, keep=keep), columns
    selects = [
        _json_select(replace(group, paths=(path,)), columns)
        if group.format == "json"
        else _select(_reader(replace(group, paths=(path,))), group.columns, columns)
        for group in groups
        for path in group.paths
    ]
    return keep(_by_duckdb(session, selects, columns)), columns


def _describe(name: str, groups: Sequence[Files]) -> Columns:
    engine = DuckDBEngine(threads=1)
    engine.register_files(name, groups)
    return describe_columns(engine, f"select * from {quote(f'raw_{name}')}", table=name)


def _select(reader: str, present: Sequence[str], columns: Columns) -> str:
    """DuckDB's select for one file in the columns of all, null where it has none."""
    there = {column.lower() for column in present}
    listed = ", ".join(
        f"{quote(column) if column.lower() in there else 'null'}::{held.type} as {quote(column)}"
        for column, held in columns.items()
    )
    return f"select {store_list(columns)} from (select {listed} from {reader})"


def _by_duckdb(session: SparkSession, selects: Sequence[str], columns: Columns) -> DataFrame:
    """Rows of several selects, each by DuckDB in a task of its own."""
    numbers = session.range(0, len(selects), 1, numPartitions=len(selects))
    return numbers.mapInArrow(tasks.build_reader(selects, arrow_schema(columns), _ROWS), spark_schema(columns))


# ---------------------------------------------------------------- Parquet


def _read_parquet(
    session: SparkSession, name: str, groups: Sequence[Files], columns: Columns, *, keep: Keep
) -> DataFrame:
    from pyspark.sql import functions

    frames = []
    mismatched = []
    for layout in _layouts(name, groups):
        frame = _by_spark(session, layout, columns)
        if frame is not None:
            frames.append(frame)
        else:
            mismatched += [_select(_parquet(path), [*layout.columns], columns) for path in layout.paths]
    if mismatched:
        frames.append(keep(_by_duckdb(session, mismatched, columns)))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole.select([functions.col(spark_name(column)) for column in columns])


@dataclass(frozen=True)
class _Layout:
    paths: tuple[Path | RemotePath, ...]
    columns: Columns


def _layouts(name: str, groups: Sequence[Files]) -> list[_Layout]:
    """Files by their columns and types, as DuckDB sees them."""
    engine = DuckDBEngine(threads=1)
    by_columns: dict[tuple[tuple[str, str], ...], list[Path | RemotePath]] = {}
    columns: dict[tuple[tuple[str, str], ...], Columns] = {}
    for path in (path for group in groups for path in group.paths):
        mine = describe_columns(engine, f"select * from {_parquet(path)}", table=name)
        key = tuple((column, held.type) for column, held in mine.items())
        by_columns.setdefault(key, []).append(path)
        columns[key] = mine
    return [_Layout(tuple(paths), columns[key]) for key, paths in by_columns.items()]


def _parquet(path: Path | RemotePath) -> str:
    return _reader(Files((path,), "parquet"))


def _by_spark(session: SparkSession, layout: _Layout, columns: Columns) -> DataFrame | None:
    """Files of one layout, read by Spark; None where it would hold a column otherwise than DuckDB does."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import functions

    if not all(map(_is_read_by_spark, layout.paths)):
        return None
    try:
        frame = session.read.parquet(*map(_uri, layout.paths))
    except (PySparkException, Py4JError):  # among them, Spark lacks the reader for a store
        return None
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    if types != {column: held.spark for column, held in layout.columns.items()}:
        return None
    present = {column.lower(): column for column in layout.columns}
    selected = []
    for column, held in columns.items():
        source = present.get(column.lower())
        if source is None:
            selected.append(functions.lit(None).cast(held.spark).alias(column))
        elif _widens(layout.columns[source], held):
            value = functions.col(spark_name(source))
            # Spark would carry broken text along, and two broken ids may look the same.
            checked = functions.validate_utf8(value) if held.spark == "string" else value
            selected.append(checked.cast(held.spark).alias(column))
        else:
            return None
    return frame.select(selected)


def _is_read_by_spark(path: Path | RemotePath) -> bool:
    # Spark leaves such files out without a word, and takes what is before a colon for a protocol.
    address = path.key if isinstance(path, RemotePath) else path.as_posix()
    return not path.name.startswith(("_", ".")) and ":" not in address


def _uri(path: Path | RemotePath) -> str:
    scheme, address = (
        (_HADOOP.get(path.scheme, path.scheme) + "://", path.key)
        if isinstance(path, RemotePath)
        else ("file:", path.as_posix())
    )
    # Spark takes a name for a pattern, and nothing in it for percent-encoded.
    return scheme + re.sub(r"([\[\]{}*?,\\])", r"\\\1", address)


def _widens(held: Carrier, into: Carrier) -> bool:
    return held == into or (held.kind == into.kind == "integer")


# ---------------------------------------------------------------- JSON


def _json_select(file: Files, columns: Columns) -> str:
    """DuckDB's select for one file, every value as text or list of texts, as its engine has them."""
    keys = ", ".join(f"{text(column)}: 'JSON'" for column in columns)
    values = ", ".join(
        f"{quote(column)} ->> '$' as {quote(column)}"
        if held.type == "VARCHAR"
        else f"from_json({quote(column)}, '[\"VARCHAR\"]') as {quote(column)}"
        for column, held in columns.items()
    )
    return (
        f"select {values} from read_json([{text(str(file.paths[0]))}], format = {text(json_format(file))}, "
        f"records = true, columns = {{{keys}}})"
    )
