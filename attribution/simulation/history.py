"""How a chunk of customers lives through a world, with and without each of some channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.simulation.days import Channels, Customers, Day, Market, live_day, order_of_events, start
from attribution.kernels.statistics.draws import uniform
from attribution.simulation.world import Channel, World

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

CHUNK_CUSTOMERS: Final = 20_000
"""Customers per random generator. Part of what a seed means: another size is another population."""

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
NEVER: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Chunk:
    """Rows, times (µs since the first day) and channels of touchpoints, purchases, and what channels caused."""

    row: Integers
    at: Integers
    channel: Integers
    buyer: Integers
    bought_at: Integers
    cents: Integers
    caused: Integers
    """(channels switched off, 2) purchases and cents."""


@dataclass(frozen=True)
class Population:
    """What a customer brings along, the same in every history; arrays of one entry per customer."""

    latent: Floats
    in_market: Flags
    cents: Integers
    words: NDArray[np.uint64]
    activity: Floats
    is_reached: Flags


def live(world: World, off: list[int], seed: int, number: int, size: int) -> Chunk:
    """The first ``size`` customers of a chunk, as the world is and without each of the channels ``off``."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    population = _draw_population(world, rng, seed, number, size)
    channels, stocks = _channels(world)
    customers = _customers(world, population)
    state = start(population.in_market, 1 + len(off), stocks)
    seasons = world.seasons()
    touched, bought = [], []
    caused = np.zeros((len(off), 2))
    for day in range(world.days):
        draws = _draw_day(world, rng, size)
        factors = np.exp([channel.season_slope * seasons[day] for channel in world.channels])
        events = live_day(
            day, draws, np.array(off, np.int64), channels, _market(world), customers, seasons[day], factors, state
        )
        touched.append(_touchpoints(world, population, day, draws, factors, events))
        bought.append(_purchases(world, population, day, draws, seasons[day], events))
        cents = _cents(world, population, events.changed, day)
        for column, amount in enumerate((events.sign, events.sign * cents)):
            caused[:, column] += np.bincount(events.history, weights=amount, minlength=len(off))
    row, at, channel = (np.concatenate(parts) for parts in zip(*touched, strict=True))
    buyer, bought_at, cents = (np.concatenate(parts) for parts in zip(*bought, strict=True))
    if not world.repeat_purchases:
        end = np.full(size, NEVER)
        end[buyer] = bought_at
        is_before = at <= end[row]
        row, at, channel = row[is_before], at[is_before], channel[is_before]
    if world.whole_seconds:
        at, bought_at = at - at % SECOND_US, bought_at - bought_at % SECOND_US
    order = order_of_events(row, at, _tie_ranks(world)[channel], size)
    sequence = np.lexsort((bought_at, buyer))
    return Chunk(
        row[order], at[order], channel[order], buyer[sequence], bought_at[sequence], cents[sequence],
        np.rint(caused).astype(np.int64),
    )  # fmt: skip


# ---------------------------------------------------------------- draws

# A full chunk is drawn even where fewer customers are wanted: that keeps the first ones the same.


def _draw_population(world: World, rng: np.random.Generator, seed: int, number: int, size: int) -> Population:
    """The next of a generator: two rows of normals, then one of uniforms, a column per customer."""
    latent, value_draw = rng.standard_normal((2, CHUNK_CUSTOMERS))[:, :size]
    market_draw = rng.random(CHUNK_CUSTOMERS)[:size]
    # What came later has a generator of its own, so that worlds without it have the people they always had.
    further = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, 1)))
    activity = np.exp(world.activity_sigma * further.standard_normal(CHUNK_CUSTOMERS)[:size])
    is_reached = further.random(CHUNK_CUSTOMERS)[:size] < world.reach
    onset = _sigmoid(world.onset_log_odds + world.onset_latent_slope * latent)
    # Without advertising the market is stationary: as many come as go.
    return Population(
        latent=latent,
        in_market=market_draw * (onset + world.market_exit) < onset,
        cents=_in_cents(world, latent, value_draw),
        words=np.uint64(further.integers(2**63)) + np.arange(size, dtype=np.uint64),
        activity=activity,
        is_reached=is_reached,
    )


def _draw_day(world: World, rng: np.random.Generator, size: int) -> Floats:
    """One day's uniforms: rows for market, purchase and visit, then one per channel; a column per customer."""
    return rng.random((3 + len(world.channels), CHUNK_CUSTOMERS))[:, :size]


def _in_cents(world: World, latent: Floats, draw: Floats) -> Integers:
    sigma = world.value_sigma
    value = world.value_mean * np.exp(world.value_latent_slope * latent + sigma * draw - 0.5 * sigma**2)
    return np.rint(100.0 * value).astype(np.int64)


def _cents(world: World, population: Population, row: Integers, day: int) -> Integers:
    """What the customers in ``row`` pay if they buy on a day: who buys once always pays the same."""
    if not world.repeat_purchases:
        return population.cents[row]
    from scipy.special import ndtri

    draw = ndtri(uniform(population.words[row], 1 + day) + 2.0**-54)
    return _in_cents(world, population.latent[row], draw)


# ---------------------------------------------------------------- the world in the words of the kernel


def _channels(world: World) -> tuple[Channels, int]:
    """What channels do, and of how many a faded count is kept."""
    boosters = {c.boosted_by for c in world.channels}
    counted = [c.name for c in world.channels if c.name in boosters or c.saturation]
    columns = {name: column for column, name in enumerate(counted)}
    return Channels(
        in_market_factor=np.array([c.in_market_factor for c in world.channels], float),
        goodwill_slope=np.array([c.goodwill_slope for c in world.channels], float),
        visited_within=np.array([c.visited_within_days or -1 for c in world.channels], np.int64),
        stock=np.array([columns.get(c.name, -1) for c in world.channels], np.int64),
        boosted_by=np.array([columns.get(c.boosted_by or "", -1) for c in world.channels], np.int64),
        boost=np.array([c.boost for c in world.channels], float),
        saturation=np.array([c.saturation for c in world.channels], float),
    ), len(counted)


def _market(world: World) -> Market:
    return Market(
        retention=float(world.goodwill_retention),
        boost_threshold=float(world.boost_threshold),
        onset_goodwill_slope=float(world.onset_goodwill_slope),
        exit=float(world.market_exit),
        purchase_shift=float(world.purchase_in_market_shift),
        goodwill_needs_market=world.goodwill_needs_market,
        repeat_purchases=world.repeat_purchases,
        visit=float(world.visit_probability),
        visit_in_market=float(world.visit_probability_in_market),
    )


def _customers(world: World, population: Population) -> Customers:
    latent = population.latent
    exposed = population.activity * population.is_reached
    return Customers(
        chance=np.stack([c.probability * np.exp(c.latent_slope * latent) * exposed for c in world.channels], axis=1),
        effect=np.stack([c.effect * np.exp(c.effect_latent_slope * latent) for c in world.channels], axis=1),
        onset_log_odds=world.onset_log_odds + world.onset_latent_slope * latent,
        purchase_log_odds=world.purchase_log_odds + world.purchase_latent_slope * latent,
        activity=population.activity,
    )


# ---------------------------------------------------------------- moments


def _touchpoints(
    world: World, population: Population, day: int, draws: Floats, factors: Floats, events: Day
) -> tuple[Integers, Integers, Integers]:
    """Row, time and channel of the day's touchpoints."""
    at = np.empty(len(events.row), np.int64)
    for k, channel in enumerate(world.channels):
        these = np.flatnonzero(events.channel == k)
        row = events.row[these]
        chance = _chance(channel, population.latent[row], events.goodwill[these], events.in_market[these])
        chance = np.minimum(chance * population.activity[row] * factors[k], 1.0)
        at[these] = _instants(day, draws[3 + k, row], chance)
    return events.row, at, events.channel


def _chance(channel: Channel, latent: Floats, goodwill: Floats, in_market: Flags) -> Floats:
    chance = np.full(len(latent), float(channel.probability))
    if channel.latent_slope or channel.goodwill_slope:
        exponent = channel.latent_slope * latent + channel.goodwill_slope * goodwill
        chance *= np.exp(np.minimum(exponent, 600.0))
    chance[in_market] *= channel.in_market_factor
    return chance


def _purchases(
    world: World, population: Population, day: int, draws: Floats, season: float, events: Day
) -> tuple[Integers, Integers, Integers]:
    """Row, time and cents of the day's purchases."""
    row, in_market = events.buyer, events.buyer_in_market
    goodwill = np.where(in_market, events.buyer_goodwill, 0.0) if world.goodwill_needs_market else events.buyer_goodwill
    log_odds = world.purchase_log_odds + world.purchase_latent_slope * population.latent[row] + goodwill
    hazard = _sigmoid(log_odds + world.purchase_in_market_shift * in_market + season)
    return row, _instants(day, draws[1, row], hazard), _cents(world, population, row, day)


def _sigmoid(log_odds: Floats) -> Floats:
    # Through tanh it neither overflows nor warns, however extreme the world.
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def _instants(day: int, draw: Floats, chance: Floats) -> Integers:
    """Moments within the day, in µs since the first: a uniform below ``chance``, ÷ ``chance``, is uniform."""
    return day * DAY_US + (draw / chance * DAY_US).astype(np.int64)


def _tie_ranks(world: World) -> Integers:
    """Place of each channel among touchpoints of one customer at one instant: clicks first, then by name."""
    channels = world.channels
    ordered = sorted(range(len(channels)), key=lambda c: (channels[c].kind != "click", channels[c].name))
    return np.argsort(np.array(ordered))
