"""Benchmarks of the command line, measured from outside."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.options import Options
from benchmarks.processes import ROOT, run_command
from benchmarks.report import Report
from benchmarks.text import table, verdict

HELP_TARGET = 0.3
RUN_TARGET = 6.0


def measure_commands(options: Options, report: Report) -> None:
    """``--help`` by the wall and one experiment by CPU, each after one run that sets things up."""
    attribution = str(Path(options.python).with_name("attribution"))
    experiment = "experiments/four_campaign.toml"
    commands = {"attribution --help": ([attribution, "--help"], "wall", HELP_TARGET)}
    if (ROOT.parent / "shared" / "data" / "four-campaign-clicks").exists():
        commands[f"attribution run {experiment}"] = (
            [attribution, "run", str(ROOT / experiment)],
            "cpu",
            RUN_TARGET,
        )
    else:
        report.say(f"\nthe data of {experiment} are not here: it is not run")
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory(prefix="attribution-benchmark-") as folder:
        for name, (command, counted, limit) in commands.items():
            run_command(command, Path(folder))
            results = [run_command(command, Path(folder)) for _ in range(options.rounds)]
            wall, cpu, peak = (
                median(getattr(result, what) for result in results) for what in ("wall", "cpu", "peak_mb")
            )
            measured = {"wall": wall, "cpu": cpu}[counted]
            rows.append([name, wall, cpu, round(peak), f"{counted}{verdict(measured, limit)}"])
            report.derive(name, measured, counted=counted)
    report.say(f"\nCommands; medians of {options.rounds}, after one run to set up")
    report.say(table(["command", "wall s", "cpu s", "peak MB", ""], rows))
