"""Revenue, margin and LTV as return; new customers; refunds; intervals on whatever channels are ranked by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.pipeline.outcome import Outcome
from attribution.returns import lifetime_value, main_basis
from attribution.schema.experiment import Experiment


def shop(customers: int, channels: tuple[str, ...] = ("mail",), **columns: Any) -> dict[str, pd.DataFrame]:
    """One conversion for each customer, who was touched by one channel after the other in turn, two in all."""
    ids = np.arange(customers)
    touched = pd.DataFrame(
        {
            "customer_id": np.repeat(ids, 2),
            "touched_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.tile([0, 1], customers), unit="D"),
            "channel": np.array(channels, dtype=object)[
                (np.repeat(ids, 2) + np.tile([0, 1], customers)) % len(channels)
            ],
        }
    )
    converted = pd.DataFrame({"customer_id": ids, "converted_at": pd.Timestamp("2024-01-04"), **columns})
    return {"touchpoints": touched, "conversions": converted}


def run(tables: dict[str, pd.DataFrame], models: tuple[Any, ...] = ("LastTouch",), **parts: Any) -> Outcome:
    document = {
        "name": "returns",
        "tables": {name: {"source": table} for name, table in tables.items()},
        "models": [{"model": model} if isinstance(model, str) else model for model in models],
        **parts,
    }
    return at.run_experiment(Experiment.model_validate(document))


def row(table: pd.DataFrame, **where: str) -> pd.Series:
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


ORACLE = {
    **shop(50, value=80.0, refund=4.0, is_new_customer=np.arange(50) < 30),
    "costs": pd.DataFrame(
        {"channel": "mail", "amount": [1000.0, 100.0, 150.0], "cost_type": ["media", "fees", "content"]}
    ),
}
"""Media 1,000, fee 10 %, creative 150; revenue 4,000, 5 % of it returned; 50 conversions, 30 of them new."""


def test_every_ratio_of_one_channel_by_hand() -> None:
    asked = {"margin": 0.4, "ltv": 300.0, "basis": "margin", "cost_basis": "loaded"}
    outcome = run(ORACLE, returns=asked, output={"unit_economics": True})
    returns = outcome.tables["returns"]
    loaded = {
        basis: row(returns, channel="mail", basis=basis, cost_basis="loaded") for basis in ("revenue", "margin", "ltv")
    }
    assert {part["spend"] for part in loaded.values()} == {1250.0}
    assert loaded["revenue"]["roas"] == pytest.approx(3.04)
    assert loaded["revenue"]["roi"] == pytest.approx(2.04)
    assert loaded["margin"]["roi"] == pytest.approx(0.216)
    assert loaded["ltv"]["roi"] == pytest.approx(1.88)
    assert loaded["revenue"]["cpa"] == 25.0
    assert np.isnan(loaded["margin"]["roas"])
    assert row(returns, channel="mail", basis="revenue", cost_basis="media")["roas"] == pytest.approx(3.8)
    unit = row(outcome.tables["unit_economics"], cost_basis="loaded")
    expected = {
        "new_customers": 30.0,
        "average_value": 76.0,
        "margin": 0.4,
        "lifetime_margin": 120.0,
        "cpa": 25.0,
        "cac": 41.0 + 2 / 3,
        "ltv_to_cac": 2.88,
        "break_even_roas": 2.5,
        "break_even_cpa": 30.4,
    }
    assert unit[[*expected]].to_dict() == pytest.approx(expected)
    # LTV ÷ CAC is a ratio; the ROI on the same money is it less one.
    assert unit["ltv_to_cac"] - 1 == pytest.approx(loaded["ltv"]["roi"])


def test_the_oracle_with_fees_as_a_share_of_media() -> None:
    """The same costs, the fee told as 10 % of media: every number is the same, to the last bit."""
    booked = ORACLE["costs"]
    by_rate = ORACLE | {"costs": booked[booked["cost_type"] != "fees"]}
    asked = {"margin": 0.4, "ltv": 300.0, "basis": "margin", "cost_basis": "loaded"}
    one = run(ORACLE, returns=asked, output={"unit_economics": True}).tables
    other = run(by_rate, returns=asked | {"fee_rate": 0.1}, output={"unit_economics": True}).tables
    for name in ("returns", "unit_economics", "cost_sensitivity"):
        pd.testing.assert_frame_equal(one[name], other[name], check_exact=True)


def test_without_returned_goods_the_roas_is_gross() -> None:
    tables = ORACLE | {"conversions": ORACLE["conversions"].drop(columns="refund")}
    assert row(run(tables).tables["returns"], channel="mail", cost_basis="media")["roas"] == 4.0


def test_marketers_oracles() -> None:
    """Cost 10,000 and value 50,000: ROI 400 %; that is a ROAS of 5, and at 30 % margin a profit of 50 %."""
    tables = {
        "paths": pd.DataFrame({"path": ["mail"], "conversions": [100], "value": [50_000.0]}),
        "costs": pd.DataFrame({"channel": ["mail"], "amount": [10_000.0]}),
    }
    returns = run(tables, returns={"margin": 0.3}).tables["returns"]
    assert row(returns, channel="mail", basis="revenue")[["roas", "roi"]].tolist() == [5.0, 4.0]
    assert row(returns, channel="mail", basis="margin")["roi"] == pytest.approx(0.5)


@pytest.mark.parametrize(("margin", "ratio", "earns"), [(0.8, 3.0, True), (0.25, 2.0, False), (0.25, 4.0, None)])
def test_break_even_is_one_over_margin(margin: float, ratio: float, earns: bool | None) -> None:
    """3 : 1 earns at a margin of 80 %, 2 : 1 loses at 25 %, and 4 : 1 breaks even there."""
    tables = shop(10, value=ratio) | {"costs": pd.DataFrame({"channel": ["mail"], "amount": [10.0]})}
    outcome = run(tables, returns={"margin": margin}, output={"unit_economics": True})
    roi = row(outcome.tables["returns"], channel="mail", basis="margin")["roi"]
    assert outcome.tables["unit_economics"]["break_even_roas"].tolist() == [1 / margin]
    assert roi == pytest.approx(margin * ratio - 1)
    assert earns is None or (roi > 0) == earns


def test_the_ranking_goes_by_the_basis_asked_for() -> None:
    """Mail sells twice as much for the same money, at a quarter of the margin."""
    tables = shop(40, ("mail", "search"))
    by_mail = np.arange(40) % 2 == 1  # the last touch of odd customers is channel (id + 1) mod 2
    tables["conversions"] = tables["conversions"].assign(
        value=np.where(by_mail, 20.0, 10.0), margin=np.where(by_mail, 2.0, 4.0)
    )
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search"], "amount": [50.0, 50.0]})
    revenue, margin = (run(tables, returns={"basis": basis}) for basis in ("revenue", "margin"))
    assert revenue.ranking.ranks["last_touch"].to_dict() == {"mail": 1.0, "search": 2.0}
    assert margin.ranking.ranks["last_touch"].to_dict() == {"mail": 2.0, "search": 1.0}
    assert set(main_basis(margin.tables["returns"])["basis"]) == {"margin"}
    roi = main_basis(margin.tables["returns"]).set_index("channel")["roi"]
    assert roi.loc[["mail", "search"]].tolist() == pytest.approx([40 / 50 - 1, 80 / 50 - 1])
    both = [outcome.tables["returns"].sort_values(["basis", "channel"]) for outcome in (revenue, margin)]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in both))


def test_margins_and_lifetimes_that_are_missing_come_from_the_options() -> None:
    tables = shop(4, value=10.0, margin=[1.0, None, 3.0, None], ltv=[50.0, None, None, 70.0])
    tables["conversions"]["is_new_customer"] = [True, True, False, True]
    tables["costs"] = pd.DataFrame({"channel": ["mail"], "amount": [1.0]})
    returns = run(tables, returns={"margin": 0.5, "ltv": 100.0}).tables["returns"]
    assert row(returns, channel="mail", basis="margin")["value"] == 1.0 + 5.0 + 3.0 + 5.0
    assert row(returns, channel="mail", basis="ltv")["value"] == 0.5 * (50.0 + 100.0 + 70.0)
    with pytest.raises(InputError, match="1 conversion without ltv"):
        run(tables, returns={"margin": 0.5})
    with pytest.raises(InputError, match="2 conversions without margin"):
        run(tables)


def test_new_customers_are_those_of_their_first_conversion() -> None:
    """Without a column that says so. Two orders of one customer: one new customer, whose lifetime counts once."""
    tables = shop(2, value=10.0)
    again = tables["conversions"].iloc[:1].assign(converted_at=pd.Timestamp("2024-01-09"))
    tables["conversions"] = pd.concat([tables["conversions"], again])
    tables["costs"] = pd.DataFrame({"channel": ["mail"], "amount": [30.0]})
    asked = {"journeys": {"conversions": "cumulative"}, "output": {"unit_economics": True}}
    outcome = run(tables, returns={"margin": 1, "ltv": 100.0}, **asked)
    unit = outcome.tables["unit_economics"].iloc[0]
    assert (unit["conversions"], unit["new_customers"], unit["cpa"], unit["cac"]) == (3.0, 2.0, 10.0, 15.0)
    assert row(outcome.tables["returns"], channel="mail", basis="ltv")["value"] == 200.0


@pytest.mark.parametrize("model", ["Linear", "TimeDecay", "Markov", "Shapley"])
def test_what_conversions_are_worth_adds_up(model: str) -> None:
    """Handed out once, whatever the model: margins of channels and of conversions without a touchpoint."""
    random = np.random.default_rng(3)
    value = random.uniform(1, 9, 60)
    tables = shop(60, ("mail", "search", "tv"), value=value, margin=value * random.uniform(0.1, 0.9, 60))
    tables["touchpoints"] = tables["touchpoints"][tables["touchpoints"]["customer_id"] > 5]
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search", "tv"], "amount": [9.0, 8.0, 7.0]})
    returns = run(tables, (model,)).tables["returns"]
    margin = returns[returns["basis"] == "margin"]
    assert margin["value"].sum() == pytest.approx(tables["conversions"]["margin"].sum(), rel=1e-6)
    bare = row(margin, channel="(unattributed)")["value"]
    assert bare == pytest.approx(tables["conversions"]["margin"][:6].sum())


@pytest.mark.parametrize("model", ["LastTouch", "Markov"])
def test_what_is_sold_at_a_loss_is_taken_off(model: str) -> None:
    """Margins add up, by channel too where a model gives all to one, and have intervals."""
    random = np.random.default_rng(3)
    value = random.uniform(1, 9, 60)
    tables = shop(60, ("mail", "search", "tv"), value=value, margin=value * random.uniform(-0.9, 0.9, 60))
    tables["touchpoints"] = tables["touchpoints"][tables["touchpoints"]["customer_id"] > 5]
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search", "tv"], "amount": [9.0, 8.0, 7.0]})
    asked = {"basis": "margin"}
    returns = run(tables, (model,), returns=asked, resampling={"draws": 50}).tables["returns"]
    margin = returns[returns["basis"] == "margin"]
    assert margin["value"].sum() == pytest.approx(tables["conversions"]["margin"].sum(), rel=1e-6)
    if model == "LastTouch":
        last = tables["touchpoints"].sort_values("touched_at").groupby("customer_id")["channel"].last()
        own = tables["conversions"].set_index("customer_id")["margin"].groupby(last).sum()
        found = margin.set_index("channel")["value"]
        assert found[list(own.index)].tolist() == pytest.approx(own.tolist())
    paid = margin[margin["roi"].notna()]
    assert ((paid["roi_low"] < paid["roi"]) & (paid["roi"] < paid["roi_high"])).all()


def test_an_incremental_model_leaves_the_rest_to_the_baseline() -> None:
    tables = shop(60, ("mail", "search", "tv"), value=5.0, margin=np.tile([1.0, 2.0, 3.0], 20))
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search", "tv"], "amount": [9.0, 8.0, 7.0]})
    # Nine more customers who were touched and bought nothing.
    unmoved = shop(69, ("mail", "search", "tv"))["touchpoints"]
    tables["touchpoints"] = pd.concat([tables["touchpoints"], unmoved[unmoved["customer_id"] >= 60]])
    models = ({"model": "Markov", "continuation": 0.2},)
    returns = run(tables, models).tables["returns"]
    revenue, margin = (returns[returns["basis"] == basis].set_index("channel") for basis in ("revenue", "margin"))
    assert revenue.loc["(baseline)", "value"] != 0
    assert margin["value"].sum() == pytest.approx(120.0)
    assert margin.loc["mail", "value"] < revenue.loc["mail", "value"]


def test_a_constant_margin_is_the_same_as_a_column_of_it() -> None:
    tables = shop(30, ("mail", "search", "tv"), value=np.linspace(1, 4, 30))
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search", "tv"], "amount": [9.0, 8.0, 7.0]})
    column = tables | {"conversions": tables["conversions"].assign(margin=tables["conversions"]["value"] * 0.25)}
    resampling = {"draws": 50}
    models = ("Linear", "Markov")
    constant = run(tables, models, returns={"basis": "margin", "margin": 0.25}, resampling=resampling).tables
    by_column = run(column, models, returns={"basis": "margin"}, resampling=resampling).tables
    for name in ("returns", "credit", "rank_probability", "differences"):
        pd.testing.assert_frame_equal(constant[name], by_column[name], rtol=1e-9)


# ------------------------------------------------------------ intervals


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_are_those_of_the_ranked_basis(method: str) -> None:
    """ROI on margin is margin × ROAS − 1: so are the ends of its interval."""
    tables = shop(200, ("mail", "search"), value=np.arange(200) % 7 + 1.0)
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search"], "amount": [100.0, 200.0]})
    resampling = {"draws": 60, "method": method}
    revenue = run(tables, returns={"margin": 0.4}, resampling=resampling).tables["returns"]
    margin = run(tables, returns={"margin": 0.4, "basis": "margin"}, resampling=resampling).tables["returns"]
    a, b = (main_basis(table).set_index("channel").loc[["mail", "search"]] for table in (revenue, margin))
    assert a["roi_low"].notna().all()
    assert (a["roi_low"] < a["roi"]).all()
    for end in ("roi_low", "roi_high"):
        assert b[end].to_numpy() == pytest.approx(0.4 * (a[end].to_numpy() + 1) - 1)
    assert b["rank_low"].notna().all()
    # Every basis has intervals of its own, whichever the ranking goes by.
    columns = ["roi_low", "roi_high", "rank_low", "rank_high"]
    for basis in ("revenue", "margin"):
        both = [table[table["basis"] == basis].set_index("channel")[columns] for table in (revenue, margin)]
        pd.testing.assert_frame_equal(*both)


def test_intervals_of_lifetime_value_see_who_is_new() -> None:
    """All conversions alike, half of them new, worth 10 each: the interval is that of the number of new customers."""
    tables = shop(400, value=1.0, is_new_customer=np.arange(400) % 2 == 0)
    tables["costs"] = pd.DataFrame({"channel": ["mail"], "amount": [100.0]})
    asked = {"basis": "ltv", "margin": 1, "ltv": 10.0}
    outcome = run(tables, returns=asked, resampling={"draws": 400, "level": 0.9}, output={"draws": True})
    returned = row(outcome.tables["returns"], channel="mail", basis="ltv")
    assert returned["roi"] == 19.0
    draws = outcome.tables["draws"]
    roi = draws["return"] / draws["spend"] - 1
    # Poisson numbers of 200 new customers: standard deviation √200 of them, at 10 ÷ 100 each.
    assert roi.std() == pytest.approx(np.sqrt(200) * 0.1, rel=0.12)
    assert [returned["roi_low"], returned["roi_high"]] == pytest.approx(np.quantile(roi, [0.05, 0.95]))


def test_intervals_of_loaded_costs_that_go_by_credit() -> None:
    """What is shared moves with credit, draw by draw: a lone channel bears all of it in every draw."""
    tables = shop(300, value=2.0)
    tables["costs"] = pd.DataFrame(
        {"channel": ["mail", None], "amount": [100.0, 50.0], "cost_type": ["media", "labour"]}
    )
    asked = {"cost_basis": "loaded", "shared_by": "credit"}
    outcome = run(tables, returns=asked, resampling={"draws": 50})
    found = row(main_basis(outcome.tables["returns"]), channel="mail")
    assert found["spend"] == 150
    for end in ("", "_low", "_high"):
        assert found[f"roi{end}"] == pytest.approx((found[f"value{end}"] - 150) / 150)
    assert found["value_low"] < found["value"] < found["value_high"]
    assert set(outcome.tables["cost_sensitivity"]["cost_type"]) == {"media", "labour"}
    assert "media_cost_only" in set(outcome.tables["quality"]["check"])


def test_split_channels_are_put_together_again() -> None:
    tables = shop(40, ("mail", "mail", "search"), value=3.0, margin=1.0)
    tables["costs"] = pd.DataFrame({"channel": ["mail", "search"], "amount": [10.0, 10.0]})
    asked = {"journeys": {"transform": "frequency"}, "resampling": {"draws": 50}, "returns": {"basis": "margin"}}
    returns = main_basis(run(tables, ("Linear",), **asked).tables["returns"])
    assert set(returns["channel"]) == {"mail", "search", "(unattributed)"}
    assert returns["value"].sum() == pytest.approx(40.0)
    assert returns["roi_low"].notna().sum() == 2


# ------------------------------------------------------------ refunds, and what is refused


def test_refunds_and_cancellations_are_netted_before_credit() -> None:
    tables = shop(4, value=[10.0, 20.0, 30.0, 40.0], refund=[None, 5.0, 30.0, 1.0], is_cancelled=[0, 0, None, 1])
    outcome = run(tables)
    credit = row(outcome.tables["credit"], channel="mail")
    assert (credit["conversions"], credit["value"]) == (3.0, 10.0 + 15.0 + 0.0)
    quality = outcome.tables["quality"].set_index(["check", "table"])["count"]
    assert (quality["refunded", "conversions"], quality["cancelled", "conversions"]) == (2.0, 1.0)
    # One of the three that count brought nothing: without it there are two, which cost half as much again each.
    assert quality["refunded_in_full", "conversions"] == 1.0
    message = outcome.tables["quality"].set_index("check").loc["refunded_in_full", "message"]
    assert "a conversion costs 50 % more on average" in message
    only = run(shop(1, value=[10.0], refund=[10.0])).tables["quality"].set_index("check")
    assert "Without them there is no conversion" in only.loc["refunded_in_full", "message"]
    none = run(shop(2, value=[10.0, 0.0], refund=[5.0, 0.0])).tables["quality"]
    assert "refunded_in_full" not in set(none["check"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"value": [10.0, 20.0], "refund": [1.0, 20.5]},
            "column 'refund': the refund is more than was paid, in 1 row.*20.5",
        ),
        ({"refund": 1.0}, "refunds, but no column 'value'"),
        (
            {"value": 10.0, "refund": [5.0, 0.0], "margin": 6.0},
            "column 'margin': the margin is above the value, in 1 row",
        ),
        ({"value": 10.0, "refund": -1.0}, "column 'refund': values are negative in 2 of 2 rows"),
    ],
)
def test_refunds_that_cannot_be(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        at.load_sources(**shop(2, **columns))


def paths(**columns: Any) -> dict[str, pd.DataFrame]:
    table = {"path": ["mail", "mail > 展会 🎪"], "conversions": [10.0, 4.0], "value": [100.0, 40.0]}
    return {"paths": pd.DataFrame(table | columns)}


def test_refunds_and_cancellations_of_paths() -> None:
    outcome = run(paths(refund=[20.0, None], cancelled=[None, 1.0], nulls=[5.0, None]), ("Linear",))
    net = run(paths(value=[80.0, 40.0], conversions=[10.0, 3.0], nulls=[5.0, 1.0]), ("Linear",))
    for name in ("credit", "returns", "journey_profile", "transitions"):
        pd.testing.assert_frame_equal(outcome.tables[name], net.tables[name], check_exact=True)
    quality = outcome.tables["quality"].set_index("check")
    assert (quality.loc["refunded", "count"], quality.loc["cancelled", "count"]) == (20.0, 1.0)
    assert "refunded" not in set(net.tables["quality"]["check"])
    without_nulls = run(paths(cancelled=[2.0, 0.0]), ("Linear",)).tables["journey_profile"]
    assert without_nulls.loc[without_nulls["outcome"] == "not_converted", "count"].sum() == 0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"refund": [100.5, 0.0]}, "table 'paths', column 'refund': the refund is more than was paid, in 1 row.*100.5"),
        ({"cancelled": [0.0, 5.0]}, "column 'cancelled': more conversions are cancelled than there were, in 1 row"),
        ({"refund": [-1.0, 0.0]}, "column 'refund': values are negative in 1 of 2 rows"),
    ],
)
def test_refunds_of_paths_that_cannot_be(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        at.load_sources(**paths(**columns))
    with pytest.raises(InputError, match="a column 'refund', but no column 'value'"):
        at.load_sources(paths=pd.DataFrame({"path": ["a"], "conversions": [1], "refund": [1.0]}))


@pytest.mark.parametrize("margin", [0, -0.1, 1.01, 40, float("nan"), float("inf"), True])
def test_margins_that_cannot_be(margin: float) -> None:
    sources = at.load_sources(**shop(2, value=1.0))
    credit = at.attribute(at.build_journeys(sources), [at.LastTouch()])
    with pytest.raises(InputError, match="compute_returns: margin"):
        at.compute_returns(credit, sources, margin=margin)


def test_a_basis_that_is_not_known_is_refused() -> None:
    for basis, hint in (("margin", r"returns.margin, such as 0.4"), ("ltv", "add a column 'ltv'")):
        with pytest.raises(InputError, match=f"returns.basis = '{basis}', which is unknown.*{hint}"):
            run(shop(2, value=1.0), returns={"basis": basis})
    paths = {"paths": pd.DataFrame({"path": ["mail"], "conversions": [1]})}
    with pytest.raises(InputError, match="aggregated paths have no new customers"):
        run(paths, returns={"margin": 0.5, "ltv": 10.0})
    with pytest.raises(InputError, match="aggregated paths have no new customers"):
        run(paths, output={"unit_economics": True})


def test_lifetime_value_by_hand() -> None:
    assert lifetime_value(100.0, retention=1.0, discount=0.0, periods=12) == 1200.0
    assert lifetime_value(10.0, retention=0.0, discount=0.1, periods=5) == 10.0
    for wrong in ({"retention": 1.1}, {"discount": -0.1}, {"periods": 0}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is out of its range"):
            lifetime_value(10.0, **({"retention": 0.5, "discount": 0.1, "periods": 5} | wrong))
