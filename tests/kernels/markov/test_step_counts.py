"""Steps counted in an array, under hashed keys, or listed and sorted, against a dictionary."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.kernels.markov import step_counts
from attribution.kernels.markov.step_counts import Slices, count_steps, pack, shorten_steps, unpack
from attribution.kernels.statistics.sums import to_float

Journey = tuple[list[int], float, float]
CHANNELS = 5


def journeys_with(counts: st.SearchStrategy[float]) -> st.SearchStrategy[list[Journey]]:
    return st.lists(
        st.tuples(st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=7), counts, counts), max_size=20
    )


def counted(rows: list[Journey], order: int) -> dict[tuple[int, ...], float]:
    lengths = np.array([len(path) for path, _, _ in rows], np.int64)
    channel = np.array([c for path, _, _ in rows for c in path], np.int32)
    journeys = Slices(np.cumsum(lengths) - lengths, np.cumsum(lengths), channel, CHANNELS)
    conversions, nulls = (np.array([row[k] for row in rows], np.float64) for k in (1, 2))
    steps = count_steps(journeys, conversions, nulls, order=order)
    digits = unpack(steps.keys, channels=CHANNELS, order=order)
    assert pack(digits, channels=CHANNELS).tolist() == steps.keys.tolist()
    assert sorted(map(tuple, digits.tolist())) == list(map(tuple, digits.tolist()))
    return dict(zip(map(tuple, digits.tolist()), to_float(steps.sums).tolist(), strict=True))


def slowly(rows: list[Journey], order: int) -> dict[tuple[int, ...], float]:
    steps: Counter[tuple[int, ...]] = Counter()
    for path, conversions, nulls in rows:
        padded = [CHANNELS] * order + path
        for i, follow in enumerate(path):
            steps[*padded[i : i + order], follow] += conversions + nulls
        steps[*padded[len(path) :], CHANNELS] += conversions
        steps[*padded[len(path) :], CHANNELS + 1] += nulls
    return {step: count for step, count in steps.items() if count > 0}


@pytest.mark.parametrize("dense_keys", [1 << 20, 0], ids=["array", "hashed"])
@pytest.mark.parametrize("order", [1, 2, 4, 30])
@settings(max_examples=40)
@given(rows=journeys_with(st.sampled_from([0.0, 1.0, 3.0, 2.0**40])))
def test_whole_counts_equal_their_twin(order: int, dense_keys: int, rows: list[Journey]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_counts, "DENSE_KEYS", dense_keys)
        assert counted(rows, order) == slowly(rows, order)


@pytest.mark.parametrize("order", [1, 3, 30])
@settings(max_examples=40)
@given(rows=journeys_with(st.sampled_from([0.0, 0.5, 1.25])))
def test_parts_of_journeys_equal_their_twin(order: int, rows: list[Journey]) -> None:
    assert counted(rows, order) == slowly(rows, order)


def test_many_distinct_steps_fill_the_table_again_and_again() -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.integers(0, CHANNELS, 400).tolist(), 1.0, 0.0) for _ in range(100)]
    assert counted(rows, 8) == slowly(rows, 8)


@pytest.mark.parametrize("order", [2, 30])
@settings(max_examples=40)
@given(rows=journeys_with(st.sampled_from([1.0, 2.0])))
def test_shortened_steps_are_those_of_the_lower_order(order: int, rows: list[Journey]) -> None:
    shorter: Counter[tuple[int, ...]] = Counter()
    for step, count in counted(rows, order).items():
        keys = shorten_steps(pack(np.array([step]), channels=CHANNELS), channels=CHANNELS, order=order, to=1)
        shorter[tuple(unpack(keys, channels=CHANNELS, order=1)[0].tolist())] += count
    assert dict(shorter) == slowly(rows, 1)
