"""Distances of distributions by hand, and ways to split days."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attribution.kernels.statistics.distribution_shift import (
    SMALLEST,
    count_splits,
    draw_splits,
    psi_terms,
    rank_extremes,
    relative_difference,
    to_shares,
)


def test_many_standards_at_once_are_each_by_itself() -> None:
    one, other = np.array([[3.0, 1.0], [2.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    each = [psi_terms(a, b).tolist() for a, b in zip(one, other, strict=True)]
    assert psi_terms(one, other).tolist() == each


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


@pytest.mark.parametrize("draws", [99, 4])
def test_a_split_is_the_true_one_and_then_others_of_the_same_weekdays(draws: int) -> None:
    kinds, is_recent = np.array([0, 1, 2, 0, 1, 2, 0, 1]), np.arange(8) >= 6
    splits = draw_splits(kinds, is_recent, draws, seed=3)
    assert splits[0].tolist() == is_recent.tolist()
    for kind, recent in ((0, 1), (1, 1), (2, 0)):
        assert (splits[:, kinds == kind].sum(axis=1) == recent).all()
    assert count_splits(kinds, is_recent) == 9
    # All there are, each once; or as many as were asked for beside the true one.
    assert len(splits) == (9 if draws == 99 else 5)
    assert draws != 99 or len({tuple(row) for row in splits.tolist()}) == 9


def test_splits_are_as_likely_as_each_other() -> None:
    kinds, is_recent = np.array([0] * 6 + [1] * 4), np.array([False] * 4 + [True] * 2 + [False] * 3 + [True])
    splits = draw_splits(kinds, is_recent, 59, seed=1)
    assert len(splits) == 60 == math.comb(6, 2) * 4
    many = draw_splits(np.zeros(40, int), np.arange(40) >= 30, 4000, seed=1)
    # Ten of forty days, four standard errors.
    assert np.abs(many[1:].mean(axis=0) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_differences_have_a_sign_and_an_end() -> None:
    found = relative_difference(np.array([2.0, 0.0, 0.0, -1.0]), np.array([1.0, 0.0, 3.0, 1.0]))
    assert found.tolist() == pytest.approx([1 / 3, 0.0, -1.0, -1.0])


def test_extremes_are_ranks_that_forget_scale_and_tails() -> None:
    random = np.random.default_rng(0)
    normal = random.normal(size=(3, 400))
    distances = np.concatenate(
        [normal[:2] * [[1.0], [1000.0]] + [[0.0], [5.0]], np.exp(3 * normal[2:]), np.ones((1, 400))]
    )
    found = rank_extremes(distances, np.array([False, True, False, True]))
    for row, farther in zip(
        found, (distances[0], np.abs(distances[1] - distances[1].mean()), distances[2]), strict=False
    ):
        assert np.argsort(row).tolist() == np.argsort(farther).tolist()
        assert np.ceil(row.max()) == 0.0
        assert int(np.floor(row.min())) == -400
    # What never varies is never unusual.
    assert found[3].tolist() == [-400.0] * 400


def test_ties_are_broken_by_standard_deviations() -> None:
    """Two measures have their largest distance in different splits; the one that is farther out is the rarer."""
    distances = np.array([[0.0, 0.1, -0.1, 0.2, 0.3, 9.0], [0.0, 1.0, 2.0, 3.0, 4.0, 0.5]])
    found = rank_extremes(distances, np.array([False, False])).max(axis=0)
    assert -1.0 < found[4] < found[5] < 0.0
