"""Benchmarks on aggregated paths, against other packages on the same input."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from benchmarks.data import PATH_CHANNELS, paths_folder
from benchmarks.options import JOURNEYS, Options
from benchmarks.processes import JobError, Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

INPUTS = {"journeys": "one row per journey", "aggregated": "one row per path"}
RULES_TARGET = 0.4
ORDER_3_TARGET = 0.25

# Ours, then the same of ChannelAttribution; a process each, in turn.
_MATCHES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("first_touch", "last_touch", "linear", "markov_1"), ("heuristic_models", "markov_1")),
    (("markov_2",), ("markov_2",)),
    (("markov_3",), ("markov_3",)),
)
_OTHER_MODELS = ("last_non_direct", "position_based", "shapley")
_MAM = "marketing-attribution-models"
_MAM_CALLS = ("first_click", "last_click", "linear", "position_based", "markov", "shapley")

_REMARKS = {
    (_MAM, "markov_1"): "divides each journey by the shares of its channels, not the total",
    (_MAM, "shapley"): "another game: conversion rates of exact sets of at most four channels",
}

Runs = dict[str, list[Result]]


def measure_peers(options: Options, report: Report) -> None:
    """Every model on path strings in memory, ours and the peers'."""
    if options.peers_python is None:
        report.say("\nthe peers are not installed (make peers): only our own models are measured")
    for kind, meaning in INPUTS.items():
        read_once([paths_folder(options.journeys) / f"{kind}.parquet"])
        runs = _run_all(options, report, kind)
        for whose, results in runs.items():
            report.note_versions(f"{whose.split(':')[0]} measured with", results[0].versions)
        ours = [results for name, results in runs.items() if name.startswith("attribution")]
        rows = ours[0][0].notes["rows"]
        report.say(
            f"\nPaths in memory: {options.journeys:,} journeys, {PATH_CHANNELS} channels, {meaning} "
            f"({rows:,} rows); medians of {options.rounds}"
        )
        _show_times(report, runs)
        _show_ratios(report, runs, kind)
        _show_differences(report, runs, kind)


def _run_all(options: Options, report: Report, kind: str) -> Runs:
    """Results of every measured process, by "package: what it does"; what failed is said and left out."""
    plan = [step for ours, theirs in _MATCHES for step in (("attribution", ours), ("ChannelAttribution", theirs))]
    plan += [("attribution", _OTHER_MODELS), (_MAM, _MAM_CALLS)]
    runs: Runs = {}
    failed: set[str] = set()
    for turn in range(1, options.rounds + 1):
        for package, names in plan:
            label = f"{package}: {', '.join(names)}"
            if label in failed or (package != "attribution" and options.peers_python is None):
                continue
            try:
                result = _run(options, package, names, kind)
            except JobError as failure:
                if package == "attribution":
                    raise
                failed.add(label)
                report.say(f"{label}, {INPUTS[kind]}: {failure}")
                continue
            report.keep(label, turn, result, input=kind, journeys=options.journeys)
            runs.setdefault(label, []).append(result)
    return runs


def _run(options: Options, package: str, names: tuple[str, ...], kind: str) -> Result:
    request = {"journeys": options.journeys, "kind": kind}
    if package == "attribution":
        return run_job(options.python, "path_jobs", request | {"models": names})
    assert options.peers_python is not None
    request |= {"peer": package, "calls": names}
    return run_job(options.peers_python, "peer_jobs", request, limit=options.limit)


def _show_times(report: Report, runs: Runs) -> None:
    rows: list[list[object]] = []
    for label, results in runs.items():
        peak = round(median(result.peak_mb for result in results))
        for place, step in enumerate(results[0].steps):
            walls = median(result.steps[place].wall for result in results)
            cpus = median(result.steps[place].cpu for result in results)
            rows.append([label.split(":")[0], step.name, walls, cpus, peak])
    report.say(table(["package", "step", "wall s", "cpu s", "peak MB of the process"], rows))


def _show_ratios(report: Report, runs: Runs, kind: str) -> None:
    """Ours ÷ ChannelAttribution's, pair by pair; parsing counts once, with the rules."""
    for (names, calls), target in zip(_MATCHES, (RULES_TARGET, None, ORDER_3_TARGET), strict=True):
        ours = runs[f"attribution: {', '.join(names)}"]
        theirs = runs.get(f"ChannelAttribution: {', '.join(calls)}")
        if theirs is None or len(theirs) != len(ours):
            continue
        rows = ours[0].notes["rows"]
        counted = ("parse", *names) if len(names) > 1 else names
        pairs = [mine.total(counted).wall / other.total(calls).wall for mine, other in zip(ours, theirs, strict=True)]
        ratio = median(pairs)
        # The targets are for journeys as they come; a table somebody else has aggregated is said beside it.
        applies = target is not None and kind == "journeys" and rows == JOURNEYS
        aim = verdict(ratio, target or 0.0, applies=applies)
        each = " ".join(f"{pair:.2f}" for pair in pairs)
        what = f"{' + '.join(counted)} ÷ ChannelAttribution {' + '.join(calls)}"
        report.say(f"{what}: {each}, median {ratio:.2f}{aim}")
        report.derive("ours_over_channel_attribution", ratio, steps=list(counted), input=kind)


def _show_differences(report: Report, runs: Runs, kind: str) -> None:
    exact = _shares(runs, "attribution")
    rows: list[list[object]] = []
    for package in ("ChannelAttribution", _MAM):
        for name, theirs in _shares(runs, package).items():
            ours = exact[name.split(",")[0]]
            gap = max(abs(ours.get(c, 0.0) - theirs.get(c, 0.0)) for c in ours.keys() | theirs.keys())
            rows.append([package, name, f"{gap:.1e}", _REMARKS.get((package, name), "")])
            report.derive("largest_share_difference", gap, package=package, model=name, input=kind)
    if rows:
        report.say("largest difference of a channel's share of conversions from the exact one (ours)")
        report.say(table(["package", "model", "difference", ""], rows))


def _shares(runs: Runs, package: str) -> dict[str, Mapping[str, float]]:
    found: dict[str, Mapping[str, float]] = {}
    for label, results in runs.items():
        if label.startswith(f"{package}:"):
            found.update(results[0].shares)
    return found
