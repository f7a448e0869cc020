"""Nightly commands with a model of what channels caused: its days need more of the log than others do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from attribution.cli import main as cli
from attribution.models.saved import Scorer, load_saved_scorer
from tests.models.test_additive_hazard import START, world

EXPERIMENT = """
name = "nightly"

[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "costs.csv"

[journeys]
lookback_days = 5

[incrementality]
enabled = false

[[models]]
model = "LastTouch"

[[models]]
model = "AdditiveHazard"
name = "caused"
customers = 2500

[tracking]
enabled = false
"""
PERIOD = ("--set", "period.start=2024-01-06", "--set", "period.end=2024-02-07")

Run = Callable[..., tuple[int, str, str]]


def write_log(folder: Path, since: int = 0, until: int = 40) -> None:
    """The days of a log from ``since`` on and before ``until``."""
    first, last = (START + pd.Timedelta(days=days) for days in (since, until))
    shop = world(customers=2_500, intent=0.2)
    for name, table, at in (
        ("touchpoints", shop.touchpoints, "touched_at"),
        ("conversions", shop.conversions, "converted_at"),
    ):
        inside = table[table[at].between(first, last, inclusive="left")]
        inside.to_parquet(folder / f"{name}.parquet", index=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log, and all its whole days, summarised on two nights."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "nightly.toml").write_text(EXPERIMENT)
    (folder / "costs.csv").write_text("channel,amount\nmail,100\nvideo,100\n")
    command = [sys.executable, "-m", "attribution", "summarise", "nightly.toml", "--to", "sums"]
    for until in (25, 40):
        write_log(folder, until=until)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    return folder


@pytest.fixture
def job(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["attribution", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def days_of(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.rglob("summary.parquet")}


def test_a_refit_is_a_run_on_the_same_days(job: Run) -> None:
    code, out, err = job("refit", "sums", "--days", "33", "--through", "2024-02-07", "--out", "refit", "--json")
    warnings = json.loads(out)["warnings"]
    assert (code, "Look at the table quality" in err) == (0, True)
    assert job("run", "nightly.toml", *PERIOD, "--out", "run")[0] == 0
    for name, keys in (("credit", ["model", "channel"]), ("assignment", ["model", "channel"])):
        found, expected = (pd.read_parquet(f"{folder}/{name}.parquet") for folder in ("refit", "run"))
        assert len(found) >= 2
        both = [table.set_index(keys)[[*found.select_dtypes("number"), "is_known"]] for table in (found, expected)]
        pd.testing.assert_frame_equal(*both, rtol=1e-7, atol=1e-7, check_dtype=False)
    found, expected = (pd.read_parquet(f"{folder}/quality.parquet").set_index("check") for folder in ("refit", "run"))
    assert set(warnings) == set(found.index[found["status"] == "warn"])
    own = found.drop(index="short_history")
    assert own["count"].to_dict() == pytest.approx(expected["count"][own.index].to_dict())
    assert "few_conversions_at_risk" in warnings


def test_a_log_that_lacks_history_changes_no_day_that_is_there(job: Run, tmp_path: Path) -> None:
    """Two windows are enough for last touch, and not for the half-lives of seven and 21 days."""
    files = days_of(tmp_path / "sums")
    write_log(tmp_path, since=20)
    code, out, err = job("summarise", "nightly.toml", "--to", "sums", "--json")
    assert (code, json.loads(out)["stale"]) == (0, [])
    late = pd.read_parquet("touchpoints.parquet")
    late = pd.concat([late, late.tail(1).assign(touched_at=START + pd.Timedelta(days=39.5))])
    late.to_parquet("touchpoints.parquet", index=False)
    code, out, err = job("summarise", "nightly.toml", "--to", "sums", "--json")
    assert (code, "these tables lack the touchpoints" in err) == (3, True)
    assert json.loads(out)["stale"] == [f"2024-02-0{day}" for day in range(4, 9)]
    assert days_of(tmp_path / "sums") == files
    code, _, err = job("summarise", "nightly.toml", "--to", "sums", "--from", "2024-02-03")
    assert (code, "needs the touchpoints of the 210 days before it" in err) == (2, True)


def test_a_forgotten_customer_is_in_no_day(job: Run, tmp_path: Path) -> None:
    """Each day then says what it would if the customer had never been."""
    who = pd.read_parquet("touchpoints.parquet")["customer_id"].iloc[0]
    before = days_of(tmp_path / "sums")
    assert job("forget", str(who), "--in", "sums", "--tables", "nightly.toml")[0] == 0
    for name in ("touchpoints", "conversions"):
        table = pd.read_parquet(f"{name}.parquet")
        table[table["customer_id"] != who].to_parquet(f"{name}.parquet", index=False)
    assert job("summarise", "nightly.toml", "--to", "anew", "--through", max(before).removeprefix("day="))[0] == 0
    assert days_of(tmp_path / "sums") == days_of(tmp_path / "anew") != before


def test_another_number_of_customers_is_another_model(job: Run, tmp_path: Path) -> None:
    (tmp_path / "nightly.toml").write_text(EXPERIMENT.replace("2500", "2600"))
    code, _, err = job("summarise", "nightly.toml", "--to", "sums")
    assert (code, "other settings: models" in err) == (2, True)


@pytest.mark.slow
def test_a_challenger_of_what_channels_caused(job: Run) -> None:
    assert job("run", "nightly.toml", *PERIOD, "--out", "run")[0] == 0
    assert job("export", "run", "--model", "caused", "--to", "models/caused")[0] == 0
    code, out, _ = job("refit", "sums", "--days", "30", "--champion", "models/caused", "--json")
    assert code == 0
    champion, challenger = Scorer.load("models/caused"), load_saved_scorer("runs/nightly-refit", "caused")
    assert json.loads(out)["version"] == challenger.version != champion.version
    assert challenger.state.arrays.keys() == champion.state.arrays.keys()
    log = ("--touchpoints", "touchpoints.parquet", "--conversions", "conversions.parquet")
    days = ("--training-days", "28", "--recent-days", "1", "--significance", "0.3")
    code, out, err = job("monitor", "models/caused", *log, *days)
    assert code in (0, 3)
    assert "Credit of caused is not compared" in out + err


def test_credit_of_a_few_days_is_not_compared(job: Run) -> None:
    days = ("--training-days", "28", "--recent-days", "7", "--through", "2024-02-07")
    code, out, err = job("monitor", "sums", *days)
    assert code in (0, 3)
    assert "Credit of caused is not compared, because a few days do not tell what channels caused." in out + err
    drift = pd.read_parquet("runs/nightly-monitor/drift.parquet")
    assert set(drift["model"].dropna()) == {"last_touch"}
