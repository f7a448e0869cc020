"""Absorbing Markov chains: conversion probability and exact removal effects.

Removing a channel sends every step into its states A to null. By the strong Markov property the conversions
lost are those that visit A:

    removal effect of A = P(visit A | conversion) = Σ_a h(a) V(a) ÷ V(start),

with h the distribution of the first state of A that is reached and V the conversion probability. The same h
serves value, with V the value expected from a state. Nothing is subtracted, so that small effects keep their
relative precision.

References
----------
.. [1] N. Archak, V. Mirrokni, S. Muthukrishnan, "Mining advertiser-specific user behavior using adfactors",
   WWW 2010.
.. [2] E. Anderl, I. Becker, F. von Wangenheim, J. H. Schumann, "Mapping the customer journey: Lessons learned
   from graph-based online attribution modeling", International Journal of Research in Marketing 33(3), 2016.
.. [3] J. G. Kemeny, J. L. Snell, "Finite Markov Chains", 1960, chapter 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lu_factor, lu_solve
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DENSE_STATES = 2_000
"""Up to here one dense inverse is faster than iterating."""

TOLERANCE = 1e-13
"""Of the iterated solution, relative to each effect."""


class Chain(NamedTuple):
    """An absorbing chain with n transient states, state 0 the start.

    ``steps`` (n, n) sparse counts between transient states; ``out`` (n,) all steps out of a state;
    ``rewards`` (n, m): what leaving to conversion brings, summed (column 0 conversions, column 1 value);
    ``member`` (n,) which channel a state belongs to, −1 for the start.
    """

    steps: sparse.csr_array
    out: Floats
    rewards: Floats
    member: Ints


class Removal(NamedTuple):
    """``expected`` (m,) rewards expected from the start; ``effects`` (channels, m) share lost by removal."""

    expected: Floats
    effects: Floats


def removal_effects(chain: Chain, channels: int) -> Removal:
    """Exact removal effects of every channel.

    Examples
    --------
    >>> steps = sparse.csr_array(np.array([[0.0, 4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    >>> chain = Chain(steps, np.array([4.0, 4.0, 1.0]), np.array([[0.0], [1.0], [1.0]]), np.array([-1, 0, 1]))
    >>> removal_effects(chain, 2).effects.round(3).tolist()
    [[1.0], [0.5]]
    """
    solve = _dense if len(chain.out) <= DENSE_STATES else _iterated
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        worth, hits = solve(chain, channels)
    lost = np.zeros((channels, chain.rewards.shape[1]))
    for c, (states, first_hit) in enumerate(hits):
        lost[c] = first_hit @ worth[states]
    expected = worth[0]
    effects = np.divide(lost, expected, out=np.zeros_like(lost), where=expected > 0)
    return Removal(expected, effects)


def _dense(chain: Chain, channels: int) -> tuple[Floats, list[tuple[Ints, Floats]]]:
    # In counts, not probabilities: the entries are exact, and I − Q only scales its rows.
    laplacian = np.diag(chain.out) - chain.steps.toarray()
    factors = lu_factor(laplacian)
    worth = lu_solve(factors, chain.rewards)
    inverse = lu_solve(factors, np.diag(chain.out))
    hits = []
    for c in range(channels):
        states = np.flatnonzero(chain.member == c)
        visits = inverse[0, states]
        hits.append((states, np.linalg.solve(inverse[np.ix_(states, states)].T, visits) if len(states) else visits))
    return worth, hits


def _iterated(chain: Chain, channels: int) -> tuple[Floats, list[tuple[Ints, Floats]]]:
    # A self-loop changes no probability of where a state leads to in the end, and slows the iteration.
    stay = chain.steps.diagonal()
    leave = (chain.out - stay)[:, None]
    move = sparse.csr_array((chain.steps - sparse.diags_array(stay)) / leave)
    worth = _worth(move, chain.rewards / leave)
    hit = _first_hits(sparse.csr_array(move.T), chain.member, worth, channels)
    return worth, [(states := np.flatnonzero(chain.member == c), hit[states]) for c in range(channels)]


def _worth(move: sparse.csr_array, rewards: Floats) -> Floats:
    """(n, m) rewards expected from each state: the sum of move^t · rewards."""
    worth = rewards.copy()
    step = rewards
    while True:
        before = step.sum()
        step = move @ step
        worth += step
        # Terms shrink in the end by the spectral radius, which their ratio estimates: what is missing is
        # about step ÷ (1 − ratio).
        going_on = 1.0 - step.sum() / before if before > 0 else 1.0
        if (step <= worth * (TOLERANCE * 1e-3 * max(going_on, 1e-9))).all():
            return worth


def _first_hits(backward: sparse.csr_array, member: Ints, worth: Floats, channels: int) -> Floats:
    """(n,) probability that state i is the first of its channel's states to be reached.

    One column of mass per channel: it starts at the start, moves along, and stops where it meets its channel.
    What still moves can bring at most its own worth, which bounds what is missing.
    """
    hit = np.zeros(len(member))
    reaches = np.zeros(channels, dtype=bool)
    reaches[member[(member >= 0) & worth.any(axis=1)]] = True
    active = np.flatnonzero(reaches)
    moving = np.zeros((len(member), len(active)))
    moving[0] = 1.0
    while len(active):
        moving = backward @ moving
        column = np.full(channels + 1, -1)  # the last for the start, whose member is −1
        column[active] = np.arange(len(active))
        own = np.flatnonzero(column[member] >= 0)
        place = column[member[own]]
        hit[own] += moving[own, place]
        moving[own, place] = 0.0
        missing = moving.T @ worth
        found = np.stack([np.bincount(place, hit[own] * of, minlength=len(active)) for of in worth[own].T], axis=1)
        going_on = (missing > TOLERANCE * found).any(axis=1)
        if not going_on.all():
            active, moving = active[going_on], np.ascontiguousarray(moving[:, going_on])
    return hit
