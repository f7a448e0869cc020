"""Sums that do not depend on the order of their terms.

Float addition rounds after every step, so the same numbers in another order give other bits. Here every
non-negative float is cut into 32-bit digits ("limbs") on a fixed grid and the digits are added as integers,
which is exact; only the finished sum is rounded. Shuffled rows, other batches or more threads therefore give
the same bytes.

References
----------
.. [1] J. Demmel, H. D. Nguyen, "Parallel reproducible summation", IEEE Transactions on Computers 64(7), 2015.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

LIMB_BITS = 32
_LIMB = 1 << LIMB_BITS
_MANTISSA_BITS = 53
_MARKED = 1 << 16


class ExactSums(NamedTuple):
    """``n`` sums: sum i is ``Σ_k limbs[i, k] · 2^(32·(base + k))``, every limb in 0 … 2^32 − 1."""

    limbs: NDArray[np.int64]
    base: int


class KeyedSums(NamedTuple):
    """Exact sums under sorted, distinct keys: row i of ``keys`` (n, m) int64 holds sum i."""

    keys: NDArray[np.int64]
    sums: ExactSums


def exact_sums(index: NDArray[np.integer], terms: NDArray[np.number], size: int) -> ExactSums:
    """Sum ``terms`` by ``index``, exactly.

    Parameters
    ----------
    index : (n,) integers in 0 … size − 1
    terms : (n,) finite numbers ≥ 0; integers and short floats are added as the numbers they are
    size : number of sums

    Raises
    ------
    ValueError
        If a term is negative, not finite, or a whole number that no float holds.

    Examples
    --------
    >>> sums = exact_sums(np.zeros(3, np.int64), np.array([1e16, 1.0, 1.0]), 1)
    >>> float(to_float(sums)[0])
    1.0000000000000002e+16
    """
    terms = _as_floats(terms)
    base, width = _grid(terms)
    limbs = np.zeros((size, width), dtype=np.int64)
    _add_terms(limbs, base, index, terms)
    return ExactSums(_carry(limbs), base)


def sums_of_counts(counts: NDArray[np.int64]) -> ExactSums:
    """Whole numbers ≥ 0 as sums."""
    return ExactSums(_carry(counts[:, None].copy()), 0)


def sums_of_limbs(limbs: NDArray[np.int64], base: int) -> ExactSums:
    """Sums that are added up already, in limbs (n, k) ≥ 0 that may hold more than 32 bits each.

    Examples
    --------
    >>> to_float(sums_of_limbs(np.array([[3 << 31, 2]]), -1)).tolist()
    [3.5]
    """
    if limbs.max(initial=0) < _LIMB:
        return ExactSums(limbs, base)
    return ExactSums(_carry(limbs.copy()), base)


def used_limbs(limbs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the sums in ``limbs`` (n, k) are not 0, and their limbs.

    Examples
    --------
    >>> rows, used = used_limbs(np.array([[0, 0], [3, 0], [0, 2]]))
    >>> rows.tolist(), used.tolist()
    ([1, 2], [[3, 0], [0, 2]])
    """
    rows = np.empty(len(limbs), np.int64)
    used = np.empty(limbs.shape, np.int64)
    many = _take_used(limbs, rows, used)
    return rows[:many].copy(), used[:many].copy()


def add_sums(a: ExactSums, b: ExactSums) -> ExactSums:
    """Element-wise sum of two equally long ``ExactSums``."""
    base = min(a.base, b.base)
    top = max(a.base + a.limbs.shape[1], b.base + b.limbs.shape[1])
    return ExactSums(_carry(_widen(a, base, top) + _widen(b, base, top)), base)


def to_float(sums: ExactSums) -> NDArray[np.float64]:
    """The sums as float64; exact for integers below 2^53, else within one unit in the last place.

    A sum beyond the largest float is infinite.
    """
    total = np.zeros(len(sums.limbs))
    with np.errstate(over="ignore"):
        for k in range(sums.limbs.shape[1]):
            total += np.ldexp(sums.limbs[:, k].astype(np.float64), LIMB_BITS * (sums.base + k))
    return total


def sum_by_key(keys: NDArray[np.int64], terms: NDArray[np.float64]) -> KeyedSums:
    """Exact sums of ``terms`` (n,) over the distinct rows of ``keys`` (n, m)."""
    distinct, position = distinct_rows(keys)
    return KeyedSums(distinct, exact_sums(position, terms, len(distinct)))


def sum_by_pair(first: NDArray[np.int64], second: NDArray[np.int64], terms: NDArray[np.float64]) -> KeyedSums:
    """Exact sums of ``terms`` (n,) over the distinct pairs of ``first`` and ``second``, numbers ≥ 0.

    Examples
    --------
    >>> sum_by_pair(np.array([1, 0, 1]), np.array([5, 5, 5]), np.ones(3)).keys.tolist()
    [[0, 5], [1, 5]]
    """
    return sums_by_pair(first, second, {"": terms})[""]


def sums_by_pair(
    first: NDArray[np.int64], second: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]
) -> dict[str, KeyedSums]:
    """`sum_by_pair` of several ``columns`` of terms by name: what they are summed by is found once."""
    width = int(second.max(initial=0)) + 1
    if int(first.max(initial=0)) * width >= 1 << 40:
        keys, position = distinct_rows(np.column_stack([first, second]))
    else:
        # One number is quicker to sort than two.
        distinct, position = _distinct(first * width + second)
        keys = np.column_stack(np.divmod(distinct, width))
    return {name: KeyedSums(keys, exact_sums(position, terms, len(keys))) for name, terms in columns.items()}


def merge_keyed(a: KeyedSums, b: KeyedSums) -> KeyedSums:
    """The union of two tables of sums, equal keys added.

    Examples
    --------
    >>> one = sum_by_key(np.array([[1], [2]]), np.array([1.0, 2.0]))
    >>> two = sum_by_key(np.array([[2], [3]]), np.array([5.0, 7.0]))
    >>> merged = merge_keyed(one, two)
    >>> merged.keys.ravel().tolist(), to_float(merged.sums).tolist()
    ([1, 2, 3], [1.0, 7.0, 7.0])
    """
    if a.keys.shape == b.keys.shape and np.array_equal(a.keys, b.keys):
        return KeyedSums(a.keys, add_sums(a.sums, b.sums))
    base = min(a.sums.base, b.sums.base)
    top = max(a.sums.base + a.sums.limbs.shape[1], b.sums.base + b.sums.limbs.shape[1])
    rows = _count_union(a.keys, b.keys)
    keys = np.empty((rows, a.keys.shape[1]), np.int64)
    limbs = np.empty((rows, top - base), np.int64)
    _merge(a.keys, b.keys, _widen(a.sums, base, top), _widen(b.sums, base, top), keys, limbs)
    return KeyedSums(keys, ExactSums(_carry(limbs), base))


def stack_labelled(parts: Sequence[tuple[int, KeyedSums]]) -> KeyedSums:
    """Tables under one another, each row's key led by the label of its table; labels ascend.

    Examples
    --------
    >>> table = sum_by_key(np.array([[4]]), np.array([2.0]))
    >>> both = stack_labelled([(0, table), (7, table)])
    >>> both.keys.tolist(), to_float(both.sums).tolist()
    ([[0, 4], [7, 4]], [2.0, 2.0])
    """
    tables = [table for _, table in parts]
    base = min(table.sums.base for table in tables)
    top = max(table.sums.base + table.sums.limbs.shape[1] for table in tables)
    ends = np.cumsum([len(table.keys) for table in tables]).tolist()
    keys = np.empty((ends[-1], 1 + tables[0].keys.shape[1]), np.int64)
    limbs = np.empty((ends[-1], top - base), np.int64)
    for (label, table), low, high in zip(parts, [0, *ends], ends, strict=False):
        keys[low:high, 0], keys[low:high, 1:] = label, table.keys
        limbs[low:high] = _widen(table.sums, base, top)
    return KeyedSums(keys, ExactSums(limbs, base))


def regroup(sums: ExactSums, index: NDArray[np.int64], size: int) -> ExactSums:
    """Sums added up by ``index`` (n,), integers in 0 … size − 1, exactly.

    Examples
    --------
    >>> sums = exact_sums(np.arange(3), np.array([0.1, 0.2, 5.0]), 3)
    >>> to_float(regroup(sums, np.array([1, 1, 0]), 2)).round(12).tolist()
    [5.0, 0.3]
    """
    limbs = np.zeros((size, sums.limbs.shape[1]), np.int64)
    _add_rows(limbs, index, sums.limbs)
    return ExactSums(_carry(limbs), sums.base)


def distinct_rows(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted distinct rows of ``keys`` (n, m), and for each row its position among them (n,)."""
    if keys.shape[1] == 1:
        values, position = _distinct(keys[:, 0])
        return values[:, None], position
    order = _order_rows(keys)
    ordered = keys[order]
    is_new = np.ones(len(keys), dtype=bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    position = np.empty(len(keys), dtype=np.int64)
    position[order] = np.cumsum(is_new) - 1
    return ordered[is_new], position


def _order_rows(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """(n,) the rows of ``keys`` (n, m) in ascending order, equal ones as they come."""
    lowest = keys.min(axis=0, initial=0).tolist()
    spans = [high - low + 1 for high, low in zip(keys.max(axis=0, initial=0).tolist(), lowest, strict=True)]
    if math.prod(spans) >= 1 << 62:
        return np.lexsort(keys.T[::-1])
    # One number for each row; tables that are merged are sorted already, and a stable sort makes use of it.
    packed = keys[:, 0] - lowest[0]
    for column in range(1, keys.shape[1]):
        packed = packed * spans[column] + (keys[:, column] - lowest[column])
    return np.argsort(packed, kind="stable")


def _distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted distinct values and each value's position among them; by marking where the range allows."""
    lowest = int(values.min(initial=0))
    span = int(values.max(initial=0)) - lowest + 1
    if span > max(_MARKED, 2 * len(values)):
        return np.unique(values, return_inverse=True)
    offset = values - lowest
    occurs = np.zeros(span, dtype=bool)
    occurs[offset] = True
    return np.flatnonzero(occurs) + lowest, (np.cumsum(occurs) - 1)[offset]


def _as_floats(terms: NDArray[np.number]) -> NDArray[np.float64]:
    """The same numbers as float64: the kernel reads the bits of floats, and those of an integer are another number."""
    floats = np.ascontiguousarray(terms, dtype=np.float64)
    if terms.dtype.kind in "iu" and floats.max(initial=0.0) >= 2.0**_MANTISSA_BITS:
        raise ValueError("exact sums are of whole numbers below 2^53")
    return floats


def _grid(terms: NDArray[np.float64]) -> tuple[int, int]:
    """Lowest limb and number of limbs that hold every bit of every term."""
    largest = float(terms.max(initial=0.0))
    if not (largest < np.inf and terms.min(initial=0.0) >= 0.0):
        raise ValueError("exact sums are of finite numbers ≥ 0")
    if largest == 0.0:
        return 0, 1
    top = int(np.frexp(largest)[1])
    if bool((terms == np.floor(terms)).all()):
        lowest = 0
    else:
        lowest = int(np.frexp(terms.min(where=terms > 0, initial=largest))[1]) - _MANTISSA_BITS
    base = lowest // LIMB_BITS
    return base, max(1, -(-top // LIMB_BITS) - base)


def _widen(sums: ExactSums, base: int, top: int) -> NDArray[np.int64]:
    width = sums.limbs.shape[1]
    if width == top - base:
        return sums.limbs
    wide = np.zeros((len(sums.limbs), top - base), np.int64)
    wide[:, sums.base - base : sums.base - base + width] = sums.limbs
    return wide


def _carry(limbs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bring every limb back to 32 bits, adding limbs at the top where needed."""
    largest = _carry_up(limbs)
    while largest >= _LIMB:
        limbs = np.concatenate([limbs, limbs[:, -1:] >> LIMB_BITS], axis=1)
        limbs[:, -2] &= _LIMB - 1
        largest >>= LIMB_BITS
    return limbs


@njit(cache=True, nogil=True)
def _carry_up(limbs):
    """Bring all but the top limbs back to 32 bits; the largest of the top."""
    largest = 0
    for i in range(limbs.shape[0]):
        carry = 0
        for k in range(limbs.shape[1]):
            total = limbs[i, k] + carry
            carry = total >> LIMB_BITS
            limbs[i, k] = total if k == limbs.shape[1] - 1 else total & (_LIMB - 1)
        largest = max(largest, limbs[i, limbs.shape[1] - 1])
    return largest


@njit(cache=True, nogil=True)
def _take_used(limbs, rows, used):
    many = 0
    for i in range(limbs.shape[0]):
        is_used = False
        for k in range(limbs.shape[1]):
            used[many, k] = limbs[i, k]
            is_used |= limbs[i, k] != 0
        rows[many] = i
        many += is_used
    return many


@njit(cache=True, nogil=True)
def _add_rows(limbs, index, rows):
    for i in range(len(index)):
        for k in range(rows.shape[1]):
            limbs[index[i], k] += rows[i, k]


@njit(cache=True, nogil=True)
def _add_terms(limbs, base, index, terms):
    bits = terms.view(np.int64)
    for i in range(len(terms)):
        if bits[i] & 0x7FFFFFFFFFFFFFFF == 0:
            continue
        exponent = (bits[i] >> 52) & 0x7FF
        mantissa = bits[i] & 0xFFFFFFFFFFFFF
        if exponent == 0:
            exponent = 1  # subnormal
        else:
            mantissa |= 1 << 52
        offset = exponent - 1075 - 32 * base
        if offset < 0:
            # The grid starts below every set bit: what is shifted out is zero.
            mantissa >>= -offset
            offset = 0
        limb = offset >> 5
        shift = offset & 31
        row = index[i]
        low = (mantissa & 0xFFFFFFFF) << shift
        high = (mantissa >> 32) << shift
        limbs[row, limb] += low & 0xFFFFFFFF
        # The grid ends at the highest set bit: only limbs with something to add exist for sure.
        second = (low >> 32) + (high & 0xFFFFFFFF)
        if second != 0:
            limbs[row, limb + 1] += second
        third = high >> 32
        if third != 0:
            limbs[row, limb + 2] += third


@njit(cache=True, nogil=True)
def _compare(a, i, b, j):
    """Below 0 if row i of ``a`` comes before row j of ``b``, above 0 if after, 0 if they are equal."""
    for k in range(a.shape[1]):
        if a[i, k] != b[j, k]:
            return -1 if a[i, k] < b[j, k] else 1
    return 0


@njit(cache=True, nogil=True)
def _count_union(a, b):
    """Distinct rows of two tables whose rows are sorted and distinct."""
    i, j, rows = 0, 0, 0
    while i < len(a) and j < len(b):
        order = _compare(a, i, b, j)
        i += order <= 0
        j += order >= 0
        rows += 1
    return rows + len(a) - i + len(b) - j


@njit(cache=True, nogil=True)
def _merge(a, b, of_a, of_b, keys, sums):
    """The rows of ``a`` and ``b``, sorted, in ``keys``, and what belongs to them added up in ``sums``."""
    i, j = 0, 0
    for row in range(len(keys)):
        order = 1 if i == len(a) else -1 if j == len(b) else _compare(a, i, b, j)
        for k in range(keys.shape[1]):
            keys[row, k] = a[i, k] if order <= 0 else b[j, k]
        for k in range(sums.shape[1]):
            sums[row, k] = (of_a[i, k] if order <= 0 else 0) + (of_b[j, k] if order >= 0 else 0)
        i += order <= 0
        j += order >= 0
