"""Intervals: of bootstrap draws, with rank probabilities and comparisons, and of shares of counted cases.

All functions take draws along the first axis. A draw may be infinite, such as what a customer costs where there is
none: it lies beyond all others. Of a draw that is not a number nothing is known: it counts as the lowest for the lower
end and as the highest for the upper, so that a few of them widen an interval, and more leave an end unknown (NaN).

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 14.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

Floats = NDArray[np.float64]

_ROUNDING = 1e-9
"""A position as near to a draw as this is that draw: next to it may be an infinite one."""

# ---------------------------------------------------------------- bootstrap draws


def divide_draws(amount: Floats, by: Floats) -> Floats:
    """Amount ÷ ``by``, draw by draw: +∞ where an amount above 0 comes to nothing (≤ 0), NaN where both are nothing.

    What a customer costs is infinite in a draw with costs and no customer; the average value of none is unknown.

    Examples
    --------
    >>> divide_draws(np.array([10.0, 10.0, 0.0]), np.array([4.0, 0.0, 0.0])).tolist()
    [2.5, inf, nan]
    """
    empty = np.where(amount > 0, np.inf, np.nan)
    return np.divide(amount, by, out=empty, where=by > 0)


def percentile(draws: Floats, level: float) -> Floats:
    """(2, …) ends of the interval that holds the middle ``level`` of ``draws`` (n, …).

    Up to (1 − level) ÷ 2 of the draws may be infinite or unknown, and both ends are finite.

    Examples
    --------
    >>> percentile(np.arange(101.0), 0.9).round(9).tolist()
    [5.0, 95.0]
    >>> percentile(np.append(np.arange(96.0), np.full(5, np.inf)), 0.9).round(9).tolist()
    [5.0, 95.0]
    """
    shares = [(1 - level) / 2, (1 + level) / 2]
    is_open = ~np.isfinite(draws).all(axis=0)
    if not is_open.any():
        return np.quantile(draws, shares, axis=0)
    ends = np.quantile(np.where(is_open, 0.0, draws), shares, axis=0)
    last = len(draws) - 1
    open_ends = [
        _value_at(_worst_case(draws, side), np.full(is_open.shape, share * last))
        for side, share in zip((-np.inf, np.inf), shares, strict=True)
    ]
    return np.where(is_open, _know_ends(draws, open_ends), ends)


def bca(draws: Floats, estimate: Floats, jackknife: Floats, level: float) -> Floats:
    """(2, …) ends of the bias-corrected and accelerated interval.

    Parameters
    ----------
    draws : (n, …) bootstrap draws
    estimate : (…) value of all data
    jackknife : (m, …) values with one group left out at a time; where one is infinite or unknown, the interval is
        corrected for bias alone
    level : nominal coverage

    Notes
    -----
    With draws that are all one number the interval is that number.
    """
    acceleration, points = _acceleration(jackknife), ndtri([(1 - level) / 2, (1 + level) / 2])
    # Unknown draws move the correction for bias as well: whichever side they lie on, both ends hold.
    lowest, highest = (
        [_bca_end(_worst_case(draws, side), estimate, acceleration, z) for z in points] for side in (-np.inf, np.inf)
    )
    ends = [np.minimum(lowest[0], highest[0]), np.maximum(lowest[1], highest[1])]
    return np.where(np.isnan(estimate), np.nan, _know_ends(draws, ends))


def _acceleration(jackknife: Floats) -> Floats:
    values = np.where(np.isfinite(jackknife).all(axis=0), jackknife, 0.0)
    away = values.mean(axis=0) - values
    spread = (away**2).sum(axis=0) ** 1.5
    result: Floats = np.divide((away**3).sum(axis=0), 6 * spread, out=np.zeros_like(spread), where=spread > 0)
    return result


def _bca_end(draws: Floats, estimate: Floats, acceleration: Floats, z: float) -> Floats:
    n = len(draws)
    below = (draws < estimate).sum(axis=0) + 0.5 * (draws == estimate).sum(axis=0)
    bias = ndtri(np.clip(below / n, 0.5 / n, 1 - 0.5 / n))
    share = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    return _value_at(draws, np.clip(share * (n - 1), 0, n - 1))


def _worst_case(draws: Floats, side: float) -> Floats:
    """Draws with those that are not known at one end."""
    return np.where(np.isnan(draws), side, draws)


def _value_at(draws: Floats, position: Floats) -> Floats:
    """(…) what stands at a position (…) from 0 in the order of ``draws`` (n, …), between two of them in proportion.

    Anywhere between a finite draw and an infinite one it is infinite.
    """
    ordered = np.sort(draws, axis=0)
    low = np.floor(position).astype(np.int64)[None]
    high = np.minimum(low + 1, len(draws) - 1)
    below, above = np.take_along_axis(ordered, low, 0)[0], np.take_along_axis(ordered, high, 0)[0]
    weight = position - low[0]
    is_finite = np.isfinite(below) & np.isfinite(above)
    between = np.where(np.isneginf(below), below, above)
    beside = np.where(weight < _ROUNDING, below, np.where(weight > 1 - _ROUNDING, above, between))
    step = np.subtract(above, below, out=np.zeros_like(above), where=is_finite)
    result: Floats = np.where(is_finite, below + step * weight, beside)
    return result


def _know_ends(draws: Floats, ends: Sequence[Floats]) -> Floats:
    """Ends (2, …) without those that are infinite only because too many draws are unknown."""
    low, high = ends
    low = np.where(np.isneginf(low) & ~np.isneginf(draws).any(axis=0), np.nan, low)
    high = np.where(np.isposinf(high) & ~np.isposinf(draws).any(axis=0), np.nan, high)
    return np.array([low, high])


def descending_ranks(scores: Floats) -> Floats:
    """(n, channels) rank of each score within its row: 1 is the highest, ties share their average.

    Examples
    --------
    >>> descending_ranks(np.array([[1.0, 3.0, 1.0]])).tolist()
    [[2.5, 1.0, 2.5]]
    """
    return np.asarray(rankdata(-scores, method="average", axis=1))


def rank_probabilities(scores: Floats) -> Floats:
    """(channels, channels) share of rows in which channel c has rank r + 1; ties share their ranks evenly.

    A row with a score that is not known has no ranks: shares are of the others, and NaN where there are none.

    Examples
    --------
    >>> rank_probabilities(np.array([[1.0, 2.0], [2.0, 2.0]])).tolist()
    [[0.25, 0.75], [0.75, 0.25]]
    """
    channels = scores.shape[1]
    scores = scores[~np.isnan(scores).any(axis=1)]
    if not len(scores):
        return np.full((channels, channels), np.nan)
    first = rankdata(-scores, method="min", axis=1)
    last = rankdata(-scores, method="max", axis=1)
    # Rank by rank: of many draws and channels an array over all three would be large.
    ranks = range(1, channels + 1)
    shares = [(((first <= r) & (r <= last)) / (last - first + 1)).mean(axis=0) for r in ranks]
    return np.array(shares).reshape(channels, channels).T


# ---------------------------------------------------------------- shares of counted cases, also few


def probability_above(differences: Floats) -> Floats:
    """(…) share of ``differences`` (n, …) above 0, ties counted half; of those that are known.

    Examples
    --------
    >>> probability_above(np.array([1.0, 0.0, -1.0, 2.0, np.nan])).item()
    0.625
    """
    is_known = ~np.isnan(differences)
    above = np.where(is_known, (np.sign(np.nan_to_num(differences)) + 1) / 2, 0.0).sum(axis=0)
    count = is_known.sum(axis=0)
    return np.asarray(np.divide(above, count, out=np.full(above.shape, np.nan), where=count > 0))


def wilson_interval(hits: Floats, cases: Floats, level: float) -> tuple[Floats, Floats]:
    """The score interval of a share; NaN where there is no case.

    Parameters
    ----------
    hits, cases : (n,) counts, hits ≤ cases
    level : nominal coverage

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Examples
    --------
    >>> low, high = wilson_interval(np.array([5.0]), np.array([10.0]), 0.95)
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.2366, 0.7634)
    """
    z = float(ndtri(0.5 + level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(cases > 0, hits / cases, np.nan)
        middle = (share + z * z / (2 * cases)) / (1 + z * z / cases)
        half = z / (1 + z * z / cases) * np.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)


def difference_interval(
    hits: Floats, cases: Floats, other_hits: Floats, other_cases: Floats, level: float
) -> tuple[Floats, Floats]:
    """Newcombe's interval of the first share minus the other, from the score intervals of both.

    References
    ----------
    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17 (1998), method 10.

    Examples
    --------
    >>> low, high = difference_interval(*(np.array([x]) for x in (56.0, 70.0, 48.0, 80.0)), 0.95)
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.0524, 0.3339)
    """
    (low, high), (other_low, other_high) = (
        wilson_interval(some, of, level) for some, of in ((hits, cases), (other_hits, other_cases))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share, other = hits / cases, other_hits / other_cases
    apart = share - other
    below = np.sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = np.sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return apart - below, apart + above


def weighted_wilson(hits: NDArray[np.bool_], weight: Floats, level: float) -> tuple[float, float]:
    """The score interval of a share of cases that count in part; NaN where nothing counts.

    As many whole cases as bring the same variance, (Σ w)² ÷ Σ w², stand in for them. With weights of 0 and 1 it is
    `wilson_interval`. Weights are taken as given.

    Parameters
    ----------
    hits : (cases,) which of them are
    weight : (cases,) ≥ 0, how much each counts
    level : nominal coverage

    References
    ----------
    L. Kish, "Survey Sampling", Wiley 1965 (the effective number of cases).

    Examples
    --------
    Ten cases that count by half are as sure as ten whole ones.

    >>> low, high = weighted_wilson(np.arange(10) < 5, np.full(10, 0.5), 0.95)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)
    """
    total = weight.sum()
    if not total > 0:
        return float("nan"), float("nan")
    cases = total**2 / (weight**2).sum()
    share = min(weight[hits].sum() / total, 1.0)
    low, high = wilson_interval(np.array([share * cases]), np.array([cases]), level)
    return float(low[0]), float(high[0])
