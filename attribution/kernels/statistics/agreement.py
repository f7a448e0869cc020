"""How far two rankings agree.

A handful of channels does not pay for importing scipy.stats; the tests hold these against it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ranks(scores: Floats) -> Floats:
    """1 for the highest score; ties share their average rank.

    Examples
    --------
    >>> ranks(np.array([5.0, 7.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    above, level = _counts(scores)
    return above + (level + 1) / 2


def kendall_tau(x: Floats, y: Floats) -> float:
    """Kendall's tau-b of two score vectors; nan where one of them is all ties.

    References
    ----------
    .. [1] M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33(3), 1945.
    """
    if _all_tied(x) or _all_tied(y):
        return float("nan")
    a, b = (np.sign(scores[:, None] - scores[None, :]) for scores in (x, y))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's correlation: Pearson's, of average ranks; nan where one of them is all ties."""
    if _all_tied(x) or _all_tied(y):
        return float("nan")
    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


def rank_biased_overlap(x: Floats, y: Floats, p: float = 0.7) -> float:
    """Extrapolated rank-biased overlap of two rankings of the same items, ties averaged.

    ``A_k p^k + (1 − p)/p · Σ_d A_d p^d`` with A_d the overlap of the top d, divided by d. An item tied across
    depth d counts in the top d by the share of its tie group that fits there.

    References
    ----------
    .. [1] W. Webber, A. Moffat, J. Zobel, "A similarity measure for indefinite rankings", ACM Transactions on
       Information Systems 28(4), 2010.

    Examples
    --------
    >>> round(rank_biased_overlap(np.array([5.0, 4, 3, 2, 1]), np.array([4.0, 5, 3, 1, 2]), p=0.9), 6)
    0.881775
    """
    k = len(x)
    if k == 0:
        return float("nan")
    agreement = np.array([np.minimum(_membership(x, d), _membership(y, d)).sum() / d for d in range(1, k + 1)])
    discount = p ** np.arange(1, k + 1)
    return float(agreement[-1] * discount[-1] + (1 - p) / p * (agreement * discount).sum())


def top_overlap(x: Floats, y: Floats, depth: int = 3) -> float:
    """Share of the top ``depth`` items (or of all, if there are fewer) that both rankings name.

    Examples
    --------
    >>> top_overlap(np.array([4.0, 3, 2, 1]), np.array([4.0, 3, 1, 2]))
    0.6666666666666666
    """
    depth = min(depth, len(x))
    if depth == 0:
        return float("nan")
    return float(np.minimum(_membership(x, depth), _membership(y, depth)).sum() / depth)


def largest_move(x: Floats, y: Floats) -> float:
    """Places moved by the item that moves most."""
    return float(np.abs(ranks(x) - ranks(y)).max()) if len(x) else float("nan")


def _membership(scores: Floats, depth: int) -> Floats:
    """How far each item is among the top ``depth``: 1, 0, or a tie group's even share of the places left."""
    above, level = _counts(scores)
    return np.clip((depth - above) / level, 0.0, 1.0)


def _counts(scores: Floats) -> tuple[Floats, Floats]:
    """For each item, how many score higher, and how many the same (itself among them)."""
    ordered = np.sort(scores)
    below = np.searchsorted(ordered, scores, side="left")
    up_to = np.searchsorted(ordered, scores, side="right")
    return (len(scores) - up_to).astype(float), (up_to - below).astype(float)


def _all_tied(scores: Floats) -> bool:
    return len(scores) < 2 or bool((scores == scores[0]).all())
