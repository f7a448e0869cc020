"""Benchmark of Spark beside DuckDB: files to the credit of all models, on one machine, for the record."""

from __future__ import annotations

from statistics import median

from benchmarks.data import event_files
from benchmarks.options import Options
from benchmarks.processes import Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.scale import LIMITS
from benchmarks.text import table

WHOLE = "CPU and memory of (e) are those of Python, the JVM and its Python workers, memory seen every 0.2 s"
PART = "CPU and memory of (e) are those of the driver's Python: the JVM and its Python workers are not counted here"


def measure_spark(options: Options, report: Report) -> None:
    """(d) credit by DuckDB against (e) the same by Spark."""
    touchpoints = options.scale // 10
    report.say(f"\nFiles to credit of all models by DuckDB and by Spark, {touchpoints:,} touchpoints, integer ids")
    files = {"ids": "integer", "touchpoints": touchpoints}
    read_once(event_files(touchpoints, "integer"))
    pairs: list[tuple[Result, Result]] = []
    for turn in range(1, options.rounds + 1):
        e = run_job(options.python, "spark_jobs", files)
        if "missing" in e.notes:
            report.say(f"Spark is not measured: {e.notes['missing']}")
            return
        d = run_job(options.python, "event_jobs", {"job": "credit", "limit": LIMITS["integer"], **files})
        report.keep("spark_d", turn, d, **files)
        report.keep("spark_e", turn, e, **files)
        pairs.append((d, e))
    report.note_versions("measured with", pairs[0][1].versions)
    report.say("(d) DuckDB: load_sources + build_journeys + ten models, after a tiny input")
    report.say("(e) Spark, local[2]: the same; its session is started and the tiny input computed before, both timed")
    report.say(WHOLE if pairs[0][1].notes["whole"] else PART)
    _show(report, pairs)


def _show(report: Report, pairs: list[tuple[Result, Result]]) -> None:
    rows: list[list[object]] = []
    for turn, (d, e) in enumerate(pairs, start=1):
        row: list[object] = [turn]
        for name, result in (("credit", d), ("start", e), ("tiny", e), ("credit", e)):
            row.append(result.step(name).wall)
            if name == "credit":
                row += [result.step(name).cpu, round(result.peak_mb)]
        rows.append(row)
    measures = ["wall s", "cpu s", "peak MB"]
    headings = ["round", *(f"(d) {what}" for what in measures), "(e) start s", "(e) tiny s"]
    report.say("\n" + table([*headings, *(f"(e) {what}" for what in measures)], rows))
    for name, value in (
        ("wall", median(e.step("credit").wall / d.step("credit").wall for d, e in pairs)),
        ("wall with the start", median(e.total(["start", "credit"]).wall / d.step("credit").wall for d, e in pairs)),
        ("CPU", median(e.step("credit").cpu / d.step("credit").cpu for d, e in pairs)),
    ):
        report.derive(f"spark (e)÷(d) {name}", value)
        report.say(f"(e)÷(d), {name}, median: {value:.1f}")
    same = all(d.notes["credit"] == e.notes["credit"] for d, e in pairs)
    report.derive("spark same credit", float(same))
    report.say(f"the same credit to the last digit: {'yes' if same else 'NO'}")
