"""Kills a scoring job at some step, or at some moment, and lets the next one finish; run by test_scoring_job.py.

Arguments: model folder, touchpoints, conversions, output folder as it was before, folder to work in, seed. Prints one
JSON line for each kill: where it was, and which files the next job left otherwise than an undisturbed one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from attribution.engine import DuckDBEngine
from attribution.scoring import Scorer
from attribution.scoring.job import Request, score_days

STEPS = ((Path, "replace"), (Path, "unlink"), (Path, "rmdir"), (Path, "write_text"), (Path, "mkdir"), (Path, "open"))
"""What changes the disk, besides what Parquet and Arrow write; each is a place to die before and after."""


def job(model: str, touchpoints: str, conversions: str, out: Path) -> None:
    request = Request({"touchpoints": touchpoints, "conversions": conversions}, out)
    score_days(Scorer.load(model), request, DuckDBEngine(threads=1))


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
            if name == "manifest.json":
                found[name] = {k: v for k, v in json.loads(path.read_text()).items() if k != "scored_at"}
    return found


def in_child(act: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    model, touchpoints, conversions, before, work, seed = sys.argv[1:7]
    rng = random.Random(int(seed))
    undisturbed, out = Path(work) / "undisturbed", Path(work) / "out"
    shutil.copytree(before, undisturbed)
    steps = Path(work) / "steps"

    def counted() -> None:
        count = dying(-1)
        job(model, touchpoints, conversions, undisturbed)
        # The counter counts this as well.
        steps.write_bytes(str(count()).encode())

    begun = time.perf_counter()
    assert ended(in_child(counted)) == 0
    took, total = time.perf_counter() - begun, int(steps.read_bytes())
    expected = content(undisturbed)
    places: list[tuple[str, float]] = [("step", rng.randint(1, total)) for _ in range(6)]
    places += [("second", rng.uniform(0.2, 1.0) * took) for _ in range(3)]
    for kind, at in places:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)

        def doomed(kind: str = kind, at: float = at) -> None:
            if kind == "step":
                dying(int(at))
            job(model, touchpoints, conversions, out)

        pid = in_child(doomed)
        if kind == "second":
            time.sleep(at)
            os.kill(pid, signal.SIGKILL)
        code = ended(pid)
        readable = all(path.read_bytes()[-4:] == b"PAR1" for path in (out / "journey_credit").rglob("*.parquet"))
        assert ended(in_child(lambda: job(model, touchpoints, conversions, out))) == 0
        found = content(out)
        differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        line = {"kind": kind, "at": at, "of": total, "killed": code == -9, "readable": readable, "differ": differ}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
