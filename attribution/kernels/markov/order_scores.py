"""How well chains of different orders foretell journeys they have not seen.

References
----------
.. [1] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone, "Classification and Regression Trees", 1984, chapter 3
   (the rule of one standard error).
.. [2] R. W. Katz, "On some criteria for estimating the order of a Markov chain", Technometrics 23(3), 1981.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.markov.chains import CONVERSION, NULL, Frame

Floats = NDArray[np.float64]

SMOOTHING = 0.5
"""Added to the count of every step a state could be left by."""


class OrderScore(NamedTuple):
    """``log_loss`` and ``auc`` (folds,), NaN where a fold has nothing to score; the rest of all journeys."""

    log_loss: Floats
    auc: Floats
    aic: float
    bic: float
    states: int


def score_order(joined: Frame, counts: Floats, choices: int) -> OrderScore:
    """Scores of one order, each fold foretold from the others.

    Parameters
    ----------
    joined : the states
    counts : (steps, folds) how often each step was taken
    choices : by how many steps a state could be left: channels, conversion and null

    Examples
    --------
    >>> joined = Frame(np.array([0, 1, 1]), np.array([1, -1, -2]), np.array([], int), np.array([-1, 0]))
    >>> score_order(joined, np.array([[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]]), choices=3).log_loss.round(4).tolist()
    [0.5919, 0.5919]
    """
    states = len(joined.member)
    total = counts.sum(axis=1)
    rest = total[:, None] - counts
    leaving = _by_state(joined.origin, rest, states)[joined.origin]
    surprise = -np.log((rest + SMOOTHING) / (leaving + SMOOTHING * choices))
    size = counts.sum(axis=0)
    log_loss = np.divide((counts * surprise).sum(axis=0), size, out=np.full(len(size), np.nan), where=size > 0)
    ends = [_by_state(joined.origin[joined.target == end], counts[joined.target == end], states) for end in _ENDS]
    auc = np.array([_held_out_auc(ends, fold) for fold in range(len(size))])
    return OrderScore(log_loss, auc, *_criteria(joined, total), states)


def smallest_good_order(log_loss: Floats) -> tuple[int, Floats]:
    """The first row of ``log_loss`` (orders, folds) within one standard error of the best, and those errors.

    Folds differ from one another far more than orders do in one fold, so that the error is of the difference to the
    best order, fold by fold.

    Examples
    --------
    >>> place, errors = smallest_good_order(np.array([[0.9, 0.8], [0.5, 0.62], [0.52, 0.58]]))
    >>> place, errors.round(3).tolist()
    (1, [0.08, 0.03, 0.0])
    """
    scored = log_loss[:, ~np.isnan(log_loss).any(axis=0)]
    folds = scored.shape[1]
    if folds == 0:
        return 0, np.full(len(log_loss), np.nan)
    means = scored.mean(axis=1)
    behind = scored - scored[np.argmin(means)]
    errors = behind.std(axis=1, ddof=1) / np.sqrt(folds) if folds > 1 else np.zeros(len(log_loss))
    return int(np.argmax(behind.mean(axis=1) <= errors)), errors


_ENDS = (CONVERSION, NULL)


def _by_state(origin: NDArray[np.int64], counts: Floats, states: int) -> Floats:
    """(states, folds) sums of ``counts`` (steps, folds)."""
    return np.stack([np.bincount(origin, column, minlength=states) for column in counts.T], axis=1)


def _held_out_auc(ends: list[Floats], fold: int) -> float:
    """How often a conversion ranks above a null by what the other folds' journeys did in their last state.

    ``ends``: conversions and nulls of all folds, (states, folds) each.
    """
    conversions, nulls = (end[:, fold] for end in ends)
    pairs = conversions.sum() * nulls.sum()
    if pairs == 0:
        return np.nan
    converted = ends[0].sum(axis=1) - conversions + SMOOTHING
    score = converted / (converted + ends[1].sum(axis=1) - nulls + SMOOTHING)
    _, rank = np.unique(score, return_inverse=True)
    above, below = (np.bincount(rank, weight) for weight in (conversions, nulls))
    return float((above * (np.cumsum(below) - below / 2)).sum() / pairs)


def _criteria(joined: Frame, total: Floats) -> tuple[float, float]:
    """AIC and BIC of the chain fitted on everything."""
    taken = total > 0
    origin = joined.origin[taken]
    leaving = np.bincount(origin, total[taken])
    likelihood = float((total[taken] * np.log(total[taken] / leaving[origin])).sum())
    parameters = len(origin) - np.count_nonzero(leaving)
    return -2 * likelihood + 2 * parameters, -2 * likelihood + parameters * float(np.log(max(total.sum(), 1.0)))
