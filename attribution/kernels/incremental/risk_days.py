"""Sums over customers at risk of one day after another, under keys that name channels, so that days add up.

A day by itself is a log that lasts a day: what happened before it is history, and enters with the height that it has
when the day begins. What customers leave one day with is what they enter the next with, so that sums of days are those
of all days at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.incremental.risk_sums import risk_of_untouched, sum_risk
from attribution.kernels.incremental.risk_tables import AXES, CustomerEvents, Layout, Rules

Ints = NDArray[np.int64]

KEY_COLUMNS = 5
"""Table, half-life and channel of its first axis, half-life and channel of its second."""

CHANNEL_COLUMNS = (2, 4)
"""Where a key names a channel."""

_NONE = -1


def rules_of_day(rules: Rules, day: int) -> Rules:
    """``rules`` of the day with this number.

    It begins the instant before, so that who converts at its very first instant is at risk.
    """
    return rules._replace(start=day * rules.day - 1, end=(day + 1) * rules.day - 1)


def sum_days(events: CustomerEvents, rules: Rules, days: Sequence[int]) -> Iterator[Ints]:
    """(size, 2) limbs of each of the ``days``, given the whole past of customers, as `sum_risk` has them."""
    everybody = np.array([0, len(events.touch_start) - 1])
    for day in days:
        yield from sum_risk(events, rules_of_day(rules, day), everybody)


def days_of_untouched(rules: Rules, customers: int, days: Sequence[int]) -> Iterator[Ints]:
    """(size, 2) limbs of each of the ``days`` of so many customers whom nothing ever happened to."""
    for day in days:
        yield risk_of_untouched(rules_of_day(rules, day), customers)


def keys_of_day(layout: Layout, channels: Ints, fading: Ints) -> Ints:
    """(size, 5) what the sums of one day are of; −1 where a table has no such axis.

    Parameters
    ----------
    layout : of one day
    channels : (slots,) number of each channel
    fading : (fading,) number of each half-life
    """
    parts = []
    for number, (name, axes) in enumerate(AXES.items()):
        shape = layout.shapes[name]
        keys = np.full((int(np.prod(shape)), KEY_COLUMNS), _NONE, np.int64)
        keys[:, 0] = number
        column = 1
        for axis, places in zip(axes, np.indices(shape).reshape(len(shape), len(keys)), strict=True):
            if axis == "days":
                continue
            half, slot = np.divmod(places, layout.slots)
            if axis == "columns":
                keys[:, column] = fading[half]
            keys[:, column + 1] = channels[slot]
            column += 2
        parts.append(keys)
    return np.concatenate(parts)


def find_keys(keys: Ints, among: Ints) -> Ints:
    """(n,) row of each of the ``keys`` (n, m) among distinct other ones, −1 where it is not there.

    Examples
    --------
    >>> find_keys(np.array([[2, 7], [2, 8]]), np.array([[3, 1], [2, 7]])).tolist()
    [1, -1]
    """
    sizes = np.concatenate([keys, among]).max(axis=0, initial=_NONE) + 2
    codes, other = (np.ravel_multi_index(tuple((each + 1).T), tuple(sizes.tolist())) for each in (keys, among))
    order = np.argsort(other)
    position = np.searchsorted(other, codes, sorter=order)
    row = order[np.minimum(position, len(other) - 1)]
    return np.where(other[row] == codes, row, _NONE)
