"""Benchmark of sensitivity: every specification, with draws, from files to verdicts."""

from __future__ import annotations

from statistics import median

from benchmarks.data import sensitivity_folder
from benchmarks.options import JOURNEYS, Options
from benchmarks.processes import Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

DRAWS = 200
SECONDS_TARGET = 60.0


def measure_sensitivity(options: Options, report: Report) -> None:
    """(h) all of ``[sensitivity]``, after a run has fitted its models once."""
    folder = sensitivity_folder(options.journeys)
    read_once([folder / f"{name}.parquet" for name in ("touchpoints", "conversions", "costs")])
    results: list[Result] = []
    for turn in range(1, options.rounds + 1):
        results.append(run_job(options.python, "sensitivity_jobs", {"journeys": options.journeys, "draws": DRAWS}))
        report.keep("sensitivity", turn, results[-1], journeys=options.journeys)
    report.note_versions("measured with", results[0].versions)
    notes = results[0].notes
    report.say(
        f"\nSensitivity: {notes['journeys']:,} journeys of {options.journeys:,} customers, "
        f"{notes['channels']} channels; "
        f"8 models × 4 windows × 2 direct policies × 2 cost bases × {DRAWS} draws"
    )
    report.say("(h) journeys of every window, all fits and draws, and the tables made of them")
    rows: list[list[object]] = []
    for turn, result in enumerate(results, start=1):
        steps = [result.step(name) for name in ("fit once", "sensitivity")]
        rows.append([turn, *(value for step in steps for value in (step.wall, step.cpu)), result.peak_mb])
    report.say(table(["round", "fit once wall s", "cpu s", "(h) wall s", "(h) cpu s", "peak MB"], rows))
    seconds = median(result.step("sensitivity").wall for result in results)
    report.derive("sensitivity_seconds", seconds)
    aim = verdict(seconds, SECONDS_TARGET, applies=options.journeys == JOURNEYS)
    report.say(f"(h) by the wall, median of rounds: {seconds:.1f} s{aim}")
