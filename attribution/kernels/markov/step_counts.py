"""Counting the steps of an order-k chain: a state is the last k channels of a journey.

A step is a row of digits (k channels of the state, then what follows), each of as many bits as the largest needs,
packed into as few int64 words as that takes. Digit ``channels`` stands for "before the start" in a state, and for
conversion as what follows; ``channels + 1`` for null.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.statistics.sums import KeyedSums, stack_labelled, sum_by_key, sums_of_counts
from attribution.kernels.uncounted import uncounted

Counts = NDArray[np.bool_] | NDArray[np.int64] | NDArray[np.float64]

DENSE_KEYS = 1 << 20
"""Up to so many possible steps whole counts are kept in one array; beyond, under hashed keys."""


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
    rows = int((journeys.stop - journeys.start).sum()) + 2 * len(journeys.start)
    if _words(layout) == 1 and _is_whole(conversions, rows) and _is_whole(nulls, rows):
        keys, counts = _count_whole(journeys, conversions.astype(np.int64), nulls.astype(np.int64), layout)
        return KeyedSums(keys[:, None], sums_of_counts(counts))
    keys = np.zeros((rows, _words(layout)), np.int64)
    terms = np.zeros(rows)
    conversions, nulls = (np.asarray(taken, dtype=np.float64) for taken in (conversions, nulls))
    used = _list(journeys, conversions, nulls, layout, (keys, terms))
    return sum_by_key(keys[:used], terms[:used])


def count_bucket_steps(
    journeys: Slices, bucket: NDArray[np.int64], conversions: Counts, nulls: Counts, *, order: int
) -> KeyedSums:
    """`count_steps` of each bucket, whose label leads the keys; ``bucket`` (n,) ascends.

    Examples
    --------
    >>> journeys = Slices(np.array([0, 1]), np.array([1, 2]), np.array([0, 1], np.int32), 2)
    >>> taken, never = np.array([True, True]), np.array([False, False])
    >>> count_bucket_steps(journeys, np.array([5, 9]), taken, never, order=1).keys.tolist()
    [[5, 2], [5, 8], [9, 6], [9, 9]]
    """
    edges = np.concatenate([np.flatnonzero(np.diff(bucket, prepend=-1)), [len(bucket)]])
    rows = int((journeys.stop - journeys.start).sum()) + 2 * len(bucket)
    if _is_whole(conversions, rows) and _is_whole(nulls, rows):
        # Looked at once, not bucket by bucket.
        conversions, nulls = conversions.astype(np.int64), nulls.astype(np.int64)
    parts = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = journeys._replace(start=journeys.start[low:high], stop=journeys.stop[low:high])
        parts.append((int(bucket[low]), count_steps(part, conversions[low:high], nulls[low:high], order=order)))
    return stack_labelled(parts)


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
    last_journey = np.full(journeys.channels, -1, np.int64)
    used = 0
    for j in range(len(journeys.start)):
        for i in range(journeys.start[j], journeys.stop[j]):
            c = journeys.channel[i]
            if last_journey[c] != j:
                last_journey[c] = j
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
    per_word, bits = digits_per_word(channels), digit_bits(channels)
    digits = np.empty((len(keys), order + 1), np.int64)
    for position in range(order + 1):
        word, within = divmod(position, per_word)
        in_word = min(per_word, order + 1 - word * per_word)
        digits[:, position] = keys[:, word] >> bits * (in_word - 1 - within) & (1 << bits) - 1
    return digits


def pack(digits: NDArray[np.int64], *, channels: int) -> NDArray[np.int64]:
    """(steps, words) steps packed from their ``digits`` (steps, order + 1), the inverse of `unpack`.

    Examples
    --------
    >>> pack(np.array([[1, 2]]), channels=2).tolist()
    [[6]]
    """
    per_word, bits = digits_per_word(channels), digit_bits(channels)
    words = []
    for low in range(0, digits.shape[1], per_word):
        part = digits[:, low : low + per_word]
        words.append(part @ (1 << bits * np.arange(part.shape[1] - 1, -1, -1)))
    return np.stack(words, axis=1)


def shorten_steps(keys: NDArray[np.int64], *, channels: int, order: int, to: int) -> NDArray[np.int64]:
    """Packed steps of ``order`` as steps of a lower one: the state is the last ``to`` channels.

    Examples
    --------
    >>> shorten_steps(pack(np.array([[0, 1, 2]]), channels=2), channels=2, order=2, to=1).tolist()
    [[6]]
    """
    if keys.shape[1] == 1:
        return keys & (1 << digit_bits(channels) * (to + 1)) - 1
    return pack(unpack(keys, channels=channels, order=order)[:, order - to :], channels=channels)


def digit_bits(channels: int) -> int:
    """How many bits hold every channel, the start or conversion, and null."""
    return (channels + 1).bit_length()


def digits_per_word(channels: int) -> int:
    """How many digits fit into an int64."""
    return 62 // digit_bits(channels)


def _layout(channels: int, order: int) -> tuple[int, int, int]:
    return channels, order, digit_bits(channels)


def _words(layout: tuple[int, int, int]) -> int:
    channels, order, _ = layout
    return -(-(order + 1) // digits_per_word(channels))


def _is_whole(counts: Counts, rows: int) -> bool:
    """Whether ``counts`` are whole numbers whose sums over ``rows`` steps fit into an int64, as integers do."""
    if counts.dtype.kind in "bi":
        return True
    return float(counts.max(initial=0.0)) * rows < 2.0**62 and bool((counts == np.floor(counts)).all())


def _count_whole(
    journeys: Slices, conversions: NDArray[np.int64], nulls: NDArray[np.int64], layout: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps in one word that were taken, ascending, and how often."""
    channels, order, _ = layout
    possible = 1 << digit_bits(channels) * (order + 1)
    if possible <= min(DENSE_KEYS, 4 * int((journeys.stop - journeys.start).sum())):
        counts = np.zeros(possible, np.int64)
        _count(journeys, conversions, nulls, layout, counts)
        taken = np.flatnonzero(counts)
        return taken, counts[taken]
    keys, counts = _count_hashed(journeys, conversions, nulls, layout)
    ascending = np.argsort(keys)
    return keys[ascending], counts[ascending]


@uncounted()
def _count(journeys, conversions, nulls, layout, counts):
    start, stop, channel = journeys.start, journeys.stop, journeys.channel
    channels, order, bits = layout
    # Without a sign, places in an array need not be looked at for being counted from its end.
    shift, mask = np.uint64(bits), np.uint64((1 << bits * order) - 1)
    fresh = 0
    for _ in range(order):
        fresh = fresh << bits | channels
    for j in range(len(start)):
        taken = conversions[j] + nulls[j]
        if taken == 0:
            continue
        state = np.uint64(fresh)
        for i in range(np.uint64(start[j]), np.uint64(stop[j])):
            step = state << shift | np.uint64(channel[i])
            counts[step] += taken
            state = step & mask
        counts[state << shift | np.uint64(channels)] += conversions[j]
        counts[state << shift | np.uint64(channels + 1)] += nulls[j]


@njit(cache=True, nogil=True)
def _count_hashed(journeys, conversions, nulls, layout):
    """Distinct steps in no order, and how often each was taken."""
    channels, order, bits = layout
    mask = (1 << bits * order) - 1
    fresh = 0
    for _ in range(order):
        fresh = fresh << bits | channels
    keys, counts = np.full(1 << 10, -1, np.int64), np.zeros(1 << 10, np.int64)
    used = 0
    for j in range(len(journeys.start)):
        taken = conversions[j] + nulls[j]
        if taken == 0:
            continue
        if 2 * (used + journeys.stop[j] - journeys.start[j] + 2) > len(keys):
            keys, counts = _wider(keys, counts, journeys.stop[j] - journeys.start[j] + 2)
        state = fresh
        for i in range(journeys.start[j], journeys.stop[j]):
            step = state << bits | np.int64(journeys.channel[i])
            used += _tally(keys, counts, step, taken)
            state = step & mask
        used += _tally(keys, counts, state << bits | channels, conversions[j])
        used += _tally(keys, counts, state << bits | channels + 1, nulls[j])
    return keys[keys >= 0], counts[keys >= 0]


@njit(cache=True, nogil=True)
def _tally(keys, counts, key, taken):
    """Add to an open-addressed table; 1 if the key is new."""
    if taken == 0:
        return 0
    mask = len(keys) - 1
    slot = (key * 0x1E3779B97F4A7C15 >> 20) & mask
    while keys[slot] >= 0:
        if keys[slot] == key:
            counts[slot] += taken
            return 0
        slot = (slot + 1) & mask
    keys[slot], counts[slot] = key, taken
    return 1


@njit(cache=True, nogil=True)
def _wider(keys, counts, more):
    size = 4 * len(keys)
    while size < 4 * (len(keys) // 2 + more):
        size *= 2
    wide, sums = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    for slot in range(len(keys)):
        if keys[slot] >= 0:
            _tally(wide, sums, keys[slot], counts[slot])
    return wide, sums


@njit(cache=True, nogil=True)
def _pack(window, last, layout, row):
    _, order, bits = layout
    per_word = 62 // bits
    for word in range(len(row)):
        packed = 0
        for position in range(word * per_word, min((word + 1) * per_word, order + 1)):
            packed = packed << bits | (window[position] if position < order else last)
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
        for position in range(order):
            i = journeys.stop[j] - order + position
            window[position] = journeys.channel[i] if i >= journeys.start[j] else channels
        _pack(window, channels, layout, keys[j])
