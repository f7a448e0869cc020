"""Distances of distributions by hand, and stretches of days that stay together."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.statistics.distribution_shift import SMALLEST, psi_terms, stretch_weights, to_shares


def test_shares_of_amounts() -> None:
    assert to_shares(np.array([[1.0, 3.0], [0.0, 0.0], [0.5, 0.0]])).tolist() == [[0.25, 0.75], [0.0, 0.0], [1.0, 0.0]]


def test_each_bin_adds_the_difference_times_the_log_of_the_ratio() -> None:
    found = psi_terms(np.array([8.0, 2.0]), np.array([2.0, 2.0]))
    assert found.tolist() == pytest.approx([0.3 * np.log(1.6), -0.3 * np.log(0.4)])
    assert psi_terms(np.array([3.0, 9.0]), np.array([1.0, 3.0])).tolist() == [0.0, 0.0]


def test_what_was_never_seen_counts_as_rare() -> None:
    assert SMALLEST == 0.0001
    gone = psi_terms(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    assert gone[1] == pytest.approx((0.0001 - 0.5) * np.log(0.0001 / 0.5))
    new = psi_terms(np.array([1.0, 1.0]), np.array([1.0, 0.0]))
    assert new[1] == pytest.approx((0.5 - 0.0001) * np.log(0.5 / 0.0001))


@pytest.mark.parametrize(("amounts", "standard"), [([0.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [0.0, 0.0])])
def test_of_nothing_it_is_not_known_that_it_moved(amounts: list[float], standard: list[float]) -> None:
    assert psi_terms(np.array(amounts), np.array(standard)).tolist() == [0.0, 0.0]


def test_a_stretch_of_one_block_is_days_in_a_row_round_the_end() -> None:
    weights = stretch_weights(200, 10, 3, block=3, seed=1)
    assert (weights.sum(axis=1) == pytest.approx(10.0)) is True
    expected = {tuple(np.roll([10 / 3] * 3 + [0.0] * 7, begin).tolist()) for begin in range(10)}
    assert {tuple(row) for row in weights.tolist()} == expected


def test_blocks_are_no_longer_than_the_stretch_and_the_last_may_be_cut() -> None:
    assert stretch_weights(20, 10, 3, block=50, seed=1).tolist() == stretch_weights(20, 10, 3, block=3, seed=1).tolist()
    weights = stretch_weights(300, 14, 8, block=7, seed=2) / (14 / 8)
    assert set(weights.sum(axis=1)) == {8.0}
    # Seven days in a row and one more day, which may be one of them.
    assert {int(row.max()) for row in weights} == {1, 2}
    weekdays = (weights[:, :7] + weights[:, 7:]).round()
    assert (np.sort(weekdays, axis=1) == [1, 1, 1, 1, 1, 1, 2]).all()
