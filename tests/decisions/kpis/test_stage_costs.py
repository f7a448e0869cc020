"""Cost per arrival in KPIs is the one of ``funnel_credit``, added up over channels with a cost of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attribution.decisions.kpis import Run, read_run
from attribution.decisions.kpis.metrics import measure
from attribution.pipeline.output import write_outcome
from attribution.pipeline.pipeline import run_experiment

EXPERIMENT = """
[tables]
touchpoints = { source = "touchpoints.csv" }
conversions = { source = "orders.csv" }
costs = { source = "costs.csv" }
stages = { source = "stages.csv" }

[returns]
cost_basis = "loaded"
shared_by = "touchpoints"

[funnel]
stages = ["lead", "demo", "won"]
costs = { lead = 4, demo = 50 }

[[models]]
model = "Linear"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Eight leads, six by ads and two by blog; five demos, four by ads; one win, by blog. Fairs bring nobody."""
    folder = tmp_path_factory.mktemp("crm")
    people = [f"p{number}" for number in range(8)]
    channels = ["ads"] * 6 + ["blog"] * 2
    pd.DataFrame({"customer_id": people, "channel": channels, "touched_at": "2024-01-01"}).to_csv(
        folder / "touchpoints.csv", index=False
    )
    pd.DataFrame({"customer_id": ["p7"], "converted_at": ["2024-01-20"], "value": [900.0]}).to_csv(
        folder / "orders.csv", index=False
    )
    stages = [(person, "lead", "2024-01-03") for person in people]
    stages += [(person, "demo", "2024-01-10") for person in ("p0", "p1", "p2", "p3", "p7")]
    stages += [("p7", "won", "2024-01-20")]
    pd.DataFrame(stages, columns=["customer_id", "stage", "stage_time"]).to_csv(folder / "stages.csv", index=False)
    costs = {
        "channel": ["ads", "fairs", None],
        "cost_type": ["media", "media", "tools"],
        "amount": [300.0, 40.0, 80.0],
    }
    pd.DataFrame(costs).to_csv(folder / "costs.csv", index=False)
    (folder / "crm.toml").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "run").mkdir()
    write_outcome(folder / "run", run_experiment(folder / "crm.toml"), report="", seconds=1.0)
    return read_run(folder / "run")


@pytest.mark.parametrize("stage", ["lead", "demo", "won"])
def test_a_channel_has_the_cost_per_arrival_of_the_table(run: Run, stage: str) -> None:
    table = run.tables["funnel_credit"].set_index(["stage", "channel"]).loc[stage]
    for channel in ("ads", "blog"):
        for metric in ("cost_per_arrival", "full_cost_per_arrival"):
            value = measure(run, metric, [channel], stage=stage).value
            np.testing.assert_allclose(value, table.loc[channel, metric], rtol=1e-12)
    assert np.isnan(table.loc["blog", "cost_per_arrival"])


def test_the_cost_of_all_is_over_channels_with_a_cost_of_their_own(run: Run) -> None:
    # Of 80 for tools blog bears a quarter, by touchpoints; it has no cost of its own. Fairs have one, and no arrivals.
    spend = 300 + 80 * 6 / 8 + 40
    assert measure(run, "cost_per_arrival", stage="lead").value == pytest.approx(spend / 6)
    assert measure(run, "cost_per_arrival", stage="demo").value == pytest.approx(spend / 4)
