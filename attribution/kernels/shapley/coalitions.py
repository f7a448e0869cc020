"""Which channels a journey touched and how often, packed into int64 words: keys of exact sums, and features.

A coalition of ``channels`` channels is a row of ``ceil(channels / 62)`` words; channel c is bit ``c % 62`` of word
``c // 62``. Packed rows are keys of exact sums, and sort.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# ---------------------------------------------------------------- which distinct channels

BITS = 62
"""Per word: non-negative, and the sums of two words do not overflow."""


def coalitions(
    start: NDArray[np.signedinteger], stop: NDArray[np.signedinteger], channel: NDArray[np.int32], channels: int
) -> NDArray[np.int64]:
    """(journeys, words) coalition of each journey start[j]:stop[j]; all zero for an empty one.

    Examples
    --------
    >>> coalitions(np.array([0, 2]), np.array([2, 2]), np.array([0, 3], np.int32), 4).tolist()
    [[9], [0]]
    """
    keys = np.zeros((len(start), -(-max(channels, 1) // BITS)), np.int64)
    _mark(start, stop, channel, keys)
    return keys


def members(keys: NDArray[np.int64], channels: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The channels of each coalition, ascending: coalition i is ``channel[offsets[i]:offsets[i + 1]]``.

    Examples
    --------
    >>> offsets, channel = members(np.array([[9], [2]]), 4)
    >>> offsets.tolist(), channel.tolist()
    ([0, 2, 3], [0, 3, 1])
    """
    sizes = np.bitwise_count(keys).sum(axis=1, dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return offsets, _unmark(keys, offsets, channels)


@njit(cache=True, nogil=True)
def _mark(start, stop, channel, keys):
    for j in range(len(start)):
        for i in range(start[j], stop[j]):
            c = channel[i]
            keys[j, c // BITS] |= np.int64(1) << np.int64(c % BITS)


@njit(cache=True, nogil=True)
def _unmark(keys, offsets, channels):
    channel = np.empty(offsets[-1], np.int32)
    position = 0
    for i in range(len(keys)):
        for c in range(channels):
            if keys[i, c // BITS] >> np.int64(c % BITS) & 1:
                channel[position] = c
                position += 1
    return channel


# ---------------------------------------------------------------- how many touchpoints of each channel

_BITS = 15
_PER_WORD = 4

MOST = (1 << _BITS) - 1
"""A channel's touchpoints beyond this many in one journey count as this many."""


def channel_counts(
    start: NDArray[np.signedinteger], stop: NDArray[np.signedinteger], channel: NDArray[np.int32], channels: int
) -> NDArray[np.int64]:
    """(journeys, words) touchpoints per channel of each journey start[j]:stop[j], packed.

    Examples
    --------
    >>> packed = channel_counts(np.array([0, 3]), np.array([3, 3]), np.array([5, 0, 5], np.int32), 6)
    >>> unpack_counts(packed, 6).tolist()
    [[1, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0]]
    """
    packed = np.zeros((len(start), -(-max(channels, 1) // _PER_WORD)), np.int64)
    _count(start, stop, channel, np.zeros(channels, np.int64), packed)
    return packed


def unpack_counts(packed: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """(journeys, channels) touchpoints per channel."""
    word, position = np.divmod(np.arange(channels), _PER_WORD)
    return np.asarray(packed[:, word] >> (_BITS * position) & MOST)


def pack_counts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(journeys, words) packed ``counts`` (journeys, channels), the inverse of `unpack_counts`.

    Examples
    --------
    >>> unpack_counts(pack_counts(np.array([[1, 0, 0, 0, 0, 2]])), 6).tolist()
    [[1, 0, 0, 0, 0, 2]]
    """
    channels = counts.shape[1]
    packed = np.zeros((len(counts), -(-max(channels, 1) // _PER_WORD)), np.int64)
    for channel in range(channels):
        word, position = divmod(channel, _PER_WORD)
        packed[:, word] |= counts[:, channel] << _BITS * position
    return packed


@njit(cache=True, nogil=True)
def _count(start, stop, channel, count, packed):
    for j in range(len(start)):
        for i in range(start[j], stop[j]):
            c = channel[i]
            if count[c] < MOST:
                count[c] += 1
                packed[j, c // _PER_WORD] += np.int64(1) << np.int64(_BITS * (c % _PER_WORD))
        for i in range(start[j], stop[j]):
            count[channel[i]] = 0
