"""Days that a cost serves for, the share of them in a period, rates between two instants, and payback at its edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attribution.journeys import DAY
from attribution.returns.cost_ledger import Bounds, Days, RateHistory
from attribution.returns.lifetime import first_reaching, lifetime_value, payback, payback_period
from attribution.schema.experiment import LifetimeOptions, ReturnsOptions

JANUARY = 19_723 * DAY
"""2024-01-01, µs since 1970."""


def day(number: int) -> int:
    """The begin of a day of January."""
    return JANUARY + (number - 1) * DAY


def costs(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"cost_type": ["media"] * len(next(iter(columns.values()))), **columns})


TEN_DAYS = costs(period_start=["2024-01-01", "2024-01-05"], period_end=["2024-01-10", "2024-01-05"])


@pytest.mark.parametrize(
    ("bounds", "shares"),
    [
        ((None, None), [1.0, 1.0]),
        ((day(1), day(11) - 1), [1.0, 1.0]),
        ((day(2), None), [0.9, 1.0]),
        ((day(3), day(8) - 1), [0.5, 1.0]),
        ((None, day(2) - 1), [0.1, 0.0]),
        ((day(5), day(6) - 1), [0.1, 1.0]),
        ((day(6), None), [0.5, 0.0]),
        ((day(11), None), [0.0, 0.0]),
        ((day(20), day(21) - 1), [0.0, 0.0]),
        ((day(5) + DAY // 2, None), [0.55, 0.5]),
        ((None, day(5) + DAY // 4 - 1), [0.425, 0.25]),
    ],
)
def test_costs_count_by_the_share_of_their_days_in_the_period(bounds: Bounds, shares: list[float]) -> None:
    assert Days.of(TEN_DAYS).share_inside(bounds).tolist() == pytest.approx(shares, abs=1e-15)


def test_the_part_of_a_cost_in_the_period_begins_and_ends_there() -> None:
    days = Days.of(TEN_DAYS)
    assert [at.tolist() for at in days.instants] == [[day(1), day(5)], [day(11), day(6)]]
    inside = days.inside((day(2), day(4) - 1))
    assert [at.tolist() for at in inside] == [[day(2), day(5)], [day(4), day(4)]]


def test_costs_without_days_count_whole() -> None:
    days = Days.of(costs(amount=[1.0, 2.0]))
    assert not days.are_known
    assert days.share_inside((day(2), day(3))).tolist() == [1.0, 1.0]
    single = Days.of(costs(day=["2024-01-02", None]))
    assert single.are_known
    assert single.share_inside((day(3), None)).tolist() == [0.0, 1.0]


def test_a_cost_serves_for_as_many_days_as_are_said_its_first_among_them() -> None:
    table = costs(day=["2024-01-01", "2024-01-01", "2024-01-01"], amortise_days=[10.0, 1.0, None])
    serves = Days.of(table).amortise(table, ReturnsOptions(amortise_days={"media": 4}))
    assert serves.last.astype(str).tolist() == ["2024-01-10", "2024-01-01", "2024-01-04"]
    assert serves.share_inside((day(4), None)).tolist() == pytest.approx([0.7, 0.0, 0.25])
    assert (
        Days.of(table[["cost_type", "day"]])
        .amortise(table[["cost_type", "day"]], ReturnsOptions())
        .last.astype(str)
        .tolist()
        == ["2024-01-01"] * 3
    )


STEPS = RateHistory(np.array([day(1), day(3), day(4)]), np.array([2.0, 1.0, 5.0]))
"""2 on the first two days, 1 on the third, 5 from the fourth on."""


@pytest.mark.parametrize(
    ("first", "last", "mean"),
    [
        (day(1), day(2), 2.0),
        (day(1), day(3), 2.0),
        (day(2), day(4), 1.5),
        (day(1), day(4), 5 / 3),
        (day(1), day(5), 2.5),
        (day(3), day(4), 1.0),
        (day(4), day(9), 5.0),
        (day(2) + DAY // 2, day(3) + DAY // 2, 1.5),
        (day(3), day(3), 1.0),  # an instant has the rate that begins there
        (day(3) - 1, day(3) - 1, 2.0),
        (day(1) - 1, day(5), np.nan),
    ],
)
def test_the_mean_rate_between_two_instants(first: int, last: int, mean: float) -> None:
    found = STEPS.means(np.array([first]), np.array([last]))
    assert found.tolist() == pytest.approx([mean], nan_ok=True)
    assert not STEPS.is_constant


def test_a_constant_rate_holds_at_any_time() -> None:
    always = RateHistory(np.array([np.iinfo(np.int64).min]), np.array([0.5]))
    assert always.is_constant
    assert always.means(np.array([day(-5000), day(1)]), np.array([day(9), day(1)])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("cost", "period"),
    [
        (0.0, 0.0),
        (12.0, 0.0),
        (12.0 * (1 + 0.5e-12), 0.0),  # equal but for rounding
        (12.0 * (1 + 1e-10), 1.0),
        (18.0, 1.0),
        (20.0, 2.0),
        (21.0, 2.0),
        (21.1, np.nan),
        (np.nan, np.nan),
    ],
)
def test_a_cost_is_paid_back_in_the_first_period_that_reaches_it(cost: float, period: float) -> None:
    assert first_reaching(np.array([[12.0, 18.0, 21.0]]), np.array([cost])).tolist() == pytest.approx(
        [period], nan_ok=True
    )


def test_payback_of_a_lifetime_along_its_course() -> None:
    """100 come in as 57.1, 28.6 and 14.3 (1, ½ and ¼ of it)."""
    course = LifetimeOptions(retention=0.5, periods=3)
    found = payback(np.full(4, 100.0), np.array([57.0, 57.2, 85.8, 100.1]), course)
    assert found.tolist() == pytest.approx([0.0, 1.0, 2.0, np.nan], nan_ok=True)


def test_the_ends_of_what_is_allowed_are_allowed() -> None:
    assert lifetime_value(0.0, retention=1.0, discount=0.0, periods=1, margin=1.0) == 0.0
    assert lifetime_value(10.0, retention=1.0, discount=1.0, periods=2) == 15.0
    assert lifetime_value(10.0, retention=0.0, discount=0.0, periods=1, margin=0.5) == 5.0
    assert payback_period(0.0, 10.0, retention=0.0, discount=0.0, periods=1) == 0
