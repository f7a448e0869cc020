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

from attribution.kernels.journeys.ids import text_hashes

Words = NDArray[np.uint64]

_POISSON = np.cumsum(np.exp(-1.0) / np.cumprod(np.concatenate([[1.0], np.arange(1, 20)])))
"""Distribution function of Poisson(1)."""


def id_words(ids: pa.Array) -> Words:
    """(n,) 64 random bits for each id, an integer or a text without nulls.

    Examples
    --------
    >>> words = id_words(pa.array(["a", "b", "a"]))
    >>> bool(words[0] == words[2]), bool(words[0] == words[1])
    (True, False)
    """
    if pa.types.is_integer(ids.type):
        return np.asarray(draw_words(ids.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64), 1))
    return np.asarray(draw_words(text_hashes(ids.cast(pa.large_string())), 2))


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
        weights[draw] = np.searchsorted(_POISSON, uniform(draw_words(words, seed), draw), side="right")
    return weights


def uniform(words: Words, stream: int) -> NDArray[np.float64]:
    """(n,) numbers in [0, 1), one per word and stream."""
    result: NDArray[np.float64] = (draw_words(words, stream) >> np.uint64(11)) * 2.0**-53
    return result


@njit(cache=True, nogil=True)
def _mix(word):
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True, nogil=True)
def draw_bits(word, stream):
    """64 random bits for a word of one ``stream``, a whole number."""
    return draw_scattered(scatter(word), stream)


@njit(cache=True, nogil=True)
def scatter(word):
    """The half of `draw_bits` that is the same for all streams of a word."""
    return _mix(word + np.uint64(0x9E3779B97F4A7C15))


@njit(cache=True, nogil=True)
def draw_scattered(word, stream):
    """The other half: `draw_bits` of the word that was scattered."""
    return _mix(word + np.uint64(stream) * np.uint64(0xD1342543DE82EF95))


@njit(cache=True, nogil=True)
def draw_words(words, stream):
    """(n,) 64 random bits for each word (n,) of one ``stream``, a whole number."""
    result = np.empty(len(words), np.uint64)
    for i in range(len(words)):
        result[i] = draw_bits(words[i], stream)
    return result


@njit(cache=True, nogil=True)
def _throw(weights, seed):
    draws, size = weights.shape
    for draw in range(draws):
        for ball in range(size):
            word = draw_bits(draw_bits(seed, draw), ball)
            weights[draw, word % np.uint64(size)] += 1.0
