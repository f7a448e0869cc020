"""Packed coalitions and counts at the edges of their words."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.shapley.coalitions import MOST, channel_counts, coalitions, members, pack_counts, unpack_counts


@pytest.mark.parametrize(("channels", "words"), [(0, 1), (1, 1), (62, 1), (63, 2), (124, 2), (125, 3)])
def test_a_word_holds_62_channels(channels: int, words: int) -> None:
    none = np.zeros(1, np.int64)
    assert coalitions(none, none, np.zeros(0, np.int32), channels).tolist() == [[0] * words]


def test_channels_at_the_edges_of_words() -> None:
    channel = np.array([0, 61, 62, 61, 123, 124, 0], np.int32)
    keys = coalitions(np.array([0, 2, 4, 7]), np.array([2, 4, 7, 7]), channel, 125)
    assert keys.tolist() == [[1 + (1 << 61), 0, 0], [1 << 61, 1, 0], [1, 1 << 61, 1], [0, 0, 0]]
    offsets, found = members(keys, 125)
    assert offsets.tolist() == [0, 2, 4, 7, 7]
    assert found.tolist() == [0, 61, 61, 62, 0, 123, 124]


@pytest.mark.parametrize(("channels", "words"), [(0, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_a_word_holds_the_counts_of_four_channels(channels: int, words: int) -> None:
    none = np.zeros(1, np.int64)
    assert channel_counts(none, none, np.zeros(0, np.int32), channels).shape == (1, words)
    assert pack_counts(np.zeros((2, channels), np.int64)).shape == (2, words)


def test_counts_of_each_journey_begin_anew() -> None:
    channel = np.array([3, 4, 3, 8, 3, 4, 4], np.int32)
    packed = channel_counts(np.array([0, 3, 3]), np.array([3, 3, 7]), channel, 9)
    assert packed.tolist() == [[2 << 45, 1, 0], [0, 0, 0], [1 << 45, 2, 1]]
    counts = unpack_counts(packed, 9)
    assert counts.tolist() == [[0, 0, 0, 2, 1, 0, 0, 0, 0], [0] * 9, [0, 0, 0, 1, 2, 0, 0, 0, 1]]
    assert pack_counts(counts).tolist() == packed.tolist()


@pytest.mark.parametrize("touches", [MOST - 1, MOST, MOST + 1])
def test_more_touchpoints_than_can_be_counted_count_as_the_most(touches: int) -> None:
    assert MOST == 32_767
    channel = np.append(np.zeros(touches, np.int32), np.int32(1))
    packed = channel_counts(np.array([0]), np.array([len(channel)]), channel, 2)
    assert unpack_counts(packed, 2).tolist() == [[min(touches, MOST), 1]]
