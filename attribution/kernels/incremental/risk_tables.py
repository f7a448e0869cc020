"""What is summed up over customers at risk: the tables and where they lie, and the rules of time at risk."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_SLOT, CREDITED, UNPAID = -1, 0, 1
"""What a channel is: ignored, one whose effect is wanted, or one that no money brings about."""


_BY_DAY = ("days", "columns")

AXES: Mapping[str, tuple[str, ...]] = {
    "entry_products": ("columns", "columns"),
    "stop_products": ("columns", "columns"),
    "at_additions": ("slots", "columns"),
    "additions": ("days", "slots"),
    "part": _BY_DAY,
    "entered": _BY_DAY,
    "stop_part": _BY_DAY,
    "stopped": _BY_DAY,
    "risk_part": ("days",),
    "risk_impulse": ("days",),
    "risk_stop_part": ("days",),
    "risk_stop_impulse": ("days",),
    "conversions": ("days",),
    "value": ("days",),
    "at_conversions": ("columns",),
    "at_value": ("columns",),
    "at_arrivals": ("slots", "columns"),
    "arrivals": ("slots", "days"),
    "customers": (),
    "near": (),
    "untouched": (),
}
"""Axes of each table, in the words of `Layout`."""


class Layout(NamedTuple):
    """Where each table lies among the sums: of ``slots`` channels with ``fading`` stocks each, over ``days``."""

    slots: int
    fading: int
    days: int

    @property
    def columns(self) -> int:
        """Stocks of all channels: that of channel c and half-life j is j · slots + c."""
        return self.slots * self.fading

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each table, in their order.

        ``entry_products`` and ``stop_products`` half of x xᵀ when customers come to be at risk and cease to be;
        ``at_additions`` stocks just before something is added to those of each channel, and ``additions`` how often
        on each day; ``part`` what enters the stocks, over the rest of its day, and ``entered`` how high that is which
        enters with customers; ``stop_part`` and ``stopped`` the same of what leaves; ``risk_part`` and
        ``risk_stop_part`` customers at risk over the rest of the day on which they come to be and cease to be, and
        ``risk_impulse`` and ``risk_stop_impulse`` their number on the next; ``conversions``, ``value`` per day;
        ``at_conversions`` and ``at_value`` stocks just before them; ``at_arrivals`` stocks just before touchpoints of
        each channel, whose number per day is ``arrivals``; ``customers`` read; ``near`` conversions soon after an
        unpaid touchpoint; ``untouched`` customers whom nothing happened to.
        """
        return {name: tuple(getattr(self, axis) for axis in axes) for name, axes in AXES.items()}

    @property
    def edges(self) -> NDArray[np.int64]:
        """(tables + 1,) where each table begins, and the number of sums."""
        sizes = [prod(shape) for shape in self.shapes.values()]
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]).astype(np.int64)

    @property
    def size(self) -> int:
        """Number of sums."""
        return int(self.edges[-1])

    def split(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """The tables of ``sums`` (size,), or of each row of (rows, size), by name."""
        edges, lead = self.edges, sums.shape[:-1]
        return {
            name: sums[..., low:high].reshape((*lead, *shape))
            for (name, shape), low, high in zip(self.shapes.items(), edges[:-1], edges[1:], strict=True)
        }


class CustomerEvents(NamedTuple):
    """Events of whole customers, in the order of time, touchpoints before conversions at one instant.

    Attributes
    ----------
    touch_start : (customers + 1,) first touchpoint of each customer, and their number
    touched_at : (touchpoints,) microseconds
    channel : (touchpoints,)
    end_start : (customers + 1,) first conversion of each customer, and their number
    ended_at : (conversions,) microseconds
    counts : (conversions,) whether the conversion counts; one that does not ends a spell all the same
    value : (conversions,)
    """

    touch_start: NDArray[np.int64]
    touched_at: NDArray[np.int64]
    channel: NDArray[np.int32]
    end_start: NDArray[np.int64]
    ended_at: NDArray[np.int64]
    counts: NDArray[np.bool_]
    value: NDArray[np.float64]


class Rules(NamedTuple):
    """How time at risk is cut, and how stocks fade.

    Attributes
    ----------
    start, end : first and last instant at risk, microseconds
    day : microseconds of a day
    guard : how long an unpaid touchpoint takes to count as history, microseconds
    knows_all : whether customers are at risk from ``start``; else from the first credited touchpoint
    is_last : whether nobody is at risk again after a conversion
    slot : (channels,) place of each channel among those with stocks, or `NO_SLOT`
    role : (slots,) `CREDITED` or `UNPAID`
    rate : (fading,) rates at which stocks fade, per day
    """

    start: int
    end: int
    day: int
    guard: int
    knows_all: bool
    is_last: bool
    slot: NDArray[np.int64]
    role: NDArray[np.int64]
    rate: NDArray[np.float64]

    @property
    def layout(self) -> Layout:
        """Where the sums lie."""
        days = max(1, -(-(self.end - self.start) // self.day))
        return Layout(len(self.role), len(self.rate), int(days))
