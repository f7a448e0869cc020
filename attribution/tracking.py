"""An outcome becomes an MLflow run: a parent for the experiment, a nested child for each model."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.errors import TrackingError
from attribution.pipeline import Outcome
from attribution.tables import NO_CHANNELS

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

_LONGEST_KEY = 240
_LONGEST_VALUE = 5_000


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
    _quiet()
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise TrackingError(f"mlflow cannot be imported: {error}") from None
    try:
        with _without_warnings():
            return _track(outcome, Path(folder), uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrackingError(
            f"the run is complete in {folder}, but MLflow at {uri} could not log it: {reason}. "
            "Hint: run it again when the server is back, or with --set tracking.uri=sqlite:///mlflow.db"
        ) from None


def _quiet() -> None:
    """No look-ups outside, few retries, no chatter; before mlflow is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """MLflow warns about its own use of pandas, which its users cannot mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _track(outcome: Outcome, folder: Path, uri: str) -> str:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment_id = _experiment(client, outcome.experiment.name, uri)
    parent = client.create_run(experiment_id, run_name=outcome.experiment.name, tags={"attribution.kind": "comparison"})
    run_id: str = parent.info.run_id
    with _ended(client, run_id):
        _log_parent(client, run_id, outcome, folder)
        for model in outcome.models:
            _log_model(client, experiment_id, run_id, outcome, model)
    return run_id


@contextlib.contextmanager
def _ended(client: MlflowClient, run_id: str) -> Iterator[None]:
    """A run that is finished when the block ends well, and failed otherwise: none is left running."""
    try:
        yield
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _experiment(client: MlflowClient, name: str, uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///")).resolve()
        location = (database.parent / "mlruns").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _log_parent(client: MlflowClient, run_id: str, outcome: Outcome, folder: Path) -> None:
    params = {**outcome.settings, **_channel_rules(outcome, folder)}
    _log(client, run_id, params=params, metrics=_parent_metrics(outcome))
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
    return metrics


def _log_inputs(client: MlflowClient, run_id: str, outcome: Outcome) -> None:
    """The input tables as datasets: where they came from and a digest of what was in them."""
    import json

    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for name, digest in outcome.digests.items():
        spec = outcome.experiment.tables[name]
        source = {"query": spec.query} if spec.query else {"source": _shown(spec.source)}
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
    with _ended(client, run_id):
        _log(client, run_id, params=params, metrics=_model_metrics(outcome, label))


def _model_metrics(outcome: Outcome, label: str) -> dict[str, float]:
    returns = outcome.tables["returns"]
    rows = returns[(returns["model"] == label) & ~returns["channel"].isin(NO_CHANNELS)]
    metrics = {
        f"{what}/{channel}": float(value)
        for what in ("roi", "rank", "conversions")
        for channel, value in zip(rows["channel"], rows[what], strict=True)
    }
    metrics |= _doubt(outcome, label)
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


def _log(client: MlflowClient, run_id: str, *, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    logged: list[Metric] = [
        Metric(key, value, now, 0)
        for key, value in zip(_keys(list(metrics)), metrics.values(), strict=True)
        if math.isfinite(value)
    ]
    settings = [Param(key, _shown(value)) for key, value in zip(_keys(list(params)), params.values(), strict=True)]
    # MLflow takes at most 1,000 metrics and 100 params in one call.
    for first in range(0, max(len(logged), 1), 900):
        client.log_batch(run_id, metrics=logged[first : first + 900], params=settings if first == 0 else [])


def _keys(names: Sequence[str]) -> list[str]:
    """MLflow's alphabet is small; what it does not know becomes an underscore, and twins are numbered."""
    taken: set[str] = set()
    keys = []
    for name in names:
        what, slash, channel = name.partition("/")
        key = re.sub(r"[^\w.\- :]", "_", what) + slash + re.sub(r"[^\w\- ]", "_", channel)
        key = key[:_LONGEST_KEY]
        number = 2
        unique = key
        while unique in taken:
            unique = f"{key} {number}"
            number += 1
        taken.add(unique)
        keys.append(unique)
    return keys


def _shown(value: object) -> str:
    return str(value)[:_LONGEST_VALUE]
