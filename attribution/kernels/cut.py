"""Cutting a customer's events into journeys: the one place that knows what a journey is."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

RESET, CUMULATIVE, FIRST_ONLY = 0, 1, 2
"""What a conversion does to the journeys after it."""

NO_LOOKBACK = -1
"""Lookback window without end."""

_FEW = 32


class Cut(NamedTuple):
    """Journeys of a batch of whole customers.

    ``kept`` touchpoints now fill the front of the arrays handed in. Journey j is their slice
    ``start[j]:stop[j]``, belongs to customer number ``customer[j]`` of the batch and ends in row
    ``conversion[j]`` of the conversions (−1: none) at ``ended_at[j]`` (its last touchpoint where it did not
    convert); ``is_open`` says that it closes after the end of the data. ``dropped`` counts touchpoints and
    conversions after the first conversion.
    """

    kept: int
    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    customer: NDArray[np.int32]
    conversion: NDArray[np.int64]
    ended_at: NDArray[np.int64]
    is_open: NDArray[np.bool_]
    dropped: NDArray[np.int64]


def cut_journeys(
    starts: NDArray[np.int64],
    at: NDArray[np.int64],
    ref: NDArray[np.signedinteger],
    cost: NDArray[np.float64],
    *,
    lookback: int,
    mode: int,
    end: int,
) -> Cut:
    """Cut whole customers' events into journeys; the arrays of events are overwritten with touchpoints.

    Parameters
    ----------
    starts : (customers + 1,) first event of each customer, and the number of events
    at : (events,) time, ascending within a customer
    ref : (events,) code of a touchpoint (≥ 0), or −1 − row of a conversion; ordered by `order_ties`
    cost : (events,) cost of a touchpoint; (0,) where touchpoints have none
    lookback : window in the unit of ``at``, inclusive at both ends; `NO_LOOKBACK` for none
    mode : `RESET`, `CUMULATIVE` or `FIRST_ONLY`
    end : when the data end

    Examples
    --------
    >>> cut = cut_journeys(np.array([0, 3]), np.array([1, 5, 6]), np.array([0, 1, -1]), np.zeros(0),
    ...                    lookback=2, mode=RESET, end=6)
    >>> cut.start.tolist(), cut.stop.tolist(), cut.conversion.tolist()
    ([0, 1], [1, 2], [-1, 0])
    """
    dropped = np.zeros(2, np.int64)
    out = _buffers(len(at))
    kept, made = _cut((starts, at, ref, cost), (lookback, mode, end), out, dropped)
    start, stop, customer, conversion, ended_at, is_open = (array[:made].copy() for array in out)
    return Cut(kept, start, stop, customer, conversion, ended_at, is_open, dropped)


_JOURNEY_TYPES = (np.int32, np.int32, np.int32, np.int64, np.int64, np.bool_)
_thread = threading.local()


def _buffers(events: int) -> tuple[NDArray[Any], ...]:
    """Room for as many journeys as there are events, kept by each thread: fresh memory costs more than the pass."""
    held: tuple[NDArray[Any], ...] | None = getattr(_thread, "buffers", None)
    if held is None or len(held[0]) < events:
        held = _thread.buffers = tuple(np.empty(events, kind) for kind in _JOURNEY_TYPES)
    return held


@njit(cache=True, nogil=True)
def order_ties(starts, at, ref, cost):
    """Order events of one customer at one instant, in place.

    Touchpoints before conversions; touchpoints by code, then cost; conversions by row. Returns how many
    touchpoints share their instant with another, and how many repeat another in every column.
    """
    ties = 0
    duplicates = 0
    has_cost = len(cost) > 0
    for c in range(len(starts) - 1):
        i = starts[c]
        end = starts[c + 1]
        while i < end - 1:
            if at[i + 1] != at[i]:
                i += 1
                continue
            j = i + 2
            while j < end and at[j] == at[i]:
                j += 1
            _sort_run(ref, cost, i, j)
            touchpoints = 0
            for k in range(i, j):
                if ref[k] >= 0:
                    touchpoints += 1
                    if k > i and ref[k] == ref[k - 1] and (not has_cost or cost[k] == cost[k - 1]):
                        duplicates += 1
            if touchpoints > 1:
                ties += touchpoints
            i = j
    return ties, duplicates


@njit(cache=True, nogil=True)
def _before(ref_a, cost_a, ref_b, cost_b):
    if (ref_a >= 0) != (ref_b >= 0):
        return ref_a >= 0
    if ref_a < 0:
        return ref_a > ref_b
    return ref_a < ref_b or (ref_a == ref_b and cost_a < cost_b)


@njit(cache=True, nogil=True)
def _sort_run(ref, cost, low, high):
    has_cost = len(cost) > 0
    if high - low > _FEW:
        if has_cost:
            by_cost = np.argsort(cost[low:high], kind="mergesort")
            ref[low:high] = ref[low:high][by_cost]
            cost[low:high] = cost[low:high][by_cost]
        # Conversions carry −1 − row: turned around they come after every code, by row.
        refs = ref[low:high].astype(np.int64)
        order = np.argsort(np.where(refs >= 0, refs, (1 << 62) - refs), kind="mergesort")
        ref[low:high] = ref[low:high][order]
        if has_cost:
            cost[low:high] = cost[low:high][order]
        return
    moving_cost = other_cost = 0.0
    for i in range(low + 1, high):
        moving_ref = ref[i]
        if has_cost:
            moving_cost = cost[i]
        j = i
        while j > low:
            if has_cost:
                other_cost = cost[j - 1]
            if not _before(moving_ref, moving_cost, ref[j - 1], other_cost):
                break
            ref[j] = ref[j - 1]
            if has_cost:
                cost[j] = other_cost
            j -= 1
        ref[j] = moving_ref
        if has_cost:
            cost[j] = moving_cost


@njit(cache=True, nogil=True)
def _cut(events, options, out, dropped):
    starts, at, ref, cost = events
    lookback, mode, _ = options
    has_cost = len(cost) > 0
    kept = 0  # touchpoints written so far, always to a place that has been read
    made = 0  # journeys written so far
    for c in range(len(starts) - 1):
        unused = kept  # first touchpoint that no conversion has used
        window = kept  # first touchpoint inside the lookback window
        closed = False
        for i in range(starts[c], starts[c + 1]):
            if closed:
                dropped[0 if ref[i] >= 0 else 1] += 1
                continue
            if ref[i] >= 0:
                at[kept] = at[i]
                ref[kept] = ref[i]
                if has_cost:
                    cost[kept] = cost[i]
                kept += 1
                continue
            if mode != CUMULATIVE:
                window = unused
            while lookback >= 0 and window < kept and at[i] - at[window] > lookback:
                window += 1
            if window > unused:
                made = _leave(at, (unused, window, c), options, made, out)
            _write(out, made, (window, kept, c, -1 - ref[i]), at[i], False)
            made += 1
            unused = kept
            closed = mode == FIRST_ONLY
        if kept > unused:
            made = _leave(at, (unused, kept, c), options, made, out)
    return kept, made


@njit(cache=True, nogil=True)
def _leave(at, run, options, made, out):
    """Write a run of unused touchpoints as non-converting journeys, split where the gap exceeds the window."""
    low, high, c = run
    lookback, _, end = options
    first = low
    for i in range(low + 1, high + 1):
        if i == high or (lookback >= 0 and at[i] - at[i - 1] > lookback):
            is_open = lookback >= 0 and at[i - 1] + lookback > end
            _write(out, made, (first, i, c, -1), at[i - 1], is_open)
            made += 1
            first = i
    return made


@njit(cache=True, nogil=True)
def _write(out, j, place, ended, still_open):
    start, stop, customer, conversion, ended_at, is_open = out
    start[j], stop[j], customer[j], conversion[j] = place
    ended_at[j] = ended
    is_open[j] = still_open
