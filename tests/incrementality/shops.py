"""Shops whose truth is known, with what a hazard model says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import attribution as at
from attribution.journeys import Journeys, Placebo
from attribution.journeys.buckets import Dealing
from attribution.models.machinery import get_machinery
from attribution.models.resampling import draw_weights, models_by_bucket, solve_draws, split_models
from attribution.returns import Terms
from attribution.returns.channel_costs import read_costs
from attribution.schema.experiment.returns import ReturnsOptions
from attribution.simulation import Channel, World
from attribution.uncertainty.sensitivity.choices import Choices
from attribution.uncertainty.sensitivity.grid import Grid, grid_of
from attribution.uncertainty.sensitivity.maturity import (
    count_touched,
    estimate_maturity,
    maturity_reader,
    touched_reader,
)
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions
from attribution.uncertainty.sensitivity.verdicts import most_returned, one_per_channel, verdict_table

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DRAWS = 200
HAZARD = "additive_hazard"
OWN = (30.0, "keep", "media")
ENDS = (5.0, 95.0)


@dataclass(frozen=True)
class Fit:
    """What a shop shows, what its truth is, and what a hazard model says; all along the paid channels of the world.

    Attributes
    ----------
    world : with its channels
    caused : (channels, 2) conversions and value that were caused
    credited : (channels, 2) conversions and value that the model credits
    draws, sampled : (draws, channels) conversions, with all that intervals cover, and with the draw of customers alone
    assignment : how touchpoints arrive, by channel
    placebo : conversions credited to a channel that does nothing, the standard deviation of its draws, and whether it
        is flagged; None without
    grid, maturity, touched : what verdicts rest on
    """

    world: World
    caused: Floats
    credited: Floats
    draws: Floats
    sampled: Floats
    assignment: pd.DataFrame
    placebo: tuple[float, float, bool] | None
    grid: Grid
    maturity: Mapping[str, float]
    touched: Mapping[str, float]

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.world.paid_channels)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        return self.assignment["is_known"].to_numpy(bool)

    @property
    def spend(self) -> Floats:
        return self.grid.spend[0, 0, 0, 0, 0, [self.grid.channels.index(name) for name in self.channels]]

    def interval(self, draws: Floats) -> tuple[Floats, Floats]:
        """Ends of 90 % intervals, (channels,) each."""
        low, high = np.percentile(draws, ENDS, axis=0)
        return low, high

    def verdicts(self, price: float = 1.0) -> pd.DataFrame:
        """One verdict per channel, with every price multiplied by ``price``."""
        grid, options = replace(self.grid, spend=self.grid.spend * price), SensitivityOptions()
        most = most_returned(grid, "last_touch", self.touched)
        tables = [verdict_table(grid.of(each), options, self.maturity, most) for each in grid.estimands]
        return one_per_channel(pd.concat(tables, ignore_index=True)).set_index("channel").loc[list(self.channels)]

    def pays(self, price: float = 1.0) -> NDArray[np.bool_]:
        """Which channels truly pay back."""
        return np.asarray(self.caused[:, 1] >= self.spend * price)


def fit_shop(world: World, customers: int, seed: int, *, placebo: int | None = None) -> Fit:
    """Simulate a world with the customers of a seed, and fit a hazard model as it comes, and last touch for bounds."""
    shop = at.simulate(world, customers=customers, seed=seed)
    sources = at.load_sources(shop.touchpoints, shop.conversions, costs=shop.costs, customers=shop.customers)
    # Where customers leave once they bought, nobody is at risk of what cannot happen any more.
    conversions = "reset" if world.repeat_purchases else "first_only"
    inserted = None if placebo is None else Placebo(placebo)
    journeys = at.build_journeys(sources, placebo=inserted, conversions=conversions)
    last, hazard = at.LastTouch(), at.AdditiveHazard(name=HAZARD)
    models = [last, hazard]
    for model in models:
        get_machinery(model).prepare(journeys)
    dealing = Dealing()
    by_bucket, ages, touched = journeys.read(
        models_by_bucket(models, dealing), maturity_reader(journeys), touched_reader
    )
    (whole, observed), *parts = split_models(by_bucket, models, journeys, dealing)
    for model, (summary, _) in zip(models, parts, strict=True):
        get_machinery(model).finish_fit(summary, whole)
    weights = draw_weights(observed.labels, DRAWS, 0)
    every = np.concatenate([np.ones((1, observed.size)), weights])
    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        drawn = [
            solve_draws(get_machinery(model).redraw, model.label, buckets, observed, every)
            for model, (_, buckets) in zip(models, parts, strict=True)
        ]
        patch.setattr("attribution.models.additive_hazard._luck", _no_luck)
        sampled = get_machinery(hazard).redraw(parts[1][1], observed, weights)
    terms = Terms(ReturnsOptions(), read_costs(sources))
    amounts = [{"conversions": of.conversions, "value": of.value} for of in drawn]
    choices = Choices((OWN[0],), (OWN[1],), (OWN[2],), OWN)
    paid = [channel.name for channel in world.paid_channels]
    at_paid = [journeys.channels.index(name) for name in paid]
    return Fit(
        world,
        shop.truth.set_index("channel").loc[paid].iloc[:, :2].to_numpy(float),
        np.stack([drawn[1].conversions[0, at_paid], drawn[1].value[0, at_paid]], axis=1),
        drawn[1].conversions[1:, at_paid],
        sampled.conversions[:, at_paid],
        hazard.assignment_.set_index("channel").loc[paid],
        None if placebo is None else _placebo(hazard, journeys, drawn[1].conversions),
        grid_of(models, choices, [[amounts]], journeys, terms),
        estimate_maturity(ages, journeys),
        count_touched(touched, journeys, {}),
    )


def _no_luck(labels: NDArray[np.int64], weights: Floats) -> Floats:
    """In place of what draws leave to chance beside customers."""
    return np.full((len(weights), 2), np.nan)


def _placebo(hazard: at.AdditiveHazard, journeys: Journeys, conversions: Floats) -> tuple[float, float, bool]:
    own = journeys.channels.index("(placebo)")
    is_flagged = not hazard.is_known_[own]
    return float(conversions[0, own]), float(conversions[1:, own].std(ddof=1)), is_flagged


def is_targeted(channel: Channel) -> bool:
    """Whether whom a channel touches is anything but chance."""
    return (
        channel.latent_slope != 0
        or channel.in_market_factor != 1
        or channel.goodwill_slope != 0
        or channel.visited_within_days is not None
    )


def is_unconfounded(world: World) -> bool:
    """Whether no paid channel of a world is targeted."""
    return not any(map(is_targeted, world.paid_channels))
