"""Ids that appear only right before they convert: what a lost cookie or a login at the checkout looks like."""

from __future__ import annotations

from numba import njit


def searched_since(first: int, last: int, *, lookback: int, limit: int) -> int:
    """From when on a conversion without history is one whose history must have been lost, or never was.

    The data must reach back one lookback window before it, or half of themselves where they span less than two
    windows, and always further than ``limit``: right after the data begin, every id is new.

    Parameters
    ----------
    first, last : when the data begin and end
    lookback : window in the same unit; negative for none
    limit : how old an id may be and still count as new

    Examples
    --------
    >>> searched_since(0, 1000, lookback=30, limit=1), searched_since(0, 40, lookback=30, limit=1)
    (30, 20)
    """
    half = (last - first) // 2
    return first + max(half if lookback < 0 else min(lookback, half), limit + 1)


@njit(cache=True, nogil=True)
def fresh_ids(starts, at, ref, limit, since, until):
    """Count ids whose first event is a touchpoint at most ``limit`` before their first conversion.

    An id that converts without any touchpoint has lost nothing that could be told from never having had it. Only
    the first conversion of an id is looked at: a later one has history. What the journeys are does not
    matter, so that the count is the same in every mode; events must not have been cut yet.

    Parameters
    ----------
    starts : (customers + 1,) first event of each customer, and the number of events
    at : (events,) time, ascending within a customer
    ref : (events,) ≥ 0 for a touchpoint, negative for a conversion
    limit : in the unit of ``at``, inclusive; not more than the lookback window, which would not reach further
    since, until : first conversions from ``since`` to ``until``, both inclusive, are looked at

    Returns
    -------
    fresh, looked_at : counts of ids
    """
    fresh = 0
    looked_at = 0
    for c in range(len(starts) - 1):
        if starts[c] < starts[c + 1] and ref[starts[c]] < 0:
            continue
        for i in range(starts[c], starts[c + 1]):
            if ref[i] >= 0:
                continue
            if since <= at[i] <= until:
                looked_at += 1
                fresh += at[i] - at[starts[c]] <= limit
            break
    return fresh, looked_at
