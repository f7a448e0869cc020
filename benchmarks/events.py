"""Benchmarks on touchpoints and conversions."""

from __future__ import annotations

from statistics import median

from benchmarks.data import IDS, conversions_of, customers_of, event_files
from benchmarks.options import TOUCHPOINTS, Options
from benchmarks.processes import Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

RATIO_TARGET = 1.2
MEMORY_TARGET_MB = 2_500


def measure_events(options: Options, report: Report) -> None:
    """(a) sorting alone against (b) journeys, in turn."""
    report.say(f"\nEvents to journeys: {_sizes(options.touchpoints)}")
    report.say("(a) DuckDB reads both tables and sorts by customer and time to Arrow; its enum is made before")
    report.say("(b) the same files to journeys, whole: load_sources + build_journeys")
    for ids in IDS:
        read_once(event_files(options.touchpoints, ids))
        pairs = []
        for turn in range(1, options.rounds + 1):
            a, b = (_run(options, job, ids) for job in ("sort", "journeys"))
            report.keep("a", turn, a, ids=ids, touchpoints=options.touchpoints)
            report.keep("b", turn, b, ids=ids, touchpoints=options.touchpoints)
            pairs.append((a, b))
        report.note_versions("measured with", pairs[0][1].versions)
        _show_pairs(report, options.touchpoints, ids, pairs)


def measure_models(options: Options, report: Report) -> None:
    """(c) every model on the journeys of (b)."""
    report.say(f"\n(c) Models on journeys: {_sizes(options.touchpoints)}; medians of {options.rounds}")
    for ids in IDS:
        read_once(event_files(options.touchpoints, ids))
        results = []
        for turn in range(1, options.rounds + 1):
            results.append(_run(options, "models", ids))
            report.keep("c", turn, results[-1], ids=ids, touchpoints=options.touchpoints)
        report.note_versions("measured with", results[0].versions)
        names = [step.name for step in results[0].steps]
        rows = [[name, *medians(results, [name])] for name in names]
        wall, cpu = medians(results, names[:-1])
        peak = median(result.peak_mb for result in results)
        report.say(f"\n{ids} ids, {results[0].notes['journeys']:,} journeys")
        report.say(table(["model", "wall s", "cpu s"], [*rows, ["one by one", wall, cpu]]))
        report.say(f"peak memory, building included: {peak:,.0f} MB")
        for name, value in (("c_wall", wall), ("c_cpu", cpu), ("c_peak_mb", peak)):
            report.derive(name, value, ids=ids)


def medians(results: list[Result], names: list[str]) -> tuple[float, float]:
    """Median wall and CPU seconds of the named steps together."""
    totals = [result.total(names) for result in results]
    return median(step.wall for step in totals), median(step.cpu for step in totals)


def _run(options: Options, job: str, ids: str) -> Result:
    request = {"job": job, "ids": ids, "touchpoints": options.touchpoints}
    return run_job(options.python, "event_jobs", request)


def _show_pairs(report: Report, touchpoints: int, ids: str, pairs: list[tuple[Result, Result]]) -> None:
    rows: list[list[object]] = []
    for turn, (a, b) in enumerate(pairs, start=1):
        row: list[object] = [turn]
        for result in (a, b):
            row += [result.steps[0].wall, result.steps[0].cpu, round(result.peak_mb)]
        rows.append([*row, b.steps[0].wall / a.steps[0].wall, b.steps[0].cpu / a.steps[0].cpu])
    measures = ["wall s", "cpu s", "peak MB"]
    headings = ["round", *(f"{name} {what}" for name in ("(a)", "(b)") for what in measures)]
    report.say(f"\n{ids} ids, {pairs[0][1].notes['journeys']:,} journeys")
    report.say(table([*headings, "(b)÷(a) wall", "(b)÷(a) cpu"], rows))
    ratio = median(b.steps[0].wall / a.steps[0].wall for a, b in pairs)
    peak = median(b.peak_mb for _, b in pairs)
    report.derive("b_over_a", ratio, ids=ids)
    report.derive("b_peak_mb", peak, ids=ids)
    aim = verdict(ratio, RATIO_TARGET, applies=touchpoints == TOUCHPOINTS)
    report.say(f"(b)÷(a) with {ids} ids, median of pairs: {ratio:.2f}{aim}")
    aim = verdict(peak, MEMORY_TARGET_MB, applies=touchpoints == TOUCHPOINTS and ids == "integer")
    report.say(f"peak memory of (b) with {ids} ids, median: {peak:,.0f} MB{aim}")


def _sizes(touchpoints: int) -> str:
    return (
        f"{touchpoints:,} touchpoints, {conversions_of(touchpoints):,} conversions, "
        f"{customers_of(touchpoints):,} customers"
    )
