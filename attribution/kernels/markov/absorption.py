"""Absorbing Markov chains: conversion probability and exact removal effects.

Removing a channel sends every step into its states A to null. By the strong Markov property the conversions
lost are those that visit A:

    removal effect of A = P(visit A | conversion) = Σ_a h(a) V(a) ÷ V(start),

with h the distribution of the first state of A that is reached and V the conversion probability. The same h
serves value, with V the value expected from a state. Where a journey goes on without the channel and brings
b(a) instead of nothing, V(a) − b(a) is lost. Nothing else is subtracted, so that small effects keep their relative
precision.

Few states are eliminated one by one. Many are swept over until nothing moves any more; where that would take too
long, because journeys almost never end, they are eliminated, or what is missing is solved for.

References
----------
.. [1] N. Archak, V. Mirrokni, S. Muthukrishnan, "Mining advertiser-specific user behavior using adfactors",
   WWW 2010.
.. [2] E. Anderl, I. Becker, F. von Wangenheim, J. H. Schumann, "Mapping the customer journey: Lessons learned
   from graph-based online attribution modeling", International Journal of Research in Marketing 33(3), 2016.
.. [3] J. G. Kemeny, J. L. Snell, "Finite Markov Chains", 1960, chapter 3.
.. [4] W. K. Grassmann, M. I. Taksar, D. P. Heyman, "Regenerative analysis and steady state distributions for
   Markov chains", Operations Research 33(5), 1985.
.. [5] C. A. O'Cinneide, "Entrywise perturbation theory and error analysis for Markov chains", Numerische
   Mathematik 65, 1993.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.markov.chains import Chain
from attribution.kernels.markov.large_chains import (
    TOLERANCE,
    TooSlowError,
    build_moves,
    first_hits,
    lost_by,
    state_worth,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# ---------------------------------------------------------------- taking out states one by one, without a subtraction
# What went through a state is sent on to where the state leads; the state's own rate of leaving is the sum of its
# steps to others, never one minus its steps to itself. All numbers are sums and ratios of numbers ≥ 0, so that every
# result is good to about as many digits as a float has, however rarely journeys end.


def eliminated_worth(chain: Chain) -> Floats:
    """(n, m) rewards expected from each state.

    Examples
    --------
    >>> from scipy import sparse
    >>> steps = sparse.csr_array(np.array([[0.0, 4.0], [0.0, 2.0]]))
    >>> chain = Chain(steps, np.array([0.0, 4.0]), np.array([[0.0], [1.0]]), np.array([-1, 0]))
    >>> eliminated_worth(chain).ravel().tolist()
    [0.25, 0.25]
    """
    rates = np.column_stack([chain.steps.toarray(), chain.exits, chain.rewards])
    worth = np.zeros_like(chain.rewards)
    _eliminate(rates, 1)
    _substitute(rates, worth)
    return worth


def eliminated_hits(chain: Chain) -> Floats:
    """(n,) probability that a state is the first of its channel's states to be reached.

    The states of half the channels are taken out, then of half the rest, until only the start and one channel are
    left: that costs about as much as one inverse for all channels together.
    """
    hits = np.zeros(len(chain.exits))
    rates = np.column_stack([chain.steps.toarray(), chain.exits])
    _split(rates, np.arange(len(hits)), chain.member, hits)
    return hits


def _split(rates: Floats, states: Ints, member: Ints, hits: Floats) -> None:
    """Fill in ``hits`` of ``states``, the start first, from the ``rates`` between them and out of the chain."""
    channels = np.unique(member[states[1:]])
    if len(channels) == 0:
        return
    if len(channels) == 1:
        ways = rates[0, 1:]
        hits[states[1:]] = ways[:-1] / ways.sum()
        return
    is_left = np.isin(member[states], channels[: len(channels) // 2])
    for half in (is_left, ~is_left):
        half[0] = True
        order = np.concatenate([np.flatnonzero(half), np.flatnonzero(~half)])
        size = int(half.sum())
        part = rates[np.ix_(order, np.append(order, len(states)))]
        _eliminate(part, size)
        _split(np.column_stack([part[:size, :size], part[:size, -1]]), states[order[:size]], member, hits)


@njit(cache=True, nogil=True)
def _eliminate(rates, size):
    """Take out the states from the last down to number ``size``.

    Row i of ``rates`` (n, n + 1 + m) are the steps from state i to each state, out of the chain, and its rewards.
    A state that is taken out keeps its row as it was then.
    """
    n = len(rates)
    for k in range(n - 1, size - 1, -1):
        leaving = rates[k, :k].sum() + rates[k, n]
        for i in range(k):
            if rates[i, k] > 0.0:
                share = rates[i, k] / leaving
                for j in range(k):
                    rates[i, j] += share * rates[k, j]
                for j in range(n, rates.shape[1]):
                    rates[i, j] += share * rates[k, j]


@njit(cache=True, nogil=True)
def _substitute(rates, worth):
    n = len(rates)
    for k in range(n):
        leaving = rates[k, :k].sum() + rates[k, n]
        for r in range(worth.shape[1]):
            total = rates[k, n + 1 + r]
            for j in range(k):
                total += rates[k, j] * worth[j, r]
            worth[k, r] = total / leaving


# ---------------------------------------------------------------- removal effects

DENSE_STATES = 200
"""Up to here states are eliminated at once."""

SLOW_STATES = 2_000
"""Up to here they are eliminated if sweeping takes too long."""


class Removal(NamedTuple):
    """``expected`` (m,) rewards expected from the start; ``lost`` (removals, m) of them by each removal."""

    expected: Floats
    lost: Floats

    @property
    def effects(self) -> Floats:
        """(removals, m) share of the expected rewards that is lost."""
        return np.divide(self.lost, self.expected, out=np.zeros_like(self.lost), where=self.expected > 0)


def removal_effects(
    chain: Chain, channels: int, instead: Floats | None = None, *, tolerance: float = TOLERANCE
) -> Removal:
    """What is lost by removing each channel, exactly.

    Parameters
    ----------
    chain : the steps that were counted
    channels : how many there are, whether or not a state belongs to them
    instead : (channels, m) rewards of a journey that goes on without the channel; nothing unless given
    tolerance : relative, of chains too large to be eliminated

    Examples
    --------
    >>> from scipy import sparse
    >>> steps = sparse.csr_array(np.array([[0.0, 4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    >>> chain = Chain(steps, np.array([0.0, 3.0, 1.0]), np.array([[0.0], [1.0], [1.0]]), np.array([-1, 0, 1]))
    >>> removal_effects(chain, 2).effects.round(3).tolist()
    [[1.0], [0.5]]
    """
    worth, hits = _solve(chain, channels, is_lost=instead is None, tolerance=tolerance)
    loss = _loss(worth, chain.member, instead)
    lost = np.zeros((channels, loss.shape[1]))
    np.add.at(lost, chain.member[1:], hits[1:, None] * loss[1:])
    return Removal(worth[0], lost)


def joint_removal(chain: Chain, removed: NDArray[np.bool_], instead: Floats | None = None) -> Removal:
    """What is lost by removing several channels at once: row i of ``removed`` (removals, channels) says which.

    Examples
    --------
    >>> from scipy import sparse
    >>> steps = sparse.csr_array(np.array([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    >>> chain = Chain(steps, np.array([1.0, 2.0, 1.0]), np.array([[1.0], [1.0], [1.0]]), np.array([-1, 0, 1]))
    >>> joint_removal(chain, np.array([[True, True]])).effects.round(3).tolist()
    [[0.667]]
    """
    moves = build_moves(chain)
    worth = state_worth(moves, patient=True, tolerance=TOLERANCE)
    loss = _loss(worth, chain.member, instead)
    return Removal(worth[0], lost_by(moves, removed, _stakes(worth, is_lost=instead is None), loss))


def _loss(worth: Floats, member: NDArray[np.int64], instead: Floats | None) -> Floats:
    """(n, m) what is lost where a state is removed."""
    return worth if instead is None else worth - np.where(member[:, None] >= 0, instead[member], 0.0)


def _stakes(worth: Floats, *, is_lost: bool) -> Floats:
    """(n, m) what must be found exactly: where journeys go on otherwise, reaching a channel matters in itself."""
    return worth if is_lost else np.column_stack([worth, np.ones(len(worth))])


def _solve(chain: Chain, channels: int, *, is_lost: bool, tolerance: float) -> tuple[Floats, Floats]:
    """(n, m) rewards expected from each state, and (n,) how likely it is the first of its channel's."""
    n = len(chain.exits)
    if n > DENSE_STATES:
        moves = build_moves(chain)
        try:
            worth = state_worth(moves, patient=n > SLOW_STATES, tolerance=tolerance)
            stakes = _stakes(worth, is_lost=is_lost)
            return worth, first_hits(moves, channels, stakes, patient=n > SLOW_STATES, tolerance=tolerance)
        except TooSlowError:
            pass
    return eliminated_worth(chain), eliminated_hits(chain)
