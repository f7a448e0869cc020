"""How near estimates of effects come to the truth, how often intervals hold it, and how often sentences are right."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.simulation import load_world, random_world
from tests.incrementality.measures import budget_gain, count, holds, level, share_distance
from tests.incrementality.shops import Fit, Flags, fit_shop, is_targeted, is_unconfounded

SEEDS = range(7000, 7005)
RANDOM = range(7000, 7040)
MORE_UNCONFOUNDED = (7051, 7054, 7055, 7057, 7067, 7084, 7099)
BY_CHANCE = range(9000, 9300)
"""Those of them that target nobody are many enough to say what happens on average."""

NULL = range(7000, 7020)
ENOUGH = 500
"""Caused conversions from which on channels can be told from one another."""

WEAK = 0.15
"""A trait that changes how often customers are touched by less, for one standard deviation of it, is hardly one."""


# ------------------------------------------------------------ the measures


def test_measures_of_credit_that_is_right_are_perfect() -> None:
    caused, spend = np.array([30.0, 10.0, 0.0]), np.array([10.0, 10.0, 10.0])
    assert share_distance(2 * caused, caused) == 0.0
    assert level(2 * caused, caused) == 2.0
    assert budget_gain(2 * caused, caused, spend) == pytest.approx(1.0)
    assert share_distance(np.array([10.0, 30.0, 0.0]), caused) == pytest.approx(0.5)
    assert budget_gain(np.array([0.0, 10.0, 30.0]), caused, spend) < 0
    assert holds(np.array([0.0, 5.0]), np.array([1.0, 6.0]), np.array([1.0, 7.0])).tolist() == [True, False]


def test_a_budget_that_moves_nothing_gains_nothing() -> None:
    caused, spend = np.array([30.0, 10.0]), np.array([10.0, 10.0])
    assert budget_gain(caused, caused, spend, np.array([True, True])) == 0.0
    # Equal pulls leave spend as it is, at any scale.
    assert budget_gain(spend, caused, 5 * spend) == pytest.approx(0.0, abs=1e-9)


# ------------------------------------------------------------ worlds


@pytest.fixture(scope="module")
def fixed() -> dict[str, list[Fit]]:
    names = ("default", "untargeted")
    return {name: [fit_shop(load_world(name), 300_000, seed, placebo=seed) for seed in SEEDS] for name in names}


@pytest.fixture(scope="module")
def drawn() -> list[Fit]:
    return [fit_shop(random_world("random", seed), 150_000, seed) for seed in (*RANDOM, *MORE_UNCONFOUNDED)]


@pytest.fixture(scope="module")
def by_chance() -> list[Fit]:
    worlds = [(seed, random_world("random", seed)) for seed in BY_CHANCE]
    return [fit_shop(world, 150_000, seed) for seed, world in worlds if is_unconfounded(world)]


@pytest.mark.slow
@pytest.mark.nightly
def test_effects_are_near_the_truth_where_touches_come_by_chance(fixed: dict[str, list[Fit]]) -> None:
    for name, fits in fixed.items():
        conversions = [(fit.credited[:, 0], fit.caused[:, 0]) for fit in fits]
        assert np.mean([share_distance(*of) for of in conversions]) < 0.11, name
        assert 0.93 < np.mean([level(*of) for of in conversions]) < 1.07, name
        gains = [budget_gain(fit.credited[:, 1], fit.caused[:, 1], fit.spend) for fit in fits]
        assert np.mean(gains) > 0.9, name


@pytest.mark.slow
@pytest.mark.nightly
def test_effects_are_near_the_truth_in_worlds_of_all_kinds_that_cause_enough(by_chance: list[Fit]) -> None:
    assert len(by_chance) == 47
    levels = [level(fit.credited[:, 0], fit.caused[:, 0]) for fit in by_chance]
    assert 0.93 < np.median(levels) < 1.07
    # With fewer, chance alone sets shares further apart, whoever estimates them.
    enough = [fit for fit in by_chance if fit.caused[:, 0].sum() >= ENOUGH]
    assert len(enough) >= 30
    assert np.mean([share_distance(fit.credited[:, 0], fit.caused[:, 0]) for fit in enough]) < 0.14
    assert np.mean([budget_gain(fit.credited[:, 1], fit.caused[:, 1], fit.spend) for fit in enough]) > 0.85


@pytest.mark.slow
@pytest.mark.nightly
def test_intervals_hold_the_truth_as_often_as_they_say(
    fixed: dict[str, list[Fit]], drawn: list[Fit], by_chance: list[Fit]
) -> None:
    fits = [fit for fit in (*fixed["default"], *fixed["untargeted"], *drawn) if is_unconfounded(fit.world)]
    fits += by_chance
    held, widths = [], []
    for fit in fits:
        (low, high), (least, most) = fit.interval(fit.draws), fit.interval(fit.sampled)
        held.append(holds(low, high, fit.caused[:, 0])[fit.is_known])
        widths.append(((high - low) / (most - least))[fit.is_known])
    assert 0.85 < count(np.concatenate(held)).share < 0.97
    assert np.concatenate(widths).mean() < 2


@pytest.mark.slow
@pytest.mark.nightly
def test_a_channel_that_does_nothing_is_credited_with_next_to_nothing(fixed: dict[str, list[Fit]]) -> None:
    placebos = [(fit.placebo, fit.credited[:, 0].sum()) for of in fixed.values() for fit in of]
    assert np.mean([abs(own[0]) / paid for own, paid in placebos if own is not None]) < 0.03
    assert not any(own[2] for own, _ in placebos if own is not None)


@pytest.mark.slow
@pytest.mark.nightly
def test_channels_that_follow_customers_are_seen_and_no_other(drawn: list[Fit]) -> None:
    flagged = [~fit.is_known for fit in drawn]
    targeted = [np.array([is_targeted(channel) for channel in fit.world.paid_channels]) for fit in drawn]
    by_chance = count(np.concatenate([of[~by] for of, by in zip(flagged, targeted, strict=True)]))
    assert by_chance.share <= 0.01
    strongly = [by & ~_is_weak(fit) for fit, by in zip(drawn, targeted, strict=True)]
    missed = count(np.concatenate([~of[by] for of, by in zip(flagged, strongly, strict=True)]))
    assert missed.share <= 0.04


def _is_weak(fit: Fit) -> Flags:
    """Channels that follow nothing but a trait, and that hardly."""
    return np.array(
        [
            channel.in_market_factor == 1 and channel.visited_within_days is None and abs(channel.latent_slope) < WEAK
            for channel in fit.world.paid_channels
        ]
    )


@pytest.mark.slow
@pytest.mark.nightly
def test_verdicts_are_said_and_right(drawn: list[Fit]) -> None:
    said = np.concatenate([fit.verdicts()["verdict"].to_numpy(str) for fit in drawn])
    pays = np.concatenate([fit.pays() for fit in drawn])
    assert (said == "does_not_pay").mean() > 0.15
    assert count(~pays[said == "does_not_pay"]).share >= 0.98
    by_chance = np.concatenate([np.full(len(fit.channels), is_unconfounded(fit.world)) for fit in drawn])
    likely = said == "likely_pays"
    assert likely[by_chance].mean() > 0.05
    assert count(pays[likely & by_chance]).share >= 0.98
    assert count(pays[likely]).share >= 0.85


@pytest.mark.slow
@pytest.mark.nightly
def test_where_nothing_causes_anything_nothing_is_said_to_pay() -> None:
    fits = [fit_shop(random_world("null", seed), 150_000, seed) for seed in NULL]
    assert all((fit.caused == 0).all() and fit.is_known.all() for fit in fits)
    for price in (1e-3, 0.1, 1.0, 10.0, 1e3):
        said = np.concatenate([fit.verdicts(price)["verdict"].to_numpy(str) for fit in fits])
        assert set(said) <= {"unknown", "does_not_pay"}, price
