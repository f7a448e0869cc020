"""Sums over customers at risk, in one pass: all that an additive hazard needs of a log.

A touchpoint of a channel adds 1 to the channel's stocks, one for every half-life, which fade. A customer is at risk in
spells: a spell ends with a conversion, or with the data. Integrals over time at risk have closed forms between events,
so that no customer is expanded into days.

Stocks are held at the height that they had at the beginning of one day of the spell, so that nothing needs to fade when
time goes by: what a touchpoint adds later is larger by as much as it will have faded less.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.incremental.risk_tables import CREDITED, UNPAID, CustomerEvents, Rules
from attribution.kernels.statistics.sums import LIMB_BITS
from attribution.kernels.uncounted import uncounted

_FRACTION = float(1 << LIMB_BITS)
_NEVER = 1 << 62
_NEAR = 3_600_000_000
"""An unpaid touchpoint within an hour before a conversion may be the visit of the purchase itself."""

_U = np.uint64
"""Places without a sign need not be looked at for being counted from the end of an array."""

_NONE, _ONE = _U(0), _U(1)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sum_risk(events: CustomerEvents, rules: Rules, edges: Ints) -> Iterator[Ints]:
    """Sums over the customers of each group, in fixed point: the same whatever the order of customers.

    Parameters
    ----------
    events : of whole customers
    rules : what is at risk
    edges : (groups + 1,) first customer of each group, and their number

    Yields
    ------
    limbs : (size, 2) fractions in units of 2⁻³², and whole numbers, until the next group is asked for; each term is
        rounded once. Places are those of `attribution.kernels.incremental.risk_tables.Layout`
    """
    layout = rules.layout
    places = layout.edges.astype(_U)
    size = int(places[-1])
    # Behind the tables: stocks before touchpoints that both come and are added, see `_spread`. They stay near, since
    # one group follows the other on the same cells.
    cells = np.empty((2, size + layout.slots * layout.columns), np.int64)
    frame = np.array(
        [rules.start, rules.end, rules.day, rules.guard, rules.knows_all, rules.is_last, layout.days], np.int64
    )
    channels, fading = (rules.slot, rules.role, rules.rate), _fading(rules)
    state = *np.zeros((2, layout.columns)), *np.zeros((2, layout.fading)), *np.zeros((2, layout.columns), _U)
    for first, last in itertools.pairwise(edges.tolist()):
        cells[:] = 0
        _sum(events, frame, channels, places, fading, first, last, state, cells)
        yield cells[:, :size].T


def risk_of_untouched(rules: Rules, customers: int) -> Ints:
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


# ---------------------------------------------------------------- how stocks fade

_CELLS = 256
"""Parts of a day at whose edges it is known how far stocks have faded."""

_LARGEST_POWER = 600.0
"""exp of it is far from the largest float."""


def _fading(rules: Rules) -> tuple[Floats, Floats]:
    """exp(−w t) and exp(w t) of every rate w, (times, 2, rates): over days, and over parts of a day."""
    days, cells = (np.arange(size)[:, None] * rules.rate for size in (rules.layout.days + 1, _CELLS))
    cells /= _CELLS
    grown = np.minimum(days, _LARGEST_POWER)
    return np.exp(np.stack([-days, grown], axis=1)), np.exp(np.stack([-cells, cells], axis=1))


@uncounted(inline="always")
def _fade(phase, rate, by_cell, faded, grown):
    """``faded`` exp(−w phase) and ``grown`` exp(w phase) of every rate w; ``phase`` (days) below 1."""
    scaled = phase * _CELLS
    cell = _U(np.int64(scaled))
    rest = (scaled - np.int64(scaled)) / _CELLS
    for j in range(_U(len(rate))):
        if rate[j] > 1.0:
            faded[j] = np.exp(-rate[j] * phase)
            grown[j] = np.exp(rate[j] * phase)
            continue
        # To full precision, since this power is below 1 / 256.
        power = rate[j] * rest
        square = power * power
        even = 1.0 + square * (1 / 2 + square * (1 / 24))
        odd = power * (1.0 + square * (1 / 6 + square * (1 / 120)))
        faded[j] = by_cell[cell, 0, j] * (even - odd)
        grown[j] = by_cell[cell, 1, j] * (even + odd)


# ---------------------------------------------------------------- sums in fixed point

_ENTRY, _STOP, _AT_ADDITIONS, _ADDITIONS = 0, 1, 2, 3
_PART, _ENTERED, _STOP_PART, _STOPPED = 4, 5, 6, 7
_RISK, _RISK_IMPULSE, _RISK_STOP, _RISK_STOP_IMPULSE = 8, 9, 10, 11
_CONVERSIONS, _VALUE, _AT_CONVERSIONS, _AT_VALUE, _AT_ARRIVALS, _ARRIVALS = 12, 13, 14, 15, 16, 17
_CUSTOMERS, _NEARBY, _UNTOUCHED, _BOTH = 18, 19, 20, 21

_SMALL = 256.0
_MANY = 700
"""Customers with so many touchpoints in a spell are summed up term by term: their terms may be large."""

_ROUND = 1.5 * 2.0**52
_ROUND_BITS = np.int64(np.float64(_ROUND).view(np.int64))
"""A number below 2⁵¹ that is added to the first has its whole part in the last bits, less the second."""

_CARRY = 1 << 30
"""Fractions are carried before they might add up to more, long before 64 bits are full."""


@uncounted(inline="always")
def _add(low, high, row, term):
    if term < _SMALL:
        low[row] += np.int64(term * _FRACTION + 0.5)
    else:
        whole = np.int64(term)
        low[row] += np.int64((term - whole) * _FRACTION + 0.5)
        high[row] += whole


@uncounted(inline="always")
def _add_stocks(low, high, row, stock, faded, active, held, is_few):
    """Add stocks as they are now to as many sums; those of the channels that are ``active`` are all that there are."""
    slots = _U(len(stock)) // _U(len(faded))
    for j in range(_U(len(faded))):
        first = j * slots
        scaled = faded[j] * _FRACTION
        for k in range(_U(held)):
            p = first + active[k]
            if is_few:
                low[row + p] += np.float64(stock[p] * scaled + _ROUND).view(np.int64) - _ROUND_BITS
            else:
                _add(low, high, row + p, stock[p] * faded[j])


@uncounted()
def _carry(cells):
    for i in range(cells.shape[1]):
        whole = cells[0, i] >> LIMB_BITS
        cells[1, i] += whole
        cells[0, i] -= whole << LIMB_BITS


@njit(cache=True, nogil=True)
def _spread(cells, both, *tables):
    """Add the sums from ``both`` on to those of the ``tables`` that they are of."""
    for limb in range(2):
        for i in range(_U(cells.shape[1]) - both):
            for table in tables:
                cells[limb, table + i] += cells[limb, both + i]


# ---------------------------------------------------------------- the pass


@uncounted()
def _sum(events, frame, channels, edges, fading, first_customer, last_customer, state, cells):
    touch_start, touched_at, channel, end_start, ended_at, counts, value = events
    slot, role, rate = channels
    by_day, by_cell = fading
    start, end, knows_all, is_last = frame[0], frame[1], frame[4], frame[5]
    stock, now, faded, grown, active, used = state
    low, high = cells[0], cells[1]
    waiting = 0
    for c in range(first_customer, last_customer):
        _add(low, high, edges[_CUSTOMERS], 1.0)
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
            until = last
            if converts:
                until = first
                while until < last and touched_at[until] <= stop:
                    until += 1
            is_cut = stop > end
            close = end if is_cut else stop
            entry = since
            if not knows_all:
                i = _next(channel, slot, role, first, until, CREDITED)
                entry = max(since, touched_at[i]) if i < until else _NEVER
            if entry < close:
                bought = converts and not is_cut and counts[spell]
                worth = value[spell] if bought else 0.0
                _spell(
                    touched_at, channel, first, until, entry, close, bought, worth, frame, slot, role, rate, by_day,
                    by_cell, edges, stock, now, faded, grown, active, used, low, high,
                )  # fmt: skip
            if not converts or is_cut or is_last:
                break
            first = until
            since = max(start, stop)
            spell += 1
    _spread(cells, edges[_BOTH], edges[_AT_ADDITIONS], edges[_AT_ARRIVALS])
    _carry(cells)


@uncounted()
def _spell(
    touched_at, channel, first, until, entry, close, bought, worth, frame, slot, role, rate, by_day, by_cell, edges,
    stock, now, faded, grown, active, used, low, high,
):  # fmt: skip
    start, day, guard, days = frame[0], frame[2], frame[3], frame[6]
    columns, slots, is_few = _U(len(stock)), _U(len(role)), until - first < _MANY
    _mark_risk(low, high, edges[_RISK], edges[_RISK_IMPULSE], (entry - start) / day, days)
    _mark_risk(low, high, edges[_RISK_STOP], edges[_RISK_STOP_IMPULSE], (close - start) / day, days)
    base, visited = np.int64((entry - start) / day), -_NEVER
    i, unpaid, held = _start(
        touched_at, channel, first, until, entry, base, frame, slot, role, rate, by_day, by_cell, edges, stock, now,
        faded, grown, active, used, low, high, is_few,
    )  # fmt: skip
    while True:
        comes = touched_at[i] if i < until else _NEVER
        counts = touched_at[unpaid] + guard if unpaid < until else _NEVER
        at = min(comes, counts)
        if at > close or (at == close and counts < comes):
            break
        moment = (at - start) / day
        today = np.int64(moment)
        base = _go(moment, base, rate, by_day, by_cell, stock, faded, grown)
        if counts < comes:  # what comes at one instant does not see what counts from then on
            s = _U(slot[channel[unpaid]])
            _add_stocks(low, high, edges[_AT_ADDITIONS] + s * columns, stock, faded, active, held, is_few)
            held = _bring(s, today, base, rate, by_day, grown, edges, stock, active, held, low)
            high[edges[_ADDITIONS] + _U(today) * slots + s] += 1
            unpaid = _next(channel, slot, role, unpaid + 1, until, UNPAID)
            continue
        after = i + 1
        while after < until and touched_at[after] == at:
            after += 1
        held, visited = _come(
            channel, i, after, at > entry, at < close, at, today, base, days, slot, role, rate, by_day, edges, stock,
            faded, grown, active, held, low, high, is_few, visited,
        )  # fmt: skip
        i = after
    if held:
        moment = (close - start) / day
        _go(moment, base, rate, by_day, by_cell, stock, faded, grown)
        many = _see(stock, faded, active, held, now, used)
        _leave(np.int64(moment), bought, worth, days, rate, by_day, grown, edges, now, used, many, low, high, is_few)
    if bought:
        last = _U(min((close - start) // day, days - 1))
        _add(low, high, edges[_CONVERSIONS] + last, 1.0)
        _add(low, high, edges[_VALUE] + last, worth)
        if close - visited <= _NEAR:
            _add(low, high, edges[_NEARBY], 1.0)


@uncounted(inline="always")
def _start(
    touched_at, channel, first, until, entry, base, frame, slot, role, rate, by_day, by_cell, edges, stock, now,
    faded, grown, active, used, low, high, is_few,
):  # fmt: skip
    """Stocks at entry, of what lies before it; which touchpoints come next, paid and unpaid, and how many channels
    have any."""
    day, guard = frame[2], frame[3]
    held = 0
    stock[:] = 0.0
    now[:] = 0.0
    i, unpaid = first, _next(channel, slot, role, first, until, UNPAID)
    while i < until and touched_at[i] < entry:
        if slot[channel[i]] >= 0 and role[slot[channel[i]]] == CREDITED:
            held = _recall(slot[channel[i]], (entry - touched_at[i]) / day, rate, now, active, held)
        i += 1
    while unpaid < until and touched_at[unpaid] + guard < entry:
        held = _recall(slot[channel[unpaid]], (entry - touched_at[unpaid] - guard) / day, rate, now, active, held)
        unpaid = _next(channel, slot, role, unpaid + 1, until, UNPAID)
    if held:
        moment = (entry - frame[0]) / day
        _enter(
            moment, base, rate, by_day, by_cell, edges, stock, now, faded, grown, active, held, used, low, high, is_few
        )
    return i, unpaid, held


@uncounted(inline="always")
def _come(
    channel, i, after, arrives, adds, at, today, base, days, slot, role, rate, by_day, edges, stock, faded, grown,
    active, held, low, high, is_few, visited,
):  # fmt: skip
    """Touchpoints of one instant: they come, and do not see each other; then those that are paid for are added."""
    columns, slots = _U(len(stock)), _U(len(role))
    is_both = arrives and adds and after == i + 1  # it comes and is added: one sum for two
    for k in range(i, after if arrives else i):
        if slot[channel[k]] >= 0:
            s = _U(slot[channel[k]])
            high[edges[_ARRIVALS] + s * _U(days) + _U(min(today, days - 1))] += 1
            table = _BOTH if is_both and role[s] == CREDITED else _AT_ARRIVALS
            _add_stocks(low, high, edges[table] + s * columns, stock, faded, active, held, is_few)
            if role[s] == UNPAID:
                visited = at
    for k in range(i, after if adds else i):
        if slot[channel[k]] >= 0 and role[slot[channel[k]]] == CREDITED:
            s = _U(slot[channel[k]])
            if not is_both:
                _add_stocks(low, high, edges[_AT_ADDITIONS] + s * columns, stock, faded, active, held, is_few)
            held = _bring(s, today, base, rate, by_day, grown, edges, stock, active, held, low)
            high[edges[_ADDITIONS] + _U(today) * slots + s] += 1
    return held, visited


# ---------------------------------------------------------------- stocks


@uncounted(inline="always")
def _go(moment, base, rate, by_day, by_cell, stock, faded, grown):
    """The day that stocks are held at; ``faded`` since it began, and ``grown`` since the day of ``moment`` did."""
    today = np.int64(moment)
    slots = _U(len(stock)) // _U(len(rate))
    if (today - base) * rate[0] > _LARGEST_POWER:
        for j in range(_U(len(rate))):
            for p in range(j * slots, (j + _ONE) * slots):
                stock[p] *= by_day[_U(today - base), 0, j]
        base = today
    _fade(moment - today, rate, by_cell, faded, grown)
    for j in range(_U(len(rate))):
        faded[j] *= by_day[_U(today - base), 0, j]
    return base


@uncounted(inline="always")
def _see(stock, faded, active, held, now, used):
    """Stocks as they are ``now``."""
    slots = _U(len(stock)) // _U(len(faded))
    many = _NONE
    for j in range(_U(len(faded))):
        factor = faded[j]
        for k in range(_U(held)):
            p = j * slots + active[k]
            now[p] = stock[p] * factor
            used[many] = p
            many += _ONE
    return many


@uncounted(inline="always")
def _bring(s, today, base, rate, by_day, grown, edges, stock, active, held, low):
    """One more in the stocks of a channel; how many channels have any."""
    columns = _U(len(stock))
    slots = columns // _U(len(rate))
    row = edges[_PART] + _U(today) * columns + s
    since = _U(today - base)
    for j in range(_U(len(rate))):
        rest = (1.0 - grown[j] * by_day[_ONE, 0, j]) / rate[j]
        low[row + j * slots] += np.int64(rest * _FRACTION + 0.5)
        stock[j * slots + s] += grown[j] * by_day[since, 1, j]
    return _hold(s, active, held)


@uncounted(inline="always")
def _hold(s, active, held):
    """Let a channel be among those that have stocks, the first ``held`` of ``active``; how many they are."""
    k = _U(held)
    while k > _NONE and active[k - _ONE] > s:
        k -= _ONE
    if k > _NONE and active[k - _ONE] == s:
        return held
    for m in range(_U(held), k, -1):
        active[_U(m)] = active[_U(m - 1)]
    active[k] = s
    return held + 1


@uncounted()
def _recall(s, gone, rate, now, active, held):
    """One more in the stocks of a channel at entry, from so many days before; how many channels have any."""
    slots = len(now) // len(rate)
    for j in range(len(rate)):
        now[j * slots + s] += np.exp(-rate[j] * gone)
    return _hold(_U(s), active, held)


@uncounted()
def _enter(moment, base, rate, by_day, by_cell, edges, stock, now, faded, grown, active, held, used, low, high, is_few):
    """What lies before the entry comes in at once."""
    _go(moment, base, rate, by_day, by_cell, stock, faded, grown)
    slots, many = _U(len(stock)) // _U(len(rate)), _NONE
    for j in range(_U(len(rate))):
        for k in range(_U(held)):
            p = j * slots + active[k]
            stock[p] = now[p] * grown[j]
            used[many] = p
            many += _ONE
    _add_products(low, high, edges[_ENTRY], now, used, many, is_few)
    _add_flow(low, high, edges[_PART], edges[_ENTERED], base, rate, by_day, grown, now, used, many)


@uncounted()
def _leave(today, bought, worth, days, rate, by_day, grown, edges, now, used, many, low, high, is_few):
    """What leaves the stocks, and what they were at the conversion if there is one."""
    _add_products(low, high, edges[_STOP], now, used, many, is_few)
    if today < days:
        _add_flow(low, high, edges[_STOP_PART], edges[_STOPPED], today, rate, by_day, grown, now, used, many)
    if bought:
        for k in range(many):
            p = used[k]
            _add(low, high, edges[_AT_CONVERSIONS] + p, now[p])
            _add(low, high, edges[_AT_VALUE] + p, worth * now[p])


@uncounted(inline="always")
def _add_flow(low, high, part, heights, today, rate, by_day, grown, now, used, many):
    """What all stocks are over the rest of the day, and how high they are."""
    columns = _U(len(now))
    row = _U(today) * columns
    held, k = many // _U(len(rate)), _NONE
    for j in range(_U(len(rate))):
        rest = (1.0 - grown[j] * by_day[_ONE, 0, j]) / rate[j]
        for _ in range(held):
            p = used[k]
            _add(low, high, part + row + p, now[p] * rest)
            _add(low, high, heights + row + p, now[p])
            k += _ONE


@uncounted()
def _add_products(low, high, table, now, used, many, is_few):
    """Half of x xᵀ: each pair of stocks once, and half of the square of each."""
    columns = _U(len(now))
    for k in range(many):
        p = used[k]
        row, scaled = table + p * columns, now[p] * _FRACTION
        _add(low, high, row + p, 0.5 * now[p] * now[p])
        for m in range(k + _ONE, many):
            q = used[m]
            if is_few:
                low[row + q] += np.float64(now[q] * scaled + _ROUND).view(np.int64) - _ROUND_BITS
            else:
                _add(low, high, row + q, now[p] * now[q])


@uncounted()
def _mark_risk(low, high, part, impulse, moment, days):
    today = np.int64(moment)
    if today < days:
        _add(low, high, part + _U(today), 1.0 - (moment - today))
    if today + 1 < days:
        high[impulse + _U(today + 1)] += 1


@uncounted()
def _next(channel, slot, role, i, until, kind):
    """The next touchpoint of a channel of one kind."""
    while i < until and (slot[channel[i]] < 0 or role[slot[channel[i]]] != kind):
        i += 1
    return i
