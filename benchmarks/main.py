"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.budget import measure_budget
from benchmarks.commands import measure_commands
from benchmarks.data import TINY, WARM
from benchmarks.events import measure_events, measure_models
from benchmarks.games import measure_games
from benchmarks.incremental import measure_incremental
from benchmarks.intervals import measure_intervals
from benchmarks.options import JOURNEYS, SCALE, TOUCHPOINTS, Options
from benchmarks.parity import measure_parity
from benchmarks.peers import measure_peers
from benchmarks.processes import JobError, our_python, peers_python, run_job
from benchmarks.report import Report
from benchmarks.scale import measure_scale
from benchmarks.scoring import measure_scoring
from benchmarks.sensitivity import measure_sensitivity
from benchmarks.spark import measure_spark

SECTIONS: dict[str, Callable[[Options, Report], None]] = {
    "events": measure_events,
    "models": measure_models,
    "scale": measure_scale,
    "spark": measure_spark,
    "intervals": measure_intervals,
    "incremental": measure_incremental,
    "games": measure_games,
    "sensitivity": measure_sensitivity,
    "budget": measure_budget,
    "scoring": measure_scoring,
    "parity": measure_parity,
    "peers": measure_peers,
    "commands": measure_commands,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate what is missing, measure, print."""
    asked = _parse(arguments)
    sections = asked.only or list(SECTIONS)
    options = Options(
        asked.touchpoints, asked.journeys, asked.scale, asked.rounds, asked.limit, our_python(), peers_python()
    )
    report = Report()
    report.say(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    try:
        _generate(options, sections)
        for section in sections:
            SECTIONS[section](options, report)
    except JobError as failure:
        sys.exit(f"benchmarks: {failure}")
    finally:
        if asked.json is not None:
            report.write(asked.json)


def _generate(options: Options, sections: Sequence[str]) -> None:
    events = {"events", "models", "scoring", "incremental"} & set(sections)
    sizes = {TINY} if events or {"scale", "spark"} & set(sections) else set()
    sizes |= {options.touchpoints} if events else set()
    sizes |= {options.scale // 10, options.scale} if "scale" in sections else set()
    sizes |= {options.scale // 10} if "spark" in sections else set()
    sizes |= {WARM, options.scale // 5} if "incremental" in sections else set()
    request = {
        "touchpoints": sorted(sizes),
        "journeys": [TINY, options.journeys] if {"intervals", "peers"} & set(sections) else [],
        "games": [TINY, options.journeys] if "games" in sections else [],
        "sensitivity": [TINY, options.journeys] if {"sensitivity", "parity"} & set(sections) else [],
    }
    run_job(options.python, "data", request)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure this project and its peers.")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="may be given several times")
    parser.add_argument("--rounds", type=_positive, default=3, help="repetitions of each measurement")
    parser.add_argument("--touchpoints", type=_positive, default=TOUCHPOINTS)
    parser.add_argument("--journeys", type=_positive, default=JOURNEYS, help="of the inputs in memory")
    parser.add_argument(
        "--scale",
        type=_positive,
        default=SCALE,
        help="touchpoints of the section scale; a tenth of them in spark, a fifth in incremental",
    )
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one process of a peer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every measurement")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
