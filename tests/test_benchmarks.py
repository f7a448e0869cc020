"""The benchmarks run, at a size that says nothing about speed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from attribution.data.engine.spark import session
from attribution.errors import InputError
from benchmarks import data, processes
from benchmarks import main as benchmarks
from benchmarks.text import verdict

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "benchmarks" / "run"
SPARK = [sys.executable, str(RUN), "--only", "spark", "--rounds", "1", "--scale"]


def _run(section: str, *sizes: str) -> str:
    command = [sys.executable, str(RUN), "--only", section, "--rounds", "1", *sizes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


Said = Callable[..., str]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a section prints whose jobs run in this process: what each would import again takes most of their time.

    The one that starts Spark and says to MLflow where its store lies has a process of its own.
    """
    start = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        _, _, module, asked = command
        if json.loads(asked).get("job") == "udf":
            return start(command, **options)
        monkeypatch.setattr(sys, "argv", [module, asked])
        with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a module that another has imported
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return subprocess.CompletedProcess(command, 0, printed.getvalue(), "")

    def said(section: str, *sizes: str) -> str:
        monkeypatch.setattr(processes, "subprocess", SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired))
        benchmarks.main(["--only", section, "--rounds", "1", *sizes])
        return capsys.readouterr().out

    return said


@pytest.mark.nightly
def test_events_benchmark_prints_a_ratio_for_both_kinds_of_ids() -> None:
    done = _run("events", "--touchpoints", "20_000")
    ratios = dict(re.findall(r"\(b\)÷\(a\) with (\w+) ids, median of pairs: ([\d.]+)", done))
    assert ratios.keys() == {"integer", "uuid"}
    assert all(float(ratio) > 0 for ratio in ratios.values())
    # The same customers under other ids make the same journeys.
    assert len(set(re.findall(r"\w+ ids, ([\d,]+) journeys", done))) == 1


@pytest.mark.nightly
def test_spark_benchmark_compares_the_credit_of_both_engines() -> None:
    try:
        session.check_packages()
        session.check_java()
    except InputError as error:
        pytest.skip(str(error))
    done = subprocess.run([*SPARK, "20_000"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "the same credit to the last digit: yes" in done.stdout
    assert re.search(r"\(e\)÷\(d\), wall with the start, median: \d", done.stdout)


def test_spark_benchmark_goes_on_without_java(tmp_path: Path) -> None:
    environment = os.environ | {"JAVA_HOME": str(tmp_path)}
    done = subprocess.run([*SPARK, "10_000"], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Spark is not measured: engine 'spark' needs " in done.stdout


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc")
def test_children_and_theirs_are_counted() -> None:
    code = """
import subprocess, sys, time
from benchmarks.tree import TreeMemory, tree_cpu
busy = "import time\\nheld = bytes(range(256)) * 600_000\\nwhile time.process_time() < 0.6: pass\\ntime.sleep(1)"
shell = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, busy]
before, memory = tree_cpu(), TreeMemory()
child = subprocess.Popen(shell)
time.sleep(0.1)
while tree_cpu() - before < 0.6 and child.poll() is None:
    time.sleep(0.05)
print(child.poll(), tree_cpu() - before)
child.wait()
print(tree_cpu() - before, memory.peak_mb)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (state, alive), (ended, peak) = (line.split() for line in done.stdout.splitlines())
    assert state == "None"  # counted while it runs, and still when it has ended
    assert 0.6 <= float(alive) <= float(ended) < 3
    assert 153 < float(peak) < 400


@pytest.mark.nightly
def test_intervals_benchmark_tells_drawing_from_the_rest(said: Said) -> None:
    done = said("intervals", "--journeys", "1_000")
    ratios = dict(re.findall(r"\(g\)÷\(f\) by (\w+), median of rounds: ([\d.]+)$", done, re.MULTILINE))
    assert ratios.keys() == {"wall", "cpu"}  # and no verdict at this size
    (row,) = re.findall(r"^ +1 +([\d. ]+)$", done, re.MULTILINE)
    fit, _, whole, _, drawing, *_ = (float(cell) for cell in row.split())
    assert 0 < fit < whole
    assert 0 < drawing < whole
    assert float(ratios["wall"]) == pytest.approx(whole / fit, rel=0.2)
    # Ten models draw, and the exact draws beside those by influences are counted.
    drawn = re.findall(r"^(\w+) +[\d.]+ +[\d.]+$", done, re.MULTILINE)
    assert sorted(drawn) == sorted({*drawn})
    assert {"first_touch", "linear_distinct", "shapley", "markov_1", "markov_3"} <= set(drawn)
    assert len(drawn) == 10


@pytest.mark.nightly
def test_games_benchmark_solves_exactly_and_by_sampling(said: Said) -> None:
    done = said("games", "--journeys", "1_000")
    assert re.search(r"^Shapley rate, 20 channels, exact +solve ", done, re.MULTILINE)
    assert re.search(r"^Markov order 4, 50 channels +fit ", done, re.MULTILINE)
    (pairs,) = re.findall(r"([\d,]+) pairs of orders drawn", done)
    assert int(pairs.replace(",", "")) > 0
    (error,) = re.findall(r"largest standard error ÷ mean credit: ([\d.e-]+)", done)
    assert 0 < float(error) <= 0.01
    assert "target" not in done


@pytest.mark.nightly
def test_incremental_benchmark_compares_with_journeys_and_with_one_fit(said: Said) -> None:
    done = said("incremental", "--touchpoints", "20_000", "--scale", "100_000")
    ratios = dict(re.findall(r"^([\w ]+ ÷ [\w ]+) by cpu, median: ([\d.]+)$", done, re.MULTILINE))
    assert list(ratios) == ["hazard ÷ journeys", "hazard and draws ÷ journeys", "ten models and chance ÷ ten models"]
    assert all(float(ratio) > 0 for ratio in ratios.values())
    worlds = re.findall(r"^world (\w+), 150,000 customers with truth, cpu s: [\d.]+ \(target ≤ 3: ", done, re.MULTILINE)
    assert worlds == ["default", "random", "activity", "null"]
    assert re.search(
        r"^20,000 touchpoints, files to hazard within 2 GB: .* peak memory in GB [\d.]+$", done, re.MULTILINE
    )


@pytest.mark.nightly
def test_budget_benchmark_solves_problems_of_all_kinds(said: Said) -> None:
    done = said("budget")
    (seconds,) = re.findall(r"slowest allocation of 50 channels, wall s: ([\d.]+) \(target ≤ 1: ", done)
    assert float(seconds) > 0
    assert re.search(r"^S-shaped, no steps +[\d.]+ +[\d.e-]+$", done, re.MULTILINE)
    (gap,) = re.findall(r"widest optimality gap: ([\d.e-]+) ", done)
    assert float(gap) <= 1e-4


@pytest.mark.nightly
def test_scoring_benchmark_scores_refits_and_starts_anew() -> None:
    done = _run("scoring", "--touchpoints", "20_000")
    assert "400 conversions in " in done
    assert float(re.search(r"\(i\)÷\(b\), median of rounds: ([\d.]+)$", done, re.MULTILINE)[1]) > 0
    (difference,) = re.findall(r"\(j\) largest relative difference: (\S+) ", done)
    assert float(difference) <= 1e-12
    assert "MLflow, scikit-learn, statsmodels loaded: none" in done
    assert float(re.search(r"\(k\) the process from its start to its end, wall s, median: ([\d.]+)", done)[1]) > 0


@pytest.mark.nightly
def test_parity_benchmark_compares_credit_row_by_row(said: Said) -> None:
    done = said("parity", "--journeys", "1_000")
    found = re.findall(r"^scoring job and (.+?): ([\d,]+) rows, (\d+) in one only, .*credit (\S+) ", done, re.MULTILINE)
    assert "SQL in DuckDB" in {name for name, *_ in found}
    assert len(found) == 2 or "is not measured" in done
    for _, rows, alone, gap in found:
        assert int(rows.replace(",", "")) > 1_000
        assert int(alone) == 0
        assert float(gap) <= 1e-9


@pytest.mark.nightly
def test_peers_benchmark_compares_what_is_installed(said: Said) -> None:
    done = said("peers", "--journeys", "1_000")
    assert re.search(r"^attribution +all rules ", done, re.MULTILINE)
    if "the peers are not installed" in done:
        assert "÷" not in done
        pytest.skip("the peers are not installed: make peers")
    for what in (
        "all rules ÷ ChannelAttribution heuristic_models: cpu",
        "markov_3 ÷ ChannelAttribution markov_3: cpu",
        "shapley ÷ marketing-attribution-models shapley: cpu",
        "shapley ÷ shapley-attribution simplified: cpu",
    ):
        assert re.search(rf"^{re.escape(what)} [\d.]+, median [\d.]+; wall median [\d.]+$", done, re.MULTILINE), what
    # The same game by another hand, whatever it is called there.
    gaps = re.findall(r"^shapley-attribution +shapley, [\w ]+? +(\d\.\de[+-]\d\d)$", done, re.MULTILINE)
    assert len(gaps) == 4
    assert all(float(gap) < 1e-9 for gap in gaps)


def test_a_game_has_all_its_channels_and_those_never_touched(tmp_path: Path) -> None:
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        data.write_game(tmp_path / name, 2_000, 50)
    once, again = (pd.read_parquet(tmp_path / name / "journeys.parquet") for name in ("once", "again"))
    pd.testing.assert_frame_equal(once, again)
    *touched, untouched = once.itertuples(index=False)
    assert len(touched) == 2_000
    assert len({channel for row in touched for channel in row.path.split(" > ")}) == 50
    assert all(row.conversions + row.nulls == 1 for row in touched)
    assert untouched.path == ""
    assert untouched.conversions + untouched.nulls == 4_000
    rate = sum(row.conversions for row in touched) / 2_000
    assert 0 < untouched.conversions / 4_000 < rate < 0.15


def test_targets_are_said_with_their_digits() -> None:
    assert verdict(0.066, 1 / 15) == " (target ≤ 0.06667: met)"
    assert verdict(2_501, 2_500) == " (target ≤ 2,500: missed)"
    assert verdict(9.0, 1.2, applies=False) == ""


@pytest.mark.nightly
def test_sensitivity_benchmark_says_how_long_every_specification_takes(said: Said) -> None:
    done = said("sensitivity", "--journeys", "3_000")
    assert "20 channels; 8 models × 4 windows × 2 direct policies × 2 cost bases × 200 draws" in done
    assert float(re.search(r"\(h\) by the wall, median of rounds: ([\d.]+) s", done)[1]) > 0
