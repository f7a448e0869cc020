"""``attribution monitor``: whether recent days still look like those a model was fitted on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attribution import logs
from attribution.cli.commands.arguments import (
    NEGATIVE_VERDICT,
    AllowOwnCode,
    Due,
    Json,
    ThresholdsFile,
    parse_day,
    report_guards,
)
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
    from attribution.production.guards import GuardResult
    from attribution.production.monitoring import RecentLog, Windows
    from attribution.production.refit import SummaryStore
    from attribution.schema.experiment import Experiment

TRAINING_DAYS = 90


class Days(NamedTuple):
    """How many days are recent and of training, the last of them, the one that is due, and the significance level."""

    recent: int
    training: int | None
    through: dt.datetime | None
    due: int | None
    level: float


class Subject(NamedTuple):
    """What is looked at: its ``name``, ``version`` and ``models``, the ``windows`` of days, and what came on them.

    ``currency`` is that of values, where it is told.
    """

    name: str
    version: str
    models: Sequence[AttributionModel]
    windows: Windows
    recent: RecentLog
    currency: str | None = None


Monitored = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|SUMMARIES",
        help="models/NAME, models:/NAME@ALIAS, or a folder that `attribution summarise` wrote.",
    ),
]
Touchpoints = Annotated[str | None, typer.Option(help="For a model: touchpoints since the first day of its training.")]
Conversions = Annotated[str | None, typer.Option(help="For a model: conversions since the first day of its training.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Output folder. Default: runs/NAME-monitor. An earlier result in it is replaced."),
]
StoreUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow store of the model, and of the numbers with --track.")
]
Training = Annotated[
    int | None,
    typer.Option(
        "--training-days",
        min=14,
        help="Number of earlier days to compare them with. Default: the days the model was fitted on, or 90.",
    ),
]
Recent = Annotated[int, typer.Option("--recent-days", min=1, help="Number of recent days to check.")]
Significance = Annotated[
    float, typer.Option("--significance", help="Significance level: a change less likely by chance counts.")
]
Costs = Annotated[
    Path | None,
    typer.Option(
        help="Costs, to check ROI as well: a file with channel, amount and day, or an EXPERIMENT.toml, whose "
        "[returns] says which costs count."
    ),
]


def monitor(
    subject: Monitored,
    touchpoints: Touchpoints = None,
    conversions: Conversions = None,
    tables: TablesFile = None,
    identities: Source = None,
    customers: Source = None,
    codes: Source = None,
    recent: Recent = 7,
    training: Training = None,
    through: Through = None,
    costs: Costs = None,
    psi: Annotated[float, typer.Option(help="Population stability index (PSI) that counts as drift.")] = 0.1,
    change: Annotated[float, typer.Option(help="Relative change that counts as drift.")] = 0.1,
    level: Significance = 0.01,
    due: Due = None,
    thresholds: ThresholdsFile = None,
    out: Out = None,
    uri: StoreUri = None,
    track: Annotated[bool, typer.Option("--track", help="Log the numbers to MLflow.")] = False,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Compare recent days with the days a model was fitted on.

    Exit code 3: something has drifted, or the log lacks something, such as a channel.
    """
    from attribution.cli.commands.saved_runs import open_model
    from attribution.pipeline.stores import choose_store
    from attribution.production.guards import read_thresholds
    from attribution.production.monitoring import DriftOptions, drift_sentences, find_drift, judge_recent

    store, limits = choose_store(uri), read_thresholds(thresholds)
    options = DriftOptions(psi=psi, change=change, level=level)
    days = Days(recent, training, through, parse_day(due, "--due"), level)
    with progress() as say, open_model(subject, store=store) as folder:
        say("reading days")
        sources = dict(zip(READ, (touchpoints, conversions, identities, customers, codes), strict=True))
        try:
            compared = _subject(folder, tables, sources, days, allow_own_code=allow_own_code)
        except TooFewDays as waiting:
            waiting.tell(as_json=as_json)
            return
        logs.bind(model=compared.name, model_version=compared.version)
        spent = _read_spend(costs, compared)
        compared = compared._replace(
            windows=replace(compared.windows, spend=spent.spend),
            recent=replace(compared.recent, costs_through=spent.through),
        )
        say("looking for drift")
        drift = find_drift(compared.windows, compared.models, options)
        guards = judge_recent(compared.recent, compared.windows, limits)
    out = out or named_folder("runs", f"{compared.name}-monitor")
    sentences, drifted = drift_sentences(drift, compared.models), bool(drift["drifted"].any())
    protected = [*([] if costs is None else [costs]), folder]
    tracked = _write((drift, sentences), guards, out, protected, (compared, spent), store if track else None)
    _report((drift, sentences), guards, (compared.windows, spent), (out, tracked), as_json=as_json)
    holds = report_guards(guards, limits)
    if tracked.failure is not None:
        raise tracked.failure
    if drifted or not holds:
        raise typer.Exit(NEGATIVE_VERDICT)


def _report(
    drifts: tuple[pd.DataFrame, list[str]],
    guards: Sequence[GuardResult],
    compared: tuple[Windows, Spent],
    written: tuple[Path, Tracked],
    *,
    as_json: bool,
) -> None:
    """Print what was found, and put it into the log."""
    from attribution.production.guards import guard_records, guards_hold

    (drift, sentences), (windows, spent), (out, tracked) = drifts, compared, written
    if drift["drifted"].any():
        warn(sentences)
    elif not as_json:
        typer.echo("\n".join(sentences))
    measures = int(drift["p_value"].notna().sum())
    logs.count(**_day_names(windows), measures=measures, measures_drifted=int(drift["drifted"].sum()))
    if not as_json:
        for note in spent.notes:
            typer.echo(note)
        typer.echo(f"The tables are in {out}{tracked.sentence_end}")
        return
    head = {"out": str(out), **tracked.document, **_day_names(windows), "drifted": bool(drift["drifted"].any())}
    both = {"guards_hold": guards_hold(guards), "drift": records(drift), "guards": guard_records(guards)}
    print_json(head | both | {"cost_basis": spent.cost_basis, "notes": list(spent.notes)})


def _subject(
    folder: Path, tables: Path | None, logs: Mapping[str, str | None], days: Days, *, allow_own_code: bool
) -> Subject:
    """What ``folder`` holds: a model, to be held against a log, or daily summaries."""
    from attribution.models.saved import Scorer
    from attribution.production.refit import SummaryStore

    if (folder / "model.json").is_file():
        scorer = Scorer.load(folder, allow_own_code=allow_own_code)
        return _model_subject(scorer, input_tables(tables, logs, {}), days)
    _refuse_logs({**logs, "tables": tables})
    summaries = SummaryStore.open(folder)
    models = summary_models(summaries, allow_own_code=allow_own_code)
    return _summaries_subject(summaries, models, days)


def _refuse_logs(logs: Mapping[str, object]) -> None:
    options = ", ".join(f"--{name}" for name, source in logs.items() if source is not None)
    if options:
        problem = "daily summaries need no touchpoints or conversions: only a model folder does"
        raise InputError(problem, given=options, hint=f"leave out {options}")


def _summaries_subject(store: SummaryStore, models: Sequence[AttributionModel], days: Days) -> Subject:
    from attribution.production.guards import Log, Timing
    from attribution.production.monitoring import RecentLog, check_days, read_windows
    from attribution.production.refit import day_number

    held = store.days
    span = held[-1] - held[0] + 1 if held else 0
    recent, training = days.recent, days.training or TRAINING_DAYS
    check_days(training, recent, days.level)
    if days.through is None and span < recent + training:
        raise TooFewDays(
            f"Folder {store.folder}",
            span,
            recent + training,
            f"{recent} recent days and the {training} before them",
            held[0] + recent + training - 1 if held else None,
            "To begin earlier, compare with fewer days: --training-days.",
        )
    first, last = choose_window(store, recent + training, days.through)
    windows = read_windows(store, models, training=(first, last - recent), recent=(last - recent + 1, last))
    state = store.read_log_state()
    through = None if days.through is None else day_number(days.through.date())
    timing = Timing.of(days.due if through is None else through, state.summarised_at, state.inputs, state.guards)
    log = RecentLog(Log.of(state.inputs, state.volumes, through), timing, store.definition.grain)
    return Subject(store.definition.name, store.definition.digest, models, windows, log)


def _model_subject(scorer: Scorer, log: InputTables, days: Days) -> Subject:
    from attribution.journeys import DAY, journeys_by_day
    from attribution.production.guards import Timing
    from attribution.production.monitoring import RecentLog, check_days, comparable_models, read_log, windows_of
    from attribution.production.refit import day_name, day_number

    recent, training, through, due, level = days
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
    check_days(fitted[1] - first + 1, recent, level)
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
    compared = comparable_models(models)
    windows = windows_of(journeys, compared, training=(first, fitted[1]), recent=(last - recent + 1, last))
    last_said = None if through is None else last
    timing = Timing.of(due if last_said is None else last_said, None, {}, ())
    recent_log = RecentLog(read_log(sources, last_said), timing, scorer.definition.grain)
    return Subject(scorer.name, scorer.version, models, windows, recent_log, sources.currency)


def _day_names(windows: Windows) -> dict[str, list[str]]:
    from attribution.production.refit import day_name

    both = {"training": windows.training, "recent": windows.recent}
    return {name: [day_name(window.first), day_name(window.last)] for name, window in both.items()}


class Spent(NamedTuple):
    """What channels cost.

    Attributes
    ----------
    spend : by channel, on the training days and on the recent days
    through : last day that costs tell of; None without
    cost_basis : media or loaded; None without costs
    notes : what to know of ROI, a sentence each
    """

    spend: tuple[dict[str, float], dict[str, float]]
    through: int | None = None
    cost_basis: str | None = None
    notes: tuple[str, ...] = ()


def _read_spend(costs: Path | None, compared: Subject) -> Spent:
    """Spend by channel in both windows, of a table, or as an experiment counts it."""
    if costs is None:
        return Spent(({}, {}))
    from attribution.pipeline.sections import read_experiment
    from attribution.production.monitoring import last_cost_day, read_spend
    from attribution.schema.experiment import ReturnsOptions

    windows = (compared.windows.training, compared.windows.recent)
    spans = [(window.first, window.last) for window in windows]
    if costs.suffix != ".toml":
        options = ReturnsOptions(currency=compared.currency)
        before, after = read_spend(str(costs), *spans, options=options)
        return Spent((before, after), last_cost_day(str(costs)), "media")
    experiment = read_experiment(costs)
    if "costs" not in experiment.tables:
        raise InputError(f"experiment {costs} has no costs table", hint="[tables.costs]")
    returns, folder, table = experiment.returns, experiment.folder, experiment.tables["costs"]
    if returns.currency is None:
        returns = returns.model_copy(update={"currency": compared.currency})
    touchpoints = [_touchpoints(compared.recent, span, windows[0].channels) for span in spans]
    before, after = read_spend(
        table, *spans, options=returns, folder=folder, rates=experiment.tables.get("rates"), touchpoints=touchpoints
    )
    return Spent((before, after), last_cost_day(table, folder), returns.cost_basis, tuple(_roi_notes(experiment)))


def _touchpoints(recent: RecentLog, span: tuple[int, int], channels: Sequence[str]) -> dict[str, float]:
    """Touchpoints of each channel on some days; 0 of a channel that had none."""
    names, counts = recent.log.volumes.count(*span)
    return dict.fromkeys(channels, 0.0) | dict(zip(names, counts.sum(axis=0).tolist(), strict=True))


def _roi_notes(experiment: Experiment) -> Iterator[str]:
    if experiment.returns.basis != "revenue":
        yield (
            f"ROI in the table drift is of revenue. Experiment {experiment.name!r} ranks channels by "
            f"{experiment.returns.basis}, which is not compared."
        )
    if experiment.grain == "campaign":
        yield "ROI is not compared by campaign: costs are read by channel, and channels here are campaigns."


def _write(
    drifts: tuple[pd.DataFrame, list[str]],
    guards: Sequence[GuardResult],
    out: Path,
    keep: list[Path],
    compared: tuple[Subject, Spent],
    store: Store | None,
) -> Tracked:
    """Write ``drifts``, the table and its sentences, and what guards say; and track the numbers."""
    from attribution.pipeline.output import replaced_folder, write_dictionary, write_manifest, write_table
    from attribution.production.guards import GUARDS, guard_metrics, guard_table
    from attribution.production.monitoring import drift_metrics
    from attribution.schema.tables.drift import DRIFT

    (drift, sentences), (subject, spent) = drifts, compared
    tables = {DRIFT.name: drift, GUARDS.name: guard_table(guards)}
    declared = {DRIFT.name: DRIFT, GUARDS.name: GUARDS}
    with replaced_folder(out, keep, kind="monitor") as folder:
        for name, table in tables.items():
            write_table(folder, declared[name], table)
        write_dictionary(folder, tables, declared)
        head = {"name": subject.name, "version": subject.version, **_day_names(subject.windows)}
        head |= {"first": head["training"][0], "last": head["recent"][1]}
        write_manifest(folder, "monitor", head | {"cost_basis": spent.cost_basis})
        (folder / "drift.txt").write_text("\n".join([*sentences, *spent.notes]) + "\n", encoding="utf-8")
    from attribution.cli.commands.saved_runs import track
    from attribution.tracking.mlflow_store import track_tables

    tags = {"attribution.version": subject.version}

    metrics = drift_metrics(drift) | guard_metrics(guards)

    def log(store: Store) -> str:
        return track_tables(out, name=subject.name, kind="monitor", metrics=metrics, tags=tags, store=store)

    return track(log, store)
