"""``attribution summarise``: what each day adds to the models of an experiment, kept as small files."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.commands.arguments import DAY, DryRun, ExperimentFile, Json, Overrides
from attribution.cli.console import print_json, progress
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.journeys import Journeys
    from attribution.production.refit import SummaryStore


def summarise(
    experiment: ExperimentFile,
    to: Annotated[Path, typer.Option(help="Folder of daily summaries; days are added to it.")],
    overrides: Overrides = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(formats=DAY, help="First day to write; one lookback window before the first that is not there."),
    ] = None,
    through: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=DAY, help="Last day that is complete; the day before that of the last event, unless given."
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Store what each day adds to the models of an experiment, so that a refit reads no log.

    [period] of the experiment is left aside: `attribution refit` chooses days.
    """
    from attribution.journeys import journeys_by_day
    from attribution.pipeline.request import check_channel_count, make_models, open_sources
    from attribution.pipeline.sections import read_experiment
    from attribution.production.refit import Definition, SummaryStore, day_name, summarise_days

    asked = read_experiment(experiment, overrides or ())
    store = SummaryStore.of(to, Definition.of(asked))
    with progress() as say:
        say("reading tables")
        models, sources = make_models(asked), open_sources(asked)
        options = asked.journeys.model_dump(exclude_unset=True, exclude={"account", "segment"})
        journeys = journeys_by_day(sources, **options)
        check_channel_count(asked, journeys)
        first, last = _days(store, journeys, since, through)
        document = {"to": str(to), "first": day_name(first), "last": day_name(last), "days": max(last - first + 1, 0)}
        if dry_run or last < first:
            _tell(document | {"written": [], "dry_run": dry_run}, as_json=as_json)
            return
        with store.locked():
            say(f"summarising {document['first']} to {document['last']}")
            days = summarise_days(journeys, models, first, last)
            written = [day for day, tables in days.items() if store.write(day, tables, journeys.channels)]
    _tell(document | {"written": [day_name(day) for day in written], "dry_run": False}, as_json=as_json)


def _days(
    store: SummaryStore, journeys: Journeys, since: dt.datetime | None, through: dt.datetime | None
) -> tuple[int, int]:
    """Numbers of the first and the last day to write."""
    from attribution.journeys import DAY as MICROSECONDS
    from attribution.production.refit import day_name, day_number

    assert journeys.span is not None
    begun, ended = (at // MICROSECONDS for at in journeys.span)
    last = ended - 1 if through is None else day_number(through.date())
    held = store.days
    first = _unsettled(journeys, held, begun) if since is None else day_number(since.date())
    if held and since is None and held[-1] >= last:
        first = last + 1
    for name, asked, day in (("since", since, first), ("through", through, last)):
        if asked is not None and not begun <= day <= ended:
            raise InputError(
                f"--{name} is not among the days of the log",
                given=day_name(day),
                allowed=f"{day_name(begun)} to {day_name(ended)}",
                hint="days that are to be written need their journeys, and the history before them",
            )
    _check_history(journeys, held, begun, first)
    return first, last


def _check_history(journeys: Journeys, held: Sequence[int], begun: int, first: int) -> None:
    """Refuse to write days anew from a log that begins too late to know what came before them."""
    from attribution.production.refit import day_name

    assert journeys.lookback_days is not None
    if held and begun > held[0] and first - begun < journeys.lookback_days:
        raise InputError(
            "the log begins too late: a day needs the touchpoints of one lookback window before it",
            given=f"a log from {day_name(begun)} for days from {day_name(first)}",
            allowed=f"a log from {day_name(first - math.ceil(journeys.lookback_days))} or before",
        )


def _unsettled(journeys: Journeys, held: Sequence[int], begun: int) -> int:
    """The first day that is not there, or may have changed since.

    A conversion may leave touchpoints behind that had seemed to be of a journey still open. They closed by
    themselves, at most one window before the conversion.
    """
    if not held:
        return begun
    assert journeys.lookback_days is not None
    return max(held[-1] + 1 - math.ceil(journeys.lookback_days), held[0], begun)


def _tell(document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    elif not document["days"]:
        typer.echo(f"All days through {document['last']} are in {document['to']} already.")
    elif document["dry_run"]:
        typer.echo(f"Would write {document['first']} to {document['last']} to {document['to']}.")
    else:
        written = document["written"]
        assert isinstance(written, list)
        days = document["days"]
        assert isinstance(days, int)
        kept = f"; {days - len(written)} said the same before" if len(written) != days else ""
        typer.echo(f"{document['first']} to {document['last']}: {len(written)} days written to {document['to']}{kept}.")
