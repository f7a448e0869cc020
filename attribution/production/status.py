"""What an output folder holds, how far its days reach, what in it needs attention, and whether a job died there."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from attribution.errors import InputError
from attribution.folders import existing_folder, is_half_replaced, is_replacing
from attribution.pipeline.output import MANIFEST, Kind, kind_of
from attribution.production.refit import SummaryStore, day_name
from attribution.production.scoring.ledger import CREDIT, Ledger

FolderKind = Literal["scores", "summaries", "model", "nothing yet"] | Kind
Job = Literal["none", "at work", "died"]
Reason = Literal["outdated", "damaged", "missing", "deferred"]
REASONS: tuple[Reason, ...] = get_args(Reason)

_DIGEST = 16
"""Characters of a table's digest in the manifest of a folder."""


@dataclass(frozen=True)
class Status:
    """One output folder.

    Attributes
    ----------
    folder : its path
    kind : what it holds
    name, version : of the model, or of the experiment and the definition of its daily summaries
    package : version of this package that wrote it, as far as the folder says
    written_at : when it last changed, with its offset
    first_day, last_day, days : which days it has, and how many
    problems : by reason, the days (of other folders the files) that are not as they should be
    drifted : measures that drifted; None where nothing was looked for
    rows, conversions : of all days
    unknown_channels : touchpoints of channels that the model does not know, by channel, as the last job counted them
    job : whether a job is at work, or died and left something aside
    fault : why it cannot be read
    """

    folder: Path
    kind: FolderKind
    name: str | None = None
    version: str | None = None
    package: str | None = None
    written_at: str | None = None
    first_day: str | None = None
    last_day: str | None = None
    days: int | None = None
    problems: Mapping[Reason, tuple[str, ...]] = field(default_factory=dict)
    drifted: int | None = None
    rows: int | None = None
    conversions: int | None = None
    unknown_channels: Mapping[str, int] = field(default_factory=dict)
    job: Job = "none"
    fault: str | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether somebody must do something; days that wait for the next job by request are none of that."""
        is_wrong = any(days for reason, days in self.problems.items() if reason != "deferred")
        return is_wrong or self.job == "died" or bool(self.drifted) or self.fault is not None


def read_status(folder: Path) -> Status:
    """What there is to say about ``folder``; nothing is changed.

    Every file of scores, summaries and tables is read, to compare it with its checksum.

    Raises
    ------
    InputError
        If this package did not write it, or it cannot be read.
    """
    try:
        return _read_folder(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}", given=error.filename) from None


def _read_folder(folder: Path) -> Status:
    if (folder / CREDIT).is_dir() or (folder / ".scoring").is_dir() or _has_days(folder):
        return _scores(folder)
    if (folder / "summaries.json").exists() or SummaryStore.is_begun(folder):
        return _summaries(folder)
    job: Job = "none"
    if is_half_replaced(folder):
        job = "at work" if is_replacing(folder) else "died"
    there = existing_folder(folder)
    if (there / "model.json").is_file():
        return _model(folder, there, job)
    kind = kind_of(there)
    if kind is not None:
        return _replaced(folder, there, kind, job)
    if job != "none":
        return Status(folder, "nothing yet", job=job)
    raise InputError(
        f"{folder} does not exist" if not folder.exists() else f"{folder} was not written by this package",
        allowed="a folder of scores, daily summaries, a model, a run, or what was made of runs",
    )


def _has_days(folder: Path) -> bool:
    manifest = _read(folder / MANIFEST)
    return "days" in manifest and "model" in manifest


def _read(path: Path) -> dict[str, Any]:
    """A manifest; empty where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _scores(folder: Path) -> Status:
    ledger = Ledger(folder)
    job = _job(is_locked=ledger.is_locked, is_unfinished=ledger.is_unfinished)
    try:
        manifest = ledger.read()
    except InputError as error:
        return Status(folder, "scores", job=job, fault=str(error))
    if manifest is None:
        return Status(folder, "scores", job=job, days=0)
    days = sorted(manifest["days"])
    # While files are moved into place, they are not what the manifest says yet.
    damaged = [] if job == "at work" else [day for day in days if ledger.is_damaged(day, manifest["days"][day])]
    return Status(
        folder,
        "scores",
        manifest["model"],
        manifest["model_version"],
        manifest.get("versions", {}).get("journey-attribution"),
        manifest["scored_at"],
        *_ends(days),
        problems=_problems(
            outdated=sorted(manifest.get("outdated", {})), damaged=damaged, deferred=manifest.get("deferred", [])
        ),
        rows=sum(entry["rows"] for entry in manifest["days"].values()),
        conversions=sum(entry["conversions"] for entry in manifest["days"].values()),
        unknown_channels=manifest.get("unknown_touchpoints", {}),
        job=job,
    )


def _summaries(folder: Path) -> Status:
    job = _job(is_locked=SummaryStore.is_locked(folder), is_unfinished=SummaryStore.is_begun(folder))
    if not (folder / "summaries.json").exists() and not any(folder.glob("day=*")):
        return Status(folder, "summaries", job=job, days=0)
    try:
        store = SummaryStore.open(folder)
        stale = store.read_log_state().stale
    except InputError as error:
        return Status(folder, "summaries", job=job, fault=str(error))
    held = store.days
    damaged = [] if job == "at work" else [day_name(day) for day in held if not _is_readable(store, day)]
    missing = sorted({*range(held[0], held[-1] + 1)} - {*held}) if held else []
    written_at = store.written_at
    return Status(
        folder,
        "summaries",
        store.definition.name,
        store.definition.digest,
        None,
        None if written_at is None else written_at.isoformat(timespec="seconds"),
        *_ends(list(map(day_name, held))),
        problems=_problems(outdated=list(map(day_name, stale)), damaged=damaged, missing=list(map(day_name, missing))),
        job=job,
    )


def _is_readable(store: SummaryStore, day: int) -> bool:
    try:
        store.read(day)
    except InputError:
        return False
    return True


def _model(folder: Path, there: Path, job: Job) -> Status:
    from attribution.models.saved.folder import read_manifest

    manifest, fault = _read(there / MANIFEST), None
    try:
        read_manifest(there)
    except InputError as error:
        fault = str(error)
    # No more than is needed: whatever code the model names is not imported.
    training = _read(there / "model.json").get("training") or {}
    first, last = (None if (end := training.get(name)) is None else str(end)[:10] for name in ("first", "last"))
    return Status(
        folder,
        "model",
        manifest.get("name"),
        manifest.get("version"),
        manifest.get("package"),
        manifest.get("written_at"),
        first,
        last,
        job=job,
        fault=fault,
    )


def _replaced(folder: Path, there: Path, kind: Kind, job: Job) -> Status:
    manifest = _read(there / MANIFEST)
    damaged = [name for name, digest in manifest.get("tables", {}).items() if not _is_as_written(there, name, digest)]
    span = manifest.get("span") or (manifest.get("first"), manifest.get("last"))
    first, last = (None if end is None else str(end)[:10] for end in span)
    written_at = manifest.get("written_at") or manifest.get("finished_at")
    return Status(
        folder,
        kind,
        manifest.get("name"),
        manifest.get("version") or manifest.get("content"),
        manifest.get("package") or manifest.get("versions", {}).get("journey-attribution"),
        written_at or _changed_at(there),
        first,
        last,
        problems=_problems(damaged=damaged),
        drifted=_drifted(there) if kind == "monitor" else None,
        job=job,
    )


def _is_as_written(folder: Path, name: str, digest: str) -> bool:
    try:
        content = (folder / f"{name}.parquet").read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest()[:_DIGEST] == digest


def _changed_at(folder: Path) -> str:
    """When a folder was written that does not say so itself, as those of version 0.1.0."""
    changed = max(path.stat().st_mtime for path in folder.iterdir())
    return dt.datetime.fromtimestamp(changed, dt.UTC).isoformat(timespec="seconds")


def _drifted(folder: Path) -> int | None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = folder / "drift.parquet"
    if not path.is_file():
        return None
    return int(pc.sum(pq.ParquetFile(path).read(columns=["drifted"])["drifted"]).as_py() or 0)


def _job(*, is_locked: bool, is_unfinished: bool) -> Job:
    if is_locked:
        return "at work"
    return "died" if is_unfinished else "none"


def _ends(days: list[str]) -> tuple[str | None, str | None, int]:
    return (days[0], days[-1], len(days)) if days else (None, None, 0)


def _problems(**days: list[str]) -> dict[Reason, tuple[str, ...]]:
    return {reason: tuple(days[reason]) for reason in REASONS if days.get(reason)}
