"""An outcome becomes an MLflow run: a parent for the experiment, a nested child for each model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.budget import budget_metrics
from attribution.doubt import doubt_metrics
from attribution.funnel import funnel_metrics
from attribution.outcome import Outcome
from attribution.returns import main_basis, returns_metrics
from attribution.store import ended, experiment_id_of, log_numbers, reached, shown
from attribution.tables import NO_CHANNELS

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def track_outcome(outcome: Outcome, folder: Path, *, uri: str | None = None) -> str:
    """Log a finished run and return the id of its parent run.

    Parameters
    ----------
    outcome : what the run gave
    folder : its output folder, logged as artifacts
    uri : MLflow tracking URI; that of the experiment unless given

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.
    """
    uri = uri or outcome.experiment.tracking.uri
    return reached(lambda: _track(outcome, Path(folder), uri), folder, uri)


def _track(outcome: Outcome, folder: Path, uri: str) -> str:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment_id = experiment_id_of(client, outcome.experiment.name, uri)
    tags = {"attribution.kind": "comparison", "attribution.fingerprint": outcome.fingerprint}
    parent = client.create_run(experiment_id, run_name=outcome.experiment.name, tags=tags)
    run_id: str = parent.info.run_id
    with ended(client, run_id):
        _log_parent(client, run_id, outcome, folder)
        for model in outcome.models:
            _log_model(client, experiment_id, run_id, outcome, model)
        if "budget" in outcome.tables:
            _log_budget(client, experiment_id, run_id, outcome)
    return run_id


def _log_parent(client: MlflowClient, run_id: str, outcome: Outcome, folder: Path) -> None:
    params = {**outcome.settings, **_channel_rules(outcome, folder)}
    log_numbers(client, run_id, params=params, metrics=_parent_metrics(outcome))
    _log_inputs(client, run_id, outcome)
    client.log_artifacts(run_id, str(folder))


def _channel_rules(outcome: Outcome, folder: Path) -> dict[str, str]:
    """Which file of channel rules was used, and a digest of the copy that is logged with the folder."""
    kept = folder / "channels.toml"
    if "file" not in outcome.experiment.channels or not kept.exists():
        return {}
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()[:16]
    return {"channels.file": str(outcome.experiment.channels["file"]), "channels.digest": digest}


def _parent_metrics(outcome: Outcome) -> dict[str, float]:
    agreement = outcome.ranking.agreement
    pairs = agreement[agreement["model_a"] < agreement["model_b"]]
    metrics = {
        "conversions": float(outcome.models[0].credit_.conversions.sum()),
        "value": float(outcome.models[0].credit_.value.sum()),
        "quality_warnings": float((outcome.tables["quality"]["status"] == "warn").sum()),
    }
    if len(pairs):
        metrics["lowest_kendall_tau"] = float(pairs["kendall_tau"].min())
        metrics["largest_move"] = float(pairs["largest_move"].max())
    return metrics | funnel_metrics(outcome.tables) | doubt_metrics(outcome.tables)


def _log_inputs(client: MlflowClient, run_id: str, outcome: Outcome) -> None:
    """The input tables as datasets: where they came from and a digest of what was in them."""
    import json

    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for name, digest in outcome.digests.items():
        spec = outcome.experiment.tables[name]
        source = {"query": spec.query} if spec.query else {"source": shown(spec.source)}
        dataset = Dataset(name=name, digest=digest, source_type="local", source=json.dumps(source, ensure_ascii=False))
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", "input")]))
    client.log_inputs(run_id, inputs)


def _log_model(client: MlflowClient, experiment_id: str, parent_id: str, outcome: Outcome, model: Any) -> None:
    label = model.label
    tags = {
        "mlflow.parentRunId": parent_id,
        "attribution.kind": "model",
        "attribution.estimand": model.estimand,
    }
    run_id = client.create_run(experiment_id, run_name=label, tags=tags).info.run_id
    params = {"model": type(model).__name__, **{k: v for k, v in model.get_params().items() if k != "name"}}
    with ended(client, run_id):
        log_numbers(client, run_id, params=params, metrics=_model_metrics(outcome, label))


def _model_metrics(outcome: Outcome, label: str) -> dict[str, float]:
    returns = main_basis(outcome.tables["returns"])
    rows = returns[(returns["model"] == label) & ~returns["channel"].isin(NO_CHANNELS)]
    metrics = {
        f"{what}/{channel}": float(value)
        for what in ("roi", "rank", "conversions")
        for channel, value in zip(rows["channel"], rows[what], strict=True)
    }
    metrics |= _doubt(outcome, label) | returns_metrics(outcome.tables, label)
    metrics |= funnel_metrics(outcome.tables, label)
    baseline = next((m.label for m in outcome.models if type(m).__name__ == "LastTouch"), None)
    if baseline is not None:
        agreement = outcome.ranking.agreement
        row = agreement[(agreement["model_a"] == label) & (agreement["model_b"] == baseline)].iloc[0]
        for what in ("kendall_tau", "spearman", "rank_biased_overlap", "top3_overlap", "largest_move"):
            metrics[f"{what}_with_last_touch"] = float(row[what])
    return metrics


def _doubt(outcome: Outcome, label: str) -> dict[str, float]:
    """Ends of intervals, and the share of a channel that does nothing, where they were asked for."""
    metrics: dict[str, float] = {}
    if "intervals" in outcome.tables:
        table = outcome.tables["intervals"]
        rows = table[(table["model"] == label) & table["measure"].isin(["roi", "rank", "conversions"])]
        for end in ("low", "high"):
            keys = rows["measure"] + f"_{end}/" + rows["channel"]
            metrics |= dict(zip(keys, rows[end].astype(float), strict=True))
    if "placebo" in outcome.tables:
        row = outcome.tables["placebo"].set_index("model").loc[label]
        metrics |= {f"placebo_{what}": float(row[what]) for what in ("share", "touchpoint_share")}
    return metrics


def _log_budget(client: MlflowClient, experiment_id: str, parent_id: str, outcome: Outcome) -> None:
    """A run of its own below the run that the budget comes from; its tables are among the artifacts of that."""
    tags = {
        "mlflow.parentRunId": parent_id,
        "attribution.kind": "budget",
        "attribution.fingerprint": outcome.fingerprint,
    }
    run_id = client.create_run(experiment_id, run_name="budget", tags=tags).info.run_id
    asked = outcome.experiment.budget
    params = {} if asked is None else {f"budget.{key}": value for key, value in asked.model_dump(mode="json").items()}
    with ended(client, run_id):
        log_numbers(client, run_id, params=params, metrics=budget_metrics(outcome.tables))
