"""How near credit and lift tests together come to the truth, how often their intervals hold it, and what they gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.kernels.statistics.agreement import kendall_tau
from attribution.simulation import load_world, random_world
from tests.incrementality.calibrated_shops import (
    DESIGNS,
    Case,
    Floats,
    observe_arm,
    observe_case,
    order_of_tests,
    without_effect,
)
from tests.incrementality.measures import Count, budget_gain, count, holds, level, share_distance

RANDOM = range(11000, 11020)
ACTIVITY = range(11100, 11110)
TARGETED = range(11200, 11205)

TESTS = (0, 2, 4, 8)
STRONG = 0.6
"""From which strength on a world is said to target sharply."""

LUCK = 0.05
"""A share of what the best budget gains that says nothing, of so few worlds."""

VISIBLE = 3
"""So many times the error of its test a channel has to cause for the test to tell how much it is."""


class Figures(NamedTuple):
    """Of several shops, by so many tests of a design.

    Attributes
    ----------
    held, held_tested : how many intervals hold what was caused, of all channels, and of those tested
    level, distance, tau, gain : on average, by means: conversions ÷ caused, as the median; shares apart; agreement of
        the order of returns with the true one; share of what the best budget gains
    known_within : of tested channels, the median; ∞ where a channel may have caused nothing
    visible_within : the same of those that caused three times the error of their test or more
    """

    held: Count
    held_tested: Count
    level: float
    distance: float
    tau: float
    gain: float
    known_within: float
    visible_within: float


def figures(cases: Sequence[Case], tests: int, design: str = "holdout") -> Figures:
    """What so many tests make of each shop, over all of them."""
    tables = [case.calibrate(tests, design).incremental.set_index("channel").loc[case.channels] for case in cases]
    held = [holds(*_ends(table), case.caused[:, 0]) for case, table in zip(cases, tables, strict=True)]
    is_tested = [table["tests"].to_numpy() > 0 for table in tables]
    within = np.concatenate([table["known_within"].fillna(np.inf) for table in tables])
    is_visible = np.concatenate([case.caused[:, 0] >= VISIBLE * case.errors(design) for case in cases])
    every_tested = np.concatenate(is_tested)
    pairs = [(table["mean"].to_numpy(), case.caused[:, 0]) for case, table in zip(cases, tables, strict=True)]
    value = [table["value"].to_numpy() for table in tables]
    return Figures(
        count(np.concatenate(held)),
        count(np.concatenate([of[own] for of, own in zip(held, is_tested, strict=True)])),
        float(np.median([level(*pair) for pair in pairs])),
        float(np.mean([share_distance(*pair) for pair in pairs])),
        float(np.mean([_tau(case, of) for case, of in zip(cases, value, strict=True)])),
        float(np.mean([_gain(case, of) for case, of in zip(cases, value, strict=True)])),
        _median(within[every_tested]),
        _median(within[every_tested & is_visible]),
    )


def uncalibrated_gain(cases: Sequence[Case], model: str) -> float:
    """The share of what the best budget gains that credit of a model alone does, on average."""
    return float(np.mean([_gain(case, case.credited[model]) for case in cases]))


def strata(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Shops by how sharply their worlds target."""
    every: dict[str, Callable[[float], bool]] = {
        "by chance": lambda strength: strength == 0,
        "weakly": lambda strength: 0 < strength < STRONG,
        "sharply": lambda strength: strength >= STRONG,
    }
    return {name: [case for case in cases if belongs(case.strength)] for name, belongs in every.items()}


def _ends(table: pd.DataFrame) -> tuple[Floats, Floats]:
    return table["low"].to_numpy(), table["high"].to_numpy()


def _median(within: Floats) -> float:
    return float(np.median(within)) if len(within) else np.inf


def _tau(case: Case, value: Floats) -> float:
    return float(kendall_tau(value / case.spend, case.caused[:, 1] / case.spend))


def _gain(case: Case, value: Floats) -> float:
    return budget_gain(value, case.caused[:, 1], case.spend)


# ------------------------------------------------------------ what is measured


def test_an_arm_counts_what_its_customers_did() -> None:
    world = load_world("default")
    arm = observe_arm(world, 3_000, 12_001)
    shop = at.simulate(world, customers=3_000, seed=12_001, truth=False)
    exposed = shop.touchpoints.groupby("channel")["customer_id"].nunique()
    assert arm["exposed"].to_dict() == exposed.reindex(arm.index, fill_value=0).to_dict()
    first = shop.touchpoints.groupby(["channel", "customer_id"], as_index=False)["touched_at"].min()
    both = first.merge(shop.conversions, on="customer_id").query("converted_at > touched_at")
    assert arm["conversions_of_exposed"].to_dict() == both.groupby("channel").size().reindex(arm.index).to_dict()
    assert set(arm["conversions"]) == {len(shop.conversions)}


@pytest.mark.parametrize("channel", ["video", "social"])
def test_who_is_held_out_buys_as_without_the_channel(channel: str) -> None:
    world = load_world("default")
    held_out = observe_arm(without_effect(world, channel), 20_000, 12_002)
    off = observe_arm(world.without(channel), 20_000, 12_002)
    treated = observe_arm(world, 20_000, 12_002)
    assert off.loc[channel, "exposed"] == 0
    assert held_out.loc[channel, "exposed"] > 0.9 * treated.loc[channel, "exposed"]
    assert held_out["conversions"].iloc[0] == off["conversions"].iloc[0] < treated["conversions"].iloc[0]


def test_channels_are_tested_in_turn_by_spend() -> None:
    spend = pd.Series({"email": 5.0, "video": 9.0, "affiliate": 1.0, "brand_search": 7.0, "display": 8.0})
    assert order_of_tests(list(spend.index), spend) == ["video", "brand_search", "display", "affiliate", "email"]


# ------------------------------------------------------------ shops


@pytest.fixture(scope="module")
def at_random() -> list[Case]:
    return [observe_case(random_world("random", seed), 150_000, seed) for seed in RANDOM]


@pytest.fixture(scope="module")
def by_activity() -> list[Case]:
    return [observe_case(random_world("activity", seed), 150_000, seed) for seed in ACTIVITY]


@pytest.fixture(scope="module")
def targeted() -> list[Case]:
    return [observe_case(load_world("targeted"), 300_000, seed) for seed in TARGETED]


@pytest.mark.slow
@pytest.mark.nightly
def test_intervals_hold_what_was_caused_as_often_as_they_say(at_random: list[Case], by_activity: list[Case]) -> None:
    for cases in (at_random, by_activity):
        for design in DESIGNS:
            for tests in TESTS:
                assert figures(cases, tests, design).held.share >= 0.88, (design, tests)


@pytest.mark.slow
@pytest.mark.nightly
def test_tests_decide_what_they_can_see(at_random: list[Case], by_activity: list[Case]) -> None:
    for design in DESIGNS:
        by_tests = figures([*at_random, *by_activity], 4, design)
        assert by_tests.visible_within <= 1.5, design
        # Every fifth channel does nothing, so the median channel is not among those that can be seen.
        assert by_tests.known_within > 2, design


@pytest.mark.slow
@pytest.mark.nightly
def test_more_tests_bring_credit_nearer_to_the_truth(at_random: list[Case], by_activity: list[Case]) -> None:
    for design in DESIGNS:
        by_tests = [figures([*at_random, *by_activity], tests, design) for tests in TESTS]
        assert all(np.diff([each.distance for each in by_tests]) < 0), design
        assert all(np.diff([each.gain for each in by_tests]) > 0), design
        assert 0.9 < by_tests[-1].level < 1.1, design


@pytest.mark.slow
@pytest.mark.nightly
def test_four_tests_in_a_world_that_targets(targeted: list[Case]) -> None:
    for design in DESIGNS:
        by_tests = figures(targeted, 4, design)
        assert by_tests.held.share >= 0.88, design
        # The aims are 0.8, and 1.2 at most: too much is assumed of channels without a test.
        assert by_tests.tau >= 0.7, design
        assert 0.9 < by_tests.level < 1.35, design


@pytest.mark.slow
@pytest.mark.nightly
def test_no_budget_is_worse_than_by_credit_alone(
    at_random: list[Case], by_activity: list[Case], targeted: list[Case]
) -> None:
    for name, cases in {**strata([*at_random, *by_activity]), "as the world targeted": targeted}.items():
        without = max(uncalibrated_gain(cases, model) for model in cases[0].credited)
        for design in DESIGNS:
            for tests in (2, 4, 8):
                assert figures(cases, tests, design).gain >= without - LUCK, (name, design, tests)
