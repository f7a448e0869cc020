"""Events that are put among others: at random instants, whatever else happens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.statistics.draws import Words, uniform


class CustomerEvents(NamedTuple):
    """Events of whole customers: see `attribution.kernels.journeys.cut.cut_journeys`."""

    starts: NDArray[np.int64]
    at: NDArray[np.int64]
    ref: NDArray[np.int64]
    cost: NDArray[np.float64]


def poisson_distribution(rate: float) -> NDArray[np.float64]:
    """Distribution function of Poisson(``rate``) at 0, 1, …, as far as it can be told from 1, and then 1.

    Examples
    --------
    >>> poisson_distribution(2.0)[:3].round(6).tolist()
    [0.135335, 0.406006, 0.676676]
    """
    # Whoever scores has no placebo, and should not wait for this import.
    from scipy.special import gammaln

    counts = np.arange(int(rate + 12 * np.sqrt(rate) + 30))
    return np.append(np.minimum(np.cumsum(np.exp(counts * np.log(rate) - rate - gammaln(counts + 1))), 1.0), 1.0)


def random_instants(
    words: Words, distribution: NDArray[np.float64], first: int, last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Instants of a Poisson process for each customer, uniform from ``first`` to ``last``.

    Only comparisons and products of floats are used, which are the same wherever a customer stands in an array.

    Parameters
    ----------
    words : (customers,) 64 random bits each, see `attribution.kernels.statistics.draws`
    distribution : distribution function of how many there are at 0, 1, …, ending with 1

    Returns
    -------
    customer, at : (instants,) by customer, then ascending

    Examples
    --------
    >>> customer, at = random_instants(np.array([7, 8], np.uint64), poisson_distribution(3.0), 10, 19)
    >>> customer.tolist(), at.tolist()
    ([0, 0, 0, 1, 1, 1, 1, 1], [10, 15, 19, 10, 10, 11, 12, 17])
    """
    counts = np.searchsorted(distribution, uniform(words, 0), side="right")
    owners, instants = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number in range(1, int(counts.max(initial=0)) + 1):
        owner = np.flatnonzero(counts >= number)
        after = (uniform(words[owner], number) * (last - first + 1)).astype(np.int64)
        owners.append(owner)
        instants.append(first + np.minimum(after, last - first))
    customer, at = np.concatenate(owners), np.concatenate(instants)
    order = np.lexsort((at, customer))
    return customer[order], at[order]


def insert_events(
    events: CustomerEvents, customer: NDArray[np.int64], at: NDArray[np.int64], ref: int
) -> CustomerEvents:
    """Events with further ones of one ``ref``, free of cost, in the order of time.

    Parameters
    ----------
    events : of whole customers, ascending within each
    customer, at : (further,) by customer, then ascending

    Examples
    --------
    >>> events = CustomerEvents(np.array([0, 2, 3]), np.array([1, 5, 2]), np.array([4, -1, 4]), np.zeros(0))
    >>> more = insert_events(events, np.array([0, 1]), np.array([3, 9]), 6)
    >>> more.starts.tolist(), more.at.tolist(), more.ref.tolist()
    ([0, 3, 5], [1, 3, 5, 2, 9], [4, 6, -1, 4, 6])
    """
    size = len(events.at) + len(at)
    more = np.bincount(customer, minlength=len(events.starts) - 1)
    starts = events.starts + np.concatenate([np.zeros(1, np.int64), np.cumsum(more)])
    has_cost = len(events.cost) > 0
    merged = CustomerEvents(starts, np.empty(size, np.int64), np.empty(size, np.int64), np.zeros(size * has_cost))
    _merge(events, customer, at, ref, merged)
    return merged


@njit(cache=True, nogil=True)
def _merge(events, customer, at, ref, merged):
    has_cost = len(events.cost) > 0
    taken = 0
    position = 0
    for c in range(len(events.starts) - 1):
        for i in range(events.starts[c], events.starts[c + 1]):
            while taken < len(at) and customer[taken] == c and at[taken] < events.at[i]:
                merged.at[position], merged.ref[position] = at[taken], ref
                taken += 1
                position += 1
            merged.at[position], merged.ref[position] = events.at[i], events.ref[i]
            if has_cost:
                merged.cost[position] = events.cost[i]
            position += 1
        while taken < len(at) and customer[taken] == c:
            merged.at[position], merged.ref[position] = at[taken], ref
            taken += 1
            position += 1
