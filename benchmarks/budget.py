"""Benchmark of a budget: the best spend of fifty channels."""

from __future__ import annotations

from statistics import median

from benchmarks.options import Options
from benchmarks.processes import Result, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

CHANNELS = 50
SECONDS_TARGET = 1.0
GAP_TARGET = 1e-4
PROPOSAL = "a proposal"


def measure_budget(options: Options, report: Report) -> None:
    """Allocation under few limits and under all of them, curves concave and S-shaped."""
    results: list[Result] = []
    for turn in range(1, options.rounds + 1):
        results.append(run_job(options.python, "budget_jobs", {"channels": CHANNELS}))
        report.keep("budget", turn, results[-1], channels=CHANNELS)
    report.note_versions("measured with", results[0].versions)
    report.say(f"\nBudget: the spend of {CHANNELS} channels that returns most; medians of {options.rounds}")
    report.say("a proposal is three such, with 500 draws solved again or added up, and their tables")
    names = [step.name for step in results[0].steps]
    walls = {name: median(result.step(name).wall for result in results) for name in names}
    gaps = results[0].notes
    shown = {name: f"{gap:.0e}" for name, gap in gaps.items()}
    report.say(table(["", "wall s", "optimality gap"], [[name, walls[name], shown.get(name, "")] for name in names]))
    slowest = max(wall for name, wall in walls.items() if name != PROPOSAL)
    for what, value, target in (
        (f"slowest allocation of {CHANNELS} channels, wall s", slowest, SECONDS_TARGET),
        ("widest optimality gap", max(gaps.values()), GAP_TARGET),
    ):
        report.derive(f"budget: {what}", value)
        report.say(f"{what}: {value:.3g}{verdict(value, target)}")
