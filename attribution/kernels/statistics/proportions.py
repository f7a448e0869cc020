"""Shares of counted cases, and how far two of them differ, with intervals that hold for small counts too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]


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
