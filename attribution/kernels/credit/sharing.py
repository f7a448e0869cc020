"""Sets of channels that share what journeys hand out: the compiled sums behind `attribution.kernels.credit.raking`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SMALLEST = 1e-280


class Sets(NamedTuple):
    """Sets of at least two members, numbered 0 … k − 1, and what each member has to itself, (k,)."""

    offsets: Ints
    member: NDArray[np.int32]
    amounts: Floats
    alone: Floats


@njit(cache=True, nogil=True)
def spread(offsets, channel, log_weights, factor):
    """Weights of touchpoints that give every channel of a journey a share in proportion to its λ.

    Journeys lie end to end as in `attribution.kernels.credit.weights`; the weights are those that share as wanted once
    they are multiplied by ``factor`` (touchpoints,) > 0, by which the touchpoints of one channel differ. They are
    relative to the largest λ of the journey, so that not all of them are zero.
    """
    weights = np.empty(offsets[-1])
    parts = np.zeros(len(log_weights))
    for j in range(len(offsets) - 1):
        largest = -np.inf
        for i in range(offsets[j], offsets[j + 1]):
            parts[channel[i]] += factor[i]
            largest = max(largest, log_weights[channel[i]])
        for i in range(offsets[j], offsets[j + 1]):
            weights[i] = np.exp(log_weights[channel[i]] - largest) / parts[channel[i]]
        for i in range(offsets[j], offsets[j + 1]):
            parts[channel[i]] = 0.0
    return weights


@njit(cache=True, nogil=True)
def within(offsets, channel, amounts, height, here):
    """The sets whose highest member lies in block ``here``, without their members in other blocks."""
    number = np.cumsum(height == here) - 1
    alone = np.zeros(np.count_nonzero(height == here))
    kept, entries = 0, 0
    for fill in range(2):
        if fill == 0:
            starts, members, left = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
        else:
            starts, members, left = np.zeros(kept + 1, np.int64), np.empty(entries, np.int32), np.empty(kept)
        kept, entries = 0, 0
        for i in range(len(amounts)):
            if amounts[i] == 0:
                continue
            inside, last, highest = 0, -1, -1
            for k in range(offsets[i], offsets[i + 1]):
                highest = max(highest, height[channel[k]])
                if height[channel[k]] == here:
                    inside += 1
                    last = number[channel[k]]
            if highest != here:
                continue
            if inside == 1:
                if fill == 0:
                    alone[last] += amounts[i]
                continue
            if fill == 1:
                for k in range(offsets[i], offsets[i + 1]):
                    if height[channel[k]] == here:
                        members[entries] = number[channel[k]]
                        entries += 1
                left[kept] = amounts[i]
                starts[kept + 1] = entries
            else:
                entries += inside
            kept += 1
    return Sets(starts, members, left, alone)


@njit(cache=True, nogil=True)
def components(offsets, member, size):
    """(size,) number of the component of each member, by its smallest member."""
    parent = np.arange(size)
    for i in range(len(offsets) - 1):
        a = member[offsets[i]]
        while parent[a] != a:
            a = parent[a]
        for k in range(offsets[i] + 1, offsets[i + 1]):
            b = member[k]
            while parent[b] != b:
                b = parent[b]
            a, b = min(a, b), max(a, b)
            parent[b] = a
    label = np.zeros(size, np.int64)
    found = 0
    for c in range(size):
        if parent[c] == c:
            label[c] = found
            found += 1
        else:
            label[c] = label[parent[c]]
    return label


@njit(cache=True, nogil=True)
def share(offsets, member, amounts, alone, log_weights):
    """(k,) totals; (k, k) below the diagonal Σ over sets of amount · share of one member · share of the other."""
    top = -np.inf
    for log_weight in log_weights:
        top = max(top, log_weight)
    weights = np.exp(log_weights - top)
    totals = alone.copy()
    links = np.zeros((len(alone), len(alone)))
    shares = np.empty(len(alone))
    for i in range(len(amounts)):
        low, high = offsets[i], offsets[i + 1]
        total = 0.0
        for k in range(low, high):
            shares[k - low] = weights[member[k]]
            total += shares[k - low]
        if total < _SMALLEST:
            largest = -np.inf
            for k in range(low, high):
                largest = max(largest, log_weights[member[k]])
            total = 0.0
            for k in range(low, high):
                shares[k - low] = np.exp(log_weights[member[k]] - largest)
                total += shares[k - low]
        for k in range(low, high):
            shares[k - low] /= total
            part = amounts[i] * shares[k - low]
            totals[member[k]] += part
            for earlier in range(low, k):
                c, d = member[k], member[earlier]
                links[max(c, d), min(c, d)] += part * shares[earlier - low]
    return totals, links


@njit(cache=True, nogil=True)
def to_highest(offsets, member, amounts, alone, rank):
    """(k,) totals if every set gave all to its member of highest rank."""
    totals = alone.copy()
    for i in range(len(amounts)):
        highest = member[offsets[i]]
        for k in range(offsets[i] + 1, offsets[i + 1]):
            if rank[member[k]] > rank[highest]:
                highest = member[k]
        totals[highest] += amounts[i]
    return totals


@njit(cache=True, nogil=True)
def potentials(links, flow):
    """Potentials u whose flows ``links[c, d] · (u_c − u_d)``, summed over d, are ``flow`` (k,); u_0 is 0.

    Gaussian elimination from the last member to the first without a subtraction of links, so that members which
    share next to nothing with the others are as exact as the rest. ``links`` is overwritten.
    """
    n = len(flow)
    outward = np.zeros(n)
    flow = flow.copy()
    potential = np.zeros(n)
    for c in range(n - 1, 0, -1):
        outward[c] = links[c, :c].sum()
        if outward[c] < _SMALLEST:
            continue
        for d in range(c):
            share = links[c, d] / outward[c]
            flow[d] += flow[c] * share
            for e in range(d):
                links[d, e] += share * links[c, e]
    for c in range(1, n):
        if outward[c] >= _SMALLEST:
            potential[c] = (flow[c] + (links[c, :c] * potential[:c]).sum()) / outward[c]
    return potential
