"""Benchmarks of what channels caused: the hazard beside the journeys it is fitted on, chance, simulated worlds."""

from __future__ import annotations

from statistics import median

from benchmarks.data import event_files
from benchmarks.events import medians
from benchmarks.options import SCALE, TOUCHPOINTS, Options
from benchmarks.processes import Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

DRAWS = 500
CUSTOMERS = 150_000
WORLDS = ("default", "random", "activity", "null")
HAZARD_TARGET, DRAWS_TARGET, CHANCE_TARGET = 0.3, 1.2, 6.0
WORLD_TARGET = 3.0
LIMIT = 2_000_000_000
"""Bytes of the process that reads a log out of core."""


def measure_incremental(options: Options, report: Report) -> None:
    """(l) to (o) as ratios of CPU seconds, within one process each time; then worlds, and a log out of core."""
    touchpoints = options.touchpoints
    report.say(f"\nWhat channels caused: {touchpoints:,} touchpoints, integer ids; medians of {options.rounds}")
    _measure_ratios(options, report)
    _measure_worlds(options, report)
    _measure_large(options, report)


def _measure_ratios(options: Options, report: Report) -> None:
    read_once(event_files(options.touchpoints, "integer"))
    results = _run(options, report, "ratios", touchpoints=options.touchpoints, draws=DRAWS)
    report.note_versions("measured with", results[0].versions)
    names = [step.name for step in results[0].steps]
    report.say(table(["step", "wall s", "cpu s"], [[name, *medians(results, [name])] for name in names]))
    applies = options.touchpoints == TOUCHPOINTS
    for above, below, target in (
        ("hazard", "journeys", HAZARD_TARGET),
        ("hazard and draws", "journeys", DRAWS_TARGET),
        ("ten models and chance", "ten models", CHANCE_TARGET),
    ):
        ratio = median(result.step(above).cpu / result.step(below).cpu for result in results)
        report.derive(f"incremental: {above} ÷ {below}", ratio)
        report.say(f"{above} ÷ {below} by cpu, median: {ratio:.2f}{verdict(ratio, target, applies=applies)}")


def _measure_worlds(options: Options, report: Report) -> None:
    results = _run(options, report, "worlds", customers=CUSTOMERS, worlds=WORLDS)
    for world in WORLDS:
        cpu = medians(results, [world])[1]
        report.derive(f"incremental: world {world}", cpu)
        report.say(f"world {world}, {CUSTOMERS:,} customers with truth, cpu s: {cpu:.2f}{verdict(cpu, WORLD_TARGET)}")


def _measure_large(options: Options, report: Report) -> None:
    touchpoints = options.scale // 5
    read_once(event_files(touchpoints, "integer"))
    results = _run(options, report, "large", touchpoints=touchpoints, limit=LIMIT)
    peak = median(result.peak_mb for result in results) / 1000
    wall, cpu = medians(results, ["files to hazard"])
    report.derive("incremental: peak memory in GB", peak)
    aim = verdict(peak, LIMIT / 1e9, applies=options.scale == SCALE)
    report.say(
        f"{touchpoints:,} touchpoints, files to hazard within {LIMIT / 1e9:.0f} GB: "
        f"wall {wall:.1f} s, cpu {cpu:.1f} s, peak memory in GB {peak:.2f}{aim}"
    )


def _run(options: Options, report: Report, job: str, **asked: object) -> list[Result]:
    results = []
    for turn in range(1, options.rounds + 1):
        results.append(run_job(options.python, "incremental_jobs", {"job": job, **asked}))
        report.keep(f"incremental_{job}", turn, results[-1], **asked)
    return results
