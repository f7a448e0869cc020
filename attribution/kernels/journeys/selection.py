"""Which touchpoints of a journey stay: policies for views, repeats and direct traffic, path transforms, length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

KEEP, DROP_IF_OTHER, DROP = 0, 1, 2
"""What becomes of touchpoints of a class: stay; go if the journey has others; go."""

NO_DEDUPE, CONSECUTIVE, GAP, UNIQUE = 0, 1, 2, 3
"""Which repeats of the touchpoint before are merged into it: none, all, those within a gap, exact copies."""

AS_IS, EXPOSURE, FIRST = 0, 1, 2
"""Path transforms: none; runs of a channel become one; only the first touchpoint of each channel stays."""


class Rules(NamedTuple):
    """What is asked for: one of the codes above each, ``gap`` and the ``longest`` window in the unit of the times,
    ``most`` touchpoints."""

    views: int
    dedupe: int
    gap: int
    longest: int
    direct: int
    transform: int
    most: int


class Steps(NamedTuple):
    """Touchpoints as they lie in the chunk.

    ``code``, ``channel``, ``at`` (touchpoints,); ``is_view``, ``is_direct`` (touchpoints,) bool; ``cost``
    (touchpoints,) or (0,); ``own`` (touchpoints,) lookback windows, or (0,) where all in a journey are in theirs.
    """

    code: NDArray[np.signedinteger]
    channel: NDArray[np.int32]
    at: NDArray[np.int64]
    is_view: NDArray[np.bool_]
    is_direct: NDArray[np.bool_]
    cost: NDArray[np.float64]
    own: NDArray[np.int64]


class Refined(NamedTuple):
    """``position`` (kept,) of each kept touchpoint, journey by journey; ``length`` (journeys,); ``cost`` (kept,)
    with what was merged, or (0,); ``times`` (kept,) how often the journey had the channel, under `FIRST`, else
    (0,); ``removed`` (5,) touchpoints that went by windows (of those in the longest), views, repeats, direct
    policy, and transform or length."""

    position: NDArray[np.int64]
    length: NDArray[np.int64]
    cost: NDArray[np.float64]
    times: NDArray[np.int64]
    removed: NDArray[np.int64]


def refine(
    start: NDArray[np.signedinteger],
    stop: NDArray[np.signedinteger],
    ended_at: NDArray[np.int64],
    converted: NDArray[np.bool_],
    steps: Steps,
    *,
    rules: Rules,
    channels: int,
) -> Refined:
    """Decide for every journey start[j]:stop[j] which of its touchpoints stay, in the order of `Rules`.

    First those go whose own window ended before the conversion: a journey that did not convert keeps them all.

    Examples
    --------
    >>> a = np.array([0, 0, 1, 0])
    >>> none = np.zeros(4, bool)
    >>> steps = Steps(a, a.astype(np.int32), np.arange(4), none, none, np.ones(4), np.zeros(0, np.int64))
    >>> rules = Rules(KEEP, CONSECUTIVE, 0, 0, KEEP, AS_IS, 10)
    >>> made = refine(np.array([0]), np.array([4]), np.array([9]), np.array([True]), steps, rules=rules, channels=2)
    >>> made.position.tolist(), made.cost.tolist()
    ([0, 2, 3], [2.0, 1.0, 1.0])
    """
    total = int((stop - start).sum())
    position = np.empty(total, np.int64)
    cost = np.zeros(total if len(steps.cost) else 0)
    length = np.zeros(len(start), np.int64)
    times = np.zeros(total if rules.transform == FIRST else 0, np.int64)
    removed = np.zeros(5, np.int64)
    journeys = (start, stop, ended_at, converted)
    used = _refine(journeys, steps, rules, channels, (position, length, cost, times, removed))
    return Refined(position[:used], length, cost[:used], times[:used], removed)


@njit(cache=True, nogil=True)
def _refine(journeys, steps, rules, channels, out):
    start, stop, ended_at, converted = journeys
    position, length, cost, times, removed = out
    code, channel, at, is_view, is_direct, price, own = steps
    count = np.zeros(channels, np.int64)
    base = 0
    for j in range(len(start)):
        n = 0
        for i in range(start[j], stop[j]):
            if len(own) == 0 or not converted[j] or ended_at[j] - at[i] <= own[i]:
                position[base + n] = i
                if len(price) > 0:
                    cost[base + n] = price[i]
                n += 1
            elif ended_at[j] - at[i] <= rules.longest:
                removed[0] += 1
        left = _drop(position, cost, (base, n), is_view, rules.views)
        removed[1] += n - left
        n = left
        if rules.dedupe != NO_DEDUPE:
            left = _merge(position, cost, (base, n), code, at, price, rules.dedupe, rules.gap)
            removed[2] += n - left
            n = left
        left = _drop(position, cost, (base, n), is_direct, rules.direct)
        removed[3] += n - left
        n = left
        left = _transform(position, (cost, times), (base, n), channel, rules.transform, count)
        if left > rules.most:
            for k in range(base, base + rules.most):
                position[k] = position[k + left - rules.most]
                if len(cost) > 0:
                    cost[k] = cost[k + left - rules.most]
                if len(times) > 0:
                    times[k] = times[k + left - rules.most]
            left = rules.most
        removed[4] += n - left
        length[j] = left
        base += left
    return base


@njit(cache=True, nogil=True)
def _drop(position, cost, run, marked, policy):
    base, n = run
    if policy == KEEP:
        return n
    if policy == DROP_IF_OTHER:
        has_others = False
        for k in range(base, base + n):
            if not marked[position[k]]:
                has_others = True
        if not has_others:
            return n
    left = 0
    for k in range(base, base + n):
        if not marked[position[k]]:
            position[base + left] = position[k]
            if len(cost) > 0:
                cost[base + left] = cost[k]
            left += 1
    return left


@njit(cache=True, nogil=True)
def _merge(position, cost, run, code, at, price, dedupe, gap):
    """Merge repeats into the touchpoint before; costs add up, but a copy of a row costs nothing."""
    base, n = run
    left = 0
    before = -1  # the touchpoint before, merged or not
    for k in range(base, base + n):
        i = position[k]
        is_repeat = left > 0 and code[i] == code[before]
        if dedupe == GAP:
            is_repeat = is_repeat and at[i] - at[before] <= gap
        if dedupe == UNIQUE:
            is_repeat = is_repeat and at[i] == at[before] and (len(price) == 0 or price[i] == price[before])
        before = i
        if is_repeat:
            if len(cost) > 0 and dedupe != UNIQUE:
                cost[base + left - 1] += cost[k]
            continue
        position[base + left] = i
        if len(cost) > 0:
            cost[base + left] = cost[k]
        left += 1
    return left


@njit(cache=True, nogil=True)
def _transform(position, beside, run, channel, transform, count):
    base, n = run
    cost, times = beside
    if transform == AS_IS:
        return n
    left = 0
    before = -1
    for k in range(base, base + n):
        c = channel[position[k]]
        count[c] += 1
        if (transform == EXPOSURE and c == before) or (transform == FIRST and count[c] > 1):
            continue
        before = c
        position[base + left] = position[k]
        if len(cost) > 0:
            cost[base + left] = cost[k]
        left += 1
    for k in range(base, base + left):
        if len(times) > 0:
            times[k] = count[channel[position[k]]]
    for k in range(base, base + left):
        count[channel[position[k]]] = 0
    return left
