"""Taking states out of a chain one by one, without a subtraction.

What went through a state is sent on to where the state leads; the state's own rate of leaving is the sum of its
steps to others, never one minus its steps to itself. All numbers are sums and ratios of numbers ≥ 0, so that every
result is good to about as many digits as a float has, however rarely journeys end.

References
----------
.. [1] W. K. Grassmann, M. I. Taksar, D. P. Heyman, "Regenerative analysis and steady state distributions for
   Markov chains", Operations Research 33(5), 1985.
.. [2] C. A. O'Cinneide, "Entrywise perturbation theory and error analysis for Markov chains", Numerische
   Mathematik 65, 1993.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.markov.chains import Chain

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    for kept in (is_left, ~is_left):
        kept[0] = True
        order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
        size = int(kept.sum())
        part = rates[np.ix_(order, np.append(order, len(states)))]
        _eliminate(part, size)
        _split(np.column_stack([part[:size, :size], part[:size, -1]]), states[order[:size]], member, hits)


@njit(cache=True, nogil=True)
def _eliminate(rates, kept):
    """Take out the states from the last down to number ``kept``.

    Row i of ``rates`` (n, n + 1 + m) are the steps from state i to each state, out of the chain, and its rewards.
    A state that is taken out keeps its row as it was then.
    """
    n = len(rates)
    for k in range(n - 1, kept - 1, -1):
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
