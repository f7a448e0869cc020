"""From a path, glob or list to the files of one table."""

from __future__ import annotations

import csv
import glob
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

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
    if kind != "csv":
        return [Files(tuple(paths), kind)]
    groups: dict[tuple[tuple[str, ...], str], list[Path]] = {}
    for path in paths:
        groups.setdefault(_layout(table, path), []).append(path)
    _same_columns(table, groups)
    return [Files(tuple(group), "csv", columns, mark) for (columns, mark), group in groups.items()]


def _expand(table: str, name: str | Path, folder: Path) -> list[Path]:
    if not isinstance(name, str | Path):
        raise InputError(f"table {table!r}: a source is a path, glob or list of them", given=repr(name))
    path = folder / Path(name).expanduser()
    if path.is_file():
        return [path]
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
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            header = file.readline(1 << 20)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"table {table!r}: {path} cannot be read: {error}") from None
    if not header.strip():
        raise InputError(f"table {table!r}: {path} is empty; a header line is needed")
    delimiter = max(_DELIMITERS, key=header.count)
    columns = tuple(next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter)))
    if len(set(columns)) < len(columns):
        raise InputError(f"table {table!r}: {path} names a column twice", given=list(columns))
    return columns, delimiter


def _same_columns(table: str, groups: dict[tuple[tuple[str, ...], str], list[Path]]) -> None:
    layouts = list(groups.items())
    (first, _), first_paths = layouts[0]
    for (columns, _), paths in layouts[1:]:
        differ = sorted(set(first) ^ set(columns))
        if differ:
            raise InputError(
                f"table {table!r}: {paths[0].name} and {first_paths[0].name} differ in columns {differ}",
                given=list(columns),
                allowed=list(first),
            )
