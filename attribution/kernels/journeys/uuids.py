"""UUIDs: texts of 36 characters that two numbers hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_VALUES = np.full(256, 255, np.uint8)
_VALUES[_DIGITS] = np.arange(16)
_PLACES = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])
_DASH = 45


def uuid_words(texts: pa.Array) -> pa.StructArray | None:
    """The two halves of every UUID, or None where a text is not exactly what `uuid_texts` would make of them again.

    Parameters
    ----------
    texts : (n,) strings

    Returns
    -------
    (n,) struct of int64 ``high`` and ``low``

    Examples
    --------
    >>> uuid_words(pa.array(["00000000-0000-0001-0000-00000000000f"])).to_pylist()
    [{'high': 1, 'low': 15}]
    >>> uuid_words(pa.array(["00000000-0000-0001-0000-00000000000F"])) is None
    True
    """
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    words = np.empty((2, len(texts)), np.uint64)
    if len(texts) and not (data and _parse(bounds, np.frombuffer(data, np.uint8), words)):
        return None
    return pa.StructArray.from_arrays([pa.array(half.view(np.int64)) for half in words], ["high", "low"])


def uuid_texts(words: pa.StructArray) -> pa.StringArray:
    """The texts that `uuid_words` was given.

    Examples
    --------
    >>> texts = pa.array(["00000000-0000-0001-0000-00000000000f"])
    >>> uuid_texts(uuid_words(texts)).equals(texts)
    True
    """
    halves = np.stack([words.field(name).to_numpy() for name in ("high", "low")]).view(np.uint64)
    data = np.full((len(words), 36), _DASH, np.uint8)
    _write(halves, data)
    bounds = np.arange(len(words) + 1, dtype=np.int32) * np.int32(36)
    return pa.StringArray.from_buffers(len(words), pa.py_buffer(bounds), pa.py_buffer(data))


@njit(cache=True, nogil=True)
def _parse(bounds, data, words):
    for i in range(len(bounds) - 1):
        first = bounds[i]
        if bounds[i + 1] - first != 36:
            return False
        for dash in (8, 13, 18, 23):
            if data[first + dash] != _DASH:
                return False
        seen = np.uint8(0)
        for half in range(2):
            word = np.uint64(0)
            for k in range(16):
                value = _VALUES[data[first + _PLACES[16 * half + k]]]
                seen |= value
                word = (word << np.uint64(4)) | np.uint64(value)
            words[half, i] = word
        if seen > 15:
            return False
    return True


@njit(cache=True, nogil=True)
def _write(words, data):
    for i in range(len(data)):
        for half in range(2):
            for k in range(16):
                digit = (words[half, i] >> np.uint64(60 - 4 * k)) & np.uint64(15)
                data[i, _PLACES[16 * half + k]] = _DIGITS[digit]
