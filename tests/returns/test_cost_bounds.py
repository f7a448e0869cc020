"""Costs that are known in bounds only: bounds of ROI and of ranks, and where channels overlap."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decisions.diagnosis.diagnosis_section import diagnosis_grids
from attribution.errors import InputError
from attribution.reporting import charts
from attribution.returns import Terms, bounded_costs, bounds_findings, cost_sensitivity, read_costs, returns_table
from attribution.schema.experiment import Experiment, ReturnsOptions

PATHS = pd.DataFrame(
    {
        "path": ["mail", "mail > search", "search", "展会 🎪", "search > 展会 🎪"],
        "conversions": [4, 6, 3, 2, 1],
        "value": [400.0, 500.0, 100.0, 80.0, 30.0],
    }
)
COSTS = pd.DataFrame(
    {
        "channel": ["mail", "search", "search", "展会 🎪", None],
        "cost_type": ["media", "media", "labour", "venue", "tools"],
        "amount": [100.0, None, 20.0, None, None],
        "cost_low": [None, 40.0, None, 30.0, 10.0],
        "cost_high": [None, 90.0, None, 50.0, 60.0],
    }
)


def bounds_of(costs: pd.DataFrame, **options: Any) -> pd.DataFrame:
    sources = at.load_sources(paths=PATHS, costs=costs)
    credit = at.attribute(at.build_journeys(sources), [at.Linear(), at.LastTouch()])
    asked = ReturnsOptions(**options)
    terms = Terms(asked, read_costs(sources, asked))
    table = cost_sensitivity(credit.table, returns_table(credit.table, terms), terms)
    assert table is not None
    return table[table["cost_type"] == "(all)"].reset_index(drop=True)


@pytest.fixture(scope="module")
def exact_corners() -> list[tuple[at.Credit, at.Sources]]:
    """Credit beside the costs table with every cost at one end of its bounds, in every combination."""
    low, high = (COSTS[name].fillna(COSTS["amount"]) for name in ("cost_low", "cost_high"))
    found = []
    for amounts in product(*({a, b} for a, b in zip(low, high, strict=True))):
        costs = COSTS[["channel", "cost_type"]].assign(amount=list(amounts))
        sources = at.load_sources(paths=PATHS, costs=costs)
        found.append((at.attribute(at.build_journeys(sources), [at.Linear(), at.LastTouch()]), sources))
    return found


@pytest.mark.parametrize(
    ("shared_by", "fee_rate"),
    [("spend", None), ("credit", 0.2), ({"mail": 1, "展会 🎪": 3}, None), ({"tools": "credit"}, 0.2)],
)
def test_bounds_are_those_of_every_combination_of_costs(
    exact_corners: list[tuple[at.Credit, at.Sources]], shared_by: Any, fee_rate: float | None
) -> None:
    options = {"shared_by": shared_by, "margin": 0.4, "fee_rate": fee_rate}
    found = bounds_of(COSTS, **options).set_index(["basis", "cost_basis", "model", "channel"])
    every = [at.compute_returns(credit, sources, **options) for credit, sources in exact_corners]
    brute = pd.concat(every).dropna(subset="roi").groupby(["basis", "cost_basis", "model", "channel"])
    assert set(brute.groups) == set(found.index)
    for column, of in (("roi_low", brute["roi"].min()), ("roi_high", brute["roi"].max())):
        np.testing.assert_allclose(found[column], of.reindex(found.index), rtol=1e-12)
    np.testing.assert_allclose(found["amount_low"], brute["spend"].min().reindex(found.index))
    np.testing.assert_allclose(found["amount_high"], brute["spend"].max().reindex(found.index))
    # No combination puts a channel where its bounds do not.
    places = pd.concat(every).dropna(subset="rank").set_index(["basis", "cost_basis", "model", "channel"])["rank"]
    joined = found.loc[places.index]
    assert (joined["rank_low"] <= places).all()
    assert (joined["rank_high"] >= places).all()


def test_ranks_and_overlaps_by_hand() -> None:
    """Last touch: mail 400 ÷ 100; search 600 ÷ (40 … 90); the fair 110 ÷ (30 … 50), on media alone."""
    costs = COSTS[:4].assign(cost_type="media").drop(index=2)
    table = bounds_of(costs).query("model == 'last_touch' and cost_basis == 'media'").set_index("channel")
    assert table.loc["mail", ["roi_low", "roi", "roi_high"]].tolist() == [3.0, 3.0, 3.0]
    assert table.loc["search", ["roi_low", "roi_high"]].tolist() == pytest.approx([600 / 90 - 1, 600 / 40 - 1])
    assert table.loc["search", ["amount_low", "amount", "amount_high"]].tolist() == [40.0, 65.0, 90.0]
    assert table["overlaps"].isna().all()
    assert table[["rank_low", "rank_high"]].T.to_dict("list") == {
        "mail": [2.0, 2.0],
        "search": [1.0, 1.0],
        "展会 🎪": [3.0, 3.0],
    }
    wider = costs.assign(cost_high=[None, 160.0, 50.0])
    table = bounds_of(wider).query("model == 'last_touch' and cost_basis == 'media'").set_index("channel")
    assert table["overlaps"].fillna("").to_dict() == {"mail": "search", "search": "mail", "展会 🎪": ""}
    assert table[["rank_low", "rank_high"]].T.to_dict("list")["mail"] == [1.0, 2.0]


def test_what_may_have_cost_nothing_has_no_upper_bound() -> None:
    table = bounds_of(COSTS.assign(cost_low=[None, 0.0, None, 30.0, 10.0]))
    search = table.query("channel == 'search' and cost_basis == 'media'")
    assert search["roi_high"].isna().all()
    assert search["roi_low"].notna().all()
    assert (search["rank_low"] == 1.0).all()


def run(costs: pd.DataFrame, **parts: Any) -> at.Outcome:
    document = {
        "name": "bounds",
        "tables": {"paths": {"source": PATHS}, "costs": {"source": costs}},
        "models": [{"model": "Linear"}],
        **parts,
    }
    return at.run_experiment(Experiment.model_validate(document))


def test_a_run_ranks_by_the_middle_and_says_where_that_is_not_sure() -> None:
    tables = run(COSTS, returns={"cost_basis": "loaded"}).tables
    middle = COSTS.assign(amount=[100.0, 65.0, 20.0, 40.0, 35.0])[["channel", "cost_type", "amount"]]
    exact = run(middle, returns={"cost_basis": "loaded"}).tables
    pd.testing.assert_frame_equal(tables["returns"], exact["returns"])
    assert bounded_costs(exact["cost_sensitivity"]).empty
    assert "cost_bounds" not in set(exact["quality"]["check"])
    bounds = bounded_costs(tables["cost_sensitivity"])
    assert set(zip(bounds["basis"], bounds["cost_basis"], strict=True)) == {("revenue", "loaded")}
    finding = tables["quality"].set_index("check").loc["cost_bounds"]
    unsure = bounds[bounds["overlaps"].notna()]
    assert finding["count"] == unsure["channel"].nunique() > 0
    assert finding["status"] == "warn"
    assert bounds_findings(None) == bounds_findings(exact["cost_sensitivity"]) == []


def test_without_types_there_are_bounds_alone() -> None:
    plain = COSTS.dropna(subset="channel").drop(columns="cost_type")
    costs = run(plain).tables["cost_sensitivity"]
    assert set(costs["cost_type"]) == {"(all)"}
    exact = plain.assign(amount=1.0).drop(columns=["cost_low", "cost_high"])
    assert "cost_sensitivity" not in run(exact).tables


def test_types_add_up_to_what_all_of_them_cost_and_to_nothing_twice() -> None:
    """Rows of the type (all) are no further costs: nothing adds them to those of single types."""
    outcome = run(COSTS, returns={"cost_basis": "loaded"})
    costs = outcome.tables["cost_sensitivity"]
    types, whole = costs[costs["cost_type"] != "(all)"], costs[costs["cost_type"] == "(all)"]
    assert len(types)
    assert len(whole)
    assert types["own"].sum() == pytest.approx(100 + 65 + 20 + 40 + 35)
    assert types["amount"].sum() == pytest.approx(types["own"].sum())
    assert whole["own"].isna().all()
    loaded = whole[whole["cost_basis"] == "loaded"].set_index("channel")["amount"]
    assert types.groupby("channel")["amount"].sum()[loaded.index].to_numpy() == pytest.approx(loaded.to_numpy())
    spend = outcome.tables["returns"].query("cost_basis == 'loaded'").set_index("channel")["spend"]
    assert loaded.to_numpy() == pytest.approx(spend[loaded.index].to_numpy())
    of_types, of_own = charts.cost_waterfall(costs).table, charts.costs_by_type(costs).table
    assert of_types["amount"].sum() == pytest.approx(loaded.sum())
    assert of_own["amount"].sum() == pytest.approx(types["own"].sum())
    assert "(all)" not in {*of_types["cost_type"], *of_own["cost_type"]}
    assert set(charts.roi_within_bounds(costs).table["channel"]) == set(whole["channel"])
    borne = diagnosis_grids(outcome.tables)["sensitivity"]  # type: ignore[index]
    assert "(all)" not in set(borne["cost_type"])
    media_only = outcome.tables["tasks"].query("kind == 'media_cost_only'")
    assert media_only["size"].tolist() == [100.0]


def test_rows_in_another_order_and_in_another_currency() -> None:
    costs = COSTS.assign(currency="USD")
    asked = {"currency": "EUR", "rates": {"USD": 0.5}}
    halved = bounds_of(costs.sample(frac=1, random_state=1), **asked)
    whole = bounds_of(COSTS)
    np.testing.assert_allclose(halved["amount_high"], whole["amount_high"] / 2)
    pd.testing.assert_series_equal(halved["overlaps"], bounds_of(costs, **asked)["overlaps"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"cost_low": [1.0], "cost_high": [None]}, "only one of cost_low and cost_high is given, in 1 row"),
        ({"amount": [None], "cost_low": [None], "cost_high": [None]}, "neither the amount nor cost_low"),
        ({"cost_low": [3.0], "cost_high": [1.0]}, "cost_low is above cost_high, in 1 row"),
        ({"cost_low": [3.0], "cost_high": [5.0]}, "the amount is not between cost_low and cost_high, in 1 row"),
        ({"cost_low": [1.0]}, "needs both cost_low and cost_high, but cost_high is missing"),
        ({"cost_low": [-1.0], "cost_high": [5.0]}, "column 'cost_low': values are negative in 1 of 1 rows"),
        ({"amount": [None]}, "column 'amount': values are null in 1 of 1 rows"),
    ],
)
def test_bounds_that_cannot_be(columns: dict[str, list[float | None]], said: str) -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [2.0]}).assign(**columns)
    with pytest.raises(InputError, match=said):
        at.load_sources(paths=PATHS, costs=costs)
