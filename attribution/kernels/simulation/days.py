"""One day in the lives of customers, as the world is and with each of its channels switched off in turn.

All histories of a customer see the same draws, and one with a channel switched off is the actual one until that channel
first changes something: before that it costs nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.uncounted import uncounted

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

LONG_AGO = -1_000_000
AS_ACTUAL, APART, OVER = 0, 1, 2
"""What a history is: still the actual one, one of its own, at its end because the customer bought."""

_RARE = 0.01
_TINY = 2.0**-54
_RARE_LOG_ODDS = math.log(_RARE / (1 - _RARE))


class Channels(NamedTuple):
    """What channels do: arrays of one entry per channel."""

    in_market_factor: Floats
    goodwill_slope: Floats
    visited_within: Integers
    """Days; negative: whoever has visited or not."""
    stock: Integers
    """Column of the channel's own faded count; negative: nobody asks for it."""
    boosted_by: Integers
    """Column of the booster's faded count; negative: none."""
    boost: Floats
    saturation: Floats


class Market(NamedTuple):
    """The numbers of the world that are the same for all customers and days."""

    retention: float
    boost_threshold: float
    onset_goodwill_slope: float
    exit: float
    purchase_shift: float
    goodwill_needs_market: bool
    repeat_purchases: bool
    visit: float
    visit_in_market: float


class Customers(NamedTuple):
    """What customers bring along, the same in every history: one row per customer, one column per channel."""

    chance: Floats
    """(n, channels) of a touchpoint out of market, without goodwill."""
    effect: Floats
    """(n, channels) goodwill that a touchpoint adds."""
    onset_log_odds: Floats
    purchase_log_odds: Floats
    activity: Floats


class State(NamedTuple):
    """Where customers are: a column per history, first the actual one, then one per channel switched off."""

    phase: NDArray[np.int8]
    in_market: Flags
    goodwill: Floats
    last_visit: NDArray[np.int32]
    stock: Floats
    """(n, histories, columns) faded counts of touchpoints."""


class Today(NamedTuple):
    """What a day brings along, the same in every history."""

    day: int
    draws: Floats
    """(3 + channels, n) uniforms of market, purchase and visit, then of each channel."""
    season: float
    season_factor: Floats


class Moment(NamedTuple):
    """What happens to one customer on a day in one history."""

    goodwill: float
    in_market: bool
    last_visit: int
    """Day of the last visit before."""
    hits: int
    """How many channels touch."""
    buys: bool


class Day(NamedTuple):
    """What happened on a day in the actual history, and which purchases the others have not or have alone."""

    row: Integers
    channel: Integers
    goodwill: Floats
    in_market: Flags
    buyer: Integers
    buyer_goodwill: Floats
    buyer_in_market: Flags
    changed: Integers
    """(changes) customers with a purchase in the actual history alone or in another alone."""
    history: Integers
    """(changes) which other history."""
    sign: Integers
    """(changes) 1 for a purchase that only the actual history has, −1 for one that it has not."""


def start(in_market: Flags, histories: int, stocks: int) -> State:
    """Customers before the first day, each in or out of market in all histories."""
    size = len(in_market)
    return State(
        np.full((size, histories), AS_ACTUAL, np.int8),
        np.repeat(in_market[:, None], histories, axis=1),
        np.zeros((size, histories)),
        np.full((size, histories), LONG_AGO, np.int32),
        np.zeros((size, histories, stocks)),
    )


def live_day(
    day: int,
    draws: Floats,
    off: Integers,
    channels: Channels,
    market: Market,
    customers: Customers,
    season: float,
    season_factor: Floats,
    state: State,
) -> Day:
    """Live through one day, in every history; ``state`` is changed in place.

    Parameters
    ----------
    day : int
        From 0.
    draws : (3 + channels, n)
        Uniforms of market, purchase and visit, then of each channel.
    off : (histories − 1)
        The channel that is switched off in each history beside the actual one.
    season : float
        What the season adds to the log-odds of a purchase.
    season_factor : (channels)
        What the season multiplies the chance of a touchpoint by.
    """
    size = len(customers.activity)
    most_changes = 2 * size * len(off)
    hits = size * len(season_factor)
    buffers = Day(
        np.empty(hits, np.int64), np.empty(hits, np.int64), np.empty(hits), np.empty(hits, np.bool_),
        np.empty(size, np.int64), np.empty(size), np.empty(size, np.bool_),
        np.empty(most_changes, np.int64), np.empty(most_changes, np.int64), np.empty(most_changes, np.int64),
    )  # fmt: skip
    today = Today(day, draws, season, season_factor)
    count = len(season_factor)
    is_steady = (channels.goodwill_slope == 0.0) & (channels.in_market_factor == 1.0) & (channels.visited_within < 0)
    touches, stocks = np.zeros((2, count), np.int64), np.zeros(state.stock.shape[2])
    scratch = np.zeros(count, np.bool_), touches[0], touches[1], stocks, is_steady
    touched, bought, changes = _live_day(today, off, channels, market, customers, state, scratch, buffers)
    return Day(
        row=buffers.row[:touched].copy(),
        channel=buffers.channel[:touched].copy(),
        goodwill=buffers.goodwill[:touched].copy(),
        in_market=buffers.in_market[:touched].copy(),
        buyer=buffers.buyer[:bought].copy(),
        buyer_goodwill=buffers.buyer_goodwill[:bought].copy(),
        buyer_in_market=buffers.buyer_in_market[:bought].copy(),
        changed=buffers.changed[:changes].copy(),
        history=buffers.history[:changes].copy(),
        sign=buffers.sign[:changes].copy(),
    )


# Nothing here makes an array or gives one back, so references to arrays are not counted (_nrt): that would take as long
# as all else. No divisor can be 0.


@uncounted()
def _live_day(today, off, channels, market, customers, state, scratch, buffers):
    phases, stocks = state.phase, state.stock
    size = len(customers.activity)
    hit, touches, own_touches, stock_before, is_steady = scratch
    touched = bought = changes = 0
    for i in range(size):
        if _is_over(phases, i):
            continue
        _hit_steadily(today, customers.chance, is_steady, i, hit)
        actual = Moment(0.0, False, state.last_visit[i, 0], 0, False)
        if phases[i, 0] != OVER:
            actual = _live(today, channels, market, customers, state, is_steady, i, 0, hit, touches)
            touched = _write_touchpoints(buffers, touched, i, actual, touches)
            if actual.buys:
                bought = _write_buyer(buffers, bought, i, actual)
                for h in range(1, len(off) + 1):
                    if phases[i, h] != AS_ACTUAL:
                        changes = _write_change(buffers, changes, i, h, 1)
            for b in range(len(stock_before)):
                stock_before[b] = stocks[i, 0, b]
            _end(today, channels, market, customers, state, i, 0, actual, touches, -1)
        for h in range(1, len(off) + 1):
            if phases[i, h] == APART:
                own = _live(today, channels, market, customers, state, is_steady, i, h, hit, own_touches)
                if own.buys:
                    changes = _write_change(buffers, changes, i, h, -1)
                _end(today, channels, market, customers, state, i, h, own, own_touches, off[h - 1])
            # As the actual history, until the first touchpoint of the channel that is switched off.
            elif phases[i, 0] != OVER and phases[i, h] != OVER and hit[off[h - 1]]:
                for b in range(len(stock_before)):
                    stocks[i, h, b] = stock_before[b]
                _end(today, channels, market, customers, state, i, h, actual, touches, off[h - 1])
                if _differs(state.goodwill, stocks, i, h):
                    phases[i, h] = APART
    return touched, bought, changes


@uncounted(inline="always")
def _is_over(phases, i):
    """Whether nothing can happen to a customer any more, in any history."""
    is_over = phases[i, 0] == OVER
    for h in range(1, phases.shape[1]):
        is_over &= phases[i, h] != APART
    return is_over


@uncounted(inline="always")
def _hit_steadily(today, chance, is_steady, i, hit):
    """Which of the steady channels touch a customer: the same in all histories."""
    for k in range(len(is_steady)):
        if is_steady[k]:
            hit[k] = today.draws[3 + k, i] < chance[i, k] * today.season_factor[k]


@uncounted(inline="always")
def _live(today, channels, market, customers, state, is_steady, i, h, hit, touches):
    """What happens to a customer in a history of its own; ``touches`` is filled, in the actual one ``hit`` as well."""
    draws = today.draws
    goodwill, last_visit = state.goodwill[i, h], state.last_visit[i, h]
    # One threshold for both states keeps histories comparable: more goodwill takes nobody out of market.
    if state.in_market[i, h]:
        in_market = draws[0, i] < 1.0 - market.exit
    else:
        in_market = _is_below(draws[0, i], customers.onset_log_odds[i] + market.onset_goodwill_slope * goodwill)
    count = 0
    for k in range(len(is_steady)):
        is_hit = hit[k]
        if not is_steady[k]:
            within = channels.visited_within[k]
            is_hit = (within < 0 or today.day - last_visit <= within) and _is_touched(
                draws[3 + k, i],
                customers.chance[i, k] * today.season_factor[k] * (channels.in_market_factor[k] if in_market else 1.0),
                channels.goodwill_slope[k] * goodwill,
            )
            if h == 0:
                hit[k] = is_hit
        if is_hit:
            touches[count] = k
            count += 1
    log_odds = customers.purchase_log_odds[i] + today.season
    if in_market:
        log_odds += market.purchase_shift
    if in_market or not market.goodwill_needs_market:
        log_odds += goodwill
    return Moment(goodwill, in_market, last_visit, count, _is_below(draws[1, i], log_odds))


@uncounted(inline="always")
def _end(today, channels, market, customers, state, i, h, moment, touches, off_channel):
    """Take a customer to the next day; ``off_channel`` is the one that does nothing in this history, or negative."""
    if moment.buys and not market.repeat_purchases:
        state.phase[i, h] = OVER
        return
    stocks = state.stock
    goodwill = moment.goodwill * market.retention
    for t in range(moment.hits):
        k = touches[t]
        if k != off_channel:
            gain = customers.effect[i, k]
            booster, saturation = channels.boosted_by[k], channels.saturation[k]
            if booster >= 0 and stocks[i, h, booster] > market.boost_threshold:
                gain *= channels.boost[k]
            if saturation > 0.0:
                gain /= 1.0 + saturation * stocks[i, h, channels.stock[k]]
            goodwill += gain
    # Only now: touchpoints of a day neither boost nor saturate one another.
    if stocks.shape[2] > 0:
        for b in range(stocks.shape[2]):
            stocks[i, h, b] *= market.retention
        for t in range(moment.hits):
            k = touches[t]
            if channels.stock[k] >= 0 and k != off_channel:
                stocks[i, h, channels.stock[k]] += 1.0
    visit = market.visit_in_market if moment.in_market else market.visit
    visits = today.draws[2, i] < visit * customers.activity[i]
    state.goodwill[i, h] = goodwill
    state.last_visit[i, h] = today.day if visits else moment.last_visit
    state.in_market[i, h] = moment.in_market and not moment.buys


@uncounted(inline="always")
def _differs(goodwills, stocks, i, h):
    """Whether a customer has another past in a history than in the actual one."""
    differs = goodwills[i, h] != goodwills[i, 0]
    for b in range(stocks.shape[2]):
        differs |= stocks[i, h, b] != stocks[i, 0, b]
    return differs


@uncounted(inline="always")
def _write_touchpoints(buffers, touched, i, moment, touches):
    for t in range(moment.hits):
        buffers.row[touched], buffers.channel[touched] = i, touches[t]
        buffers.goodwill[touched], buffers.in_market[touched] = moment.goodwill, moment.in_market
        touched += 1
    return touched


@uncounted(inline="always")
def _write_buyer(buffers, bought, i, moment):
    buffers.buyer[bought] = i
    buffers.buyer_goodwill[bought], buffers.buyer_in_market[bought] = moment.goodwill, moment.in_market
    return bought + 1


@uncounted(inline="always")
def _write_change(buffers, changes, i, h, sign):
    buffers.changed[changes], buffers.history[changes], buffers.sign[changes] = i, h - 1, sign
    return changes + 1


@uncounted()
def _is_touched(draw, chance, exponent):
    """Whether a uniform is below ``chance`` × exp(``exponent``)."""
    if exponent == 0.0:
        return draw < chance
    # exp(x) lies between 1 + x and 1 ÷ (1 − x), which is all that most draws need to know.
    if draw < chance * (1.0 + exponent):
        return True
    if exponent < 1.0 and draw * (1.0 - exponent) >= chance:
        return False
    return draw < chance * math.exp(min(exponent, 600.0))


@uncounted()
def _is_below(draw, log_odds):
    """Whether a uniform is below the probability that has these log-odds."""
    if draw >= _RARE and log_odds <= _RARE_LOG_ODDS:
        return False
    return math.log(max(draw, _TINY) / (1.0 - draw)) < log_odds


@njit(cache=True, nogil=True, error_model="numpy")
def order_of_events(row, at, rank, size):
    """Positions of events in the order of row (below ``size``), time and rank, all whole numbers.

    Examples
    --------
    >>> order_of_events(np.array([1, 0, 1, 1]), np.array([5, 9, 5, 2]), np.array([1, 0, 0, 0]), 2).tolist()
    [1, 3, 2, 0]
    """
    ends = np.zeros(size + 1, np.int64)
    for e in range(len(row)):
        ends[row[e] + 1] += 1
    ends = np.cumsum(ends)
    order = np.empty(len(row), np.int64)
    filled = ends[:-1].copy()
    # A row has few events, and they come nearly in the order of time.
    for e in range(len(row)):
        position = filled[row[e]]
        filled[row[e]] += 1
        while position > ends[row[e]]:
            other = order[position - 1]
            if at[other] < at[e] or (at[other] == at[e] and rank[other] <= rank[e]):
                break
            order[position] = other
            position -= 1
        order[position] = e
    return order
