"""One weight per touchpoint: the rule-based family.

All functions take journeys laid end to end: ``offsets`` (journeys + 1,) marks where each begins, every journey
has at least one touchpoint, and the weights come back one per touchpoint, not normalised.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def first(offsets: Ints) -> Floats:
    """1 on the first touchpoint of each journey."""
    weights = np.zeros(int(offsets[-1]))
    weights[offsets[:-1]] = 1.0
    return weights


def last(offsets: Ints) -> Floats:
    """1 on the last touchpoint of each journey."""
    weights = np.zeros(int(offsets[-1]))
    weights[offsets[1:] - 1] = 1.0
    return weights


@njit(cache=True, nogil=True)
def last_other_than(offsets, channel, excluded):
    """1 on the last touchpoint whose channel is not ``excluded`` (channels,); on the last if all are."""
    weights = np.zeros(offsets[-1])
    for j in range(len(offsets) - 1):
        chosen = offsets[j + 1] - 1
        for i in range(offsets[j + 1] - 1, offsets[j] - 1, -1):
            if not excluded[channel[i]]:
                chosen = i
                break
        weights[chosen] = 1.0
    return weights


def position(offsets: Ints, at_first: float, at_last: float) -> Floats:
    """``at_first`` and ``at_last`` at the ends, the rest spread evenly between.

    Journeys of two share by the ratio of the two; with no share at either end, evenly.
    """
    lengths = np.diff(offsets)
    middle = max(0.0, 1.0 - at_first - at_last)
    between = np.where(lengths > 2, middle / np.maximum(lengths - 2, 1), 0.0)
    weights = np.repeat(between, lengths)
    weights[offsets[:-1]] = at_first
    weights[offsets[1:] - 1] = at_last
    weights[offsets[:-1][lengths == 1]] = 1.0
    return weights


def time_decay(offsets: Ints, age: Floats, half_life: float) -> Floats:
    """2^(−age ÷ half-life); ``age`` (touchpoints,) in the unit of ``half_life``.

    Ages are taken from the newest touchpoint of the journey, which changes no share and keeps the weights of
    old journeys from vanishing.
    """
    newest = np.minimum.reduceat(age, offsets[:-1]) if len(offsets) > 1 else age
    return np.exp2((np.repeat(newest, np.diff(offsets)) - age) / half_life)


@njit(cache=True, nogil=True)
def distinct_channels(offsets, channel, channels):
    """1 ÷ (touchpoints of the same channel in the journey): every distinct channel weighs the same."""
    weights = np.empty(offsets[-1])
    count = np.zeros(channels, np.int64)
    for j in range(len(offsets) - 1):
        for i in range(offsets[j], offsets[j + 1]):
            count[channel[i]] += 1
        for i in range(offsets[j], offsets[j + 1]):
            weights[i] = 1.0 / count[channel[i]]
        for i in range(offsets[j], offsets[j + 1]):
            count[channel[i]] = 0
    return weights


@njit(cache=True, nogil=True)
def first_marked(offsets, digit, marks):
    """The first touchpoint of each journey whose ``digit`` (touchpoints,) is each of ``marks`` (stages,).

    Returns (journeys, stages) positions; −1 where there is none.
    """
    positions = np.full((len(offsets) - 1, len(marks)), -1, np.int64)
    for j in range(len(offsets) - 1):
        for stage in range(len(marks)):
            for i in range(offsets[j], offsets[j + 1]):
                if digit[i] == marks[stage]:
                    positions[j, stage] = i
                    break
    return positions


@njit(cache=True, nogil=True)
def anchor_weights(offsets, anchors, share, spread):
    """``share`` for the first and the last touchpoint and each of ``anchors`` (journeys, stages), −1 for none.

    The shares of one touchpoint add up; ``spread`` is divided evenly between touchpoints without one.
    """
    weights = np.zeros(offsets[-1])
    for j in range(len(offsets) - 1):
        low, high = offsets[j], offsets[j + 1]
        weights[low] += share
        weights[high - 1] += share
        for stage in range(anchors.shape[1]):
            if anchors[j, stage] >= 0:
                weights[anchors[j, stage]] += share
        without_share = 0
        for i in range(low, high):
            without_share += weights[i] == 0.0
        for i in range(low, high):
            if weights[i] == 0.0:
                weights[i] = spread / without_share
    return weights


def positions(offsets: Ints) -> Ints:
    """1, 2, 3, … along each journey."""
    return np.arange(1, int(offsets[-1]) + 1) - np.repeat(offsets[:-1], np.diff(offsets))


def weights_by_position(offsets: Ints, weights: Floats) -> Floats:
    """``weights`` (n,) of the first, second, … touchpoint; the last of them for all that come later."""
    result: Floats = weights[np.minimum(positions(offsets), len(weights)) - 1]
    return result


@njit(cache=True, nogil=True)
def shares(offsets, weights):
    """Weight ÷ sum of weights within each journey; equal shares where all are zero.

    Returns the shares and the number of journeys whose weights were all zero.
    """
    result = np.empty(len(weights))
    without = 0
    for j in range(len(offsets) - 1):
        low, high = offsets[j], offsets[j + 1]
        largest = 0.0
        for i in range(low, high):
            largest = max(largest, weights[i])
        if largest == 0.0:
            without += 1
            for i in range(low, high):
                result[i] = 1.0 / (high - low)
            continue
        # Relative to the largest, so that neither tiny nor huge weights spoil the sum.
        total = 0.0
        for i in range(low, high):
            result[i] = weights[i] / largest
            total += result[i]
        for i in range(low, high):
            result[i] /= total
    return result, without
