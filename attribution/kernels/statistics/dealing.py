"""Dealing the journeys of aggregated paths to buckets, each journey by itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.statistics.draws import Words, draw_bits, draw_words

Floats = NDArray[np.float64]

FEW = 100
"""Up to so many journeys are dealt one by one."""

MANY = 1 << 24
"""The ones among more random bits than this are not counted: their number is normal to one part in thousands."""


class Dealt(NamedTuple):
    """What of which row went to which part: (deals,) arrays, at most two deals of a row to the same part."""

    row: NDArray[np.int64]
    part: NDArray[np.int64]
    conversions: Floats
    nulls: Floats
    value: Floats


def path_words(
    journeys: tuple[NDArray[np.signedinteger], NDArray[np.signedinteger], NDArray[np.int32]], *columns: Floats
) -> Words:
    """(rows,) random bits for each row: from what is in it, and from how many equal rows there are besides it.

    Parameters
    ----------
    journeys : start, stop and channel: row j is channel[start[j]:stop[j]]
    columns : what else is in a row
    """
    words = _row_words(*journeys)
    for column in columns:
        words = _mix_with(words, column.view(np.uint64))
    return np.asarray(draw_words(words + occurrence(words), 5))


def occurrence(words: Words) -> Words:
    """(n,) numbers 0, 1, … for equal words, in any order.

    Examples
    --------
    >>> sorted(occurrence(np.array([7, 3, 7, 7], np.uint64))[[0, 2, 3]].tolist())
    [0, 1, 2]
    """
    # What is equal need not keep its order, and sorting without keeping it is several times as quick.
    return np.asarray(_number_repeats(words, np.argsort(words)))


@njit(cache=True, nogil=True)
def deal(words, conversions, nulls, value, parts):
    """Deal rows that stand for many journeys, each journey by itself, to ``parts`` groups, a power of two.

    Many are halved again and again: what goes to the left is the number of ones among as many random bits, which
    is binomial exactly. A fraction of a journey, or value without a conversion, goes to one part whole.

    Parameters
    ----------
    words : (n,) random bits of each row
    conversions, nulls : (n,) how often its journey converted and did not
    value : (n,) of all its conversions

    Returns
    -------
    Dealt
    """
    size = 0
    for i in range(len(words)):
        size += min(np.float64(parts), conversions[i] + nulls[i]) + 1
    row, part = np.empty(int(size), np.int64), np.empty(int(size), np.int64)
    dealt = np.empty(int(size)), np.empty(int(size)), np.empty(int(size))
    piles, row_of_part = np.zeros(parts, np.int64), np.full(parts, -1, np.int64)
    used = 0
    for i in range(len(words)):
        first = used
        each = value[i] / conversions[i] if conversions[i] > 0.0 else 0.0
        for k in range(2):
            word, count = draw_bits(words[i], k), int(conversions[i] if k == 0 else nulls[i])
            if count > FEW:
                _halve(word, count, piles)
            for unit in range(parts if count > FEW else count):
                p = unit if count > FEW else np.int64(draw_bits(word, unit) % np.uint64(parts))
                taken = piles[p] if count > FEW else 1
                if taken == 0:
                    continue
                if row_of_part[p] < 0:
                    row_of_part[p] = used
                    row[used], part[used] = i, p
                    dealt[0][used] = dealt[1][used] = 0.0
                    used += 1
                dealt[k][row_of_part[p]] += taken
        for d in range(first, used):
            row_of_part[part[d]] = -1
            dealt[2][d] = dealt[0][d] * each
        fraction, unused = conversions[i] % 1.0, nulls[i] % 1.0
        is_bare = conversions[i] == 0.0 and value[i] > 0.0
        if fraction > 0.0 or unused > 0.0 or is_bare:
            row[used], part[used] = i, np.int64(draw_bits(words[i], 3) % np.uint64(parts))
            dealt[0][used], dealt[1][used] = fraction, unused
            dealt[2][used] = value[i] if is_bare else fraction * each
            used += 1
    return Dealt(row[:used], part[:used], dealt[0][:used], dealt[1][:used], dealt[2][:used])


@njit(cache=True, nogil=True)
def _row_words(start, stop, channel):
    """(rows,) 64 random bits for each sequence start[j]:stop[j] of ``channel``."""
    words = np.empty(len(start), np.uint64)
    for j in range(len(start)):
        word = np.uint64(stop[j] - start[j])
        for i in range(start[j], stop[j]):
            word = draw_bits(word, channel[i])
        words[j] = word
    return words


@njit(cache=True, nogil=True)
def _mix_with(words, column):
    result = np.empty(len(words), np.uint64)
    for i in range(len(words)):
        result[i] = draw_bits(words[i] ^ column[i], 4)
    return result


@njit(cache=True, nogil=True)
def _number_repeats(words, order):
    number = np.zeros(len(words), np.uint64)
    for i in range(1, len(words)):
        if words[order[i]] == words[order[i - 1]]:
            number[order[i]] = number[order[i - 1]] + np.uint64(1)
    return number


@njit(cache=True, nogil=True)
def _halve(word, count, piles):
    """Deal ``count`` units into ``piles``, whose number is a power of two."""
    piles[:] = 0
    piles[0] = count
    width = len(piles)
    while width > 1:
        half = width // 2
        for low in range(0, len(piles), width):
            if piles[low]:
                right = count_ones(draw_bits(draw_bits(word, width), low), piles[low])
                piles[low] -= right
                piles[low + half] = right
        width = half


@njit(cache=True, nogil=True)
def _uniform(word):
    return np.int64(word >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def count_ones(word, bits):
    """Ones among ``bits`` random bits."""
    if bits > MANY:
        radius = np.sqrt(-2.0 * np.log1p(-_uniform(draw_bits(word, 0))))
        normal = radius * np.cos(2.0 * np.pi * _uniform(draw_bits(word, 1)))
        return np.int64(np.rint(bits / 2 + normal * np.sqrt(np.float64(bits)) / 2))
    ones = 0
    for i in range(0, bits, 64):
        word_bits = draw_bits(word, i)
        if bits - i < 64:
            word_bits >>= np.uint64(64 - (bits - i))
        while word_bits:
            word_bits &= word_bits - np.uint64(1)
            ones += 1
    return ones
