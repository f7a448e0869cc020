"""Counting the steps of an order-k chain: a state is the last k channels of a journey.

A step is a row of digits (k channels of the state, then what follows), packed into as few int64 words as it
needs. Digit ``channels`` stands for "before the start" in a state, and for conversion as what follows;
``channels + 1`` for null.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.sums import KeyedSums, sum_by_key, sums_of_counts

Counts = NDArray[np.bool_] | NDArray[np.float64]


DENSE_KEYS = 1 << 20
"""Up to so many possible steps whole counts are kept in one array; beyond, steps are listed and sorted."""


class Slices(NamedTuple):
    """Journeys as slices start[j]:stop[j] of ``channel``; none is empty. ``channels`` is how many there are."""

    start: NDArray[np.signedinteger]
    stop: NDArray[np.signedinteger]
    channel: NDArray[np.int32]
    channels: int


def count_steps(journeys: Slices, conversions: Counts, nulls: Counts, *, order: int) -> KeyedSums:
    """How often each step was taken, under its packed digits.

    Parameters
    ----------
    journeys : n slices
    conversions, nulls : (n,) how often the journey converted and did not; bool where at most once

    Examples
    --------
    >>> journeys = Slices(np.array([0]), np.array([2]), np.array([0, 1], np.int32), 2)
    >>> steps = count_steps(journeys, np.array([True]), np.array([False]), order=1)
    >>> unpack(steps.keys, channels=2, order=1).tolist()
    [[0, 1], [1, 2], [2, 0]]
    """
    layout = _layout(journeys.channels, order)
    possible = (journeys.channels + 2) ** (order + 1)
    if conversions.dtype == np.bool_ and nulls.dtype == np.bool_ and possible <= DENSE_KEYS:
        counts = np.zeros(possible, np.int64)
        _count(journeys, conversions, nulls, layout, counts)
        taken = np.flatnonzero(counts)
        return KeyedSums(taken[:, None], sums_of_counts(counts[taken]))
    rows = int((journeys.stop - journeys.start).sum()) + 2 * len(journeys.start)
    keys = np.zeros((rows, _words(layout)), np.int64)
    terms = np.zeros(rows)
    conversions, nulls = (np.asarray(taken, dtype=np.float64) for taken in (conversions, nulls))
    used = _list(journeys, conversions, nulls, layout, (keys, terms))
    return sum_by_key(keys[:used], terms[:used])


def last_steps(journeys: Slices, *, order: int) -> NDArray[np.int64]:
    """(n, words) the step to conversion with which each journey would end."""
    layout = _layout(journeys.channels, order)
    keys = np.zeros((len(journeys.start), _words(layout)), np.int64)
    _list_last(journeys, layout, keys)
    return keys


@njit(cache=True, nogil=True)
def distinct_members(journeys):
    """(journey, channel) of every journey and each distinct channel in it, two arrays."""
    size = 0
    for j in range(len(journeys.start)):
        size += min(journeys.stop[j] - journeys.start[j], journeys.channels)
    journey = np.empty(size, np.int64)
    channel = np.empty(size, np.int32)
    seen = np.full(journeys.channels, -1, np.int64)
    used = 0
    for j in range(len(journeys.start)):
        for i in range(journeys.start[j], journeys.stop[j]):
            c = journeys.channel[i]
            if seen[c] != j:
                seen[c] = j
                journey[used] = j
                channel[used] = c
                used += 1
    return journey[:used], channel[:used]


def unpack(keys: NDArray[np.int64], *, channels: int, order: int) -> NDArray[np.int64]:
    """(steps, order + 1) digits of packed steps.

    Examples
    --------
    >>> unpack(np.array([[6]]), channels=2, order=1).tolist()
    [[1, 2]]
    """
    per_word = digits_per_word(channels)
    base = channels + 2
    digits = np.empty((len(keys), order + 1), np.int64)
    for place in range(order + 1):
        word, within = divmod(place, per_word)
        in_word = min(per_word, order + 1 - word * per_word)
        digits[:, place] = keys[:, word] // base ** (in_word - 1 - within) % base
    return digits


def digits_per_word(channels: int) -> int:
    """How many digits of base ``channels + 2`` fit into an int64."""
    return max(1, int(62 / math.log2(channels + 2)))


def _layout(channels: int, order: int) -> tuple[int, int, int]:
    return channels, order, digits_per_word(channels)


def _words(layout: tuple[int, int, int]) -> int:
    _, order, per_word = layout
    return -(-(order + 1) // per_word)


@njit(cache=True, nogil=True)
def _count(journeys, conversions, nulls, layout, counts):
    channels, order, _ = layout
    base = channels + 2
    states = base**order
    fresh = 0
    for _ in range(order):
        fresh = fresh * base + channels
    for j in range(len(journeys.start)):
        if not (conversions[j] or nulls[j]):
            continue
        state = fresh
        for i in range(journeys.start[j], journeys.stop[j]):
            step = state * base + journeys.channel[i]
            counts[step] += 1
            state = step % states
        counts[state * base + channels] += conversions[j]
        counts[state * base + channels + 1] += nulls[j]


@njit(cache=True, nogil=True)
def _pack(window, last, layout, row):
    channels, order, per_word = layout
    base = channels + 2
    for word in range(len(row)):
        packed = 0
        for place in range(word * per_word, min((word + 1) * per_word, order + 1)):
            packed = packed * base + (window[place] if place < order else last)
        row[word] = packed


@njit(cache=True, nogil=True)
def _list(journeys, conversions, nulls, layout, out):
    channels, order, _ = layout
    keys, terms = out
    window = np.empty(order, np.int64)
    used = 0
    for j in range(len(journeys.start)):
        taken = conversions[j] + nulls[j]
        if taken == 0.0:
            continue
        window[:] = channels
        for i in range(journeys.start[j], journeys.stop[j]):
            _pack(window, journeys.channel[i], layout, keys[used])
            terms[used] = taken
            used += 1
            window[:-1] = window[1:]
            window[-1] = journeys.channel[i]
        for last, count in ((channels, conversions[j]), (channels + 1, nulls[j])):
            if count > 0.0:
                _pack(window, last, layout, keys[used])
                terms[used] = count
                used += 1
    return used


@njit(cache=True, nogil=True)
def _list_last(journeys, layout, keys):
    channels, order, _ = layout
    window = np.empty(order, np.int64)
    for j in range(len(journeys.start)):
        window[:] = channels
        for i in range(max(journeys.start[j], journeys.stop[j] - order), journeys.stop[j]):
            window[:-1] = window[1:]
            window[-1] = journeys.channel[i]
        _pack(window, channels, layout, keys[j])
