"""Which tests run which lines: recorded once for each file of tests, and again when it or the package changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.changes import Change

_ANYWHERE = ("test_docstrings.py", "written_before")
CHAPTERS: dict[str, tuple[str, ...]] = {
    "attribution/kernels": (
        *("kernels", "journeys", "models", "decisions/budget", "decisions/diagnosis", "uncertainty", "simulation"),
        *("test_docstrings.py",),
    ),
    "attribution/returns": ("returns", "models", "decisions", "uncertainty", "pipeline/test_sections.py", *_ANYWHERE),
    "attribution/models": (
        *("models", "twins", "returns", "uncertainty", "production", "test_check_model.py", "data/quality"),
        *_ANYWHERE,
    ),
    "attribution/production/scoring": ("production", "models/saved", *_ANYWHERE),
}
"""What is changed, and the tests beside it: a change that only a test far away notices lacks a test of its own."""

COMPILED, PLAIN = "compiled", "plain"
"""How kernels run: compiled as always, or as Python, which a mutant of a kernel needs."""

LONGEST = {COMPILED: 30.0, PLAIN: 6.0}
"""Seconds after which a test is too slow to be used; without the compiler only small inputs are quick."""


@dataclass(frozen=True)
class Test:
    name: str
    seconds: float

    @property
    def file(self) -> str:
        return self.name.split("::")[0]


def way_of(file: str) -> str:
    """Say how the tests of a changed file run."""
    return PLAIN if file.startswith("attribution/kernels/") else COMPILED


def test_files(root: Path, way: str) -> list[str]:
    """Return the files of tests that may notice a change of what runs this way."""
    beside = {test for chapter, tests in CHAPTERS.items() if way_of(f"{chapter}/") == way for test in tests}
    paths = [root / "tests" / name for name in sorted(beside)]
    found = {path for at in paths for path in ([at] if at.suffix else at.rglob("test_*.py"))}
    return sorted(path.relative_to(root).as_posix() for path in found)


def copied(root: Path, target: Path) -> Path:
    """Make ``target`` a copy of the work tree, keeping what is compiled there of files that are the same."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    names = {name for name in listed if name and (root / name).is_file()}
    for name in sorted(names):
        source, copy = root / name, target / name
        if not copy.exists() or _stamp(source) != _stamp(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for path in (*(target / "attribution").rglob("*.py"), *(target / "tests").rglob("*.py")):
        if path.relative_to(target).as_posix() not in names:
            path.unlink()
    return target


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def environment(copy: Path, way: str) -> dict[str, str]:
    """Return what a process needs to test a copy: the copy first on the path, and the same examples each time."""
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(copy), *inherited]),
        "NUMBA_DISABLE_JIT": str(int(way == PLAIN)),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "CI": "true",
    }


def overflowing(way: str) -> list[str]:
    """Return the options under which hashes may overflow as plain Python, as they mean to and do when compiled."""
    return ["-W", "ignore:overflow encountered:RuntimeWarning"] if way == PLAIN else []


def digest(root: Path, tests: str, way: str) -> str:
    """Return the key under which the record of a file of tests is kept: all that decides which lines it runs."""
    read = hashlib.sha256(f"{way} {sys.version} {LONGEST[way]}".encode())
    package = [path for path in (root / "attribution").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    beside = [path for path in (root / "tests").rglob("*.py") if not path.name.startswith("test_")]
    shared = [path for path in beside if path.parent.name != "mutants"]
    for path in (*sorted(package), *sorted(shared), root / "tests/mutants/recorder.py", root / tests):
        read.update(path.name.encode())
        read.update(path.read_bytes())
    return read.hexdigest()


def recorded(copy: Path, tests: str, way: str, kept: Path) -> dict[str, object]:
    """Return the record of one file of tests, from what is kept or by running it in the copy."""
    key = digest(copy, tests, way)
    stored = kept / way / (tests.removesuffix(".py").replace("/", ".") + ".json")
    if stored.exists():
        record = json.loads(stored.read_text(encoding="utf-8"))
        if record.pop("key") == key:
            return record
    stored.parent.mkdir(parents=True, exist_ok=True)
    new = stored.with_suffix(".new")
    new.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.recorder", "-p", "no:cacheprovider"),
            *overflowing(way),
            *("--tb=line", "-m", "not slow and not data", tests),
        ],
        cwd=copy,
        env=environment(copy, way)
        | {
            "MUTANTS_RECORD": str(new),
            "MUTANTS_SECONDS": str(LONGEST[way]),
            "MUTANTS_FOLDERS": ":".join(CHAPTERS),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if not new.exists():
        raise RuntimeError(f"{tests} could not be recorded:\n{done.stdout}\n{done.stderr}")
    record = json.loads(new.read_text(encoding="utf-8"))
    stored.write_text(json.dumps({"key": key, **record}), encoding="utf-8")
    new.unlink()
    return record


class Covering:
    """Answers which tests run a line."""

    def __init__(self, records: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
        self.tests: dict[str, list[Test]] = {way: [] for way in records}
        self.by_line: dict[str, dict[str, dict[int, list[Test]]]] = {way: {} for way in records}
        for way, of_files in records.items():
            for record in of_files:
                self._add(way, record["tests"])

    def _add(self, way: str, tests: dict[str, dict]) -> None:
        for name, entry in tests.items():
            test = Test(name, entry["seconds"])
            self.tests[way].append(test)
            for file, numbers in entry["lines"].items():
                lines = self.by_line[way].setdefault(file, {})
                for number in numbers:
                    lines.setdefault(number, []).append(test)

    def tests_for(self, change: Change, *, seconds: float = 30.0, files: int = 8, most: int = 300) -> list[Test]:
        """Return the tests to run for a change: those beside its file first, then the fastest, within the limits."""
        way = way_of(change.file)
        lines = self.by_line[way].get(change.file, {})
        first, last = change.runs
        covering = {test for number, tests in lines.items() if first <= number <= last for test in tests}
        if not covering and first == 1:  # no line of a function: declarations, which every import runs
            covering = {test for test in self.tests[way] if _is_beside(test, change)}
        ranked = sorted(covering, key=lambda test: (not _is_beside(test, change), test.seconds, test.name))
        fastest = list(dict.fromkeys(test.file for test in ranked))[:files]
        chosen: list[Test] = []
        spent = 0.0
        for test in ranked:
            if test.file not in fastest or (chosen and spent + test.seconds > seconds):
                continue
            chosen.append(test)
            spent += test.seconds
        return sorted(chosen[:most], key=lambda test: fastest.index(test.file))


def _is_beside(test: Test, change: Change) -> bool:
    folder = change.file.removeprefix("attribution/").rsplit("/", 1)[0]
    return test.name.startswith(f"tests/{folder}/")
