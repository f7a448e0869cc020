"""How customers live through a world, day by day: market, touchpoints, purchases, goodwill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from attribution.simulation.world import Channel, World

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

CHUNK_CUSTOMERS: Final = 20_000
"""Customers per random generator. Part of what a seed means: another size is another population."""

DAY_US: Final = 86_400_000_000
NEVER: Final = int(np.iinfo(np.int64).max)
_LONG_AGO: Final = -1_000_000


@dataclass(frozen=True)
class Population:
    """What a customer brings along, the same in every history; arrays of one entry per customer."""

    latent: Floats
    market_draw: Floats
    cents: Integers


def draw_population(world: World, rng: np.random.Generator, size: int) -> Population:
    """The next chunk of a generator: two rows of normals, then one of uniforms, a column per customer."""
    latent, value_draw = rng.standard_normal((2, CHUNK_CUSTOMERS))[:, :size]
    market_draw = rng.random(CHUNK_CUSTOMERS)[:size]
    sigma = world.value_sigma
    value = world.value_mean * np.exp(world.value_latent_slope * latent + sigma * value_draw - 0.5 * sigma**2)
    return Population(latent, market_draw, np.rint(100.0 * value).astype(np.int64))


def draw_day(world: World, rng: np.random.Generator, size: int) -> Floats:
    """One day's uniforms: rows for market, purchase and visit, then one per channel; a column per customer.

    A full chunk is drawn even where fewer customers are wanted: that keeps the first ones the same.
    """
    return rng.random((3 + len(world.channels), CHUNK_CUSTOMERS))[:, :size]


class History:
    """One history of a chunk of customers through a world; others run beside it on the same draws."""

    def __init__(self, world: World, population: Population) -> None:
        self.world = world
        self.latent = population.latent
        onset = _sigmoid(world.onset_log_odds + world.onset_latent_slope * population.latent)
        # Without advertising the market is stationary: as many come as go.
        self.in_market: Flags = population.market_draw * (onset + world.market_exit) < onset
        self.goodwill = np.zeros(len(population.latent))
        self.stock = {c.boosted_by: np.zeros(len(population.latent)) for c in world.channels if c.boosted_by}
        self.last_visit = np.full(len(population.latent), _LONG_AGO)
        self.bought_at = np.full(len(population.latent), NEVER)

    def step(self, day: int, draws: Floats) -> tuple[list[Flags], list[Floats]]:
        """Live through one day. Who is touched by each channel, and the chance of it."""
        market_draw, purchase_draw, visit_draw, *channel_draws = draws
        self._move_market(market_draw)
        chances = [self._chance(channel, day) for channel in self.world.channels]
        touched = [draw < chance for draw, chance in zip(channel_draws, chances, strict=True)]
        self._buy(day, purchase_draw)
        self._remember(day, touched, visit_draw)
        return touched, chances

    def _move_market(self, draw: Floats) -> None:
        # One threshold for both states keeps histories comparable: more goodwill takes nobody out of market.
        world = self.world
        log_odds = world.onset_log_odds + world.onset_latent_slope * self.latent
        onset = _sigmoid(log_odds + world.onset_goodwill_slope * self.goodwill)
        self.in_market = draw < np.where(self.in_market, 1.0 - world.market_exit, onset)

    def _chance(self, channel: Channel, day: int) -> Floats:
        chance = np.full(len(self.latent), float(channel.probability))
        if channel.latent_slope or channel.goodwill_slope:
            exponent = channel.latent_slope * self.latent + channel.goodwill_slope * self.goodwill
            chance *= np.exp(np.minimum(exponent, 600.0))
        if channel.in_market_factor != 1.0:
            chance[self.in_market] *= channel.in_market_factor
        if channel.visited_within_days is not None:
            chance[day - self.last_visit > channel.visited_within_days] = 0.0
        np.minimum(chance, 1.0, out=chance)
        return chance

    def _buy(self, day: int, draw: Floats) -> None:
        world = self.world
        log_odds = world.purchase_log_odds + world.purchase_latent_slope * self.latent + self.goodwill
        hazard = _sigmoid(log_odds + world.purchase_in_market_shift * self.in_market)
        buyers = np.flatnonzero((draw < hazard) & (self.bought_at == NEVER))
        self.bought_at[buyers] = instants(day, draw[buyers], hazard[buyers])

    def _remember(self, day: int, touched: list[Flags], visit_draw: Floats) -> None:
        world = self.world
        self.goodwill *= world.goodwill_retention
        for channel, hit in zip(world.channels, touched, strict=True):
            gain = channel.effect * hit
            if channel.boosted_by is not None:
                gain = gain * np.where(self.stock[channel.boosted_by] > world.boost_threshold, channel.boost, 1.0)
            self.goodwill += gain
        for channel, hit in zip(world.channels, touched, strict=True):
            if channel.name in self.stock:
                self.stock[channel.name] = world.goodwill_retention * self.stock[channel.name] + hit
        inside, outside = world.visit_probability_in_market, world.visit_probability
        self.last_visit[visit_draw < np.where(self.in_market, inside, outside)] = day


def _sigmoid(log_odds: Floats) -> Floats:
    # Through tanh it neither overflows nor warns, however extreme the world.
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def instants(day: int, draw: Floats, chance: Floats) -> Integers:
    """Moments within the day, in µs since the first: a uniform below ``chance``, ÷ ``chance``, is uniform."""
    return day * DAY_US + (draw / chance * DAY_US).astype(np.int64)
