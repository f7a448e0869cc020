"""Changes the package in small ways and lists the changes that no test notices: ``make mutants``."""

from __future__ import annotations

import argparse
import os
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.mutants.changes import Change, drawn, files_of
from tests.mutants.covering import CHAPTERS, COMPILED, PLAIN, Covering, recorded, test_files
from tests.mutants.judging import Copies, Verdict, judged

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
RATCHET = Path(__file__).with_name("ratchet.toml")
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def equivalent_changes() -> dict[tuple[str, str, str], str]:
    """Return the changes that alter nothing a caller could see, by file, line and changed line, and why."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("equivalent", [])
    return {(entry["file"], entry["line"], entry["becomes"]): entry["reason"] for entry in entries}


def share_killed(verdicts: Sequence[Verdict]) -> float:
    return sum(verdict.outcome == "killed" for verdict in verdicts) / len(verdicts) if verdicts else 0.0


def covering(copies: Copies) -> Covering:
    """Return which tests run which lines; what is kept of earlier runs is used where nothing has changed."""
    jobs = [(way, tests) for way in (PLAIN, COMPILED) for tests in test_files(copies.first, way)]
    records: dict[str, list[Mapping[str, object]]] = {PLAIN: [], COMPILED: []}
    found = copies.each(lambda job, copy: recorded(copy, job[1], job[0], WORK / "covering"), jobs)
    for number, ((way, tests), record) in enumerate(zip(jobs, found, strict=True), 1):
        records[way].append(record)
        _progress(f"lines run by tests: {number} of {len(jobs)} ({tests}, {way})")
    unfit = sum(len(record["unfit"]) for of_way in records.values() for record in of_way)
    _progress(f"lines run by tests: {len(jobs)} files; {unfit} tests are too slow for this, or need the compiler\n")
    return Covering(records)


def judge(changes: Sequence[Change], lines: Covering, copies: Copies) -> Iterator[Verdict]:
    """Yield what becomes of each change."""
    killed = 0
    judgements = copies.each(lambda change, copy: judged(change, lines.tests_for(change), copy), changes)
    for number, verdict in enumerate(judgements, 1):
        killed += verdict.outcome == "killed"
        if verdict.outcome != "killed":
            _progress(f"{verdict.outcome}: {verdict.change}\n")
        _progress(f"{number} of {len(changes)}, {killed / number:.1%} killed")
        yield verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, judge and report; 1 where the share is below the accepted one, else 0."""
    accepted = tomllib.loads(RATCHET.read_text(encoding="utf-8"))
    options = _parser(accepted).parse_args(arguments)
    started = time.perf_counter()
    copies = Copies(ROOT, WORK, options.workers)
    sample = drawn(files_of(copies.first, options.only or list(CHAPTERS)), options.count, options.seed)
    reasons = equivalent_changes()
    alike = [change for change in sample if (change.file, change.before, change.after) in reasons]
    verdicts = list(judge([change for change in sample if change not in alike], covering(copies), copies))
    report = _report(verdicts, alike, reasons, options.seed)
    target = WORK / f"seed-{options.seed}.txt"
    target.write_text(report, encoding="utf-8")
    _progress(f"{report.splitlines()[0]} {(time.perf_counter() - started) / 60:.0f} minutes. All: {target}\n")
    return _held_against(accepted, verdicts, options)


def _parser(accepted: Mapping[str, float]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=int(accepted["count"]), help="how many changes are drawn")
    parser.add_argument("--seed", type=int, default=int(accepted["seed"]), help="of the draw")
    parser.add_argument("-n", "--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", help="a folder or file to draw from, in place of all")
    parser.add_argument("--accept", action="store_true", help="write the share into the ratchet file")
    return parser


def _report(
    verdicts: Sequence[Verdict], alike: Sequence[Change], reasons: Mapping[tuple[str, str, str], str], seed: int
) -> str:
    killed = sum(verdict.outcome == "killed" for verdict in verdicts)
    lines = [f"Seed {seed}: {killed} of {len(verdicts)} changes were killed ({share_killed(verdicts):.1%})."]
    lines += [f"{len(alike)} more change nothing (tests/mutants/equivalent.toml)."] if alike else []
    lines += [f"{verdict.outcome}: {verdict.change}" for verdict in verdicts if verdict.outcome != "killed"]
    lines += [f"equivalent: {change}\n    {reasons[change.file, change.before, change.after]}" for change in alike]
    lines += [f"killed: {verdict.change}" for verdict in verdicts if verdict.outcome == "killed"]
    return "\n".join(lines) + "\n"


def _held_against(accepted: Mapping[str, float], verdicts: Sequence[Verdict], options: argparse.Namespace) -> int:
    """Only a whole sample is held against the ratchet: the share of a few changes is chance."""
    share = share_killed(verdicts)
    if options.accept:
        text = RATCHET.read_text(encoding="utf-8").splitlines(keepends=True)
        comments = "".join(line for line in text if line.startswith("#"))
        RATCHET.write_text(
            f"{comments}seed = {options.seed}\ncount = {options.count}\nshare = {int(share * 1000) / 1000}\n",
            encoding="utf-8",
        )
        return 0
    if not accepted["share"]:
        _progress("No measurement has been accepted yet, so nothing was held against one: --accept writes it.\n")
        return 0
    if options.only or options.count < accepted["count"] or share >= accepted["share"]:
        return 0
    _progress(f"{share:.1%} were killed, {accepted['share']:.1%} were accepted last: write tests for what survived.\n")
    return 1


def _progress(text: str) -> None:
    """One line that is written over on a terminal, and lines that stay elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
    else:
        sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
