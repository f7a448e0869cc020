"""The output folder of a scoring job: one writer at a time, and every change whole or not at all.

A job first writes everything aside, then a plan that names it, then moves it into place. What ends before the plan is
there has changed nothing; what ends after it is finished by the next job before that begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution.data.engine import check_local
from attribution.errors import InputError
from attribution.folders import check_format, check_inside, is_locked, lock_or_refuse, sync, sync_tree, write_error

MANIFEST = "manifest.json"
CREDIT = "journey_credit"
RESTATEMENT = "restatement"
SCHEMA_VERSION = 2

_LOCK = ".lock"
_STAGING = ".scoring"
_PLAN = "plan.json"


@contextlib.contextmanager
def opened_ledger(out: Path, model: str) -> Iterator[Ledger]:
    """The folder ``out`` of the scorer ``model``, for this job alone; what an ended job left is finished first.

    Raises
    ------
    InputError
        If another job is at work there, or it has the output of another model or anything else.
    """
    check_local(out)
    made = _missing(out)
    with contextlib.ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock_or_refuse(out / _LOCK, f"another scoring job is using {out}"))
        except OSError as error:
            raise write_error(f"output folder {out} cannot be written", error) from None
        try:
            ledger = Ledger(out)
            ledger.finish()
            ledger.check(model)
            yield ledger
        except OSError as error:
            problem = f"scores cannot be written to {out}"
            raise write_error(problem, error, hint="the earlier files are unchanged") from None
        finally:
            with contextlib.suppress(OSError):
                if not (out / _STAGING / _PLAN).exists():
                    shutil.rmtree(out / _STAGING, ignore_errors=True)
                if not any(path.name != _LOCK for path in out.iterdir()):
                    (out / _LOCK).unlink()
                    for folder in made:
                        folder.rmdir()


@dataclass(frozen=True)
class Ledger:
    """An output folder that this job has for itself."""

    out: Path

    @property
    def is_locked(self) -> bool:
        """Whether a job is at work in the folder."""
        return is_locked(self.out / _LOCK)

    @property
    def is_unfinished(self) -> bool:
        """Whether something of a job is left aside: it is at work, or was killed."""
        return (self.out / _STAGING).is_dir()

    @property
    def staging(self) -> Path:
        """Where new files wait; on the same disk, so that moving them is one step."""
        folder = self.out / _STAGING
        folder.mkdir(exist_ok=True)
        return folder

    def read(self) -> dict[str, Any] | None:
        """The manifest; None in a new folder.

        Raises
        ------
        InputError
            If it is not what a job wrote.
        """
        path = self.out / MANIFEST
        hint = (
            f"restore {MANIFEST} from a copy; if there is none, move the folder away and score all days into a new one"
        )
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path} cannot be read: {error}", hint=hint) from None
        is_written = isinstance(manifest, dict) and isinstance(manifest.get("schema_version"), int)
        if is_written and 2 <= manifest["schema_version"] <= SCHEMA_VERSION:
            is_written = manifest.pop("digest", None) == _digest(manifest)
        if not is_written:
            raise InputError(f"{path} was changed or cut off after a scoring job wrote it", hint=hint)
        return dict(manifest)

    def check(self, model: str) -> None:
        """Raise `InputError` unless the folder is empty or holds scores of ``model``."""
        manifest = self.read()
        if manifest is None:
            foreign = sorted(path.name for path in self.out.iterdir() if path.name not in (_LOCK, _STAGING))
            if foreign:
                raise InputError(
                    f"output folder {self.out} has files that no scoring job wrote",
                    given=foreign[:5],
                    hint="choose another folder with --out",
                )
            return
        if manifest.get("model") != model or "days" not in manifest:
            raise InputError(
                f"output folder {self.out} has the output of another model",
                given=model,
                allowed=str(manifest.get("model", manifest.get("name"))),
                hint="choose another folder with --out",
            )
        again = "attribution score MODEL … --out ANOTHER_FOLDER"
        check_format(f"output folder {self.out}", manifest["schema_version"], SCHEMA_VERSION, again=again)

    def day_path(self, day: str) -> Path:
        """Where the credit of a day is."""
        return self.out / day_place(day)

    def is_damaged(self, day: str, entry: Mapping[str, Any]) -> bool:
        """Whether the file of a day is not what the manifest tells of it."""
        path = self.day_path(day)
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() != str(entry["sha256"])

    def stage(self, target: str) -> Path:
        """Where a file waits that is to be moved to ``target``, a path below the folder."""
        path = self.staging / "new" / target
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def commit(self, manifest: Mapping[str, Any], *, places: Sequence[str], removed: Sequence[str] = ()) -> None:
        """Move the staged files to their ``places``, remove others, and put the manifest there, all or nothing."""
        text = json.dumps({**manifest, "digest": _digest(manifest)}, indent=1, ensure_ascii=False) + "\n"
        self.stage(MANIFEST).write_text(text, encoding="utf-8")
        # The manifest last: whoever reads it finds what it says.
        plan = {"places": [*places, MANIFEST], "removed": list(removed)}
        sync_tree(self.staging / "new")
        draft = self.staging / f"{_PLAN}.draft"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(plan, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.staging / _PLAN)
        for folder in (self.staging, self.out, self.out.absolute().parent):
            sync(folder)
        self.finish()

    def finish(self) -> None:
        """Move what a plan names, if there is one; then nothing is left aside."""
        if not self.staging.exists():
            return
        path = self.staging / _PLAN
        if path.exists():
            plan = json.loads(path.read_text(encoding="utf-8"))
            for target in (*plan["removed"], *plan["places"]):
                check_inside(self.out, str(target))
            changed: set[Path] = {self.out}
            for target in plan["removed"]:
                (self.out / target).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    (self.out / target).parent.rmdir()
            for target in plan["places"]:
                waiting = self.staging / "new" / target
                # What is not waiting was moved before the job ended.
                if waiting.exists():
                    (self.out / target).parent.mkdir(parents=True, exist_ok=True)
                    waiting.replace(self.out / target)
            # The plan goes when all it names is on the disk: until then the next job does it again.
            for target in (*plan["places"], *plan["removed"]):
                changed |= {folder for folder in (self.out / target).parents if folder.is_relative_to(self.out)}
            for folder in sorted(changed, reverse=True):
                if folder.is_dir():
                    sync(folder)
            path.unlink()
            sync(self.staging)
        shutil.rmtree(self.staging)


def day_place(day: str) -> str:
    """Where the credit of a day is, below the folder."""
    return f"{CREDIT}/day={day}/{CREDIT}.parquet"


def _digest(manifest: Mapping[str, Any]) -> str:
    """Of all but when it was written."""
    content = {name: value for name, value in manifest.items() if name != "scored_at"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _missing(out: Path) -> list[Path]:
    """Folders that will have to be made, innermost first."""
    return [folder for folder in (out, *out.parents) if not folder.exists()]
