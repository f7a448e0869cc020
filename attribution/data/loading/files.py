"""From a path, glob or list to the files of one table."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from attribution.data.engine import Files, RemotePath, find_remote, is_remote
from attribution.data.loading.drift import refuse_drift
from attribution.data.loading.layouts import read_layouts
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


def find_files(
    table: str,
    source: str | Path | Iterable[str | Path],
    folder: Path,
    *,
    needed: Mapping[str, Sequence[str]] | None = None,
    required: Collection[str] = (),
) -> list[Files]:
    """The files that ``source`` names, grouped by layout.

    Parameters
    ----------
    table : name of the table, for messages
    source : a path, a glob, an address such as ``s3://bucket/*.parquet``, or a list of them; relative paths start at
        ``folder``
    needed : canonical name → source columns, of which every CSV and Parquet file must have at least one if any file
        has; a line of JSON may lack any key
    required : canonical names without which the table is of no use

    Raises
    ------
    InputError
        If nothing is there, an ending is unknown, or some files lack a column that is needed.
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
    layouts = read_layouts(table, [Files(tuple(paths), kind)])
    refuse_drift(table, layouts, needed or {}, required=required)
    if kind == "parquet":
        return [Files(tuple(paths), kind)]
    groups: dict[tuple[tuple[str, ...], str], list[Path | RemotePath]] = {}
    for layout in layouts:
        groups.setdefault((tuple(layout.columns), layout.delimiter), []).append(layout.path)
    return [Files(tuple(group), "csv", columns, mark) for (columns, mark), group in groups.items()]


def _expand(table: str, name: str | Path, folder: Path) -> Sequence[Path | RemotePath]:
    if not isinstance(name, str | Path):
        raise InputError(f"table {table!r}: a source is a path, glob or list of them", given=repr(name))
    if is_remote(name):
        return find_remote(table, str(name))
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


def _format(table: str, path: Path | RemotePath) -> Literal["csv", "parquet", "json"]:
    endings = [ending for ending in path.suffixes if ending.lower() not in (".gz", ".zst")]
    ending = endings[-1].lower() if endings else ""
    if ending not in _FORMATS:
        raise InputError(
            f"table {table!r}: {path.name} has an unknown ending",
            given=repr(ending),
            allowed=[*_FORMATS, "each also with .gz or .zst"],
        )
    return _FORMATS[ending]
