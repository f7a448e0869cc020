"""Arithmetic of lift tests: written-out numbers, statsmodels as a second opinion, and what must hold for any counts."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_chisquare

from attribution.kernels.incremental.lift_effects import (
    SPEND_ERROR,
    Estimate,
    Interval,
    cost_per_effect,
    differ_by_chance,
    difference_in_regions,
    difference_of_means,
    difference_of_rates,
    effect_of_lift,
    error_of_interval,
    interval,
    lift_of_rates,
    normal_error,
    ratio_mismatch,
    return_on_spend,
    scale_to_period,
    shares_mismatch,
)

BEFORE = np.array([0.030, 0.033, 0.028, 0.034, 0.029, 0.032, 0.028, 0.035])
DURING = np.array([0.031, 0.034, 0.029, 0.036, 0.027, 0.030, 0.026, 0.033])
IS_TEST = np.arange(8) < 4


def test_a_holdout() -> None:
    estimate = difference_of_rates([2800, 640], [80_000, 20_000], 100_000)
    assert estimate == pytest.approx((300.0, 140.3919, np.inf), abs=1e-4)
    assert interval(estimate, 0.9) == pytest.approx((300.0, 69.0759, 530.9241), abs=1e-4)
    ends = confint_proportions_2indep(2800, 80_000, 640, 20_000, method="wald", alpha=0.1)
    assert interval(estimate, 0.9)[1:] == pytest.approx(np.multiply(ends, 100_000), rel=1e-9)


def test_ghost_ads() -> None:
    estimate = difference_of_rates([1200, 240], [24_000, 6_000], 30_000)
    assert estimate[:2] == pytest.approx((300.0, 86.8404), abs=1e-4)
    assert interval(estimate, 0.9)[1:] == pytest.approx((157.1603, 442.8397), abs=1e-4)


def test_a_reported_lift() -> None:
    estimate = effect_of_lift(5600, Interval(0.12, 0.04, 0.21), 0.9)
    assert estimate[:2] == pytest.approx((600.0, 230.1111), abs=1e-4)
    # Twice the coverage of the same interval halves nothing but the error.
    wider = effect_of_lift(5600, Interval(0.12, 0.04, 0.21), 0.95)
    assert wider.standard_error / estimate.standard_error == pytest.approx(1.6448536 / 1.9599640, rel=1e-6)


def test_a_geo_test_is_least_squares_with_hc2_errors() -> None:
    estimate = difference_in_regions(BEFORE, DURING, IS_TEST, 1.0)
    design = np.column_stack([np.ones(8), IS_TEST, BEFORE - BEFORE.mean()])
    other = sm.OLS(DURING, design).fit(cov_type="HC2", use_t=True)
    assert estimate == pytest.approx((3.236967e-3, 2.416546e-4, 5.0), rel=1e-6)
    assert estimate[:2] == pytest.approx((other.params[1], other.bse[1]), rel=1e-10)
    assert interval(estimate, 0.9)[1:] == pytest.approx(other.conf_int(0.1)[1], rel=1e-10)
    assert difference_in_regions(BEFORE, DURING, IS_TEST, 1e6).effect == pytest.approx(3236.967, rel=1e-6)


def test_regions_that_were_alike_before_are_compared_as_they_are() -> None:
    estimate = difference_in_regions(np.full(8, 0.03), DURING, IS_TEST, 1.0)
    assert estimate.effect == pytest.approx(DURING[:4].mean() - DURING[4:].mean(), rel=1e-12)
    variances = [part.var(ddof=1) / 4 for part in (DURING[:4], DURING[4:])]
    assert estimate.standard_error == pytest.approx(np.sqrt(sum(variances)), rel=1e-12)


def test_a_region_that_alone_decides_a_coefficient_adds_no_error() -> None:
    before = np.where(np.arange(8) == 7, 0.05, 0.03)
    estimate = difference_in_regions(before, DURING, IS_TEST, 1.0)
    same = difference_in_regions(np.full(7, 0.03), DURING[:7], IS_TEST[:7], 1.0)
    assert estimate[:2] == pytest.approx(same[:2], rel=1e-9)


def test_what_it_costs_and_brings() -> None:
    effect = interval(Estimate(300.0, 120.0), 0.9)
    assert cost_per_effect(9000, effect) == pytest.approx((30.0, 18.0947, 87.7043), abs=1e-4)
    value = Interval(*(80 * each for each in effect))
    assert return_on_spend(9000, value) == pytest.approx((2.6667, 0.9122, 4.4212), abs=1e-4)
    unsure = cost_per_effect(9000, interval(Estimate(100.0, 90.0), 0.9))
    assert unsure == pytest.approx((90.0, 36.2849, np.inf), abs=1e-4)
    assert cost_per_effect(9000, Interval(-5.0, -9.0, -1.0)) == (np.inf, np.inf, np.inf)
    assert cost_per_effect(9000, Interval(0.0, -9.0, 9.0)) == (np.inf, 1000.0, np.inf)


def test_value_by_customer_is_welchs_difference() -> None:
    draw = np.random.default_rng(3)
    test, control = draw.gamma(0.2, 50, 4000), draw.gamma(0.2, 40, 1000)
    estimate = difference_of_means(
        [test.sum(), control.sum()], [test.std(ddof=1), control.std(ddof=1)], [4000, 1000], 5000
    )
    other = stats.ttest_ind(test, control, equal_var=False)
    assert estimate.effect == pytest.approx(5000 * (test.mean() - control.mean()), rel=1e-12)
    assert estimate.effect / estimate.standard_error == pytest.approx(other.statistic, rel=1e-12)


def test_in_another_period() -> None:
    test = Estimate(300.0, 120.0)
    assert scale_to_period(test, 2.0) == (600.0, 240.0, np.inf)
    assert scale_to_period(test, 2.0, drift=0.3).standard_error == pytest.approx(np.hypot(240, 180))
    # A negative effect has nothing that could drift away.
    assert scale_to_period(Estimate(-300.0, 120.0), 2.0, drift=0.3) == (-600.0, 240.0, np.inf)
    far = scale_to_period(test, 1.0, drift=0.3, spend_ratio=np.e)
    assert far.standard_error == pytest.approx(np.sqrt(120**2 + 90**2 + (SPEND_ERROR * 300) ** 2))
    assert scale_to_period(test, 1.0, spend_ratio=0.5) == pytest.approx(scale_to_period(test, 1.0, spend_ratio=2.0))


def test_few_regions_make_the_error_of_a_normal_estimate_larger() -> None:
    assert normal_error(Estimate(1.0, 1.0), 0.9) == pytest.approx(1.0)
    assert normal_error(Estimate(1.0, 1.0, 5.0), 0.9) == pytest.approx(2.015048 / 1.644854, rel=1e-6)
    assert error_of_interval(-50.0, 250.0, 0.9) == pytest.approx(150 / 1.644854, rel=1e-6)


def test_arms_of_other_sizes() -> None:
    assert ratio_mismatch([80_000, 20_000], [0.8, 0.2]) == 1.0
    assert ratio_mismatch([80_500, 19_500], [0.8, 0.2]) == pytest.approx(
        stats.chisquare([80_500, 19_500], [80_000, 20_000]).pvalue, rel=1e-12
    )
    assert shares_mismatch([24_000, 6_200], [80_000, 20_000]) == pytest.approx(
        proportions_chisquare([24_000, 6_200], [80_000, 20_000])[1], rel=1e-10
    )
    assert shares_mismatch([80_000, 20_000], [80_000, 20_000]) == 1.0


def test_effects_that_differ_by_chance() -> None:
    assert differ_by_chance([0.1, 0.1, 0.1], [0.2, 0.1, 0.3]) == 1.0
    # Two of one size apart by z standard errors: the test of their difference.
    z = 0.5 / np.hypot(0.1, 0.2)
    assert differ_by_chance([0.6, 0.1], [0.1, 0.2]) == pytest.approx(2 * stats.norm.sf(z), rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    n=st.tuples(st.integers(20, 10_000), st.integers(20, 10_000)),
    rates=st.tuples(st.floats(0.001, 0.999), st.floats(0.001, 0.999)),
    level=st.floats(0.5, 0.99),
)
def test_the_interval_of_the_lift_agrees_with_that_of_the_difference(
    n: tuple[int, int], rates: tuple[float, float], level: float
) -> None:
    """No reader sees "more by +3 to +9" beside "-1 % to +12 %"."""
    y = [max(int(size * rate), 1) for size, rate in zip(n, rates, strict=True)]
    difference = interval(difference_of_rates(y, n, 1.0), level)
    lift = lift_of_rates(y, n, level)
    assert lift.middle == pytest.approx((y[0] / n[0]) / (y[1] / n[1]) - 1)
    if np.isnan(lift.low):
        assert difference.high > 0 or y[1] < 10
        return
    assert lift.low <= lift.middle <= lift.high
    if abs(difference.low) > 1e-9:
        assert (difference.low > 0) == (lift.low > 0)
    if abs(difference.high) > 1e-9:
        assert (difference.high < 0) == (lift.high < 0)


@settings(max_examples=60, deadline=None)
@given(
    n=st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    factor=st.floats(0.1, 10),
)
def test_the_effect_of_more_customers_is_in_proportion(
    n: tuple[int, int], shares: tuple[float, float], factor: float
) -> None:
    y = [int(size * share) for size, share in zip(n, shares, strict=True)]
    one, more = difference_of_rates(y, n, 100.0), difference_of_rates(y, n, 100.0 * factor)
    swapped = difference_of_rates(y[::-1], n[::-1], 100.0)
    assert more[:2] == pytest.approx((one.effect * factor, one.standard_error * factor), rel=1e-9, abs=1e-12)
    assert swapped[:2] == pytest.approx((-one.effect, one.standard_error), rel=1e-9, abs=1e-12)
    assert abs(one.effect) <= 100.0


def test_a_control_without_conversions_has_no_lift() -> None:
    assert np.isnan(lift_of_rates([12, 0], [100, 100], 0.9)).all()
    assert lift_of_rates([12, 1], [100, 100], 0.9) == pytest.approx((11.0, np.nan, np.nan), nan_ok=True)
