"""What every test needs: no telemetry, and one migrated MLflow database to copy."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
# Spark has seconds to do in a test: what Java spends on verifying and optimising its code, on threads that collect its
# garbage, and Spark itself on compiling plans that run once, would be most of it.
os.environ.setdefault(
    "JAVA_TOOL_OPTIONS",
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote "
    "-Dspark.sql.codegen.wholeStage=false -Dspark.sql.codegen.factoryMode=NO_CODEGEN "
    "-Dspark.sql.adaptive.enabled=false",
)

import pytest
from hypothesis import HealthCheck, settings

from tests.scale import TIMES

# The models and tables that stay for a whole file would be looked through again and again.
gc.set_threshold(200_000, 20, 20)

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
            original(self, *arguments, **named)  # type: ignore[arg-type]  # passed on as they came
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


DRAWN = (
    "cli/test_cli.py",
    "decisions/budget/",
    "pipeline/test_planning.py",
    "pipeline/test_sections.py",
    "reporting/",
    "test_notebooks.py",
)
"""Files that look at the pictures of a run. In others none are drawn, which is a third of the work of a small run."""

draws = {"now": True}


@pytest.fixture(scope="session", autouse=True)
def drawing() -> Iterator[None]:
    from attribution.reporting import charts

    draw = charts.draw_figures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "draw_figures", lambda specs, tables: draw(specs, tables) if draws["now"] else [])
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """No test's host crashes; those that simulate it put their own in place of this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


ON_SPARK = (
    "data/engine/test_spark.py",
    "data/engine/test_remote_files.py",
    "production/scoring/test_nights_on_spark.py",
    "production/sql/test_sql.py",
    "tracking/test_registry.py",
    "uncertainty/test_placebo.py",
)
"""Files that start Spark in their own process. In one process its Java starts, and loads what it needs, once."""

LONG = (
    "journeys/test_journey_options.py",
    "models/test_models.py",
    "models/test_shapley.py",
    "pipeline/test_whose_folder.py",
    "production/promotion/test_promotion.py",
    "production/refit/test_daily_jobs.py",
    "production/refit/test_summaries.py",
    "production/scoring/test_scoring_job.py",
    "test_calls.py",
    "test_check_model.py",
    "test_real_data.py",
    "written_before/test_written_before.py",
)
"""Files without a slow test that take long as a whole."""


def is_among(file: str, names: tuple[str, ...]) -> bool:
    return file.endswith(tuple(f"tests/{name}" for name in names))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that take long first: with small ones left for the end, no worker waits long for the other."""
    if TIMES == 1:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def turn(item: pytest.Item) -> int:
        file = item.path.as_posix()
        return 0 if is_among(file, ON_SPARK) else 1 if item.path in slow else 2 if is_among(file, LONG) else 3

    items.sort(key=turn)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures of a file, some of which make a run."""
    draws["now"] = any(f"tests/{part}" in item.path.as_posix() for part in DRAWN)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By ``--dist loadfile`` a file goes to one worker, and those on Spark all go to the same one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OfFilesAndSpark(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "spark" if is_among(file, ON_SPARK) else file

    return OfFilesAndSpark(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where the real data are there, skipping a test that needs them is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker; the process that started it reports for all
        return
    skipped = [report for report in reporter.stats.get("skipped", []) if "data" in report.keywords]
    if skipped and os.environ.get("ATTRIBUTION_DATA_REQUIRED"):
        reporter.write_line(f"{len(skipped)} tests of the real data were skipped although the data are here")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
