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


class People(NamedTuple):
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
    people: People,
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
    size, others = len(people.activity), len(off)
    hits = size * len(season_factor)
    room = Day(
        np.empty(hits, np.int64), np.empty(hits, np.int64), np.empty(hits), np.empty(hits, np.bool_),
        np.empty(size, np.int64), np.empty(size), np.empty(size, np.bool_),
        np.empty(2 * size * others, np.int64), np.empty(2 * size * others, np.int64),
        np.empty(2 * size * others, np.int64),
    )  # fmt: skip
    touched, bought, changes = _live_day(
        day, draws, off, channels, market, people, season, season_factor, state, room,
    )  # fmt: skip
    return Day(
        row=room.row[:touched].copy(),
        channel=room.channel[:touched].copy(),
        goodwill=room.goodwill[:touched].copy(),
        in_market=room.in_market[:touched].copy(),
        buyer=room.buyer[:bought].copy(),
        buyer_goodwill=room.buyer_goodwill[:bought].copy(),
        buyer_in_market=room.buyer_in_market[:bought].copy(),
        changed=room.changed[:changes].copy(),
        history=room.history[:changes].copy(),
        sign=room.sign[:changes].copy(),
    )


@njit(cache=True, nogil=True)
def _live_day(day, draws, off, channels, market, people, season, season_factor, state, room):
    # Arrays are taken out of their tuples once: inside the loops that would be most of the work.
    chance, effect, activity = people.chance, people.effect, people.activity
    onset_log_odds, purchase_log_odds = people.onset_log_odds, people.purchase_log_odds
    factor, slope, within = channels.in_market_factor, channels.goodwill_slope, channels.visited_within
    own_stock, booster = channels.stock, channels.boosted_by
    boost, saturation = channels.boost, channels.saturation
    phases, in_markets, goodwills = state.phase, state.in_market, state.goodwill
    last_visits, stocks = state.last_visit, state.stock
    retention, stay, onset_slope = market.retention, 1.0 - market.exit, market.onset_goodwill_slope
    threshold, shift, repeats = market.boost_threshold, market.purchase_shift, market.repeat_purchases
    needs_market = market.goodwill_needs_market
    room_row, room_channel, room_goodwill, room_in_market = room.row, room.channel, room.goodwill, room.in_market
    buyer, buyer_goodwill, buyer_in_market = room.buyer, room.buyer_goodwill, room.buyer_in_market
    changed, history, sign = room.changed, room.history, room.sign

    size, count = chance.shape
    histories = len(off) + 1
    counts = stocks.shape[2]
    is_steady = (slope == 0.0) & (factor == 1.0) & (within < 0)
    steady = np.flatnonzero(is_steady)
    hit = np.zeros(count, np.bool_)
    touches, other_touches = np.zeros(count, np.int64), np.zeros(count, np.int64)
    stock_before = np.zeros(counts)
    touched = bought = changes = 0
    for i in range(size):
        is_over = phases[i, 0] == OVER
        for h in range(1, histories):
            is_over &= phases[i, h] != APART
        if is_over:
            continue
        # Steady channels touch the same customers in all histories.
        for c in steady:
            hit[c] = draws[3 + c, i] < chance[i, c] * season_factor[c]
        in_market_before, goodwill_before, last_before = False, 0.0, last_visits[i, 0]
        touch_count, buys_too = 0, False
        for h in range(histories):
            is_apart = phases[i, h] == APART
            if not is_apart and phases[i, 0] == OVER:
                continue
            # As the actual history, until the first touchpoint of the channel that is switched off.
            if h > 0 and not is_apart and (phases[i, h] == OVER or not hit[off[h - 1]]):
                continue
            if h == 0 or is_apart:
                goodwill, last_visit = goodwills[i, h], last_visits[i, h]
                # One threshold for both states keeps histories comparable: more goodwill takes nobody out of market.
                if in_markets[i, h]:
                    in_market = draws[0, i] < stay
                else:
                    in_market = _is_below(draws[0, i], onset_log_odds[i] + onset_slope * goodwill)
                here = touches if h == 0 else other_touches
                here_count = 0
                for k in range(count):
                    is_hit = hit[k]
                    if not is_steady[k]:
                        is_hit = (within[k] < 0 or day - last_visit <= within[k]) and _is_touched(
                            draws[3 + k, i],
                            chance[i, k] * season_factor[k] * (factor[k] if in_market else 1.0),
                            slope[k] * goodwill,
                        )
                        if h == 0:
                            hit[k] = is_hit
                    if is_hit:
                        here[here_count] = k
                        here_count += 1
                log_odds = purchase_log_odds[i] + season
                if in_market:
                    log_odds += shift
                if in_market or not needs_market:
                    log_odds += goodwill
                buys = _is_below(draws[1, i], log_odds)
            else:
                goodwill, in_market, last_visit = goodwill_before, in_market_before, last_before
                here, here_count, buys = touches, touch_count, buys_too
            if h == 0:
                touch_count, buys_too = here_count, buys
                goodwill_before, in_market_before, last_before = goodwill, in_market, last_visit
                for b in range(counts):
                    stock_before[b] = stocks[i, 0, b]
                for c in touches[:touch_count]:
                    room_row[touched], room_channel[touched] = i, c
                    room_goodwill[touched], room_in_market[touched] = goodwill, in_market
                    touched += 1
                if buys:
                    buyer[bought], buyer_goodwill[bought], buyer_in_market[bought] = i, goodwill, in_market
                    bought += 1
                    for other in range(1, histories):
                        if phases[i, other] != AS_ACTUAL:
                            changed[changes], history[changes], sign[changes] = i, other - 1, 1
                            changes += 1
            elif is_apart:
                if buys:
                    changed[changes], history[changes], sign[changes] = i, h - 1, -1
                    changes += 1
            else:
                for b in range(counts):
                    stocks[i, h, b] = stock_before[b]
            if buys and not repeats:
                phases[i, h] = OVER
                continue

            off_channel = off[h - 1] if h > 0 else -1
            goodwill *= retention
            for t in range(here_count):
                k = here[t]
                if k != off_channel:
                    gain = effect[i, k]
                    if booster[k] >= 0 and stocks[i, h, booster[k]] > threshold:
                        gain *= boost[k]
                    if saturation[k] > 0.0:
                        gain /= 1.0 + saturation[k] * stocks[i, h, own_stock[k]]
                    goodwill += gain
            if counts > 0:
                for b in range(counts):
                    stocks[i, h, b] *= retention
                for t in range(here_count):
                    k = here[t]
                    if own_stock[k] >= 0 and k != off_channel:
                        stocks[i, h, own_stock[k]] += 1.0
            visits = draws[2, i] < (market.visit_in_market if in_market else market.visit) * activity[i]
            goodwills[i, h], last_visits[i, h] = goodwill, day if visits else last_visit
            in_markets[i, h] = in_market and not buys
            if h > 0 and not is_apart:
                differs = goodwill != goodwills[i, 0]
                for b in range(counts):
                    differs |= stocks[i, h, b] != stocks[i, 0, b]
                if differs:
                    phases[i, h] = APART
    return touched, bought, changes


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _is_below(draw, log_odds):
    """Whether a uniform is below the probability that has these log-odds."""
    if draw >= _RARE and log_odds <= _RARE_LOG_ODDS:
        return False
    return math.log(max(draw, _TINY) / (1.0 - draw)) < log_odds


@njit(cache=True, nogil=True)
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
        place = filled[row[e]]
        filled[row[e]] += 1
        while place > ends[row[e]]:
            other = order[place - 1]
            if at[other] < at[e] or (at[other] == at[e] and rank[other] <= rank[e]):
                break
            order[place] = other
            place -= 1
        order[place] = e
    return order
