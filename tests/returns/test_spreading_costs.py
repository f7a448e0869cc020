"""Costs over time: dated rates of exchange, lump sums that serve for a while, fees as a share of media."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.returns import Costs, coverage_findings, read_costs
from attribution.returns.cost_ledger import Days, RateHistory
from attribution.schema.experiment import Experiment, Period, ReturnsOptions, checked

TOUCHPOINTS = pd.DataFrame(
    {"customer_id": [1, 2], "touched_at": pd.to_datetime(["2024-01-01", "2024-01-02"]), "channel": ["mail", "展会 🎪"]}
)
CONVERSIONS = pd.DataFrame({"customer_id": [1, 2], "converted_at": pd.to_datetime(["2024-01-06"] * 2), "value": 100.0})
EURO = {"currency": "EUR"}


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def read(
    costs: pd.DataFrame, course: pd.DataFrame | None = None, *, period: tuple[str, str] | None = None, **options: Any
) -> Costs:
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs, rates=course)
    asked = Period() if period is None else Period(**dict(zip(("start", "end"), period, strict=True)))
    return read_costs(sources, ReturnsOptions(**options), period=asked)


# ------------------------------------------------------------ rates that change

RATES = frame(currency=["USD", "usd ", "USD"], rate=[0.9, 0.8, 1.0], day=["2024-01-01", "2024-01-11", "2024-01-21"])


def test_a_cost_is_worth_what_its_currency_was_on_its_day() -> None:
    days = ["2024-01-01", "2024-01-10", "2024-01-11", "2024-02-29"]
    costs = frame(channel="mail", amount=[100.0, 10.0, 1.0, 1000.0], day=days, currency="USD")
    assert read(costs, RATES, **EURO).media == {"mail": pytest.approx(90 + 9 + 0.8 + 1000)}


def test_a_cost_of_a_period_is_worth_the_mean_of_its_days() -> None:
    """30 a day from 6 to 25 January: 5 days at 0.9, 10 at 0.8, 5 at 1.0."""
    costs = frame(
        channel="mail", amount=[600.0], period_start=["2024-01-06"], period_end=["2024-01-25"], currency="USD"
    )
    assert read(costs, RATES, **EURO).media["mail"] == pytest.approx(30 * (5 * 0.9 + 10 * 0.8 + 5 * 1.0))
    # Of which the analysis sees 10 to 12 January: a day at 0.9 and two at 0.8.
    inside = read(costs, RATES, period=("2024-01-10", "2024-01-12"), **EURO).media["mail"]
    assert inside == pytest.approx(30 * (0.9 + 2 * 0.8))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 60), st.floats(0.1, 9.0)), min_size=1, max_size=6, unique_by=lambda s: s[0]
    ),
    first=st.integers(0, 70),
    length=st.integers(1, 40),
    is_open=st.booleans(),
)
def test_mean_rates_are_those_of_a_sum_over_days(
    steps: list[tuple[int, float]], first: int, length: int, is_open: bool
) -> None:
    day = 86_400_000_000
    steps = sorted(steps)
    since = np.array([at * day for at, _ in steps])
    if is_open:
        since[0] = np.iinfo(np.int64).min
    course = RateHistory(since, np.array([rate for _, rate in steps]))
    found = course.means(np.array([first * day]), np.array([(first + length) * day]))[0]
    known = [
        [rate for at, (_, rate) in zip(since, steps, strict=True) if at <= on * day]
        for on in range(first, first + length)
    ]
    if not known[0]:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.mean([rates[-1] for rates in known]))


def test_a_rate_without_a_day_holds_from_the_beginning() -> None:
    rates = frame(currency="USD", rate=[0.5, 0.6], day=[None, "2024-01-03"])
    costs = frame(channel="mail", amount=[10.0, 10.0], day=["1999-01-01", "2024-01-03"], currency="USD")
    assert read(costs, rates, **EURO).media == {"mail": pytest.approx(5.0 + 6.0)}
    always = frame(currency=["USD"], rate=[0.5])
    assert read(costs.drop(columns="day"), always, **EURO).media == {"mail": 10.0}


@pytest.mark.parametrize(
    ("costs", "rates", "options", "said"),
    [
        ({"day": ["2023-12-31"]}, RATES, EURO, r"rate of USD is not known on the first days of 1 cost.*2023-12-31"),
        ({}, RATES, EURO, "1 cost in USD without a day, but its rate changes"),
        ({"day": ["2024-01-01"]}, RATES, {}, "table 'rates' has rates, but returns.currency is not set"),
        (
            {"day": ["2024-01-01"]},
            RATES,
            EURO | {"rates": {"usd": 1.0}},
            "rate of USD is in both returns.rates and the table 'rates'",
        ),
        ({}, frame(currency=["CNY"], rate=[0.13]), EURO, "no rate is known for currency 'USD'.*Allowed: CNY, EUR"),
        ({}, frame(currency=["USD"], rate=[0.0]), EURO, "table 'rates': a rate is 0, in 1 row"),
        (
            {},
            frame(currency=["USD", "usd"], rate=[0.5, 0.6]),
            EURO,
            "a currency has several rates for one day.*USD",
        ),
        (
            {"day": ["2024-01-02"]},
            frame(currency="USD", rate=[0.9, None, 0.9], day=["2024-01-01", "2024-01-02", "2024-01-03"]),
            EURO,
            "table 'rates', column 'rate': values are null in 1 of 3 rows",
        ),
        (
            {"day": ["2024-01-02"]},
            frame(currency="USD", rate=["0.9", "n/a"], day=["2024-01-01", "2024-01-02"]),
            EURO,
            r"table 'rates', column 'rate': values are not numbers in 1 of 2 rows\. Given: 'n/a'",
        ),
        ({}, frame(currency=["USD"], rate=[-1.0]), EURO, "column 'rate': values are negative in 1 of 1 rows"),
    ],
)
def test_rates_that_cannot_be(costs: dict[str, Any], rates: pd.DataFrame, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(frame(channel=["mail"], amount=[1.0], currency=["USD"], **costs), rates, **options)


def test_a_day_without_a_rate_has_that_of_the_day_before() -> None:
    """Banks publish none at weekends."""
    costs = frame(channel="mail", amount=[10.0, 10.0], day=["2024-01-06", "2024-01-08"], currency="USD")
    rates = frame(currency="USD", rate=[0.9, 0.5], day=["2024-01-05", "2024-01-08"])
    assert read(costs, rates, **EURO).media == {"mail": pytest.approx(9.0 + 5.0)}


# ------------------------------------------------------------ lump sums that serve for a while


def fair(**columns: Any) -> pd.DataFrame:
    return frame(channel=["展会 🎪"], amount=[900.0], day=["2023-12-17"], cost_type=["venue"], **columns)


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (("2024-01-01", "2024-01-31"), 900 * 31 / 90),  # 31 of the 90 days from 17 December on
        (("2023-12-01", "2023-12-31"), 900 * 15 / 90),
        (("2024-03-01", "2024-03-31"), 900 * 15 / 90),  # … to 15 March
        (("2024-03-16", "2024-03-31"), 0.0),
        (("2023-12-01", "2024-04-30"), 900.0),
        (None, 900.0),
    ],
)
def test_a_lump_sum_is_spread_over_the_days_that_it_serves(period: tuple[str, str] | None, expected: float) -> None:
    by_column = read(fair(amortise_days=[90]), period=period)
    by_type = read(fair(), period=period, amortise_days={"Venue": 90})
    assert by_column.direct["展会 🎪"] == pytest.approx(expected)
    assert by_type.amounts == by_column.amounts


def test_the_column_goes_before_the_type_and_others_stay_where_they_are() -> None:
    costs = frame(
        channel="mail",
        amount=[100.0, 100.0, 100.0],
        day=["2024-01-01"] * 3,
        cost_type=["content", "content", "media"],
        amortise_days=[10, None, None],
    )
    found = read(costs, period=("2024-01-01", "2024-01-01"), amortise_days={"content": 4})
    assert found.amounts == {("mail", "content"): 10.0 + 25.0, ("mail", "media"): 100.0}


def test_what_is_paid_over_a_month_may_serve_for_longer() -> None:
    costs = frame(
        channel="mail",
        amount=[310.0],
        period_start=["2024-01-01"],
        period_end=["2024-01-31"],
        cost_type="content",
        amortise_days=[62],
    )
    assert read(costs, period=("2024-02-01", "2024-02-29")).direct["mail"] == pytest.approx(310 * 29 / 62)


def test_a_lump_sum_is_converted_on_the_day_it_was_paid() -> None:
    rates = frame(currency="USD", rate=[0.5, 0.9], day=["2023-01-01", "2024-01-01"])
    costs = fair(currency=["USD"], amortise_days=[90])
    found = read(costs, rates, period=("2023-12-01", "2024-04-30"), **EURO)
    assert found.direct["展会 🎪"] == pytest.approx(450.0)


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"amortise_days": [0]}, {}, "amortise_days is not a whole number"),
        ({"amortise_days": [1.5]}, {}, "amortise_days is not a whole number"),
        ({"amortise_days": [-3]}, {}, "column 'amortise_days': values are negative in 1 of 1 rows"),
        ({"day": [None], "amortise_days": [3]}, {}, "amortise_days is given without a day to start from, in 1 row"),
        (
            {"day": [None]},
            {"amortise_days": {"venue": 3}},
            r"amortise_days without a day to start from, in 1 row.*venue",
        ),
        ({}, {"amortise_days": {"venu": 3}}, "amortise_days: no cost is of type 'venu'.*Allowed: venue"),
    ],
)
def test_spreading_that_cannot_be(columns: dict[str, Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(fair().assign(**columns), **options)


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 50), serves=st.integers(1, 60), cuts=st.lists(st.integers(0, 120), min_size=1, max_size=4))
def test_periods_that_follow_each_other_share_out_the_whole(first: int, serves: int, cuts: list[int]) -> None:
    table = frame(day=[np.datetime64("2024-01-01") + first], cost_type=["venue"], amortise_days=[serves])
    days = Days.of(table).amortise(table, ReturnsOptions())
    edges = [None, *sorted(np.datetime64("2024-01-01", "us").astype(int) + cut * 86_400_000_000 for cut in cuts), None]
    shares = [days.share_inside((low, None if high is None else high - 1))[0] for low, high in pairwise(edges)]
    assert sum(shares) == pytest.approx(1.0)


# ------------------------------------------------------------ fees


def test_fees_are_a_share_of_media() -> None:
    """Media 1,000 and 10 % of it; the oracle of the formulas stands in test_return_bases."""
    costs = frame(channel=["mail", "展会 🎪"], amount=[1000.0, 200.0])
    every = read(costs, fee_rate=0.1)
    assert every.is_ledger
    assert every.amounts[("mail", "fees")] == 100.0
    assert every.direct == {"mail": 1100.0, "展会 🎪": 220.0}
    assert every.media == {"mail": 1000.0, "展会 🎪": 200.0}
    one = read(costs, fee_rate={"展会 🎪": 0.5})
    assert one.direct == {"mail": 1000.0, "展会 🎪": 300.0}
    flawed = {finding.check: finding.example for finding in coverage_findings(one, ["mail"])}
    assert flawed["media_cost_only"] == "mail"
    # Fees that are booked stand beside a rate for other channels.
    typed = frame(
        channel=["mail", "mail", "展会 🎪"], amount=[1000.0, 7.0, 200.0], cost_type=["media", "fees", "media"]
    )
    assert read(typed, fee_rate={"展会 🎪": 0.5}).direct == {"mail": 1007.0, "展会 🎪": 300.0}


@pytest.mark.parametrize("rate", [15, {"mail": 15}])
def test_fees_in_per_cent_are_refused(rate: Any) -> None:
    document = {"name": "fees", "tables": {"conversions": {"source": CONVERSIONS}}, "models": [{"model": "Linear"}]}
    with pytest.raises(InputError, match=r"returns\.fee_rate.*less than or equal to 1.*Given: 15"):
        checked(Experiment, {**document, "returns": {"fee_rate": rate}}, origin="x.toml")


def test_nothing_that_is_shared_needs_nothing_to_share_it_by() -> None:
    costs = read(frame(channel=["mail", None], cost_type=["media", "labour"], amount=[0.0, 0.0]))
    assert costs.spend("loaded", ["mail"], np.ones((1, 1))).tolist() == [[0.0]]


def test_fees_on_what_touchpoints_cost() -> None:
    sources = at.load_sources(TOUCHPOINTS.assign(cost=[2.0, 4.0]), CONVERSIONS)
    assert read_costs(sources, ReturnsOptions(fee_rate=0.25)).direct == {"mail": 2.5, "展会 🎪": 5.0}


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ({"mial": 0.1}, "fee_rate has a channel without media spend: 'mial'.*Allowed: mail"),
        ({"mail": 0.1}, "1 channel with fees both in the costs table and in returns.fee_rate.*mail"),
        (0.1, "1 channel with fees both in the costs table and in returns.fee_rate"),
    ],
)
def test_fees_that_cannot_be(rate: Any, said: str) -> None:
    costs = frame(channel=["mail", "mail"], amount=[1000.0, 7.0], cost_type=["media", "fees"])
    with pytest.raises(InputError, match=said):
        read(costs, fee_rate=rate)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf"), "much", {"mail": -1}])
def test_fee_rates_that_are_none(rate: Any) -> None:
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, frame(channel=["mail"], amount=[1.0]))
    credit = at.attribute(at.build_journeys(sources), [at.LastTouch()])
    with pytest.raises(InputError, match="compute_returns: fee_rate") as refused:
        at.compute_returns(credit, sources, fee_rate=rate)
    assert "function-" not in str(refused.value)


def test_a_cost_that_began_in_time_may_serve_beyond_today() -> None:
    today = dt.date.today()
    costs = frame(channel=["mail"], amount=[10.0], day=[today], amortise_days=[400])
    assert read(costs).media == {"mail": 10.0}


@pytest.mark.parametrize(
    ("period", "serves", "count"),
    [
        ({}, 90, 1),
        ({}, 2, 0),
        ({"start": "2024-01-01"}, 90, 1),
        ({"start": "2024-01-01", "end": "2024-01-06"}, 90, None),
    ],
)
def test_a_cost_that_serves_beyond_the_data_is_named(period: dict[str, str], serves: int, count: int | None) -> None:
    """The data end on 6 January: of a fair on the 5th that serves 90 days they have seen 2."""
    costs = frame(channel=["mail", "fair"], cost_type=["media", "venue"], amount=[10.0, 900.0], day="2024-01-05")
    options = {"amortise_days": {"venue": serves}, "cost_basis": "loaded"}
    tables = {"touchpoints": TOUCHPOINTS, "conversions": CONVERSIONS, "costs": costs}
    asked = {"name": "x", "tables": tables, "models": [{"model": "Linear"}], "returns": options, "period": period}
    outcome = at.run_experiment(checked(Experiment, asked, origin="test"))
    rows = outcome.tables["quality"].query("check == 'amortised_beyond_data'")
    spend = outcome.tables["returns"].query("channel == 'fair' and cost_basis == 'loaded'")["spend"].iloc[0]
    if count is None:
        assert rows.empty
        assert spend == pytest.approx(900 * 2 / 90)
        return
    assert rows["count"].tolist() == [count]
    assert rows["status"].tolist() == ["warn" if count else "pass"]
    assert spend == 900.0
    if count:
        assert rows["example"].tolist() == ["venue"]
        assert "serve beyond 2024-01-06, the last day of the data, and count in full: set period.end" in str(
            rows["message"].iloc[0]
        )
