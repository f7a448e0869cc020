"""``attribution monitor``: whether recent days still look like those a model was fitted on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attribution import logs
from attribution.cli.commands.arguments import NEGATIVE_VERDICT, AllowOwnCode, Json
from attribution.cli.commands.first_days import TooFewDays
from attribution.cli.commands.input_tables import READ, InputTables, Source, TablesFile, input_tables
from attribution.cli.commands.refit import Through, choose_window, summary_models
from attribution.cli.console import print_json, progress, records, warn
from attribution.errors import InputError
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    import pandas as pd

    from attribution.cli.commands.saved_runs import Tracked
    from attribution.models import AttributionModel
    from attribution.models.saved import Scorer
    from attribution.pipeline.stores import Store
    from attribution.production.monitoring import Windows
    from attribution.production.refit import SummaryStore

TRAINING_DAYS = 90


class Days(NamedTuple):
    """How many days are recent and how many are of training, and the last of them."""

    recent: int
    training: int | None
    through: dt.datetime | None


class Subject(NamedTuple):
    """What is looked at: its ``name`` and ``version``, its ``models``, and the ``windows`` of days."""

    name: str
    version: str
    models: Sequence[AttributionModel]
    windows: Windows


Monitored = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|SUMMARIES",
        help="models/NAME, models:/NAME@ALIAS, or a folder that `attribution summarise` wrote.",
    ),
]
Training = Annotated[
    int | None,
    typer.Option(
        "--training-days",
        min=14,
        help="Number of earlier days to compare them with. Default: the days the model was fitted on, or 90.",
    ),
]
Costs = Annotated[
    Path | None,
    typer.Option(help="Costs, to check ROI as well: a file with channel, amount and day, or an EXPERIMENT.toml."),
]


def monitor(
    subject: Monitored,
    touchpoints: Annotated[
        str | None, typer.Option(help="For a model: touchpoints since the first day of its training.")
    ] = None,
    conversions: Annotated[
        str | None, typer.Option(help="For a model: conversions since the first day of its training.")
    ] = None,
    tables: TablesFile = None,
    identities: Source = None,
    customers: Source = None,
    codes: Source = None,
    recent: Annotated[int, typer.Option("--recent-days", min=1, help="Number of recent days to check.")] = 7,
    training: Training = None,
    through: Through = None,
    costs: Costs = None,
    psi: Annotated[float, typer.Option(help="Population stability index (PSI) that counts as drift.")] = 0.1,
    change: Annotated[float, typer.Option(help="Relative change that counts as drift.")] = 0.1,
    level: Annotated[
        float, typer.Option("--significance", help="Significance level: a change less likely by chance counts.")
    ] = 0.01,
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder. Default: runs/NAME-monitor. An earlier result in it is replaced."),
    ] = None,
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow store of the model, and of the numbers with --track.")
    ] = None,
    track: Annotated[bool, typer.Option("--track", help="Log the numbers to MLflow.")] = False,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Compare recent days with the days a model was fitted on. Exit code 3: something has drifted."""
    from attribution.cli.commands.saved_runs import open_model
    from attribution.pipeline.stores import choose_store
    from attribution.production.monitoring import DriftOptions, drift_sentences, find_drift

    store = choose_store(uri)
    days = Days(recent, training, through)
    options = DriftOptions(psi=psi, change=change, level=level)
    with progress() as say, open_model(subject, store=store) as folder:
        say("reading days")
        sources = dict(zip(READ, (touchpoints, conversions, identities, customers, codes), strict=True))
        try:
            compared = _subject(folder, tables, sources, days, allow_own_code=allow_own_code)
        except TooFewDays as waiting:
            waiting.tell(as_json=as_json)
            return
        logs.bind(model=compared.name, model_version=compared.version)
        compared = compared._replace(windows=replace(compared.windows, spend=_spend(costs, compared.windows)))
        say("looking for drift")
        drift = find_drift(compared.windows, compared.models, options)
    out = out or named_folder("runs", f"{compared.name}-monitor")
    sentences = drift_sentences(drift)
    protected = [*([] if costs is None else [costs]), folder]
    tracked = _write(drift, sentences, out, protected, compared, store if track else None)
    _report(drift, sentences, compared.windows, (out, tracked), as_json=as_json)


def _report(
    drift: pd.DataFrame, sentences: list[str], windows: Windows, written: tuple[Path, Tracked], *, as_json: bool
) -> None:
    """Print what was found, and end with the exit code that it has."""
    out, tracked = written
    drifted = bool(drift["drifted"].any())
    measures = int(drift["p_value"].notna().sum())
    logs.count(**_day_names(windows), measures=measures, measures_drifted=int(drift["drifted"].sum()))
    if drifted:
        warn(sentences, as_json=as_json)
    if as_json:
        head = {"out": str(out), **tracked.document, **_day_names(windows), "drifted": drifted}
        print_json(head | {"drift": records(drift)})
    else:
        if not drifted:
            typer.echo("\n".join(sentences))
        typer.echo(f"The table is in {out}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure
    if drifted:
        raise typer.Exit(NEGATIVE_VERDICT)


def _subject(
    folder: Path, tables: Path | None, logs: Mapping[str, str | None], days: Days, *, allow_own_code: bool
) -> Subject:
    """What ``folder`` holds: a model, to be held against a log, or daily summaries."""
    from attribution.models.saved import Scorer
    from attribution.production.refit import SummaryStore

    if (folder / "model.json").is_file():
        scorer = Scorer.load(folder, allow_own_code=allow_own_code)
        return _model_subject(scorer, input_tables(tables, logs, {}), *days)
    _refuse_logs({**logs, "tables": tables})
    summaries = SummaryStore.open(folder)
    models = summary_models(summaries, allow_own_code=allow_own_code)
    return _summaries_subject(summaries, models, days.recent, days.training or TRAINING_DAYS, days.through)


def _refuse_logs(logs: Mapping[str, object]) -> None:
    options = ", ".join(f"--{name}" for name, source in logs.items() if source is not None)
    if options:
        problem = "daily summaries need no touchpoints or conversions: only a model folder does"
        raise InputError(problem, given=options, hint=f"leave out {options}")


def _summaries_subject(
    store: SummaryStore, models: Sequence[AttributionModel], recent: int, training: int, through: dt.datetime | None
) -> Subject:
    from attribution.production.monitoring import read_windows

    held = store.days
    span = held[-1] - held[0] + 1 if held else 0
    if through is None and span < recent + training:
        raise TooFewDays(
            f"Folder {store.folder}",
            span,
            recent + training,
            f"{recent} recent days and the {training} before them",
            held[0] + recent + training - 1 if held else None,
            "To begin earlier, compare with fewer days: --training-days.",
        )
    first, last = choose_window(store, recent + training, through)
    windows = read_windows(store, models, training=(first, last - recent), recent=(last - recent + 1, last))
    return Subject(store.definition.name, store.definition.digest, models, windows)


def _model_subject(
    scorer: Scorer, log: InputTables, recent: int, training: int | None, through: dt.datetime | None
) -> Subject:
    from attribution.journeys import DAY, journeys_by_day
    from attribution.production.monitoring import windows_of
    from attribution.production.refit import day_name, day_number

    trained = scorer.definition.training
    if trained is None or not trained.has_times or trained.first is None or trained.last is None:
        raise InputError(
            f"model {scorer.name!r} does not say on which days it was fitted",
            hint="monitor a folder of daily summaries",
        )
    sources = scorer.open(log.sources, folder=log.folder)
    journeys = journeys_by_day(sources, **scorer.journey_options(sources))
    assert journeys.span is not None
    begun, ended = (at // DAY for at in journeys.span)
    fitted = [day_number(dt.date.fromisoformat(moment[:10])) for moment in (trained.first, trained.last)]
    last = ended - 1 if through is None else day_number(through.date())
    first = max(fitted[0], begun) if training is None else fitted[1] - training + 1
    if through is None and begun <= first and fitted[1] - 1 <= last < fitted[1] + recent:
        raise TooFewDays(
            f"Model {scorer.name!r}",
            max(last - fitted[1], 0),
            recent,
            f"complete days after {day_name(fitted[1])}, the last that it was fitted on",
            fitted[1] + recent,
            "To begin earlier, compare fewer days: --recent-days.",
        )
    if first < begun or last - recent < fitted[1] or last > ended:
        raise InputError(
            "the tables must cover the days that the model was fitted on, and complete days after them",
            given=(
                f"data from {day_name(begun)} to {day_name(ended)}, of which {day_name(last)} is the last complete day"
            ),
            allowed=f"data from {day_name(fitted[0])} to {day_name(fitted[1] + recent)}",
            hint="--recent-days and --training-days set the number of days, --through sets the last complete day",
        )
    models = [scorer.state.model()]
    windows = windows_of(journeys, models, training=(first, fitted[1]), recent=(last - recent + 1, last))
    return Subject(scorer.name, scorer.version, models, windows)


def _day_names(windows: Windows) -> dict[str, list[str]]:
    from attribution.production.refit import day_name

    both = {"training": windows.training, "recent": windows.recent}
    return {name: [day_name(window.first), day_name(window.last)] for name, window in both.items()}


def _spend(costs: Path | None, windows: Windows) -> tuple[dict[str, float], dict[str, float]]:
    """Spend by channel in both windows: of a table, or as an experiment reads it."""
    if costs is None:
        return {}, {}
    from attribution.pipeline.sections import read_experiment
    from attribution.production.monitoring import read_spend

    spans = [(window.first, window.last) for window in (windows.training, windows.recent)]
    if costs.suffix != ".toml":
        before, after = read_spend(str(costs), *spans)
        return before, after
    experiment = read_experiment(costs)
    if "costs" not in experiment.tables:
        raise InputError(f"experiment {costs} has no costs table", hint="[tables.costs]")
    costs_table, folder = experiment.tables["costs"], experiment.folder
    before, after = read_spend(costs_table, *spans, options=experiment.returns, folder=folder)
    return before, after


def _write(
    drift: pd.DataFrame, sentences: list[str], out: Path, keep: list[Path], subject: Subject, store: Store | None
) -> Tracked:
    from attribution.pipeline.output import replaced_folder, write_dictionary, write_manifest, write_table
    from attribution.production.monitoring import drift_metrics
    from attribution.schema.tables.drift import DRIFT

    with replaced_folder(out, keep, kind="monitor") as folder:
        write_table(folder, DRIFT, drift)
        write_dictionary(folder, {DRIFT.name: drift}, {DRIFT.name: DRIFT})
        head = {"name": subject.name, "version": subject.version, **_day_names(subject.windows)}
        head |= {"first": head["training"][0], "last": head["recent"][1]}
        write_manifest(folder, "monitor", head)
        (folder / "drift.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    from attribution.cli.commands.saved_runs import track
    from attribution.tracking.mlflow_store import track_tables

    tags = {"attribution.version": subject.version}

    def log(store: Store) -> str:
        return track_tables(
            out, name=subject.name, kind="monitor", metrics=drift_metrics(drift), tags=tags, store=store
        )

    return track(log, store)
