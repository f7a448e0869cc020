"""Stores that are new, and experiments that were deleted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attribution.errors import TrackingError
from attribution.pipeline.stores import choose_store
from attribution.tracking.mlflow_store import track_tables

LOG = """
import sys
from pathlib import Path
from attribution.pipeline.stores import choose_store
from attribution.tracking.mlflow_store import track_tables
track_tables(Path(sys.argv[1]), name="shop", kind="review", metrics={}, tags={}, store=choose_store(sys.argv[2]))
"""


@pytest.mark.slow
def test_two_first_runs_on_one_new_store_both_succeed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    command = [sys.executable, "-W", "ignore", "-c", LOG, str(tmp_path / "run"), uri]
    jobs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for job in jobs:
        said = job.communicate()[1]
        assert job.returncode == 0, said


def test_a_deleted_experiment_gets_a_hint_that_helps(tmp_path: Path, new_store: Callable[[Path], str]) -> None:
    from mlflow.tracking import MlflowClient

    uri = new_store(tmp_path)
    client = MlflowClient(tracking_uri=uri)
    number = client.create_experiment("shop")
    client.delete_experiment(number)
    (tmp_path / "run").mkdir()
    with pytest.raises(TrackingError, match=f"mlflow experiments restore --experiment-id {number}"):
        track_tables(tmp_path / "run", name="shop", kind="review", metrics={}, tags={}, store=choose_store(uri))
