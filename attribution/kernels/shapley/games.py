"""Games over channels: worth of coalitions, exact Shapley values, interactions, and how they follow the counts.

A game of n players is an array of 2^n floats: ``worth[S]`` of the coalition whose bits are set in S. Sets of players
with what was counted of each are a `Sets`; the games on them are of rates (outcomes ÷ journeys).

References
----------
.. [1] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II, 1953.
.. [2] M. Grabisch, M. Roubens, "An axiomatic approach to the concept of interaction among players in cooperative
   games", International Journal of Game Theory 28, 1999.
.. [3] R. Kennes, "Computational aspects of the Möbius transformation of graphs", IEEE Transactions on Systems, Man,
   and Cybernetics 22(2), 1992 (sums over subsets in place).
"""

from __future__ import annotations

from functools import cache
from math import comb
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_PLAYERS = 22
"""More would need arrays of more than 32 MB each, and twice as many for every further player."""

_BLOCK = 256


class Sets(NamedTuple):
    """k distinct sets of ``players`` players, and what was counted of each.

    ``offsets`` (k + 1,) and ``member`` (int32, ascending within a set): set t is ``member[offsets[t]:offsets[t + 1]]``;
    ``journeys`` (k,) how many journeys had exactly these players; ``outcomes`` (m, k) what came of them.
    """

    players: int
    offsets: NDArray[np.int64]
    member: NDArray[np.int32]
    journeys: Floats
    outcomes: Floats

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(k,) players in each set."""
        return np.diff(self.offsets)

    @property
    def masks(self) -> NDArray[np.int64]:
        """(k,) the sets as bits; for games of up to 62 players."""
        bits = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.int64(1) << self.member.astype(np.int64))])
        result: NDArray[np.int64] = bits[self.offsets[1:]] - bits[self.offsets[:-1]]
        return result


def shapley_values(worth: Floats) -> Floats:
    """(n,) Shapley value of the game ``worth`` (2^n,).

    Examples
    --------
    >>> shapley_values(np.array([0.0, 1.0, 2.0, 6.0])).tolist()
    [2.5, 3.5]
    """
    players = _players(worth)
    joining, leaving = join_weights(players)
    size = np.bitwise_count(np.arange(len(worth)))
    within = np.empty(players)
    sums_by_member(((joining + leaving)[size]) * worth, players, within)
    result: Floats = within - (leaving[size] * worth).sum()
    return result


def interactions(worth: Floats) -> Floats:
    """(n, n) Shapley interaction index of the game ``worth`` (2^n,): what two players bring by being there both.

    The average over coalitions without i and j of what i adds when j is there, less what it adds when j is not; equally
    the sum of Harsanyi dividends d(T) ÷ (\\|T\\| − 1) over all T that hold both. The diagonal is 0.

    Examples
    --------
    >>> interactions(np.array([0.0, 1.0, 2.0, 6.0])).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    n = _players(worth)
    result = np.zeros((n, n))
    if n < 2:
        return result
    apart = np.zeros(n + 3)
    apart[: n - 1] = [1 / ((n - 1) * comb(n - 2, s)) for s in range(n - 1)]
    size = np.bitwise_count(np.arange(len(worth))).astype(np.int64)
    # Of a coalition of u: with both p(u − 2), with one −p(u − 1), with none p(u); by inclusion and exclusion these are
    # sums over all coalitions, over those with i, and over those with i and j.
    none, one = apart[size] * worth, np.where(size > 0, apart[size - 1], 0.0) * worth
    both = np.where(size > 1, apart[size - 2], 0.0) * worth + none + 2 * one
    single = np.empty(n)
    sums_by_member(none + one, n, single)
    for i in range(1, n):
        half = both.reshape(-1, 2, 1 << i)
        pairs = np.empty(i)
        sums_by_member(half[:, 1].sum(axis=0), i, pairs)
        result[i, :i] = result[:i, i] = pairs - single[i] - single[:i] + none.sum()
    return result


def rate_worth(sets: Sets) -> tuple[Floats, Floats]:
    """The rate game: outcomes ÷ journeys of all sets within a coalition.

    Returns
    -------
    worth : (m, 2^n)
    journeys : (2^n,) journeys of all sets within a coalition; the empty set must have some
    """
    masks = sets.masks
    journeys = _lattice(sets.players, masks, sets.journeys)
    worth = np.stack([_lattice(sets.players, masks, outcome) for outcome in sets.outcomes])
    worth /= journeys
    return worth, journeys


def rate_gradients(sets: Sets) -> tuple[Floats, Floats]:
    """How the Shapley values of the rate game follow what was counted.

    dφ_i = Σ_T gains[T, i] · d outcome(T) − losses[m, T, i] · d journeys(T).

    Returns
    -------
    gains : (k, n), losses : (m, k, n)
    """
    worth, journeys = rate_worth(sets)
    joining, leaving = join_weights(sets.players)
    size = np.bitwise_count(np.arange(1 << sets.players))
    joins, leaves = joining[size] / journeys, leaving[size] / journeys
    gains = _by_player(sets, joins.copy(), leaves.copy())
    losses = np.stack([_by_player(sets, joins * value, leaves * value) for value in worth])
    return gains, losses


def _by_player(sets: Sets, joins: Floats, leaves: Floats) -> Floats:
    """(k, n) for each set and player: ``joins`` of all coalitions around the set with the player, less ``leaves``
    of those without."""
    superset_sums(joins, sets.players)
    superset_sums(leaves, sets.players)
    masks = sets.masks[:, None]
    joined = masks | np.int64(1) << np.arange(sets.players)
    # A player of the set is in every coalition around it, so that the last two cancel.
    return np.asarray(joins[joined] - (leaves[masks] - leaves[joined]))


@cache
def join_weights(players: int) -> tuple[Floats, Floats]:
    """(n + 1,) chance to complete a coalition of a size by joining last, and to be the next to join it.

    Of all orders of n players, a coalition of s that holds i ends with i in (s − 1)! (n − s)! ÷ n!, and one without i
    is followed by i in s! (n − s − 1)! ÷ n!.

    Examples
    --------
    >>> [weights.tolist() for weights in join_weights(2)]
    [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]]
    """
    joining = np.zeros(players + 1)
    joining[1:] = [1 / (players * comb(players - 1, s)) for s in range(players)]
    leaving = np.append(joining[1:], 0.0)
    joining.flags.writeable = leaving.flags.writeable = False
    return joining, leaving


def _players(worth: Floats) -> int:
    return len(worth).bit_length() - 1


def _lattice(players: int, masks: NDArray[np.int64], counts: Floats) -> Floats:
    sums = np.zeros(1 << players)
    sums[masks] = counts
    subset_sums(sums, players)
    return sums


@njit(cache=True, nogil=True)
def subset_sums(sums, players):
    """Replace each of (2^players,) by the sum over its subsets."""
    for i in range(players):
        half = 1 << i
        for low in range(0, 1 << players, 2 * half):
            for j in range(low, low + half):
                sums[j + half] += sums[j]


@njit(cache=True, nogil=True)
def superset_sums(sums, players):
    """Replace each of (2^players,) by the sum over its supersets."""
    for i in range(players):
        half = 1 << i
        for low in range(0, 1 << players, 2 * half):
            for j in range(low, low + half):
                sums[j] += sums[j + half]


@njit(cache=True, nogil=True)
def sums_by_member(terms, players, result):
    """Sum of ``terms`` (2^players,), which is used up, over the coalitions that hold each player."""
    for i in range(players - 1, -1, -1):
        half = 1 << i
        total = 0.0
        # In blocks, so that a million small terms do not drown in their sum.
        for low in range(0, half, _BLOCK):
            part = 0.0
            for j in range(low, min(low + _BLOCK, half)):
                part += terms[half + j]
                terms[j] += terms[half + j]
            total += part
        result[i] = total
