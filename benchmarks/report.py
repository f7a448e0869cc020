"""What a run prints, and the same as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import Result


@dataclass
class Report:
    """Prints as it goes, and keeps what was measured for ``--json``."""

    measured: list[dict[str, Any]] = field(default_factory=list)
    derived: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def say(self, text: str = "") -> None:
        print(text, flush=True)

    def keep(self, name: str, turn: int, result: Result, **more: Any) -> None:
        """Keep what the ``turn``-th process of a measurement reported."""
        steps = [{"name": step.name, "wall": step.wall, "cpu": step.cpu} for step in result.steps]
        self.measured.append({"measurement": name, "round": turn, **more, "peak_mb": result.peak_mb, "steps": steps})

    def derive(self, name: str, value: float, **more: Any) -> None:
        """Keep one ratio, median or difference."""
        self.derived.append({"name": name, **more, "value": value})

    def note_versions(self, whose: str, versions: Mapping[str, str]) -> None:
        """Print the libraries of one environment, once."""
        if whose not in self.versions:
            self.versions[whose] = versions
            self.say(f"{whose}: " + ", ".join(f"{name} {number}" for name, number in versions.items()))

    def write(self, path: Path) -> None:
        """Write everything kept as JSON."""
        kept = {"versions": self.versions, "measured": self.measured, "derived": self.derived}
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
