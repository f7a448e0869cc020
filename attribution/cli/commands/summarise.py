"""``attribution summarise``: what each day adds to the models of an experiment, kept as small files."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.commands.arguments import (
    DAY,
    NEGATIVE_VERDICT,
    Covers,
    DryRun,
    Due,
    ExperimentFile,
    Json,
    MaxGapDays,
    Overrides,
    ThresholdsFile,
    check_order,
    days_covered,
    parse_day,
    report_guards,
)
from attribution.cli.console import print_json, progress, warn
from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.journeys import Journeys
    from attribution.models import AttributionModel
    from attribution.production.guards import GuardResult, Thresholds
    from attribution.production.refit import Log, SummaryGuards, SummaryStore, Tonight


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
    due: Due = None,
    thresholds: ThresholdsFile = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Store a summary of each day for the models of an experiment, so that a refit need not read touchpoints again.

    The period of the experiment is ignored: `attribution refit` chooses the days. Exit code 3: the tables lack
    something, such as a channel or the history of a day.
    """
    from attribution.journeys import journeys_by_day
    from attribution.pipeline.builders import check_channel_count, make_models, open_sources
    from attribution.pipeline.sections import read_experiment
    from attribution.production.guards import read_thresholds
    from attribution.production.refit import Definition, SummaryStore, given_log, history_of_days
    from attribution.production.scoring.days import unsure_days

    check_order(_number(since), _number(through))
    limits, due_day = read_thresholds(thresholds), parse_day(due, "--due")
    settings = read_experiment(experiment, overrides or ())
    store = SummaryStore.of(to, Definition.of(settings))
    logs.bind(experiment=settings.name, summaries_version=store.definition.digest)
    with progress() as say:
        say("reading tables")
        models, sources = make_models(settings), open_sources(settings, latest=True)
        journeys = journeys_by_day(sources, **settings.journeys.of_building)
        check_channel_count(settings, journeys)
        assert journeys.lookback_days is not None
        days = {"unsure_days": unsure_days(settings.journeys), "history_days": history_of_days(models)}
        log = given_log(sources, journeys.lookback_days, days_covered(covers), max_gap_days=max_gap_days, **days)
        tonight = _tonight(store, log, journeys, since, through)
        guards = _guards(store, log, tonight, limits, (due_day, _number(through)))
        document = _document(to, tonight)
        written: list[str] = []
        results = guards.judge_log()
        if not dry_run:
            say(f"summarising {document['first']} to {document['last']}")
            written, of_days = _write(store, tonight, guards, results, journeys, models)
            results += of_days
    _tell(document | {"written": written, "dry_run": dry_run}, results, as_json=as_json)
    if tonight.stale:
        _tell_stale(tonight.stale, journeys.lookback_days, log.history.days)
    holds = report_guards(results, limits, written="summaries" if written else None)
    if tonight.stale or not holds:
        raise typer.Exit(NEGATIVE_VERDICT)


def _number(day: dt.datetime | None) -> int | None:
    from attribution.production.refit import day_number

    return None if day is None else day_number(day.date())


def _guards(
    store: SummaryStore, log: Log, tonight: Tonight, thresholds: Thresholds, days: tuple[int | None, int | None]
) -> SummaryGuards:
    """Guards of tonight's log; ``days`` are the one that is due and the last that is complete, where given."""
    from attribution.production.guards import Timing
    from attribution.production.refit import SummaryGuards

    due, through = days
    before = store.read_log_state()
    timing = Timing.of(due, before.summarised_at, before.inputs, before.guards)
    return SummaryGuards(log.rows, before, tonight, store.days, timing, thresholds, through)


def _write(
    store: SummaryStore,
    tonight: Tonight,
    guards: SummaryGuards,
    results: Sequence[GuardResult],
    journeys: Journeys,
    models: Sequence[AttributionModel],
) -> tuple[list[str], list[GuardResult]]:
    """Write the days; their names, and what guards say of them beside the ``results`` of the log."""
    from attribution.production.guards import failed_guards, guard_records
    from attribution.production.refit import day_name, moved_share, summarise_days

    with store.locked():
        days = summarise_days(journeys, models, tonight.write[0], tonight.write[-1]) if tonight.write else {}
        held, written, moved = set(store.days), [], {}
        for day in tonight.write:
            old = store.read_or_none(day) if day in held else None
            if store.write(day, days[day], journeys.channels):
                written.append(day)
                if old is not None:
                    moved[day] = moved_share(old, days[day], journeys.channels)
        of_days = guards.judge_days(days, moved, store.read_or_none)
        if store.days:
            rows = tuple(guard_records(failed_guards([*results, *of_days])))
            now = guards.timing.now.isoformat(timespec="seconds")
            store.write_log_state(replace(tonight.log_state, guards=rows, summarised_at=now))
    return [day_name(day) for day in written], of_days


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
        _check_history(log.history.days, held, journeys.span[0] // MICROSECONDS, first)
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


def _check_history(needed: int, held: Sequence[int], begun: int, first: int) -> None:
    """Refuse to write days anew from a log that begins too late to know what came before them."""
    from attribution.production.refit import day_name

    if held and begun > held[0] and first - begun < needed:
        raise InputError(
            f"the tables start too late: a day needs the touchpoints of the {pluralise(needed, 'day')} before it",
            given=f"tables from {day_name(begun)} on, for days from {day_name(first)} on",
            allowed=f"tables from {day_name(first - needed)} or earlier",
        )


def _tell(document: dict[str, object], results: Sequence[GuardResult], *, as_json: bool) -> None:
    from attribution.production.guards import guard_records, guards_hold

    cut, written = document["cut"], document["written"]
    assert isinstance(cut, list)
    assert isinstance(written, list)
    logs.count(days=document["days"], days_written=len(written), days_incomplete=len(cut))
    if as_json:
        print_json(document | {"guards_hold": guards_hold(results), "guards": guard_records(results)})
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
    if cut:
        sentence = (
            f"The log begins or ends in the middle of {' and '.join(cut)}, so that what it says of these days is left "
            "aside: give `--covers` if it tells all of them."
        )
        warn([sentence])


def _tell_stale(stale: Sequence[int], lookback_days: float, history_days: int) -> None:
    from attribution.production.refit import day_name

    first, names = stale[0] - math.ceil(lookback_days) - history_days, list(map(day_name, stale))
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    logs.count(days_stale=len(names))
    sentence = (
        f"{pluralise(len(names), 'day')} may be out of date, because rows are new or changed, and these tables lack "
        f"the touchpoints to correct that: {shown}. `attribution summarise --from {names[0]}` is due, with tables that "
        f"begin on {day_name(first)} or earlier."
    )
    warn([sentence])
