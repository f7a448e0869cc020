"""A scorer as an MLflow model: models-from-code, the folder as it is, and what it takes and gives."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.models.saved import Scorer
from attribution.production.scoring.rows import example_rows, has_positions, needed_lists
from attribution.tracking.store import ended, experiment_id_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

VERSION_TAG = "attribution.scorer_version"
"""Tag of a registered version: which scorer it is."""

_PACKAGE = Path(__file__).parents[1]
_NEEDED = ("numpy", "scipy", "pandas", "pyarrow", "duckdb", "numba", "pydantic", "threadpoolctl", "networkx", "mlflow")


def log_scorer(client: MlflowClient, folder: Path, scorer: Scorer, name: str, run_id: str | None) -> tuple[str, str]:
    """Log a scorer with a run, one of its own if ``run_id`` is None, and register it; return version and run."""
    import mlflow

    uri = client.tracking_uri
    if run_id is None:
        started: Any = client.create_run(
            experiment_id_of(client, name, uri), run_name=f"{name} export", tags={"attribution.kind": "export"}
        )
        with ended(client, started.info.run_id):
            return log_scorer(client, folder, scorer, name, started.info.run_id)
    with pointed_at(uri), mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="scorer",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"scorer": str(folder)},
            code_paths=[str(_PACKAGE)],
            signature=_signature(scorer),
            input_example=example_rows(scorer),
            pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
            metadata={"model": scorer.state.label, "scorer_version": scorer.version},
        )
        tags = {VERSION_TAG: scorer.version, "attribution.model": scorer.state.label}
        # It says on stderr what it does, whatever the level of logging.
        with contextlib.redirect_stderr(io.StringIO()):
            made = mlflow.register_model(logged.model_uri, name, tags=tags)
    return str(made.version), run_id


def _signature(scorer: Scorer) -> Any:
    """What a row is made of, and what comes back."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    time = DataType.long if has_positions(scorer) else DataType.string
    more = [ColSpec(Array(DataType.string), column) for column in needed_lists(scorer)]
    given: list[Any] = [
        ColSpec(Array(DataType.string), "channel"),
        ColSpec(Array(time), "touched_at"),
        *more,
        ColSpec(time, "converted_at"),
    ]
    result: list[Any] = [
        ColSpec(Array(DataType.string), "channel"),
        ColSpec(Array(time), "touched_at"),
        ColSpec(Array(DataType.double), "credit"),
    ]
    return ModelSignature(Schema(given), Schema(result))


@contextlib.contextmanager
def pointed_at(uri: str) -> Iterator[None]:
    """MLflow's own functions know one store, that of the process: pointed elsewhere for a moment."""
    import mlflow

    given: Any = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(given)  # None is what it was where nobody had set it
