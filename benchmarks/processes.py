"""The measuring side: starts one fresh process per measurement.

Standard library only: a child can inherit the peak memory of its parent, so the parent must stay small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class JobError(Exception):
    """A measured process ended badly, or not in time."""


@dataclass(frozen=True)
class Step:
    """Seconds of one step, on the wall and of CPU over all threads."""

    name: str
    wall: float
    cpu: float


@dataclass(frozen=True)
class Result:
    """What one measured process reported.

    Attributes
    ----------
    steps : in the order in which they ran
    peak_mb : largest resident memory of the process, imports and all
    versions : of the libraries that matter
    shares : channel shares by model, where models were fitted
    notes : what else is worth printing
    """

    steps: tuple[Step, ...]
    peak_mb: float
    versions: Mapping[str, str]
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def total(self, names: Sequence[str]) -> Step:
        """The named steps as one."""
        chosen = [self.step(name) for name in names]
        return Step(" + ".join(names), sum(s.wall for s in chosen), sum(s.cpu for s in chosen))


@dataclass(frozen=True)
class CommandResult:
    """Seconds and memory of one command with all it started."""

    wall: float
    cpu: float
    peak_mb: float


def our_python() -> str:
    """The project's own environment; this interpreter where there is none."""
    own = ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def peers_python() -> str | None:
    """The peers' environment, if `make peers` has made it."""
    python = ROOT / ".venv-peers" / "bin" / "python"
    return str(python) if (python.parent.parent / ".installed").exists() else None


def run_job(python: str, module: str, request: Mapping[str, Any], *, limit: float | None = None) -> Result:
    """Run ``module`` of this folder in a fresh process and return what it reports.

    Raises
    ------
    JobError
        If it fails, or is not done within ``limit`` seconds.
    """
    command = [python, "-m", f"benchmarks.{module}", json.dumps(request)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise JobError(f"not done within {limit:.0f} s") from None
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-15:] or [f"exit code {done.returncode}"]
        raise JobError("\n".join(reason))
    reported = json.loads(done.stdout.strip().splitlines()[-1])
    steps = tuple(Step(**step) for step in reported.pop("steps"))
    return Result(steps, **reported)


def run_command(command: Sequence[str], folder: Path) -> CommandResult:
    """Run a command in ``folder`` and measure it from outside."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise JobError(f"{' '.join(command)}: {errors.strip()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return CommandResult(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


def read_once(paths: Sequence[Path]) -> None:
    """Read files into the page cache, so that the first measurement finds what the later ones find."""
    buffer = bytearray(1 << 22)
    for path in paths:
        with path.open("rb") as file:
            while file.readinto(buffer):
                pass


def _environment() -> dict[str, str]:
    """This environment without settings of OpenBLAS, which may name slower kernels than the machine's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MPLBACKEND": "agg"}
