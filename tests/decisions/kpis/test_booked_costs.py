"""Spend and MER of a business are all costs that were booked, whatever model gives credit."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from attribution.decisions.kpis import read_run
from attribution.decisions.kpis.metrics import measure
from attribution.pipeline.output import write_outcome
from attribution.pipeline.pipeline import run_experiment

EXPERIMENT = """
[tables]
touchpoints = { source = "touchpoints.csv" }
conversions = { source = "orders.csv" }
costs = { source = "costs.csv" }

[returns]
cost_basis = "BASIS"
shared_by = "credit"

[[models]]
model = "FirstTouch"

[[models]]
model = "LastTouch"
"""


def run_of(folder: Path, basis: str, costs: dict[str, list[object]]) -> object:
    """Two customers come by ads to seo, two by mail; 100 each."""
    rows = [("a", "search"), ("a", "seo"), ("b", "search"), ("b", "seo"), ("c", "mail"), ("d", "mail")]
    days = ["2024-01-02", "2024-01-03", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-04"]
    touchpoints = pd.DataFrame(rows, columns=["customer_id", "channel"]).assign(touched_at=days)
    touchpoints.to_csv(folder / "touchpoints.csv", index=False)
    orders = pd.DataFrame({"customer_id": list("abcd"), "converted_at": "2024-01-05", "value": 100.0})
    orders.to_csv(folder / "orders.csv", index=False)
    pd.DataFrame(costs).to_csv(folder / "costs.csv", index=False)
    (folder / "shop.toml").write_text(EXPERIMENT.replace("BASIS", basis), encoding="utf-8")
    outcome = run_experiment(folder / "shop.toml")
    (folder / "run").mkdir()
    write_outcome(folder / "run", outcome, report="", seconds=1.0)
    return read_run(folder / "run")


SHARED = {"channel": ["search", "mail", None], "cost_type": ["media", "media", "tools"], "amount": [100.0, 50.0, 100.0]}
MEDIA = {"channel": ["search", "mail"], "amount": [100.0, 50.0]}


@pytest.mark.parametrize("model", ["first_touch", "last_touch"])
@pytest.mark.parametrize(
    ("basis", "costs", "spend", "is_part"),
    [("loaded", SHARED, 250.0, False), ("media", SHARED, 150.0, True), ("media", MEDIA, 150.0, False)],
)
def test_spend_and_mer_are_the_same_under_every_model(
    tmp_path: Path, model: str, basis: str, costs: dict[str, list[object]], spend: float, is_part: bool
) -> None:
    run = run_of(tmp_path, basis, costs)
    for metric, expected in (("spend", spend), ("mer", 400 / spend)):
        answer = measure(run, metric, model=model)
        assert answer.value == pytest.approx(expected, rel=1e-12)
        assert ("media cost only" in answer.why) == is_part


def test_the_spend_of_a_channel_is_its_own_and_its_share(tmp_path: Path) -> None:
    run = run_of(tmp_path, "loaded", SHARED)
    assert [measure(run, "spend", [name], model="last_touch").value for name in ("search", "mail", "seo")] == [
        pytest.approx(amount) for amount in (100, 100, 50)
    ]
