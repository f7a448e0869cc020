"""Touchpoints as they come, by day and channel, whatever becomes of them in journeys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.loading import Sources

Floats = NDArray[np.float64]

_COLUMNS = pa.schema({"day": pa.int64(), "channel": pa.string(), "touchpoints": pa.int64()})


@dataclass(frozen=True)
class Volumes:
    """How many touchpoints each channel had on each day.

    Attributes
    ----------
    table : ``day`` (its number), ``channel`` and ``touchpoints``, ordered by day and channel; without rows of 0
    """

    table: pa.Table

    @classmethod
    def of(cls, table: pa.Table) -> Volumes:
        """From rows in any order."""
        return cls(
            table.select(_COLUMNS.names).cast(_COLUMNS).sort_by([("day", "ascending"), ("channel", "ascending")])
        )

    @classmethod
    def none(cls) -> Volumes:
        """Of no touchpoint."""
        return cls(_COLUMNS.empty_table())

    @classmethod
    def read(cls, sources: Sources, view: str) -> Volumes:
        """From ``view`` of an engine, which has ``day``, ``channel`` and the number of rows ``n`` of each."""
        return cls.of(sources.engine.query(f"select day, channel, n as touchpoints from {view}"))

    @property
    def days(self) -> NDArray[np.int64]:
        """(rows,) numbers of the days."""
        return np.asarray(self.table["day"].to_numpy(), dtype=np.int64)

    def on(self, chosen: NDArray[np.bool_]) -> Volumes:
        """The ``chosen`` (rows,) of them."""
        return Volumes(self.table.filter(pa.array(chosen)))

    def joined(self, other: Volumes) -> Volumes:
        """Both; they share no day."""
        return Volumes.of(pa.concat_tables([self.table, other.table]))

    def count(self, first: int, last: int) -> tuple[tuple[str, ...], Floats]:
        """Channels of the days from ``first`` to ``last``, and (days, channels) how many touchpoints they had."""
        days = self.days
        rows = self.table.filter(pa.array((days >= first) & (days <= last)))
        codes = rows["channel"].combine_chunks().dictionary_encode()
        counts = np.zeros((last - first + 1, len(codes.dictionary)))
        counts[rows["day"].to_numpy() - first, codes.indices.to_numpy()] = rows["touchpoints"].to_numpy()
        return tuple(codes.dictionary.to_pylist()), counts


def rows_by_day(digests: Mapping[int, str]) -> dict[int, int]:
    """How many rows each day has, from fingerprints."""
    return {day: int(digest.partition("-")[0]) for day, digest in digests.items()}
