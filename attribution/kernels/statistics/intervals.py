"""Intervals, rank probabilities and comparisons from bootstrap draws.

All functions take draws along the first axis. What is not a number stays so, and an interval of draws one of which is
none has no ends.

References
----------
.. [1] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 14.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def percentile(draws: Floats, level: float) -> Floats:
    """(2, …) ends of the interval that holds the middle ``level`` of ``draws`` (n, …).

    Examples
    --------
    >>> percentile(np.arange(101.0), 0.9).round(9).tolist()
    [5.0, 95.0]
    """
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)


def bca(draws: Floats, estimate: Floats, jackknife: Floats, level: float) -> Floats:
    """(2, …) ends of the bias-corrected and accelerated interval.

    Parameters
    ----------
    draws : (n, …) bootstrap draws
    estimate : (…) value of all data
    jackknife : (m, …) values with one group left out at a time
    level : nominal coverage

    Notes
    -----
    With draws that are all one number the interval is that number.
    """
    n = len(draws)
    below = (draws < estimate).sum(axis=0) + 0.5 * (draws == estimate).sum(axis=0)
    bias = ndtri(np.clip(below / n, 0.5 / n, 1 - 0.5 / n))
    away = jackknife.mean(axis=0) - jackknife
    spread = (away**2).sum(axis=0) ** 1.5
    acceleration = np.divide((away**3).sum(axis=0), 6 * spread, out=np.zeros_like(spread), where=spread > 0)
    ends = []
    ordered = np.sort(draws, axis=0)
    for z in ndtri([(1 - level) / 2, (1 + level) / 2]):
        share = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
        place = np.clip(share * (n - 1), 0, n - 1)
        low = np.floor(np.nan_to_num(place)).astype(np.int64)[None]
        high = np.minimum(low + 1, n - 1)
        at_low, at_high = np.take_along_axis(ordered, low, 0)[0], np.take_along_axis(ordered, high, 0)[0]
        ends.append(at_low + (at_high - at_low) * (place - low[0]))
    # Sorting has put what is not a number at the upper end.
    return np.where(np.isnan(draws).any(axis=0), np.nan, ends)


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

    Examples
    --------
    >>> rank_probabilities(np.array([[1.0, 2.0], [2.0, 2.0]])).tolist()
    [[0.25, 0.75], [0.75, 0.25]]
    """
    first = rankdata(-scores, method="min", axis=1)
    last = rankdata(-scores, method="max", axis=1)
    # Rank by rank: of many draws and channels an array over all three would be large.
    channels = scores.shape[1]
    ranks = range(1, channels + 1)
    found = [(((first <= r) & (r <= last)) / (last - first + 1)).mean(axis=0) for r in ranks]
    return np.array(found).reshape(channels, channels).T


def probabilities_above(scores: Floats) -> Floats:
    """(channels, channels) share of rows in which channel c scores higher than d, ties counting half.

    Examples
    --------
    >>> probabilities_above(np.array([[1.0, 2.0], [2.0, 2.0]])).tolist()
    [[0.5, 0.25], [0.75, 0.5]]
    """
    found = [((a > scores) + 0.5 * (a == scores)).mean(axis=0) for a in scores.T[:, :, None]]
    return np.array(found).reshape(scores.shape[1], scores.shape[1])
