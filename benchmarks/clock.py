"""The measured side: times the steps of one process and reports them.

Standard library only: the peers' processes use it too.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_NAMED = (
    "duckdb",
    "numba",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pyspark",
    "scipy",
    "ChannelAttribution",
    "marketing-attribution-models",
    "shapley-attribution",
)


class Clock:
    """Wall and CPU seconds of the steps of this process, in order; ``cpu`` counts all its threads unless given."""

    def __init__(self, cpu: Callable[[], float] = time.process_time) -> None:
        self.steps: list[dict[str, Any]] = []
        self._cpu = cpu

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        wall, cpu = time.perf_counter(), self._cpu()
        yield
        self.steps.append({"name": name, "wall": time.perf_counter() - wall, "cpu": self._cpu() - cpu})

    def report(self, **more: Any) -> None:
        """Print the steps and this process's peak memory, as the last line of its output."""
        result = {"steps": self.steps, "peak_mb": peak_mb(), "versions": _versions(), **more}
        # What the libraries print of their own accord must not end up behind the result.
        sys.stdout.flush()
        print(f"\n{json.dumps(result)}", flush=True)


def arguments() -> Mapping[str, Any]:
    """What this process was asked to do."""
    return json.loads(sys.argv[1])


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _versions() -> dict[str, str]:
    found = {}
    for name in _NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
