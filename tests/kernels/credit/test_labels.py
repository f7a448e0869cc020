"""Channels dealt to touchpoints at random: against a slow twin, and against what multinomial counts must be."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.kernels.credit.labels import (
    MOST_LABELLINGS,
    cut_shares,
    draw_labels,
    find_grains,
    label_paths,
    touchpoint_words,
)
from attribution.kernels.statistics.draws import draw_bits

MASK = (1 << 64) - 1


def mix(word: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def bits(word: int, stream: int) -> int:
    return mix((mix((word + 0x9E3779B97F4A7C15) & MASK) + (stream & MASK) * 0xD1342543DE82EF95) & MASK)


counts = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)


@given(
    counts,
    st.lists(st.tuples(st.integers(0, MASK), st.lists(st.integers(-3, 3), min_size=1, max_size=5)), max_size=5),
    st.integers(0, 19),
)
def test_a_label_is_the_channel_at_the_hash_of_customer_time_and_place(
    touchpoints: list[int], customers: list[tuple[int, list[int]]], shuffle: int
) -> None:
    times = [sorted(at) for _, at in customers]
    stop = np.cumsum([len(at) for at in times], dtype=np.int64)
    start = stop - [len(at) for at in times]
    words = touchpoint_words(
        start,
        stop,
        np.array([word for word, _ in customers], np.uint64),
        np.array([moment for at in times for moment in at], np.int64),
    )
    expected = []
    for (word, _), at in zip(customers, times, strict=True):
        for index, moment in enumerate(at):
            place = at[:index].count(moment)
            u = Fraction(bits(bits(bits(word, moment), place), shuffle) >> 11, 1 << 53)
            # Shares are floats: compared as what they are, not as what they stand for.
            bounds = np.cumsum(np.array(touchpoints, float)) / sum(touchpoints)
            expected.append(next(c for c, bound in enumerate(bounds) if u < Fraction(bound)))
    assert draw_labels(words, cut_shares(np.array(touchpoints, float)), shuffle).tolist() == expected


def test_labels_are_as_frequent_as_their_channels_and_no_shuffle_follows_another() -> None:
    words = np.arange(200_000, dtype=np.uint64)
    shares = np.array([0.5, 0.0, 0.3, 0.2])
    labels = np.stack([draw_labels(words, cut_shares(shares), shuffle) for shuffle in range(2)])
    both = np.zeros((4, 4))
    np.add.at(both, (labels[0], labels[1]), 1 / len(words))
    # Four standard deviations of a share of .25.
    np.testing.assert_allclose(both, np.outer(shares, shares), atol=4 * np.sqrt(0.25 * 0.75 / len(words)))
    assert (both[1] == 0).all()


def test_channels_behind_the_last_touchpoint_are_never_reached() -> None:
    shares = cut_shares(np.array([1.0, 2.0, 0.0, 0.0]))
    assert shares.bounds.tolist() == [1 / 3, 1.0, 1.0, 1.0]
    assert draw_labels(np.arange(5_000, dtype=np.uint64), shares, 3).max() == 1


@given(
    counts,
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([0.0, 1.0, 2.5, 40.0]), st.sampled_from([0.0, 3.0, 70.25])),
        min_size=1,
        max_size=4,
    ),
)
def test_labelled_paths_keep_length_conversions_nulls_and_value(
    touchpoints: list[int], rows: list[tuple[int, float, float]]
) -> None:
    lengths = np.array([length for length, _, _ in rows])
    conversions, nulls = (np.array([row[which] for row in rows]) for which in (1, 2))
    value = 3.0 * conversions + (conversions == 0)
    words = np.arange(len(rows), dtype=np.uint64)
    made = label_paths(lengths, words, (conversions, nulls, value), cut_shares(np.array(touchpoints, float)), 1)
    for name, of in (("conversions", conversions), ("nulls", nulls), ("value", value)):
        np.testing.assert_allclose(np.bincount(made.row, getattr(made, name), len(rows)), of, rtol=1e-12)
    assert made.length.tolist() == lengths[made.row].tolist()
    assert len(made.channel) == made.length.sum()
    assert all(touchpoints[channel] > 0 for channel in made.channel)
    assert not ((made.conversions > 0) & (made.nulls > 0)).any()


def test_many_journeys_of_a_path_are_multinomial_at_every_position() -> None:
    shares, journeys, repeats = np.array([0.6, 0.3, 0.1]), 5_000.0, 400
    counted = np.zeros((repeats, 3, 3))
    for shuffle in range(repeats):
        made = label_paths(
            np.array([2]),
            np.array([11], np.uint64),
            (np.array([journeys]), np.zeros(1), np.zeros(1)),
            cut_shares(shares),
            shuffle,
        )
        pairs = made.channel.reshape(-1, 2)
        np.add.at(counted[shuffle], (pairs[:, 0], pairs[:, 1]), made.conversions)
    p = np.outer(shares, shares)
    deviation = np.sqrt(journeys * p * (1 - p))
    np.testing.assert_allclose(counted.mean(axis=0), journeys * p, atol=4 * deviation.max() / np.sqrt(repeats))
    np.testing.assert_allclose(counted.std(axis=0) / deviation, 1.0, atol=0.15)
    # Neither does one cell follow another, but for what a fixed total makes them.
    correlation = np.corrcoef(counted[:, 0, 0], counted[:, 1, 0])[0, 1]
    expected = -np.sqrt(p[0, 0] * p[1, 0] / ((1 - p[0, 0]) * (1 - p[1, 0])))
    assert correlation == pytest.approx(expected, abs=0.2)


def test_a_path_that_stands_for_millions_has_bounded_labellings() -> None:
    shares = cut_shares(np.full(30, 1.0))
    counts = np.array([5e7]), np.array([100.0]), np.zeros(1)
    grains = find_grains(*counts[:2])
    assert grains == (95, 1)
    made = label_paths(np.array([6]), np.array([1], np.uint64), counts, shares, 0, grains)
    assert (made.conversions.sum(), made.nulls.sum()) == (5e7, 100)
    assert MOST_LABELLINGS / 4 < len(made.row) < 4 * MOST_LABELLINGS
    assert made.nulls.max() == 1
    # The first position is dealt exactly, however many share what follows.
    at_first = np.bincount(made.channel[::6], made.conversions, 30)
    np.testing.assert_allclose(at_first, 5e7 / 30, atol=4.5 * np.sqrt(5e7 / 30))


def test_a_path_that_stands_for_more_than_can_be_counted_one_by_one_is_labelled_at_once() -> None:
    shares = cut_shares(np.array([2.0, 1.0, 1.0]))
    counts = np.array([1e15]), np.zeros(1), np.zeros(1)
    made = label_paths(np.array([2]), np.array([1], np.uint64), counts, shares, 0, find_grains(*counts[:2]))
    assert made.conversions.sum() == pytest.approx(1e15, rel=1e-15)
    at_first = np.bincount(made.channel[::2], made.conversions, 3)
    np.testing.assert_allclose(at_first, [5e14, 2.5e14, 2.5e14], rtol=1e-5)


def test_the_twin_mixes_as_the_kernel_does() -> None:
    assert bits(12345, -7) == int(draw_bits(np.uint64(12345), np.int64(-7)))
