"""Ids as numbers, against Python's sorted sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.kernels.journeys import ids
from attribution.kernels.journeys.ids import sorted_codes, text_order

# Ends that zeros could hide, prefixes of one, several and too many words of eight bytes, other scripts.
PREFIXES = st.sampled_from(("", "客户-", "visitor-", "visitor-visitor-", "0123456789" * 4))
ENDS = st.sampled_from(("", "\0", "\0\0", "\0a", "a", "ab", "b", "é", "王", "🛒", "￿")) | st.text(max_size=3)
WORDS = st.lists(st.sampled_from(("AAAAAAAA", "BBBBBBBB", "客户xx")), max_size=6).map("".join)
TEXTS = st.builds(str.__add__, PREFIXES | WORDS, ENDS)


def check(values: list[str] | list[int], ids: pa.ChunkedArray) -> None:
    distinct, found = sorted_codes(ids)
    expected = sorted(set(values))
    assert distinct.to_pylist() == expected
    assert [expected[code] for code in found.tolist()] == values


@given(st.lists(st.lists(TEXTS, max_size=8), max_size=4), st.integers(0, 2))
def test_texts_in_any_chunks(chunks: list[list[str]], skipped: int) -> None:
    arrays = [pa.array(chunk, pa.large_string()).slice(skipped) for chunk in chunks]
    values = [text for chunk in chunks for text in chunk[skipped:]]
    check(values, pa.chunked_array(arrays, pa.large_string()))


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=20))
def test_integers(values: list[int]) -> None:
    check(values, pa.chunked_array([pa.array(values, pa.int64())]))


def test_chinese_and_emoji_sort_by_code_point() -> None:
    # In UTF-16 the emoji would come before the half-width letter.
    values = ["王芳", "🛒", "ｱ", "李雷", "a", "Z"]
    assert text_order(pa.array(values, pa.large_string()), np.arange(6)).tolist() == [5, 4, 3, 0, 2, 1]


def test_the_same_word_after_another_one_is_no_tie() -> None:
    values = [first * 8 + second * 8 + end for first, second, end in ("Ayz", "Axz", "Byz", "Bya", "Aya", "Bxa")]
    check(values, pa.chunked_array([pa.array(values, pa.large_string())]))
    values = [first * 8 + second * 8 + end for first, second, end in ("Axz", "Awz", "Bxa", "Bya")]
    check(values, pa.chunked_array([pa.array(values, pa.large_string())]))


def test_a_slice_is_no_more_than_itself() -> None:
    check(["b", "b", "c"], pa.chunked_array([pa.array(["a", "b", "b", "c", "d"], pa.large_string()).slice(1, 3)]))


@pytest.mark.parametrize("values", [["a", "b", "a", "c"], ["a", "ab"], ["x" * 40 + end for end in "cabcab"], ["", "a"]])
def test_texts_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch, values: list[str]) -> None:
    monkeypatch.setattr(ids, "_hashes", lambda bounds, data: np.zeros(len(bounds) - 1, np.uint64))
    check(values, pa.chunked_array([pa.array(values, pa.large_string())]))


def test_the_hash_depends_on_every_byte_and_the_length() -> None:
    values = ["", "\0", "\0" * 8, *("".join("ab"[bit == k] for bit in range(20)) for k in range(20)), "a" * 20]
    bounds, data = ids._buffers(pa.array(values, pa.large_string()))
    assert len(set(ids._hashes(bounds, data).tolist())) == len(values)
