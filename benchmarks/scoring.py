"""Benchmarks of what runs every night: the scoring job, a refit from daily summaries, the first score of a process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.data import DAYS, TINY, conversions_of, event_files
from benchmarks.options import TOUCHPOINTS, Options
from benchmarks.processes import ROOT, Result, read_once, run_command, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

RATIO_TARGET = 2.0
MEMORY_TARGET_MB = 1_500
REFIT_TARGET = 2.0
DIFFERENCE_TARGET = 1e-12
FIRST_TARGET = 1.0


def measure_scoring(options: Options, report: Report) -> None:
    """(i) scoring against (b) journeys, (j) refit, (k) first score; the model and the summaries are made before."""
    with tempfile.TemporaryDirectory(prefix="attribution-benchmark-") as folder:
        read_once(event_files(options.touchpoints, "integer"))
        made = _run(options, "prepare", folder=folder, summaries=True)
        report.keep("scoring prepare", 1, made, touchpoints=options.touchpoints)
        report.note_versions("measured with", made.versions)
        # Models of other files would not know what these need.
        (Path(folder) / "tiny").mkdir()
        _run(options, "prepare", touchpoints=TINY, folder=f"{folder}/tiny", summaries=False)
        _measure_job(options, report, folder)
        _measure_refit(options, report, folder)
        _measure_first(options, report, folder)


def _measure_job(options: Options, report: Report, folder: str) -> None:
    sizes = f"{options.touchpoints:,} touchpoints, {conversions_of(options.touchpoints):,} conversions, integer ids"
    report.say(f"\nScoring: {sizes}")
    report.say("(b) files to journeys, whole: load_sources + build_journeys")
    report.say("(i) the same files to a file of credit for each day, by a Markov model, as `attribution score` does it")
    rows: list[list[object]] = []
    ratios, peaks = [], []
    for turn in range(1, options.rounds + 1):
        asked = {"job": "journeys", "ids": "integer", "touchpoints": options.touchpoints}
        b = run_job(options.python, "event_jobs", asked)
        warm = {"folder": f"{folder}/tiny", "out": f"{folder}/tiny/scored-{turn}"}
        i = _run(options, "score", folder=folder, out=f"{folder}/scored-{turn}", warm=warm)
        for name, result in (("b", b), ("i", i)):
            report.keep(name, turn, result, ids="integer", touchpoints=options.touchpoints)
        walls = [b.steps[0].wall, i.steps[0].wall]
        ratios.append(walls[1] / walls[0])
        peaks.append(i.peak_mb)
        cpu = [b.steps[0].cpu, i.steps[0].cpu]
        rows.append([turn, walls[0], cpu[0], walls[1], cpu[1], round(i.peak_mb), ratios[-1]])
    headings = ["round", "(b) wall s", "(b) cpu s", "(i) wall s", "(i) cpu s", "(i) peak MB", "(i)÷(b) wall"]
    report.say("\n" + table(headings, rows))
    notes = i.notes
    report.say(f"{notes['conversions']:,} conversions in {notes['rows']:,} rows on {notes['days']} days")
    applies = options.touchpoints == TOUCHPOINTS
    _say(report, "(i)÷(b), median of rounds", median(ratios), RATIO_TARGET, applies=applies)
    _say(report, "peak memory of (i), MB, median", median(peaks), MEMORY_TARGET_MB, applies=applies)


def _measure_refit(options: Options, report: Report, folder: str) -> None:
    report.say(f"\n(j) Refit of ten models from {DAYS} daily summaries; the same from the files for comparison")
    raw = _run(options, "raw")
    results = [_run(options, "refit", folder=folder) for _ in range(options.rounds)]
    for turn, result in enumerate(results, start=1):
        report.keep("j", turn, result, touchpoints=options.touchpoints)
    report.keep("j raw", 1, raw, touchpoints=options.touchpoints)
    size = sum(path.stat().st_size for path in (Path(folder) / "days").rglob("*.parquet")) / 1e6
    report.say(f"summaries: {size:.1f} MB; from the files: {raw.step('raw').wall:.1f} s")
    applies = options.touchpoints == TOUCHPOINTS
    _say(
        report, "(j) wall s, median", median(result.steps[0].wall for result in results), REFIT_TARGET, applies=applies
    )
    _say(report, "(j) largest relative difference", _difference(results[0], raw), DIFFERENCE_TARGET)


def _difference(a: Result, b: Result) -> float:
    """The largest relative difference of two tables of credit; infinite if their rows are not of the same things."""
    one, other = a.notes["credit"], b.notes["credit"]
    if [row[:2] for row in one] != [row[:2] for row in other]:
        return float("inf")
    pairs = [pair for x, y in zip(one, other, strict=True) for pair in zip(x[2:], y[2:], strict=True)]
    return max(abs(x - y) / max(abs(x), abs(y), 1.0) for x, y in pairs)


def _measure_first(options: Options, report: Report, folder: str) -> None:
    report.say("\n(k) A new process: Scorer.load and the first score, with all that is imported for it")
    results = [_run(options, "first", folder=folder) for _ in range(options.rounds)]
    for turn, result in enumerate(results, start=1):
        report.keep("k", turn, result)
    names = ["import", "load", "score"]
    rows: list[list[object]] = [
        [turn, *(result.step(name).wall for name in names), result.total(names).cpu, round(result.peak_mb)]
        for turn, result in enumerate(results, start=1)
    ]
    report.say(table(["round", "import s", "load s", "score s", "cpu s", "peak MB"], rows))
    unwanted = sorted({name for result in results for name in result.notes["unwanted"]})
    report.say(f"MLflow, scikit-learn, statsmodels loaded: {', '.join(unwanted) or 'none'}")
    beside = [result.total(["load", "score"]).wall for result in results]
    _say(report, "(k) load and first score, wall s, median", median(beside), FIRST_TARGET)
    whole = [result.total(names).wall for result in results]
    _say(report, "(k) the same with imports, wall s, median", median(whole), FIRST_TARGET)
    code = "import sys; from benchmarks.scoring_jobs import first; from benchmarks.clock import Clock; "
    command = [options.python, "-c", f"{code}first({{'folder': sys.argv[1]}}, Clock())", folder]
    outside = median(run_command(command, ROOT).wall for _ in range(options.rounds))
    report.derive("(k) the process from outside", outside)
    report.say(f"(k) the process from its start to its end, wall s, median: {outside:.2f}")


def _say(report: Report, what: str, value: float, target: float, *, applies: bool = True) -> None:
    report.derive(what, value)
    report.say(f"{what}: {value:.3g}{verdict(value, target, applies=applies)}")


def _run(options: Options, job: str, **more: Any) -> Result:
    return run_job(options.python, "scoring_jobs", {"touchpoints": options.touchpoints, "job": job, **more})
