"""How many touchpoints of each channel a journey has, packed into int64 words: keys of exact sums, and features."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

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
    >>> unpacked(packed, 6).tolist()
    [[1, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0]]
    """
    packed = np.zeros((len(start), -(-max(channels, 1) // _PER_WORD)), np.int64)
    _count(start, stop, channel, np.zeros(channels, np.int64), packed)
    return packed


def unpacked(packed: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """(journeys, channels) touchpoints per channel."""
    word, place = np.divmod(np.arange(channels), _PER_WORD)
    return np.asarray(packed[:, word] >> (_BITS * place) & MOST)


def repacked(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(journeys, words) packed ``counts`` (journeys, channels), the inverse of `unpacked`.

    Examples
    --------
    >>> unpacked(repacked(np.array([[1, 0, 0, 0, 0, 2]])), 6).tolist()
    [[1, 0, 0, 0, 0, 2]]
    """
    channels = counts.shape[1]
    packed = np.zeros((len(counts), -(-max(channels, 1) // _PER_WORD)), np.int64)
    for channel in range(channels):
        word, place = divmod(channel, _PER_WORD)
        packed[:, word] |= counts[:, channel] << _BITS * place
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
