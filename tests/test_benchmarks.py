"""The benchmarks run, at a size that says nothing about speed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / "benchmarks" / "run"


@pytest.mark.slow
def test_events_benchmark_prints_a_ratio_for_both_kinds_of_ids() -> None:
    command = [sys.executable, str(RUN), "--touchpoints", "20000", "--only", "events", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ratios = dict(re.findall(r"\(b\)÷\(a\) with (\w+) ids, median of pairs: ([\d.]+)", done.stdout))
    assert ratios.keys() == {"integer", "uuid"}
    assert all(float(ratio) > 0 for ratio in ratios.values())
    # The same customers under other ids make the same journeys.
    assert len(set(re.findall(r"\w+ ids, ([\d,]+) journeys", done.stdout))) == 1
