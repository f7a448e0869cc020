"""How much a test could tell: written-out numbers, and that they are what such a test then shows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from attribution.kernels.incremental.lift_effects import difference_of_rates
from attribution.kernels.incremental.lift_sample_size import customers_needed, detectable_effect


def test_written_out() -> None:
    assert detectable_effect(500_000, 0.034, 0.2) == pytest.approx(796.594, abs=1e-3)
    assert detectable_effect(500_000, 0.05, 0.2, exposed_share=0.3) == pytest.approx(524.707, abs=1e-3)
    assert customers_needed(0.002, 0.034, 0.2) == pytest.approx(317_281.1, abs=0.1)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_that_many_customers_detect_that_effect(share: float) -> None:
    n = customers_needed(0.004, 0.05, share, alpha=0.05, power=0.9)
    assert detectable_effect(n, 0.05, share, alpha=0.05, power=0.9) == pytest.approx(0.004 * n, rel=1e-9)


def test_a_test_that_large_finds_the_effect_as_often_as_promised() -> None:
    n, share, rate = 40_000, 0.2, 0.05
    effect = detectable_effect(n, rate, share) / n
    draw = np.random.default_rng(1)
    sizes = np.array([n * (1 - share), n * share])
    hits = [
        estimate.effect > stats.norm.ppf(0.95) * estimate.standard_error
        for y in draw.binomial(sizes.astype(int), [rate + effect / 2, rate - effect / 2], size=(2000, 2))
        for estimate in [difference_of_rates(y, sizes, n)]
    ]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.03)
