"""Benchmark of intervals: what 500 draws for ten models cost, beside fitting the ten once."""

from __future__ import annotations

from statistics import median

from benchmarks.data import PATH_CHANNELS, paths_folder
from benchmarks.options import JOURNEYS, Options
from benchmarks.processes import Result, Step, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

DRAWS = 500
RATIO_TARGET = 3.0


def measure_intervals(options: Options, report: Report) -> None:
    """(f) ten models fitted once against (g) the same with draws."""
    read_once([paths_folder(options.journeys) / "journeys.parquet"])
    results: list[Result] = []
    for turn in range(1, options.rounds + 1):
        results.append(run_job(options.python, "interval_jobs", {"journeys": options.journeys, "draws": DRAWS}))
        report.keep("intervals", turn, results[-1], journeys=options.journeys)
    report.note_versions("measured with", results[0].versions)
    notes = results[0].notes
    report.say(
        f"\nIntervals: {options.journeys:,} journeys, {PATH_CHANNELS} channels, {DRAWS} draws by {notes['by']}, "
        "paths in memory, one row per journey"
    )
    report.say("(f) ten models fitted in one pass over parsed journeys")
    report.say("(g) the same with draws: fit_and_resample on parsed journeys; drawing alone is a part of it")
    _show_rounds(report, results)
    _show_draws(report, results)
    for measure in ("wall", "cpu"):
        ratio = median(
            getattr(result.step("fit and draw"), measure) / getattr(result.step("fit"), measure) for result in results
        )
        report.derive("g_over_f", ratio, measure=measure)
        aim = verdict(ratio, RATIO_TARGET, applies=options.journeys == JOURNEYS)
        report.say(f"(g)÷(f) by {measure}, median of rounds: {ratio:.2f}{aim}")
    peaks = [median(peak) for peak in zip(*((r.notes["fit_peak_mb"], r.peak_mb) for r in results), strict=True)]
    report.derive("g_peak_mb", peaks[1])
    report.say(f"peak memory of the process, parsing included: {peaks[0]:,.0f} MB after (f), {peaks[1]:,.0f} MB in all")


def _show_rounds(report: Report, results: list[Result]) -> None:
    rows: list[list[object]] = []
    for turn, result in enumerate(results, start=1):
        row: list[object] = [turn]
        for step in (result.step("fit"), result.step("fit and draw"), drawing(result), result.step("tables")):
            row += [step.wall, step.cpu]
        rows.append(row)
    names = ("(f)", "(g)", "drawing", "tables")
    report.say(table(["round", *(f"{name} {what}" for name in names for what in ("wall s", "cpu s"))], rows))


def _show_draws(report: Report, results: list[Result]) -> None:
    rows: list[list[object]] = []
    for place, step in enumerate(results[0].steps):
        kind, _, label = step.name.partition(" ")
        if kind in ("draw", "check"):
            remark = "exact draws that check those by influences" if kind == "check" else ""
            walls, cpus = (median(getattr(r.steps[place], what) for r in results) for what in ("wall", "cpu"))
            rows.append([label, walls, cpus, remark])
    report.say(table(["drawing", "wall s", "cpu s", ""], rows))
    for label, error in results[0].notes["linearised"].items():
        report.say(f"{label} by influences: at most {error:.3f} standard deviations from the exact draws")


def drawing(result: Result) -> Step:
    """All draws, and the exact ones that check them."""
    return result.total([step.name for step in result.steps if step.name.startswith(("draw ", "check "))])
