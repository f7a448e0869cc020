"""A folder of daily summaries: ``summaries.json`` says of what, ``day=YYYY-MM-DD/summary.parquet`` is one day.

A day is a small file of exact sums as integers, with a checksum of what they say.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from attribution.data.engine import check_local
from attribution.errors import InputError
from attribution.folders import check_format, is_locked, lock_or_refuse, sync, write_error
from attribution.kernels.statistics.sums import ExactSums, KeyedSums
from attribution.production.refit.days import DayTables, day_name, day_number
from attribution.production.refit.definition import Definition, digest_of
from attribution.production.refit.ids import Ids
from attribution.production.scoring.volumes import Volumes

SCHEMA_VERSION = 1

_HEAD = b"attribution"
_DEFINITION = "summaries.json"
_INPUTS = "inputs.json"
_IDS = "ids"
_LOCK = ".lock"
_UNFINISHED = ".unfinished"
"""There from the first day that a job writes until all are written."""
_VOLUMES = "volumes"


@dataclass(frozen=True)
class LogState:
    """What is known of the log that days were made of.

    Attributes
    ----------
    inputs : fingerprints by table and day, see `attribution.production.scoring.days`
    stale : days that may be wrong, because the log that said so lacked what led to them
    partly : days that lost conversions to others or gained them, and that no log has told all of since
    ids : of the conversions
    volumes : touchpoints as they come, by day and channel
    guards : rows of the ``guards`` table that did not hold
    summarised_at : when the job ended that said so
    """

    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stale: tuple[int, ...] = ()
    partly: tuple[int, ...] = ()
    ids: Ids = field(default_factory=Ids.none)
    volumes: Volumes = field(default_factory=Volumes.none)
    guards: tuple[Mapping[str, Any], ...] = ()
    summarised_at: str | None = None


@dataclass(frozen=True)
class SummaryStore:
    """Summaries of days under one definition.

    Attributes
    ----------
    folder : where they are
    definition : what they are of
    """

    folder: Path
    definition: Definition

    @classmethod
    def open(cls, folder: Path) -> SummaryStore:
        """An existing folder.

        Raises
        ------
        InputError
            If it is none, or of another format.
        """
        path = folder / _DEFINITION
        try:
            head = json.loads(path.read_text(encoding="utf-8"))
            again = "attribution summarise EXPERIMENT.toml --to ANOTHER_FOLDER"
            check_format(f"folder of daily summaries {folder}", head["schema_version"], SCHEMA_VERSION, again=again)
            return cls(folder, Definition(name=head["name"], **head["definition"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{folder} has no daily summaries: {path.name} is missing or damaged",
                given=f"{type(error).__name__}: {error}",
                hint="attribution summarise EXPERIMENT.toml --to FOLDER writes them",
            ) from None

    @classmethod
    def of(cls, folder: Path, definition: Definition) -> SummaryStore:
        """A folder for summaries under ``definition``, whether it is there or not; nothing is written yet.

        Raises
        ------
        InputError
            If it holds something else, or summaries of other settings.
        """
        check_local(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file", hint="choose a folder with --to")
        if not folder.exists() or {path.name for path in folder.iterdir()} <= {_LOCK, _UNFINISHED}:
            return cls(folder, definition)
        held = cls.open(folder)
        held.definition.check_same(definition, str(folder))
        return held

    @property
    def days(self) -> list[int]:
        """Numbers of the days that are there, ascending."""
        days = []
        for path in self.folder.glob("day=*/summary.parquet"):
            with contextlib.suppress(ValueError):
                days.append(day_number(dt.date.fromisoformat(path.parent.name.removeprefix("day="))))
        return sorted(days)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile; the lock ends with the process, however that ends.

        Raises
        ------
        InputError
            If somebody else does.
        """
        with contextlib.ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                refused = f"another job is writing summaries to {self.folder}"
                held.enter_context(lock_or_refuse(self.folder / _LOCK, refused))
                (self.folder / _UNFINISHED).touch()
                self._write_head()
            except OSError as error:
                raise write_error(f"{self.folder} cannot be written", error) from None
            yield
            (self.folder / _UNFINISHED).unlink(missing_ok=True)

    @staticmethod
    def is_locked(folder: Path) -> bool:
        """Whether a job is writing days to ``folder``."""
        return is_locked(folder / _LOCK)

    @staticmethod
    def is_begun(folder: Path) -> bool:
        """Whether a job began to write days to ``folder`` and did not end well: it is at work, failed or was killed."""
        return (folder / _UNFINISHED).exists()

    @property
    def written_at(self) -> dt.datetime | None:
        """When a job last learned something new about its log; None if none did."""
        try:
            seconds = (self.folder / _INPUTS).stat().st_mtime
        except FileNotFoundError:
            return None
        return dt.datetime.fromtimestamp(seconds, dt.UTC)

    def write(self, day: int, tables: DayTables, channels: tuple[str, ...]) -> bool:
        """Write one day; whether anything changed by that."""
        self._write_head()
        new = DayFile(day, channels, self.definition.digest, tables)
        path = self._path(day)
        if path.exists() and _equal(path, new):
            return False
        write_day(path, new)
        return True

    def read(self, day: int) -> DayFile:
        """One day.

        Raises
        ------
        InputError
            If its file is missing, damaged, or of other settings.
        """
        file = read_day(self._path(day))
        if file.definition != self.definition.digest or file.day != day:
            raise InputError(
                f"{self._path(day)} does not belong there",
                given=f"{day_name(file.day)} of settings {file.definition}",
                allowed=f"{day_name(day)} of settings {self.definition.digest}",
                hint="write the day again: attribution summarise … --from",
            )
        return file

    def digest_days(self, first: int, last: int) -> str:
        """16 hexadecimal digits of what the days from ``first`` to ``last`` say, from the checksums in their files."""
        heads = [pq.read_schema(self._path(day)).metadata[_HEAD] for day in range(first, last + 1)]
        return digest_of([json.loads(head)["sha256"] for head in heads])

    def read_or_none(self, day: int) -> DayFile | None:
        """One day; None if its file is damaged."""
        try:
            return self.read(day)
        except InputError:
            return None

    def read_log_state(self) -> LogState:
        """What is known of the log; nothing in a folder that an earlier version wrote.

        Raises
        ------
        InputError
            If its file was changed or is damaged.
        """
        path = self.folder / _INPUTS
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            digest = content.pop("digest")
            if digest == digest_of(content):
                stale, partly = (tuple(map(_number, content.get(name, ()))) for name in ("stale", "partly"))
                return LogState(
                    content["inputs"],
                    stale,
                    partly,
                    self._read_ids(content.get("ids")),
                    self._read_volumes(content.get("volumes")),
                    tuple(content.get("guards", ())),
                    content.get("summarised_at"),
                )
        except FileNotFoundError:
            return LogState()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
            pass
        raise InputError(
            f"{path} was changed or cut off after it was written",
            hint="remove it, and write all days again from the whole log: attribution summarise … --from FIRST-DAY",
        )

    def write_log_state(self, log_state: LogState) -> None:
        """Keep what is known of the log, after the days that follow from it; nothing if only the time is another."""
        ids, volumes = log_state.ids, log_state.volumes
        content: dict[str, Any] = {"inputs": log_state.inputs, "guards": list(log_state.guards)}
        content["ids"] = self._write_beside(_name_of_ids(ids), ids.table()) if len(ids.day) else None
        has_volumes = bool(volumes.table.num_rows)
        content["volumes"] = self._write_beside(_name_of_volumes(volumes), volumes.table) if has_volumes else None
        content |= {name: list(map(day_name, getattr(log_state, name))) for name in ("stale", "partly")}
        path = self.folder / _INPUTS
        if _without_time(path) != content:
            content["summarised_at"] = log_state.summarised_at
            self._put(path, {**content, "digest": digest_of(content)})
        # Until then the file before names what lay beside it.
        for beside in (*self.folder.glob(f"{_IDS}-*.parquet"), *self.folder.glob(f"{_VOLUMES}-*.parquet")):
            if beside.name not in (content["ids"], content["volumes"]):
                beside.unlink()

    def _write_beside(self, name: str, table: pa.Table) -> str:
        """Write a table to a file that is named for what it holds; its name."""
        path = self.folder / name
        if not path.exists():
            _put_table(path, table)
        return name

    def _read_ids(self, name: str | None) -> Ids:
        if name is None:
            return Ids.none()
        ids = Ids.of_table(pq.ParquetFile(self.folder / Path(name).name).read())
        if name != _name_of_ids(ids):
            raise ValueError("the ids of conversions were changed")
        return ids

    def _read_volumes(self, name: str | None) -> Volumes:
        if name is None:
            return Volumes.none()
        volumes = Volumes.of(pq.ParquetFile(self.folder / Path(name).name).read())
        if name != _name_of_volumes(volumes):
            raise ValueError("the volumes of channels were changed")
        return volumes

    def _path(self, day: int) -> Path:
        return self.folder / f"day={day_name(day)}" / "summary.parquet"

    def _write_head(self) -> None:
        path = self.folder / _DEFINITION
        if path.exists():
            return
        head = {
            "schema_version": SCHEMA_VERSION,
            "name": self.definition.name,
            "definition": self.definition.content,
        }
        self._put(path, head)

    def _put(self, path: Path, content: Mapping[str, Any]) -> None:
        draft = path.with_name(f".{path.name}")
        try:
            draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            sync(draft)
            draft.replace(path)
            sync(path.parent)
        except OSError as error:
            raise write_error(f"{path} cannot be written", error) from None


def _without_time(path: Path) -> dict[str, Any] | None:
    """What a file says of a log, but for when it was written; None if it cannot be read."""
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    content.pop("digest", None)
    content.pop("summarised_at", None)
    return content


def _name_of_ids(ids: Ids) -> str:
    return f"{_IDS}-{_digest_of_arrays(*ids)}.parquet"


def _name_of_volumes(volumes: Volumes) -> str:
    numbers = (np.asarray(volumes.table[name].to_numpy(), dtype=np.int64) for name in ("day", "touchpoints"))
    return f"{_VOLUMES}-{_digest_of_arrays(*numbers, texts=volumes.table['channel'].to_pylist())}.parquet"


def _digest_of_arrays(*arrays: NDArray[np.integer], texts: Sequence[str] = ()) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    if texts:
        digest.update(json.dumps(texts).encode())
    return digest.hexdigest()[:16]


def _number(name: str) -> int:
    return day_number(dt.date.fromisoformat(name))


def _equal(path: Path, new: DayFile) -> bool:
    """Whether the file says the same; one that cannot be read does not."""
    try:
        old = read_day(path)
    except InputError:
        return False
    if (old.day, old.channels, old.definition) != (new.day, new.channels, new.definition):
        return False
    if old.tables.keys() != new.tables.keys():
        return False
    return all(
        (table.keys.shape, table.sums.base, table.sums.limbs.shape)
        == (new.tables[name].keys.shape, new.tables[name].sums.base, new.tables[name].sums.limbs.shape)
        and (table.keys == new.tables[name].keys).all()
        and (table.sums.limbs == new.tables[name].sums.limbs).all()
        for name, table in old.tables.items()
    )


@dataclass(frozen=True)
class DayFile:
    """One day.

    Attributes
    ----------
    day : its number
    channels : names, whose positions are in the keys of ``tables``
    definition : digest of the settings
    tables : exact sums
    """

    day: int
    channels: tuple[str, ...]
    definition: str
    tables: DayTables


def write_day(path: Path, day: DayFile) -> None:
    """Write ``day`` aside and put it in the place of ``path`` at once.

    Raises
    ------
    InputError
        If the file cannot be written; what was there before stays.
    """
    parts = sorted(day.tables.items())
    keys = _end_to_end([table.keys for _, table in parts])
    limbs = _end_to_end([table.sums.limbs for _, table in parts])
    head: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "day": day_name(day.day),
        "channels": list(day.channels),
        "definition": day.definition,
        "tables": [
            [name, len(table.keys), table.keys.shape[1], table.sums.base, table.sums.limbs.shape[1]]
            for name, table in parts
        ],
    }
    head["sha256"] = _checksum(head, keys, limbs)
    arrow = pa.table(
        {
            "table": pa.array([name for name, table in parts for _ in range(len(table.keys))], pa.string()),
            "key": _lists(keys, [table.keys.shape for _, table in parts]),
            "limbs": _lists(limbs, [table.sums.limbs.shape for _, table in parts]),
        }
    ).replace_schema_metadata({_HEAD: json.dumps(head, ensure_ascii=False, sort_keys=True).encode()})
    _put_table(path, arrow)


def _put_table(path: Path, table: pa.Table) -> None:
    # Nobody else writes meanwhile: what lies there was left by a job that was killed.
    draft = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        for folder in (path.parent, path.parent.parent):
            sync(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise write_error(f"{path} cannot be written", error, hint="the earlier files are unchanged") from None


def read_day(path: Path) -> DayFile:
    """The day in a file.

    Raises
    ------
    InputError
        If it is no such file, is damaged, or was written by a later version.
    """
    again = "write the day again: attribution summarise … --from"
    try:
        arrow = pq.read_table(path, partitioning=None)
        head = json.loads((arrow.schema.metadata or {})[_HEAD])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a daily summary: {type(error).__name__}: {error}", hint=again) from None
    check_format(str(path), head.get("schema_version"), SCHEMA_VERSION, again="attribution summarise … --from DAY")
    keys, limbs = (_flat(arrow[name]) for name in ("key", "limbs"))
    if head.pop("sha256", None) != _checksum(head, keys, limbs):
        raise InputError(f"{path} was changed after it was written: its checksum differs", hint=again)
    tables, at_key, at_limb = {}, 0, 0
    for name, rows, width, base, limb_width in head["tables"]:
        key = keys[at_key : at_key + rows * width].reshape(rows, width)
        limb = limbs[at_limb : at_limb + rows * limb_width].reshape(rows, limb_width)
        tables[name] = KeyedSums(key, ExactSums(limb, base))
        at_key, at_limb = at_key + rows * width, at_limb + rows * limb_width
    return DayFile(day_number(dt.date.fromisoformat(head["day"])), tuple(head["channels"]), head["definition"], tables)


def _end_to_end(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *(array.ravel() for array in arrays)]).astype("<i8", copy=False)


def _lists(flat: NDArray[np.int64], shapes: list[tuple[int, ...]]) -> pa.ListArray:
    widths = np.concatenate([np.zeros(1, np.int32), *(np.full(rows, width, np.int32) for rows, width in shapes)])
    return pa.ListArray.from_arrays(np.cumsum(widths, dtype=np.int32), pa.array(flat))


def _flat(column: pa.ChunkedArray) -> NDArray[np.int64]:
    joined = column.combine_chunks()
    values = (joined.flatten() if isinstance(joined, pa.Array) else pa.array([], pa.int64())).to_numpy()
    return np.asarray(values, dtype=np.int64)


def _checksum(head: dict[str, Any], keys: NDArray[np.int64], limbs: NDArray[np.int64]) -> str:
    digest = hashlib.sha256(json.dumps(head, ensure_ascii=False, sort_keys=True).encode())
    for array in (keys, limbs):
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    return digest.hexdigest()
