"""What there is to know of some journeys, in a form that adds up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.kernels.statistics.sums import KeyedSums, exact_sums, merge_keyed, sum_by_key, sums_of_counts, to_float


@dataclass(frozen=True)
class Summary:
    """Named tables of exact sums. Summaries add up, in any order, to the same bytes.

    Parameters
    ----------
    tables : exact sums by name; each has keys (rows, k) and one sum per row

    Examples
    --------
    Parts of the journeys are summed up by themselves; their sums add up to that of all.

    >>> import pandas as pd
    >>> import attribution as at
    >>> parts = [at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": [path], "conversions": [count]})))
    ...          for path, count in (("mail", 2), ("search > mail", 3))]
    >>> (parts[0].overview + parts[1].overview).number("conversions")
    5.0
    """

    tables: Mapping[str, KeyedSums]

    def __add__(self, other: Summary) -> Summary:
        merged = dict(self.tables)
        for name, table in other.tables.items():
            merged[name] = merge_keyed(merged[name], table) if name in merged else table
        return Summary(merged)

    @check_arguments
    def dense(self, name: str, size: int) -> NDArray[np.float64]:
        """(size,) sums of a table whose keys are 0 … size − 1; 0 where a key, or the table, is absent."""
        table = self.tables.get(name)
        least = 0 if table is None or not len(table.keys) else int(table.keys[:, 0].max()) + 1
        if size < least:
            raise InputError(f"Summary.dense: size is too small for {name!r}", given=size, allowed=f"{least} or more")
        result = np.zeros(size)
        if table is not None:
            result[table.keys[:, 0]] = to_float(table.sums)
        return result

    @check_arguments
    def number(self, name: str) -> float:
        """The sum of a table made by `number`; 0 where there is none."""
        return float(self.dense(name, 1)[0])


def number(terms: NDArray[np.bool_] | NDArray[np.float64]) -> KeyedSums:
    """The exact sum of all ``terms`` as a table with one row."""
    floats = np.array([float(np.count_nonzero(terms))]) if terms.dtype == np.bool_ else terms.astype(np.float64)
    rows = min(len(floats), 1)
    return KeyedSums(np.zeros((rows, 1), np.int64), exact_sums(np.zeros(len(floats), np.int64), floats, rows))


def tally(keys: NDArray[np.signedinteger], times: NDArray[np.bool_] | NDArray[np.float64]) -> KeyedSums:
    """How often each of ``keys`` (n,), small numbers ≥ 0, occurs, each taken ``times`` (n,)."""
    if times.dtype == np.bool_:
        counts = np.bincount(keys[times])
        taken = np.flatnonzero(counts)
        return KeyedSums(taken[:, None], sums_of_counts(counts[taken]))
    return sum_by_key(keys.astype(np.int64)[:, None], times.astype(np.float64))
