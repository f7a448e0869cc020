"""How many cases end in which way, while some of them have not ended yet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STILL_OPEN, MOVED, LOST = 0, 1, 2
"""How the observation of a case ends: with the data, with what is looked for, or with what rules it out."""


class Incidence(NamedTuple):
    """Step functions of age: ``moved`` and ``remaining`` (times,) hold from each of ``times`` (times,) on.

    ``moved`` is the share of cases that have moved on by then, ``remaining`` the share still open. ``cases`` is how
    many cases without a censored one would bring the variance of ``final``; 0 where no outcome is known.
    """

    times: Floats
    moved: Floats
    remaining: Floats
    cases: float

    @property
    def final(self) -> float:
        """Share that moves on in the end, as far as the data go; NaN without cases."""
        return float(self.moved[-1]) if len(self.moved) else float("nan")

    @property
    def median(self) -> float:
        """Age by which half of all cases have moved on; NaN where fewer ever do, as far as the data go."""
        is_half = self.moved >= 0.5 - 1e-9
        return float(self.times[np.argmax(is_half)]) if is_half.any() else float("nan")

    def still_to_move(self, ages: Floats) -> Floats:
        """(n,) probability that a case open at each of ``ages`` (n,) moves on later."""
        index = np.searchsorted(self.times, ages, side="right")
        moved, remaining = np.append(0.0, self.moved)[index], np.append(1.0, self.remaining)[index]
        ahead = (self.moved[-1] if len(self.moved) else 0.0) - moved
        result: Floats = np.divide(ahead, remaining, out=np.zeros_like(ahead), where=remaining > 1e-12).clip(0.0, 1.0)
        return result


def cumulative_incidence(duration: Floats, outcome: NDArray[np.integer], weight: Floats | None = None) -> Incidence:
    """The Aalen–Johansen estimate for two ways out of one state; Kaplan–Meier where nothing is lost.

    A case that is still open when the data end is neither moved nor lost: it counts as at risk up to its age.

    Parameters
    ----------
    duration : (cases,) ≥ 0, from arrival to the outcome, or to the end of the data
    outcome : (cases,) `STILL_OPEN`, `MOVED` or `LOST`; at one age, outcomes come before the end of the data
    weight : (cases,) ≥ 0, how much of a case counts; all whole unless given

    Its variance is the one of Greenwood's type, and weights count as Kish's effective number of cases.

    References
    ----------
    O. O. Aalen, S. Johansen, "An empirical transition matrix for non-homogeneous Markov chains based on censored
    observations", Scandinavian Journal of Statistics 5 (1978); E. Marubini, M. G. Valsecchi, "Analysing Survival Data
    from Clinical Trials and Observational Studies", Wiley 1995, chapter 10 (the variance).

    Examples
    --------
    Two of four move on; one of the others is open at an age at which half of the rest have moved.

    >>> found = cumulative_incidence(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 1, 0]))
    >>> found.times.tolist(), found.moved.tolist()
    ([1.0, 3.0], [0.25, 0.625])
    """
    weights = np.ones(len(duration)) if weight is None else weight
    times, index = np.unique(duration, return_inverse=True)
    size = len(times)
    total = np.bincount(index, weights=weights, minlength=size).astype(np.float64)
    at_risk = np.cumsum(total[::-1])[::-1]
    moved, lost = (
        np.bincount(index[outcome == way], weights=weights[outcome == way], minlength=size).astype(np.float64)
        for way in (MOVED, LOST)
    )
    share = np.divide(moved + lost, at_risk, out=np.zeros(size), where=at_risk > 0).clip(0.0, 1.0)
    remaining = np.cumprod(1.0 - share, dtype=np.float64)
    before = np.append(1.0, remaining)[:-1]
    rate = np.divide(moved, at_risk, out=np.zeros(size), where=at_risk > 0)
    has_events = (moved > 0) | (lost > 0)
    # Where nothing ever happens there is one step of height 0, so that cases without an outcome have a share.
    has_events |= (~has_events.any()) & (np.arange(size) == 0)
    incidence = np.cumsum(before * rate, dtype=np.float64)
    # How many cases weights are worth, per unit of weight.
    worth = float(weights.sum() / (weights**2).sum()) if weights.any() else 0.0
    cases = worth * _cases_without_censoring(incidence, before, at_risk, moved, lost)
    return Incidence(times[has_events], incidence[has_events], remaining[has_events], cases)


def _cases_without_censoring(incidence: Floats, before: Floats, at_risk: Floats, moved: Floats, lost: Floats) -> float:
    """As many whole cases, none of them open, as bring the variance of the last value of ``incidence``."""
    final, ended = float(incidence[-1]) if len(incidence) else 0.0, moved + lost
    # Nothing happens where nobody is at risk: cases that weigh nothing.
    at_risk = np.where(at_risk > 0, at_risk, 1.0)
    decided = float(ended.sum())
    if not 1e-12 < final < 1 - 1e-12:
        return decided
    ahead, left = final - incidence, at_risk - ended
    # Where nobody is left, nothing is ahead.
    all_ways = np.divide(ended, at_risk * left, out=np.zeros_like(left), where=left > 1e-9 * at_risk)
    own = before**2 * (at_risk - moved) * moved / at_risk**3
    both = ahead * before * moved / at_risk**2
    variance = float((ahead**2 * all_ways + own - 2 * both).sum())
    return final * (1 - final) / variance if variance > 0 else decided


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value that half of the weight lies below; between two values in the middle, their mean. NaN without any.

    Examples
    --------
    >>> weighted_median(np.array([5.0, 1.0, 3.0, 9.0]), np.ones(4))
    4.0
    """
    is_positive = weights > 0
    order = np.argsort(values[is_positive], kind="stable")
    ordered, cumulated = values[is_positive][order], np.cumsum(weights[is_positive][order])
    if not len(ordered):
        return float("nan")
    half = cumulated[-1] / 2
    tolerance = 1e-9 * cumulated[-1]
    low = ordered[np.searchsorted(cumulated, half - tolerance)]
    high = ordered[min(int(np.searchsorted(cumulated, half + tolerance)), len(ordered) - 1)]
    return float((low + high) / 2)
