"""What every test needs: no telemetry, and one migrated MLflow database to copy."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

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


REMEDIES = re.compile(
    r"\b(add|ask|change|check|choose|compare|complete|convert|correct|do not|extend|fill|give|leave|limit|link|load"
    r"|lower|map|name|narrow|read|remove|reset|set|shorten|start|try|use|write|end the period)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="session", autouse=True)
def warnings_say_what_to_do() -> Iterator[None]:
    """Whatever test makes a warning about data or models: one that does not say what to do is a failure."""
    from attribution.data.loading.findings import Finding

    def check(self: Finding) -> None:
        assert self.status == "pass" or REMEDIES.search(self.message), f"{self.check}: {self.message}"

    with pytest.MonkeyPatch.context() as patch:
        original = Finding.__init__

        def checked_init(self: Finding, *arguments: object, **named: object) -> None:
            original(self, *arguments, **named)  # type: ignore[arg-type]
            check(self)

        patch.setattr(Finding, "__init__", checked_init)
        yield


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Puts an empty MLflow store into a folder and gives its URI: a copy, because making one anew takes seconds."""
    made: list[Path] = []

    def migrated() -> Path:
        from mlflow.tracking import MlflowClient

        database = tmp_path_factory.mktemp("store") / "mlflow.db"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
        # MLflow's own experiment says where the store lies, and is made again where it is missing.
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("delete from experiments")
            connection.commit()
        return database

    def copied(folder: Path) -> str:
        if not made:
            made.append(migrated())
        shutil.copyfile(made[0], folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"

    return copied


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: with small ones left for the end, no worker waits long for the other."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where the real data are there, skipping a test that needs them is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker; the process that started it reports for all
        return
    skipped = [report for report in reporter.stats.get("skipped", []) if "data" in report.keywords]
    if skipped and os.environ.get("ATTRIBUTION_DATA_REQUIRED"):
        reporter.write_line(f"{len(skipped)} tests of the real data were skipped although the data are here")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
