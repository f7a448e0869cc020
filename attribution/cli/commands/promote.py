"""``attribution promote``: a model takes the place of another, if it meets the criteria; or the other comes back."""

from __future__ import annotations

import getpass
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, AllowOwnCode, Json, Overrides
from attribution.cli.console import print_json, progress, records
from attribution.errors import InputError, TrackingError

if TYPE_CHECKING:
    from attribution.models.saved import Scorer
    from attribution.production.promotion import Decision


Challenger = Annotated[
    str | None, typer.Option(metavar="RUN", help="Run with the new model: its output folder or MLflow run id.")
]
Window = Annotated[
    Path | None,
    typer.Option("--holdout", help="Experiment file with tables and a period that neither model was fitted on."),
]
Criteria = Annotated[Path | None, typer.Option(help="TOML file of criteria. Default: those of this package.")]
By = Annotated[str | None, typer.Option("--requested-by", help="Name to log. Default: the user of this computer.")]


def promote(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")],
    challenger: Challenger = None,
    model: Annotated[str | None, typer.Option(help="Label of the model. Not needed if the run has only one.")] = None,
    window: Window = None,
    overrides: Overrides = None,
    criteria: Criteria = None,
    alias: Annotated[str, typer.Option(help="Alias of the model in use.")] = "champion",
    rollback: Annotated[bool, typer.Option("--rollback", help="Restore the previous version instead.")] = False,
    to: Annotated[str | None, typer.Option("--version", help="With --rollback: version to restore.")] = None,
    by: By = None,
    uri: Annotated[str | None, typer.Option("--tracking-uri", help="MLflow tracking URI.")] = None,
    allow_own_code: AllowOwnCode = False,
    as_json: Json = False,
) -> None:
    """Compare a new model with the champion on held-out data, and promote it. Exit code 3: it misses a criterion."""
    from attribution.schema.experiment import TrackingOptions

    store, asked_by = uri or TrackingOptions().uri, by or getpass.getuser()
    if rollback:
        _roll_back(name, alias, to, asked_by, store, as_json=as_json)
        return
    if challenger is None or window is None:
        missing = "--challenger" if challenger is None else "--holdout"
        raise InputError(f"{missing} is needed", hint="add it, or use --rollback to restore the previous version")
    from attribution.cli.commands.saved_runs import open_run_folder
    from attribution.models.saved import load_saved_scorer
    from attribution.pipeline.sections import read_experiment
    from attribution.production.promotion import decide, read_criteria

    limits, data = read_criteria(criteria), read_experiment(window, overrides or ())
    with progress() as say, open_run_folder(challenger, Path(), uri=store) as run:
        scorer = replace(load_saved_scorer(run, model, allow_own_code=allow_own_code), name=name)
        say("looking for the champion")
        with tempfile.TemporaryDirectory(prefix="attribution-champion-") as copies:
            champion = _champion(name, alias, Path(copies), store, allow_own_code=allow_own_code)
            decision = decide(scorer, champion, data, limits, on_stage=say)
            say("logging the decision")
            tags = {
                "attribution.requested_by": asked_by,
                "attribution.challenger": challenger,
                "attribution.alias": alias,
            }
            run_id = _log(name, decision, tags, store)
            uri_of_model = None
            if decision.passes:
                uri_of_model = _register(scorer, alias, run_id, store, allow_own_code=allow_own_code)
    if as_json:
        head = {"promoted": decision.passes, "model": uri_of_model, "requested_by": asked_by, "mlflow_run": run_id}
        print_json(head | {"reasons": list(decision.reasons), "promotion": records(decision.table)})
    else:
        for row in decision.table.itertuples():
            typer.echo(
                f"{'met   ' if row.holds else 'MISSED'}  {row.check}: {row.challenger:.4g}, at most {row.bound:.4g}"
                f" (champion {row.champion:.4g})"
            )
        outcome = f"Promoted: {uri_of_model}" if decision.passes else f"Not promoted: {'; '.join(decision.reasons)}"
        typer.echo(f"\n{outcome}. Requested by {asked_by}; MLflow run {run_id}.")
    if not decision.passes:
        raise typer.Exit(NEGATIVE_VERDICT)


def _champion(name: str, alias: str, copies: Path, uri: str, *, allow_own_code: bool) -> Scorer | None:
    from attribution.models.saved import Scorer
    from attribution.tracking.registry import alias_points_to, fetch_scorer

    version = alias_points_to(name, alias, uri=uri)
    if version is None:
        return None
    fetched = fetch_scorer(f"models:/{name}/{version}", copies, uri=uri)
    return Scorer.load(fetched, allow_own_code=allow_own_code)


def _register(scorer: Scorer, alias: str, run_id: str, uri: str, *, allow_own_code: bool) -> str:
    from attribution.tracking.registry import register_scorer

    with tempfile.TemporaryDirectory(prefix="attribution-promote-") as made:
        folder = Path(made) / "scorer"
        scorer.save(folder)
        registered = register_scorer(
            folder, name=scorer.name, uri=uri, alias=alias, run_id=run_id, allow_own_code=allow_own_code
        )
        return registered.uri


def _log(name: str, decision: Decision, tags: dict[str, str], uri: str) -> str:
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
            everything = {**tags, **decision_tags, **reasons}
            return track_tables(Path(folder), name=name, kind="promotion", metrics=metrics, tags=everything, uri=uri)
        except TrackingError as error:
            raise away(error) from None


def _roll_back(name: str, alias: str, to: str | None, by: str, uri: str, *, as_json: bool) -> None:
    from attribution.tracking.mlflow_store import track_tables
    from attribution.tracking.registry import away, earlier_version, set_alias

    version = to or earlier_version(name, alias, uri=uri)
    moved = set_alias(f"models:/{name}/{version}", alias, uri=uri)
    tags = {"attribution.requested_by": by, "attribution.decision": "rolled back", "attribution.alias": alias}
    tags |= {"attribution.from_version": moved.before or "", "attribution.to_version": version}
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_id = track_tables(Path(folder), name=name, kind="promotion", metrics={}, tags=tags, uri=uri)
        except TrackingError as error:
            raise away(error) from None
    if as_json:
        print_json({"model": moved.uri, "version": version, "previous_version": moved.before, "mlflow_run": run_id})
    else:
        typer.echo(f"{moved.uri} is version {version} again. Requested by {by}; MLflow run {run_id}.")
