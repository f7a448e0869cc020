"""Sweeps over large chains: how far they jump ahead, and counts that are too large for whole numbers."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.markov.large_chains import _at_stake, _gather, _jump, _jump_factor
from attribution.kernels.markov.step_counts import Slices, count_bucket_steps, count_steps
from attribution.kernels.statistics.sums import to_float


def test_a_jump_is_the_sum_of_a_geometric_series_where_something_is_missing() -> None:
    moved = np.array([1.0, 0.5, 0.5, 0.25, 9.0, 0.0])
    last = np.array([2.0, 0.0, 1.0, 1.0, 1.0, 0.0, 5.0])
    is_missing = np.array([True, True, False, True, True, True])
    assert _jump_factor(moved, last, is_missing) == pytest.approx([1.0, 0.0, 0.0, 1 / 3, 19.0, 0.0])


def test_a_jump_goes_on_as_the_last_move_went_and_not_below_nothing() -> None:
    values, before = np.array([[3.0, 1.0], [2.0, 4.0]]), np.array([[1.0, 2.0], [2.0, 3.0]])
    _jump(values, before, np.array([0.5, 2.0]))
    assert values.tolist() == [[4.0, 0.0], [2.0, 6.0]]


class Arrows:
    """Five arrows into the first state, none into the second, one into the third."""

    start = np.array([0, 5, 5, 6])
    state = np.array([0, 1, 2, 3, 4, 1])
    probability = np.array([0.5, 0.25, 0.125, 0.0625, 2.0, 3.0])


@pytest.mark.parametrize(
    ("state", "sums"), [(0, [0.5 + 2.5 + 12.5 + 62.5 + 20_000.0, 7.0]), (1, [0.0, 7.0]), (2, [30.0, 7.0])]
)
def test_what_comes_along_arrows_is_added_up(state: int, sums: list[float]) -> None:
    values = np.array([[1.0, 9.0], [10.0, 9.0], [100.0, 9.0], [1_000.0, 9.0], [10_000.0, 9.0]])
    found = np.array([0.0, 7.0])
    getattr(_gather, "py_func", _gather)(Arrows, state, values, found, 1)
    assert found.tolist() == sums


def test_a_column_is_at_stake_where_it_removes_a_state_that_is_worth_something() -> None:
    member = np.array([-1, 0, 1, 1])
    removed = np.array([[True, False], [False, True], [False, False]])
    weight = np.array([[1.0, 1.0], [0.0, 2.0], [0.5, 0.0], [0.0, 0.0]])
    assert _at_stake(member, removed, weight).tolist() == [[False, True], [True, False], [False, False]]


def test_counts_that_do_not_fit_into_whole_numbers_are_added_up_all_the_same() -> None:
    """Four times 2^61 is more than a whole number holds."""
    journeys = Slices(np.arange(4), np.arange(1, 5), np.zeros(4, np.int32), 1)
    many, none = np.full(4, 2.0**61), np.zeros(4)
    for steps in (
        count_steps(journeys, many, none, order=1),
        count_bucket_steps(journeys, np.full(4, 7), many, none, order=1),
    ):
        assert to_float(steps.sums).tolist() == [2.0**63, 2.0**63]
    few = count_bucket_steps(journeys, np.array([3, 3, 7, 9]), np.ones(4), np.array([1.0, 0.0, 0.0, 2.0]), order=1)
    assert sorted(set(few.keys[:, 0].tolist())) == [3, 7, 9]
    assert to_float(few.sums)[few.keys[:, 0] == 3].tolist() == [2.0, 1.0, 3.0]
