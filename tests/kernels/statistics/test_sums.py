"""Order-independent sums against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attribution.kernels.statistics.sums import (
    KeyedSums,
    add_sums,
    distinct_rows,
    exact_sums,
    merge_keyed,
    sum_by_key,
    to_float,
)

FLOATS = st.floats(0, 1e300, allow_nan=False, allow_subnormal=True)


def exact(values: list[float]) -> float:
    return float(sum((Fraction(value) for value in values), Fraction(0)))


@given(st.lists(FLOATS, max_size=30))
def test_a_sum_is_the_exact_sum_rounded(values: list[float]) -> None:
    sums = exact_sums(np.zeros(len(values), np.int64), np.array(values), 1)
    assert to_float(sums)[0] == pytest.approx(exact(values), rel=3e-16, abs=5e-324)


@given(st.lists(FLOATS, min_size=1, max_size=20), st.randoms())
def test_order_and_grouping_change_no_bit(values: list[float], random: Random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    cut = len(values) // 2
    one = exact_sums(np.zeros(len(values), np.int64), np.array(values), 1)
    halves = [exact_sums(np.zeros(len(p), np.int64), np.array(p), 1) for p in (shuffled[:cut], shuffled[cut:])]
    assert to_float(one).tobytes() == to_float(add_sums(*halves)).tobytes()


@given(hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 2**40)))
def test_integers_are_exact(values: np.ndarray) -> None:
    sums = exact_sums(np.zeros(len(values), np.int64), values.astype(float), 1)
    assert int(to_float(sums)[0]) == sum(values.tolist())


@given(hnp.arrays(st.sampled_from([np.int64, np.int32, np.uint8, np.float32]), 9, elements=st.integers(0, 200)))
def test_the_type_of_terms_does_not_matter(values: np.ndarray) -> None:
    """The kernel reads the bits of floats; those of an integer would be next to nothing."""
    index = np.arange(len(values)) % 2
    assert to_float(exact_sums(index, values, 2)).tolist() == [float(values[0::2].sum()), float(values[1::2].sum())]
    strided = np.column_stack([values, values]).astype(np.float64)[:, 0]
    assert to_float(exact_sums(index, strided, 2)).tolist() == to_float(exact_sums(index, values, 2)).tolist()


def test_whole_numbers_that_no_float_holds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"below 2\^53"):
        exact_sums(np.zeros(1, np.int64), np.array([2**53 + 1]), 1)


def test_a_million_of_the_largest_small_integers_carries_over() -> None:
    values = np.full(1_000_000, 2.0**32 - 1)
    assert to_float(exact_sums(np.zeros(len(values), np.int64), values, 1))[0] == 1_000_000 * (2**32 - 1)


def test_negative_zero_is_nothing() -> None:
    assert to_float(exact_sums(np.zeros(2, np.int64), np.array([-0.0, 0.25]), 1))[0] == 0.25


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 9)), max_size=30),
    st.integers(0, 30),
)
def test_keyed_sums_merge_to_the_whole(rows: list[tuple[int, int, int]], cut: int) -> None:
    def table(part: list[tuple[int, int, int]]) -> KeyedSums:
        keys = np.array([row[:2] for row in part], np.int64).reshape(-1, 2)
        return sum_by_key(keys, np.array([row[2] / 10 for row in part]))

    merged = merge_keyed(table(rows[:cut]), table(rows[cut:]))
    whole = table(rows)
    assert merged.keys.tolist() == whole.keys.tolist()
    assert to_float(merged.sums).tobytes() == to_float(whole.sums).tobytes()


@pytest.mark.parametrize("columns", [1, 2, 3])
@given(data=st.data())
def test_distinct_rows(columns: int, data: st.DataObject) -> None:
    whole = st.sampled_from([-(1 << 63), -1, 0, 1, 1 << 31, (1 << 63) - 1])
    elements = data.draw(st.sampled_from([st.integers(-2, 2), whole]))
    rows = data.draw(hnp.arrays(np.int64, (data.draw(st.integers(0, 20)), columns), elements=elements))
    distinct, position = distinct_rows(rows)
    assert [list(row) for row in sorted({tuple(row) for row in rows.tolist()})] == distinct.tolist()
    assert distinct[position].tolist() == rows.tolist()
