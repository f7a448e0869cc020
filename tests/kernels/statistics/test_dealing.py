"""Journeys of aggregated paths are dealt whole, each by itself, and by chance alone."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.statistics.dealing import FEW, count_ones, deal, occurrence, path_words
from attribution.kernels.statistics.draws import draw_words

PARTS = 8


def words_of(count: int, stream: int = 0) -> np.ndarray:
    return draw_words(np.arange(count, dtype=np.uint64), stream)


def dealt(conversions: list[float], nulls: list[float], value: list[float]) -> list[dict[str, np.ndarray]]:
    """By row: what each part got of its conversions, nulls and value."""
    taken = deal(words_of(len(value)), np.array(conversions), np.array(nulls), np.array(value), PARTS)
    rows = []
    for row in range(len(value)):
        of_row = {name: np.zeros(PARTS) for name in ("conversions", "nulls", "value")}
        here = taken.row == row
        for name, parts in of_row.items():
            np.add.at(parts, taken.part[here], getattr(taken, name)[here])
        rows.append(of_row)
    return rows


def test_equal_words_are_numbered_and_others_start_anew() -> None:
    words = np.array([5, 2, 5, 9, 5, 2], np.uint64)
    numbers = occurrence(words)
    assert sorted(numbers[words == 5].tolist()) == [0, 1, 2]
    assert sorted(numbers[words == 2].tolist()) == [0, 1]
    assert numbers[3] == 0
    assert occurrence(np.array([1, 2, 3], np.uint64)).tolist() == [0, 0, 0]


def test_equal_rows_get_words_of_their_own_whatever_the_order() -> None:
    channel = np.array([0, 1, 0, 1, 1, 0, 0, 1], np.int32)
    start, stop = np.array([0, 2, 4, 6]), np.array([2, 4, 6, 8])
    value = np.array([1.0, 1.0, 1.0, 2.0])
    words = path_words((start, stop, channel), value)
    assert len(set(words.tolist())) == 4
    back = path_words((start[::-1], stop[::-1], channel), value[::-1])
    assert sorted(back.tolist()) == sorted(words.tolist())
    # One channel less is another row.
    assert path_words((start, stop - np.array([1, 0, 0, 0]), channel), value)[0] not in words


@pytest.mark.parametrize("count", [1.0, 7.0, float(FEW - 1), float(FEW), float(FEW + 1), 5000.0])
def test_whole_journeys_stay_whole_and_none_is_lost(count: float) -> None:
    (row,) = dealt([count], [2 * count], [30.0 * count])
    for name, total in (("conversions", count), ("nulls", 2 * count)):
        assert row[name].sum() == total
        assert (row[name] == np.floor(row[name])).all()
    assert row["value"].tolist() == (30.0 * row["conversions"]).tolist()


def test_fractions_and_value_without_a_conversion_go_to_one_part() -> None:
    rows = dealt([2.5, 0.0, 0.25, 0.0], [0.0, 0.0, 1.5, 0.75], [10.0, 8.0, 1.0, 0.0])
    assert sorted(rows[0]["conversions"] % 1.0)[-2:] == [0.0, 0.5]
    assert rows[0]["value"].tolist() == (4.0 * rows[0]["conversions"]).tolist()
    assert sorted(rows[1]["value"])[-2:] == [0.0, 8.0]
    assert rows[1]["conversions"].sum() == rows[1]["nulls"].sum() == 0.0
    assert sorted(rows[2]["conversions"])[-2:] == [0.0, 0.25]
    assert rows[2]["nulls"].sum() == 1.5
    assert rows[2]["value"].sum() == 1.0
    assert sorted(rows[3]["nulls"])[-2:] == [0.0, 0.75]


def test_a_row_of_nothing_is_dealt_to_nobody() -> None:
    taken = deal(words_of(2), np.zeros(2), np.array([0.0, 1.0]), np.zeros(2), PARTS)
    assert taken.row.tolist() == [1]
    assert (taken.nulls.tolist(), taken.value.tolist()) == ([1.0], [0.0])


def test_a_part_has_at_most_two_deals_of_a_row() -> None:
    taken = deal(words_of(3), np.array([300.5, 40.5, 3.0]), np.array([250.0, 60.0, 2.5]), np.ones(3), PARTS)
    pairs, counts = np.unique(np.stack([taken.row, taken.part]), axis=1, return_counts=True)
    assert counts.max() <= 2
    assert set(pairs[0]) == {0, 1, 2}
    assert set(taken.part) <= set(range(PARTS))


@pytest.mark.parametrize("count", [60, 101, 128, 129, 640])
def test_shares_of_parts_are_binomial(count: int) -> None:
    """Mean and variance over 300 rows, each within five standard errors; and parts do not hang together."""
    rows = 300
    taken = deal(words_of(rows, 1), np.full(rows, float(count)), np.zeros(rows), np.zeros(rows), PARTS)
    got = np.zeros((rows, PARTS))
    np.add.at(got, (taken.row, taken.part), taken.conversions)
    variance = count / PARTS * (1 - 1 / PARTS)
    assert np.abs(got.mean(axis=0) - count / PARTS).max() < 5 * np.sqrt(variance / rows)
    assert np.abs(got.var(axis=0) / variance - 1.0).max() < 5 * np.sqrt(2 / rows)
    correlation = np.corrcoef(got.T)[~np.eye(PARTS, dtype=bool)]
    assert np.abs(correlation + 1 / (PARTS - 1)).max() < 5 / np.sqrt(rows)


def test_the_ones_among_very_many_bits_are_as_scattered_as_those_that_are_counted() -> None:
    words = draw_words(np.arange(2_000, dtype=np.uint64), 1)
    for bits in (1 << 10, 1 << 30, 1 << 40):
        z = np.array([(count_ones(word, bits) - bits / 2) / np.sqrt(bits / 4) for word in words])
        assert abs(z.mean()) < 4 / np.sqrt(len(z))
        assert abs(z.var() - 1) < 4 * np.sqrt(2 / len(z))
