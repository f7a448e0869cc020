"""``attribution promote``: a model takes the place of another, if it meets the criteria; or the other comes back."""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, AllowOwnCode, Json, Overrides, Restate, parse_day
from attribution.cli.console import print_json, progress, records
from attribution.errors import InputError, TrackingError

if TYPE_CHECKING:
    from attribution.models.saved import Scorer
    from attribution.pipeline.stores import Store
    from attribution.production.promotion import Decision
    from attribution.tracking.registry import Placement, Registered


Challenger = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="Run or refit with the new model: its output folder, or the MLflow id of a run."),
]
Window = Annotated[
    Path | None,
    typer.Option("--holdout", help="Experiment file with tables and a period that neither model was fitted on."),
]
Criteria = Annotated[Path | None, typer.Option(help="TOML file of criteria. Default: those of this package.")]
By = Annotated[str | None, typer.Option("--requested-by", help="Name to log. Default: the user of this computer.")]


Rollback = Annotated[
    bool, typer.Option("--rollback", help="Take back the last promotion: the version before it is in effect again.")
]
ToVersion = Annotated[
    str | None, typer.Option("--version", help="With --rollback: version to put in place of the last one.")
]


def promote(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")],
    challenger: Challenger = None,
    model: Annotated[str | None, typer.Option(help="Label of the model. Not needed if the run has only one.")] = None,
    window: Window = None,
    overrides: Overrides = None,
    criteria: Criteria = None,
    alias: Annotated[str, typer.Option(help="Alias of the model in use.")] = "champion",
    restate: Restate = None,
    rollback: Rollback = False,
    to: ToVersion = None,
    by: By = None,
    uri: Annotated[str | None, typer.Option("--tracking-uri", help="MLflow tracking URI.")] = None,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Compare a new model with the champion on held-out data, and promote it. Exit code 3: it misses a criterion.

    A promoted version is in effect from today on, so that no earlier day is restated, unless --restate says so.
    """
    from attribution.pipeline.stores import choose_store
    from attribution.production.versions import describe_effect

    asked_by, since = by or getpass.getuser(), parse_day(restate, "--restate")
    _check_together(restate, to, is_rollback=rollback)
    if rollback:
        _roll_back(name, alias, to, asked_by, choose_store(uri), as_json=as_json)
        return
    if challenger is None or window is None:
        missing = "--challenger" if challenger is None else "--holdout"
        raise InputError(f"{missing} is needed", hint="add it, or use --rollback to restore the previous version")
    from attribution.cli.commands.saved_runs import Tracked, judge_scorer, open_run_folder
    from attribution.pipeline.sections import read_experiment
    from attribution.pipeline.tracking_record import read_record
    from attribution.production.promotion import decide, read_criteria
    from attribution.tracking.registry import Placement

    limits, data = read_criteria(criteria), read_experiment(window, overrides or ())
    with progress() as say, open_run_folder(challenger, Path(), store=choose_store(uri)) as run:
        store = choose_store(uri, read_record(run).uri)
        placement = Placement(name, store, alias, since)
        say("looking for the champion")
        with tempfile.TemporaryDirectory(prefix="attribution-champion-") as copies:
            champion = _champion(placement, Path(copies), allow_own_code=allow_own_code)
            say("checking the laws")
            scorer = judge_scorer(run, model, name, allow_own_code=allow_own_code)
            decision = decide(scorer, champion, data, limits, on_stage=say)
            say("logging the decision")
            tags = {
                "attribution.requested_by": asked_by,
                "attribution.challenger": challenger,
                "attribution.alias": alias,
            }
            run_id = _log(name, decision, tags, store)
            registered = None
            if decision.passes:
                registered = _register(scorer, run, placement, run_id, allow_own_code=allow_own_code)
    document = {"requested_by": asked_by, **Tracked(run_id, store).document}
    print_decision(decision, _promoted(registered) | document, as_json=as_json)
    if registered is not None and registered.timeline is not None and not as_json:
        typer.echo(describe_effect(registered.timeline))
    if not decision.passes:
        raise typer.Exit(NEGATIVE_VERDICT)


def _check_together(restate: str | None, to: str | None, *, is_rollback: bool) -> None:
    """Refuse options that do not go together."""
    if is_rollback and restate is not None:
        hint = "leave it out: the version before is in effect again from the day on which it was in effect before"
        raise InputError("--restate cannot be used with --rollback", given=f"--restate {restate}", hint=hint)
    if not is_rollback and to is not None:
        raise InputError("--version needs --rollback", given=f"--version {to}", hint="add --rollback")


def _promoted(registered: Registered | None) -> dict[str, Any]:
    """What became of the challenger, as it stands in what ``--json`` prints."""
    from attribution.cli.commands.saved_runs import effect_records

    if registered is None:
        return {"model": None, "version": None, "in_effect": effect_records(None)}
    return {"model": registered.uri, "version": registered.version, "in_effect": effect_records(registered.timeline)}


def print_decision(decision: Decision, document: dict[str, Any], *, as_json: bool) -> None:
    """Print every check and what came of the decision; ``document`` says whose it is and where it is logged."""
    if as_json:
        head = {"promoted": decision.passes, **document, "reasons": list(decision.reasons)}
        print_json(head | {"promotion": records(decision.table)})
        return
    for row in records(decision.table):
        if row["holds"] is None:
            typer.echo(f"unchecked  {row['check']}: the criteria have no lift tests")
            continue
        values = [_shown(row[name]) for name in ("challenger", "bound", "champion")]
        outcome = "met   " if row["holds"] else "MISSED"
        typer.echo(f"{outcome}  {row['check']}: {values[0]}, at most {values[1]} (champion {values[2]})")
    outcome = f"Promoted: {document['model']}" if decision.passes else f"Not promoted: {'; '.join(decision.reasons)}"
    where = f"MLflow run {document['mlflow_run']} in {document['mlflow_store']}"
    typer.echo(f"\n{outcome}. Requested by {document['requested_by']}; {where}.")


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _champion(placement: Placement, copies: Path, *, allow_own_code: bool) -> Scorer | None:
    from attribution.models.saved import Scorer
    from attribution.tracking.registry import check_placement, fetch_scorer

    timeline = check_placement(placement)
    if timeline is None:
        return None
    fetched = fetch_scorer(f"models:/{placement.name}/{timeline.newest}", copies, store=placement.store)
    return Scorer.load(fetched, allow_own_code=allow_own_code)


def _register(scorer: Scorer, run: Path, placement: Placement, run_id: str, *, allow_own_code: bool) -> Registered:
    """Register what the folder of a run or refit holds, with the run of the decision."""
    from attribution.cli.commands.saved_runs import find_training_run
    from attribution.pipeline.tracking_record import read_record
    from attribution.tracking.registry import register_scorer
    from attribution.tracking.versions import provenance_tags

    with tempfile.TemporaryDirectory(prefix="attribution-promote-") as made:
        folder = Path(made) / "scorer"
        scorer.save(folder)
        trained_by = find_training_run(run, read_record(run), placement.store) or run.resolve().name
        tags = provenance_tags(run, scorer, trained_by)
        return register_scorer(folder, placement, run_id=run_id, tags=tags, allow_own_code=allow_own_code)


def _log(name: str, decision: Decision, tags: dict[str, str], store: Store) -> str:
    """The decision and its evidence, before anything is done about it."""
    from attribution.pipeline.output import write_table
    from attribution.production.promotion.decision import PROMOTION
    from attribution.tracking.mlflow_store import track_tables
    from attribution.tracking.registry import away

    decision_tags = {"attribution.decision": "promoted" if decision.passes else "blocked"}
    reasons = {"attribution.reasons": "; ".join(decision.reasons)}
    metrics = {
        f"{role}/{row.check}": float(getattr(row, role))
        for row in decision.table.itertuples()
        for role in ("challenger", "champion")
    }
    with tempfile.TemporaryDirectory(prefix="attribution-promotion-") as folder:
        write_table(Path(folder), PROMOTION, decision.table)
        try:
            tags = {**tags, **decision_tags, **reasons}
            return track_tables(Path(folder), name=name, kind="promotion", metrics=metrics, tags=tags, store=store)
        except TrackingError as error:
            raise away(error) from None


def _roll_back(name: str, alias: str, to: str | None, by: str, store: Store, *, as_json: bool) -> None:
    from attribution.cli.commands.saved_runs import Tracked, effect_records
    from attribution.production.versions import describe_effect
    from attribution.tracking.mlflow_store import track_tables
    from attribution.tracking.registry import away, roll_back_alias

    moved = roll_back_alias(name, alias, to, store=store)
    assert moved.timeline is not None
    version = moved.version
    tags = {"attribution.requested_by": by, "attribution.decision": "rolled back", "attribution.alias": alias}
    tags |= {"attribution.from_version": moved.before or "", "attribution.to_version": version}
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_id = track_tables(Path(folder), name=name, kind="promotion", metrics={}, tags=tags, store=store)
        except TrackingError as error:
            raise away(error) from None
    document = {
        "model": moved.uri,
        "version": version,
        "previous_version": moved.before,
        "in_effect": effect_records(moved.timeline),
        **Tracked(run_id, store).document,
    }
    if as_json:
        print_json(document)
        return
    typer.echo(f"{moved.uri} is version {version} again. Requested by {by}; MLflow run {run_id} in {store}.")
    typer.echo(f"{describe_effect(moved.timeline)} The next `attribution score` restates the days that this changes.")
