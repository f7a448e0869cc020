"""Costs of a log: which count, of whom, and what is said where they cannot be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.returns.channel_costs import amortised_findings, check_days_of_costs, read_costs, spend_by_channel
from attribution.returns.cost_ledger import currency_rates
from attribution.returns.lifetime import default_lifetime
from attribution.returns.returns_tables import platform_claims
from attribution.returns.terms import known_measures
from attribution.schema.experiment import LifetimeOptions, Period, ReturnsOptions
from tests.returns.test_costs_at_the_edges import days, instant

COURSE: dict[str, Any] = {"retention": 0.5, "discount": 0.0, "periods": 2}
SIX = list("abcdef")


def sources_of(costs: pd.DataFrame, cost: Any = 1.0) -> at.Sources:
    touchpoints = pd.DataFrame({"customer_id": SIX, "touched_at": "2024-03-01", "channel": SIX, "cost": cost})
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-02"]})
    return at.load_sources(touchpoints, conversions, costs=costs)


def test_of_many_channels_five_are_named() -> None:
    both = sources_of(pd.DataFrame({"channel": SIX, "amount": 1.0}))
    with pytest.raises(InputError, match="6 channels with costs both in the costs table and on touchpoints") as refused:
        read_costs(both)
    assert "Given: ['a', 'b', 'c', 'd', 'e']." in str(refused.value)
    fees = pd.DataFrame({"channel": SIX * 2, "amount": 1.0, "cost_type": ["media"] * 6 + ["fees"] * 6})
    with pytest.raises(InputError, match="6 channels with fees both in the costs table") as refused:
        read_costs(sources_of(fees, np.nan), ReturnsOptions(fee_rate=0.5))
    assert "Given: ['a', 'b', 'c', 'd', 'e']." in str(refused.value)
    of = days(["2024-03-01"] * 6, ["2024-03-01"] * 6)
    with pytest.raises(InputError) as refused:
        currency_rates(pd.Series(SIX), of, of, {}, (None, None))
    assert "Given: ['A', 'B', 'C', 'D', 'E']." in str(refused.value)
    serving = pd.DataFrame({"channel": SIX, "amount": 1.0, "cost_type": SIX, "day": "2024-03-01", "amortise_days": 9})
    (finding,) = amortised_findings(
        sources_of(serving), ReturnsOptions(), Period(), (instant("2024-03-01"), instant("2024-03-08T23:00"))
    )
    assert (finding.count, finding.total, finding.example) == (6, 6, "a, b, c, d, e")
    until = instant("2024-03-09T00:00")
    (finding,) = amortised_findings(sources_of(serving), ReturnsOptions(), Period(), (0, until))
    assert (finding.count, finding.example) == (0, None)
    ended = Period(end=pd.Timestamp("2024-03-05", tz="UTC"))
    assert amortised_findings(sources_of(serving), ReturnsOptions(), ended, (0, until)) == []
    assert amortised_findings(sources_of(serving), ReturnsOptions(), Period(), None) == []
    plain = sources_of(serving.drop(columns="amortise_days"))
    assert amortised_findings(plain, ReturnsOptions(), Period(), (0, until)) == []
    by_type = ReturnsOptions(amortise_days={"a": 10, "b": 9})
    (finding,) = amortised_findings(plain, by_type, Period(), (0, until))
    assert (finding.count, finding.total, finding.example) == (1, 2, "a")


def test_media_fees_and_shared_costs_of_a_log() -> None:
    costs = pd.DataFrame(
        {"channel": ["a", "a", None], "amount": [3.0, 5.0, 7.0], "cost_type": ["media", "labour", "tools"]}
    )
    booked = read_costs(sources_of(costs, np.nan))
    assert (dict(booked.amounts), dict(booked.shared), dict(booked.touchpoints), booked.is_ledger, booked.bounds) == (
        {("a", "media"): 3.0, ("a", "labour"): 5.0}, {"tools": 7.0}, {}, True, None,
    )  # fmt: skip
    touched = read_costs(sources_of(costs, 2.0), ReturnsOptions(spend_from="touchpoints"))
    assert dict(touched.amounts) == {("a", "labour"): 5.0} | {(name, "media"): 2.0 for name in SIX}
    tabled = read_costs(sources_of(costs, 2.0), ReturnsOptions(spend_from="costs", fee_rate={"a": 0.5}))
    assert dict(tabled.amounts) == {("a", "media"): 3.0, ("a", "labour"): 5.0, ("a", "fees"): 1.5}
    by_touch = read_costs(sources_of(costs, np.nan), ReturnsOptions(shared_by="touchpoints"))
    assert dict(by_touch.touchpoints) == dict.fromkeys(SIX, 1.0)
    given = read_costs(sources_of(costs, np.nan), ReturnsOptions(shared_by="touchpoints"), touchpoints={"a": 4.0})
    assert dict(given.touchpoints) == {"a": 4.0}
    bare = read_costs(sources_of(pd.DataFrame({"channel": ["b"], "amount": [1.0]}), [2.0] + [np.nan] * 5))
    assert (dict(bare.amounts), bare.is_ledger) == ({("b", "media"): 1.0, ("a", "media"): 2.0}, False)
    low = read_costs(sources_of(costs.assign(cost_low=1.0, cost_high=9.0), np.nan))
    assert low.bounds is not None
    assert [(dict(end.shared), end.amounts["a", "media"]) for end in low.bounds] == [
        ({"tools": 1.0}, 1.0),
        ({"tools": 9.0}, 9.0),
    ]
    assert spend_by_channel(sources_of(costs, np.nan)) == {"a": 3.0}
    twice = pd.DataFrame({"customer_id": "a", "touched_at": "2024-03-01", "channel": ["a", "a", " "], "cost": 2.0})
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-02"]})
    again = at.load_sources(twice, orders)
    assert (spend_by_channel(again), spend_by_channel(again, copies=False)) == ({"a": 4.0}, {"a": 2.0})
    with pytest.raises(InputError, match="names 'costs', which have no costs"):
        spend_by_channel(again, spend_from="costs")
    with pytest.raises(InputError, match="names 'sales', and no cost of that type is without a channel"):
        read_costs(sources_of(costs, np.nan), ReturnsOptions(shared_by={"sales": "credit"}))


@pytest.mark.parametrize(
    ("start", "end", "spend"),
    [
        (None, None, 6.0),
        ("2024-03-02", None, 6.0),
        ("2024-03-02T00:00:01", None, 4.0),
        (None, "2024-03-02", 2.0),
        ("2024-03-03", "2024-03-04", 4.0),
    ],
)
def test_touchpoints_cost_in_the_period_alone(start: str | None, end: str | None, spend: float) -> None:
    touchpoints = pd.DataFrame(
        {"customer_id": "a", "touched_at": ["2024-03-02", "2024-03-03"], "channel": "a", "cost": [2.0, 4.0]}
    )
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-04"]})
    ends = {name: pd.Timestamp(at_) for name, at_ in (("start", start), ("end", end)) if at_ is not None}
    assert spend_by_channel(at.load_sources(touchpoints, orders), period=Period(**ends)) == {"a": spend}


def test_what_is_known_of_conversions_beside_their_value() -> None:
    sources = sources_of(pd.DataFrame({"channel": ["a"], "amount": [1.0]}), np.nan)
    asked = [
        (ReturnsOptions(), False, set()),
        (ReturnsOptions(), True, {"new_customers"}),
        (ReturnsOptions(ltv=9.0, margin=0.5), False, {"ltv"}),
        (ReturnsOptions(margin=0.5), False, set()),
        (ReturnsOptions(margin=0.5, lifetime=LifetimeOptions(revenue=9.0, **COURSE)), False, {"ltv"}),
        (ReturnsOptions(margin=0.5, ltv=9.0, lifetime=LifetimeOptions(**COURSE)), True, {"ltv", "new_customers"}),
    ]
    for options, economics, names in asked:
        assert known_measures(sources, options, economics=economics) == names
        assert economics or known_measures(sources, options) == names
    with pytest.raises(InputError, match=r"returns.lifetime needs an amount of lifetime revenue"):
        known_measures(sources, ReturnsOptions(lifetime=LifetimeOptions(**COURSE), margin=1))
    touchpoints = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-03-01"], "channel": ["a"]})
    orders = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-02"], "ltv": [9.0], "margin": [1.0]})
    told = at.load_sources(touchpoints, orders.assign(value=2.0))
    assert known_measures(told, ReturnsOptions()) == {"margin"}
    assert known_measures(told, ReturnsOptions(margin=0.5, lifetime=LifetimeOptions(**COURSE))) == {"margin", "ltv"}
    paths = at.load_sources(paths=pd.DataFrame({"path": ["a"], "conversions": [1]}))
    assert known_measures(paths, ReturnsOptions(margin=0.5)) == set()
    for options in (
        ReturnsOptions(ltv=9.0, margin=1),
        ReturnsOptions(lifetime=LifetimeOptions(revenue=9.0, **COURSE), margin=1),
    ):
        with pytest.raises(InputError, match="no new customers"):
            known_measures(paths, options)
    with pytest.raises(InputError, match="no new customers"):
        known_measures(paths, ReturnsOptions(), economics=True)
    assert default_lifetime(ReturnsOptions(ltv=9.0, margin=1)) == 9.0
    assert default_lifetime(ReturnsOptions(ltv=9.0, margin=1, lifetime=LifetimeOptions(**COURSE))) == 9.0
    lifetime = LifetimeOptions(revenue=8.0, retention=0.5, discount=0.0, periods=2)
    assert default_lifetime(ReturnsOptions(lifetime=lifetime, margin=1)) == 12.0


def test_costs_without_a_day_that_cannot_be_split_are_named_five_at_most() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-03-01"], "channel": ["mail"]})
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-02"]})
    types = ["g", "f", "e", "d", "c", "b", "a", "media"]
    costs = pd.DataFrame({"channel": "mail", "amount": [1.0] * 6 + [0.0, 2.0], "cost_type": types})
    sources = at.load_sources(touchpoints, conversions, costs=costs)
    with pytest.raises(InputError, match="7 costs without a day") as refused:
        check_days_of_costs(sources, "loaded")
    assert "Given: ['b', 'c', 'd', 'e', 'f']." in str(refused.value)
    with pytest.raises(InputError, match=r"1 cost without a day.*Given: \['media'\]\."):
        check_days_of_costs(sources, "media")
    dated = at.load_sources(touchpoints, conversions, costs=costs.assign(day="2024-03-01"))
    check_days_of_costs(dated, "loaded")


def test_claims_of_platforms_are_summed_up_by_channel() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-03-01"], "channel": ["mail"]})
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-02"]})
    costs = pd.DataFrame(
        {"channel": ["mail", "mail", "tv", None], "amount": 1.0, "claimed_conversions": [3.0, 2.0, 4.0, 9.0],
         "cost_type": "media", "day": ["2024-03-01", "2024-03-09", "2024-03-02", "2024-03-02"]}
    )  # fmt: skip
    costs.loc[3, "cost_type"] = "tools"
    sources = at.load_sources(touchpoints, conversions, costs=costs)
    credit = pd.DataFrame(
        {
            "model": "m",
            "estimand": "allocated",
            "channel": ["mail", "web", "(unattributed)"],
            "conversions": [2.0, 1.0, 5.0],
        }
    )
    claims = platform_claims(sources, credit, Period(end=pd.Timestamp("2024-03-05", tz="UTC")))
    assert claims is not None
    assert claims[["channel", "claimed", "conversions"]].to_numpy().tolist() == [
        ["mail", 3.0, 2.0], ["tv", 4.0, 0.0], ["(all)", 7.0, 8.0],
    ]  # fmt: skip
    np.testing.assert_array_equal(claims["claimed_ratio"], [1.5, np.nan, 0.875])
