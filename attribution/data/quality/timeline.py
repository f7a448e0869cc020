"""Rows and nulls of a table by the hour: one light scan that many checks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attribution.data.engine import quote
from attribution.data.loading.findings import on_day
from attribution.data.loading.load import Sources
from attribution.schema.tables import INPUTS

HOUR = 3_600_000_000
"""Microseconds."""

DAY = 24 * HOUR

_TIMES = {"touchpoints": "touched_at", "conversions": "converted_at", "costs": "day"}
_POSITION_SLICES = 1_000
"""Integer times are no hours: their range is cut into so many slices."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """A table's rows along its time.

    Attributes
    ----------
    table : its name
    start : (bins,) first moment (µs since 1970) or position of each bin that has rows, ascending
    rows : (bins,) rows in the bin
    nulls : per column that may be null, (bins,) rows without it
    is_order : whether times are mere positions
    """

    table: str
    start: Counts
    rows: Counts
    nulls: Mapping[str, Counts]
    is_order: bool

    @property
    def total(self) -> int:
        return int(self.rows.sum())

    def by_day(self) -> Timeline:
        """The same by days; positions stay as they are."""
        if self.is_order:
            return self
        days = self.merge(self.start // DAY)
        return replace(days, start=days.start // DAY * DAY)

    def merge(self, label: Counts) -> Timeline:
        """Neighbouring bins of one label made one, which starts where the first of them does."""
        first = np.flatnonzero(np.diff(label, prepend=label[0] - 1))
        nulls = {name: np.add.reduceat(counts, first) for name, counts in self.nulls.items()}
        return replace(self, start=self.start[first], rows=np.add.reduceat(self.rows, first), nulls=nulls)

    def between(self, first: int | np.int64, last: int) -> Timeline:
        """Bins that start from ``first`` to ``last``."""
        is_within = (self.start >= first) & (self.start <= last)
        nulls = {name: counts[is_within] for name, counts in self.nulls.items()}
        return replace(self, start=self.start[is_within], rows=self.rows[is_within], nulls=nulls)

    def label(self, index: int) -> str:
        """Day or position of the bin at ``index``, for messages."""
        return f"position {self.start[index]}" if self.is_order else on_day(self.start[index])


def read_timeline(sources: Sources, table: str) -> Timeline | None:
    """The timeline of ``table``; None where it was not given or no row has a time."""
    time = _TIMES[table]
    if not sources.has(table, time):
        return None
    kinds = {column.name: column for column in INPUTS[table].columns}
    names = [name for name in sources.tables[table].columns if name != time]
    nullable = [name for name in names if name not in kinds or kinds[name].nullable]
    is_order = table != "costs" and bool(sources.integer_times)
    slot = time
    if table != "costs":
        # The remainder, for a division would leave the integers, or round, as the engine pleases.
        slot = f"{time} - {time} % {_slice_width(sources, table, time) if is_order else HOUR}"
    counts = "".join(f", count({quote(name)}) as known_{i}" for i, name in enumerate(nullable))
    bins_table = sources.engine.query(
        f"select {slot} as start, count(*) as n{counts} from {table} where {time} is not null group by 1 order by 1",
        table=table,
    )
    if not bins_table.num_rows:
        return None
    start = bins_table["start"].to_numpy()
    if table == "costs":
        start = start.astype("datetime64[us]")
    rows = bins_table["n"].to_numpy().astype(np.int64)
    nulls = {name: rows - bins_table[f"known_{i}"].to_numpy().astype(np.int64) for i, name in enumerate(nullable)}
    return Timeline(table, start.astype(np.int64), rows, nulls, is_order)


def _slice_width(sources: Sources, table: str, time: str) -> int:
    span = sources.engine.query(f"select min({time}) as low, max({time}) as high from {table}").to_pylist()[0]
    return 1 if span["low"] is None else (span["high"] - span["low"]) // _POSITION_SLICES + 1
