"""A column of texts as its distinct values and one integer per row: rules look at values, rows only at integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Coded:
    """Texts in few values and many rows.

    Attributes
    ----------
    values : the distinct texts
    codes : per row the place of its text among ``values``, −1 where it has none

    Examples
    --------
    >>> words = encode(pa.array(["B", None, "b"]))
    >>> words.translate(str.lower).values, words.translate(str.lower).codes.tolist()
    (('b',), [0, -1, 0])
    """

    values: tuple[str, ...]
    codes: NDArray[np.int32]

    def is_there(self) -> Mask:
        """Where a row has a text."""
        return self.codes >= 0

    def where(self, holds: Callable[[str], object]) -> Mask:
        """Where ``holds`` is true of a row's text."""
        # The last place answers for rows without a text, whose code is −1.
        return np.array([*(bool(holds(value)) for value in self.values), False])[self.codes]

    def number_by(self, number: Callable[[str], int], none: int) -> NDArray[np.int8]:
        """``number`` of a row's text, ``none`` where it has none."""
        return np.array([*map(number, self.values), none], dtype=np.int8)[self.codes]

    def translate(self, word: Callable[[str], str | None]) -> Coded:
        """Every text replaced by ``word`` of it; None takes it away."""
        return self.relabel([word(value) for value in self.values])

    def relabel(self, words: Sequence[str | None]) -> Coded:
        """The texts replaced by ``words``, one for each of ``values``; None takes a text away."""
        places: dict[str, int] = {}
        codes = [-1 if word is None else places.setdefault(word, len(places)) for word in words]
        return Coded(tuple(places), np.array([*codes, -1], dtype=np.int32)[self.codes])

    def or_else(self, other: Coded) -> Coded:
        """This text, or ``other``'s where a row has none."""
        if not self.values or not other.values:
            return self if self.values else other
        both = np.where(self.codes >= 0, self.codes, np.where(other.codes >= 0, other.codes + len(self.values), -1))
        return Coded(self.values + other.values, both.astype(np.int32)).translate(str)

    def subset(self, mask: Mask) -> Coded:
        """The texts where ``mask`` is true, none elsewhere."""
        return Coded(self.values, np.where(mask, self.codes, np.int32(-1)))

    def take(self, mask: Mask) -> Coded:
        """The rows where ``mask`` is true."""
        return Coded(self.values, self.codes[mask])

    def same_as(self, other: Coded) -> Mask:
        """Where a row has the same text in both."""
        code_in_other = {value: code for code, value in enumerate(other.values)}
        codes = np.array([*(code_in_other.get(value, -1) for value in self.values), -1], dtype=np.int32)[self.codes]
        result: Mask = (codes >= 0) & (codes == other.codes)
        return result

    def to_arrow(self) -> pa.Array:
        """The texts, null where a row has none."""
        codes = pa.array(self.codes, mask=self.codes < 0)
        return pa.array(self.values, pa.string()).take(codes)


def encode(texts: pa.Array) -> Coded:
    """``texts`` coded; nulls have no text."""
    coded = texts.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Coded(tuple(coded.dictionary.to_pylist()), codes)


def absent(rows: int) -> Coded:
    """A column of ``rows`` rows without a text."""
    return Coded((), np.full(rows, -1, dtype=np.int32))
