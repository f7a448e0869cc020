"""Cutting a customer's events into journeys: the one place that knows what a journey is."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

RESET, CUMULATIVE, FIRST_ONLY = 0, 1, 2
"""What a conversion does to the journeys after it."""

NO_LOOKBACK = 1 << 61
"""Lookback window without end."""

ANY_TIME = (-(1 << 62), 1 << 62)
"""Period without ends."""

_FEW = 32


class Windows(NamedTuple):
    """Lookback windows by kind and channel of a touchpoint, in the unit of its time.

    ``length`` (kinds × channels,) flat; the position of a code's window is ``Σ (code ÷ stride mod radix) · step``
    over the rows (stride, radix, step) of ``digits``, none where all windows are alike.
    """

    length: NDArray[np.int64]
    digits: NDArray[np.int64]

    @classmethod
    def alike(cls, length: int) -> Windows:
        """One window for all touchpoints."""
        return cls(np.array([length], np.int64), np.zeros((0, 3), np.int64))

    @property
    def vary(self) -> bool:
        return len(self.digits) > 0

    def of(self, code: NDArray[np.signedinteger]) -> NDArray[np.int64]:
        """(touchpoints,) window of each code."""
        index = np.zeros(len(code), np.int64)
        for stride, radix, step in self.digits:
            index += code // stride % radix * step
        return self.length[index]


class Cut(NamedTuple):
    """Journeys of a batch of whole customers.

    The first ``touchpoints`` elements of the arrays passed in are those that stay. Journey j is their slice
    ``start[j]:stop[j]``, belongs to customer number ``customer[j]`` of the batch and ends in row
    ``conversion[j]`` of the conversions (−1: none) at ``ended_at[j]`` (its last touchpoint where it did not
    convert); ``is_open`` says that it closes after the end of the data, ``is_later`` that it was last touched in the
    period but closes after it, and so does not count. Where windows vary, a slice in `CUMULATIVE` mode may hold
    touchpoints whose own window ended before the conversion.

    ``dropped`` counts touchpoints and conversions after the first conversion, ``outside`` conversions and
    non-converting journeys outside the period.
    """

    touchpoints: int
    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    customer: NDArray[np.int32]
    conversion: NDArray[np.int64]
    ended_at: NDArray[np.int64]
    is_open: NDArray[np.bool_]
    is_later: NDArray[np.bool_]
    dropped: NDArray[np.int64]
    outside: NDArray[np.int64]


def cut_journeys(
    starts: NDArray[np.int64],
    at: NDArray[np.int64],
    ref: NDArray[np.signedinteger],
    cost: NDArray[np.float64],
    *,
    windows: Windows,
    mode: int,
    end: int,
    period: tuple[int, int] = ANY_TIME,
) -> Cut:
    """Cut whole customers' events into journeys; the arrays of events are overwritten with touchpoints.

    Parameters
    ----------
    starts : (customers + 1,) first event of each customer, and the number of events
    at : (events,) time, ascending within a customer
    ref : (events,) code of a touchpoint (≥ 0), or −1 − row of a conversion; ordered by `order_ties`
    cost : (events,) cost of a touchpoint; (0,) where touchpoints have none
    windows : lookback windows, inclusive at both ends; of length `NO_LOOKBACK` for none
    mode : `RESET`, `CUMULATIVE` or `FIRST_ONLY`
    end : when the data end
    period : first and last instant at which a conversion counts, or a non-converting journey closes that does. Those
        that were last touched in it and close later are cut as well, and marked

    Examples
    --------
    >>> cut = cut_journeys(np.array([0, 3]), np.array([1, 5, 6]), np.array([0, 1, -1]), np.zeros(0),
    ...                    windows=Windows.alike(2), mode=RESET, end=6)
    >>> cut.start.tolist(), cut.stop.tolist(), cut.conversion.tolist()
    ([0, 1], [1, 2], [-1, 0])
    """
    counted = np.zeros((2, 2), np.int64)
    out = _buffers(len(at))
    options = (int(windows.length.max()), mode, end, *period)
    # Per event: looking a window up inside the pass made the pass four times slower.
    own = windows.of(ref) if windows.vary else np.zeros(0, np.int64)
    touchpoints, made = _cut((starts, at, ref, cost, own), options, out, counted)
    start, stop, customer, conversion, ended_at, is_open, is_later = (array[:made].copy() for array in out)
    return Cut(touchpoints, start, stop, customer, conversion, ended_at, is_open, is_later, *counted)


_JOURNEY_TYPES = (np.int32, np.int32, np.int32, np.int64, np.int64, np.bool_, np.bool_)
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
def _cut(events, options, out, counted):
    starts, at, ref, cost, own = events
    longest, mode = options[:2]
    has_cost, vary = len(cost) > 0, len(own) > 0
    written = 0  # touchpoints written so far, always to a place that has been read
    made = 0  # journeys written so far
    for c in range(len(starts) - 1):
        unused = written  # first touchpoint that no conversion has used
        begin = written  # first touchpoint that lies in the longest window
        closed = False
        for i in range(starts[c], starts[c + 1]):
            if closed:
                counted[0, 0 if ref[i] >= 0 else 1] += 1
                continue
            if ref[i] >= 0:
                at[written] = at[i]
                ref[written] = ref[i]
                if has_cost:
                    cost[written] = cost[i]
                if vary:
                    own[written] = own[i]
                written += 1
                continue
            live = unused
            while live < written and at[i] - at[live] > longest:
                live += 1
            if vary:
                live = _expire((at, ref, cost, own), (live, written), at[i])
            if live > unused:
                made = _leave(at, own, (unused, live, c), options, made, out, counted)
            if mode == CUMULATIVE:
                while begin < written and at[i] - at[begin] > longest:
                    begin += 1
            else:
                begin = live
            if options[3] <= at[i] <= options[4]:
                _write(out, made, (begin, written, c, -1 - ref[i]), at[i], (False, False))
                made += 1
            else:
                counted[1, 0] += 1
            unused = written
            closed = mode == FIRST_ONLY
        if written > unused:
            made = _leave(at, own, (unused, written, c), options, made, out, counted)
    return written, made


@njit(cache=True, nogil=True)
def _expire(touchpoints, run, now):
    """Bring touchpoints of the run whose window has ended to its front, in order; return where the others begin.

    What has ended for this conversion has ended for all later ones: in no journey is the order of time lost.
    """
    at, ref, cost, own = touchpoints
    low, high = run
    order = np.empty(high - low, np.int64)
    ended = 0
    for i in range(low, high):
        if now - at[i] > own[i]:
            order[ended] = i
            ended += 1
    n = ended
    for i in range(low, high):
        if now - at[i] <= own[i]:
            order[n] = i
            n += 1
    at[low:high] = at[order]
    ref[low:high] = ref[order]
    own[low:high] = own[order]
    if len(cost) > 0:
        cost[low:high] = cost[order]
    return low + ended


@njit(cache=True, nogil=True)
def _leave(at, own, run, options, made, out, counted):
    """Write a run of unused touchpoints as non-converting journeys, split where all windows have ended."""
    low, high, c = run
    longest, _, end, begin, until = options
    vary = len(own) > 0
    first = low
    closes = at[low]
    for i in range(low, high + 1):
        if i == high or (i > low and at[i] > closes):
            counts = begin <= closes <= until
            is_later = closes > until and begin <= at[i - 1] <= until
            if counts or is_later:
                _write(out, made, (first, i, c, -1), at[i - 1], (end < closes, is_later))
                made += 1
            if not counts:
                counted[1, 1] += 1
            first = i
        if i < high:
            window = own[i] if vary else longest
            # A journey without a window ends with the data.
            until_then = at[i] + window if window < NO_LOOKBACK else end
            closes = until_then if i == first else max(closes, until_then)
    return made


@njit(cache=True, nogil=True)
def _write(out, j, journey, ended, marks):
    start, stop, customer, conversion, ended_at, is_open, is_later = out
    start[j], stop[j], customer[j], conversion[j] = journey
    ended_at[j] = ended
    is_open[j], is_later[j] = marks
