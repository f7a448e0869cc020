"""Lists in the cells of a table as flat arrays, value by value, and which values cannot be read.

Cells come from JSON, pandas, Arrow and Spark: Python's lists, or arrays of NumPy. Values are read one by one, for a
column may hold texts beside timestamps, and a bad value must not take others with it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.loading.times import LARGEST_POSITION, OFFSET_PATTERN, TIME_PATTERN

NAIVE, ZONED, DAY, UNREADABLE = 0, 1, 2, 3
"""What a time tells of its zone: nothing, all, or nothing because it is a day; or it is no time at all."""

_DAY_LENGTH = 10
_MICROS = pa.timestamp("us")
_MICROS_UTC = pa.timestamp("us", "UTC")
_LARGEST_WHOLE = 1 << 53
_POSITION = re.compile(r" *[+-]?[0-9]{1,19} *")


@dataclass(frozen=True)
class Lists:
    """A column of lists.

    Attributes
    ----------
    values : (total,) what is in the lists, end to end
    lengths : (rows,) how many values each row has
    is_list : (rows,) False where a cell holds something else, which counts as an empty list
    """

    values: list[Any]
    lengths: NDArray[np.int64]
    is_list: NDArray[np.bool_]


def flatten_lists(column: Iterable[Any]) -> Lists:
    """The lists of a column, end to end.

    Examples
    --------
    >>> lists = flatten_lists([["a", "b"], "email", np.array(["c"], object)])
    >>> lists.values, lists.lengths.tolist(), lists.is_list.tolist()
    (['a', 'b', 'c'], [2, 0, 1], [True, False, True])
    """
    unpacked = [_unpack(cell) for cell in column]
    lists = [values or [] for values in unpacked]
    return Lists(
        [value for values in lists for value in values],
        np.array([len(values) for values in lists], dtype=np.int64),
        np.array([values is not None for values in unpacked], dtype=bool),
    )


def _unpack(cell: Any) -> list[Any] | None:
    """Python's values; times are cut to microseconds, as everywhere. None of what is no list."""
    if isinstance(cell, list | tuple):
        return list(cell)
    if isinstance(cell, np.ndarray) and cell.ndim == 1:
        return list(cell.astype("datetime64[us]").tolist() if cell.dtype.kind == "M" else cell.tolist())
    return None


# ---------------------------------------------------------------- texts


@dataclass(frozen=True)
class Texts:
    """Texts and what is none.

    Attributes
    ----------
    texts : (values,) strings, null where a value is null, NaN or blank, or no text
    is_text : (values,) False where a value is neither a text nor null
    """

    texts: pa.Array
    is_text: NDArray[np.bool_]


def read_texts(values: Sequence[Any]) -> Texts:
    """Texts as tables are read: a blank is null, and a whole number is its digits.

    Examples
    --------
    >>> read = read_texts(["mail", None, " ", 7.0, [1]])
    >>> read.texts.to_pylist(), read.is_text.tolist()
    (['mail', None, None, '7', None], [True, True, True, True, False])
    """
    is_text = np.ones(len(values), bool)
    try:
        texts = pa.array(values, pa.string(), from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError):
        shown: list[str | None] = []
        for index, value in enumerate(values):
            text = _show_text(value)
            is_text[index] = text is not None or is_missing(value)
            shown.append(text)
        texts = pa.array(shown, pa.string())
    is_blank = pc.equal(pc.utf8_trim(texts, " "), "")
    return Texts(pc.if_else(is_blank, None, texts), is_text)


def encode_texts(texts: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts, and the position among them of each; −1 for null.

    Examples
    --------
    >>> names, codes = encode_texts(pa.array(["mail", None, "mail"]))
    >>> names, codes.tolist()
    (['mail'], [0, -1, 0])
    """
    encoded = texts.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return encoded.dictionary.to_pylist(), codes.astype(np.int64)


def _show_text(value: Any) -> str | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < _LARGEST_WHOLE else None
    return str(value) if isinstance(value, str) and _is_unicode(value) else None


def _is_unicode(text: str) -> bool:
    """Half of a surrogate pair is in no encoding, but JSON can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT, pandas' NA."""
    if value is None:
        return True
    if isinstance(value, float | np.floating | dt.datetime):
        return bool(value != value)
    return type(value).__name__ == "NAType"


# ---------------------------------------------------------------- times


@dataclass(frozen=True)
class Times:
    """Times as integers.

    Attributes
    ----------
    values : (times,) int64 microseconds since 1970 in UTC, or positions; 0 where there is no time
    clock : (times,) `NAIVE`, `ZONED`, `DAY` or `UNREADABLE`
    """

    values: NDArray[np.int64]
    clock: NDArray[np.int8]


def read_times(values: Sequence[Any]) -> Times:
    """Times of any type, each for itself: texts, datetimes, pandas Timestamps, NumPy's datetimes, dates.

    Texts are those that tables may hold; what has no offset is UTC.

    Examples
    --------
    >>> read = read_times(["1970-01-01T01:00:00.000001+01:00", dt.datetime(1970, 1, 2), dt.date(1970, 1, 1), "x", None])
    >>> read.values.tolist(), read.clock.tolist()
    ([1, 86400000000, 0, 0, 0], [1, 0, 2, 3, 3])
    """
    times = Times(np.zeros(len(values), np.int64), np.full(len(values), UNREADABLE, np.int8))
    groups: dict[int, tuple[list[int], list[Any]]] = {}
    if set(map(type, values)) == {str}:
        groups[UNREADABLE] = (list(range(len(values))), list(values))
    else:
        for index, value in enumerate(values):
            _put_in_group(groups, index, value)
    for clock, (positions, members) in groups.items():
        rows = np.array(positions, dtype=np.int64)
        if clock == UNREADABLE:
            times.values[rows], times.clock[rows] = _read_text_times(read_texts(members).texts)
        else:
            times.values[rows] = _integers(pa.array(members, _MICROS))
            times.clock[rows] = clock
    return times


def _put_in_group(groups: dict[int, tuple[list[int], list[Any]]], index: int, value: Any) -> None:
    """Add a value to those of its type; a text says only later what it tells of its zone."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, str):
        clock = UNREADABLE
    elif is_missing(value) or not isinstance(value, dt.date) or value.year > dt.MAXYEAR:
        return  # pandas has later years, which other readers of a datetime take for early ones
    elif isinstance(value, dt.datetime):
        clock = NAIVE if value.utcoffset() is None else ZONED
    else:
        value, clock = dt.datetime.combine(value, dt.time()), DAY
    positions, members = groups.setdefault(clock, ([], []))
    positions.append(index)
    members.append(value)


def _read_text_times(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """(texts,) microseconds, and what each tells of its zone."""
    trimmed = pc.fill_null(pc.utf8_trim(texts, " "), "")
    micros, clock = np.zeros(len(texts), np.int64), np.full(len(texts), UNREADABLE, np.int8)
    is_day = pc.equal(pc.utf8_length(trimmed), _DAY_LENGTH)
    whole = pc.replace_substring_regex(pc.replace_substring(trimmed, ",", "."), r"(\.\d{6})\d+", r"\1")
    for pattern, kind, value in ((TIME_PATTERN, _MICROS, NAIVE), (TIME_PATTERN + OFFSET_PATTERN, _MICROS_UTC, ZONED)):
        index = np.flatnonzero(pc.match_substring_regex(trimmed, f"^{pattern}$").to_numpy(False))
        if len(index):
            parsed = _parse(whole.take(pa.array(index)), kind)
            micros[index] = _integers(parsed)
            clock[index] = np.where(parsed.is_null().to_numpy(False), UNREADABLE, value)
    clock[(clock == NAIVE) & is_day.to_numpy(False)] = DAY
    return micros, clock


def _parse(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Texts as timestamps, null where one is no time, such as 30 February: what fails as a whole is halved."""
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.nulls(1, kind)
        half = len(texts) // 2
        return pa.concat_arrays([_parse(texts[:half], kind), _parse(texts[half:], kind)])


def _integers(times: pa.Array) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def read_positions(values: Sequence[Any]) -> Times:
    """Times that are mere positions: whole numbers, or texts of them.

    Examples
    --------
    >>> read = read_positions([3, 4.0, "5", 1.5, None])
    >>> read.values.tolist(), (read.clock == UNREADABLE).tolist()
    ([3, 4, 5, 0, 0], [False, False, False, True, True])
    """
    positions, clock = np.zeros(len(values), np.int64), np.full(len(values), UNREADABLE, np.int8)
    for index, text in enumerate(read_texts(values).texts.to_pylist()):
        if text is not None and _POSITION.fullmatch(text) and abs(int(text)) < LARGEST_POSITION:
            positions[index], clock[index] = int(text), NAIVE
    return Times(positions, clock)
