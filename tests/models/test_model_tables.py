"""Tables that only some models have, as a run writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.pipeline.pipeline import run_experiment
from attribution.production.output_tables import output_tables
from tests.journeys.test_buckets import log

MODELS = """
[[models]]
model = "LinearDistinct"
[[models]]
model = "Markov"
name = "markov_1"
[[models]]
model = "Markov"
order = "auto"
name = "chosen"
[[models]]
model = "Shapley"
[[models]]
model = "Shapley"
game = "rate"
name = "rate"
"""


def experiment(folder: Path, more: str = "", *, customers: int = 1_200) -> Path:
    touchpoints, conversions = log(customers, seed=5)
    touchpoints.to_parquet(folder / "touchpoints.parquet")
    conversions.to_parquet(folder / "conversions.parquet")
    names = [f"顾客 {number}" for number in range(customers + 5_000)]
    pd.DataFrame({"customer_id": names, "region": "north"}).to_parquet(folder / "customers.parquet")
    path = folder / "tables.toml"
    tables = "".join(
        f'[tables.{name}]\nsource = "{name}.parquet"\n' for name in ("touchpoints", "conversions", "customers")
    )
    path.write_text(f"{tables}{MODELS}{more}\n[tracking]\nenabled = false\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = experiment(tmp_path_factory.mktemp("tables"), "[output]\ninteractions = true\n[placebo]\n")
    return run_experiment(path).tables


def test_every_table_has_the_columns_that_were_declared(tables: Any) -> None:
    for name in ("published_credit", "held_out", "credit_by_position", "interactions", "placebo"):
        assert tuple(tables[name].columns) == output_tables()[name].column_names, name
        assert len(tables[name])


def test_published_credit_holds_published_and_allocated_totals(tables: Any) -> None:
    credit = tables["credit"].set_index(["model", "channel"])["conversions"]
    table = tables["published_credit"].set_index(["model", "channel"])
    # Rules publish nothing, and of the set game totals are sums of shares.
    assert list(dict.fromkeys(table.index.get_level_values("model"))) == ["markov_1", "chosen", "rate"]
    for (model, channel), row in table.iterrows():
        assert row["published"] == credit[model, channel]
        assert row["alone"] - 1e-9 <= row["allocated"] <= row["took_part"] + 1e-9
        assert row["gap"] == row["allocated"] - row["published"]
    has_effects = table["removal_effect"].notna()
    assert set(table.index[has_effects].get_level_values("model")) == {"markov_1", "chosen"}
    assert table.loc[has_effects, "removal_effect"].between(0, 1).all()


def test_without_reconciling_removal_effects_are_left(tmp_path: Path) -> None:
    more = '[[models]]\nmodel = "Markov"\nname = "alone"\nreconcile = false\n'
    table = run_experiment(experiment(tmp_path, more, customers=300)).tables["published_credit"]
    rows = table[table["model"] == "alone"]
    assert rows["removal_effect"].notna().all()
    assert rows[["allocated", "alone", "took_part", "gap", "group"]].isna().all(axis=None)
    other = table[table["model"] == "markov_1"]
    for column in ("published", "removal_effect", "removal_effect_value"):
        assert rows[column].tolist() == other[column].tolist()


def test_one_order_is_chosen(tables: Any) -> None:
    table = tables["held_out"]
    assert set(table["model"]) == {"chosen"}
    assert table["chosen"].sum() == 1
    assert table["order"].tolist() == [1, 2, 3, 4, 5]


def test_positions_add_up_to_credit(tables: Any) -> None:
    credit = tables["credit"].query("model == 'shapley'").set_index("channel")["conversions"]
    by_channel = tables["credit_by_position"].groupby("channel")["conversions"].sum()
    for channel, conversions in by_channel.items():
        assert conversions == pytest.approx(credit[channel], rel=1e-12)


def test_interactions_are_of_every_pair(tables: Any) -> None:
    assert tables["interactions"].groupby("model").size().to_dict() == {
        "markov_1": 6, "chosen": 6, "shapley": 6, "rate": 6,
    }  # fmt: skip


def test_an_incremental_model_leaves_a_baseline(tables: Any) -> None:
    rows = tables["credit"].query("model == 'rate'")
    assert (rows["estimand"] == "incremental").all()
    observed = tables["credit"].query("model == 'shapley'")["conversions"].sum()
    assert rows["conversions"].sum() == pytest.approx(observed, rel=1e-9)
    assert "(baseline)" in set(rows["channel"])
    assert "(baseline)" not in set(tables["returns"].query("model == 'shapley'")["channel"])
    quality = tables["quality"].set_index("check")
    assert (quality.loc[["few_conversions"], "status"] == "pass").all()


def test_a_baseline_has_an_interval(tmp_path: Path) -> None:
    rows = run_experiment(experiment(tmp_path, "[resampling]\ndraws = 80\n")).tables["credit"]
    for _, row in rows[rows["channel"].isin(["(baseline)", "(unattributed)"])].iterrows():
        assert row["conversions_low"] <= row["conversions"] <= row["conversions_high"]
        assert row["conversions_low"] < row["conversions_high"]


def test_models_without_interactions_are_named(tmp_path: Path) -> None:
    more = '[[models]]\nmodel = "Shapley"\ngame = "path_incremental"\n[output]\ninteractions = true\n'
    tables = run_experiment(experiment(tmp_path, more, customers=200)).tables
    said = tables["quality"].query("check == 'no_interactions'")
    assert said["message"].tolist() == [
        "shapley_path_incremental has no interactions; read those of other models: the game 'path_incremental' has no "
        "interactions"
    ]
    assert "shapley_path_incremental" not in set(tables["interactions"]["model"])


def test_interactions_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    assert "interactions" not in run_experiment(experiment(tmp_path)).tables


def test_fewer_than_30_conversions_are_computed_and_flagged(tmp_path: Path) -> None:
    path = experiment(tmp_path, "[resampling]\ndraws = 50\n", customers=40)
    tables = run_experiment(path).tables
    row = tables["quality"].set_index("check").loc["few_conversions"]
    assert row["count"] < 30
    assert row["status"] == "warn"
    assert "chance" in row["message"]
    assert np.isfinite(tables["credit"]["conversions"]).all()


def test_rates_without_customers_who_were_never_touched_are_refused(tmp_path: Path) -> None:
    path = experiment(tmp_path)
    text = path.read_text(encoding="utf-8").replace('[tables.customers]\nsource = "customers.parquet"\n', "")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="never touched"):
        run_experiment(path)


def test_a_placebo_needs_times(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a > b"], "conversions": [3]}).to_csv(tmp_path / "paths.csv", index=False)
    path = tmp_path / "paths.toml"
    path.write_text('[tables.paths]\nsource = "paths.csv"\n[[models]]\nmodel = "Linear"\n[placebo]\n')
    with pytest.raises(InputError, match="placebo"):
        run_experiment(path)
