"""Costs, days, rates and ratios at their very edges: numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.returns import ranking
from attribution.returns.channel_costs import (
    Costs,
    coverage_findings,
    driver_of,
)
from attribution.returns.cost_ledger import (
    Days,
    RateHistory,
    _check_credits,
    _check_future,
    cost_types,
    currency_rates,
    overlapping,
    sum_amounts,
    totals_of,
    words,
)
from attribution.returns.lifetime import (
    _check,
    first_reaching,
    lifetime_value,
    payback,
    payback_period,
)
from attribution.returns.returns_section import returns_metrics
from attribution.returns.returns_tables import main_basis, ratio, with_idle_channels
from attribution.returns.terms import Terms
from attribution.schema.experiment import LifetimeOptions, ReturnsOptions

# ------------------------------------------------------------ metrics of a run


def returns_of(**columns: Any) -> pd.DataFrame:
    """Two models, each with mail, search and nobody, on revenue over media and then over all costs."""
    rows = pd.MultiIndex.from_product(
        [["media", "loaded"], ["a", "b"], ["mail", "search", "(unattributed)"]],
        names=["cost_basis", "model", "channel"],
    ).to_frame(index=False)
    number = np.arange(12.0)
    rows = rows.assign(basis="revenue", roi=number, rank=number + 0.5, conversions=number * 10)
    return rows.assign(roi_low=number - 0.1, roi_high=number + 0.1, **columns)


def test_metrics_are_of_one_model_and_of_channels_alone() -> None:
    assert returns_metrics({"returns": returns_of()}, "b") == pytest.approx(
        {
            "roi/mail": 3.0, "roi/search": 4.0, "rank/mail": 3.5, "rank/search": 4.5,
            "conversions/mail": 30.0, "conversions/search": 40.0,
            "roi_revenue_loaded/mail": 9.0, "roi_revenue_loaded_low/mail": 8.9, "roi_revenue_loaded_high/mail": 9.1,
            "roi_revenue_loaded/search": 10.0, "roi_revenue_loaded_low/search": 9.9,
            "roi_revenue_loaded_high/search": 10.1,
        }
    )  # fmt: skip


def test_what_a_model_cannot_tell_is_no_metric() -> None:
    metrics = returns_metrics({"returns": returns_of(is_known=[True, False, True] * 4)}, "a")
    assert sorted(metrics) == [
        "conversions/mail", "rank/mail", "roi/mail", "roi_revenue_loaded/mail", "roi_revenue_loaded_high/mail",
        "roi_revenue_loaded_low/mail",
    ]  # fmt: skip


def test_the_first_terms_are_those_that_channels_are_ranked_by() -> None:
    returns = returns_of()
    assert main_basis(returns)["cost_basis"].tolist() == ["media"] * 6
    mixed = pd.concat([returns.assign(basis="margin"), returns])
    assert len(main_basis(mixed)) == 6
    assert set(main_basis(mixed)["basis"]) == {"margin"}
    assert main_basis(returns.iloc[:0]).empty
    bare = returns.drop(columns="basis")
    assert main_basis(bare) is bare


def test_a_ratio_needs_something_to_be_divided_by() -> None:
    above, below = pd.Series([1.0, 1.0, 1.0, 1.0, 0.0, 1.0]), pd.Series([2.0, 0.0, -2.0, 5e-324, 0.5, 0.5])
    np.testing.assert_array_equal(ratio(above, below), [0.5, np.nan, np.nan, np.nan, 0.0, 2.0])


# ------------------------------------------------------------ days and rates


def days(first: list[str | None], last: list[str | None], spread: list[bool] | None = None) -> Days:
    ends = (np.array([np.datetime64(day or "NaT", "D") for day in of]) for of in (first, last))
    return Days(*ends, are_known=True, is_spread=np.array(spread or [False] * len(first)))


def instant(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


@pytest.mark.parametrize(
    ("bounds", "shares"),
    [
        ((None, None), [1.0, 1.0, 1.0]),
        (("2024-03-02", "2024-03-03T23:59:59.999999"), [0.5, 1.0, 1.0]),
        (("2024-03-04T12:00", None), [0.125, 0.0, 1.0]),
        ((None, "2024-03-01T05:59:59.999999"), [0.0625, 0.0, 1.0]),
        (("2024-03-05", None), [0.0, 0.0, 1.0]),
    ],
)
def test_shares_of_four_days_of_one_day_and_of_none(bounds: tuple[str | None, str | None], shares: list[float]) -> None:
    of = days(["2024-03-01", "2024-03-02", None], ["2024-03-04", "2024-03-02", None])
    low, high = (None if at is None else instant(at) for at in bounds)
    assert of.share_inside((low, high)).tolist() == pytest.approx(shares, abs=1e-15)


STEPS = RateHistory(np.array([10 * DAY, 20 * DAY]), np.array([2.0, 4.0]))


@pytest.mark.parametrize(
    ("first", "last", "mean"),
    [(10, 20, 2.0), (20, 30, 4.0), (15, 25, 3.0), (18, 28, 3.6), (19, 20, 2.0), (10, 10, 2.0), (20, 20, 4.0),
     (9, 20, np.nan), (100, 90, 4.0), (19.5, 20.5, 3.0)],
)  # fmt: skip
def test_rates_are_means_over_time(first: float, last: float, mean: float) -> None:
    found = STEPS.means(np.array([int(first * DAY)]), np.array([int(last * DAY)]))
    np.testing.assert_allclose(found, [mean], rtol=1e-12)
    assert not STEPS.is_constant
    assert RateHistory(np.array([np.iinfo(np.int64).min]), np.array([2.0])).is_constant


def test_a_rate_that_always_held_until_another_came() -> None:
    history = RateHistory(np.array([np.iinfo(np.int64).min, 20 * DAY]), np.array([2.0, 4.0]))
    assert not history.is_constant
    found = history.means(np.array([0, 15 * DAY, 20 * DAY]), np.array([20 * DAY, 25 * DAY, 30 * DAY]))
    assert found.tolist() == [2.0, 3.0, 4.0]


def test_currencies_that_are_not_known() -> None:
    of = days(["2024-03-01"] * 2, ["2024-03-01"] * 2)
    none: dict[str, RateHistory] = {}
    assert currency_rates(pd.Series(["EUR", None]), of, of, none, (None, None)).tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="amounts are in several currencies"):
        currency_rates(pd.Series(["EUR", "USD"]), of, of, none, (None, None))
    with pytest.raises(InputError, match="no rate is known for currency 'USD'"):
        currency_rates(pd.Series(["usd ", None]), of, of, {"EUR": STEPS}, (None, None))
    late = days(["2024-03-01", None], ["2024-03-01", None])
    with pytest.raises(InputError, match="1 cost in USD without a day"):
        currency_rates(pd.Series(["USD", "USD"]), late, late, {"USD": STEPS}, (None, None))
    early = days(["1970-01-05", "1970-01-30"], ["1970-01-05", "1970-01-30"])
    with pytest.raises(
        InputError, match=r"on the first days of 1 cost\. Given: 1970-01-05\. Allowed: days from 1970-01-11"
    ):
        currency_rates(pd.Series(["USD", "USD"]), early, early, {"USD": STEPS}, (None, None))
    later = days(["1970-01-12", "1970-01-30"], ["1970-01-12", "1970-01-30"])
    bounds = (instant("1970-01-20"), None)
    assert currency_rates(pd.Series(["USD", "USD"]), later, later, {"USD": STEPS}, bounds).tolist() == [0.0, 4.0]


# ------------------------------------------------------------ the ledger


def test_types_of_costs_are_words_in_small_letters() -> None:
    table = pd.DataFrame({"channel": ["mail", "mail", None], "cost_type": [" Labour ", " ", "TOOLS"]})
    assert cost_types(table).tolist() == ["labour", "media", "tools"]
    assert cost_types(table[["channel"]]).tolist() == ["media"] * 3
    assert words(pd.Series([" a ", " ", None])).isna().tolist() == [False, True, True]
    with pytest.raises(InputError, match="neither a channel nor a cost type, in 2 rows"):
        cost_types(pd.DataFrame({"channel": [None, None, "mail"], "cost_type": [None, " ", None]}))
    with pytest.raises(InputError, match="1 rows are of the cost type"):
        cost_types(pd.DataFrame({"channel": ["mail", "mail"], "cost_type": ["(ALL)", "media"]}))


@pytest.mark.parametrize(
    ("second", "overlaps"),
    [(("2024-03-11", "2024-03-20"), 0), (("2024-03-10", "2024-03-20"), 1), (("2024-03-01", "2024-03-10"), 0),
     (("2024-03-02", "2024-03-03"), 1)],
)  # fmt: skip
def test_periods_overlap_from_the_last_day_on(second: tuple[str, str], overlaps: int) -> None:
    rows = [("mail", "2024-03-01", "2024-03-10"), ("mail", *second), ("tv", *second), ("mail", None, None)]
    assert len(overlapping(pd.DataFrame(rows, columns=["channel", "period_start", "period_end"]))) == overlaps


def test_sums_are_exact_and_credits_are_taken_off() -> None:
    amounts = np.array([0.1] * 10 + [5.0, -2.0])
    group = np.array([0] * 10 + [1, 1])
    assert totals_of(group, amounts, 3).tolist() == [1.0, 3.0, 0.0]
    with pytest.raises(InputError, match="too large for a float"):
        totals_of(np.array([0, 0]), np.array([1.7e308, 1.7e308]), 1)
    keys = pd.DataFrame({"channel": ["tv", "mail", "tv", None], "cost_type": ["media", "media", "media", "tools"]})
    ledger = sum_amounts(keys, {"amount": np.array([1.0, 2.0, 4.0, 8.0])})
    assert ledger["amount"].tolist() == [2.0, 5.0, 8.0]
    _check_credits(ledger.assign(amount=0.0))
    with pytest.raises(InputError, match=r"the credits of 1 channel are more than the costs.*mail, media: -0.25"):
        _check_credits(ledger.assign(amount=[-0.25, 0.0, 1.0]))


@pytest.mark.parametrize(
    ("ahead", "amount", "refused"), [(1, 1.0, False), (2, 1.0, True), (2, 0.0, False), (2, 0.5, True)]
)
def test_costs_from_the_day_after_tomorrow_on_are_of_the_future(ahead: int, amount: float, refused: bool) -> None:
    day = np.datetime64("now", "D") + ahead
    of = Days(np.array([day]), np.array([day]), are_known=True, is_spread=np.zeros(1, bool))
    if refused:
        with pytest.raises(InputError, match="1 cost dated in the future"):
            _check_future(of, np.array([amount]))
    else:
        _check_future(of, np.array([amount]))


# ------------------------------------------------------------ what channels cost


def costs_of(shared_by: Any = "spend", **further: Any) -> Costs:
    """Mail has 30 of media and 10 of labour, tv 10 of media; radio and search have none; 8 and 4 are shared."""
    amounts = {("mail", "media"): 30.0, ("mail", "labour"): 10.0, ("tv", "media"): 10.0}
    return Costs(amounts, {"tools": 8.0, "rent": 4.0}, shared_by, {"mail": 1.0, "search": 3.0}, True, **further)


CHANNELS = ["mail", "radio", "search", "tv"]


@pytest.mark.parametrize(
    ("shared_by", "loaded", "own"),
    [
        ("spend", [49.0, np.nan, np.nan, 13.0], "mail tv"),
        ("touchpoints", [43.0, np.nan, 9.0, 10.0], "mail tv"),
        ("credit", [40.0, 9.0, 3.0, 10.0], "mail tv"),
        ({"radio": 1.0, "tv": 2.0, "search": 0.0}, [40.0, 4.0, np.nan, 18.0], "mail radio tv"),
        ({"tools": "touchpoints"}, [45.0, np.nan, 6.0, 11.0], "mail tv"),
        ({"tools": {"radio": 1.0}, "rent": "credit"}, [40.0, 11.0, 1.0, 10.0], "mail radio tv"),
    ],
)
def test_what_is_shared_goes_by_its_driver(shared_by: Any, loaded: list[float], own: str) -> None:
    costs, conversions = costs_of(shared_by), np.array([0.0, 3.0, 1.0, -5.0])
    np.testing.assert_allclose(costs.spend("loaded", CHANNELS, conversions), loaded)
    np.testing.assert_array_equal(costs.spend("media", CHANNELS, conversions), [30.0, np.nan, np.nan, 10.0])
    assert [name for name, has in zip(CHANNELS, costs.has_own("loaded", CHANNELS), strict=True) if has] == own.split()
    assert costs.has_own("media", CHANNELS).tolist() == [True, False, False, True]
    assert (costs.media, costs.direct, costs.channels) == (
        {"mail": 30.0, "tv": 10.0}, {"mail": 40.0, "tv": 10.0}, {"mail", "tv"},
    )  # fmt: skip


def test_spend_that_is_the_same_under_every_model() -> None:
    assert costs_of().fixed_spend("loaded", ["search"]) == pytest.approx({"mail": 49.0, "tv": 13.0})
    assert costs_of("credit").fixed_spend("media", ["search"]) == {"mail": 30.0, "tv": 10.0}
    with pytest.raises(InputError, match="shared by credit"):
        costs_of("credit").fixed_spend("loaded", ["search"])
    free = Costs({("mail", "media"): 30.0}, {"tools": 0.0}, "credit", {}, True)
    assert free.fixed_spend("loaded", ["search"]) == {"mail": 30.0}


def test_what_cannot_be_shared() -> None:
    with pytest.raises(InputError, match="every channel has 0 of what they are shared by"):
        costs_of().shares("tools", ["search"], np.zeros(1))
    with pytest.raises(InputError, match="unknown channel: 'web'"):
        costs_of({"web": 1.0}).check_drivers(CHANNELS)
    costs_of("credit").check_drivers([])
    shares = costs_of("credit").shares("tools", ["mail", "tv"], np.array([[1.0, 3.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(shares, [[0.25, 0.75], [np.nan, np.nan]])


def test_the_least_and_the_most_that_a_channel_may_have_spent() -> None:
    low = Costs({("mail", "media"): 10.0, ("tv", "media"): 10.0}, {"tools": 4.0}, "spend", {}, True)
    high = Costs({("mail", "media"): 30.0, ("tv", "media"): 10.0}, {"tools": 8.0}, "spend", {}, True)
    costs = costs_of(bounds=(low, high))
    least, most = costs.spend_bounds("loaded", ["mail", "radio", "tv"], np.zeros(3))
    np.testing.assert_allclose(least, [10 + 4 * 0.5, np.nan, 10 + 4 * 0.25])
    np.testing.assert_allclose(most, [30 + 8 * 0.75, np.nan, 10 + 8 * 0.5])
    half = Costs({("mail", "media"): 0.5, ("mail", "labour"): 1.0}, {"tools": 4.0}, "spend", {}, True)
    nothing = Costs({("mail", "media"): 0.0, ("mail", "labour"): 1.0}, {"tools": 2.0}, "spend", {}, True)
    least, most = costs_of(bounds=(nothing, half)).spend_bounds("loaded", ["mail", "tv"], np.zeros((2, 2)))
    np.testing.assert_array_equal([least, most], [[[1.0, np.nan]] * 2, [[5.5, np.nan]] * 2])
    least, most = costs.spend_bounds("media", ["mail", "radio", "tv"], np.zeros(3))
    np.testing.assert_array_equal([least, most], [[10.0, np.nan, 10.0], [30.0, np.nan, 10.0]])
    exact = costs_of().spend_bounds("media", ["mail"], np.zeros(1))
    assert (exact[0].tolist(), exact[1].tolist()) == ([30.0], [30.0])


def test_drivers_of_types() -> None:
    assert driver_of("credit", "tools") == "credit"
    assert driver_of({"tools": "credit"}, "tools") == "credit"
    assert driver_of({"tools": "credit"}, "rent") == "spend"
    assert driver_of({"mail": 1.0, "tv": 2}, "rent") == {"mail": 1.0, "tv": 2}


def test_channels_of_which_costs_are_known_in_part() -> None:
    amounts = {("mail", "media"): 1.0, ("mail", "labour"): 1.0, ("tv", "media"): 1.0, ("fair", "venue"): 1.0}
    found = coverage_findings(Costs(amounts, {}, "spend", {}, True), ["mail", "radio", "web"])
    assert {row.check: (row.count, row.example) for row in found} == {
        "no_cost": (2, "radio, web"), "media_cost_only": (1, "tv"), "no_media_cost": (1, "fair"),
    }  # fmt: skip
    six = coverage_findings(Costs({}, {}, "spend", {}, True), list("fedcba"))
    assert six[0].example == "a, b, c, d, e"
    assert coverage_findings(Costs(amounts, {}, "spend", {}, False), ["radio"]) == []


def test_channels_with_costs_alone_have_rows_of_nothing() -> None:
    credit = pd.DataFrame(
        {"model": ["b", "b", "a"], "estimand": "allocated", "channel": ["(unattributed)", "tv", "tv"],
         "conversions": [1.0, 2.0, 3.0], "value": [1.0, 2.0, 3.0], "chance_value": [np.nan, 1.0, np.nan]}
    )  # fmt: skip
    table = with_idle_channels(credit, Terms(ReturnsOptions(), costs_of()))
    assert table[["model", "channel", "conversions"]].to_numpy().tolist() == [
        ["b", "mail", 0.0], ["b", "tv", 2.0], ["b", "(unattributed)", 1.0], ["a", "mail", 0.0], ["a", "tv", 3.0],
    ]  # fmt: skip
    np.testing.assert_array_equal(table["chance_value"], [0.0, 1.0, np.nan, np.nan, np.nan])


def test_terms_are_those_that_are_known() -> None:
    costs, bare = costs_of(), Costs({("tv", "media"): 1.0}, {}, "spend", {}, False)
    assert Terms(ReturnsOptions(), bare).combinations == [("revenue", "media")]
    assert Terms(ReturnsOptions(margin=0.5), bare).bases == ["revenue", "margin"]
    assert Terms(ReturnsOptions(), bare, frozenset({"margin", "ltv"})).bases == ["revenue", "margin"]
    assert Terms(ReturnsOptions(margin=0.5), bare, frozenset({"ltv"})).bases == ["revenue", "margin", "ltv"]
    loaded = Terms(ReturnsOptions(cost_basis="loaded", basis="margin", margin=0.5), costs)
    assert loaded.combinations == [
        ("margin", "loaded"), ("revenue", "media"), ("revenue", "loaded"), ("margin", "media"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="'loaded', but no cost has a type"):
        Terms(ReturnsOptions(cost_basis="loaded"), bare).check()
    with pytest.raises(InputError, match=r"returns.basis = 'ltv', which is unknown"):
        Terms(ReturnsOptions(basis="ltv"), bare).check()
    amounts = {"value": np.array([10.0]), "ltv": np.array([30.0]), "conversions": np.zeros(1)}
    halves = Terms(ReturnsOptions(margin=0.5), bare)
    assert [halves.earned(basis, amounts).tolist() for basis in ("revenue", "margin", "ltv")] == [[10], [5], [15]]
    assert halves.earned("margin", {**amounts, "margin": np.array([2.0])}).tolist() == [2.0]
    assert Terms(ReturnsOptions(), bare).roi(["tv"], {**amounts, "value": np.array([3.0])}).tolist() == [2.0]
    several = Terms(ReturnsOptions(), costs).roi(
        ["mail", "tv"], {"value": np.full(2, 60.0), "conversions": np.zeros(2)}
    )
    assert several.tolist() == [1.0, 5.0]
    assert loaded.roi(["tv"], {"value": np.full(1, 65.0), "conversions": np.zeros(1)}, "revenue").tolist() == [
        65 / 22 - 1
    ]
    Terms(ReturnsOptions(), bare).check()
    free = Costs({("tv", "media"): 0.0}, {}, "spend", {}, False)
    assert np.isnan(Terms(ReturnsOptions(), free).paid(["tv"], np.zeros(1), "media")).all()


# ------------------------------------------------------------ lifetimes


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("cac", [0, 1e300], [-1e-9, np.inf]),
        ("revenue", [0, 1e300], [-1e-9, np.inf]),
        ("retention", [0, 1], [-1e-9, 1.001]),
        ("discount", [0, 5], [-1e-9, np.inf]),
        ("periods", [1, 12], [0, 1.5]),
        ("margin", [1e-9, 1], [0, 1.001]),
    ],
)
def test_ranges_of_what_a_lifetime_is_made_of(name: str, allowed: list[float], refused: list[float]) -> None:
    for value in allowed:
        _check(**{name: value})
    for value in refused:
        with pytest.raises(InputError, match=f"{name} is out of its range"):
            _check(**{name: value})


def test_a_customer_pays_back_in_the_first_period_that_reaches_the_cost() -> None:
    earned = np.array([[1.0, 2.0, 3.0]] * 5)
    cost = np.array([0.0, 2.0, 2.0 * (1 + 5e-13), 2.0 * (1 + 5e-12), 3.1])
    np.testing.assert_array_equal(first_reaching(earned, cost), [0.0, 1.0, 1.0, 2.0, np.nan])
    assert lifetime_value(100.0, retention=0.5, discount=0.25, periods=3) == pytest.approx(100 + 40 + 16)
    assert payback_period(140.0, 100.0, retention=0.5, discount=0.25, periods=3) == 1
    options = LifetimeOptions(retention=0.5, discount=0.0, periods=3)
    np.testing.assert_array_equal(
        payback(np.array([35.0] * 4), np.array([20.0, 30.0, 35.0, 36.0]), options), [0, 1, 2, np.nan]
    )


# ------------------------------------------------------------ rankings


def test_models_are_compared_that_estimate_the_same() -> None:
    rows = [("a", "allocated"), ("b", "incremental"), ("c", "allocated"), ("d", "incremental")]
    returns = pd.concat(
        pd.DataFrame({"channel": ["x", "y", "(unattributed)"], "roi": [2.0, 1.0, 9.0], "conversions": 1.0}).assign(
            model=model, estimand=estimand
        )
        for model, estimand in rows
    )  # fmt: skip
    table = ranking.compare_rankings(returns).agreement
    pairs = list(zip(table["model_a"], table["model_b"], strict=True))
    assert pairs == [("a", "a"), ("a", "c"), ("b", "b"), ("b", "d"), ("c", "a"), ("c", "c"), ("d", "b"), ("d", "d")]
    three = ranking.compare_rankings(returns[returns["model"] != "d"]).agreement
    assert sorted(set(three["model_a"])) == ["a", "c"]
    alone = ranking.compare_rankings(returns[returns["model"] == "b"]).agreement
    assert list(zip(alone["model_a"], alone["model_b"], strict=True)) == [("b", "b")]
    unspent = ranking.compare_rankings(returns.assign(roi=np.nan, conversions=[1.0, 2.0, 3.0] * 4))
    assert (unspent.by, unspent.ranks["a"].tolist()) == ("conversions", [2.0, 1.0])
    assert set(ranking.compared_rows(returns)["model"]) == {"a", "c"}
    assert len(ranking.compared_rows(returns[returns["estimand"] == "incremental"])) == 6


def test_agreement_is_of_channels_that_both_rank() -> None:
    scores = pd.DataFrame({"a": [3.0, 2.0, 1.0, np.nan], "b": [1.0, 2.0, np.nan, 4.0]}, index=list("wxyz"))
    table = ranking.measure_agreement(scores, [(None, "a"), ("other", "b")], [(0, 1), (0, 0)])
    assert table.iloc[0, :5].tolist() == [None, "a", "other", "b", 2]
    assert table.iloc[1, 4] == 3
    assert table["kendall_tau"].tolist() == [-1.0, 1.0]
    assert table["largest_move"].tolist() == [1.0, 0.0]
