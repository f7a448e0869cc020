"""Weights of the rules on journeys of one, two, three and four touchpoints, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.credit import rule_weights as rules

OFFSETS = np.array([0, 1, 3, 6, 10])
CHANNEL = np.array([0, 0, 1, 2, 0, 2, 1, 1, 0, 1], np.int32)


def by_journey(weights: np.ndarray) -> list[list[float]]:
    return [part.tolist() for part in np.split(weights, OFFSETS[1:-1])]


def test_the_first_and_the_last_take_all() -> None:
    assert by_journey(rules.first(OFFSETS)) == [[1], [1, 0], [1, 0, 0], [1, 0, 0, 0]]
    assert by_journey(rules.last(OFFSETS)) == [[1], [0, 1], [0, 0, 1], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ([False, False, False], [[1], [0, 1], [0, 0, 1], [0, 0, 0, 1]]),
        ([True, False, False], [[1], [0, 1], [0, 0, 1], [0, 0, 0, 1]]),
        ([False, True, False], [[1], [1, 0], [0, 0, 1], [0, 0, 1, 0]]),
        ([False, True, True], [[1], [1, 0], [0, 1, 0], [0, 0, 1, 0]]),
        ([True, False, True], [[1], [0, 1], [0, 0, 1], [0, 0, 0, 1]]),  # all of the third are excluded
        ([True, True, False], [[1], [0, 1], [0, 0, 1], [0, 0, 0, 1]]),
    ],
)
def test_the_last_that_is_not_excluded(excluded: list[bool], expected: list[list[float]]) -> None:
    assert by_journey(rules.last_other_than(OFFSETS, CHANNEL, np.array(excluded))) == expected


def test_the_last_that_is_not_excluded_may_be_the_very_first() -> None:
    channel = np.array([0, 0, 1, 1, 0, 0, 1, 0, 0, 0], np.int32)
    found = rules.last_other_than(OFFSETS, channel, np.array([True, False]))
    assert by_journey(found) == [[1], [0, 1], [1, 0, 0], [1, 0, 0, 0]]


def test_positions_share_the_middle() -> None:
    assert by_journey(rules.position(OFFSETS, 0.4, 0.2)) == [
        [1.0],
        [0.4, 0.2],
        [0.4, pytest.approx(0.4), 0.2],
        [0.4, pytest.approx(0.2), pytest.approx(0.2), 0.2],
    ]
    assert by_journey(rules.position(OFFSETS, 0.75, 0.75))[3] == [0.75, 0.0, 0.0, 0.75]
    assert by_journey(rules.position(OFFSETS, 0.0, 0.0))[2:] == [[0.0, 1.0, 0.0], [0.0, 0.5, 0.5, 0.0]]


def test_weights_halve_with_each_half_life_before_the_newest() -> None:
    age = np.array([100.0, 14.0, 7.0, 3.5, 0.0, 7.0, 28.0, 21.0, 14.0, 14.0])
    assert by_journey(rules.time_decay(OFFSETS, age, 7.0)) == [
        [1.0],
        [0.5, 1.0],
        [pytest.approx(0.5**0.5), 1.0, 0.5],
        [0.25, 0.5, 1.0, 1.0],
    ]
    assert rules.time_decay(np.array([0, 1]), np.array([5.0]), 7.0).tolist() == [1.0]


def test_every_distinct_channel_weighs_the_same() -> None:
    found = by_journey(rules.distinct_channels(OFFSETS, CHANNEL, 3))
    third = pytest.approx(1 / 3)
    assert found == [[1.0], [1.0, 1.0], [0.5, 1.0, 0.5], [third, third, 1.0, third]]


def test_the_first_of_each_mark() -> None:
    found = rules.first_marked(OFFSETS, CHANNEL, np.array([1, 0]))
    assert found.tolist() == [[-1, 0], [2, 1], [-1, 4], [6, 8]]


def test_anchors_share_and_the_rest_is_spread() -> None:
    """A share of 0.3 each for the ends and one stage; 0.1 for those without."""
    anchors = np.array([[0], [-1], [4], [6]])
    found = by_journey(rules.anchor_weights(OFFSETS, anchors, 0.3, 0.1))
    assert found == [
        [pytest.approx(0.9)],
        [0.3, 0.3],
        [0.3, 0.3, 0.3],
        [pytest.approx(0.6), 0.05, 0.05, 0.3],
    ]
    two = by_journey(rules.anchor_weights(OFFSETS, np.array([[-1, 0], [-1, -1], [-1, 5], [7, 8]]), 0.3, 0.1))
    assert two == [
        [pytest.approx(0.9)],
        [0.3, 0.3],
        [0.3, 0.1, pytest.approx(0.6)],
        [0.3, 0.3, 0.3, 0.3],
    ]


def test_positions_count_from_one_and_the_last_weight_serves_for_all_later_ones() -> None:
    assert by_journey(rules.positions(OFFSETS)) == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    found = rules.weights_by_position(OFFSETS, np.array([5.0, 3.0, 2.0]))
    assert by_journey(found) == [[5], [5, 3], [5, 3, 2], [5, 3, 2, 2]]


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_shares_add_up_at_any_size_and_are_equal_where_there_is_no_weight(scale: float) -> None:
    weights = np.array([5.0, 1.0, 3.0, 0.0, 0.0, 0.0, 4.0, 0.0, 3.0, 1.0]) * scale
    found, without = rules.shares(OFFSETS, weights)
    assert without == 1
    third = pytest.approx(1 / 3)
    assert by_journey(found) == [[1.0], [0.25, 0.75], [third] * 3, [0.5, 0.0, pytest.approx(0.375), 0.125]]
