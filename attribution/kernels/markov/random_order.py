"""Steps of journeys whose touchpoints come in random order: as expected, exactly, and as drawn.

What credit is then shows how much of it lies in the order of touchpoints.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.markov.step_counts import Slices, digit_bits
from attribution.kernels.statistics.draws import Words, draw_bits, draw_scattered, scatter
from attribution.kernels.statistics.sums import ExactSums, KeyedSums, exact_sums, merge_keyed, sum_by_key

Floats = NDArray[np.float64]

MOST_TERMS = 2_000_000
"""So many terms are summed up at once: a journey of many channels has as many as pairs of them."""


def expected_steps(journeys: Slices, conversions: Floats, nulls: Floats) -> KeyedSums:
    """How often each step of order 1 is taken on average over all orders of each journey's touchpoints.

    Keys are those of `count_steps`.

    Parameters
    ----------
    journeys : n slices
    conversions, nulls : (n,) how often the journey converted and did not

    Examples
    --------
    Of mail > search and search > mail, one half each.

    >>> from attribution.kernels.markov.step_counts import unpack
    >>> from attribution.kernels.statistics.sums import to_float
    >>> journeys = Slices(np.array([0]), np.array([2]), np.array([0, 1], np.int32), 2)
    >>> steps = expected_steps(journeys, np.array([3.0]), np.array([0.0]))
    >>> unpack(steps.keys, channels=2, order=1).tolist()
    [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    >>> to_float(steps.sums).tolist()
    [1.5, 1.5, 1.5, 1.5, 1.5, 1.5]
    """
    ends = np.cumsum(_count_terms(journeys))
    edges = np.flatnonzero(np.diff(ends // MOST_TERMS)) + 1
    total = sum_by_key(np.zeros((0, 1), np.int64), np.zeros(0))
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(ends)], strict=True):
        part = journeys._replace(start=journeys.start[low:high], stop=journeys.stop[low:high])
        size = int(ends[high - 1] - (ends[low - 1] if low else 0)) if high > low else 0
        keys, terms = np.empty(size, np.int64), np.empty(size)
        used = _list_expected(part, conversions[low:high], nulls[low:high], digit_bits(journeys.channels), keys, terms)
        total = merge_keyed(total, _sum(keys[:used], terms[:used], 1 << 2 * digit_bits(journeys.channels)))
    return total


def _sum(keys: NDArray[np.int64], terms: Floats, possible: int) -> KeyedSums:
    """Sums by key, of which so many are possible; where these are few none need be looked for."""
    if possible > len(keys):
        return sum_by_key(keys[:, None], terms)
    sums = exact_sums(keys, terms, possible)
    taken = np.flatnonzero(sums.limbs.any(axis=1))
    return KeyedSums(taken[:, None], ExactSums(sums.limbs[taken], sums.base))


@njit(cache=True, nogil=True)
def journey_words(customer, at):
    """(n,) random bits of each journey: of its customer's (n,) and of its time or kind ``at`` (n,)."""
    words = np.empty(len(customer), np.uint64)
    for j in range(len(customer)):
        words[j] = draw_bits(customer[j], at[j])
    return words


def shuffle_order(journeys: Slices, words: Words, shuffle: int) -> Slices:
    """The journeys end to end, the touchpoints of each in an order that its ``words`` (n,) and ``shuffle`` draw.

    Examples
    --------
    >>> journeys = Slices(np.array([0]), np.array([4]), np.array([3, 1, 2, 0], np.int32), 4)
    >>> shuffle_order(journeys, np.array([7], np.uint64), 0).channel.tolist()
    [1, 0, 3, 2]
    """
    ends = np.cumsum(journeys.stop - journeys.start).astype(np.int64)
    channel = np.empty(int(ends[-1]) if len(ends) else 0, np.int32)
    _shuffle(journeys, words, shuffle, channel)
    return journeys._replace(start=ends - (journeys.stop - journeys.start), stop=ends, channel=channel)


@njit(cache=True, nogil=True)
def _shuffle(journeys, words, shuffle, out):
    used = 0
    for j in range(len(journeys.start)):
        word = scatter(draw_bits(words[j], shuffle))
        first = journeys.start[j]
        for i in range(journeys.stop[j] - first):
            # The upper half of the bits is a fraction of 2^32; i + 1 places are chosen from with it.
            k = np.int64(((draw_scattered(word, i) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
            out[used + i] = out[used + k]
            out[used + k] = journeys.channel[first + i]
        used += journeys.stop[j] - first


@njit(cache=True, nogil=True)
def _count_terms(journeys):
    """(n,) how many steps each journey may take, by its distinct channels."""
    terms = np.empty(len(journeys.start), np.int64)
    last = np.full(journeys.channels, -1, np.int64)
    for j in range(len(journeys.start)):
        distinct = 0
        for i in range(journeys.start[j], journeys.stop[j]):
            if last[journeys.channel[i]] != j:
                last[journeys.channel[i]] = j
                distinct += 1
        terms[j] = distinct * (distinct + 3)
    return terms


@njit(cache=True, nogil=True)
def _list_expected(journeys, conversions, nulls, bits, keys, terms):
    """Fill ``keys`` and ``terms``; returns how many there are."""
    channels = journeys.channels
    times, members = np.zeros(channels, np.int64), np.empty(channels, np.int64)
    used = 0
    for j in range(len(journeys.start)):
        distinct = 0
        for i in range(journeys.start[j], journeys.stop[j]):
            c = journeys.channel[i]
            if times[c] == 0:
                members[distinct] = c
                distinct += 1
            times[c] += 1
        weight = conversions[j] + nulls[j]
        length = journeys.stop[j] - journeys.start[j]
        for m in range(distinct):
            c = members[m]
            share = times[c] / length
            used = _add(keys, terms, used, channels << bits | c, weight * share)
            used = _add(keys, terms, used, c << bits | channels, conversions[j] * share)
            used = _add(keys, terms, used, c << bits | channels + 1, nulls[j] * share)
            for n in range(distinct):
                d = members[n]
                follows = times[d] - 1 if d == c else times[d]
                used = _add(keys, terms, used, c << bits | d, weight * (times[c] * follows / length))
        for m in range(distinct):
            times[members[m]] = 0
    return used


@njit(cache=True, nogil=True)
def _add(keys, terms, used, key, term):
    """Write a term unless it is 0; returns how many there are."""
    if term == 0.0:
        return used
    keys[used], terms[used] = key, term
    return used + 1
