"""Values in the cells of a table, one by one: lists, texts, times and positions, and what is none of them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attribution.production.scoring.cells import (
    DAY,
    NAIVE,
    UNREADABLE,
    ZONED,
    encode_texts,
    flatten_lists,
    is_missing,
    read_positions,
    read_texts,
    read_times,
)

DAY_LENGTH = 86_400_000_000


def test_lists_of_every_type_are_laid_end_to_end() -> None:
    times = np.array(["1970-01-01T00:00:00.000001999"], "datetime64[ns]")
    column = [["a"], (1, 2), np.array(["b", "c"], object), times, [], "text", None, np.zeros((2, 2)), np.array(7), {}]
    lists = flatten_lists(column)
    assert lists.values == ["a", 1, 2, "b", "c", dt.datetime(1970, 1, 1, 0, 0, 0, 1)]
    assert lists.lengths.tolist() == [1, 2, 2, 1, 0, 0, 0, 0, 0, 0]
    assert lists.is_list.tolist() == [True, True, True, True, True, False, False, False, False, False]


def test_texts_are_read_one_by_one_where_some_are_none() -> None:
    values = ["mail", " x ", "", "  ", None, float("nan"), pd.NA, 7, np.int64(8), 9.0, np.float32(10), True,
              np.bool_(True), 1.5, [1], "\ud800"]  # fmt: skip
    read = read_texts(values)
    assert read.texts.to_pylist() == [
        *("mail", " x ", None, None, None, None, None, "7", "8", "9", "10", None, None, None, None, None)
    ]
    assert read.is_text.tolist() == [True] * 11 + [False] * 5


def test_texts_alone_are_read_at_once() -> None:
    read = read_texts(["mail", None, " ", float("nan")])
    assert read.texts.to_pylist() == ["mail", None, None, None]
    assert read.is_text.tolist() == [True, True, True, True]


def test_numbers_are_texts_as_long_as_every_digit_is_sure() -> None:
    largest = 2.0**53
    assert read_texts([largest - 1, -largest + 1, largest, -largest, "x"]).texts.to_pylist() == [
        *("9007199254740991", "-9007199254740991", None, None, "x")
    ]


def test_texts_are_numbered_and_null_has_none() -> None:
    names, codes = encode_texts(pa.array(["b", None, "a", "b"]))
    assert names == ["b", "a"]
    assert codes.tolist() == [0, -1, 1, 0]


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        (None, True), (float("nan"), True), (np.float32("nan"), True), (pd.NaT, True), (pd.NA, True),
        (0, False), (0.0, False), ("", False), ([], False), (dt.datetime(2024, 1, 1), False), (np.float64(1), False),
    ],
)  # fmt: skip
def test_what_stands_for_no_value(value: Any, missing: bool) -> None:
    assert is_missing(value) is missing


ONE_HOUR = dt.timezone(dt.timedelta(hours=1))
TIMES: list[tuple[Any, int, int]] = [
    ("1970-01-02", DAY_LENGTH, DAY),
    (" 1970-01-02 ", DAY_LENGTH, DAY),
    ("1970-01-02 00:00", DAY_LENGTH, NAIVE),
    ("1970-01-01T00:00:00.0000019", 1, NAIVE),
    ("1970-01-01T00:00:00,000001", 1, NAIVE),
    ("1970-01-01T01:00:00.000002+01:00", 2, ZONED),
    ("1970-02-30", 0, UNREADABLE),
    ("1970-02-30T00:00", 0, UNREADABLE),
    ("1970-02-30T00:00Z", 0, UNREADABLE),
    ("1970-01-0", 0, UNREADABLE),
    ("soon soon ", 0, UNREADABLE),
    ("", 0, UNREADABLE),
    (None, 0, UNREADABLE),
    (float("nan"), 0, UNREADABLE),
    (pd.NaT, 0, UNREADABLE),
    (3, 0, UNREADABLE),
    (dt.date(1970, 1, 2), DAY_LENGTH, DAY),
    (dt.datetime(1970, 1, 1, 0, 0, 0, 3), 3, NAIVE),
    (dt.datetime(1970, 1, 1, 1, 0, 0, 4, tzinfo=ONE_HOUR), 4, ZONED),
    (pd.Timestamp("1970-01-01 00:00:00.000005999"), 5, NAIVE),
    (pd.Timestamp("1970-01-01 01:00:00.000006", tz=ONE_HOUR), 6, ZONED),
    (np.datetime64("1970-01-01T00:00:00.000007999"), 7, NAIVE),
    (np.datetime64("1970-01-02"), DAY_LENGTH, NAIVE),
    (np.datetime64("NaT"), 0, UNREADABLE),
    (dt.date(9999, 12, 31), 2_932_896 * DAY_LENGTH, DAY),
    (pd.Timestamp(np.datetime64("20000-01-01", "s")), 0, UNREADABLE),
]


@pytest.mark.parametrize(("value", "micros", "clock"), TIMES)
def test_a_time_of_any_type_and_what_it_tells_of_its_zone(value: Any, micros: int, clock: int) -> None:
    read = read_times([value])
    assert (read.values.tolist(), read.clock.tolist()) == ([micros], [clock])


def test_times_do_not_depend_on_those_beside_them() -> None:
    read = read_times([value for value, _, _ in TIMES])
    assert read.values.tolist() == [micros for _, micros, _ in TIMES]
    assert read.clock.tolist() == [clock for _, _, clock in TIMES]
    texts = [time for time in TIMES if isinstance(time[0], str)]
    read = read_times([value for value, _, _ in texts])
    assert read.values.tolist() == [micros for _, micros, _ in texts]
    assert read.clock.tolist() == [clock for _, _, clock in texts]


def test_days_that_are_in_no_calendar_take_no_others_with_them() -> None:
    read = read_times(
        ["1970-02-30T00:00", "1970-01-02T00:00", "1970-02-31T00:00", "1970-01-03T00:00", "1970-02-29T00:00"]
    )
    assert read.values.tolist() == [0, DAY_LENGTH, 0, 2 * DAY_LENGTH, 0]
    assert read.clock.tolist() == [UNREADABLE, NAIVE, UNREADABLE, NAIVE, UNREADABLE]


def test_what_a_time_tells_is_four_things() -> None:
    assert (NAIVE, ZONED, DAY, UNREADABLE) == (0, 1, 2, 3)


def test_positions_are_whole_numbers_that_a_window_can_be_added_to() -> None:
    largest = 1 << 60
    values = [3, 4.0, " +5 ", "-6", 1.5, "x", "", None, True, largest - 1, 1 - largest, largest, -largest, "1" * 20]
    read = read_positions(values)
    assert read.values.tolist() == [3, 4, 5, -6, 0, 0, 0, 0, 0, largest - 1, 1 - largest, 0, 0, 0]
    assert (read.clock == UNREADABLE).tolist() == [False] * 4 + [True] * 5 + [False] * 2 + [True] * 3
    assert set(read.clock[:4].tolist()) == {NAIVE}
