"""Benchmarks on aggregated paths, against other packages on the same input."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Literal, NamedTuple

from benchmarks.data import PATH_CHANNELS, paths_folder
from benchmarks.options import JOURNEYS, Options
from benchmarks.processes import JobError, Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

INPUTS = {"journeys": "one row per journey", "aggregated": "one row per path"}
_CHANNEL_ATTRIBUTION = "ChannelAttribution"
_MAM = "marketing-attribution-models"
_SHAPLEY = "shapley-attribution"

# A process each, in turn: what is compared is measured close together.
_PROCESSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("attribution", ("first_touch", "last_touch", "linear", "markov_1")),
    (_CHANNEL_ATTRIBUTION, ("heuristic_models", "markov_1")),
    ("attribution", ("all rules",)),
    ("attribution", ("markov_2",)),
    (_CHANNEL_ATTRIBUTION, ("markov_2",)),
    ("attribution", ("markov_3",)),
    (_CHANNEL_ATTRIBUTION, ("markov_3",)),
    (_MAM, ("first_click", "last_click", "linear", "position_based", "markov", "shapley")),
    ("attribution", ("shapley",)),
    (_SHAPLEY, ("simplified",)),
    (_SHAPLEY, ("simplified of converting", "path of converting", "monte_carlo of converting")),
)


class Ratio(NamedTuple):
    """Our steps, a peer's, and the target of ours ÷ theirs by ``measure``."""

    ours: tuple[str, ...]
    package: str
    theirs: tuple[str, ...]
    measure: Literal["wall", "cpu"]
    target: float | None


_RATIOS = (
    Ratio(
        ("parse", "first_touch", "last_touch", "linear", "markov_1"),
        _CHANNEL_ATTRIBUTION,
        ("heuristic_models", "markov_1"),
        "wall",
        0.4,
    ),
    Ratio(("all rules",), _CHANNEL_ATTRIBUTION, ("heuristic_models",), "cpu", 1 / 4),
    Ratio(("markov_2",), _CHANNEL_ATTRIBUTION, ("markov_2",), "cpu", None),
    Ratio(("markov_3",), _CHANNEL_ATTRIBUTION, ("markov_3",), "cpu", 1 / 15),
    Ratio(("shapley",), _MAM, ("shapley",), "cpu", 1 / 20),
    Ratio(("shapley",), _SHAPLEY, ("simplified",), "cpu", 1 / 20),
    Ratio(("shapley",), _SHAPLEY, ("simplified of converting",), "cpu", None),
)

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
    runs: Runs = {}
    failed: set[str] = set()
    for turn in range(1, options.rounds + 1):
        for package, names in _PROCESSES:
            label = f"{package}: {', '.join(names)}"
            if package == _SHAPLEY and kind != "journeys":
                continue  # It takes journeys one by one and nothing else.
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
    """Ours ÷ a peer's, pair by pair; parsing counts once, with the rules."""
    for ratio in _RATIOS:
        ours = _results(runs, "attribution", ratio.ours[-1])
        theirs = _results(runs, ratio.package, ratio.theirs[-1])
        if len(theirs) != len(ours):
            continue
        pairs = [(mine.total(ratio.ours), other.total(ratio.theirs)) for mine, other in zip(ours, theirs, strict=True)]
        each = {
            "wall": [mine.wall / other.wall for mine, other in pairs],
            "cpu": [mine.cpu / other.cpu for mine, other in pairs],
        }
        counted = each.pop(ratio.measure)
        # The targets are for journeys as they come; a table somebody else has aggregated is said beside it.
        applies = ratio.target is not None and kind == "journeys" and ours[0].notes["rows"] == JOURNEYS
        aim = verdict(median(counted), ratio.target or 0.0, applies=applies)
        shown = " ".join(f"{pair:.3f}" for pair in counted)
        ((other_measure, other_pairs),) = each.items()
        report.say(
            f"{' + '.join(ratio.ours)} ÷ {ratio.package} {' + '.join(ratio.theirs)}: {ratio.measure} {shown}, "
            f"median {median(counted):.3f}{aim}; {other_measure} median {median(other_pairs):.3f}"
        )
        for measure, values in ((ratio.measure, counted), (other_measure, other_pairs)):
            about = {"steps": list(ratio.ours), "package": ratio.package, "theirs": list(ratio.theirs)}
            report.derive("ours_over_peer", median(values), measure=measure, input=kind, **about)


def _results(runs: Runs, package: str, step: str) -> list[Result]:
    """Those of the process that did this step; none if it failed."""
    for label, results in runs.items():
        if label.startswith(f"{package}:") and any(done.name == step for done in results[0].steps):
            return results
    return []


def _show_differences(report: Report, runs: Runs, kind: str) -> None:
    exact = _shares(runs, "attribution")
    rows: list[list[object]] = []
    for package in (_CHANNEL_ATTRIBUTION, _MAM, _SHAPLEY):
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
