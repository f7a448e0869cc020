"""Sums over customers at risk, in one pass: all that an additive hazard needs of a log.

A touchpoint of a channel adds 1 to the channel's stocks, one for every half-life, which fade. A customer is at risk in
spells: a spell ends with a conversion, or with the data. Integrals over time at risk have closed forms between events,
so that no customer is expanded into days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.statistics.sums import LIMB_BITS

NO_SLOT, CREDITED, UNPAID = -1, 0, 1
"""What a channel is: ignored, one whose effect is wanted, or one that no money brings about."""

_FRACTION = float(1 << LIMB_BITS)
_NEVER = 1 << 62
_NEAR = 3_600_000_000
"""An unpaid touchpoint within an hour before a conversion may be the visit of the purchase itself."""


class Layout(NamedTuple):
    """Where each table lies among the sums: of ``slots`` channels with ``fading`` stocks each, over ``days``."""

    slots: int
    fading: int
    days: int

    @property
    def columns(self) -> int:
        """Stocks of all channels: that of channel c and half-life j is c · fading + j."""
        return self.slots * self.fading

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each table, in their order.

        ``products`` half of ∫ x xᵀ; ``part`` and ``impulse`` what enters the stocks, ``stop_…`` what leaves them, and
        ``risk_…`` the same of customers at risk; ``conversions``, ``value`` per day; ``at_conversions`` and
        ``at_value`` stocks just before them; ``at_arrivals`` stocks just before touchpoints of each channel, whose
        number per day is ``arrivals``; ``customers`` read; ``near`` conversions soon after an unpaid touchpoint;
        ``untouched`` customers whom nothing happened to.
        """
        columns, by_day = self.columns, (self.days, self.columns)
        return {
            "products": (columns, columns),
            "part": by_day,
            "impulse": by_day,
            "stop_part": by_day,
            "stop_impulse": by_day,
            "risk_part": (self.days,),
            "risk_impulse": (self.days,),
            "risk_stop_part": (self.days,),
            "risk_stop_impulse": (self.days,),
            "conversions": (self.days,),
            "value": (self.days,),
            "at_conversions": (columns,),
            "at_value": (columns,),
            "at_arrivals": (self.slots, columns),
            "arrivals": (self.slots, self.days),
            "customers": (),
            "near": (),
            "untouched": (),
        }

    @property
    def edges(self) -> NDArray[np.int64]:
        """(tables + 1,) where each table begins, and the number of sums."""
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes.values()]
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


def sum_risk(events: CustomerEvents, rules: Rules, group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Sums over the customers of each group, in fixed point: the same whatever the order of customers.

    Parameters
    ----------
    events : of whole customers
    rules : what is at risk
    group : (customers,) group of each; below 0 for customers who are left out
    groups : number of groups

    Returns
    -------
    limbs : (groups, size, 2) fractions in units of 2⁻³², and whole numbers; see `Layout`. Each term is rounded once.
    """
    layout = rules.layout
    cells = np.zeros((groups, layout.size, 2), np.int64)
    order = np.argsort(group, kind="stable")  # the sums of one group stay near
    order = order[group[order] >= 0]
    frame = np.array(
        [rules.start, rules.end, rules.day, rules.guard, rules.knows_all, rules.is_last, layout.days], np.int64
    )
    _sum(events, frame, (rules.slot, rules.role, rules.rate), layout.edges, (order, group), cells)
    return cells


def risk_of_untouched(rules: Rules, customers: int) -> NDArray[np.int64]:
    """(size, 2) limbs of so many customers at risk from start to end whom nothing ever happened to."""
    layout = rules.layout
    cells = np.zeros((layout.size, 2), np.int64)
    cells[[layout.edges[5], layout.edges[15], layout.edges[17]], 1] = customers
    if layout.days > 1:
        cells[layout.edges[6] + 1, 1] = customers
    left = layout.days - (rules.end - rules.start) / rules.day
    whole, fraction = divmod(int(left * _FRACTION + 0.5) * customers, 1 << LIMB_BITS)
    cells[layout.edges[7] + layout.days - 1] = fraction, whole
    return cells


# ---------------------------------------------------------------- the pass


@njit(cache=True, nogil=True, inline="always")
def _add(sums, row, term):
    whole = np.int64(term)
    sums[row, 0] += np.int64((term - whole) * _FRACTION + 0.5)
    sums[row, 1] += whole


@njit(cache=True, nogil=True)
def _sum(events, frame, channels, edges, groups, cells):
    touch_start, touched_at, channel, end_start, ended_at, counts, value = events
    slot, role, rate = channels
    order, group = groups
    start, end, knows_all, is_last = frame[0], frame[1], frame[4], frame[5]
    stock = np.zeros(len(role) * len(rate))
    active = np.zeros(len(role), np.int64)
    place = np.full(len(role), -1, np.int64)
    scratch = np.empty((3, len(rate)))
    both = np.empty((len(rate), len(rate)))
    for j in range(len(rate)):
        for k in range(len(rate)):
            both[j, k] = 1.0 / (rate[j] + rate[k])
    for number in range(len(order)):
        c = order[number]
        sums = cells[group[c]]
        _add(sums, edges[15], 1.0)
        first, last = touch_start[c], touch_start[c + 1]
        since = start  # at risk again from here, if at all
        spell = end_start[c]
        while True:
            converts = spell < end_start[c + 1]
            stop = ended_at[spell] if converts else _NEVER
            until = first
            while until < last and touched_at[until] <= stop:
                until += 1
            is_cut = stop > end
            close = end if is_cut else stop
            entry = since
            if not knows_all:
                entry = _NEVER
                for i in range(first, until):
                    s = slot[channel[i]]
                    if s >= 0 and role[s] == 0:
                        entry = max(since, touched_at[i])
                        break
            if entry < close:
                what = 1 if converts and not is_cut and counts[spell] else 0
                worth = value[spell] if what else 0.0
                _spell(
                    (touched_at, channel),
                    (first, until, entry, close, what),
                    worth,
                    frame,
                    (slot, role, rate, both),
                    edges,
                    (stock, active, place, scratch),
                    sums,
                )
            if not converts or is_cut or is_last:
                break
            first = until
            since = max(start, stop)
            spell += 1


@njit(cache=True, nogil=True)
def _spell(touchpoints, span, worth, frame, channels, edges, state, sums):
    touched_at, channel = touchpoints
    first, until, entry, close, converts = span
    start, day, guard, days = frame[0], frame[2], frame[3], frame[6]
    slot, role, rate, both = channels
    stock, active, place, scratch = state
    fading = len(rate)
    columns = len(stock)
    products, part, impulse = edges[0], edges[1], edges[2]
    stop_part, stop_impulse = edges[3], edges[4]
    _mark_risk(sums, edges[5], edges[6], (entry - start) / day, days)
    _mark_risk(sums, edges[7], edges[8], (close - start) / day, days)

    held = 0  # channels with stocks
    at = entry  # when stocks were brought up to date
    paid = _next(touched_at, channel, slot, role, first, until, 0)
    unpaid = _next(touched_at, channel, slot, role, first, until, 1)
    arrival = first
    while arrival < until and touched_at[arrival] <= entry:
        arrival += 1
    visited = -_NEVER

    # What lies before entry has faded by then, and comes in at once.
    while True:
        is_paid, when = _earlier(touched_at, paid, unpaid, until, guard)
        if when > entry or when >= close:
            break
        i = paid if is_paid else unpaid
        s = slot[channel[i]]
        if place[s] < 0:
            place[s] = held
            active[held] = s
            held += 1
        gone = (entry - when) / day
        for j in range(fading):
            stock[s * fading + j] += np.exp(-rate[j] * gone)
        if is_paid:
            paid = _next(touched_at, channel, slot, role, i + 1, until, 0)
        else:
            unpaid = _next(touched_at, channel, slot, role, i + 1, until, 1)
    if held:
        left = (close - entry) / day
        today, rest = _day(entry, start, day)
        for j in range(fading):
            scratch[0, j] = np.exp(-rate[j] * left)
            scratch[1, j] = np.exp(-rate[j] * rest)
        for m in range(held):
            a = active[m] * fading
            for j in range(fading):
                x = stock[a + j]
                if today < days:
                    _add(sums, part + today * columns + a + j, x * (1.0 - scratch[1, j]) / rate[j])
                if today + 1 < days:
                    _add(sums, impulse + (today + 1) * columns + a + j, x * scratch[1, j])
                for n in range(held):
                    b = active[n] * fading
                    for k in range(fading):
                        term = 0.5 * x * stock[b + k] * (1.0 - scratch[0, j] * scratch[0, k]) * both[j, k]
                        _add(sums, products + (a + j) * columns + b + k, term)

    while True:
        is_paid, when = _earlier(touched_at, paid, unpaid, until, guard)
        comes = touched_at[arrival] if arrival < until else _NEVER
        if comes > close:
            comes = _NEVER
        if when >= close:
            when = _NEVER
        now = min(when, comes)
        if now == _NEVER:
            break
        if now > at:
            _fade(stock, active, held, rate, scratch, (now - at) / day)
            at = now
        if comes <= when:  # touchpoints of one instant do not see each other
            s = slot[channel[arrival]]
            if s >= 0:
                today = min(_day(now, start, day)[0], days - 1)
                _add(sums, edges[14] + s * days + today, 1.0)
                for m in range(held):
                    a = active[m] * fading
                    for j in range(fading):
                        _add(sums, edges[13] + s * columns + a + j, stock[a + j])
                if role[s] == 1:
                    visited = now
            arrival += 1
            continue
        i = paid if is_paid else unpaid
        s = slot[channel[i]]
        if place[s] < 0:
            place[s] = held
            active[held] = s
            held += 1
        a = s * fading
        left = (close - now) / day
        today, rest = _day(now, start, day)
        for j in range(fading):
            scratch[0, j] = np.exp(-rate[j] * left)
            scratch[1, j] = np.exp(-rate[j] * rest)
        for m in range(held):
            b = active[m] * fading
            for j in range(fading):
                x = stock[b + j]
                if x == 0.0:
                    continue
                row = products + (b + j) * columns + a
                for k in range(fading):
                    _add(sums, row + k, x * (1.0 - scratch[0, j] * scratch[0, k]) * both[j, k])
        for j in range(fading):
            for k in range(fading):
                term = 0.5 * (1.0 - scratch[0, j] * scratch[0, k]) * both[j, k]
                _add(sums, products + (a + j) * columns + a + k, term)
            if today < days:
                _add(sums, part + today * columns + a + j, (1.0 - scratch[1, j]) / rate[j])
            if today + 1 < days:
                _add(sums, impulse + (today + 1) * columns + a + j, scratch[1, j])
            stock[a + j] += 1.0
        if is_paid:
            paid = _next(touched_at, channel, slot, role, i + 1, until, 0)
        else:
            unpaid = _next(touched_at, channel, slot, role, i + 1, until, 1)

    if close > at:
        _fade(stock, active, held, rate, scratch, (close - at) / day)
    today, rest = _day(close, start, day)
    for j in range(fading):
        scratch[1, j] = np.exp(-rate[j] * rest)
    for m in range(held):
        a = active[m] * fading
        for j in range(fading):
            x = stock[a + j]
            if today < days:
                _add(sums, stop_part + today * columns + a + j, x * (1.0 - scratch[1, j]) / rate[j])
            if today + 1 < days:
                _add(sums, stop_impulse + (today + 1) * columns + a + j, x * scratch[1, j])
            if converts:
                _add(sums, edges[11] + a + j, x)
                _add(sums, edges[12] + a + j, worth * x)
            stock[a + j] = 0.0
        place[active[m]] = -1
    if converts:
        today = min(today, days - 1)
        _add(sums, edges[9] + today, 1.0)
        _add(sums, edges[10] + today, worth)
        if close - visited <= _NEAR:
            _add(sums, edges[16], 1.0)


@njit(cache=True, nogil=True, inline="always")
def _day(now, start, day):
    """The day of an instant, and how much of it is left."""
    today = (now - start) // day
    return today, 1.0 - (now - start - today * day) / day


@njit(cache=True, nogil=True)
def _mark_risk(sums, part, impulse, moment, days):
    today = np.int64(moment)
    if today < days:
        _add(sums, part + today, 1.0 - (moment - today))
    if today + 1 < days:
        _add(sums, impulse + today + 1, 1.0)


@njit(cache=True, nogil=True)
def _next(touched_at, channel, slot, role, i, until, kind):
    """The next touchpoint of a channel of one kind."""
    while i < until and (slot[channel[i]] < 0 or role[slot[channel[i]]] != kind):
        i += 1
    return i


@njit(cache=True, nogil=True, inline="always")
def _earlier(touched_at, paid, unpaid, until, guard):
    """Whether a credited touchpoint is the next to enter stocks, and when."""
    by_paid = touched_at[paid] if paid < until else _NEVER
    by_unpaid = touched_at[unpaid] + guard if unpaid < until else _NEVER
    return by_paid <= by_unpaid, min(by_paid, by_unpaid)


@njit(cache=True, nogil=True, inline="always")
def _fade(stock, active, held, rate, scratch, days):
    fading = len(rate)
    for j in range(fading):
        scratch[2, j] = np.exp(-rate[j] * days)
    for m in range(held):
        a = active[m] * fading
        for j in range(fading):
            stock[a + j] *= scratch[2, j]
