"""What the README shows runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import attribution as at

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the quickstart reads."""
    monkeypatch.chdir(tmp_path)
    simulation = at.simulate("default", customers=500, truth=False)
    simulation.touchpoints.to_parquet("touchpoints.parquet")
    simulation.conversions.to_csv("orders.csv", index=False)
    simulation.costs.to_csv("spend.csv", index=False)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "four_campaign.toml").write_text(
        '[tables.touchpoints]\nsource = "../touchpoints.parquet"\n'
        '[tables.conversions]\nsource = "../orders.csv"\n[[models]]\nmodel = "Linear"\n'
    )
    return tmp_path


@pytest.mark.usefixtures("shop")
def test_quickstart_and_own_model_run() -> None:
    quickstart, own_model = blocks("python")
    names: dict[str, object] = {"np": np}
    exec(quickstart, names)
    assert len(names["ranking"].agreement) == 16  # type: ignore[attr-defined]
    exec(own_model, names)


def test_the_experiment_shown_is_well_formed(tmp_path: Path) -> None:
    toml, *_ = blocks("toml")
    (tmp_path / "shown.toml").write_text(toml, encoding="utf-8")
    experiment = at.read_experiment(tmp_path / "shown.toml")
    assert [spec.model for spec in experiment.models] == ["LastTouch", "Markov", "my_package.my_module:MyModel"]
