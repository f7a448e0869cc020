"""The game that every set of players plays by itself: its own rate against those of its subsets.

For each set T that was observed, v_T(S) of S ⊆ T is the rate of journeys with exactly the players S; where there were
none, of journeys with no player outside S. The journeys of T are shared by the Shapley value of v_T. The cost,
Σ |T| 2^|T|, does not depend on how many players there are in all.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.shapley.games import Sets, join_weights, subset_sums, sums_by_member, superset_sums
from attribution.kernels.statistics.draws import draw_words

Floats = NDArray[np.float64]

_EMPTY = -1


def path_values(sets: Sets, most: int) -> Floats:
    """(m, n) Shapley values of all sets of up to ``most`` players, each times its journeys, added up.

    Examples
    --------
    >>> sets = Sets(1, np.array([0, 0, 1]), np.array([0], np.int32), np.array([4.0, 2.0]), np.array([[1.0, 2.0]]))
    >>> path_values(sets, 22).tolist()
    [[1.5]]
    """
    index = _index(sets)
    values = np.zeros((len(sets.outcomes), sets.players))
    _add_values(*sets[1:], index, *_weights(sets, most), values)
    return values


def path_gradients(sets: Sets, most: int) -> tuple[Floats, Floats]:
    """How `path_values` follow what was counted.

    d value_i = Σ_T gains[T, i] · d outcome(T) − losses[m, T, i] · d journeys(T).

    Returns
    -------
    gains : (k, n), losses : (m, k, n)
    """
    index = _index(sets)
    outcomes, n, k = len(sets.outcomes), sets.players, len(sets.journeys)
    gains, losses = np.zeros((k, n)), np.zeros((outcomes, k, n))
    _add_gradients(*sets[1:], index, *_weights(sets, most), gains, losses)
    return gains, losses


def within(sets: Sets, t: int) -> tuple[Sets, NDArray[np.int64]]:
    """The game of set t by itself, and which players are in it.

    Examples
    --------
    >>> sets = Sets(3, np.array([0, 0, 1, 3]), np.array([0, 1, 2], np.int32), np.ones(3), np.ones((1, 3)))
    >>> own, players = within(sets, 2)
    >>> own.offsets.tolist(), own.member.tolist(), players.tolist()
    ([0, 0, 2], [0, 1], [1, 2])
    """
    players = sets.member[sets.offsets[t] : sets.offsets[t + 1]].astype(np.int64)
    inside = np.zeros(sets.players, dtype=bool)
    inside[players] = True
    outside = np.concatenate([np.zeros(1, np.int64), np.cumsum(~inside[sets.member])])
    rows = np.flatnonzero(outside[sets.offsets[1:]] == outside[sets.offsets[:-1]])
    sizes = sets.sizes[rows]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    steps = np.repeat(sets.offsets[rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
    member = np.searchsorted(players, sets.member[steps]).astype(np.int32)
    return Sets(len(players), offsets, member, sets.journeys[rows], sets.outcomes[:, rows]), players


def _weights(sets: Sets, most: int) -> tuple[int, Floats, Floats]:
    """The largest size to be solved, and the weights of `join_weights` for games of every size up to it."""
    sizes = sets.sizes
    largest = int(sizes[sizes <= most].max(initial=0))
    joining, leaving = np.zeros((largest + 1, largest + 1)), np.zeros((largest + 1, largest + 1))
    for size in range(1, largest + 1):
        joining[size, : size + 1], leaving[size, : size + 1] = join_weights(size)
    return largest, joining, leaving


def _index(sets: Sets) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint64]]:
    """Random bits for each player, and a hash table of the sets by the bits of their players."""
    words = draw_words(np.arange(sets.players, dtype=np.uint64), 0)
    size = 1 << (2 * len(sets.journeys)).bit_length()
    slots, marks = np.full(size, _EMPTY, np.int64), np.zeros(size, np.uint64)
    _fill(sets.offsets, sets.member, words, slots, marks)
    return words, slots, marks


@njit(cache=True, nogil=True)
def _fill(offsets, member, words, slots, marks):
    for t in range(len(offsets) - 1):
        word = np.uint64(0)
        for i in range(offsets[t], offsets[t + 1]):
            word ^= words[member[i]]
        slot = word & np.uint64(len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
        slots[slot], marks[slot] = t, word


@njit(cache=True, nogil=True)
def _subsets(t, offsets, member, index, bit, keys, subsets):
    """Which set every subset of set t is, −1 for none, into ``subsets`` (2^|t|,)."""
    words, slots, marks = index
    low, size = offsets[t], offsets[t + 1] - offsets[t]
    keys[0] = np.uint64(0)
    for i in range(size):
        bit[member[low + i]] = 1 << i
        for mask in range(1 << i):
            keys[mask | 1 << i] = keys[mask] ^ words[member[low + i]]
    for mask in range(1 << size):
        slot = keys[mask] & np.uint64(len(slots) - 1)
        subsets[mask] = _EMPTY
        while slots[slot] >= 0:
            if marks[slot] == keys[mask] and _is_subset(slots[slot], offsets, member, bit, mask):
                subsets[mask] = slots[slot]
                break
            slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
    for i in range(size):
        bit[member[low + i]] = -1


@njit(cache=True, nogil=True)
def _is_subset(candidate, offsets, member, bit, mask):
    mine = 0
    for i in range(offsets[candidate], offsets[candidate + 1]):
        # A player from outside has bit −1, which no mask of this set has.
        mine |= bit[member[i]]
    return mine == mask


@njit(cache=True, nogil=True)
def _rates(subsets, size, journeys, outcomes, base, rate):
    """Rates (m, 2^size) of all subsets and the journeys ``base`` (2^size,) they rest on; whether any is not its own."""
    has_empty = False
    for mask in range(1 << size):
        base[mask] = journeys[subsets[mask]] if subsets[mask] >= 0 else 0.0
        has_empty |= base[mask] == 0
    if has_empty:
        subset_sums(base, size)
    for o in range(len(outcomes)):
        for mask in range(1 << size):
            rate[o, mask] = outcomes[o, subsets[mask]] if subsets[mask] >= 0 else 0.0
        if has_empty:
            subset_sums(rate[o], size)
    for mask in range(1 << size):
        own = has_empty and subsets[mask] >= 0 and journeys[subsets[mask]] > 0
        if own:
            base[mask] = journeys[subsets[mask]]
        for o in range(len(outcomes)):
            rate[o, mask] = (outcomes[o, subsets[mask]] if own else rate[o, mask]) / base[mask]
    return has_empty


@njit(cache=True, nogil=True)
def _ones(mask):
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@njit(cache=True, nogil=True)
def _share(rate, size, joining, leaving, within):
    """Shapley values (size,) of the game ``rate`` (2^size,), which is used up."""
    without = 0.0
    for mask in range(1 << size):
        ones = _ones(mask)
        without += leaving[size, ones] * rate[mask]
        rate[mask] *= joining[size, ones] + leaving[size, ones]
    sums_by_member(rate, size, within)
    for i in range(size):
        within[i] -= without


@njit(cache=True, nogil=True)
def _add_values(offsets, member, journeys, outcomes, index, largest, joining, leaving, values):
    bit = np.full(len(index[0]), -1, np.int64)
    keys, subsets = np.empty(1 << largest, np.uint64), np.empty(1 << largest, np.int64)
    base, rate = np.empty(1 << largest), np.empty((len(outcomes), 1 << largest))
    share = np.empty(max(largest, 1))
    for t in range(len(journeys)):
        low, size = offsets[t], offsets[t + 1] - offsets[t]
        if size == 0 or size > largest or journeys[t] == 0:
            continue
        _subsets(t, offsets, member, index, bit, keys, subsets)
        _rates(subsets, size, journeys, outcomes, base, rate)
        for o in range(len(outcomes)):
            _share(rate[o], size, joining, leaving, share)
            for i in range(size):
                values[o, member[low + i]] += journeys[t] * share[i]


@njit(cache=True, nogil=True)
def _add_gradients(offsets, member, journeys, outcomes, index, largest, joining, leaving, gains, losses):
    bit = np.full(len(index[0]), -1, np.int64)
    keys, subsets = np.empty(1 << largest, np.uint64), np.empty(1 << largest, np.int64)
    base, rate = np.empty(1 << largest), np.empty((len(outcomes), 1 << largest))
    joins, leaves = np.empty((1 + len(outcomes), 1 << largest)), np.empty((1 + len(outcomes), 1 << largest))
    share = np.empty(max(largest, 1))
    for t in range(len(journeys)):
        low, size = offsets[t], offsets[t + 1] - offsets[t]
        if size == 0 or size > largest:
            continue
        _subsets(t, offsets, member, index, bit, keys, subsets)
        has_empty = _rates(subsets, size, journeys, outcomes, base, rate)
        for mask in range(1 << size):
            ones = _ones(mask)
            joins[0, mask] = journeys[t] * joining[size, ones] / base[mask]
            leaves[0, mask] = journeys[t] * leaving[size, ones] / base[mask]
            for o in range(len(outcomes)):
                joins[1 + o, mask], leaves[1 + o, mask] = (
                    joins[0, mask] * rate[o, mask],
                    leaves[0, mask] * rate[o, mask],
                )
        _add_own(subsets, size, low, member, journeys, joins, leaves, gains, losses)
        if has_empty:
            _add_around(subsets, size, low, member, journeys, joins, leaves, gains, losses)
        for o in range(len(outcomes)):
            # More journeys of this set are more to be shared.
            _share(rate[o], size, joining, leaving, share)
            for i in range(size):
                losses[o, t, member[low + i]] -= share[i]


@njit(cache=True, nogil=True)
def _add_own(subsets, size, low, member, journeys, joins, leaves, gains, losses):
    """What follows the rates of subsets that were observed by themselves, which are taken out."""
    for mask in range(1 << size):
        s = subsets[mask]
        if s < 0 or journeys[s] == 0:
            continue
        for i in range(size):
            way = joins if mask >> i & 1 else leaves
            sign = 1.0 if mask >> i & 1 else -1.0
            gains[s, member[low + i]] += sign * way[0, mask]
            for o in range(len(losses)):
                losses[o, s, member[low + i]] += sign * way[1 + o, mask]
        joins[:, mask] = 0.0
        leaves[:, mask] = 0.0


@njit(cache=True, nogil=True)
def _add_around(subsets, size, low, member, journeys, joins, leaves, gains, losses):
    """What follows the rates of subsets that were not: they rest on all sets within them."""
    for row in range(len(joins)):
        superset_sums(joins[row], size)
        superset_sums(leaves[row], size)
    for mask in range(1 << size):
        s = subsets[mask]
        if s < 0:
            continue
        for i in range(size):
            joined = mask | 1 << i
            gains[s, member[low + i]] += joins[0, joined] - (leaves[0, mask] - leaves[0, joined])
            for o in range(len(losses)):
                above = joins[1 + o, joined] - (leaves[1 + o, mask] - leaves[1 + o, joined])
                losses[o, s, member[low + i]] += above
