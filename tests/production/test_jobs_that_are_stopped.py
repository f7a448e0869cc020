"""Jobs that are stopped: a request to end is Ctrl-C, and what a killed process leaves the next job removes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import attribution as at
from attribution.models.saved import Scorer
from tests.cli.test_cli import call
from tests.daily_logs import log_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without asking them"),
]

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = """
name = "shop"
[tables.touchpoints]
source = "touchpoints.parquet"
[tables.conversions]
source = "conversions.parquet"
[journeys]
lookback_days = 5
[[models]]
model = "Linear"
[tracking]
enabled = false
"""

WAITING = """
import importlib, sys, time
from pathlib import Path
module, name, marker, *arguments = sys.argv[1:]
def wait(*_, **__):
    Path(marker).touch()
    time.sleep(600)
setattr(importlib.import_module(module), name, wait)
sys.argv = ["attribution", *arguments]
from attribution.cli.main import command
command()
"""
"""The command line, with a step that never ends and says when it has begun."""

JOBS = {
    "score": (
        ("score", "model", "--touchpoints", "touchpoints.parquet", "--conversions", "conversions.parquet"),
        ("attribution.production.scoring.ledger", "sync_tree"),
    ),
    "summarise": (("summarise", "shop.toml"), ("attribution.production.refit.store", "read_day")),
    "run": (("run", "shop.toml"), ("attribution.folders", "sync_tree")),
}
"""By name: what is asked for, and the step at which it waits, when something has been written."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables, an experiment, a model, and a folder for what is spilled."""
    tables = log_of(6, customers=60)
    for name, table in zip(("touchpoints", "conversions"), tables, strict=True):
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    (tmp_path / "shop.toml").write_text(EXPERIMENT, encoding="utf-8")
    journeys = at.build_journeys(at.load_sources(*tables), lookback_days=5)
    Scorer.of(at.Linear().fit(journeys), name="shop").save(tmp_path / "model")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def left_in(folder: Path) -> list[str]:
    """What no ended job leaves: folders that replace others, half of a file, and what was spilled."""
    found = [path for path in folder.rglob("*") if path.name.endswith((".new", ".old")) or path.name == ".scoring"]
    found += folder.glob("temporary/attribution-spill-*")
    return sorted(path.relative_to(folder).as_posix() for path in found)


@pytest.mark.parametrize(
    "name", ["score", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("run", "summarise"))]
)
def test_a_stopped_job_leaves_what_was_there(name: str, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, step = JOBS[name]
    arguments = (*arguments, "--to" if name == "summarise" else "--out", "out")
    done = [sys.executable, "-W", "ignore", "-m", "attribution", *arguments]
    waiting = [sys.executable, "-W", "ignore", "-c", WAITING, *step, "reached", *arguments]
    monkeypatch.chdir(shop)
    assert call(monkeypatch, *arguments) == 0
    before = files(shop / "out")
    late = "touchpoints.parquet"
    import pandas as pd

    table = pd.read_parquet(shop / late)
    table.assign(channel="search").to_parquet(shop / late, index=False)

    def stop(by: signal.Signals) -> int:
        (shop / "reached").unlink(missing_ok=True)
        job = subprocess.Popen(waiting, cwd=shop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: (shop / "reached").exists() or job.poll() is not None)
        assert job.poll() is None
        job.send_signal(by)
        return job.wait(60)

    codes = [stop(by) for by in (signal.SIGINT, signal.SIGTERM)]
    assert codes == [130, 130]
    assert left_in(shop) == []
    assert {path: content for path, content in files(shop / "out").items() if path in before} == before
    assert stop(signal.SIGKILL) == -signal.SIGKILL
    assert left_in(shop) != []
    assert subprocess.run(done, cwd=shop, capture_output=True, check=False).returncode == 0
    assert left_in(shop) == []
    assert files(shop / "out") != before


def wait_until(is_so: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < 300
        time.sleep(0.05)
