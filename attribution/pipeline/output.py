"""The output folder of a run: tables, report, graph and manifest; replaced whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from attribution.data.engine import check_local
from attribution.errors import InputError
from attribution.folders import replaced
from attribution.logs import without_credentials
from attribution.models.saved import keep_scorers
from attribution.pipeline.outcome import Outcome
from attribution.pipeline.provenance import code_version, git_commit
from attribution.pipeline.record import record_of
from attribution.pipeline.reuse import content_key, data_digest
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


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""There is no room for what is to be written."""


@contextlib.contextmanager
def replaced_folder(out: Path, keep: Iterable[Path] = ()) -> Iterator[Path]:
    """A new empty folder that takes the place of ``out`` when the block ends well, and vanishes otherwise.

    Raises
    ------
    InputError
        At once, if ``out`` cannot be written, holds the working directory or anything of ``keep``, or another process
        is writing it; and where there is no room left.
    """
    check_local(Path(out))
    named, out = out, Path(out).resolve()
    if out.exists() and not out.is_dir():
        raise InputError(f"output folder {named} is a file", hint="name another with --out")
    for path in (Path.cwd(), *keep):
        if out in (path.resolve(), *path.resolve().parents):
            raise InputError(
                f"output folder {named} would be replaced whole, and holds what is needed",
                given=str(path),
                hint="name another with --out",
            )
    made, entered = _missing_parents(out), False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission to replace it")
        with replaced(out, f"another process is writing the output folder {named}") as aside:
            entered = True
            yield aside
    except OSError as error:
        if entered and error.errno not in _FULL:
            raise
        hint = "what was there is unchanged" if entered else "name another with --out"
        raise InputError(f"output folder {named} cannot be written: {error.strerror}", hint=hint) from None
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
    keep_scorers(outcome, folder)
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
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(folder: Path, table: Table, frame: pd.DataFrame) -> str:
    """Write one table as Parquet and CSV, in the columns and types of its definition; return its digest."""
    columns = [name for name in table.column_names if name in frame.columns]
    arrays = [_array(frame[name], table, name) for name in columns]
    arrow = pa.table(dict(zip(columns, arrays, strict=True)))
    path = folder / f"{table.name}.parquet"
    pq.write_table(arrow, path)
    frame[columns].to_csv(folder / f"{table.name}.csv", index=False, lineterminator="\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


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
