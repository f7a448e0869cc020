"""Files to begin with: each is accepted and runs from end to end, and none overwrites what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution.decisions.funnel import FunnelOptions
from attribution.decisions.kpis import check_targets, read_targets
from attribution.errors import InputError
from attribution.pipeline.outcome import run_of
from attribution.pipeline.pipeline import run_experiment
from attribution.pipeline.sections import read_experiment
from attribution.schema.experiment import read_toml
from attribution.schema.experiment.profiles import read_profiles, write_profile
from attribution.simulation import simulate
from tests.cli.test_cli import call

PROFILES = list(read_profiles())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log with all that any profile reads, under the names that profiles give."""
    folder = tmp_path_factory.mktemp("data")
    world = simulate("default", customers=400, seed=1)
    touched = world.touchpoints.assign(kind=np.where(np.arange(len(world.touchpoints)) % 3, "click", "impression"))
    touched.to_csv(folder / "touchpoints.csv", index=False)
    world.conversions.to_csv(folder / "conversions.csv", index=False)
    world.costs.to_csv(folder / "costs.csv", index=False)
    customers = pd.unique(touched["customer_id"])
    accounts = pd.DataFrame(
        {"customer_id": customers, "account_id": [f"户{each // 2}" for each in range(len(customers))]}
    )
    accounts.to_csv(folder / "customers.csv", index=False)
    first = touched.groupby("customer_id")["touched_at"].min()
    won = world.conversions.groupby("customer_id")["converted_at"].max()
    steps = [
        first.rename("lead"),
        *(won.rename(name) for name in ("MQL", "SQL", "qualified", "opportunity", "won", "paid")),
    ]
    stages = pd.concat([step.rename("stage_time").reset_index().assign(stage=step.name) for step in steps])
    stages.to_csv(folder / "stages.csv", index=False)
    return folder


@pytest.mark.parametrize("name", PROFILES)
def test_a_written_profile_runs_from_end_to_end(name: str, data: Path) -> None:
    experiment, targets = write_profile(name, data / f"{name} 春.toml")
    asked = read_experiment(experiment, ["tracking.enabled=false"])
    assert asked.name == f"{name} 春"
    outcome = run_experiment(asked)
    assert {"LastTouch", "TimeDecay"} <= {type(model).__name__ for model in outcome.models}
    assert (outcome.tables["quality"]["status"] != "fail").all()
    assert outcome.tables["returns"]["rank"].notna().any()
    # The world is of 2024: the one line that a user must edit before the targets can be held against data.
    targets.write_text(targets.read_text(encoding="utf-8").replace("period = 2026", "period = 2024"), encoding="utf-8")
    checked = check_targets(read_targets(targets), run_of(outcome))
    assert checked["value"].notna().all(), "a profile asks for a metric that its own experiment does not work out"
    funnel = asked.options("funnel", FunnelOptions)
    if funnel is not None:
        assert outcome.tables["funnel"]["arrivals"].min() > 0
        assert outcome.tables["funnel"]["stage"].tolist() == list(funnel.stages)


@pytest.mark.parametrize("name", PROFILES)
def test_every_number_says_that_it_is_a_start_or_how_it_is_checked(name: str, tmp_path: Path) -> None:
    experiment, targets = write_profile(name, tmp_path / "e.toml")
    head = read_toml(experiment)[0]
    assert "starting point" in head
    assert "not a fact about your business" in head
    for path in (experiment, targets):
        for line in read_toml(path)[0].splitlines():
            if re.match(r"(lookback_days|half_life_days|margin|target|break_days|revenue) = ", line):
                assert "#" in line, f"{path.name}: {line}"


def test_the_cycle_of_a_business_shows_in_its_lookback(tmp_path: Path) -> None:
    days = {}
    for name in PROFILES:
        experiment, _ = write_profile(name, tmp_path / f"{name}.toml")
        days[name] = read_experiment(experiment).journeys.lookback_days
    assert days["app"] < days["shop"] < days["subscription"] < days["b2b"]


def test_the_targets_name_the_experiment_that_was_written(tmp_path: Path) -> None:
    _, targets = write_profile("shop", tmp_path / 'a "quoted" 名.toml')
    assert read_targets(targets).experiment == 'a "quoted" 名.toml'


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "init", "shop") == 0
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(kept) == {"shop.toml", "shop-targets.toml"}
    assert call(monkeypatch, "init", "app", "--to", "shop.toml") == 2
    assert "is there already" in capsys.readouterr().err
    Path("shop.toml").unlink()
    assert call(monkeypatch, "init", "app", "--to", "shop.toml") == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "shop-targets.toml": kept["shop-targets.toml"]
    }


def test_profiles_are_listed_and_an_unknown_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "init", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) == {"app", "b2b", "lead_generation", "shop", "subscription"}
    assert call(monkeypatch, "init", "b2c") == 2
    assert "did you mean 'b2b'?" in capsys.readouterr().err
    for name, to in (("shop_targets", "x.toml"), ("../shop", "x.toml"), ("shop", "x.yaml"), ("shop", ".toml")):
        with pytest.raises(InputError):
            write_profile(name, to)
    assert list(tmp_path.iterdir()) == []
