"""What happened to whole customers, taken from events before they are cut into journeys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Events(NamedTuple):
    """Events of whole customers, touchpoints and conversions by themselves.

    Attributes
    ----------
    touch_start, end_start : (customers + 1,) first touchpoint and first conversion of each customer
    touched_at, code : (touchpoints,) time and code; None unless asked for
    ended_at, row : (conversions,) time and row
    """

    touch_start: NDArray[np.int64]
    end_start: NDArray[np.int64]
    touched_at: NDArray[np.int64] | None
    code: NDArray[np.int64] | None
    ended_at: NDArray[np.int64]
    row: NDArray[np.int64]


def read_events(
    starts: NDArray[np.int64], at: NDArray[np.int64], ref: NDArray[np.signedinteger], *, is_last: bool, whole: bool
) -> Events:
    """Events as `attribution.kernels.journeys.cut.cut_journeys` takes them, which does away with their order.

    Parameters
    ----------
    is_last : whether nothing counts after a customer's first conversion
    whole : whether to copy touchpoints, too

    Examples
    --------
    >>> read_events(np.array([0, 2]), np.array([5, 6]), np.array([2, -1]), is_last=False, whole=False).ended_at.tolist()
    [6]
    """
    touches, ends = count_events(starts, ref, is_last)
    touched_at, code = gather_touches(starts, at, ref, touches) if whole else (None, None)
    return Events(touches, ends, touched_at, code, *gather_ends(starts, at, ref, ends))


@njit(cache=True, nogil=True)
def count_events(starts, ref, is_last):
    """Touchpoints and conversions before each customer, (customers + 1,) each.

    With ``is_last`` nothing counts after a customer's first conversion. ``starts`` and ``ref`` are those of
    `attribution.kernels.journeys.cut.cut_journeys`.

    Examples
    --------
    >>> [part.tolist() for part in count_events(np.array([0, 3, 4]), np.array([2, -1, 5, 0]), True)]
    [[0, 1, 2], [0, 1, 1]]
    """
    touches = np.zeros(len(starts), np.int64)
    ends = np.zeros(len(starts), np.int64)
    for c in range(len(starts) - 1):
        touched = 0
        ended = 0
        for i in range(starts[c], starts[c + 1]):
            if ref[i] < 0:
                ended += 1
                if is_last:
                    break
            else:
                touched += 1
        touches[c + 1] = touches[c] + touched
        ends[c + 1] = ends[c] + ended
    return touches, ends


@njit(cache=True, nogil=True)
def gather_ends(starts, at, ref, ends):
    """Time and row of the conversions that `count_events` counts.

    Examples
    --------
    >>> times, rows = gather_ends(np.array([0, 3]), np.array([5, 6, 7]), np.array([2, -1, -4]), np.array([0, 2]))
    >>> times.tolist(), rows.tolist()
    ([6, 7], [0, 3])
    """
    times = np.empty(ends[-1], np.int64)
    rows = np.empty(ends[-1], np.int64)
    for c in range(len(starts) - 1):
        k = ends[c]
        for i in range(starts[c], starts[c + 1]):
            if k == ends[c + 1]:
                break
            if ref[i] < 0:
                times[k] = at[i]
                rows[k] = -1 - ref[i]
                k += 1
    return times, rows


@njit(cache=True, nogil=True)
def gather_touches(starts, at, ref, touches):
    """Time and code of the touchpoints that `count_events` counts.

    Examples
    --------
    >>> times, codes = gather_touches(np.array([0, 3]), np.array([5, 6, 7]), np.array([2, -1, 4]), np.array([0, 2]))
    >>> times.tolist(), codes.tolist()
    ([5, 7], [2, 4])
    """
    times = np.empty(touches[-1], np.int64)
    codes = np.empty(touches[-1], np.int64)
    for c in range(len(starts) - 1):
        k = touches[c]
        for i in range(starts[c], starts[c + 1]):
            if k == touches[c + 1]:
                break
            if ref[i] >= 0:
                times[k] = at[i]
                codes[k] = ref[i]
                k += 1
    return times, codes
