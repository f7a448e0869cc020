"""Shops whose truth is known, with lift tests on further customers of theirs, and what credit and tests say together.

A lift test splits customers that are not in the log: they live in the same world, and for those held out the channel
touches and does nothing. So who would have been exposed is seen without error, and one split is read in two ways: as a
holdout, all customers against all, and by ghost ads, exposed customers against those who would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import attribution as at
from attribution.incrementality.calibrated_run import expert_credits
from attribution.incrementality.calibration import Calibration
from attribution.incrementality.participants import assemble_participants, participants_reader
from attribution.models import fit_models
from attribution.simulation import World
from attribution.simulation.history import CHUNK_CUSTOMERS, NEVER, live
from tests.incrementality.lift_rows import two_arms

Floats = NDArray[np.float64]

PUSH = ("display", "video", "social", "email")
"""Paid channels that find the customer; the customer finds the others."""

TESTED, HELD_OUT = 500_000, 0.2
"""Customers of a lift test, and the share of them that is held out."""

_COUNTS = {
    "holdout": ["customers", "conversions"],
    "ghost_ads": ["customers", "exposed", "conversions_of_exposed"],
}
"""What each design counts in an arm."""

DESIGNS = tuple(_COUNTS)
_DAYS = {"first_day": "2024-01-01", "last_day": "2024-01-30"}


@dataclass(frozen=True)
class Case:
    """What a shop shows and what its truth is, along its paid channels.

    Attributes
    ----------
    world : with its channels
    caused, spend : (channels, 2) conversions and value that were caused, and (channels,) what was spent
    credited : by model, (channels,) value
    experts : credit as a calibration takes it
    readings : lift tests of all channels in the order in which they are run, a row for each design
    """

    world: World
    caused: Floats
    spend: Floats
    credited: dict[str, Floats]
    experts: pd.DataFrame
    readings: pd.DataFrame

    @property
    def channels(self) -> list[str]:
        return [channel.name for channel in self.world.paid_channels]

    @property
    def strength(self) -> float:
        """How sharply the world targets, from 0 to 1.1; 1 is as in the world ``confounded``."""
        return 2 * next(each.goodwill_slope for each in self.world.channels if each.name == "brand_search")

    def errors(self, design: str) -> Floats:
        """(channels,) standard errors of tests of a design."""
        own = self.readings[self.readings["design"] == design].set_index("channel")
        return own.loc[self.channels, "standard_error"].to_numpy()

    def calibrate(self, tests: int, design: str) -> Calibration:
        """By credit and the first so many tests of a design."""
        return at.calibrate(self.experts, self.readings[self.readings["design"] == design].head(tests))


def observe_case(world: World, customers: int, seed: int) -> Case:
    """Simulate a shop with the customers of a seed, credit its channels as a run does, and test each of them."""
    shop = at.simulate(world, customers=customers, seed=seed)
    sources = at.load_sources(shop.touchpoints, shop.conversions, costs=shop.costs, customers=shop.customers)
    journeys = at.build_journeys(sources, conversions="first_only")
    last, hazard = at.LastTouch(), at.AdditiveHazard()
    _, counted = fit_models([last, hazard], journeys, participants_reader(journeys))
    paid = [channel.name for channel in world.paid_channels]
    spend = shop.costs.groupby("channel")["amount"].sum()
    of_channels = assemble_participants(counted, journeys).assign(spend=spend)
    experts = expert_credits(last, [last, hazard], set(paid)).join(of_channels, on="channel")
    at_paid = [list(last.channels_).index(name) for name in paid]
    readings = run_tests(world, order_of_tests(paid, spend), seed)
    share = customers / TESTED
    return Case(
        world,
        shop.truth.set_index("channel").loc[paid].iloc[:, :2].to_numpy(float),
        spend.loc[paid].to_numpy(float),
        {model.label: np.asarray(model.credit_.value[at_paid]) for model in (last, hazard)},
        experts,
        readings.assign(effect=readings["effect"] * share, standard_error=readings["standard_error"] * share),
    )


def order_of_tests(channels: Sequence[str], spend: pd.Series) -> list[str]:
    """Push and pull channels in turn, those with the largest spend first."""
    by_spend = sorted(channels, key=lambda name: -spend[name])
    push, pull = ([name for name in by_spend if (name in PUSH) == is_push] for is_push in (True, False))
    return [name for name in chain.from_iterable(zip_longest(push, pull)) if name is not None]


def run_tests(world: World, channels: Sequence[str], seed: int) -> pd.DataFrame:
    """Lift tests of channels: a row for each design, effects in conversions of all customers of a test.

    They share the customers that are not held out, as tests that run at the same time do.
    """
    held_out = round(TESTED * HELD_OUT)
    treated = observe_arm(world, TESTED - held_out, _seed_of_arm(seed, 0))
    tests = []
    for number, channel in enumerate(channels, start=1):
        control = observe_arm(without_effect(world, channel), held_out, _seed_of_arm(seed, number))
        for design in DESIGNS:
            arms = (arm.loc[channel, _COUNTS[design]].to_dict() for arm in (treated, control))
            rows = two_arms(*arms, test=channel, channel=channel, design=design, planned_share=HELD_OUT, **_DAYS)
            tests.append(at.measure_lift(pd.DataFrame(rows)))
    every = pd.concat(tests, ignore_index=True)
    is_of_conversions = every["measure"] == "conversions"
    return every.loc[is_of_conversions, ["test", "channel", "design", "effect", "standard_error"]]


def _seed_of_arm(seed: int, number: int) -> int:
    """Seeds of customers in logs are small numbers."""
    return 1_000_000 * (1 + number) + seed


def without_effect(world: World, name: str) -> World:
    """The world with a channel that touches and does nothing."""
    idle = (replace(each, effect=0.0) if each.name == name else each for each in world.channels)
    return replace(world, channels=tuple(replace(c, boosted_by=None) if c.boosted_by == name else c for c in idle))


def observe_arm(world: World, customers: int, seed: int) -> pd.DataFrame:
    """What customers of a lift test did, by channel; all conversions are the same for each."""
    channels = len(world.channels)
    exposed, of_exposed = np.zeros((2, channels), np.int64)
    conversions = 0
    for number, start in enumerate(range(0, customers, CHUNK_CUSTOMERS)):
        size = min(CHUNK_CUSTOMERS, customers - start)
        chunk = live(world, [], seed, number, size)
        exposed_at = np.full((size, channels), NEVER)
        np.minimum.at(exposed_at, (chunk.row, chunk.channel), chunk.at)
        conversions += len(chunk.buyer)
        exposed += (exposed_at < NEVER).sum(axis=0)
        of_exposed += (chunk.bought_at[:, None] > exposed_at[chunk.buyer]).sum(axis=0)
    counts = {"customers": customers, "conversions": conversions}
    counts |= {"exposed": exposed, "conversions_of_exposed": of_exposed}
    return pd.DataFrame(counts, index=[channel.name for channel in world.channels])
