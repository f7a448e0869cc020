"""Intervals against published numbers and against what follows by hand from how they are defined."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.kernels.statistics.intervals import (
    bca,
    descending_ranks,
    difference_interval,
    divide_draws,
    percentile,
    probability_above,
    rank_probabilities,
    weighted_wilson,
    wilson_interval,
)

THOUSAND = np.arange(1.0, 1001.0)
STILL = np.zeros(3)
"""Left-out values that say nothing of a skew."""


def test_the_middle_of_draws() -> None:
    assert percentile(np.arange(101.0), 0.8).tolist() == pytest.approx([10.0, 90.0])
    assert percentile(np.arange(101.0), 0.5).tolist() == pytest.approx([25.0, 75.0])


def test_without_bias_and_skew_the_corrected_interval_is_the_plain_one() -> None:
    assert bca(THOUSAND, np.array(500.5), STILL, 0.9).tolist() == pytest.approx(percentile(THOUSAND, 0.9).tolist())


def at(share: float) -> float:
    """The draw at a share of the way from the first to the last."""
    return 1.0 + 999.0 * share


def test_bias_moves_both_ends_twice_as_far() -> None:
    """Of 1,000 draws 600 lie below the estimate: z₀ = 0.2533, ends at Φ(2 z₀ ∓ 1.6449)."""
    found = bca(THOUSAND, np.array(600.5), STILL, 0.9)
    assert found.tolist() == pytest.approx([at(0.12751), at(0.98429)], abs=0.02)


def test_half_of_the_ties_lie_below() -> None:
    ties = np.array([0.0] * 40 + [1.0] * 40 + [2.0] * 20)  # below 1: 40 and half of 40
    apart = np.array([0.0] * 60 + [2.0] * 40)
    assert bca(ties, np.array(1.0), STILL, 0.4).tolist() == [1.0, 2.0]  # z₀ of 60 %: Φ(2 z₀ ∓ 0.524) is 49 % and 85 %
    assert bca(apart, np.array(1.0), STILL, 0.4).tolist() == [0.0, 2.0]
    assert bca(np.full(50, 7.0), np.array(7.0), STILL, 0.9).tolist() == [7.0, 7.0]


def test_skew_moves_the_ends_apart() -> None:
    """Away from the mean by 2, −1, −1: a = 6 ÷ (6 · 6^1.5) = 0.0680."""
    found = bca(THOUSAND, np.array(500.5), np.array([-2.0, 1.0, 1.0]), 0.9)
    z, a = NormalDist().inv_cdf(0.95), 0.0680414
    ends = [NormalDist().cdf(-z / (1 + a * z)), NormalDist().cdf(z / (1 - a * z))]
    assert found.tolist() == pytest.approx([at(end) for end in ends], abs=1e-3)


@pytest.mark.parametrize(("estimate", "ends"), [(0.0, [1.0, 1.45]), (11.0, [9.55, 10.0])])
def test_an_estimate_beyond_all_draws_counts_as_half_a_draw_inside(estimate: float, ends: list[float]) -> None:
    """Of ten draws: z₀ = Φ⁻¹(0.05), so that one end lies at Φ(z₀) of the way, 0.05 · 9."""
    assert bca(np.arange(1.0, 11.0), np.array(estimate), STILL, 0.9).tolist() == pytest.approx(ends, abs=1e-4)


Ends = Callable[[np.ndarray, float], np.ndarray]


def corrected(draws: np.ndarray, level: float) -> np.ndarray:
    """The corrected interval where there is nothing to correct: the estimate is the middle draw."""
    middle = np.median(np.nan_to_num(draws, nan=np.inf), axis=0)
    return bca(draws, middle, np.zeros((3, *draws.shape[1:])), level)


@pytest.mark.parametrize("ends", [percentile, corrected])
def test_draws_without_a_customer_leave_both_ends_until_they_are_many(ends: Ends) -> None:
    """Of 101 draws at 90 %: the ends are the 6th and the 96th, so that five may be infinite."""
    costs = np.arange(1.0, 102.0)

    def with_empty(count: int, value: float = np.inf) -> list[float]:
        return ends(np.where(costs > 101 - count, value, costs), 0.9).tolist()

    assert with_empty(0) == pytest.approx([6.0, 96.0])
    assert with_empty(5) == pytest.approx([6.0, 96.0])
    assert with_empty(6) == [pytest.approx(6.0), np.inf]
    assert with_empty(100)[1] == np.inf
    assert with_empty(101) == [np.inf, np.inf]


def test_draws_of_which_nothing_is_known_may_lie_anywhere() -> None:
    """Three of 101: the lower end is the 3rd of the others, the upper end the 96th of them."""
    draws = np.concatenate([np.arange(1.0, 99.0), np.full(3, np.nan)])
    assert percentile(draws, 0.9).tolist() == pytest.approx([3.0, 96.0])
    many = np.concatenate([np.arange(1.0, 96.0), np.full(6, np.nan)])
    assert np.isnan(percentile(many, 0.9)).all()
    assert np.isnan(percentile(np.full(9, np.nan), 0.9)).all()
    assert np.isnan(bca(np.full(9, np.nan), np.array(np.nan), STILL, 0.9)).all()


def test_a_channel_with_empty_draws_changes_no_other() -> None:
    draws = np.stack([THOUSAND, np.where(THOUSAND > 900, np.inf, THOUSAND), np.full(1000, np.nan)], axis=1)
    alone = percentile(THOUSAND, 0.9)
    found = percentile(draws, 0.9)
    assert found[:, 0].tolist() == alone.tolist()
    assert found[:, 1].tolist() == [alone[0], np.inf]
    assert np.isnan(found[:, 2]).all()


@given(
    hnp.arrays(float, st.integers(2, 60), elements=st.floats(1e-3, 1e3)),
    st.integers(0, 60),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
def test_ends_turn_with_what_is_turned_over(customers: np.ndarray, empty: int, level: float) -> None:
    """Customers per money and money per customer say the same: where one is 0, the other has no end."""
    customers = np.where(np.arange(len(customers)) < empty, 0.0, customers)
    low, high = percentile(divide_draws(np.ones_like(customers), customers), level)
    places = (1 - level) / 2 * (len(customers) - 1)
    ordered = np.sort(customers)
    # Between two draws 1 ÷ x is not in proportion to x, so both neighbours are asked.
    near = [ordered[int(np.floor(places + 1e-9))], ordered[int(np.ceil(places - 1e-9))]]
    if min(near) > 0:
        assert 1 / near[1] * (1 - 1e-9) <= high <= 1 / near[0] * (1 + 1e-9)
    else:
        assert high == np.inf
    assert low > 0


def test_cost_for_nobody_is_infinite_and_nothing_for_nobody_is_unknown() -> None:
    found = divide_draws(np.array([6.0, 6.0, 6.0, 0.0, -1.0]), np.array([3.0, 0.0, -2.0, 0.0, 0.0]))
    assert found[:3].tolist() == [2.0, np.inf, np.inf]
    assert np.isnan(found[3:]).all()


def test_left_out_values_without_end_leave_the_correction_of_bias() -> None:
    found = bca(THOUSAND, np.array(600.5), np.array([1.0, 2.0, np.inf]), 0.9)
    assert found.tolist() == bca(THOUSAND, np.array(600.5), STILL, 0.9).tolist()


def test_ties_share_their_ranks() -> None:
    scores = np.array([[5.0, 5.0, 1.0, 5.0], [4.0, 3.0, 2.0, 1.0]])
    assert descending_ranks(scores).tolist() == [[2.0, 2.0, 4.0, 2.0], [1.0, 2.0, 3.0, 4.0]]
    third = 1 / 3
    assert rank_probabilities(scores[:1]) == pytest.approx(
        np.array([[third, third, third, 0], [third, third, third, 0], [0, 0, 0, 1], [third, third, third, 0]])
    )
    assert rank_probabilities(scores).sum(axis=1).tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_score_intervals_are_those_that_newcombe_printed(hits: float, cases: float, low: float, high: float) -> None:
    found = wilson_interval(np.array([hits]), np.array([cases]), 0.95)
    assert np.concatenate(found).round(4).tolist() == [low, high]


def test_a_share_of_nothing_has_no_interval_and_ends_stay_within_nought_and_one() -> None:
    low, high = wilson_interval(np.array([0.0, 3.0, 0.0]), np.array([0.0, 3.0, 3.0]), 0.9)
    assert np.isnan([low[0], high[0]]).all()
    assert (high[1], low[2]) == (1.0, 0.0)
    assert low[1] == pytest.approx(1 - high[2])
    assert wilson_interval(np.array([0.25]), np.array([0.5]), 0.9)[0][0] > 0.0  # cases that count in part


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_intervals_of_differences_are_those_that_newcombe_printed(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = difference_interval(*(np.array([float(x)]) for x in (*one, *other)), 0.95)
    assert np.concatenate(found).round(4).tolist() == [low, high]


def test_cases_that_count_unevenly_are_fewer() -> None:
    """Weights 1, 1, 2: (1 + 1 + 2)² ÷ (1 + 1 + 4) = 2⅔ cases, of which half the weight is hit."""
    found = weighted_wilson(np.array([True, True, False]), np.array([1.0, 1.0, 2.0]), 0.9)
    expected = wilson_interval(np.array([4 / 3]), np.array([8 / 3]), 0.9)
    assert found == pytest.approx((expected[0][0], expected[1][0]))
    assert np.isnan(weighted_wilson(np.array([True]), np.array([0.0]), 0.9)).all()
    assert weighted_wilson(np.array([True, False]), np.array([1.0, 0.0]), 0.9)[1] == pytest.approx(1.0)


def test_ranks_and_comparisons_are_of_the_rows_that_are_known() -> None:
    scores = np.array([[1.0, 2.0], [np.nan, 5.0], [3.0, 2.0], [1.0, 2.0]])
    assert rank_probabilities(scores).tolist() == rank_probabilities(scores[[0, 2, 3]]).tolist()
    assert np.isnan(rank_probabilities(np.full((3, 2), np.nan))).all()
    assert probability_above(scores[:, 0] - scores[:, 1]).item() == pytest.approx(1 / 3)
    assert np.isnan(probability_above(np.full((3, 2), np.nan))).all()
