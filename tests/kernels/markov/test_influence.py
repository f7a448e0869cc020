"""Influences against finite differences, and many small chains against one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from attribution.kernels.markov import large_chains
from attribution.kernels.markov.absorption import removal_effects
from attribution.kernels.markov.chains import Frame, build_chain, frame
from attribution.kernels.markov.influence import influences, linearise, solve_at_once
from attribution.kernels.markov.step_counts import Slices, count_steps, last_steps
from attribution.kernels.statistics.sums import sum_by_key, to_float

CHANNELS, BUCKETS = 4, 6


def bucketed(order: int, seed: int) -> tuple[Frame, sparse.csr_array, sparse.csr_array]:
    """Random journeys in buckets: the states, and the steps and the value of each bucket."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 8, 90)
    stop = np.cumsum(lengths)
    channel = rng.integers(0, CHANNELS, stop[-1]).astype(np.int32)
    bucket = rng.integers(0, BUCKETS, len(lengths))
    converted = rng.random(len(lengths)) < 0.4
    value = np.where(converted, rng.exponential(30.0, len(lengths)), 0.0)
    found = []
    for b in range(BUCKETS):
        mine = bucket == b
        journeys = Slices((stop - lengths)[mine], stop[mine], channel, CHANNELS)
        paid = mine & (value > 0)
        ends = last_steps(Slices((stop - lengths)[paid], stop[paid], channel, CHANNELS), order=order)
        found.append(
            (count_steps(journeys, converted[mine], ~converted[mine], order=order), sum_by_key(ends, value[paid]))
        )
    keys, sums = [], []
    for which in (0, 1):
        tables = [part[which] for part in found]
        distinct, row = np.unique(np.concatenate([table.keys[:, 0] for table in tables]), return_inverse=True)
        column = np.repeat(np.arange(BUCKETS), [len(table.keys) for table in tables])
        terms = np.concatenate([to_float(table.sums) for table in tables])
        keys.append(distinct[:, None])
        sums.append(sparse.csr_array((terms, (row, column)), shape=(len(distinct), BUCKETS)))
    return frame(*keys, channels=CHANNELS, order=order), *sums


def brought_and_kept(
    joined: Frame, steps: sparse.csr_array, value: sparse.csr_array, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rewards of all journeys (3,), and those without each channel (channels, 3), by solving the weighted chain."""
    chain = build_chain(joined, steps @ weights, value @ weights)
    three = chain._replace(rewards=np.column_stack([chain.rewards, chain.exits]))
    journeys = chain.steps[[0]].sum() + chain.exits[0]
    removal = removal_effects(three, CHANNELS)
    return journeys * removal.expected, journeys * (removal.expected - removal.lost)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", [1, 2, 3])
def test_influences_equal_finite_differences(order: int, seed: int) -> None:
    joined, steps, value = bucketed(order, seed)
    brought, kept = influences(joined, steps, value, rewards=np.arange(3), channels=CHANNELS)
    width = 1e-4
    for b in range(BUCKETS):
        more, less = np.ones(BUCKETS), np.ones(BUCKETS)
        more[b], less[b] = 1 + width, 1 - width
        up, down = (brought_and_kept(joined, steps, value, weights) for weights in (more, less))
        for analytic, high, low in zip((brought[b], kept[b]), up, down, strict=True):
            slope = (high - low) / (2 * width)
            np.testing.assert_allclose(analytic, slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("order", [1, 2, 4])
def test_influences_add_up_to_what_they_are_influences_on(order: int) -> None:
    joined, steps, value = bucketed(order, seed=9)
    brought, kept = influences(joined, steps, value, rewards=np.arange(3), channels=CHANNELS)
    whole, without = brought_and_kept(joined, steps, value, np.ones(BUCKETS))
    np.testing.assert_allclose(brought.sum(axis=0), whole, rtol=1e-9)
    np.testing.assert_allclose(kept.sum(axis=0), without, rtol=1e-8)


def test_with_memory_of_whole_paths_draws_are_exact() -> None:
    joined, steps, value = bucketed(8, seed=3)
    weights = np.random.default_rng(0).integers(0, 4, (5, BUCKETS)).astype(float)
    drawn = linearise(joined, steps, value, weights, rewards=np.arange(3), channels=CHANNELS)
    for d, row in enumerate(weights):
        whole, without = brought_and_kept(joined, steps, value, row)
        np.testing.assert_allclose(drawn.lost[d], whole - without, rtol=1e-9, atol=1e-9)


def test_blocks_of_channels_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    joined, steps, value = bucketed(2, seed=1)
    _, whole = influences(joined, steps, value, rewards=np.arange(2), channels=CHANNELS)
    monkeypatch.setattr(large_chains, "CELLS", 1)
    _, in_blocks = influences(joined, steps, value, rewards=np.arange(2), channels=CHANNELS)
    np.testing.assert_allclose(in_blocks, whole, rtol=1e-8)


def test_many_small_chains_equal_each_by_itself() -> None:
    joined, steps, value = bucketed(1, seed=5)
    weights = np.random.default_rng(0).integers(0, 3, (7, BUCKETS)).astype(float)
    weights[3] = 0.0
    weights[4, 1:] = 0.0
    found = solve_at_once(joined, (steps @ weights.T).T, (value @ weights.T).T, channels=CHANNELS)
    assert not found.lost[3].any()
    for d in (0, 1, 2, 4, 5, 6):
        whole, without = brought_and_kept(joined, steps, value, weights[d])
        np.testing.assert_allclose(found.brought[d], whole, rtol=1e-12)
        np.testing.assert_allclose(found.lost[d], whole - without, rtol=1e-10, atol=1e-10)
