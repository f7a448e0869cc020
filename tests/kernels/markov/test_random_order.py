"""Steps in random order, against all orders of small journeys written out."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.kernels.markov import random_order
from attribution.kernels.markov.random_order import expected_steps, journey_words, shuffle_order
from attribution.kernels.markov.step_counts import Slices, count_steps, unpack
from attribution.kernels.statistics.sums import KeyedSums, to_float

CHANNELS = 4
JOURNEYS = st.lists(st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=5), min_size=1, max_size=4)


def lay(journeys: list[list[int]], channels: int = CHANNELS) -> Slices:
    ends = np.cumsum([len(journey) for journey in journeys])
    starts = ends - [len(journey) for journey in journeys]
    return Slices(starts, ends, np.concatenate(journeys).astype(np.int32), channels)


def dense(steps: KeyedSums, channels: int = CHANNELS) -> np.ndarray:
    counts = np.zeros((channels + 2, channels + 2))
    from_state, to_state = unpack(steps.keys, channels=channels, order=1).T
    counts[from_state, to_state] = to_float(steps.sums)
    return counts


@given(journeys=JOURNEYS, data=st.data())
def test_expected_steps_are_the_mean_over_all_orders(journeys: list[list[int]], data: st.DataObject) -> None:
    counts = st.lists(st.integers(0, 3), min_size=len(journeys), max_size=len(journeys))
    conversions, nulls = (np.array(data.draw(counts), dtype=float) for _ in range(2))
    every = [order for journey in journeys for order in permutations(journey)]
    weights = np.concatenate([np.full(factorial(len(journey)), 1 / factorial(len(journey))) for journey in journeys])
    row = np.repeat(np.arange(len(journeys)), [factorial(len(journey)) for journey in journeys])
    slow = count_steps(lay([list(o) for o in every]), conversions[row] * weights, nulls[row] * weights, order=1)
    fast = expected_steps(lay(journeys), conversions, nulls)
    np.testing.assert_allclose(dense(fast), dense(slow), atol=1e-12)


@pytest.mark.parametrize("most", [1, 7, 50])
def test_parts_of_journeys_give_the_same_bytes(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    journeys = lay([rng.integers(0, CHANNELS, size).tolist() for size in (1, 5, 2, 9, 3)])
    conversions, nulls = np.array([1.0, 0.0, 2.5, 1.0, 0.0]), np.array([0.0, 3.0, 1.0, 0.0, 0.25])
    whole = expected_steps(journeys, conversions, nulls)
    monkeypatch.setattr(random_order, "MOST_TERMS", most)
    parts = expected_steps(journeys, conversions, nulls)
    assert parts.keys.tolist() == whole.keys.tolist()
    assert to_float(parts.sums).tobytes() == to_float(whole.sums).tobytes()


def test_many_channels_are_summed_by_key() -> None:
    journeys = lay([[0, 699], [699]], channels=700)
    steps = expected_steps(journeys, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    taken = unpack(steps.keys, channels=700, order=1).tolist()
    assert dict(zip(map(tuple, taken), to_float(steps.sums).tolist(), strict=True)) == {
        (0, 699): 0.5,
        (0, 700): 0.5,
        (699, 0): 0.5,
        (699, 700): 0.5,
        (699, 701): 1.0,
        (700, 0): 0.5,
        (700, 699): 1.5,
    }


def test_no_journey_takes_no_step() -> None:
    none = Slices(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), 2)
    assert len(expected_steps(none, np.zeros(0), np.zeros(0)).keys) == 0
    assert len(shuffle_order(none, np.zeros(0, np.uint64), 0).channel) == 0


def test_all_orders_are_drawn_alike() -> None:
    number = 6_000
    journeys = lay([[0, 1, 2]] * number)
    words = journey_words(np.arange(number).astype(np.uint64), np.full(number, 9))
    drawn = shuffle_order(journeys, words, 0)
    orders, counts = np.unique(drawn.channel.reshape(-1, 3), axis=0, return_counts=True)
    assert sorted(map(tuple, orders.tolist())) == sorted(permutations(range(3)))
    # Five degrees of freedom: beyond 20.5 with a chance of a thousandth.
    assert ((counts - 1_000) ** 2 / 1_000).sum() < 20.5
    assert shuffle_order(journeys, words, 1).channel.tolist() != drawn.channel.tolist()


def test_an_order_depends_on_nothing_but_the_journey() -> None:
    journeys, words = lay([[0, 1, 2, 3], [3, 3, 1], [2]]), np.array([5, 6, 7], np.uint64)
    drawn = shuffle_order(journeys, words, 2)
    assert drawn.start.tolist() == journeys.start.tolist()
    assert [sorted(part.tolist()) for part in np.split(drawn.channel, [4, 7])] == [[0, 1, 2, 3], [1, 3, 3], [2]]
    turned = shuffle_order(lay([[2], [3, 3, 1], [0, 1, 2, 3]]), words[::-1], 2)
    assert turned.channel[4:].tolist() == drawn.channel[:4].tolist()
