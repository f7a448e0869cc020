"""Channel labels at random: what credit is when it does not matter which channel a touchpoint was.

Every touchpoint gets the channel that a hash of it picks on the cumulative shares of channels. Labels are independent,
not a permutation, so that one touchpoint is labelled without knowing of another, in any order and on any machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.statistics.dealing import count_ones
from attribution.kernels.statistics.draws import Words, draw_bits, draw_scattered, scatter

Floats = NDArray[np.float64]
Positions = NDArray[np.signedinteger]

CELL_BITS = 12
"""Numbers in [0, 1) are looked up by their leading bits, so that most channels are found at once."""

CELLS = 1 << CELL_BITS
_CELL_SHIFT = np.uint64(64 - CELL_BITS)

FEW = 16
"""So many journeys are labelled one by one; more are divided by halves."""

MOST_LABELLINGS = 1 << 19
"""Paths that stand for more journeys than this have about so many labellings, each of several journeys."""


MOST_UNITS = 1 << 40
"""A path that stands for more journeys than this is dealt in so many equal parts."""


class Shares(NamedTuple):
    """Cumulative shares ``bounds`` (channels,), the last 1, and the same in 2^−53.

    ``first`` (CELLS,) is the lowest channel of all numbers with the same leading bits.
    """

    bounds: Floats
    fine: NDArray[np.int64]
    first: NDArray[np.int32]


def cut_shares(touchpoints: Floats) -> Shares:
    """The shares of channels with so many ``touchpoints`` (channels,), not all 0.

    Examples
    --------
    >>> cut_shares(np.array([1.0, 0.0, 3.0])).bounds.tolist()
    [0.25, 0.25, 1.0]
    """
    largest = touchpoints / touchpoints.max()
    bounds = np.cumsum(largest) / largest.sum()
    # Channels behind the last one with a touchpoint are never reached.
    bounds[np.flatnonzero(touchpoints)[-1] :] = 1.0
    first = np.searchsorted(bounds, np.arange(CELLS) / CELLS, side="right").astype(np.int32)
    return Shares(bounds, np.ceil(np.ldexp(bounds, 53)).astype(np.int64), first)


@njit(cache=True, nogil=True)
def touchpoint_words(start, stop, customer, at):
    """(touchpoints,) random bits of each touchpoint: of its customer, its time, and its place among equal times.

    They are scattered, so that the same bits need not be mixed again for every shuffle.

    Parameters
    ----------
    start, stop : (journeys,) journey j is touchpoints start[j] … stop[j] − 1
    customer : (journeys,) random bits of each journey's customer
    at : (touchpoints,) times, ascending within a journey
    """
    words = np.zeros(len(at), np.uint64)
    for j in range(len(start)):
        repeats = 0
        for i in range(start[j], stop[j]):
            repeats = repeats + 1 if i > start[j] and at[i] == at[i - 1] else 0
            words[i] = scatter(draw_bits(draw_bits(customer[j], at[i]), repeats))
    return words


def draw_labels(words: Words, shares: Shares, shuffle: int, out: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """(touchpoints,) the channel that each touchpoint has in one ``shuffle``; in ``out`` where that is given.

    Examples
    --------
    >>> words = np.arange(10_000, dtype=np.uint64)
    >>> np.bincount(draw_labels(words, cut_shares(np.array([1.0, 0.0, 3.0])), 0)).tolist()
    [2566, 0, 7434]
    """
    labels = np.empty(len(words), np.int32) if out is None else out
    _label(words, shares, shuffle, labels)
    return labels


class Labelled(NamedTuple):
    """Paths with labels: ``channel`` end to end, and for each path its row, length and counts (paths,)."""

    channel: NDArray[np.int32]
    row: NDArray[np.int64]
    length: NDArray[np.int64]
    conversions: Floats
    nulls: Floats
    value: Floats


def find_grains(conversions: Floats, nulls: Floats) -> tuple[int, int]:
    """How many conversions, and how many nulls, share a labelling: one, unless there are too many of them.

    Examples
    --------
    >>> find_grains(np.array([3.0, 5.0]), np.array([1e6, 3e6]))
    (1, 7)
    """
    units = (int(np.minimum(of, MOST_UNITS).sum()) for of in (conversions, nulls))
    of_conversions, of_nulls = (max(1, of // MOST_LABELLINGS) for of in units)
    return of_conversions, of_nulls


def label_paths(
    lengths: NDArray[np.int64],
    words: Words,
    counts: tuple[Floats, Floats, Floats],
    shares: Shares,
    shuffle: int,
    grains: tuple[int, int] = (1, 1),
) -> Labelled:
    """Label paths that stand for many journeys, every journey by itself.

    How many of a row's journeys get which channel at a position is multinomial exactly; so few as ``grains`` say share
    what follows. A fraction of a journey, or value without a conversion, is one more.

    Parameters
    ----------
    lengths : (rows,) touchpoints of each path
    words : (rows,) random bits of each
    counts : conversions, nulls and value (rows,)
    shares, shuffle : as for `draw_labels`
    grains : what `find_grains` gives of all paths

    Examples
    --------
    >>> made = label_paths(np.array([1]), np.array([7], np.uint64), (np.array([1e6]), np.zeros(1), np.array([2e6])),
    ...                    cut_shares(np.array([1.0, 3.0])), 0)
    >>> made.channel.tolist(), made.conversions.tolist(), float(made.value.sum())
    ([0, 1], [249706.0, 750294.0], 2000000.0)
    """
    most = max((float(of.max(initial=0.0)) for of in counts[:2]), default=0.0)
    depth = int(min(most, float(lengths.max(initial=0)) * len(shares.bounds))) + len(shares.bounds) + 1
    return Labelled(*_label_paths(lengths, words, counts, shares, shuffle, (*grains, depth)))


@njit(cache=True, nogil=True)
def _label(words, shares, shuffle, labels):
    bounds, first = shares.fine, shares.first
    for i in range(len(words)):
        word = draw_scattered(words[i], shuffle)
        # Without a sign, places in an array need not be looked at for being counted from its end.
        fine, channel = np.int64(word >> np.uint64(11)), np.uint64(first[word >> _CELL_SHIFT])
        while fine >= bounds[channel]:
            channel += np.uint64(1)
        labels[i] = channel


@njit(cache=True, nogil=True)
def _uniform(word):
    return np.int64(word >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def _channel(shares, u):
    channel = shares.first[int(u * CELLS)]
    while u >= shares.bounds[channel]:
        channel += 1
    return channel


@njit(cache=True, nogil=True)
def _label_paths(lengths, words, counts, shares, shuffle, sizes):
    conversions, nulls, value = counts
    depth = sizes[2]
    stack = np.empty((2, depth), np.int64), np.empty(depth, np.uint64), np.empty(depth, np.int32)
    tallies = np.zeros(len(shares.bounds), np.int64), np.empty(len(shares.bounds), np.int32)
    labels = np.empty(int(lengths.max()) if len(lengths) else 0, np.int32)
    flat, leaf, kind = np.empty(1 << 10, np.int32), np.empty(1 << 8, np.int64), np.empty(1 << 8, np.int8)
    size = np.empty(1 << 8)
    written, made = 0, 0
    for j in range(len(lengths)):
        word = draw_bits(words[j], shuffle)
        is_bare = conversions[j] == 0.0 and value[j] > 0.0
        # Whole conversions, whole nulls, what is left of both, and value that has no conversion.
        for part in range(5):
            if part < 2:
                count = conversions[j] if part == 0 else nulls[j]
                units = np.int64(min(count, np.float64(MOST_UNITS)))
                weight = count / MOST_UNITS if count > MOST_UNITS else 1.0
            else:
                weight = (conversions[j] % 1.0, nulls[j] % 1.0, 1.0 if is_bare else 0.0)[part - 2]
                units = np.int64(weight > 0.0)
            if units == 0:
                continue
            grain = sizes[part % 2]
            stack[0][0, 0], stack[0][1, 0], stack[1][0] = 0, units, draw_bits(word, part)
            top = 1
            while top > 0:
                top -= 1
                at, number, own = stack[0][0, top], stack[0][1, top], stack[1][top]
                if at > 0:
                    labels[at - 1] = stack[2][top]
                if number > grain and at < lengths[j]:
                    used = _divide(draw_bits(own, 0), number, shares, tallies)
                    for n in range(used):
                        channel = tallies[1][n]
                        stack[0][0, top], stack[0][1, top] = at + 1, tallies[0][channel]
                        stack[1][top], stack[2][top] = draw_bits(own, 1 + channel), channel
                        tallies[0][channel] = 0
                        top += 1
                    continue
                for i in range(at, lengths[j]):
                    labels[i] = _channel(shares, _uniform(draw_bits(own, i)))
                if written + lengths[j] > len(flat):
                    flat = _longer(flat, written + lengths[j])
                if made == len(leaf):
                    leaf, kind, size = _longer(leaf, made), _longer(kind, made), _longer(size, made)
                flat[written : written + lengths[j]] = labels[: lengths[j]]
                written += lengths[j]
                leaf[made], kind[made], size[made] = j, part, number * weight
                made += 1
    leaf = leaf[:made]
    out = _counts_of(leaf, kind, size, conversions, value)
    return flat[:written], leaf, lengths[leaf], out[0], out[1], out[2]


@njit(cache=True, nogil=True)
def _counts_of(leaf, kind, size, conversions, value):
    """(3, paths) conversions, nulls and value of labelled paths, given their row, part and number."""
    out = np.zeros((3, len(leaf)))
    for n in range(len(leaf)):
        j = leaf[n]
        if kind[n] == 4:
            out[2, n] = value[j]
        elif kind[n] % 2 == 0:
            out[0, n] = size[n]
            out[2, n] = size[n] * (value[j] / conversions[j])
        else:
            out[1, n] = size[n]
    return out


@njit(cache=True, nogil=True)
def _divide(word, number, shares, tallies):
    """Deal ``number`` journeys to channels; ``tallies`` gets counts, and which channels have any; returns how many.

    Numbers in [0, 1) that are cut in half again and again: to the right go as many as there are ones among as many
    random bits, until all that is left lies within one channel.
    """
    counts, channels = tallies
    used = 0
    low, width, left, bits = np.empty(64), np.empty(64), np.empty(64, np.int64), np.empty(64, np.uint64)
    low[0], width[0], left[0], bits[0] = 0.0, 1.0, number, word
    top = 1
    while top > 0:
        top -= 1
        here, wide, units, own = low[top], width[top], left[top], bits[top]
        channel = _channel(shares, here)
        is_whole = here + wide <= shares.bounds[channel]
        if is_whole or units <= FEW or top > 60:
            for unit in range(1 if is_whole else units):
                if not is_whole:
                    channel = _channel(shares, here + wide * _uniform(draw_bits(own, unit)))
                if counts[channel] == 0:
                    channels[used] = channel
                    used += 1
                counts[channel] += units if is_whole else 1
            continue
        right = count_ones(draw_bits(own, 1), units)
        for half in range(2):
            units_there = units - right if half == 0 else right
            if units_there > 0:
                low[top], width[top] = here + half * wide / 2, wide / 2
                left[top], bits[top] = units_there, draw_bits(own, 2 + half)
                top += 1
    return used


@njit(cache=True, nogil=True)
def _longer(array, least):
    longer = np.empty(2 * max(least, len(array)), array.dtype)
    longer[: len(array)] = array
    return longer
