"""Sums over customers at risk, in one pass: all that an additive hazard needs of a log.

A touchpoint of a channel adds 1 to the channel's stocks, one for every half-life, which fade. A customer is at risk in
spells: a spell ends with a conversion, or with the data. Integrals over time at risk have closed forms between events,
so that no customer is expanded into days.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.incremental.risk_tables import CustomerEvents, Rules
from attribution.kernels.statistics.sums import LIMB_BITS

_FRACTION = float(1 << LIMB_BITS)
_NEVER = 1 << 62
_NEAR = 3_600_000_000
"""An unpaid touchpoint within an hour before a conversion may be the visit of the purchase itself."""


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
    limbs : (groups, size, 2) fractions in units of 2⁻³², and whole numbers; each term is rounded once. Places are those
        of `attribution.kernels.incremental.risk_tables.Layout`
    """
    layout = rules.layout
    cells = np.zeros((groups, 2, layout.size), np.int64)
    order = np.argsort(group, kind="stable")  # the sums of one group stay near
    order = order[group[order] >= 0]
    frame = np.array(
        [rules.start, rules.end, rules.day, rules.guard, rules.knows_all, rules.is_last, layout.days], np.int64
    )
    _sum(events, frame, (rules.slot, rules.role, rules.rate), layout.edges, (order, group), cells)
    return cells.transpose(0, 2, 1)


def risk_of_untouched(rules: Rules, customers: int) -> NDArray[np.int64]:
    """(size, 2) limbs of so many customers at risk from start to end whom nothing ever happened to."""
    layout = rules.layout
    cells = np.zeros((layout.size, 2), np.int64)
    edges = layout.edges
    cells[edges[[_RISK, _CUSTOMERS, _UNTOUCHED]], 1] = customers
    if layout.days > 1:
        cells[edges[_RISK_IMPULSE] + 1, 1] = customers
    left = layout.days - (rules.end - rules.start) / rules.day
    whole, fraction = divmod(int(left * _FRACTION + 0.5) * customers, 1 << LIMB_BITS)
    cells[edges[_RISK_STOP] + layout.days - 1] = fraction, whole
    return cells


# ---------------------------------------------------------------- the pass

_ENTRY, _STOP, _AT_ADDITIONS, _ADDITIONS = 0, 1, 2, 3
_PART, _IMPULSE, _STOP_PART, _STOP_IMPULSE = 4, 5, 6, 7
_RISK, _RISK_IMPULSE, _RISK_STOP, _RISK_STOP_IMPULSE = 8, 9, 10, 11
_CONVERSIONS, _VALUE, _AT_CONVERSIONS, _AT_VALUE, _AT_ARRIVALS, _ARRIVALS = 12, 13, 14, 15, 16, 17
_CUSTOMERS, _NEARBY, _UNTOUCHED = 18, 19, 20

_SMALL = 256.0
_MANY = 700
"""Customers with so many touchpoints in a spell are summed up term by term: their terms may be large."""

_ROUND = 1.5 * 2.0**52
_ROUND_BITS = np.int64(np.float64(_ROUND).view(np.int64))
"""A number below 2⁵¹ that is added to the first has its whole part in the last bits, less the second."""

_CARRY = 1 << 30
"""Fractions are carried before they might add up to more, long before 64 bits are full."""


@njit(cache=True, nogil=True, inline="always")
def _add(sums, row, term):
    if term < _SMALL:
        sums[0, row] += np.int64(term * _FRACTION + 0.5)
    else:
        whole = np.int64(term)
        sums[0, row] += np.int64((term - whole) * _FRACTION + 0.5)
        sums[1, row] += whole


@njit(cache=True, nogil=True)
def _carry(cells):
    for g in range(cells.shape[0]):
        for i in range(cells.shape[2]):
            whole = cells[g, 0, i] >> LIMB_BITS
            cells[g, 1, i] += whole
            cells[g, 0, i] -= whole << LIMB_BITS


@njit(cache=True, nogil=True)
def _sum(events, frame, channels, edges, groups, cells):
    touch_start, touched_at, channel, end_start, ended_at, counts, value = events
    slot, role, rate = channels
    order, group = groups
    start, end, knows_all, is_last = frame[0], frame[1], frame[4], frame[5]
    columns = len(role) * len(rate)
    rounded = np.empty(columns)
    state = np.zeros(columns), np.empty(columns), rounded, rounded.view(np.int64), np.empty((2, len(rate)))
    waiting = 0
    for number in range(len(order)):
        c = order[number]
        sums = cells[group[c]]
        _add(sums, edges[_CUSTOMERS], 1.0)
        first, last = touch_start[c], touch_start[c + 1]
        touches = last - first
        waiting += (touches * touches if touches < _MANY else touches * 256) + end_start[c + 1] - end_start[c] + 1
        if waiting > _CARRY:
            _carry(cells)
            waiting = 0
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
                span = (first, until, entry, close, what)
                _spell((touched_at, channel), span, worth, frame, channels, edges, state, sums)
            if not converts or is_cut or is_last:
                break
            first = until
            since = max(start, stop)
            spell += 1
    _carry(cells)


@njit(cache=True, nogil=True)
def _spell(touchpoints, span, worth, frame, channels, edges, state, sums):
    touched_at, channel = touchpoints
    first, until, entry, close, converts = span
    start, day, guard, days = frame[0], frame[2], frame[3], frame[6]
    slot, role, rate = channels
    stock = state[0]
    columns, is_few, per_day = len(stock), until - first < _MANY, 1.0 / day
    _mark_risk(sums, edges[_RISK], edges[_RISK_IMPULSE], (entry - start) / day, days)
    _mark_risk(sums, edges[_RISK_STOP], edges[_RISK_STOP_IMPULSE], (close - start) / day, days)

    arrival = first
    while arrival < until and touched_at[arrival] <= entry:
        arrival += 1
    paid, unpaid, is_empty = _start(touchpoints, span, frame, channels, edges, state, sums)
    at = entry  # when stocks were brought up to date
    visited = -_NEVER
    while True:
        by_paid = touched_at[paid] if paid < until else _NEVER
        by_unpaid = touched_at[unpaid] + guard if unpaid < until else _NEVER
        when = min(by_paid, by_unpaid)
        comes = touched_at[arrival] if arrival < until and touched_at[arrival] <= close else _NEVER
        when = when if when < close else _NEVER
        now = min(when, comes)
        if now == _NEVER:
            break
        if not is_empty:
            if now > at:
                _fade(state, rate, (now - at) * per_day)
            _round(state)
        at = now
        adds = comes > when
        if comes <= when:  # touchpoints of one instant do not see each other
            s = slot[channel[arrival]]
            if s >= 0:
                sums[1, edges[_ARRIVALS] + s * days + min((now - start) // day, days - 1)] += 1
                if not is_empty:
                    _add_stocks(sums, edges[_AT_ARRIVALS] + s * columns, state, is_few)
                if role[s] == 1:
                    visited = now
            # A touchpoint that nothing else happens with comes and is added at once.
            adds = arrival == paid and when == now and by_unpaid > now
            adds = adds and (arrival + 1 == until or touched_at[arrival + 1] > now)
            arrival += 1
        if not adds:
            continue
        i = paid if by_paid <= by_unpaid else unpaid
        s = slot[channel[i]]
        if not is_empty:
            _add_stocks(sums, edges[_AT_ADDITIONS] + s * columns, state, is_few)
        sums[1, edges[_ADDITIONS] + s] += 1
        _add_touchpoint(sums, edges[_PART], edges[_IMPULSE], frame, now, rate, s, stock)
        is_empty = False
        if by_paid <= by_unpaid:
            paid = _next(channel, slot, role, i + 1, until, 0)
        else:
            unpaid = _next(channel, slot, role, i + 1, until, 1)
    if not is_empty and close > at:
        _fade(state, rate, (close - at) * per_day)
    _stop((close, converts, is_empty, is_few, visited), worth, frame, rate, edges, state, sums)


@njit(cache=True, nogil=True)
def _start(touchpoints, span, frame, channels, edges, state, sums):
    """Stocks at entry: what lies before it has faded by then, and comes in at once."""
    touched_at, channel = touchpoints
    first, until, entry = span[0], span[1], span[2]
    day, guard = frame[2], frame[3]
    slot, role, rate = channels
    stock = state[0]
    stock[:] = 0.0
    is_empty = True
    paid = _next(channel, slot, role, first, until, 0)
    unpaid = _next(channel, slot, role, first, until, 1)
    while True:
        by_paid = touched_at[paid] if paid < until else _NEVER
        by_unpaid = touched_at[unpaid] + guard if unpaid < until else _NEVER
        when = min(by_paid, by_unpaid)
        if when > entry:
            break
        i = paid if by_paid <= by_unpaid else unpaid
        a = slot[channel[i]] * len(rate)
        gone = (entry - when) / day
        for j in range(len(rate)):
            stock[a + j] += np.exp(-rate[j] * gone)
        is_empty = False
        if by_paid <= by_unpaid:
            paid = _next(channel, slot, role, i + 1, until, 0)
        else:
            unpaid = _next(channel, slot, role, i + 1, until, 1)
    if not is_empty:
        _products(sums, edges[_ENTRY], state, until - first < _MANY)
        _flow(sums, edges[_PART], edges[_IMPULSE], frame, entry, rate, state)
    return paid, unpaid, is_empty


@njit(cache=True, nogil=True)
def _stop(end, worth, frame, rate, edges, state, sums):
    """What leaves the stocks, and the conversion if there is one."""
    close, converts, is_empty, is_few, visited = end
    start, day, days = frame[0], frame[2], frame[6]
    stock = state[0]
    if not is_empty:
        _products(sums, edges[_STOP], state, is_few)
        _flow(sums, edges[_STOP_PART], edges[_STOP_IMPULSE], frame, close, rate, state)
        if converts:
            for a in range(len(stock)):
                _add(sums, edges[_AT_CONVERSIONS] + a, stock[a])
                _add(sums, edges[_AT_VALUE] + a, worth * stock[a])
    if converts:
        today = min((close - start) // day, days - 1)
        _add(sums, edges[_CONVERSIONS] + today, 1.0)
        _add(sums, edges[_VALUE] + today, worth)
        if close - visited <= _NEAR:
            _add(sums, edges[_NEARBY], 1.0)


@njit(cache=True, nogil=True)
def _mark_risk(sums, part, impulse, moment, days):
    today = np.int64(moment)
    if today < days:
        _add(sums, part + today, 1.0 - (moment - today))
    if today + 1 < days:
        sums[1, impulse + today + 1] += 1


@njit(cache=True, nogil=True, inline="always")
def _add_touchpoint(sums, part, impulse, frame, now, rate, s, stock):
    """One more in the stocks of a channel: what that is over the rest of the day, and what is left for the next."""
    start, day, days = frame[0], frame[2], frame[6]
    today = (now - start) // day
    rest = 1.0 - (now - start - today * day) / day
    row = today * len(stock) + s * len(rate)
    for j in range(len(rate)):
        left = np.exp(-rate[j] * rest)
        _add(sums, part + row + j, (1.0 - left) / rate[j])
        if today + 1 < days:
            _add(sums, impulse + row + len(stock) + j, left)
        stock[s * len(rate) + j] += 1.0


@njit(cache=True, nogil=True)
def _flow(sums, part, impulse, frame, now, rate, state):
    """What all stocks are over the rest of the day, and what of them is left for the next."""
    stock = state[0]
    start, day, days = frame[0], frame[2], frame[6]
    today = (now - start) // day
    if today >= days:
        return
    rest = 1.0 - (now - start - today * day) / day
    whole, left = state[4]
    for j in range(len(rate)):
        left[j] = np.exp(-rate[j] * rest)
        whole[j] = (1.0 - left[j]) / rate[j]
    row = today * len(stock)
    for low in range(0, len(stock), len(rate)):
        if stock[low] == 0.0:
            continue
        for j in range(len(rate)):
            _add(sums, part + row + low + j, stock[low + j] * whole[j])
            if today + 1 < days:
                _add(sums, impulse + row + len(stock) + low + j, stock[low + j] * left[j])


@njit(cache=True, nogil=True)
def _products(sums, table, state, is_few):
    """Half of x xᵀ: each pair of stocks once, and half of the square of each."""
    stock, rounded, bits = state[0], state[2], state[3]
    columns = len(stock)
    for p in range(columns):
        x = stock[p]
        if x == 0.0:
            continue
        row = table + p * columns
        _add(sums, row + p, 0.5 * x * x)
        if is_few:
            cells = sums[0, row : row + columns]
            for r in range(p + 1, columns):
                rounded[r] = x * stock[r] * _FRACTION + _ROUND
            for r in range(p + 1, columns):
                cells[r] += bits[r] - _ROUND_BITS
        else:
            for r in range(p + 1, columns):
                _add(sums, row + r, x * stock[r])


@njit(cache=True, nogil=True, inline="always")
def _round(state):
    """Stocks in fixed point, for `_add_stocks`."""
    stock, rounded = state[0], state[2]
    for p in range(len(stock)):
        rounded[p] = stock[p] * _FRACTION + _ROUND


@njit(cache=True, nogil=True, inline="always")
def _add_stocks(sums, row, state, is_few):
    stock, bits = state[0], state[3]
    if is_few:
        cells = sums[0, row : row + len(stock)]
        for p in range(len(stock)):
            cells[p] += bits[p] - _ROUND_BITS
    else:
        for p in range(len(stock)):
            _add(sums, row + p, stock[p])


@njit(cache=True, nogil=True, inline="always")
def _next(channel, slot, role, i, until, kind):
    """The next touchpoint of a channel of one kind."""
    while i < until and (slot[channel[i]] < 0 or role[slot[channel[i]]] != kind):
        i += 1
    return i


@njit(cache=True, nogil=True, inline="always")
def _fade(state, rate, days):
    stock, faded = state[0], state[1]
    fading = len(rate)
    for j in range(fading):
        factor = np.exp(-rate[j] * days)
        for low in range(j, len(stock), fading):
            faded[low] = factor
    for p in range(len(stock)):
        stock[p] *= faded[p]
