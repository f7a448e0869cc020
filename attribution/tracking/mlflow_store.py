"""MLflow as a place to put things: runs, numbers and folders go in, folders come back."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock

from attribution.errors import InputError, TrackingError
from attribution.logs import catch_output, without_credentials
from attribution.pipeline.stores import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

Answer = TypeVar("Answer")

_LONGEST_KEY = 240
_LONGEST_VALUE = 5_000
_PAUSE_SECONDS = 1.0
_PREPARED: set[str] = set()
"""Stores whose tables this process has seen."""


def track_tables(
    folder: Path, *, name: str, kind: str, metrics: Mapping[str, float], tags: Mapping[str, str], store: Store
) -> str:
    """Log a folder of tables that were made of finished runs, such as a review, and return the id of its run.

    Parameters
    ----------
    folder : logged as artifacts
    name : of the MLflow experiment
    kind : ``review`` or ``kpis``
    metrics, tags : what is logged beside
    store : that it is logged to

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; the folder is untouched.
    """

    def log() -> str:
        client = open_client(store)
        every = {"attribution.kind": kind, **tags}
        run_id: str = client.create_run(
            find_experiment_id(client, name), run_name=f"{name} {kind}", tags=every
        ).info.run_id
        with close_run(client, run_id):
            log_numbers(client, run_id, params={}, metrics=metrics)
            client.log_artifacts(run_id, str(folder))
        return run_id

    return call_store(log, folder, store)


def fetch_run(run_id: str, folder: Path, *, store: Store) -> Path:
    """Copy the output folder that was logged with an MLflow run into ``folder``; return its path.

    Raises
    ------
    InputError
        If there is no such store.
    TrackingError
        If MLflow cannot be reached or has no such run.
    """
    check_store(store)
    return Path(call_store(lambda: open_client(store).download_artifacts(run_id, "", str(folder)), None, store))


def check_store(store: Store) -> None:
    """Refuse to look something up where nothing was ever written: MLflow would make a new store, and find it empty.

    Raises
    ------
    InputError
        With the address, and what named it.
    """
    if store.missing is not None:
        raise InputError(
            f"there is no MLflow store at {store.missing}",
            given=str(store),
            hint="name the store with --tracking-uri or MLFLOW_TRACKING_URI; nothing was written",
        )


def open_client(store: Store) -> MlflowClient:
    """A client of a store, whatever the environment says."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store.tracking, registry_uri=store.registry)


def call_store(act: Callable[[], Answer], folder: Path | None, store: Store) -> Answer:
    """What ``act`` returns; what MLflow or its store has against it is a `TrackingError`."""
    _quiet()
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise TrackingError(f"mlflow cannot be imported: {error}") from None
    try:
        with _without_warnings(), catch_output("mlflow"):
            _prepare(store.tracking)
            _prepare(store.registry)
            return _retry(act, (SQLAlchemyError, OSError))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        where = without_credentials(store.tracking)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        is_passing = _is_passing(error)
        if folder is None:
            problem = f"MLflow at {where} did not return the run: {reason}"
            raise TrackingError(problem, is_passing=is_passing) from None
        raise TrackingError(
            f"the run is complete in {folder}, but MLflow at {where} could not log it: {reason}. "
            f"Hint: `attribution track {folder}` logs it once the server is available again; --tracking-uri logs "
            "it to another server",
            is_passing=is_passing,
        ) from None


def _is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later: a server that is away, a database that is busy, a full disk."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    if isinstance(error, MlflowException):
        text = str(error).lower()
        is_away = "failed with exception" in text or "connection" in text or "is locked" in text
        return is_away or error.error_code in ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, OperationalError) and "unable to open" not in str(error)
    return getattr(error, "errno", None) not in (errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.EROFS)


def _prepare(uri: str) -> None:
    """Make the tables of an SQLite store, one process after the other: MLflow itself lets two of them make the same."""
    if not uri.startswith("sqlite:///") or uri in _PREPARED:
        return
    from mlflow.tracking import MlflowClient

    database = Path(uri.removeprefix("sqlite:///")).resolve()
    if database.parent.is_dir():
        with FileLock(database.with_name(f".{database.name}.lock")):
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
        _PREPARED.add(uri)


def _retry(act: Callable[[], Answer], passing: tuple[type[Exception], ...]) -> Answer:
    """Once more, after a moment, where what failed may pass; requests to a server are retried by MLflow itself."""
    try:
        return act()
    except passing:
        time.sleep(_PAUSE_SECONDS)
        return act()


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


@contextlib.contextmanager
def close_run(client: MlflowClient, run_id: str) -> Iterator[None]:
    """A run that is finished when the block ends well, and failed otherwise: none is left running."""
    try:
        yield
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def find_experiment_id(client: MlflowClient, name: str) -> str:
    """Id of the MLflow experiment of this name, which is made if there is none."""
    experiment, uri = client.get_experiment_by_name(name), client.tracking_uri
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        from mlflow.exceptions import MlflowException

        raise MlflowException(
            f"its experiment {name!r} was deleted: restore it with `mlflow experiments restore --experiment-id "
            f"{experiment.experiment_id}` and MLFLOW_TRACKING_URI={uri}, or give the run another name"
        )
    if experiment is not None:
        return str(experiment.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///")).resolve()
        location = (database.parent / "mlruns").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def log_numbers(client: MlflowClient, run_id: str, *, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Log params, and metrics that are finite."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    logged: list[Metric] = [
        Metric(key, value, now, 0)
        for key, value in zip(metric_keys(list(metrics)), metrics.values(), strict=True)
        if math.isfinite(value)
    ]
    settings = [
        Param(key, to_text(value)) for key, value in zip(metric_keys(list(params)), params.values(), strict=True)
    ]
    # MLflow takes at most 1,000 metrics and 100 params in one call.
    for first in range(0, max(len(logged), 1), 900):
        client.log_batch(run_id, metrics=logged[first : first + 900], params=settings if first == 0 else [])


def metric_keys(names: Sequence[str]) -> list[str]:
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


def to_text(value: object) -> str:
    """A value as text that MLflow takes."""
    return str(value)[:_LONGEST_VALUE]
