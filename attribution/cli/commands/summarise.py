"""``attribution summarise``: what each day adds to the models of an experiment, kept as small files."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.commands.arguments import (
    DAY,
    Covers,
    DryRun,
    ExperimentFile,
    Json,
    MaxGapDays,
    Overrides,
    days_covered,
)
from attribution.cli.console import print_json, progress, warn
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.journeys import Journeys
    from attribution.production.refit import Log, SummaryStore, Tonight


def summarise(
    experiment: ExperimentFile,
    to: Annotated[Path, typer.Option(help="Folder of daily summaries. New days are added to it.")],
    overrides: Overrides = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            "--from", formats=DAY, help="First day to write. Default: one lookback window before the first missing day."
        ),
    ] = None,
    through: Annotated[
        dt.datetime | None,
        typer.Option(formats=DAY, help="Last complete day. Default: the day before the last event."),
    ] = None,
    covers: Covers = None,
    max_gap_days: MaxGapDays = 400,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Store a summary of each day for the models of an experiment, so that a refit need not read touchpoints again.

    The period of the experiment is ignored: `attribution refit` chooses the days.
    """
    from attribution.journeys import journeys_by_day
    from attribution.pipeline.builders import check_channel_count, make_models, open_sources
    from attribution.pipeline.sections import read_experiment
    from attribution.production.refit import Definition, SummaryStore, day_name, given_log, summarise_days

    settings = read_experiment(experiment, overrides or ())
    store = SummaryStore.of(to, Definition.of(settings))
    logs.bind(experiment=settings.name, summaries_version=store.definition.digest)
    with progress() as say:
        say("reading tables")
        models, sources = make_models(settings), open_sources(settings, latest=True)
        options = settings.journeys.model_dump(exclude_unset=True, exclude={"account", "segment"})
        journeys = journeys_by_day(sources, **options)
        check_channel_count(settings, journeys)
        assert journeys.lookback_days is not None
        log = given_log(sources, journeys.lookback_days, days_covered(covers), max_gap_days=max_gap_days)
        tonight = _tonight(store, log, journeys, since, through)
        document = _document(to, tonight)
        if dry_run:
            _tell(document | {"written": [], "dry_run": dry_run}, as_json=as_json)
            return
        with store.locked():
            say(f"summarising {document['first']} to {document['last']}")
            written = []
            if tonight.write:
                days = summarise_days(journeys, models, tonight.write[0], tonight.write[-1])
                written = [day for day in tonight.write if store.write(day, days[day], journeys.channels)]
            if store.days:
                store.write_log_state(tonight.log_state)
    _tell(document | {"written": [day_name(day) for day in written], "dry_run": False}, as_json=as_json)
    if tonight.stale:
        raise typer.Exit(3)


def _document(to: Path, tonight: Tonight) -> dict[str, object]:
    from attribution.production.refit import day_name

    first, last = (tonight.write[0], tonight.write[-1]) if tonight.write else (tonight.last + 1, tonight.last)
    return {
        "to": str(to),
        "first": day_name(first),
        "last": day_name(last),
        "days": len(tonight.write),
        "stale": [day_name(day) for day in tonight.stale],
        "cut": [day_name(day) for day in tonight.cut],
    }


def _tonight(
    store: SummaryStore, log: Log, journeys: Journeys, since: dt.datetime | None, through: dt.datetime | None
) -> Tonight:
    """Days to write: those that are new or changed, or from ``since`` on."""
    from attribution.journeys import DAY as MICROSECONDS
    from attribution.production.refit import choose_tonight, day_number

    assert journeys.span is not None
    known_inputs, held = store.read_log_state(), store.days
    last = journeys.span[1] // MICROSECONDS - 1 if through is None else day_number(through.date())
    from_day = None if since is None else day_number(since.date())
    chosen = choose_tonight(log, journeys, known_inputs, held, last=last, since=from_day)
    first = from_day if from_day is not None else chosen.write[0] if chosen.write else last + 1
    _check_asked(journeys, since, through, first, last)
    if since is not None or not known_inputs.inputs:
        _check_history(journeys, held, journeys.span[0] // MICROSECONDS, first)
    return chosen


def _check_asked(
    journeys: Journeys, since: dt.datetime | None, through: dt.datetime | None, first: int, last: int
) -> None:
    from attribution.journeys import DAY as MICROSECONDS
    from attribution.production.refit import day_name

    assert journeys.span is not None
    begun, ended = (at // MICROSECONDS for at in journeys.span)
    for name, chosen, day in (("from", since, first), ("through", through, last)):
        if chosen is not None and not begun <= day <= ended:
            raise InputError(
                f"--{name} is not a day of the tables",
                given=day_name(day),
                allowed=f"{day_name(begun)} to {day_name(ended)}",
                hint="the tables must have the days to write, and one lookback window before them",
            )


def _check_history(journeys: Journeys, held: Sequence[int], begun: int, first: int) -> None:
    """Refuse to write days anew from a log that begins too late to know what came before them."""
    from attribution.production.refit import day_name

    assert journeys.lookback_days is not None
    if held and begun > held[0] and first - begun < journeys.lookback_days:
        raise InputError(
            "the tables start too late: a day needs the touchpoints of one lookback window before it",
            given=f"tables from {day_name(begun)} on, for days from {day_name(first)} on",
            allowed=f"tables from {day_name(first - math.ceil(journeys.lookback_days))} or earlier",
        )


def _tell(document: dict[str, object], *, as_json: bool) -> None:
    cut, stale, written = document["cut"], document["stale"], document["written"]
    assert isinstance(cut, list)
    assert isinstance(stale, list)
    assert isinstance(written, list)
    logs.count(days=document["days"], days_written=len(written), days_stale=len(stale), days_incomplete=len(cut))
    if as_json:
        print_json(document)
    elif not document["days"]:
        typer.echo(f"{document['to']} already has all days through {document['last']}.")
    elif document["dry_run"]:
        typer.echo(
            f"The days {document['first']} to {document['last']} would be written to {document['to']}. Nothing was "
            "written."
        )
    else:
        days = document["days"]
        assert isinstance(days, int)
        unchanged = f"; {days - len(written)} unchanged" if len(written) != days else ""
        typer.echo(
            f"{document['first']} to {document['last']}: {pluralise(len(written), 'day')} written to "
            f"{document['to']}{unchanged}."
        )
    warn(_warnings(cut, stale), as_json=as_json)


def _warnings(cut: Sequence[str], stale: Sequence[str]) -> Iterator[str]:
    """Days that were left aside or may be wrong, and what to do."""
    if cut:
        yield (
            f"The log begins or ends in the middle of {' and '.join(cut)}, so that what it says of these days is left "
            "aside: give `--covers` if it tells all of them."
        )
    if stale:
        shown = ", ".join(stale[:5]) + (" …" if len(stale) > 5 else "")
        yield (
            f"{pluralise(len(stale), 'day')} may be out of date, and these tables lack the touchpoints to correct "
            f"that: {shown}. "
            "Summarise again with tables that have these days and one lookback window before them."
        )
