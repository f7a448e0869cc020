"""Random numbers that depend on nothing but their key: no state, so no order of asking.

A number is the splitmix64 finaliser of its key. The same key gives the same number on every machine, in any order
of rows and on any thread.

References
----------
.. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
.. [2] J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (counter-based generators).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.codes import text_hashes

Words = NDArray[np.uint64]

_POISSON = np.cumsum(np.exp(-1.0) / np.cumprod(np.concatenate([[1.0], np.arange(1, 20)])))
"""Distribution function of Poisson(1)."""

FEW = 100
"""Up to so many units are dealt one by one."""


def id_words(ids: pa.Array) -> Words:
    """(n,) 64 random bits for each id, an integer or a text without nulls.

    Examples
    --------
    >>> words = id_words(pa.array(["a", "b", "a"]))
    >>> bool(words[0] == words[2]), bool(words[0] == words[1])
    (True, False)
    """
    if pa.types.is_integer(ids.type):
        return np.asarray(mixed(ids.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64), 1))
    return np.asarray(mixed(text_hashes(ids.cast(pa.large_string())), 2))


def multinomial_weights(draws: int, size: int, seed: int) -> NDArray[np.float64]:
    """(draws, size) how often each of ``size`` groups is drawn when ``size`` are drawn with replacement.

    Examples
    --------
    >>> multinomial_weights(2, 5, seed=1).sum(axis=1).tolist()
    [5.0, 5.0]
    """
    weights = np.zeros((draws, size))
    _throw(weights, np.uint64(seed))
    return weights


def poisson_weights(draws: int, words: Words, seed: int) -> NDArray[np.float64]:
    """(draws, n) Poisson(1) numbers, one per draw and word (n,)."""
    weights = np.empty((draws, len(words)))
    for draw in range(draws):
        weights[draw] = np.searchsorted(_POISSON, uniform(mixed(words, seed), draw), side="right")
    return weights


def uniform(words: Words, stream: int) -> NDArray[np.float64]:
    """(n,) numbers in [0, 1), one per word and stream."""
    return (mixed(words, stream) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def _mix(word):
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True, nogil=True)
def _key(word, stream):
    return _mix(_mix(word + np.uint64(0x9E3779B97F4A7C15)) + np.uint64(stream) * np.uint64(0xD1342543DE82EF95))


@njit(cache=True, nogil=True)
def mixed(words, stream):
    """(n,) 64 random bits for each word (n,) of one ``stream``, a whole number."""
    result = np.empty(len(words), np.uint64)
    for i in range(len(words)):
        result[i] = _key(words[i], stream)
    return result


def occurrence(words: Words) -> NDArray[np.int64]:
    """(n,) how many equal words come before each.

    Examples
    --------
    >>> occurrence(np.array([7, 3, 7, 7], np.uint64)).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(words, kind="stable")
    ordered = words[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
    place = np.arange(len(order))
    before = np.empty(len(order), np.int64)
    before[order] = place - np.maximum.accumulate(np.where(starts, place, 0))
    return before


@njit(cache=True, nogil=True)
def row_words(start, stop, channel):
    """(rows,) 64 random bits for each sequence start[j]:stop[j] of ``channel``."""
    words = np.empty(len(start), np.uint64)
    for j in range(len(start)):
        word = np.uint64(stop[j] - start[j])
        for i in range(start[j], stop[j]):
            word = _key(word, channel[i])
        words[j] = word
    return words


@njit(cache=True, nogil=True)
def _throw(weights, seed):
    draws, size = weights.shape
    for draw in range(draws):
        for ball in range(size):
            word = _key(_key(seed, draw), ball)
            weights[draw, word % np.uint64(size)] += 1.0


@njit(cache=True, nogil=True)
def deal(words, counts, parts):
    """Deal whole ``counts`` (n, m), each unit by itself, to ``parts`` groups, a power of two.

    Many are halved again and again: what goes to the left is the number of ones among as many random bits, which
    is binomial exactly.

    Returns
    -------
    row, part : (deals,) what was dealt and to which group
    dealt : (deals, m) how many; never all zero
    """
    n, m = counts.shape
    size = 0
    for i in range(n):
        size += min(parts, counts[i].sum())
    row, part = np.empty(size, np.int64), np.empty(size, np.int64)
    dealt = np.zeros((size, m), np.int64)
    piles, place = np.zeros(parts, np.int64), np.full(parts, -1, np.int64)
    used = 0
    for i in range(n):
        first = used
        for k in range(m):
            word, count = _key(words[i], k), counts[i, k]
            if count > FEW:
                _halve(word, count, piles)
            for unit in range(parts if count > FEW else count):
                p = unit if count > FEW else np.int64(_key(word, unit) % np.uint64(parts))
                taken = piles[p] if count > FEW else 1
                if taken == 0:
                    continue
                if place[p] < 0:
                    place[p] = used
                    row[used], part[used] = i, p
                    used += 1
                dealt[place[p], k] += taken
        for d in range(first, used):
            place[part[d]] = -1
    return row[:used], part[:used], dealt[:used]


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
                right = _ones(_key(_key(word, width), low), piles[low])
                piles[low] -= right
                piles[low + half] = right
        width = half


@njit(cache=True, nogil=True)
def _ones(word, bits):
    """Ones among ``bits`` random bits."""
    ones = 0
    for i in range(0, bits, 64):
        drawn = _key(word, i)
        if bits - i < 64:
            drawn >>= np.uint64(64 - (bits - i))
        while drawn:
            drawn &= drawn - np.uint64(1)
            ones += 1
    return ones
