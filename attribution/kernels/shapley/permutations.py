"""Shapley values of rate games by sampling orders of arrival, where the game has too many players to be exact.

An order is drawn together with its reverse. In an order the place of a set is the highest rank among its players:
from there on it counts, so that one pass over the sets gives the worth of every coalition along the order.

What a coalition is worth is a ratio, outcomes ÷ journeys. Both are sums over sets, so their means over all coalitions
of a size are known exactly, and the ratio's first-order approximation around those means has a Shapley value known
exactly. Only what is left is sampled, which takes about a hundredth of the orders or less.

References
----------
.. [1] J. Castro, D. Gómez, J. Tejada, "Polynomial calculation of the Shapley value based on sampling", Computers &
   Operations Research 36(5), 2009.
.. [2] R. Mitchell, J. Cooper, E. Frank, G. Holmes, "Sampling permutations for Shapley value estimation", Journal of
   Machine Learning Research 23, 2022 (antithetic pairs).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.shapley.games import Sets
from attribution.kernels.statistics.draws import draw_words

Floats = NDArray[np.float64]

BATCH = 32
"""Pairs of orders between two looks at the standard error."""

MOST_PAIRS = 1 << 16
MOST_STEPS = 1 << 32
"""Players of sets looked at, pairs times all sets, before sampling gives up: half a minute or so."""


class Sampled(NamedTuple):
    """``values`` (m, n) estimated, ``errors`` (m, n) their standard errors, ``pairs`` how many pairs of orders."""

    values: Floats
    errors: Floats
    pairs: int


class Centres(NamedTuple):
    """Mean journeys and outcomes of the coalitions of s players without i, and of those once i has joined.

    ``journeys_without``, ``journeys_with`` (n, s), ``rate_without``, ``rate_with`` (m, n, s) with rates of the means.
    """

    journeys_without: Floats
    journeys_with: Floats
    rate_without: Floats
    rate_with: Floats

    @property
    def values(self) -> Floats:
        """(m, n) first-order approximation of the Shapley values."""
        return np.asarray((self.rate_with - self.rate_without).mean(axis=-1))


def sampled_values(
    sets: Sets,
    *,
    seed: int,
    tolerance: float,
    stream: int = 0,
    enough: Floats | None = None,
    exact_sets: bool = False,
) -> Sampled:
    """Shapley values of the rate game on ``sets``, which hold the empty set.

    Parameters
    ----------
    seed, stream : which orders are drawn
    tolerance : sampling ends when no standard error exceeds this share of the mean absolute value
    enough : (m,) or when none exceeds this
    exact_sets : a coalition that was observed itself is worth its own rate, not that of all sets within it
    """
    centres = find_centres(*tallies(sets))
    outcomes, n = len(sets.outcomes), sets.players
    total, squares, whole = np.zeros((outcomes, n)), np.zeros((outcomes, n)), np.zeros(outcomes)
    pairs, values, errors = 0, centres.values, np.zeros((outcomes, n))
    while pairs < min(MOST_PAIRS, MOST_STEPS // max(len(sets.member), 1)) or pairs == 0:
        ranks = _ranks(seed, stream, pairs, n)
        left = _remainder(ranks, *sets[1:], *centres, exact_sets, whole)
        total += left.sum(axis=0)
        squares += (left**2).sum(axis=0)
        pairs += BATCH
        spread = np.maximum(squares - total**2 / pairs, 0.0) / (pairs - 1)
        values, errors = centres.values + total / pairs, np.sqrt(spread / pairs)
        goal = tolerance * np.abs(values).mean(axis=1)
        if (errors.max(axis=1) <= (goal if enough is None else np.maximum(goal, enough))).all():
            break
    return Sampled(values + _missing(whole - values.sum(axis=1), errors), errors, pairs)


def tallies(sets: Sets) -> tuple[Floats, Floats]:
    """Journeys and then outcomes by size of set, (1 + m, n + 1), and of the sets with each player (1 + m, n, n + 1)."""
    n, sizes = sets.players, sets.sizes
    counts = np.concatenate([sets.journeys[None], sets.outcomes])
    by_size: Floats = np.stack([np.bincount(sizes, count, minlength=n + 1) for count in counts]).astype(np.float64)
    cell = sets.member * np.int64(n + 1) + np.repeat(sizes, sizes)
    by_player = [np.bincount(cell, np.repeat(count, sizes), minlength=n * (n + 1)) for count in counts]
    return by_size, np.stack(by_player).reshape(len(counts), n, n + 1).astype(np.float64)


def find_centres(by_size: Floats, by_player: Floats) -> Centres:
    """What `tallies` mean for coalitions of every size; further axes in front are carried along."""
    n = by_player.shape[-2]
    inside = _inside(n)
    without = (by_size[..., None, :] - by_player)[..., :n] @ inside.T
    joined = without + by_player[..., 1:] @ inside.T
    journeys, with_journeys = without[..., 0, :, :], joined[..., 0, :, :]
    rates = without[..., 1:, :, :] / journeys[..., None, :, :]
    return Centres(journeys, with_journeys, rates, joined[..., 1:, :, :] / with_journeys[..., None, :, :])


def _inside(players: int) -> Floats:
    """(s, t) chance that t given players are all in a coalition of s drawn from n − 1."""
    s, t = np.arange(players)[:, None], np.arange(players - 1)
    steps = np.maximum(s - t, 0) / np.maximum(players - 1 - t, 1)
    return np.cumprod(np.concatenate([np.ones((players, 1)), steps], axis=1), axis=1)


def _missing(gap: Floats, errors: Floats) -> Floats:
    """What adds the values up to the worth of all players, spread by how uncertain each value is."""
    spread = errors**2
    total = spread.sum(axis=1, keepdims=True)
    even = np.full_like(spread, 1 / spread.shape[1])
    result: Floats = gap[:, None] * np.divide(spread, total, out=even, where=total > 0)
    return result


def _ranks(seed: int, stream: int, first: int, players: int) -> NDArray[np.int32]:
    """(BATCH, n) rank 1 … n of each player, in orders that depend on nothing but seed, stream and number."""
    base = np.uint64(stream) << np.uint64(40)
    keys = (np.arange(first * players, (first + BATCH) * players, dtype=np.uint64) + base).reshape(BATCH, players)
    words = draw_words(keys.ravel(), seed).reshape(BATCH, players)
    return (np.argsort(np.argsort(words, axis=1, kind="stable"), axis=1) + 1).astype(np.int32)


@njit(cache=True, nogil=True)
def _remainder(
    ranks, offsets, member, journeys, outcomes, journeys_without, journeys_with, rate_without, rate_with, exact_sets,
    whole,
):  # fmt: skip
    """(pairs, m, n) mean over an order and its reverse of what players add beyond the approximation.

    ``whole`` (m,) is set to the worth of all players less that of none.
    """
    pairs, n = ranks.shape
    m = len(outcomes)
    left = np.zeros((pairs, m, n))
    order = np.empty(n, np.int64)
    for p in range(pairs):
        for i in range(n):
            order[ranks[p, i] - 1] = i
        sums, own = _sums_by_position(ranks[p], offsets, member, journeys, outcomes)
        for back in range(2):
            for o in range(1, m + 1):
                before = sums[back, 0, o] / sums[back, 0, 0]
                start = before
                for k in range(1, n + 1):
                    sums[back, k, o] += sums[back, k - 1, o]
                    if o == 1:
                        sums[back, k, 0] += sums[back, k - 1, 0]
                    after = sums[back, k, o] / sums[back, k, 0]
                    if exact_sets and own[back, k, 0] > 0:
                        after = own[back, k, o] / own[back, k, 0]
                    i = order[k - 1] if back == 0 else order[n - k]
                    with_i, without = rate_with[o - 1, i, k - 1], rate_without[o - 1, i, k - 1]
                    explained = with_i + (sums[back, k, o] - with_i * sums[back, k, 0]) / journeys_with[i, k - 1]
                    below = (sums[back, k - 1, o] - without * sums[back, k - 1, 0]) / journeys_without[i, k - 1]
                    explained -= without + below
                    left[p, o - 1, i] += (after - before - explained) / 2
                    before = after
                whole[o - 1] = before - start
    return left


@njit(cache=True, nogil=True)
def _sums_by_position(rank, offsets, member, journeys, outcomes):
    """(2, n + 1, 1 + m) journeys and outcomes by place, in the order and its reverse; and of the sets that are all
    players up to their place, so a coalition met on the way."""
    n, m = len(rank), len(outcomes)
    sums, own = np.zeros((2, n + 1, m + 1)), np.zeros((2, n + 1, m + 1))
    for t in range(len(journeys)):
        last, first = 0, n + 1
        for k in range(offsets[t], offsets[t + 1]):
            r = rank[member[k]]
            last, first = max(last, r), min(first, r)
        size = offsets[t + 1] - offsets[t]
        for back in range(2):
            position = last if back == 0 else n + 1 - first
            sums[back, position, 0] += journeys[t]
            for o in range(m):
                sums[back, position, o + 1] += outcomes[o, t]
            if position == size:
                own[back, position, 0] += journeys[t]
                for o in range(m):
                    own[back, position, o + 1] += outcomes[o, t]
    return sums, own
