"""``attribution status``: what output folders hold, and what in them needs attention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.commands.arguments import NEGATIVE_VERDICT, Json
from attribution.cli.console import print_json

if TYPE_CHECKING:
    from attribution.production.status import Reason, Status

_SHOWN = 5
_TO_DO: dict[Reason, str] = {
    "outdated": "may be wrong: run the job on tables that have these days and one lookback window before them",
    "damaged": "not as written: run the job on tables that have these days, and it writes them again",
    "missing": "lack between days that are there: `attribution summarise --from DAY` writes them",
    "deferred": "changed and wait for a job without --from and --through",
}
_AGAIN = "not as written: make the folder again"


def status(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="Folders of scores, daily summaries, models, or runs.")
    ],
    openmetrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the figures to FILE in the OpenMetrics text format, for scrapers; - prints them.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what output folders hold, how far they reach, and what is wrong. Exit code 3: something needs attention."""
    from attribution.production.status import read_status

    statuses = [read_status(folder) for folder in dict.fromkeys(folders)]
    is_printed = openmetrics == Path("-")
    if openmetrics is not None:
        _write_figures(statuses, openmetrics)
    if as_json and not is_printed:
        print_json({"folders": [_document(each) for each in statuses]})
    for each in statuses:
        if not as_json and not is_printed:
            print("\n".join(_describe(each)))
        for sentence in _attention(each):
            logs.write(f"{each.folder}: {sentence}", level="warning")
            if not as_json and not is_printed:
                print(f"{each.folder}: {sentence}")
    needing = [each for each in statuses if each.needs_attention]
    logs.count(folders=len(statuses), folders_needing_attention=len(needing))
    if not needing and not as_json and not is_printed:
        print("Nothing needs attention.")
    if needing:
        raise typer.Exit(NEGATIVE_VERDICT)


def _write_figures(statuses: list[Status], to: Path) -> None:
    from attribution.cli.commands.saved_runs import replace_file
    from attribution.production.openmetrics import render_openmetrics

    text = render_openmetrics(statuses)
    if to == Path("-"):
        print(text, end="")
        return
    replace_file(to, text, is_own=lambda first: first.startswith("# TYPE attribution_"))


def _document(each: Status) -> dict[str, Any]:
    return {
        "folder": str(each.folder),
        "kind": each.kind,
        "name": each.name,
        "version": each.version,
        "package": each.package,
        "written_at": each.written_at,
        "first_day": each.first_day,
        "last_day": each.last_day,
        "days": each.days,
        **{f"days_{reason}": list(each.problems.get(reason, ())) for reason in _TO_DO},
        "measures_drifted": each.drifted,
        "rows": each.rows,
        "conversions": each.conversions,
        "unknown_channels": dict(each.unknown_channels),
        "job": each.job,
        "fault": each.fault,
        "needs_attention": each.needs_attention,
    }


def _describe(each: Status) -> Iterator[str]:
    of = {"scores": " of model", "model": ""}.get(each.kind, " of")
    called = "" if each.name is None else f"{of} {each.name}"
    version = "" if each.version is None else f", version {each.version}"
    yield f"{each.folder}: {each.kind}{called}{version}"
    if each.written_at is not None:
        package = "" if each.package is None else f" by version {each.package} of this package"
        yield f"  written {each.written_at}{package}"
    if each.days is not None or each.last_day is not None:
        count = "" if each.days is None else f"{pluralise(each.days, 'day')}"
        ends = "" if each.last_day is None else f"{each.first_day} to {each.last_day}"
        yield f"  {', '.join(filter(None, (count, ends)))}"
    if each.rows is not None and each.conversions is not None:
        yield f"  {pluralise(each.conversions, 'conversion')} in {pluralise(each.rows, 'row')}"
    if each.unknown_channels:
        counts = ", ".join(f"{channel} ({count:,})" for channel, count in each.unknown_channels.items())
        yield f"  touchpoints of channels that the model does not know: {counts}"
    if each.drifted is not None:
        yield f"  {pluralise(each.drifted, 'measure')} drifted"
    if each.job == "at work":
        yield "  a job is at work here"


def _attention(each: Status) -> Iterator[str]:
    """What is not as it should be, and what to do."""
    if each.fault is not None:
        yield each.fault
    if each.job == "died":
        yield "a job died here and left something aside. The next job clears it up: run it again."
    is_daily = each.kind in ("scores", "summaries")
    for reason, days in each.problems.items():
        shown = ", ".join(days[:_SHOWN]) + (" …" if len(days) > _SHOWN else "")
        what = pluralise(len(days), "day" if is_daily else "table")
        yield f"{what} {_TO_DO[reason] if is_daily else _AGAIN} ({shown})."
    if each.drifted:
        yield f"{pluralise(each.drifted, 'measure')} drifted: drift.csv says which. Refit the model on recent days."
