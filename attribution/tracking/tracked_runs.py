"""Runs become MLflow runs: a parent for what is compared, a nested child for each model under each specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.arguments import check_arguments
from attribution.pipeline.outcome import Numbers, Outcome
from attribution.pipeline.stores import Store, choose_store
from attribution.pipeline.tracking_record import Record, record_of
from attribution.tracking.mlflow_store import (
    call_store,
    close_run,
    find_experiment_id,
    log_numbers,
    open_client,
    to_text,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_RUN_TAG = "attribution.run"


@check_arguments
def track_outcome(outcome: Outcome, folder: Path, *, uri: str | None = None) -> str:
    r"""Log a run that is still in memory and return the id of its parent run.

    Parameters
    ----------
    outcome : what the run gave
    folder : its output folder, logged as artifacts
    uri : MLflow tracking URI; unless given that of the experiment, then ``MLFLOW_TRACKING_URI``, then
        ``sqlite:///mlflow.db``

    Returns
    -------
    str
        Id of the parent run in MLflow.

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import attribution as at
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "paths.csv").write_text("path,conversions\nmail > search,2\n")
    >>> _ = (folder / "shop.toml").write_text('''
    ... [tables.paths]
    ... source = "paths.csv"
    ... [[models]]
    ... model = "Linear"
    ... ''')
    >>> from attribution.pipeline.output import write_outcome
    >>> outcome = at.run_experiment(folder / "shop.toml")
    >>> (folder / "run").mkdir()
    >>> write_outcome(folder / "run", outcome, report="", seconds=1.0)
    >>> run_id = at.track_outcome(outcome, folder / "run", uri=f"sqlite:///{folder}/mlflow.db")
    >>> len(run_id)
    32
    """
    return track_record(
        record_of(outcome, Path(folder)), folder, store=choose_store(uri, outcome.experiment.tracking.uri)
    )


def track_record(record: Record, folder: Path, *, store: Store) -> str:
    """Log a finished run and return the id of its parent run; one that is already there is not logged again.

    Parameters
    ----------
    record : what is to be logged, see `attribution.pipeline.tracking_record.read_record`
    folder : its output folder, logged as artifacts
    store : that it is logged to

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.
    """
    folder = Path(folder)
    return call_store(lambda: _track(record, folder, store), folder, store)


def track_comparison(run: Numbers, records: Mapping[str, Record], folder: Path, *, store: Store) -> str:
    """Log a comparison and return the id of its run: the parent of one child for each model and specification.

    Parameters
    ----------
    run : what is logged of the comparison itself
    records : by specification
    folder : its output folder, logged as artifacts
    store : that it is logged to

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.
    """
    folder = Path(folder)

    def log() -> str:
        client = open_client(store)
        experiment_id = find_experiment_id(client, run.name)
        identity = _identity(folder / "comparison" / "manifest.json")
        tracked = _find_run(client, experiment_id, identity)
        if tracked is not None:
            return tracked
        parent_id = _start(client, experiment_id, run, {"attribution.kind": "comparison", **identity})
        with close_run(client, parent_id):
            log_numbers(client, parent_id, params=run.params, metrics=run.metrics)
            _log_inputs(client, parent_id, [item for record in records.values() for item in record.inputs])
            client.log_artifacts(parent_id, str(folder))
            for specification, record in records.items():
                tags = {"attribution.specification": specification, "attribution.run_folder": specification}
                for model in record.models:
                    params = {**_swept_settings(record.run.params), **model.params}
                    child = Numbers(f"{model.name} · {specification}", params, model.metrics, {**model.tags, **tags})
                    _log_child(client, experiment_id, parent_id, child)
        return parent_id

    return call_store(log, folder, store)


def find_tracked(folder: Path, *, name: str, store: Store) -> str | None:
    """Id of the MLflow run that the run in ``folder`` was logged as; None where it was not."""
    if store.missing is not None:
        return None

    def look() -> str | None:
        client = open_client(store)
        experiment = client.get_experiment_by_name(name)
        identity = _identity(Path(folder) / "manifest.json")
        return None if experiment is None else _find_run(client, experiment.experiment_id, identity)

    return call_store(look, None, store)


def _track(record: Record, folder: Path, store: Store) -> str:
    client = open_client(store)
    experiment_id = find_experiment_id(client, record.run.name)
    identity = _identity(folder / "manifest.json")
    tracked = _find_run(client, experiment_id, identity)
    if tracked is not None:
        return tracked
    kind = {"attribution.kind": "comparison", **record.run.tags}
    run_id = _start(client, experiment_id, record.run, {**kind, **identity})
    with close_run(client, run_id):
        log_numbers(client, run_id, params=record.run.params, metrics=record.run.metrics)
        _log_inputs(client, run_id, record.inputs)
        client.log_artifacts(run_id, str(folder))
        for model in record.models:
            _log_child(client, experiment_id, run_id, model)
        if record.budget is not None:
            tags = {**record.run.tags, "attribution.kind": record.budget.name}
            budget = Numbers(record.budget.name, record.budget.params, record.budget.metrics, tags)
            _log_child(client, experiment_id, run_id, budget)
    return run_id


def _identity(manifest: Path) -> dict[str, str]:
    """Tags that tell one execution of a run from every other, and which code made it; none without a manifest."""
    try:
        text = manifest.read_bytes()
        content = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    # The same comparison, written again, is the same; a run says itself when it ended, which is another.
    if content.pop("written_at", None) is not None:
        text = json.dumps(content, sort_keys=True).encode()
    code = content.get("code", {})
    tags = {
        _RUN_TAG: hashlib.sha256(text).hexdigest()[:16],
        "attribution.code_version": code.get("version"),
        "mlflow.source.git.commit": code.get("git_commit"),
        "attribution.data_digest": content.get("data_digest"),
    }
    return {key: value for key, value in tags.items() if value is not None}


def _find_run(client: MlflowClient, experiment_id: str, identity: Mapping[str, str]) -> str | None:
    if _RUN_TAG not in identity:
        return None
    query = f"tags.`{_RUN_TAG}` = '{identity[_RUN_TAG]}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment_id], filter_string=query, max_results=1)
    return runs[0].info.run_id if runs else None


def _start(client: MlflowClient, experiment_id: str, run: Numbers, tags: Mapping[str, str]) -> str:
    started: Any = client.create_run(experiment_id, run_name=run.name, tags={**run.tags, **tags})
    return str(started.info.run_id)


def _log_child(client: MlflowClient, experiment_id: str, parent_id: str, child: Numbers) -> None:
    tags = {"mlflow.parentRunId": parent_id, "attribution.kind": "model", **child.tags}
    run_id = client.create_run(experiment_id, run_name=child.name, tags=tags).info.run_id
    with close_run(client, run_id):
        log_numbers(client, run_id, params=child.params, metrics=child.metrics)


def _swept_settings(params: Mapping[str, str]) -> dict[str, str]:
    """Settings of a run that a child of a comparison shows beside those of its model."""
    return {key: value for key, value in params.items() if key not in ("models", "data")}


def _log_inputs(client: MlflowClient, run_id: str, inputs: Sequence[Mapping[str, str]]) -> None:
    """The input tables as datasets: where they came from and a digest of what was in them, each once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    distinct = {(item["name"], item["digest"]): item for item in inputs}
    logged = [
        DatasetInput(
            Dataset(name=name, digest=digest, source_type="local", source=to_text(item["source"])),
            [InputTag("mlflow.data.context", "input")],
        )
        for (name, digest), item in distinct.items()
    ]
    client.log_inputs(run_id, logged)
