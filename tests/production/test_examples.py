"""The examples run as schedulers run them: nothing in the environment, another folder, a strict umask, odd names.

The jobs are the real ones, on a shop that opened three weeks ago.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import warm_commands
from tests.cli.test_cli import call
from tests.daily_logs import log_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NIGHTLY = """
name = "shop"
[tables.touchpoints]
source = "log/touchpoints/*.parquet"
[tables.conversions]
source = "log/conversions/*.parquet"
[tables.costs]
source = "costs.csv"
[journeys]
lookback_days = 3
[[models]]
model = "Linear"
[tracking]
enabled = false
"""
DAYS = 24

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="cron and Airflow are not on Windows")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], str]) -> Path:
    """A shop with a model fitted on its first 20 days, in a folder with a blank and letters of other scripts."""
    shop = tmp_path_factory.mktemp("srv") / "Käse & Söhne 店"
    write_log(shop, 20)
    (shop / "nightly.toml").write_text(NIGHTLY, encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(shop)
        assert call(monkeypatch, "run", "nightly.toml", "--out", "runs/shop") == 0
        new_store(shop)
        names = ("--name", "shop", "--to", "models/shop", "--alias", "champion")
        store = ("--tracking-uri", f"sqlite:///{shop}/mlflow.db")
        assert call(monkeypatch, "export", "runs/shop", *names, *store) == 0
    return shop


def write_log(shop: Path, days: int) -> None:
    touchpoints, conversions = log_of(DAYS, customers=150)
    end = touchpoints["touched_at"].min().normalize() + pd.Timedelta(days=days)
    for name, table, column in (
        ("touchpoints", touchpoints, "touched_at"),
        ("conversions", conversions, "converted_at"),
    ):
        folder = shop / "log" / name
        folder.mkdir(parents=True, exist_ok=True)
        table[table[column] < end].to_parquet(folder / "all.parquet")
    spend = pd.DataFrame({"channel": ["search"] * days, "amount": 10.0})
    spend.assign(day=pd.date_range("2024-03-01", periods=days).strftime("%Y-%m-%d")).to_csv(
        shop / "costs.csv", index=False
    )


@pytest.fixture
def shop(opened: Path, tmp_path: Path) -> Path:
    folder = tmp_path / opened.name
    shutil.copytree(opened, folder)
    return folder


def path_of(folder: Path, command: str) -> str:
    """A PATH on which the command is found, as in a virtual environment; nothing else is told."""
    script = folder / "bin" / "attribution"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n{command} "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}:/usr/bin:/bin"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The command starts anew each time."""
    return path_of(tmp_path, f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m attribution')


@pytest.fixture(scope="module")
def warm_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command is there at once."""
    # An address of a socket is short.
    with tempfile.TemporaryDirectory() as short, warm_commands.warm(Path(short)) as words:
        yield path_of(tmp_path_factory.mktemp("warm"), f"exec {shlex.join(words)}")


@pytest.fixture
def night(shop: Path) -> Callable[[str], tuple[int, list[dict[str, Any]]]]:
    """The cron job with a PATH: exit code, and the lines of its log."""

    def run(path: str) -> tuple[int, list[dict[str, Any]]]:
        script = shop / "nightly.sh"
        shutil.copy(EXAMPLES / "cron" / "nightly.sh", script)
        done = subprocess.run(
            ["env", "-i", f"PATH={path}", f"SHOP={shop}", "sh", "-c", 'umask 077 && exec bash "$1"', "-", script],
            cwd="/", capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]

    return run


def test_the_cron_job_is_green_from_the_first_night(
    shop: Path, night: Callable[[str], tuple[int, list[dict[str, Any]]]], warm_path: str
) -> None:
    for days in (20, 21):
        write_log(shop, days)
        before = set(shop.rglob("*"))
        code, lines = night(warm_path)
        assert code == 0, lines
        ends = {line["command"]: line for line in lines if line["message"] == "ended"}
        assert {"score", "summarise", "monitor"} <= set(ends)
        assert {line["exit_code"] for line in ends.values()} == {0}
        assert {line["level"] for line in lines} == {"info"}
        # Monitor says what it waits for.
        assert ends["monitor"]["is_waiting"] is True
        assert (ends["monitor"]["days"], ends["monitor"]["days_needed"]) == (days - 1, 97)
        assert any("97 days that are needed" in line["message"] for line in lines)
        made = [made for made in set(shop.rglob("*")) - before if made.name != "nightly.sh"]
        assert made
        # What the night wrote is nobody else's.
        assert [made for made in made if stat.S_IMODE(made.stat().st_mode) & 0o077] == []
    credit = pd.read_parquet(shop / "scored" / "journey_credit")
    orders = pd.read_parquet(shop / "log" / "conversions")
    assert credit["credit"].sum() == pytest.approx(len(orders))
    assert len(list((shop / "summaries").glob("day=*"))) == 20


def test_a_second_night_at_once_is_to_be_tried_again(
    shop: Path, night: Callable[[str], tuple[int, list[dict[str, Any]]]], path: str
) -> None:
    from attribution.folders import lock_or_refuse

    (shop / "scored").mkdir()
    with lock_or_refuse(shop / "scored" / ".lock", "in use"):
        code, lines = night(path)
    assert (code, lines[-1]["exit_code"]) == (4, 4)
    assert [line["level"] for line in lines].count("error") == 1


class _Task:
    """What stands for a task of Airflow: it knows what it runs, and what follows it."""

    def __init__(self, run: Callable[[], object], name: str) -> None:
        self.run, self.name = run, name

    def __rshift__(self, later: _Task) -> _Task:
        ORDER.append((self.name, later.name))
        return later


ORDER: list[tuple[str, str]] = []
TASKS: dict[str, _Task] = {}


def airflow_3(path: str) -> dict[str, types.ModuleType]:
    """As much of Airflow 3 as the example takes; a module of Airflow 2 is not there."""

    class DAG:
        def __init__(self, dag_id: str, *, schedule: str, start_date: object, catchup: bool, **rest: object) -> None:
            assert set(rest) <= {"max_active_runs", "default_args", "tags"}

        def __enter__(self) -> DAG:
            return self

        def __exit__(self, *_: object) -> None: ...

    def bash_operator(*, task_id: str, bash_command: str, cwd: str, retries: int = 2) -> _Task:
        environment = {"PATH": path, "HOME": "/nonexistent"}

        def run() -> object:
            return subprocess.run(["bash", "-c", bash_command], cwd=cwd, env=environment, check=True)

        TASKS[task_id] = _Task(run, task_id)
        return TASKS[task_id]

    def short_circuit(*, task_id: str) -> Callable[[Callable[[], bool]], Callable[[], _Task]]:
        def decorate(function: Callable[[], bool]) -> Callable[[], _Task]:
            def make() -> _Task:
                TASKS[task_id] = _Task(function, task_id)
                return TASKS[task_id]

            return make

        return decorate

    names = ["airflow", "airflow.sdk", "airflow.providers", "airflow.providers.standard"]
    names += ["airflow.providers.standard.operators", "airflow.providers.standard.operators.bash"]
    modules = {name: types.ModuleType(name) for name in names}
    vars(modules["airflow.sdk"]).update(DAG=DAG, task=types.SimpleNamespace(short_circuit=short_circuit))
    vars(modules[names[-1]]).update(BashOperator=bash_operator)
    return modules


def test_the_tasks_of_airflow_run_in_their_order(shop: Path, warm_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ORDER.clear()
    TASKS.clear()
    for name, module in airflow_3(warm_path).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("SHOP", str(shop))
    monkeypatch.setenv("PATH", warm_path)
    runpy.run_path(str(EXAMPLES / "airflow" / "nightly_attribution.py"))
    names = [ORDER[0][0], *(later for _, later in ORDER)]
    assert names == ["score", "summarise", "monitor", "refit", "promote"]
    assert [earlier for earlier, _ in ORDER] == names[:-1]
    for name in names[:2]:
        TASKS[name].run()
    # Too few days yet: nothing drifted, and what follows is skipped.
    assert TASKS["monitor"].run() is False
    assert len(pd.read_parquet(shop / "scored" / "journey_credit")) > 50
    monkeypatch.setenv("SHOP", "/nonexistent")
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(OSError):
        TASKS["monitor"].run()
