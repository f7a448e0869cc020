"""Benchmarks of what grows with the number of channels: rate games, and a chain of order 4."""

from __future__ import annotations

from statistics import median

from benchmarks.data import GAME_CHANNELS, game_file
from benchmarks.options import JOURNEYS, Options
from benchmarks.processes import Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

FEW, MANY = GAME_CHANNELS
JOBS = {
    f"Shapley rate, {FEW} channels, exact": ("rate", FEW),
    f"Shapley rate, {MANY} channels, sampled": ("rate", MANY),
    f"Markov order 4, {MANY} channels": ("markov_4", MANY),
}
EXACT_TARGET = 0.2
SAMPLED_TARGET = 20.0
ERROR_TARGET = 0.01
CHAIN_TARGET = 30.0
CHAIN_MEMORY_TARGET = 4.0


def measure_games(options: Options, report: Report) -> None:
    """The Shapley value of rates for few and for many channels, and Markov order 4 for many."""
    read_once([game_file(options.journeys, channels) for channels in GAME_CHANNELS])
    runs: dict[str, list[Result]] = {name: [] for name in JOBS}
    for turn in range(1, options.rounds + 1):
        for name, (job, channels) in JOBS.items():
            request = {"job": job, "channels": channels, "journeys": options.journeys}
            runs[name].append(run_job(options.python, "game_jobs", request))
            report.keep(name, turn, runs[name][-1], journeys=options.journeys)
    exact, sampled, chain = runs.values()
    report.note_versions("measured with", exact[0].versions)
    report.say(
        f"\nMany channels: {options.journeys:,} journeys in memory, a row each, beside a row of those never touched; "
        f"medians of {options.rounds}"
    )
    report.say("parse and fit are from path strings to credit; solve is what of fit comes after the summary, again")
    _show_times(report, runs)
    report.say(
        f"coalitions seen: {exact[0].notes['sets']:,} of {FEW} channels, {sampled[0].notes['sets']:,} of {MANY}; "
        f"{sampled[0].notes['pairs']:,} pairs of orders drawn; {chain[0].notes['states']:,} states of the chain"
    )
    for what, values, target in (
        (f"Shapley rate of {FEW} channels, exact, solve, wall s", _walls(exact, ["solve"]), EXACT_TARGET),
        (f"Shapley rate of {MANY} channels, fit, wall s", _walls(sampled, ["fit"]), SAMPLED_TARGET),
        ("its largest standard error ÷ mean credit", [r.notes["error"] for r in sampled], ERROR_TARGET),
        (f"Markov order 4 of {MANY} channels, parse + fit, wall s", _walls(chain, ["parse", "fit"]), CHAIN_TARGET),
        ("its peak memory, whole process, GB", [r.peak_mb / 1000 for r in chain], CHAIN_MEMORY_TARGET),
    ):
        value = median(values)
        report.derive(f"games: {what}", value)
        report.say(f"{what}: {value:.3g}{verdict(value, target, applies=options.journeys == JOURNEYS)}")


def _show_times(report: Report, runs: dict[str, list[Result]]) -> None:
    rows: list[list[object]] = []
    for name, results in runs.items():
        peak = round(median(result.peak_mb for result in results))
        for place, step in enumerate(results[0].steps):
            walls, cpus = (median(getattr(r.steps[place], what) for r in results) for what in ("wall", "cpu"))
            rows.append([name, step.name, walls, cpus, peak])
    report.say(table(["", "step", "wall s", "cpu s", "peak MB of the process"], rows))


def _walls(results: list[Result], steps: list[str]) -> list[float]:
    return [result.total(steps).wall for result in results]
