"""Benchmarks of what does not fit into memory: files to the credit of all models, within a limit."""

from __future__ import annotations

from statistics import median

from benchmarks.data import event_files
from benchmarks.options import SCALE, Options
from benchmarks.processes import Result, read_once, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

LIMITS = {"integer": 4_000_000_000, "uuid": 6_000_000_000}
"""Bytes of the process, by kind of ids."""

RATIO_TARGET = 1.5
GROWTH_TARGET = 1.15
IDS_TARGET = 2.0


def measure_scale(options: Options, report: Report) -> None:
    """(a) sorting alone with all memory against (d) credit of all models within a limit, at two sizes."""
    small, large = options.scale // 10, options.scale
    report.say(f"\nFiles to credit of all models, {small:,} and {large:,} touchpoints")
    report.say("(a) DuckDB reads both tables and sorts by customer and time to Arrow, with all memory it wants")
    report.say("(d) the same files to credit: load_sources + build_journeys + ten models, within memory_limit")
    applies = large == SCALE
    whole: dict[str, float] = {}
    for ids, limit in LIMITS.items():
        for touchpoints in (small, large):
            read_once(event_files(touchpoints, ids))
        rows: list[list[object]] = []
        ratios, growths, walls, peaks = [], [], [], []
        for turn in range(1, options.rounds + 1):
            asked = {"ids": ids, "limit": limit}
            a = _run(options, {"job": "sort", "ids": ids, "touchpoints": large})
            d_small = _run(options, {"job": "credit", "touchpoints": small, **asked})
            d = _run(options, {"job": "credit", "touchpoints": large, **asked})
            report.keep("scale_a", turn, a, ids=ids, touchpoints=large)
            report.keep("scale_d", turn, d_small, ids=ids, touchpoints=small)
            report.keep("scale_d", turn, d, ids=ids, touchpoints=large)
            seconds = [result.steps[0].wall for result in (a, d_small, d)]
            ratios.append(seconds[2] / seconds[0])
            growths.append(seconds[2] / seconds[1] / 10)
            walls.append(seconds[2])
            peaks.append(d.peak_mb)
            cpu = [result.steps[0].cpu for result in (a, d)]
            rows.append([turn, seconds[0], cpu[0], round(a.peak_mb), seconds[1], seconds[2], cpu[1], round(d.peak_mb)])
        headings = ["round", "(a) wall s", "(a) cpu s", "(a) peak MB", "(d) tenth wall s"]
        report.say(f"\n{ids} ids, limit {limit / 1e9:.0f} GB")
        report.say(table([*headings, "(d) wall s", "(d) cpu s", "(d) peak MB"], rows))
        whole[ids] = median(walls)
        for name, value, aim in (
            ("(d)÷(a)", median(ratios), RATIO_TARGET),
            ("growth from a tenth to all ÷ 10", median(growths), GROWTH_TARGET),
            ("peak memory in GB", median(peaks) / 1000, limit / 1e9),
        ):
            report.derive(f"scale {name}", value, ids=ids)
            report.say(f"{name} with {ids} ids, median: {value:.2f}{verdict(value, aim, applies=applies)}")
    ratio = whole["uuid"] / whole["integer"]
    report.derive("scale uuid over integer", ratio)
    report.say(f"\nUUID ÷ integer ids, (d): {ratio:.2f}{verdict(ratio, IDS_TARGET, applies=applies)}")


def _run(options: Options, request: dict[str, object]) -> Result:
    return run_job(options.python, "event_jobs", request)
