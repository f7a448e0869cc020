"""Runs tests against a change, in a copy of the work tree: an interrupt can leave no mutant in the tree itself."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.mutants.changes import Change
from tests.mutants.covering import Test, copied, environment, overflowing, way_of

TIMES_LONGER, LEAST_SECONDS = 10, 10.0
"""A test of a mutant may take ten times as long as usual, and some seconds for a machine that is busy."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Verdict:
    """What became of a change: killed, survived, or no test (runs it)."""

    change: Change
    outcome: str


def judged(change: Change, tests: Sequence[Test], copy: Path) -> Verdict:
    """Run the tests against the change, and put the copy back as it was."""
    if not tests:
        return Verdict(change, "no test")
    changed = copy / change.file
    original, status = changed.read_bytes(), changed.stat()
    try:
        changed.write_bytes(change.applied(original))
        return Verdict(change, "killed" if _fails(tests, copy, way_of(change.file)) else "survived")
    finally:
        changed.write_bytes(original)
        os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))


def _fails(tests: Sequence[Test], copy: Path, way: str) -> bool:
    limits = copy / "mutant.limits"
    limits.write_text(
        json.dumps({test.name: LEAST_SECONDS + TIMES_LONGER * test.seconds for test in tests}), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    # Nothing compiled of the mutant may stay: two mutants of one second have the same time and often the same size.
    settings = environment(copy, way) | {"MUTANTS_LIMITS": str(limits), "PYTHONDONTWRITEBYTECODE": "1"}
    files = list(dict.fromkeys(test.file for test in tests))
    try:
        done = subprocess.run(
            [*command, "-p", "tests.mutants.limits", *overflowing(way), *files],
            cwd=copy,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=120 + TIMES_LONGER * sum(test.seconds for test in tests),
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode in {3, 4}:  # pytest itself failed
        raise RuntimeError(f"the tests of a mutant could not be run:\n{done.stdout}\n{done.stderr}")
    # With no tests left (5), because they had other names under the mutant, none has noticed it.
    return done.returncode not in {0, 5}


class Copies:
    """As many copies of the work tree as there are workers, lent one at a time."""

    def __init__(self, root: Path, folder: Path, workers: int) -> None:
        self.workers = workers
        self.free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        copies = [copied(root, folder / f"copy-{number}") for number in range(workers)]
        self.first = copies[0]
        for copy in copies:
            self.free.put(copy)

    def each(self, work: Callable[[Item, Path], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results of the items in their order; each has a copy to itself while it runs."""

        def one(item: Item) -> Result:
            copy = self.free.get()
            try:
                return work(item, copy)
            finally:
                self.free.put(copy)

        pool = ThreadPoolExecutor(self.workers)
        try:
            yield from pool.map(one, items)
        finally:  # after an error or Ctrl-C nothing more is begun
            pool.shutdown(cancel_futures=True)
