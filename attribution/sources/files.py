"""From a path, glob or list to the files of one table."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.engine import Files
from attribution.errors import InputError

_FORMATS: dict[str, Literal["csv", "parquet", "json"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1 << 20


def find_files(table: str, source: str | Path | Iterable[str | Path], folder: Path) -> list[Files]:
    """The files that ``source`` names, grouped by layout.

    Parameters
    ----------
    table : name of the table, for messages
    source : a path, a glob, or a list of them; relative ones start at ``folder``

    Raises
    ------
    InputError
        If nothing is there, an ending is unknown, or CSV files differ in their columns.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    paths = [path for name in names for path in _expand(table, name, folder)]
    if not paths:
        raise InputError(f"table {table!r}: the list of files is empty")
    formats = {_format(table, path) for path in paths}
    if len(formats) > 1:
        raise InputError(f"table {table!r}: files of one format are needed", given=sorted(formats))
    kind = formats.pop()
    if kind == "json":
        return [Files(tuple(paths), kind)]
    if kind == "parquet":
        _same_columns(table, [(_parquet_columns(table, path), path) for path in paths])
        return [Files(tuple(paths), kind)]
    groups: dict[tuple[tuple[str, ...], str], list[Path]] = {}
    for path in paths:
        groups.setdefault(_layout(table, path), []).append(path)
    _same_columns(table, [(columns, group[0]) for (columns, _), group in groups.items()])
    return [Files(tuple(group), "csv", columns, mark) for (columns, mark), group in groups.items()]


def _expand(table: str, name: str | Path, folder: Path) -> list[Path]:
    if not isinstance(name, str | Path):
        raise InputError(f"table {table!r}: a source is a path, glob or list of them", given=repr(name))
    path = folder / Path(name).expanduser()
    try:
        if path.is_file():
            return [path]
    except OSError as error:
        raise InputError(f"table {table!r}: no file has such a name: {error.strerror}", given=repr(str(name))) from None
    if glob.has_magic(str(path)):
        found = sorted(Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file())
        if found:
            return found
        raise InputError(f"table {table!r}: no file matches {path}")
    if path.is_dir():
        raise InputError(f"table {table!r}: {path} is a folder", hint=f"name its files: {name}/*.parquet")
    raise InputError(f"table {table!r}: file {path} does not exist")


def _format(table: str, path: Path) -> Literal["csv", "parquet", "json"]:
    endings = [ending for ending in path.suffixes if ending.lower() not in (".gz", ".zst")]
    ending = endings[-1].lower() if endings else ""
    if ending not in _FORMATS:
        raise InputError(
            f"table {table!r}: {path.name} has an unknown ending",
            given=repr(ending),
            allowed=[*_FORMATS, "each also with .gz or .zst"],
        )
    return _FORMATS[ending]


def _layout(table: str, path: Path) -> tuple[tuple[str, ...], str]:
    """Column names and delimiter, from the header."""
    try:
        with pa.input_stream(str(path), compression="detect") as file:
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
    columns = tuple(name or f"column{place}" for place, name in enumerate(names))
    if len({name.lower() for name in columns}) < len(columns):
        raise InputError(f"table {table!r}: {path} names a column twice", given=list(columns))
    return columns, delimiter


def _parquet_columns(table: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"table {table!r}: {path} is no readable Parquet file: {error}") from None


def _same_columns(table: str, layouts: Sequence[tuple[tuple[str, ...], Path]]) -> None:
    first, first_path = layouts[0]
    for columns, path in layouts[1:]:
        differ = sorted(set(first) ^ set(columns))
        if differ:
            raise InputError(
                f"table {table!r}: {path.name} and {first_path.name} differ in columns {differ}",
                given=list(columns),
                allowed=list(first),
            )
