"""The days of a cost: which part of it falls into the analysis period, and costs that serve longer than they took."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.schema.experiment import ReturnsOptions

Bounds = tuple[int | None, int | None]


@dataclass(frozen=True)
class Days:
    """First and last day (rows,) of each cost, inclusive; not a day for lump sums without one.

    ``are_known``: whether the table tells days at all.
    """

    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]
    are_known: bool

    @classmethod
    def of(cls, table: pd.DataFrame) -> Days:
        """The days of a costs table."""
        for start, end in (("day", "day"), ("period_start", "period_end")):
            if start in table:
                first, last = (pd.to_datetime(table[name]).to_numpy().astype("datetime64[D]") for name in (start, end))
                return cls(first, last, are_known=True)
        never = np.full(len(table), np.datetime64("NaT", "D"))
        return cls(never, never, are_known=False)

    def amortised(self, table: pd.DataFrame, options: ReturnsOptions) -> Days:
        """Costs that serve for some days from their first one on, by the table or else by their type.

        Raises
        ------
        InputError
            If such a cost has no day, or no cost is of a type that is to be spread.
        """
        by_type = {name.strip().casefold(): days for name, days in options.amortise_days.items()}
        unknown = sorted(set(by_type) - set(table["cost_type"]))
        if unknown:
            known = sorted(set(table["cost_type"]))
            raise InputError(f"returns.amortise_days: no cost is of type {unknown[0]!r}", allowed=known)
        serves = table["cost_type"].map(by_type).astype(float)
        if "amortise_days" in table:
            serves = table["amortise_days"].astype(float).fillna(serves)
        spread = serves.notna().to_numpy()
        undated = spread & np.isnat(self.first)
        if undated.any():
            kinds = sorted(set(table.loc[undated, "cost_type"]))
            raise InputError(
                f"table 'costs': {int(undated.sum())} costs are to be spread over days and have no day to begin on",
                given=kinds[:5],
                hint="give them a day, or period_start and period_end",
            )
        last = self.last.copy()
        last[spread] = self.first[spread] + (serves[spread].to_numpy().astype(np.int64) - 1)
        return replace(self, last=last)

    @property
    def instants(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin of the first day and end of the last (rows,), µs since 1970; meaningless without days."""
        first, last = (days.astype("datetime64[us]").astype(np.int64) for days in (self.first, self.last))
        return first, last + DAY

    def inside(self, bounds: Bounds) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin and end (rows,) of the part of each cost that lies in the period; the end may lie before the begin."""
        low, high = self.instants
        first = low if bounds[0] is None else np.maximum(low, bounds[0])
        last = high if bounds[1] is None else np.minimum(high, bounds[1] + 1)
        return first, last

    def share_inside(self, bounds: Bounds) -> NDArray[np.float64]:
        """Share (rows,) of each cost's days that lies in the period; 1 for lump sums without days."""
        known = ~np.isnat(self.first)
        low, high = (at[known] for at in self.instants)
        first, last = (at[known] for at in self.inside(bounds))
        share = np.ones(len(known))
        share[known] = np.maximum(last - first, 0) / (high - low)
        return share
