"""What each type of cost does to ROI, and which types are known of whom."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.reporting import charts
from attribution.returns import Terms, borne_costs, cost_sensitivity, own_costs, read_costs, returns_table
from attribution.schema.experiment import ReturnsOptions

PATHS = pd.DataFrame({"path": ["mail > tv", "tv", "mail", "fair"], "conversions": [5, 3, 4, 2], "value": [50.0] * 4})


@cache
def credit_of_paths() -> pd.DataFrame:
    journeys = at.build_journeys(at.load_sources(paths=PATHS))
    return at.attribute(journeys, [at.Linear(), at.FirstTouch()]).table


def loaded_returns(costs: pd.DataFrame, shared_by: Any) -> tuple[pd.DataFrame, Terms]:
    sources = at.load_sources(paths=PATHS, costs=costs)
    options = ReturnsOptions.model_validate({"shared_by": shared_by, "cost_basis": "loaded"})
    terms = Terms(options, read_costs(sources, options))
    return returns_table(credit_of_paths(), terms), terms


def sensitivity_of(costs: pd.DataFrame, shared_by: Any) -> pd.DataFrame:
    table = cost_sensitivity(credit_of_paths(), *loaded_returns(costs, shared_by))
    assert table is not None
    return table


COSTS = pd.DataFrame(
    {
        "channel": ["mail", "mail", "tv", "fair", None, None],
        "cost_type": ["media", "labour", "media", "venue", "tools", "labour"],
        "amount": [10.0, 30.0, 20.0, 40.0, 12.0, 3.0],
    }
)


@pytest.mark.parametrize("shared_by", ["spend", "credit", {"mail": 1.0, "fair": 3.0}])
def test_sensitivity_is_that_of_returns_computed_again(shared_by: Any) -> None:
    returns = loaded_returns(COSTS, shared_by)[0]
    table = borne_costs(sensitivity_of(COSTS, shared_by))
    key = ["model", "channel"]
    spend = returns[returns["cost_basis"] == "loaded"].set_index(key)["spend"]
    borne = table.groupby(key)[["amount", "share"]].sum()
    assert borne["amount"].to_numpy() == pytest.approx(spend[borne.index].to_numpy(), rel=1e-12)
    assert borne["share"].to_numpy() == pytest.approx(1.0)
    for kind in table["cost_type"].unique():
        dearer = COSTS.assign(amount=COSTS["amount"].where(COSTS["cost_type"] != kind, COSTS["amount"] * 1.1))
        again = loaded_returns(dearer, shared_by)[0]
        again = again[again["cost_basis"] == "loaded"].set_index(key)["roi"]
        rows = table[table["cost_type"] == kind].set_index(key)
        assert len(rows)
        change = again[rows.index] - rows["roi"]
        assert rows["roi_change"].to_numpy() == pytest.approx(change.to_numpy(), rel=1e-9)


def test_sensitivity_by_hand_and_drawn() -> None:
    """Tools and labour that are shared by spend: mail bears a third, 4 and 1, and costs 45 in all."""
    table = borne_costs(sensitivity_of(COSTS, "spend"))
    mail = table.query("model == 'linear' and channel == 'mail'").set_index("cost_type")
    assert mail["amount"].to_dict() == pytest.approx({"media": 10.0, "labour": 31.0, "tools": 4.0})
    # Linear gives mail 25 + 50 of value.
    assert mail["roi"].iloc[0] == pytest.approx(75 / 45 - 1)
    assert mail.loc["labour", "roi_without"] == pytest.approx(75 / 14 - 1)
    figure = charts.cost_waterfall(table)
    drawn = figure.table[figure.table["channel"] == "mail"]
    assert drawn[["start", "end"]].to_numpy().ravel().tolist() == pytest.approx([0, 10, 10, 41, 41, 45])
    fair = table.query("model == 'linear' and channel == 'fair'")
    assert fair["roi_without"].isna().tolist() == [True]
    assert charts.to_svg(figure).startswith("<svg")
    with pytest.raises(InputError, match="nothing to draw"):
        charts.cost_waterfall(table.iloc[:0])


def test_no_cost_type_no_sensitivity() -> None:
    returns, terms = loaded_returns(COSTS, "spend")
    plain = dataclasses.replace(terms, costs=dataclasses.replace(terms.costs, is_ledger=False))
    assert cost_sensitivity(credit_of_paths(), returns, plain) is None


def test_what_is_known_of_whom_is_the_same_under_every_model() -> None:
    """Nothing is known of web, which has credit; what is shared stands in rows without a channel."""
    paths = pd.concat([PATHS, pd.DataFrame({"path": ["web"], "conversions": [1], "value": [1.0]})])
    sources = at.load_sources(paths=paths, costs=COSTS)
    credit = at.attribute(at.build_journeys(sources), [at.Linear(), at.FirstTouch()]).table
    terms = Terms(ReturnsOptions(), read_costs(sources, ReturnsOptions()))
    table = cost_sensitivity(credit, returns_table(credit, terms), terms)
    assert table is not None
    own = own_costs(table)
    assert len(own) == 5 * 4  # four channels and what they share × four types
    known = own[own["is_known"]]
    assert list(zip(known["channel"].fillna("(shared)"), known["cost_type"], known["amount"], strict=True)) == [
        ("fair", "venue", 40.0),
        ("mail", "media", 10.0),
        ("mail", "labour", 30.0),
        ("tv", "media", 20.0),
        ("(shared)", "labour", 3.0),
        ("(shared)", "tools", 12.0),
    ]
    assert own.set_index(["channel", "cost_type"]).loc[("mail", "labour"), "share"] == 0.75
    for _, rows in table.groupby("model"):
        pd.testing.assert_frame_equal(own_costs(rows), own)
    web = table[table["channel"] == "web"]
    assert web[["own", "amount", "roi", "roi_change", "roi_without"]].isna().all(axis=None)
    assert own_costs(table.iloc[:0]).empty
