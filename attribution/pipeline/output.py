"""The output folder of a run: tables, report, graph and manifest; replaced whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from attribution.data.engine import check_local
from attribution.errors import InputError
from attribution.folders import replace_folder, write_error
from attribution.logs import without_credentials
from attribution.models.saved import save_scorers
from attribution.pipeline.outcome import Outcome
from attribution.pipeline.provenance import code_version, git_commit
from attribution.pipeline.reuse import content_key, data_digest
from attribution.pipeline.tracking_record import record_of
from attribution.schema.tables import DICTIONARY, Table, dictionary_rows

_VERSIONS = (
    "journey-attribution",
    "numpy",
    "scipy",
    "pandas",
    "duckdb",
    "pyarrow",
    "numba",
    "networkx",
    "mlflow",
)


Kind = Literal["run", "comparison", "review", "kpis", "monitor", "refit", "simulation", "lift"]
"""What a folder that is replaced whole may hold."""

MANIFEST = "manifest.json"
_SIMULATED = {f"{name}.parquet" for name in ("touchpoints", "conversions", "costs", "truth")}
_PAGES: dict[str, Kind] = {
    "comparison.md": "comparison",
    "review.md": "review",
    "kpis.md": "kpis",
    "drift.md": "monitor",
    "drift.parquet": "monitor",
}
_BEFORE_KINDS: dict[Kind, set[str]] = {
    "run": {"content", "tables", "finished_at"},
    "comparison": {"run", "runs", "uri"},
}
"""Entries that manifests of runs and of comparisons had in version 0.1.0, which named no kind."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a text that begins with one of these."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""There is no room for what is to be written."""


@contextlib.contextmanager
def replaced_folder(out: Path, keep: Iterable[Path] = (), *, kind: Kind) -> Iterator[Path]:
    """A new empty folder that takes the place of ``out`` when the block ends well, and vanishes otherwise.

    Its manifest says of what ``kind`` it is: only a folder that says so is replaced another time.

    Raises
    ------
    InputError
        At once, if ``out`` cannot be written, holds what no command that writes such folders wrote, the working
        directory or anything of ``keep``, or another process is writing it; and where there is no room left.
    """
    check_local(Path(out))
    requested, out = out, Path(out).resolve()
    if out.exists() and not out.is_dir():
        raise InputError(f"output folder {requested} is a file", hint="choose another folder with --out")
    for path in (Path.cwd(), *keep):
        if out in (path.resolve(), *path.resolve().parents):
            raise InputError(
                f"output folder {requested} would be replaced, but it has files that this command reads",
                given=str(path),
                hint="choose another folder with --out",
            )
    if not is_replaceable(out):
        raise InputError(
            f"output folder {requested} would be replaced, but it has files that this command did not write",
            given=sorted(entry.name for entry in out.iterdir())[:5],
            allowed="a new or empty folder, or one that this command wrote",
            hint="choose another folder with --out, or move its files",
        )
    made, entered = _missing_parents(out), False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "there is no permission to replace it")
        with replace_folder(out, f"another process is writing the output folder {requested}") as staging:
            entered = True
            yield staging
            if not (staging / MANIFEST).exists():
                write_manifest(staging, kind)
    except OSError as error:
        if entered and error.errno not in _FULL:
            raise
        hint = "the earlier files are unchanged" if entered else "name another with --out"
        raise write_error(f"output folder {requested} cannot be written", error, hint=hint) from None
    finally:
        _remove_empty(made)


def write_outcome(folder: Path, outcome: Outcome, *, report: str, seconds: float) -> None:
    """Write everything a run gave into an empty folder.

    Tables go to ``NAME.parquet`` and ``NAME.csv``; ``manifest.json`` holds what changes from run to run.
    """
    digests = {}
    declared = outcome.sections.declared
    for name, frame in outcome.tables.items():
        digests[name] = write_table(folder, declared[name], frame)
    digests[DICTIONARY.name] = write_dictionary(folder, outcome.tables, declared)
    (folder / "report.html").write_text(report, encoding="utf-8")
    (folder / "experiment.toml").write_text(without_credentials(outcome.experiment.text), encoding="utf-8")
    if "file" in outcome.experiment.channels:
        shutil.copyfile(outcome.experiment.folder / str(outcome.experiment.channels["file"]), folder / "channels.toml")
    outcome.graph.write_graphml(folder / "journey_graph.graphml")
    record_of(outcome, folder).write(folder)
    pins = "".join(f"{name}=={version(name)}\n" for name in _VERSIONS)
    (folder / "requirements.txt").write_text(pins, encoding="utf-8")
    save_scorers(outcome, folder)
    manifest = {
        "name": outcome.experiment.name,
        "finished_at": pd.Timestamp.now(tz="UTC").isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "versions": {name: version(name) for name in _VERSIONS},
        "code": {"version": code_version(), "git_commit": git_commit(outcome.experiment.folder)},
        "content": content_key(outcome.experiment, outcome.digests),
        "data_digest": data_digest(outcome.digests),
        "span": outcome.span,
        "inputs": dict(outcome.digests),
        "tables": digests,
    }
    write_manifest(folder, "run", manifest)


def write_manifest(folder: Path, kind: Kind, content: Mapping[str, Any] | None = None) -> None:
    """Write what is to be known of a folder beside its tables, and of what ``kind`` it is."""
    written_at = pd.Timestamp.now(tz="UTC").isoformat(timespec="seconds")
    head = {"kind": kind, "written_at": written_at, "package": version("journey-attribution")}
    text = json.dumps({**head, **(content or {})}, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def is_replaceable(out: Path) -> bool:
    """Whether ``out`` is absent, empty, or the output of a command that writes folders of some `Kind`."""
    return not out.is_dir() or not any(out.iterdir()) or kind_of(out) is not None


def kind_of(folder: Path) -> Kind | None:
    """What a folder that is replaced whole holds; None where it is none of those."""
    if not folder.is_dir():
        return None
    names = {entry.name for entry in folder.iterdir()}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # Version 0.1.0 wrote manifests of runs only.
        if names == _SIMULATED:
            return "simulation"
        if "dictionary.parquet" not in names:
            return None
        return next((kind for page, kind in _PAGES.items() if page in names), None)
    if not isinstance(manifest, dict):
        return None
    if "kind" in manifest:
        return manifest["kind"] if manifest["kind"] in get_args(Kind) else None
    return next((kind for kind, marks in _BEFORE_KINDS.items() if manifest.keys() >= marks), None)


def write_table(folder: Path, table: Table, frame: pd.DataFrame) -> str:
    """Write one table as Parquet and CSV, in the columns and types of its definition; return its digest."""
    columns = [name for name in table.column_names if name in frame.columns]
    arrays = [_array(frame[name], table, name) for name in columns]
    arrow = pa.table(dict(zip(columns, arrays, strict=True)))
    path = folder / f"{table.name}.parquet"
    pq.write_table(arrow, path)
    without_formulas(frame[columns]).to_csv(folder / f"{table.name}.csv", index=False, lineterminator="\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def without_formulas(frame: pd.DataFrame, *, but: Sequence[str] = ()) -> pd.DataFrame:
    """A table for CSV, in which no text is a formula: before one that a spreadsheet would compute stands an apostrophe.

    Numbers are as they are, those below 0 too, and so are the columns ``but``.

    Examples
    --------
    >>> without_formulas(pd.DataFrame({"channel": ["=1+1", "mail", None], "roi": [-0.5, 2.0, 1.0]}))["channel"].tolist()
    ["'=1+1", 'mail', None]
    """
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name]) and name not in but]
    return frame.assign(**{str(name): _harmless(frame[name]) for name in texts})


def _harmless(column: pd.Series) -> pd.Series:
    codes, values = pd.factorize(column)
    escaped = [f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value for value in values]
    if escaped == list(values):
        return column
    return pd.Series([*escaped, None], dtype=object).take(codes).set_axis(column.index)


def write_dictionary(
    folder: Path, tables: Mapping[str, pd.DataFrame], declared: Mapping[str, Table] | None = None
) -> str:
    """Write what every column of the tables in a folder means; return the digest of that table."""
    written = {**{name: frame.columns for name, frame in tables.items()}, DICTIONARY.name: None}
    rows = dictionary_rows(written, declared)
    return write_table(folder, DICTIONARY, pd.DataFrame(rows, columns=list(DICTIONARY.column_names)))


_ARROW: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "number": pa.float64(),
    "money": pa.float64(),
    "count": pa.float64(),
    "integer": pa.int64(),
    "flag": pa.bool_(),
}


def _array(series: pd.Series, table: Table, name: str) -> Any:
    column = table.column(name)
    kind = _ARROW.get(column.type) if column is not None else None
    return pa.Array.from_pandas(series, type=kind)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _missing_parents(out: Path) -> list[Path]:
    """Folders that will have to be made for ``out``, innermost first."""
    return [parent for parent in out.parents if not parent.exists()]
