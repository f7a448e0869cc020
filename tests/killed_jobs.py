"""Kills a job at some step, or at some moment, and lets the next one finish; run by tests of such jobs.

Arguments: which job and what it reads, see `JOBS`; then output folder as it was before, folder to work in, seed. Prints
one JSON line for each kill: where it was, whether what it left can be read, and which files the next job left otherwise
than an undisturbed one.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from attribution.cli.commands.refit import refit
from attribution.cli.commands.summarise import summarise
from attribution.data.engine import DuckDBEngine
from attribution.models.saved import Scorer, load_saved_scorer
from attribution.production.refit import SummaryStore
from attribution.production.scoring.job import ScoringOptions, score_days


def killed(*arguments: object) -> list[dict[str, Any]]:
    """Run this file in a process of its own; what it prints."""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=root,
        # What a killed engine leaves behind goes with the folder of its test.
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(Path(str(arguments[-2])).parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


STEPS = (
    *((Path, name) for name in ("replace", "rename", "unlink", "rmdir", "write_text", "mkdir", "open")),
    (shutil, "rmtree"),
    (pq, "write_table"),
)
"""What changes the disk; each is a place to die before and after."""

Act = Callable[[Path], object]


def scoring(model: str, touchpoints: str, conversions: str) -> tuple[Act, Act]:
    def job(out: Path) -> None:
        request = ScoringOptions({"touchpoints": touchpoints, "conversions": conversions}, out)
        score_days(Scorer.load(model), request, DuckDBEngine(threads=1))

    def read(out: Path) -> None:
        for path in (out / "journey_credit").rglob("*.parquet"):
            pq.read_metadata(path)

    return job, read


def summarising(experiment: str) -> tuple[Act, Act]:
    def read(out: Path) -> None:
        store = SummaryStore.open(out / "sums")
        for day in store.days:
            store.read(day)

    return lambda out: summarise(Path(experiment), out / "sums"), read


def refitting(summaries: str, days: str) -> tuple[Act, Act]:
    def job(out: Path) -> None:
        refit(Path(summaries), last=int(days), out=out / "refit", champion=str(out / "models" / "shop"))

    def read(out: Path) -> None:
        Scorer.load(out / "models" / "shop")
        if (out / "refit").exists():
            load_saved_scorer(out / "refit")

    return job, read


IMPORTED = (
    "duckdb",
    "pandas",
    "scipy.sparse",
    "scipy.linalg",
    "attribution.pipeline.builders",
    "attribution.pipeline.output",
)
"""What jobs import when they need it: here once, and not in every one of them."""

JOBS = {"score": scoring, "summarise": summarising, "refit": refitting}
"""By name: what is given what the job reads and returns the job, and what reads its output; both take the folder."""


def dying(step: int) -> Callable[[], int]:
    """Make the process end before the step of this number; returns what says how many there were."""
    count = 0

    def wrap(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, name, counted)

    for owner, name in STEPS:
        wrap(owner, name)
    return lambda: count


def content(out: Path) -> dict[str, object]:
    """All there is in a folder, without what says when."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in (".lock",):
            name = path.relative_to(out).as_posix()
            found[name] = path.read_bytes().hex()
            if path.name == "manifest.json":
                told = json.loads(path.read_text())
                found[name] = {key: value for key, value in told.items() if key not in ("scored_at", "written_at")}
    return found


def in_child(act: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                act()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    name, *given, before, work, seed = sys.argv[1:]
    for needed in IMPORTED:
        importlib.import_module(needed)
    job, read = JOBS[name](*given)
    rng = random.Random(int(seed))
    undisturbed, out = Path(work) / "undisturbed", Path(work) / "out"
    shutil.copytree(before, undisturbed)
    steps = Path(work) / "steps"

    def counted() -> None:
        count = dying(-1)
        job(undisturbed)
        # The counter counts this as well.
        steps.write_bytes(str(count()).encode())

    begun = time.perf_counter()
    assert ended(in_child(counted)) == 0
    took, total = time.perf_counter() - begun, int(steps.read_bytes())
    expected = content(undisturbed)
    # The last steps put everything in place.
    places = [("step", rng.randint(1, total)) for _ in range(3)] + [("step", total - rng.randint(0, 9)) for _ in "ab"]
    for kind, at in [*places, ("second", rng.uniform(0.2, 1.0) * took)]:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)

        def doomed(kind: str = kind, at: float = at) -> None:
            if kind == "step":
                dying(int(at))
            job(out)

        pid = in_child(doomed)
        if kind == "second":
            time.sleep(at)
            os.kill(pid, signal.SIGKILL)
        code = ended(pid)
        readable = ended(in_child(lambda: read(out))) == 0
        assert ended(in_child(lambda: job(out))) == 0
        found = content(out)
        differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        line = {"kind": kind, "at": at, "of": total, "killed": code == -9, "readable": readable, "differ": differ}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
