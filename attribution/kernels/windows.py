"""Counting the steps of an order-k chain: a state is the last k channels of a journey.

A step is a row of digits (k channels of the state, then what follows), packed into as few int64 words as it
needs. Digit ``channels`` stands for "before the start" in a state, and for conversion as what follows;
``channels + 1`` for null.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


def step_keys(
    offsets: NDArray[np.int64],
    channel: NDArray[np.int32],
    conversions: NDArray[np.bool_] | NDArray[np.float64],
    nulls: NDArray[np.bool_] | NDArray[np.float64],
    *,
    channels: int,
    order: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All steps of journeys laid end to end, one row each, with how often they were taken.

    Parameters
    ----------
    offsets : (journeys + 1,) where each journey begins; none is empty
    channel : (touchpoints,)
    conversions, nulls : (journeys,) how often the journey converted and did not

    Returns
    -------
    keys : (steps, words) packed digits
    counts : (steps,)
    """
    per_word = digits_per_word(channels)
    words = -(-(order + 1) // per_word)
    rows = int(offsets[-1]) + 2 * (len(offsets) - 1)
    keys = np.zeros((rows, words), np.int64)
    counts = np.zeros(rows)
    conversions, nulls = (np.asarray(taken, dtype=np.float64) for taken in (conversions, nulls))
    used = _fill(offsets, channel, conversions, nulls, (channels, order, per_word), keys, counts)
    return keys[:used], counts[:used]


def last_states(
    offsets: NDArray[np.int64], channel: NDArray[np.int32], *, channels: int, order: int
) -> NDArray[np.int64]:
    """(journeys, words) the step to conversion with which each journey would end."""
    per_word = digits_per_word(channels)
    keys = np.zeros((len(offsets) - 1, -(-(order + 1) // per_word)), np.int64)
    _fill_last(offsets, channel, (channels, order, per_word), keys)
    return keys


def unpack(keys: NDArray[np.int64], *, channels: int, order: int) -> NDArray[np.int64]:
    """(steps, order + 1) digits of packed steps.

    Examples
    --------
    >>> keys, counts = step_keys(np.array([0, 2]), np.array([0, 1], np.int32), np.ones(1), np.zeros(1),
    ...                          channels=2, order=1)
    >>> unpack(keys, channels=2, order=1).tolist()
    [[2, 0], [0, 1], [1, 2]]
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
def _fill(offsets, channel, conversions, nulls, layout, keys, counts):
    channels, order, _ = layout
    window = np.empty(order, np.int64)
    used = 0
    for j in range(len(offsets) - 1):
        taken = conversions[j] + nulls[j]
        if taken == 0.0:
            continue
        window[:] = channels
        for i in range(offsets[j], offsets[j + 1]):
            _pack(window, channel[i], layout, keys[used])
            counts[used] = taken
            used += 1
            window[:-1] = window[1:]
            window[-1] = channel[i]
        for last, count in ((channels, conversions[j]), (channels + 1, nulls[j])):
            if count > 0.0:
                _pack(window, last, layout, keys[used])
                counts[used] = count
                used += 1
    return used


@njit(cache=True, nogil=True)
def _fill_last(offsets, channel, layout, keys):
    channels, order, _ = layout
    window = np.empty(order, np.int64)
    for j in range(len(offsets) - 1):
        window[:] = channels
        for i in range(max(offsets[j], offsets[j + 1] - order), offsets[j + 1]):
            window[:-1] = window[1:]
            window[-1] = channel[i]
        _pack(window, channels, layout, keys[j])
