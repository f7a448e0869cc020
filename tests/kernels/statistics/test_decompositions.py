"""How variance splits over a grid, against a decomposition written out subset by subset."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from attribution.kernels.statistics.decompositions import variances


def parts(values: NDArray[np.float64]) -> dict[tuple[int, ...], float]:
    """The variance of every term of the functional ANOVA of one grid, by the axes it depends on."""
    axes = range(values.ndim)
    every = list(chain.from_iterable(combinations(axes, size) for size in range(values.ndim + 1)))
    terms: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for subset in every:
        others = tuple(axis for axis in axes if axis not in subset)
        mean = np.broadcast_to(values.mean(axis=others, keepdims=True), values.shape)
        terms[subset] = mean - sum(terms[less] for less in every if set(less) < set(subset))
    return {subset: float((term**2).mean()) for subset, term in terms.items() if subset}


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(0, 1_000_000),
)
def test_parts_are_those_of_the_functional_anova(levels: list[int], draws: int, seed: int) -> None:
    factors = len(levels)
    values = np.random.default_rng(seed).normal(size=(*levels, draws))
    found, written = variances(values[..., None], factors), parts(values)
    drawn = sum(part for subset, part in written.items() if factors in subset)
    between = [subset for subset in written if factors not in subset]
    assert found.between_draws[0] == pytest.approx(drawn, abs=1e-12)
    for factor in range(factors):
        assert found.main[factor, 0] == pytest.approx(written[factor,], abs=1e-12)
        any_part = sum(part for subset, part in written.items() if factor in subset)
        assert found.any[factor, 0] == pytest.approx(any_part, abs=1e-12)
    mixed = sum(written[subset] for subset in between if len(subset) > 1)
    assert found.interactions[0] == pytest.approx(mixed, abs=1e-12)
    assert found.total[0] == pytest.approx(values.var(), abs=1e-12)
    assert found.main.sum() + found.interactions[0] + found.between_draws[0] == pytest.approx(found.total[0], abs=1e-12)


def test_columns_do_not_touch_each_other() -> None:
    values = np.random.default_rng(1).normal(size=(2, 3, 5, 4))
    together = variances(values, 2)
    for place in range(4):
        alone = variances(values[..., [place]], 2)
        for part, of in zip(together, alone, strict=True):
            np.testing.assert_allclose(part[..., place], of[..., 0], rtol=1e-12)
