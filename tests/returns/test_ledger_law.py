"""One law over days of payment, rates, amortisation and the period: a ledger day by day, without code of the package.

A cost is paid evenly over its days and converted day by day. Spread over other days, all of it is converted first.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.returns.cost_ledger import read_ledger
from attribution.schema.experiment import Period, ReturnsOptions
from tests.scale import examples

FIRST = dt.date(2024, 1, 1)
TOUCHPOINTS = pd.DataFrame(
    {"customer_id": [1, 2], "touched_at": pd.to_datetime(["2024-01-01", "2024-01-02"]), "channel": ["mail", "fair"]}
)
CONVERSIONS = pd.DataFrame({"customer_id": [1, 2], "converted_at": pd.to_datetime(["2024-01-06"] * 2), "value": 100.0})
RATES = [("USD", 0, 0.9), ("USD", 9, 0.8), ("USD", 20, 1.1), ("GBP", 5, 1.2), ("GBP", 15, 1.3)]
"""Currency, first day of the rate, rate."""

DAYS = st.integers(0, 40)
ROW = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["mail", "fair"]),
        "cost_type": st.sampled_from(["media", "venue", "labour"]),
        "amount": st.sampled_from([0.0, 1.0, 30.0, 1234.5]),
        "currency": st.sampled_from(["EUR", "USD", "GBP", None]),
        "begin": DAYS,
        "length": st.sampled_from([1, 1, 2, 7, 25]),
        "amortise_days": st.sampled_from([None, None, 1, 3, 30, 90]),
    }
)


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def rate_on(currency: str | None, number: int) -> float | None:
    if currency in ("EUR", None):
        return 1.0
    known = [rate for name, since, rate in RATES if name == currency and since <= number]
    return known[-1] if known else None


class UnknownRateError(Exception):
    pass


def booked_by_day(row: dict[str, Any], period: tuple[int, int] | None, by_type: dict[str, int]) -> Iterator[float]:
    """What a cost amounts to on each day of the period on which it serves."""
    paid = range(row["begin"], row["begin"] + row["length"])
    serves = row["amortise_days"] or by_type.get(row["cost_type"])
    on = paid if serves is None else range(row["begin"], row["begin"] + serves)
    inside = [number for number in on if period is None or period[0] <= number <= period[1]]
    converted = {}
    for number in paid if serves is not None and inside else inside:
        rate = rate_on(row["currency"], number)
        if rate is None:
            raise UnknownRateError
        converted[number] = row["amount"] / len(paid) * rate
    for number in inside:
        yield converted[number] if serves is None else sum(converted.values()) / serves


@examples(25)
@given(
    rows=st.lists(ROW, min_size=1, max_size=8, unique_by=lambda row: (row["channel"], row["cost_type"])),
    period=st.none() | st.tuples(DAYS, DAYS).map(lambda ends: (min(ends), max(ends))),
    by_type=st.sampled_from([{}, {"venue": 10}]),
)
def test_every_ledger_is_what_it_is_day_by_day(
    rows: list[dict[str, Any]], period: tuple[int, int] | None, by_type: dict[str, int]
) -> None:
    by_type = {kind: days for kind, days in by_type.items() if any(row["cost_type"] == kind for row in rows)}
    costs = pd.DataFrame(
        {
            **{name: [row[name] for row in rows] for name in ("channel", "cost_type", "amount", "currency")},
            "period_start": [day(row["begin"]) for row in rows],
            "period_end": [day(row["begin"] + row["length"] - 1) for row in rows],
            "amortise_days": pd.array([row["amortise_days"] for row in rows], dtype="Int64"),
        }
    )
    rates = pd.DataFrame([(name, rate, day(since)) for name, since, rate in RATES], columns=["currency", "rate", "day"])
    asked = Period() if period is None else Period(start=day(period[0]), end=day(period[1]))
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs, rates=rates)
    options = ReturnsOptions(currency="EUR", amortise_days=by_type)
    expected: dict[tuple[str, str], float] = defaultdict(float)
    try:
        for row in rows:
            expected[row["channel"], row["cost_type"]] += sum(booked_by_day(row, period, by_type))
    except UnknownRateError:
        with pytest.raises(InputError, match=r"rate of (USD|GBP) is not known"):
            read_ledger(sources, asked, options)
        return
    ledger = read_ledger(sources, asked, options).set_index(["channel", "cost_type"])["amount"]
    assert ledger.to_dict() == {key: pytest.approx(amount, rel=1e-9, abs=1e-9) for key, amount in expected.items()}


def test_a_fair_paid_before_the_period_and_served_in_it() -> None:
    costs = pd.DataFrame(
        {
            "channel": ["fair"],
            "cost_type": ["venue"],
            "amount": [9000.0],
            "currency": ["USD"],
            "day": [dt.date(2023, 12, 17)],
        }
    )
    january = Period(start=dt.date(2024, 1, 1), end=dt.date(2024, 1, 31))
    rates = pd.DataFrame({"currency": ["USD", "USD"], "rate": [0.9, 0.5], "day": ["2023-01-01", "2024-01-01"]})
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs, rates=rates)
    options = ReturnsOptions(currency="EUR", cost_basis="loaded", amortise_days={"venue": 90})
    assert read_ledger(sources, january, options)["amount"].tolist() == [pytest.approx(9000 * 0.9 * 31 / 90)]
