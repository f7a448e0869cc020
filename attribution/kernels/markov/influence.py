"""How removal effects move when some journeys count more or less.

What a chain brings without channel c, over all J journeys, is ``S_c = J · H_c(start)``, with H_c the reward expected
from a state when the steps into c lead to null. Counting one more step from i to j moves it by

    ∂S_c / ∂n_ij = μ_c(i) · (H_c(j) − H_c(i)),   μ_c(i) = J · m_c(i) ÷ n_i,

with m_c the visits to i before c is reached: μ_c(i) is the share of the visits to i that come before any to c, and
H_c is 0 in the states of c. J and S_c grow in proportion to the counts, so that S_c is the sum of all counts times
their derivatives, and re-weighted counts have nearly the sum of re-weighted terms. With memory as long as the paths
that is exact.

References
----------
.. [1] L. A. Jaeckel, "The infinitesimal jackknife", Bell Laboratories Memorandum MM 72-1215-11, 1972.
.. [2] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 20 to 22.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from attribution.kernels.markov.chains import CONVERSION, Frame, build_chain
from attribution.kernels.markov.large_chains import blocks, build_moves, state_worth, visits_before, worth_without

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE = 1e-9
"""Relative, of influences."""

CELLS_AT_ONCE = 1 << 22
"""Of all chains that are inverted together: some hundred megabytes."""


class Lost(NamedTuple):
    """What chains bring over all their journeys, and lose by removals.

    Reward 0 is conversions, 1 value, 2 the number of journeys that end, whichever way. ``brought`` (draws, 3);
    ``lost`` (draws, channels, 3) of it by those that reach the channel.
    """

    brought: Floats
    lost: Floats


def linearise(
    joined: Frame, steps: sparse.csr_array, value: sparse.csr_array, weights: Floats, *, rewards: Ints, channels: int
) -> Lost:
    """`Lost` of re-weighted buckets, from influences.

    Parameters
    ----------
    joined : the states
    steps, value : (steps, buckets) and (rows of value, buckets) what each bucket contributes
    weights : (draws, buckets) how often each bucket counts
    rewards : which rewards are asked for; the others stay 0
    channels : how many there are
    """
    brought, retained = influences(joined, steps, value, rewards=rewards, channels=channels)
    whole = weights @ brought
    lost = whole[:, None, :] - np.tensordot(weights, retained, axes=1)
    # A channel that is not reached loses nothing, not even by rounding.
    reached = np.bincount(joined.target[joined.target >= 0], minlength=len(joined.member)) > 0
    absent = np.setdiff1d(np.arange(channels), joined.member[reached])
    lost[:, absent] = 0.0
    return Lost(whole, np.maximum(lost, 0.0))


def influences(
    joined: Frame, steps: sparse.csr_array, value: sparse.csr_array, *, rewards: Ints, channels: int
) -> tuple[Floats, Floats]:
    """What each bucket adds to the rewards of all journeys, (buckets, 3), and to those without a channel.

    The latter, (buckets, channels, 3), are derivatives by the weight of the bucket; parameters as in `linearise`.
    """
    buckets = steps.shape[1]
    chain = build_chain(joined, np.asarray(steps.sum(axis=1)).ravel(), np.asarray(value.sum(axis=1)).ravel())
    moves = build_moves(chain)
    at_ends = np.zeros((len(joined.origin), 3))
    at_ends[joined.target == CONVERSION, 0] = 1.0
    at_ends[joined.target < 0, 2] = 1.0
    was_left = np.zeros(len(joined.member), dtype=bool)
    was_left[joined.origin] = True
    weighted_value = value * was_left[joined.paid_at][:, None] if value.shape[0] else value
    brought = steps.T @ at_ends
    brought[:, 1] = np.asarray(weighted_value.sum(axis=0)).ravel()
    retained = np.zeros((buckets, channels, 3))
    begun = np.asarray(steps[joined.origin == 0].sum(axis=0)).ravel()
    per_leaving = np.column_stack([moves.rewards, chain.exits / moves.leaving])
    # To know when nothing more is to be found, worth need not be known better than this.
    stakes = np.column_stack([state_worth(moves, patient=True, tolerance=0.01), np.ones(len(chain.exits))])
    for block in blocks(2 * len(chain.exits), channels):
        removed = np.eye(channels, dtype=bool)[block]
        visits = visits_before(moves, removed, stakes, patient=True, tolerance=TOLERANCE)
        visits *= (chain.steps[[0]].sum() + chain.exits[0]) / moves.leaving[:, None]
        for reward in rewards:
            without = worth_without(moves, removed, per_leaving[:, reward], tolerance=TOLERANCE)
            part = begun[:, None] * without[0]
            _add_moved(joined, steps, at_ends[:, reward], (visits, without), part)
            if reward == 1:
                part += sparse.csr_array(weighted_value.T) @ visits[joined.paid_at]
            retained[:, block, reward] = part
    return brought, retained


def solve_at_once(joined: Frame, counts: Floats, value: Floats, *, channels: int) -> Lost:
    """`Lost` of many small chains of order 1, each solved exactly by one inverse.

    With N the visits, channel c is reached with probability N[start, c] ÷ N[c, c].

    Parameters
    ----------
    joined : the states, the start and at most one for each channel
    counts, value : (draws, steps) and (draws, rows of value) of each chain
    channels : how many there are
    """
    at_once = max(1, CELLS_AT_ONCE // (len(joined.member) + 1) ** 2)
    parts = [
        _solve(joined, counts[low : low + at_once], value[low : low + at_once], channels)
        for low in range(0, max(len(counts), 1), at_once)
    ]
    return Lost(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _solve(joined: Frame, counts: Floats, value: Floats, channels: int) -> Lost:
    """`solve_at_once` of so few chains that all their inverses fit into memory."""
    draws, n = len(counts), len(joined.member)
    rates = np.zeros((draws, n, n + 1))
    target = np.where(joined.target < 0, n, joined.target)
    for step in range(counts.shape[1]):
        rates[:, joined.origin[step], target[step]] += counts[:, step]
    rewards = np.zeros((draws, n, 3))
    converts = joined.target == CONVERSION
    rewards[:, joined.origin[converts], 0] = counts[:, converts]
    rewards[:, joined.paid_at, 1] = value
    rewards[:, :, 2] = rates[:, :, n]
    states = np.arange(n)
    rates[:, states, states] = 0.0
    leaving = rates.sum(axis=2)
    system = -rates[:, :, :n]
    system[:, states, states] = np.where(leaving > 0, leaving, 1.0)
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        inverse = np.linalg.inv(system)
        worth = inverse @ rewards
    begun = leaving[:, 0]
    reached = inverse[:, 0, :] / inverse[:, states, states]
    lost = np.zeros((draws, channels, 3))
    lost[:, joined.member[1:]] = (begun[:, None] * reached)[:, 1:, None] * worth[:, 1:]
    return Lost(begun[:, None] * worth[:, 0], lost)


def _add_moved(
    joined: Frame, steps: sparse.csr_array, at_ends: Floats, solved: tuple[Floats, Floats], part: Floats
) -> None:
    """Add to ``part`` (buckets, columns) every step's derivative times its count in the bucket."""
    arrays = joined.origin, joined.target, at_ends
    _add_steps(arrays, steps.indptr, steps.indices, steps.data, solved, part)


@njit(cache=True, nogil=True)
def _add_steps(arrays, pointer, bucket, counts, solved, part):
    origin, target, at_ends = arrays
    before, without = solved
    width = part.shape[1]
    moved = np.empty(width)
    for step in range(len(origin)):
        i, j = origin[step], target[step]
        for c in range(width):
            there = without[j, c] if j >= 0 else at_ends[step]
            moved[c] = before[i, c] * (there - without[i, c])
        for k in range(pointer[step], pointer[step + 1]):
            row, count = part[bucket[k]], counts[k]
            for c in range(width):
                row[c] += count * moved[c]
