"""CPU and memory of this process with all it has started, from Linux's /proc.

Processes that come and go cannot be asked when all is over, so that memory is looked at every now and then.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

_PROC = Path("/proc")
_EVERY = 0.2


def is_seen() -> bool:
    """Whether this system tells of other processes."""
    return (_PROC / "self" / "smaps_rollup").exists()


def tree_cpu() -> float:
    """CPU seconds of all processes of the tree so far, those that have ended among them."""
    # Own time, and that of children that have ended and were waited for.
    ticks = sum(int(field) for stat in _tree().values() for field in stat[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


class TreeMemory:
    """Looks at the memory of the tree from now on; pages that processes share count once."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, sum(_memory_mb(process) for process in _tree()))
            time.sleep(_EVERY)


def _tree() -> dict[int, list[str]]:
    """What /proc/…/stat says behind the name, for this process and all below it."""
    stats = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            try:
                stats[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
    children: dict[int, list[int]] = {}
    for process, stat in stats.items():
        children.setdefault(int(stat[1]), []).append(process)
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return {process: stats[process] for process in found if process in stats}


def _memory_mb(process: int) -> float:
    try:
        lines = (_PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # it has ended
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))
