"""What every test needs: no telemetry, and one migrated MLflow database to copy."""

from __future__ import annotations

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
# Spark has seconds to do in a test: what Java spends on optimising its code, and on threads that collect its garbage,
# would be most of it.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "project",
    deadline=None,  # timings never decide a test
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") is not None,
)
settings.load_profile("project")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where the real data are there, skipping a test that needs them is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker; the process that started it reports for all
        return
    skipped = [report for report in reporter.stats.get("skipped", []) if "data" in report.keywords]
    if skipped and os.environ.get("ATTRIBUTION_DATA_REQUIRED"):
        reporter.write_line(f"{len(skipped)} tests of the real data were skipped although the data are here")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
