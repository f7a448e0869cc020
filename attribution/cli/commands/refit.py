"""``attribution refit``: the models of daily summaries, fitted on the last days of them."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.commands.arguments import DAY, AllowOwnCode, DryRun, Json
from attribution.cli.console import print_json, progress, records, warn
from attribution.errors import InputError
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    import pandas as pd

    from attribution.models import AttributionModel
    from attribution.models.saved import Scorer
    from attribution.production.refit import SummaryStore, Window

Summaries = Annotated[
    Path, typer.Argument(metavar="SUMMARIES", help="Folder of daily summaries, written by `attribution summarise`.")
]
Through = Annotated[
    dt.datetime | None, typer.Option(formats=DAY, help="Last day. Default: the last one in the folder.")
]


def refit(
    summaries: Summaries,
    last: Annotated[int | None, typer.Option("--days", min=1, help="Number of days to fit on. Default: all.")] = None,
    through: Through = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: runs/NAME-refit. An earlier result in it is replaced.")
    ] = None,
    refresh: Annotated[
        Path | None,
        typer.Option(
            metavar="models/NAME",
            help="Exported model to refit and replace. It must be one of the models in these summaries.",
        ),
    ] = None,
    allow_own_code: AllowOwnCode = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fit models on stored daily summaries, without reading touchpoints again."""
    from attribution.production.refit import SummaryStore, day_name, read_window
    from attribution.production.refit import refit as fit

    store = SummaryStore.open(summaries)
    logs.bind(experiment=store.definition.name, summaries_version=store.definition.digest)
    days = choose_window(store, last, through)
    stale = [day_name(day) for day in store.read_log_state().stale if days[0] <= day <= days[1]]
    out = out or named_folder("runs", f"{store.definition.name}-refit")
    document: dict[str, object] = {"out": str(out), "first": day_name(days[0]), "last": day_name(days[1])}
    document["stale"] = stale
    models = summary_models(store, allow_own_code=allow_own_code)
    scorer = None if refresh is None else read_scorer(refresh, store, models, allow_own_code=allow_own_code)
    with progress() as say:
        say("reading summaries")
        window = read_window(store, models, *days)
        if dry_run:
            _tell(document | {"dry_run": True}, as_json=as_json)
            return
        say(f"fitting {', '.join(model.label for model in models)}")
        credit = fit(window, models)
        with _write_folder(out, store, window, {"credit": credit.table, **_more(models)}):
            if scorer is not None and refresh is not None:
                scorer = refit_scorer(scorer, window, models).save(refresh)
                document |= {"scorer": str(refresh), "version": scorer.version}
    _tell(document | {"dry_run": False, "credit": records(credit.table)}, as_json=as_json)
    if stale:
        raise typer.Exit(3)


def summary_models(store: SummaryStore, *, allow_own_code: bool) -> list[AttributionModel]:
    """The models of daily summaries, refused where these name code of one's own that is not allowed: they are data."""
    from attribution.models.saved.own_code import refuse_own_code
    from attribution.pipeline.builders import make_model

    specs = store.definition.specs
    if not allow_own_code:
        for spec in specs:
            refuse_own_code(spec.model, spec.settings, f"folder {store.folder}")
    return [make_model(spec, Path()) for spec in specs]


def choose_window(store: SummaryStore, days: int | None, through: dt.datetime | None) -> tuple[int, int]:
    """Numbers of the first and the last day of the ``days`` that end with ``through``."""
    from attribution.production.refit import day_name, day_number

    held = store.days
    if not held:
        raise InputError(f"{store.folder} has no days yet", hint="write some with `attribution summarise`")
    last = held[-1] if through is None else day_number(through.date())
    first = held[0] if days is None else last - days + 1
    if first < held[0] or last > held[-1]:
        raise InputError(
            f"{store.folder} does not have all of these days",
            given=f"{day_name(first)} to {day_name(last)}",
            allowed=f"{day_name(held[0])} to {day_name(held[-1])}",
        )
    return first, last


def read_scorer(
    folder: Path, store: SummaryStore, models: Sequence[AttributionModel], *, allow_own_code: bool
) -> Scorer:
    """The scorer in ``folder``, refused if it is not of one of the ``models`` on journeys like those of the days."""
    from attribution.models.saved import Scorer
    from attribution.production.refit.definition import NOT_OF_DAYS, digest_of

    scorer = Scorer.load(folder, allow_own_code=allow_own_code)
    labels = [model.label for model in models]
    if scorer.state.label not in labels:
        raise InputError(
            f"the summaries are of other models than the one in {folder}",
            given=repr(scorer.state.label),
            allowed=labels,
        )
    definition = scorer.definition
    journeys = definition.journeys.model_dump(mode="json", exclude_defaults=True, exclude=set(NOT_OF_DAYS))
    settings = {"journeys": journeys, "grain": definition.grain, "channels": digest_of(definition.channels)}
    held = {
        "journeys": dict(store.definition.journeys),
        "grain": store.definition.grain,
        "channels": store.definition.channels,
    }
    model, mine = models[labels.index(scorer.state.label)], scorer.state.model()
    settings["model"], held["model"] = repr(mine.set_params(name=None)), repr(copy.copy(model).set_params(name=None))
    differing = [name for name in held if settings[name] != held[name]]
    if differing:
        name = differing[0]
        raise InputError(
            f"{folder} and the summaries have different settings: {', '.join(differing)}",
            given=f"{name} = {settings[name]}",
            allowed=f"{name} = {held[name]}",
        )
    return scorer


def refit_scorer(scorer: Scorer, window: Window, models: Sequence[AttributionModel]) -> Scorer:
    """``scorer`` with its model fitted on the days of ``window``."""
    from attribution.models.saved import Scorer
    from attribution.production.refit import day_name

    (model,) = (each for each in models if each.label == scorer.state.label)
    # What it knows beside what it learned, such as whether there are times.
    again = scorer.state.model()
    vars(again).update(vars(model))
    training = scorer.definition.training
    if training is not None:
        observed = window.observed[0]
        training = replace(
            training,
            first=day_name(window.first),
            last=f"{day_name(window.last)}T23:59:59.999999",
            journeys=observed.number("journeys"),
            conversions=observed.number("conversions"),
            value=observed.number("value"),
            digests={},
        )
    made = Scorer.of(again, name=scorer.name, definition=replace(scorer.definition, training=training))
    return made.with_policy(scorer.unknown_channels)


def _more(models: list[AttributionModel]) -> dict[str, pd.DataFrame]:
    from attribution.models.model_tables import model_tables

    return model_tables(models, interactions=False)


@contextlib.contextmanager
def _write_folder(out: Path, store: SummaryStore, window: Window, tables: dict[str, pd.DataFrame]) -> Iterator[None]:
    """Tables written aside, and put in place if what else is done with the fit succeeds."""
    from attribution.pipeline.output import replaced_folder, write_dictionary, write_manifest, write_table
    from attribution.production.output_tables import output_tables
    from attribution.production.refit import day_name
    from attribution.schema.tables import DICTIONARY

    with replaced_folder(out, [store.folder], kind="refit") as folder:
        declared = output_tables()
        digests = {name: write_table(folder, declared[name], table) for name, table in tables.items()}
        digests[DICTIONARY.name] = write_dictionary(folder, tables, declared)
        manifest = {
            "name": store.definition.name,
            "summaries": str(store.folder),
            "definition": store.definition.content,
            "first": day_name(window.first),
            "last": day_name(window.last),
            "tables": digests,
        }
        write_manifest(folder, "refit", manifest)
        yield


def _tell(document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    elif document["dry_run"]:
        typer.echo(f"Would fit on {document['first']} to {document['last']} and write {document['out']}.")
    else:
        typer.echo(f"Fitted on {document['first']} to {document['last']}; tables are in {document['out']}.")
    stale = document["stale"]
    assert isinstance(stale, list)
    logs.count(first=document["first"], last=document["last"], days_stale=len(stale), version=document.get("version"))
    if stale:
        shown = ", ".join(stale[:5]) + (" …" if len(stale) > 5 else "")
        sentence = (
            f"{pluralise(len(stale), 'day')} may be out of date ({shown}). Run `attribution summarise` on tables "
            "with these days "
            "and one lookback window before them."
        )
        warn([sentence], as_json=as_json)
