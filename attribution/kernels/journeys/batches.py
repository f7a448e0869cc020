"""Arrow batches of events: where customers begin, and batches that never split one."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.journeys.ids import uuid_texts


def customer_starts(ids: pa.Array) -> NDArray[np.int64]:
    """First row of each run of equal ``ids``, and the number of rows.

    Parameters
    ----------
    ids : (n,) integers, strings, or UUIDs as `uuid_words` has them, without nulls, equal ones side by side

    Examples
    --------
    >>> customer_starts(pa.array(["a", "a", "b"])).tolist()
    [0, 2, 3]
    """
    if len(ids) == 0:
        return np.zeros(1, np.int64)
    return np.concatenate([[0], np.flatnonzero(id_changes(ids)) + 1, [len(ids)]]).astype(np.int64)


def id_changes(ids: pa.Array) -> NDArray[np.bool_]:
    """(n − 1,) whether an id is another than the one before it; see `customer_starts`.

    Examples
    --------
    >>> id_changes(pa.array(["a", "a", "b"])).tolist()
    [False, True]
    """
    if pa.types.is_struct(ids.type):
        return np.asarray(np.logical_or(*(id_changes(half) for half in ids.flatten())))
    if pa.types.is_integer(ids.type):
        values = ids.to_numpy()
        return np.asarray(values[1:] != values[:-1])
    texts = ids.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.asarray(_text_changes(bounds, np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)))


def customer_ids(ids: pa.Array, starts: NDArray[np.int64]) -> pa.Array:
    """(customers,) the id of each, as users know it.

    Parameters
    ----------
    ids, starts : see `customer_starts`

    Examples
    --------
    >>> customer_ids(pa.array(["a", "a", "b"]), np.array([0, 2, 3])).to_pylist()
    ['a', 'b']
    """
    first = ids.take(pa.array(starts[:-1]))
    return uuid_texts(first) if pa.types.is_struct(first.type) else first


def whole_customers(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Groups of batches of about ``rows`` rows, cut so that no customer's events go on in the next group.

    Parameters
    ----------
    batches : record batches with a ``customer_id`` column, equal ids side by side also across batches
    rows : a group ends at the first customer after this many rows

    Examples
    --------
    >>> batch = pa.record_batch({"customer_id": ["a", "b", "b"]})
    >>> more = pa.record_batch({"customer_id": ["b", "c"]})
    >>> [[len(piece) for piece in group] for group in whole_customers(iter([batch, more]), rows=1)]
    [[1], [2, 1], [1]]
    """
    group: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if len(batch) == 0:
            continue
        ids = batch.column("customer_id")
        if group and size >= rows and group[-1].column("customer_id")[-1] != ids[0]:
            yield group
            group, size = [], 0
        group.append(batch)
        size += len(batch)
        last = _last_start(ids)
        if size >= rows and (last > 0 or size == len(batch)):
            # The last customer may go on: the group ends before it.
            group[-1] = batch.slice(0, last)
            whole = [piece for piece in group if len(piece)]
            if whole:
                yield whole
            group, size = [batch.slice(last)], len(batch) - last
    if group:
        yield group


def _last_start(ids: pa.Array) -> int:
    """First row of the last run of equal ids."""
    last = ids[-1].as_py()
    return bisect.bisect_left(range(len(ids)), True, key=lambda row: ids[row].as_py() == last)


@njit(cache=True, nogil=True)
def _text_changes(bounds, data):
    changed = np.ones(len(bounds) - 2, np.bool_)
    for i in range(len(changed)):
        a, b, c = bounds[i], bounds[i + 1], bounds[i + 2]
        if b - a != c - b:
            continue
        same = True
        for k in range(b - a):
            if data[a + k] != data[b + k]:
                same = False
                break
        changed[i] = not same
    return changed


@njit(cache=True, nogil=True)
def gather_slices(values, start, stop):
    """``values`` of the slices start[j]:stop[j] end to end.

    Examples
    --------
    >>> gather_slices(np.array([7, 8, 9]), np.array([1, 0]), np.array([3, 1])).tolist()
    [8, 9, 7]
    """
    gathered = np.empty((stop - start).sum(), values.dtype)
    used = 0
    for j in range(len(start)):
        for i in range(start[j], stop[j]):
            gathered[used] = values[i]
            used += 1
    return gathered


def count_distinct_slices(
    values: NDArray[np.int32], start: NDArray[np.signedinteger], stop: NDArray[np.signedinteger]
) -> int:
    """How many different sequences the slices start[j]:stop[j] of ``values`` are.

    By two 64-bit fingerprints each: two sequences of a million are confused with a chance of 10^−26.

    Examples
    --------
    >>> count_distinct_slices(np.array([1, 2, 1, 2, 2], np.int32), np.array([0, 2, 4]), np.array([2, 4, 5]))
    2
    """
    prints = _fingerprints(values, start, stop)
    order = np.lexsort(prints)
    ordered = prints[:, order]
    return int((ordered[:, 1:] != ordered[:, :-1]).any(axis=0).sum()) + (len(start) > 0)


@njit(cache=True, nogil=True)
def _fingerprints(values, start, stop):
    prints = np.empty((2, len(start)), np.uint64)
    for j in range(len(start)):
        a = np.uint64(14695981039346656037)
        b = np.uint64(11400714819323198485)
        for i in range(start[j], stop[j]):
            v = np.uint64(values[i] + 1)
            a = (a ^ v) * np.uint64(1099511628211)
            a ^= a >> np.uint64(29)
            b = (b + v) * np.uint64(0xBF58476D1CE4E5B9)
            b ^= b >> np.uint64(31)
        prints[0, j] = a
        prints[1, j] = b
    return prints
