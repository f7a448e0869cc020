"""What columns a file has, told from its header, its schema or its first lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.data.engine import Files, RemotePath, open_file, open_stream
from attribution.errors import InputError

_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1 << 20
_JSON_LINES = 1_000


@dataclass(frozen=True)
class Layout:
    """The columns of one file in their order, and what kind of value each holds.

    A kind is ``number``, ``text``, ``flag``, ``day``, ``time``, ``time with zone`` or another word for a type
    that no column can use; it is empty where the file does not say, as in CSV. ``rare`` are keys of JSON that
    fewer than half of the lines have: another file may lack them by chance.
    """

    path: Path | RemotePath
    columns: Mapping[str, str]
    delimiter: str = ","
    rare: frozenset[str] = frozenset()


def read_layouts(table: str, files: Iterable[Files]) -> list[Layout]:
    """The layout of every file, in the order given.

    Raises
    ------
    InputError
        If a file cannot be read as what its ending says.
    """
    readers = {"csv": _csv_layout, "parquet": _parquet_layout, "json": _json_layout}
    return [readers[group.format](table, path) for group in files for path in group.paths]


def _csv_layout(table: str, path: Path | RemotePath) -> Layout:
    try:
        with open_stream(path) as file:
            # Incrementally: the last character may be cut in two.
            start = codecs.getincrementaldecoder("utf-8-sig")().decode(file.read(_HEADER_BYTES))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"table {table!r}: {path} cannot be read: {error}") from None
    if not start.strip():
        raise InputError(f"table {table!r}: {path} is empty; a header line is needed")
    # Marks inside quotes are part of a name.
    bare = re.sub(r'"[^"]*"', "", start).splitlines()
    delimiter = max(_DELIMITERS, key=bare[0].count) if bare else ","
    names = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter))
    if any("\x00" in name for name in names):
        raise InputError(f"table {table!r}: {path} is no text file", given=names[0])
    columns = [name or f"column{place}" for place, name in enumerate(names)]
    if len({name.lower() for name in columns}) < len(columns):
        raise InputError(f"table {table!r}: {path} names a column twice", given=columns)
    return Layout(path, dict.fromkeys(columns, ""), delimiter)


def _parquet_layout(table: str, path: Path | RemotePath) -> Layout:
    try:
        with pq.ParquetFile(open_file(path)) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"table {table!r}: {path} is no readable Parquet file: {error}") from None
    empty = _null_columns(metadata)
    return Layout(path, {field.name: "" if field.name in empty else _kind(field.type) for field in schema})


def _null_columns(metadata: pq.FileMetaData) -> set[str]:
    """Columns without a value: pandas writes texts that are all missing as numbers."""
    found: set[str] | None = None
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(place) for place in range(group.num_columns)]
        nulls = {
            chunk.path_in_schema
            for chunk in chunks
            if chunk.statistics is not None
            and chunk.statistics.has_null_count
            and chunk.statistics.null_count == chunk.num_values
        }
        found = nulls if found is None else found & nulls
    return found or set()


def _kind(type: pa.DataType) -> str:
    if pa.types.is_dictionary(type):
        return _kind(type.value_type)
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "number"
    if pa.types.is_timestamp(type):
        return "time" if type.tz is None else "time with zone"
    named = {
        "": pa.types.is_null,
        "text": lambda of: pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of),
        "flag": pa.types.is_boolean,
        "day": pa.types.is_date,
        "list": lambda of: pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of),
    }
    return next((name for name, test in named.items() if test(type)), str(type))


def _json_layout(table: str, path: Path | RemotePath) -> Layout:
    """Keys of the first lines; a line that is no object is the reader's to refuse."""
    columns: dict[str, str] = {}
    lines_with: Counter[str] = Counter()
    looked_at = 0
    try:
        with open_stream(path) as file, io.TextIOWrapper(file, "utf-8-sig") as lines:
            for line in islice(lines, _JSON_LINES):
                row = _json_object(line)
                looked_at += 1
                lines_with.update(row.keys())
                columns |= {name: columns.get(name) or _json_kind(value) for name, value in row.items()}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"table {table!r}: {path} cannot be read: {error}") from None
    rare = frozenset(name for name, lines in lines_with.items() if 2 * lines < looked_at)
    return Layout(path, columns, rare=rare)


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _json_kind(value: object) -> str:
    # Numbers and flags are read as the texts they are written as.
    kinds = {list: "list", dict: "object", type(None): ""}
    return kinds.get(type(value), "text")
