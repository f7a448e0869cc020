"""How far two rankings of the same channels agree, pair by pair and rank by rank.

A ranking is given as a score per channel, the highest first; both mappings hold the same channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import sqrt

Scores = Mapping[str, float]


def ranks(scores: Scores) -> dict[str, float]:
    """Rank of every channel, 1 for the highest score; equal scores share the average of their ranks.

    >>> ranks({"a": 5.0, "b": 7.0, "c": 5.0, "d": 1.0})
    {'a': 2.5, 'b': 1.0, 'c': 2.5, 'd': 4.0}
    """
    result = {}
    for channel, score in scores.items():
        above = sum(other > score for other in scores.values())
        equal = sum(other == score for other in scores.values())
        result[channel] = above + (equal + 1) / 2
    return result


def kendall_tau_b(x: Scores, y: Scores) -> float | None:
    """Concordant less discordant pairs, over the geometric mean of the pairs untied in x and in y.

    None where one of the two ranks nothing: fewer than two channels, or all scores equal.
    """
    balance = untied_x = untied_y = 0
    for a, b in combinations(_same_channels(x, y), 2):
        in_x, in_y = _sign(x[a] - x[b]), _sign(y[a] - y[b])
        balance += in_x * in_y
        untied_x += abs(in_x)
        untied_y += abs(in_y)
    return balance / sqrt(untied_x * untied_y) if untied_x and untied_y else None


def spearman(x: Scores, y: Scores) -> float | None:
    """Pearson's correlation of the average ranks; None where Kendall's tau is."""
    channels = _same_channels(x, y)
    if not channels:
        return None
    rank_x, rank_y = ranks(x), ranks(y)
    mean = (len(channels) + 1) / 2
    together = sum((rank_x[c] - mean) * (rank_y[c] - mean) for c in channels)
    spread_x = sum((rank_x[c] - mean) ** 2 for c in channels)
    spread_y = sum((rank_y[c] - mean) ** 2 for c in channels)
    return together / sqrt(spread_x * spread_y) if spread_x and spread_y else None


def rank_biased_overlap(x: Scores, y: Scores, p: float) -> float | None:
    """Extrapolated rank-biased overlap of two complete lists (Webber, Moffat, Zobel 2010).

    None if they are empty. Equal scores are listed in the order of the channel names.
    """
    length = len(_same_channels(x, y))
    if length == 0:
        return None
    agreement = {depth: _in_both(x, y, depth) / depth for depth in range(1, length + 1)}
    return agreement[length] * p**length + (1 - p) / p * sum(agreement[d] * p**d for d in agreement)


def top_overlap(x: Scores, y: Scores, k: int) -> float | None:
    """Share of the top k channels of one ranking that are in the top k of the other.

    Where there are fewer than k channels, all of them are the top; None if there is none. Equal scores are
    listed in the order of the channel names.

    >>> top_overlap({"a": 3, "b": 2, "c": 1}, {"a": 2, "b": 1, "c": 3}, k=2)
    0.5
    """
    depth = min(k, len(_same_channels(x, y)))
    return _in_both(x, y, depth) / depth if depth else None


def largest_move(x: Scores, y: Scores) -> float | None:
    """Most ranks by which one channel moves; None if there is none."""
    rank_x, rank_y = ranks(x), ranks(y)
    return max((abs(rank_x[channel] - rank_y[channel]) for channel in _same_channels(x, y)), default=None)


def _in_both(x: Scores, y: Scores, depth: int) -> int:
    return len(set(_listed(x)[:depth]) & set(_listed(y)[:depth]))


def _same_channels(x: Scores, y: Scores) -> list[str]:
    assert set(x) == set(y), "both rankings must hold the same channels"
    return sorted(x)


def _listed(scores: Scores) -> list[str]:
    return sorted(scores, key=lambda channel: (-scores[channel], channel))


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
