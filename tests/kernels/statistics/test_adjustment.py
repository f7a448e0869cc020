"""Holm's adjustment, against its steps written out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attribution.kernels.statistics.adjustment import adjust_holm

P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12)


@given(p_values=P_VALUES, level=st.floats(0.001, 0.5))
def test_what_is_rejected_is_what_the_steps_reject(p_values: list[float], level: float) -> None:
    """The procedure: the least is held against level ÷ n, the next against level ÷ (n − 1), until one is not met."""
    tests = sorted((p_value, index) for index, p_value in enumerate(p_values) if p_value == p_value)
    rejected = set()
    for step, (p_value, index) in enumerate(tests):
        if p_value * (len(tests) - step) > level:
            break
        rejected.add(index)
    adjusted = adjust_holm(np.array(p_values, dtype=float))
    assert set(np.flatnonzero(adjusted <= level)) == rejected
    assert (np.isnan(adjusted) == np.isnan(np.array(p_values, dtype=float))).all()


def test_one_test_stays_as_it_is_and_none_is_none() -> None:
    assert adjust_holm(np.array([0.03])).tolist() == [0.03]
    assert adjust_holm(np.array([])).tolist() == []
    assert adjust_holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]
