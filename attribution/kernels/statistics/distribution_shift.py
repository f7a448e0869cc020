"""How far two distributions lie apart, and how far days of one law do by chance."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.statistics.draws import draw_words, uniform

Floats = NDArray[np.float64]

SMALLEST = 1e-4
"""A share below this counts as this: what was never seen is rare, and not impossible."""


def psi_terms(amounts: Floats, standard: Floats) -> Floats:
    """(…, bins) what each bin adds to the population stability index of ``amounts`` and ``standard``, (…, bins) each.

    Amounts are made shares; where there are none at all, nothing is known to have moved.

    References
    ----------
    .. [1] B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", Journal of Risk Model
       Validation 14(4), 2020.

    Examples
    --------
    >>> psi_terms(np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([1.0, 1.0])).sum(axis=-1).round(6).tolist()
    [0.274653, 0.0]
    """
    shares, expected = to_shares(amounts), to_shares(standard)
    has_amounts = (shares.sum(axis=-1, keepdims=True) > 0) & (expected.sum(axis=-1, keepdims=True) > 0)
    shares, expected = np.maximum(shares, SMALLEST), np.maximum(expected, SMALLEST)
    return np.where(has_amounts, (shares - expected) * np.log(shares / expected), 0.0)


def to_shares(amounts: Floats) -> Floats:
    """(…, bins) amounts ÷ their sum; all 0 where that is 0."""
    whole = amounts.sum(axis=-1, keepdims=True)
    result: Floats = np.divide(amounts, whole, out=np.zeros_like(amounts), where=whole > 0)
    return result


def count_splits(kinds: NDArray[np.int64], is_recent: NDArray[np.bool_]) -> int:
    """How many ways there are to call other days of the same kinds recent; see `draw_splits`.

    Examples
    --------
    >>> count_splits(np.array([0, 1, 0, 1]), np.array([False, False, True, True]))
    4
    """
    numbers = [(int((kinds == kind).sum()), int(is_recent[kinds == kind].sum())) for kind in np.unique(kinds)]
    return math.prod(math.comb(days, recent) for days, recent in numbers)


def draw_splits(kinds: NDArray[np.int64], is_recent: NDArray[np.bool_], draws: int, seed: int) -> NDArray[np.bool_]:
    """(splits, days) whether each day is called recent: first as it is, then as it might have been.

    Of every kind of day, such as a weekday, as many are recent in each split as are. Were all days of a kind drawn
    from one law, independently, every split would be as likely as the true one: a measure that is the largest in at
    most a share of all splits is so by chance in at most that share of cases, however few days there are.

    Parameters
    ----------
    kinds : (days,) only days of one kind change places
    is_recent : (days,) as it is
    draws : this many splits are drawn beside the true one; all there are, each once, if there are no more
    seed : of the draws

    References
    ----------
    .. [1] B. Phipson, G. K. Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics
       and Molecular Biology 9(1), 2010.

    Examples
    --------
    >>> draw_splits(np.array([0, 0, 0]), np.array([False, False, True]), 99, seed=1).astype(int).tolist()
    [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    """
    if count_splits(kinds, is_recent) <= draws + 1:
        return _all_splits(kinds, is_recent)
    days = len(kinds)
    words = draw_words(np.arange(draws * days, dtype=np.uint64), seed)
    order = uniform(words, 1).reshape(draws, days)
    splits = np.zeros((1 + draws, days), dtype=bool)
    splits[0] = is_recent
    for kind in np.unique(kinds):
        of_kind = np.flatnonzero(kinds == kind)
        taken = np.argsort(order[:, of_kind], axis=1, kind="stable")[:, : int(is_recent[of_kind].sum())]
        splits[np.arange(1, 1 + draws)[:, None], of_kind[taken]] = True
    return splits


def _all_splits(kinds: NDArray[np.int64], is_recent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every split once, the true one first."""
    choices = []
    for kind in np.unique(kinds):
        of_kind = np.flatnonzero(kinds == kind).tolist()
        choices.append(list(combinations(of_kind, int(is_recent[of_kind].sum()))))
    splits = np.zeros((math.prod(map(len, choices)), len(kinds)), dtype=bool)
    for row, chosen in zip(splits, product(*choices), strict=True):
        row[[day for of_kind in chosen for day in of_kind]] = True
    true = np.flatnonzero((splits == is_recent).all(axis=1))[0]
    result: NDArray[np.bool_] = np.concatenate([splits[[true]], np.delete(splits, true, axis=0)])
    return result


def relative_difference(one: Floats, other: Floats) -> Floats:
    """(a − b) ÷ (|a| + |b|), 0 where both are 0: it grows with the ratio, and knows no infinity.

    Examples
    --------
    >>> relative_difference(np.array([3.0, 0.0, 0.0]), np.array([1.0, 0.0, 5.0])).tolist()
    [0.5, 0.0, -1.0]
    """
    size = np.abs(one) + np.abs(other)
    result: Floats = np.divide(one - other, size, out=np.zeros_like(size), where=size > 0)
    return result


def rank_extremes(distances: Floats, has_direction: NDArray[np.bool_]) -> Floats:
    """(measures, splits) how far out each distance lies among those of its measure, the same for all measures.

    It is minus the number of splits that lie as far out: measures differ in scale and in how long their tails are,
    and ranks do not. Where ranks are the same, standard deviations from the mean decide; they add less than one.

    Parameters
    ----------
    distances : (measures, splits)
    has_direction : (measures,) whether a distance may be unusually low, too

    References
    ----------
    .. [1] P. H. Westfall, S. S. Young, "Resampling-Based Multiple Testing", Wiley 1993 (minP).

    Examples
    --------
    >>> distances = np.array([[9.0, 1.0, 2.0, 3.0], [-4.0, 1.0, 2.0, 1.0]])
    >>> rank_extremes(distances, np.array([False, True])).round(1).tolist()
    [[-0.4, -4.0, -3.0, -2.0], [-0.4, -3.7, -1.5, -3.7]]
    """
    centred = distances - distances.mean(axis=1, keepdims=True)
    spread = distances.std(axis=1, keepdims=True)
    varies = spread > 1e-12 * np.abs(distances).max(axis=1, initial=0.0, keepdims=True)
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=varies)
    scaled[has_direction] = np.abs(scaled[has_direction])
    # The same split may be drawn again, and differ in the last digits.
    scaled = scaled.round(9)
    beyond = np.stack([np.searchsorted(np.sort(row), row, side="left") for row in scaled]) - scaled.shape[1]
    above = np.maximum(scaled, 0.0)
    result: Floats = beyond + above / (1.0 + above)
    return result
