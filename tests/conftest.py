"""What every test needs: no telemetry, and one migrated MLflow database to copy."""

from __future__ import annotations

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

from hypothesis import HealthCheck, settings

settings.register_profile(
    "project",
    deadline=None,  # timings never decide a test
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") is not None,
)
settings.load_profile("project")
