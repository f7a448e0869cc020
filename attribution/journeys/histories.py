"""Histories of whole customers, before journeys are cut out of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.journeys.batches import gather_slices


@dataclass(frozen=True)
class Histories:
    """All that happened to whole customers, before journeys were cut, whatever the options of journeys.

    Attributes
    ----------
    touch_start : (customers + 1,) first touchpoint of each customer, and their number
    touched_at : (touchpoints,) int64 microseconds, ascending within a customer
    channel : (touchpoints,) int32, position in ``Dimensions.channels``
    end_start : (customers + 1,) first conversion of each customer, and their number
    ended_at : (conversions,) int64 microseconds, ascending within a customer
    counts : (conversions,) whether it counts in this run, or only closes journeys
    value : (conversions,) float64
    bucket : (customers,) int64 label of the bucket that each was dealt to, once it has been
    """

    touch_start: NDArray[np.int64]
    touched_at: NDArray[np.int64]
    channel: NDArray[np.int32]
    end_start: NDArray[np.int64]
    ended_at: NDArray[np.int64]
    counts: NDArray[np.bool_]
    value: NDArray[np.float64]
    bucket: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.touch_start) - 1

    def in_order(self, order: NDArray[np.intp]) -> Histories:
        """The customers in another ``order`` (customers,)."""
        (touch_start, touches), (end_start, ends) = (
            _reordered(start, order) for start in (self.touch_start, self.end_start)
        )
        return Histories(
            touch_start,
            gather_slices(self.touched_at, *touches),
            gather_slices(self.channel, *touches),
            end_start,
            gather_slices(self.ended_at, *ends),
            gather_slices(self.counts, *ends),
            gather_slices(self.value, *ends),
            None if self.bucket is None else self.bucket[order],
        )

    def of(self, customers: NDArray[np.bool_]) -> Histories:
        """Those of the ``customers`` (customers,) that are chosen."""
        if customers.all():
            return self
        touches, ends = (np.repeat(customers, np.diff(start)) for start in (self.touch_start, self.end_start))
        return Histories(
            _restart(self.touch_start, customers),
            self.touched_at[touches],
            self.channel[touches],
            _restart(self.end_start, customers),
            self.ended_at[ends],
            self.counts[ends],
            self.value[ends],
            None if self.bucket is None else self.bucket[customers],
        )


def _restart(start: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where each chosen run begins once the others are gone, and the end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(start)[chosen])])


def _reordered(
    start: NDArray[np.int64], order: NDArray[np.intp]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Where each run begins once runs are in another order, and the end; and where they begin and end now."""
    begin, end = start[:-1][order], start[1:][order]
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(end - begin)]), (begin, end)
