"""How far two rankings agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata, spearmanr

Floats = NDArray[np.float64]


def ranks(scores: Floats) -> Floats:
    """1 for the highest score; ties share their average rank.

    Examples
    --------
    >>> ranks(np.array([5.0, 7.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    return np.asarray(rankdata(-scores, method="average"))


def kendall_tau(x: Floats, y: Floats) -> float:
    """Kendall's tau-b of two score vectors; nan where one of them is all ties."""
    if _all_tied(x) or _all_tied(y):
        return float("nan")
    return float(kendalltau(x, y, variant="b").statistic)


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation; nan where one of them is all ties."""
    if _all_tied(x) or _all_tied(y):
        return float("nan")
    return float(spearmanr(x, y).statistic)


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
    depth = np.arange(1, k + 1)
    agreement = np.array([np.minimum(_membership(x, d), _membership(y, d)).sum() / d for d in depth])
    discount = p**depth
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
    best = rankdata(-scores, method="min")
    size = rankdata(-scores, method="max") - best + 1
    return np.clip((depth - best + 1) / size, 0.0, 1.0)


def _all_tied(scores: Floats) -> bool:
    return len(scores) < 2 or bool((scores == scores[0]).all())
