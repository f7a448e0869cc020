"""A folder of daily summaries: ``summaries.json`` says of what, ``day=YYYY-MM-DD/summary.parquet`` is one day."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attribution.data.engine import check_local
from attribution.errors import InputError
from attribution.folders import take
from attribution.production.refit.days import DayTables, day_name, day_number
from attribution.production.refit.definition import Definition
from attribution.production.refit.files import SCHEMA_VERSION, DayFile, read_day, write_day

_HEAD = "summaries.json"


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
            If it is none, or of a later version.
        """
        path = folder / _HEAD
        try:
            head = json.loads(path.read_text(encoding="utf-8"))
            version, held = head["schema_version"], head["definition"]
            if version == SCHEMA_VERSION:
                return cls(folder, Definition(name=head["name"], **held))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{folder} holds no daily summaries: {path.name} is missing or damaged",
                given=f"{type(error).__name__}: {error}",
                hint="attribution summarise EXPERIMENT.toml --to FOLDER writes them",
            ) from None
        raise InputError(
            f"the summaries in {folder} have another schema",
            given=f"version {version}",
            allowed=f"version {SCHEMA_VERSION}",
        )

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
            raise InputError(f"{folder} is a file", hint="name a folder with --to")
        if not folder.exists() or not any(folder.iterdir()):
            return cls(folder, definition)
        held = cls.open(folder)
        held.definition.check_same(definition, str(folder))
        return held

    @property
    def days(self) -> list[int]:
        """Numbers of the days that are there, ascending."""
        found = []
        for path in self.folder.glob("day=*/summary.parquet"):
            with contextlib.suppress(ValueError):
                found.append(day_number(dt.date.fromisoformat(path.parent.name.removeprefix("day="))))
        return sorted(found)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile; the lock ends with the process, however that ends.

        Raises
        ------
        InputError
            If somebody else does.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a")
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {error.strerror}") from None
        with lock:
            if not take(lock):
                raise InputError(f"another job is writing summaries to {self.folder}", hint="wait until it has ended")
            yield

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
        found = read_day(self._path(day))
        if found.definition != self.definition.digest or found.day != day:
            raise InputError(
                f"{self._path(day)} does not belong there",
                given=f"{day_name(found.day)} of settings {found.definition}",
                allowed=f"{day_name(day)} of settings {self.definition.digest}",
                hint="write the day anew: attribution summarise … --since",
            )
        return found

    def _path(self, day: int) -> Path:
        return self.folder / f"day={day_name(day)}" / "summary.parquet"

    def _write_head(self) -> None:
        path = self.folder / _HEAD
        if path.exists():
            return
        head = {
            "schema_version": SCHEMA_VERSION,
            "name": self.definition.name,
            "definition": self.definition.content,
        }
        aside = path.with_name(f".{_HEAD}")
        try:
            aside.write_text(json.dumps(head, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            aside.replace(path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from None


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
