"""Sums over customers at risk of one day after another, under keys that name channels, so that days add up.

A day by itself is a log that lasts a day: what happened before it is history, and enters with the height that it has
when the day begins. What customers leave one day with is what they enter the next with, so that sums of days are those
of all days at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.incremental.risk_sums import sum_risk
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
    """(size, 2) limbs of each of the ``days``, given the whole past of customers, as `sum_risk` has them.

    Customers of whom nothing is known by the end of a day are not in its sums: no later log changes what a day says.
    """
    customers = len(events.touch_start) - 1
    first = np.sort(_first_events(events))
    edges = dict(zip(AXES, rules_of_day(rules, 0).layout.edges, strict=False))
    for day in days:
        own = rules_of_day(rules, day)
        (limbs,) = sum_risk(events, own, np.array([0, customers]))
        later = customers - np.searchsorted(first, own.end, side="right")
        limbs[edges["customers"], 1] -= later
        if rules.knows_all:  # all day long
            limbs[edges["risk_part"], 1] -= later
        yield limbs


def _first_events(events: CustomerEvents) -> Ints:
    """(customers,) when something first happened to each."""
    first = np.full(len(events.touch_start) - 1, np.iinfo(np.int64).max)
    for start, moments in ((events.touch_start, events.touched_at), (events.end_start, events.ended_at)):
        (has_any,) = np.nonzero(np.diff(start))
        first[has_any] = np.minimum(first[has_any], moments[start[has_any]])
    return first


def count_so_far(events: CustomerEvents, rules: Rules, days: range) -> Ints:
    """(days, channels) touchpoints of each channel until each day ends."""
    day = np.clip((events.touched_at + 1) // rules.day - days.start, 0, len(days))
    cells = np.bincount(day * len(rules.slot) + events.channel, minlength=(len(days) + 1) * len(rules.slot))
    return np.cumsum(cells.reshape(len(days) + 1, -1)[:-1], axis=0)


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
