"""What counts of days to come would be if those days were like the days before, and which counts chance explains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

WEEK = 7
FEWEST_DAYS = 14
"""Fewer days before tell neither what a weekday brings nor how much days differ."""

_FEWEST_EXPECTED = 20.0
"""Rarer things come in bursts of which so few days tell nothing: no count of them is too large."""


class UsualCounts(NamedTuple):
    """What a stretch of days would hold, by channel.

    Attributes
    ----------
    expected : (…, channels) what its own days lead one to expect of each channel
    low, high : (…, channels) what small and large counts are held against: other channels count, too
    lowest, highest : (…, channels) the smallest and the largest whole count that chance explains; 0 where none is
        too small, infinite where none is too large
    """

    expected: Floats
    low: Floats
    high: Floats
    lowest: Floats
    highest: Floats


def usual_counts(before: Floats, during: Floats, *, level: float) -> UsualCounts:
    """What ``during`` would add up to if its days were like those ``before``.

    Each weekday has its own mean. A count is gamma-Poisson: counts of ``before`` scatter around the means of their
    weekdays as Poisson counts do, or more, and how much more is estimated, which makes tails as heavy as those of
    Student's t. The means are estimates, too [1]_.

    A day on which all channels are low is a quiet day, and no channel is missing then: a small count is held against
    what the other channels lead one to expect, where that is less, and a large one where that is more.

    Parameters
    ----------
    before : (days, …, channels) counts of days that follow each other, at least `FEWEST_DAYS`
    during : (length, …, channels) counts of the days right after them
    level : probability that a channel by itself is below the lowest, and that it is above the highest, though nothing
        has changed

    References
    ----------
    .. [1] C. Krishnamoorthy, J. Thomson, "A more powerful test for comparing two Poisson means", Journal of
       Statistical Planning and Inference 119, 2004; P. McCullagh, J. A. Nelder, "Generalized Linear Models", 1989,
       section 6.2, on dispersion.

    Examples
    --------
    >>> before = np.array([[100.0, 50.0], [98.0, 47.0], [103.0, 55.0], [95.0, 49.0], [102.0, 51.0], [40.0, 20.0],
    ...                    [38.0, 19.0]] * 4)
    >>> usual = usual_counts(before, np.array([[100.0, 0.0]]), level=1e-4)
    >>> usual.low.tolist(), usual.lowest.tolist()
    ([0.0, 50.0], [0.0, 19.0])
    """
    days = len(before)
    sums = np.stack([before[weekday::WEEK].sum(axis=0) for weekday in range(WEEK)])
    times = np.bincount(np.arange(days) % WEEK, minlength=WEEK)
    ahead = np.bincount((days + np.arange(len(during))) % WEEK, minlength=WEEK)
    means = sums / _along(times, sums)
    expected = (means * _along(ahead, means)).sum(axis=0)
    variance_of_mean = (sums * _along((ahead / times) ** 2, sums)).sum(axis=0)
    scatter = _scatter(before, means) * _widening(days - WEEK, level)
    # So many counts tell what is expected.
    weight = np.divide(expected**2, variance_of_mean, out=np.zeros_like(expected), where=variance_of_mean > 0)
    low, high = _both_expectations(expected, during.sum(axis=0))
    lowest, highest = _bounds((low, high), weight, scatter, level)
    return UsualCounts(expected, low, high, lowest, highest)


def highest_share(total: float, share: float, level: float) -> float:
    """The largest share of ``total`` that chance explains if the true one is ``share``, each by itself.

    Parameters
    ----------
    total : how many there are
    share : how many of them are expected to be of the kind in question, as a share
    level : probability of more

    Examples
    --------
    >>> highest_share(100, 0.2, 0.001), highest_share(10, 0.2, 0.001)
    (0.33, 0.6)
    """
    if total <= 0 or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    return float(np.ceil(special.bdtrik(1.0 - level, total, share)) / total)


def _along(values: Floats | NDArray[np.int64], like: Floats) -> Floats:
    """(7,) values for the first axis of ``like``."""
    result: Floats = values.astype(np.float64).reshape(-1, *[1] * (like.ndim - 1))
    return result


def _scatter(before: Floats, means: Floats) -> Floats:
    """(…, channels) Pearson's dispersion: 1 where counts scatter as Poisson counts do, or less."""
    every = means[np.arange(len(before)) % WEEK]
    off = np.divide((before - every) ** 2, every, out=np.zeros_like(every), where=every > 0)
    result: Floats = np.maximum(off.sum(axis=0) / (len(before) - WEEK), 1.0)
    return result


def _widening(freedom: int, level: float) -> float:
    """By how much a dispersion that is an estimate counts for more at ``level``."""
    return float((special.stdtrit(freedom, level) / special.ndtri(level)) ** 2)


def _both_expectations(expected: Floats, observed: Floats) -> tuple[Floats, Floats]:
    """By a channel's own days and by the other channels: the smaller one, and the larger one."""
    rest_expected = expected.sum(axis=-1, keepdims=True) - expected
    rest = observed.sum(axis=-1, keepdims=True) - observed
    # One channel alone has no others.
    ratio = np.divide(rest, rest_expected, out=np.ones_like(expected), where=rest_expected > 0)
    by_rest = expected * ratio
    return np.minimum(expected, by_rest), np.maximum(expected, by_rest)


def _bounds(expected: tuple[Floats, Floats], weight: Floats, scatter: Floats, level: float) -> tuple[Floats, Floats]:
    """The smallest and the largest count that chance explains."""
    shape = np.divide(weight, scatter)
    has_any = shape > 0
    safe = np.where(has_any, shape, 1.0)
    chances = [np.where(has_any, weight / np.where(has_any, weight + each, 1.0), 0.5) for each in expected]
    # A count of 0 is as unlikely as this; where that is likely enough, none is too small.
    is_telling = has_any & (chances[0] ** safe <= level)
    at_most = scatter * special.nbdtrik(level, safe, chances[0])
    at_least = scatter * (special.nbdtrik(1.0 - level, safe, chances[1]) + 1.0)
    lowest = np.where(is_telling, np.floor(at_most) + 1.0, 0.0)
    return lowest, np.where(has_any & (expected[1] >= _FEWEST_EXPECTED), np.ceil(at_least) - 1.0, np.inf)
