"""Ids: as numbers, UUIDs as two words, links between them followed to their end, new ones right before a conversion.

Texts are grouped by a hash, every group is checked byte by byte, and only distinct texts are sorted, eight bytes
at a time: with millions of UUIDs that is more than twice as fast as Arrow's dictionary and sort.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

# ---------------------------------------------------------------- ids as numbers

_WORDS = 4
"""Texts that agree in this many words of eight bytes are left to Arrow's sort."""


def sorted_codes(ids: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """Distinct ids in ascending order, and each id's position among them.

    Parameters
    ----------
    ids : (n,) int64 or large_string without nulls; texts are ordered by their UTF-8 bytes, which is the order of
        their code points

    Returns
    -------
    distinct : (distinct,) of the type of ``ids``
    codes : (n,) int64

    Examples
    --------
    >>> distinct, codes = sorted_codes(pa.chunked_array([pa.array(["b", "a", "b"], pa.large_string())]))
    >>> distinct.to_pylist(), codes.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    if pa.types.is_integer(ids.type):
        values, codes = np.unique(ids.to_numpy(), return_inverse=True)
        return pa.array(values), codes.astype(np.int64, copy=False)
    texts = ids.combine_chunks() if ids.num_chunks != 1 else ids.chunk(0)
    rows, group = _distinct(texts)
    order = text_order(texts, rows)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return texts.take(pa.array(rows[order])), rank[group]


def text_order(texts: pa.LargeStringArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(rows,) positions in ``rows`` that sort those ``texts`` by their bytes; they are distinct and not null.

    Examples
    --------
    >>> text_order(pa.array(["id-10", "id-9", "id-1"], pa.large_string()), np.arange(3)).tolist()
    [2, 0, 1]
    """
    bounds, data = _buffers(texts)
    order = np.arange(len(rows))
    # Where texts are still tied, and in which run of ties.
    places, run = np.arange(len(rows)), np.zeros(len(rows), np.int64)
    for word in range(_WORDS):
        if len(places) == 0:
            return order
        among = order[places]
        key = _words(bounds, data, rows[among], word)
        by = np.lexsort((key, run)) if word else np.argsort(key)
        order[places], key = among[by], key[by]
        same = (key[1:] == key[:-1]) & (run[1:] == run[:-1])
        tied = np.concatenate([same, [False]]) | np.concatenate([[False], same])
        run = np.cumsum(np.concatenate([[True], ~same]))[tied]
        places = places[tied]
    among = order[places]
    order[places] = among[pc.sort_indices(texts.take(pa.array(rows[among]))).to_numpy()]
    return order


def text_hashes(texts: pa.LargeStringArray) -> NDArray[np.uint64]:
    """(n,) a 64-bit hash of the bytes of each text, the same on every machine; they hold no nulls."""
    return np.asarray(_hashes(*_buffers(texts)))


def _distinct(texts: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A row of each distinct text, and which of these each text (n,) equals."""
    bounds, data = _buffers(texts)
    hashes = text_hashes(texts)
    order = np.argsort(hashes)
    hashes = hashes[order]
    is_new = np.ones(len(texts), dtype=bool)
    is_new[1:] = hashes[1:] != hashes[:-1]
    group = np.empty(len(texts), np.int64)
    again = np.flatnonzero(~is_new)
    if _all_equal(bounds, data, order[again - 1], order[again]):
        group[order] = np.cumsum(is_new) - 1
        return order[is_new], group
    # Two texts with one hash: with ten million ids once in a hundred thousand runs.
    group = texts.dictionary_encode().indices.to_numpy().astype(np.int64)
    return np.unique(group, return_index=True)[1], group


def _buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return bounds, np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)


@njit(cache=True, nogil=True)
def _word(data, low, high):
    """Up to eight bytes as a number whose order is theirs; a shorter text is filled with zeros."""
    word = np.uint64(0)
    for i in range(low, low + 8):
        word = word << np.uint64(8)
        if i < high:
            word |= np.uint64(data[i])
    return word


@njit(cache=True, nogil=True)
def _words(bounds, data, rows, index):
    words = np.empty(len(rows), np.uint64)
    for k in range(len(rows)):
        words[k] = _word(data, bounds[rows[k]] + 8 * index, bounds[rows[k] + 1])
    return words


@njit(cache=True, nogil=True)
def _hashes(bounds, data):
    hashes = np.empty(len(bounds) - 1, np.uint64)
    for k in range(len(hashes)):
        low, high = bounds[k], bounds[k + 1]
        h = np.uint64(high - low) * np.uint64(0x9E3779B97F4A7C15)
        while low < high:
            h = (h ^ _word(data, low, high)) * np.uint64(0xBF58476D1CE4E5B9)
            h ^= h >> np.uint64(29)
            low += 8
        hashes[k] = h
    return hashes


@njit(cache=True, nogil=True)
def _all_equal(bounds, data, rows, other_rows):
    for k in range(len(rows)):
        low, other = bounds[rows[k]], bounds[other_rows[k]]
        length = bounds[rows[k] + 1] - low
        if bounds[other_rows[k] + 1] - other != length:
            return False
        # Without a way out in between, several bytes are compared at once.
        differences = 0
        for i in range(length):
            differences |= data[low + i] ^ data[other + i]
        if differences:
            return False
    return True


# ---------------------------------------------------------------- UUIDs: 36 characters in two numbers

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_VALUES = np.full(256, 255, np.uint8)
_VALUES[_DIGITS] = np.arange(16)
_DIGIT_POSITIONS = np.array([position for position in range(36) if position not in (8, 13, 18, 23)])
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
        bits = np.uint8(0)
        for half in range(2):
            word = np.uint64(0)
            for k in range(16):
                value = _VALUES[data[first + _DIGIT_POSITIONS[16 * half + k]]]
                bits |= value
                word = (word << np.uint64(4)) | np.uint64(value)
            words[half, i] = word
        if bits > 15:
            return False
    return True


@njit(cache=True, nogil=True)
def _write(words, data):
    for i in range(len(data)):
        for half in range(2):
            for k in range(16):
                digit = (words[half, i] >> np.uint64(60 - 4 * k)) & np.uint64(15)
                data[i, _DIGIT_POSITIONS[16 * half + k]] = _DIGITS[digit]


# ---------------------------------------------------------------- ids that are linked


def smallest_of_component(
    first: NDArray[np.int64], second: NDArray[np.int64], nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join linked nodes and name each component by the smallest of its nodes that occurs in ``second``.

    Parameters
    ----------
    first, second : (links,) the two ends of each link, 0 … nodes − 1; links to oneself and repeated ones do no harm
    nodes : how many nodes there are; each must occur in a link

    Returns
    -------
    component : (nodes,) number of the component each node is in
    name : (components,) the smallest node of each component that occurs in ``second``

    References
    ----------
    R. E. Tarjan, "Efficiency of a good but not linear set union algorithm", Journal of the ACM 22 (1975), is what
    this answers; scipy finds the components by walking the graph.

    Examples
    --------
    >>> component, name = smallest_of_component(np.array([0, 3, 4]), np.array([3, 1, 2]), 5)
    >>> name[component].tolist()
    [1, 1, 2, 1, 2]
    """
    # Loaded when it is used: it takes as long to load as all of pandas, and a scorer does without.
    from scipy.sparse.csgraph import connected_components

    # 32 bits are what scipy works with: it would copy wider positions.
    ends = (first.astype(np.int32), second.astype(np.int32))
    graph = sparse.coo_array((np.ones(len(first)), ends), shape=(nodes, nodes))
    components, component = connected_components(graph, directed=False)
    name = np.full(components, nodes, np.int64)
    np.minimum.at(name, component[second], second)
    return component.astype(np.int64), name


# ---------------------------------------------------------------- ids that appear only right before they convert


def searched_since(first: int, last: int, *, lookback: int, limit: int) -> int:
    """From when on a conversion without history is one whose history must have been lost, or never was.

    The data must reach back one lookback window before it, or half of themselves where they span less than two
    windows, and always further than ``limit``: right after the data begin, every id is new.

    Parameters
    ----------
    first, last : when the data begin and end
    lookback : window in the same unit; negative for none
    limit : how old an id may be and still count as new

    Examples
    --------
    >>> searched_since(0, 1000, lookback=30, limit=1), searched_since(0, 40, lookback=30, limit=1)
    (30, 20)
    """
    half = (last - first) // 2
    return first + max(half if lookback < 0 else min(lookback, half), limit + 1)


@njit(cache=True, nogil=True)
def fresh_ids(starts, at, ref, limit, since, until):
    """Count ids whose first event is a touchpoint at most ``limit`` before their first conversion.

    An id that converts without any touchpoint has lost nothing that could be told from never having had it. Only
    the first conversion of an id is looked at: a later one has history. What the journeys are does not
    matter, so that the count is the same in every mode; events must not have been cut yet.

    Parameters
    ----------
    starts : (customers + 1,) first event of each customer, and the number of events
    at : (events,) time, ascending within a customer
    ref : (events,) ≥ 0 for a touchpoint, negative for a conversion
    limit : in the unit of ``at``, inclusive; not more than the lookback window, which would not reach further
    since, until : first conversions from ``since`` to ``until``, both inclusive, are looked at

    Returns
    -------
    fresh, looked_at : counts of ids
    """
    fresh = 0
    looked_at = 0
    for c in range(len(starts) - 1):
        if starts[c] < starts[c + 1] and ref[starts[c]] < 0:
            continue
        for i in range(starts[c], starts[c + 1]):
            if ref[i] >= 0:
                continue
            if since <= at[i] <= until:
                looked_at += 1
                fresh += at[i] - at[starts[c]] <= limit
            break
    return fresh, looked_at
