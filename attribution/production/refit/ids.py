"""Hashes of the ids of conversions by day: whether a conversion has moved, its sums do not tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.journeys import DAY
from attribution.kernels.journeys.ids import text_hashes

_COLUMNS = pa.schema({"day": pa.int64(), "id": pa.uint64()})


class Ids(NamedTuple):
    """Conversions by the hashes of their ids.

    Attributes
    ----------
    day : (conversions,) numbers of their days
    id : (conversions,) 64-bit hashes
    """

    day: NDArray[np.int64]
    id: NDArray[np.uint64]

    def on(self, chosen: NDArray[np.bool_]) -> Ids:
        """The ``chosen`` (conversions,) of them."""
        return Ids(self.day[chosen], self.id[chosen])

    @property
    def days(self) -> set[int]:
        """Numbers of the days that have any."""
        return set(np.unique(self.day).tolist())

    def joined(self, other: Ids) -> Ids:
        """Both, ordered by day and hash."""
        day, hashes = np.concatenate([self.day, other.day]), np.concatenate([self.id, other.id])
        order = np.lexsort((hashes, day))
        return Ids(day[order], hashes[order])

    def table(self) -> pa.Table:
        """As a file holds them."""
        return pa.table([self.day, self.id], schema=_COLUMNS)

    @classmethod
    def of_table(cls, table: pa.Table) -> Ids:
        """The inverse of `table`."""
        return cls(*(table[name].to_numpy() for name in _COLUMNS.names))

    @classmethod
    def none(cls) -> Ids:
        """Of no conversion."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.uint64))


def read_ids(sources: Sources) -> Ids:
    """Those of a log; none where conversions have no ids, which then cannot move."""
    if not sources.has("conversions", "conversion_id"):
        return Ids.none()
    rows = sources.engine.query(
        f"select floor(converted_at / {DAY})::bigint as day, conversion_id::varchar as id "
        f"from {sources.conversions_view} "
        "where converted_at is not null and customer_id is not null and conversion_id is not null",
        table="conversions",
    )
    return Ids(rows["day"].to_numpy(), text_hashes(rows["id"].cast(pa.large_string()).combine_chunks()))
