"""Effects of tests: from counts of two arms, a reported lift or regions to an effect, its error and its ratios."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

SPEND_ERROR = 0.2
"""Error of an effect, as a share of it, for each factor e between today's spend and that of the test."""


class Estimate(NamedTuple):
    """An effect with its standard error; ``degrees`` of freedom of its t distribution, infinite where it is normal."""

    effect: float
    standard_error: float
    degrees: float = np.inf


class Interval(NamedTuple):
    """A number with both ends of its interval."""

    middle: float
    low: float
    high: float


def difference_of_rates(conversions: ArrayLike, customers: ArrayLike, population: float) -> Estimate:
    """Conversions that treatment causes among ``population`` customers.

    Parameters
    ----------
    conversions, customers : of test and control, shape (2,)
    population : customers that the effect is of

    Examples
    --------
    >>> [round(part, 4) for part in difference_of_rates([2800, 640], [80_000, 20_000], 100_000)[:2]]
    [300.0, 140.3919]
    """
    rates, variances = _rates(conversions, customers)
    return Estimate(float(population * (rates[0] - rates[1])), float(population * np.sqrt(variances.sum())))


def difference_of_means(totals: ArrayLike, deviations: ArrayLike, customers: ArrayLike, population: float) -> Estimate:
    """Value that treatment causes among ``population`` customers.

    Parameters
    ----------
    totals, customers : value and customers of test and control, shape (2,)
    deviations : standard deviations of value per customer, shape (2,)
    population : customers that the effect is of
    """
    n = np.asarray(customers, dtype=float)
    means = np.asarray(totals, dtype=float) / n
    error = np.sqrt((np.asarray(deviations, dtype=float) ** 2 / n).sum())
    return Estimate(float(population * (means[0] - means[1])), float(population * error))


def lift_of_rates(conversions: ArrayLike, customers: ArrayLike, level: float) -> Interval:
    """Rate of test ÷ rate of control − 1, with Fieller's interval: it holds 0 where that of the difference does.

    An end is NaN where the interval has none, because the control's rate may be 0.
    """
    (p1, p0), (v1, v0) = _rates(conversions, customers)
    if p0 == 0:
        return Interval(np.nan, np.nan, np.nan)
    z2 = stats.norm.ppf(0.5 + level / 2) ** 2
    a, b, c = p0**2 - z2 * v0, p1 * p0, p1**2 - z2 * v1
    if a <= 0:
        return Interval(p1 / p0 - 1, np.nan, np.nan)
    root = np.sqrt(max(b**2 - a * c, 0.0))
    # No rate is negative, so no ratio of two is.
    return Interval(p1 / p0 - 1, max((b - root) / a, 0.0) - 1, (b + root) / a - 1)


def effect_of_lift(conversions: float, lift: Interval, level: float) -> Estimate:
    """Conversions that caused a reported lift.

    Parameters
    ----------
    conversions : of the test arm
    lift : rate of test ÷ rate of control − 1, with its interval
    level : coverage of the interval

    Examples
    --------
    >>> [round(part, 4) for part in effect_of_lift(5600, Interval(0.12, 0.04, 0.21), 0.9)[:2]]
    [600.0, 230.1111]
    """
    width = np.log1p(lift.high) - np.log1p(lift.low)
    # Of 1 − 1/(1 + L), in which the logarithm of 1 + L is normal.
    error = conversions / (1 + lift.middle) * width / (2 * stats.norm.ppf(0.5 + level / 2))
    return Estimate(conversions * lift.middle / (1 + lift.middle), float(error))


def difference_in_regions(before: ArrayLike, during: ArrayLike, is_test: ArrayLike, population: float) -> Estimate:
    """Effect of a geo test: regions are the units, adjusted for their own rates before, with HC2 errors.

    Parameters
    ----------
    before, during : conversions per head in each region, shape (regions,)
    is_test : which regions were treated, shape (regions,)
    population : heads that the effect is of

    References
    ----------
    MacKinnon and White (1985), "Some heteroskedasticity-consistent covariance matrix estimators …".
    """
    a, b = np.asarray(before, dtype=float), np.asarray(during, dtype=float)
    design = np.column_stack([np.ones(len(a)), np.asarray(is_test, dtype=float), a - a.mean()])
    inverse = np.linalg.pinv(design)
    coefficients = inverse @ b
    leverage = np.einsum("ij,ji->i", design, inverse)
    residuals = b - design @ coefficients
    # A region that alone decides a coefficient has no residual to learn from.
    spread = np.divide(residuals**2, 1 - leverage, out=np.zeros_like(residuals), where=leverage < 1 - 1e-9)
    error = np.sqrt((inverse[1] ** 2 * spread).sum())
    return Estimate(float(population * coefficients[1]), float(population * error), float(len(a) - 3))


def interval(estimate: Estimate, level: float) -> Interval:
    """The effect with both ends of its interval."""
    reach = float(stats.t.ppf(0.5 + level / 2, estimate.degrees)) * estimate.standard_error
    return Interval(estimate.effect, estimate.effect - reach, estimate.effect + reach)


def error_of_interval(low: float, high: float, level: float) -> float:
    """Standard error that an interval of a normal estimate implies."""
    return float((high - low) / (2 * stats.norm.ppf(0.5 + level / 2)))


def normal_error(estimate: Estimate, level: float) -> float:
    """Standard error of a normal estimate whose interval is as wide as this one's."""
    if np.isinf(estimate.degrees):
        return estimate.standard_error
    ratio = stats.t.ppf(0.5 + level / 2, estimate.degrees) / stats.norm.ppf(0.5 + level / 2)
    return float(estimate.standard_error * ratio)


def cost_per_effect(spend: float, effect: Interval) -> Interval:
    """What one conversion more costs; infinite where there may be none.

    Examples
    --------
    >>> cost_per_effect(9000, Interval(100, -50, 250))
    Interval(middle=90.0, low=36.0, high=inf)
    """
    return Interval(*(spend / each if each > 0 else np.inf for each in (effect.middle, effect.high, effect.low)))


def return_on_spend(spend: float, value: Interval) -> Interval:
    """Value that each unit of spend causes."""
    return Interval(*(each / spend for each in value))


def scale_to_period(estimate: Estimate, factor: float, *, drift: float = 0.0, spend_ratio: float = 1.0) -> Estimate:
    """The effect in another period, and how much less sure it is there.

    Parameters
    ----------
    estimate : in the days of the test
    factor : how many times as many exposures, or as much spend, the period has
    drift : error from what changes between two periods, as a share of the effect
    spend_ratio : spend per day in the period ÷ that in the test
    """
    effect, error = estimate.effect * factor, estimate.standard_error * factor
    further = (drift * max(effect, 0.0), math.log(spend_ratio) * SPEND_ERROR * effect)
    return Estimate(effect, math.hypot(error, *further), estimate.degrees)


def ratio_mismatch(counts: ArrayLike, planned: ArrayLike) -> float:
    """Probability that chance alone departs so far from the planned sizes of arms: chi², one degree of freedom.

    Parameters
    ----------
    counts : customers of test and control, shape (2,)
    planned : their planned shares, shape (2,)
    """
    sizes = np.asarray(counts, dtype=float)
    expected = sizes.sum() * np.asarray(planned, dtype=float)
    return float(stats.chi2.sf(((sizes - expected) ** 2 / expected).sum(), 1))


def shares_mismatch(parts: ArrayLike, customers: ArrayLike) -> float:
    """Probability that chance alone lets the share of ``parts`` differ so much between test and control: chi²."""
    k, n = np.asarray(parts, dtype=float), np.asarray(customers, dtype=float)
    share = k.sum() / n.sum()
    if not 0 < share < 1:
        return 1.0
    return float(stats.chi2.sf(((k / n - share) ** 2 * n / (share * (1 - share))).sum(), 1))


def differ_by_chance(lifts: ArrayLike, errors: ArrayLike) -> float:
    """Probability that effects differ so much if all are one: Cochran's Q.

    Parameters
    ----------
    lifts, errors : effects on one scale and their standard errors, shape (parts,)
    """
    effects, weights = np.asarray(lifts, dtype=float), 1 / np.asarray(errors, dtype=float) ** 2
    centre = (weights * effects).sum() / weights.sum()
    return float(stats.chi2.sf((weights * (effects - centre) ** 2).sum(), len(effects) - 1))


def _rates(conversions: ArrayLike, customers: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates of both arms, and their variances."""
    n = np.asarray(customers, dtype=float)
    rates = np.asarray(conversions, dtype=float) / n
    return rates, rates * (1 - rates) / n
