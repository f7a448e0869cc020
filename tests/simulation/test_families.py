"""Repeated purchases, seasons and who is out of reach; worlds that a seed draws; bytes that never change."""

from __future__ import annotations

import dataclasses
import hashlib
import math

import numpy as np
import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.simulation import WORLDS, Channel, Simulation, World, load_world, random_world, simulate

DAY = pd.Timedelta(days=1)
FIRST_DAY = pd.Timestamp("2024-01-01")
FAMILIES = ("random", "activity", "null")

EASY = World(
    "easy",
    (Channel("seen", 0.1), Channel("direct", 0.05, paid=False)),
    days=20,
    onset_log_odds=-50.0,
    purchase_log_odds=math.log(0.02 / 0.98),
    purchase_latent_slope=0.0,
    value_latent_slope=0.0,
)
"""Nobody comes into market, nothing has an effect: touchpoints 0.1 and 0.05, purchases 0.02 a day."""


def within_5_sd(count: float, expected: float, variance: float) -> bool:
    return abs(count - expected) <= 5 * math.sqrt(variance)


def digest(simulation: Simulation) -> str:
    """Of the numbers in the tables, however pandas keeps its texts."""
    sha = hashlib.sha256()
    for table in (simulation.touchpoints, simulation.conversions, simulation.costs, simulation.truth):
        for name in table.columns:
            values = table[name]
            codes = pd.Categorical(values, sorted(set(values))).codes if values.dtype == "str" else values
            numbers = np.asarray(codes)
            sha.update(np.ascontiguousarray(numbers).astype("<f8" if numbers.dtype.kind == "f" else "<i8").tobytes())
    return sha.hexdigest()[:16]


# ---------------------------------------------------------------- what never changes


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        ("default", "cad3fe6b935c5f49"),
        ("confounded", "1aa6cd169019545b"),
        ("targeted_even", "5e97a201eb078d43"),
        ("random", "fb3fc274504fe9b5"),
        ("activity", "8457f26568fc0658"),
        ("null", "0c041d66bb1d0893"),
    ],
)
def test_a_seed_means_the_same_log_for_ever(world: str, expected: str) -> None:
    assert digest(simulate(world, customers=2_000, seed=7)) == expected


def test_a_seed_means_the_same_world_for_ever() -> None:
    world = random_world("random", 12)
    assert world.name == "random 12"
    numbers = [(c.name, c.probability, c.effect, c.cost, c.latent_slope, c.in_market_factor) for c in world.channels]
    assert numbers[1:6:2] == [
        ("video", 0.0261572, 0.0810003, 0.777479, 0.693089, 1.0),
        ("email", 0.0258421, 0.0595902, 0.0258903, 0.219004, 1.0),
        ("generic_search", 0.0134207, 0.0955017, 0.427806, 0.0, 4.02459),
    ]


@pytest.mark.parametrize("name", ["confounded", "random"])
def test_whole_seconds_cut_off_the_rest_and_nothing_else(name: str) -> None:
    world = dataclasses.replace(load_world(name, 3), purchase_log_odds=-5.0)
    fine, whole = (
        simulate(dataclasses.replace(world, whole_seconds=seconds), customers=1_000, seed=1)
        for seconds in (False, True)
    )
    assert fine.conversions["converted_at"].dt.microsecond.nunique() > 20
    expected = fine.touchpoints.assign(touched_at=fine.touchpoints["touched_at"].dt.floor("s"))
    columns = ["customer_id", "touched_at", "channel"]
    pd.testing.assert_frame_equal(
        whole.touchpoints.sort_values(columns, ignore_index=True), expected.sort_values(columns, ignore_index=True)
    )
    bought = fine.conversions.assign(converted_at=fine.conversions["converted_at"].dt.floor("s"))
    pd.testing.assert_frame_equal(whole.conversions, bought)
    pd.testing.assert_frame_equal(whole.truth, fine.truth)


# ---------------------------------------------------------------- repeated purchases


def test_who_may_buy_again_buys_every_day_with_the_same_chance_and_goes_on_seeing_channels() -> None:
    simulation = simulate(dataclasses.replace(EASY, repeat_purchases=True), customers=20_000, seed=1)
    trials = 20_000 * 20
    assert within_5_sd(len(simulation.conversions), trials * 0.02, trials * 0.02 * 0.98)
    assert within_5_sd((simulation.touchpoints["channel"] == "seen").sum(), trials * 0.1, trials * 0.1 * 0.9)
    times = simulation.conversions.groupby("customer_id").size().value_counts()
    for count in range(4):
        chance = math.comb(20, count) * 0.02**count * 0.98 ** (20 - count)
        seen = times.get(count, 0) if count else 20_000 - times.sum()
        assert within_5_sd(seen, 20_000 * chance, 20_000 * chance * (1 - chance)), count
    assert simulation.conversions["conversion_id"].is_unique
    ordered = simulation.conversions.sort_values(["customer_id", "converted_at"], ignore_index=True)
    pd.testing.assert_frame_equal(simulation.conversions, ordered)


def test_each_purchase_of_a_customer_has_a_value_of_its_own() -> None:
    simulation = simulate(dataclasses.replace(EASY, repeat_purchases=True), customers=20_000, seed=1)
    logs = np.log(simulation.conversions["value"])
    assert within_5_sd(logs.mean(), math.log(80) - 0.125, 0.25 / len(logs))
    assert within_5_sd(logs.std(), 0.5, 0.125 / len(logs))
    pairs = logs.groupby(simulation.conversions["customer_id"]).agg(["first", "last", "size"]).query("size > 1")
    assert len(pairs) > 1_000
    assert abs(pairs["first"].corr(pairs["last"])) < 5 / math.sqrt(len(pairs))


def test_the_first_purchase_is_when_it_would_be_without_others() -> None:
    once = simulate(EASY, customers=3_000, seed=2).conversions
    again = simulate(dataclasses.replace(EASY, repeat_purchases=True), customers=3_000, seed=2).conversions
    first = again.drop_duplicates("customer_id")
    assert first["converted_at"].tolist() == once["converted_at"].tolist()
    assert len(again) > len(once)


def test_a_purchase_takes_the_customer_out_of_market() -> None:
    watch = Channel("watch", 1e-6, paid=False, in_market_factor=1e6)
    world = World(
        "still",
        (watch,),
        onset_log_odds=-1.0,
        market_exit=0.0,
        purchase_log_odds=-50.0,
        purchase_in_market_shift=50.0,
        repeat_purchases=True,
    )
    simulation = simulate(world, customers=2_000, seed=1)
    # Who is in market buys with chance ½ on a day, and is back on the next with chance σ(−1) on average.
    bought = simulation.conversions.assign(day=simulation.conversions["converted_at"].dt.floor("D"))
    watched = simulation.touchpoints.assign(day=simulation.touchpoints["touched_at"].dt.floor("D"))
    after = bought[bought["day"] < FIRST_DAY + 29 * DAY].assign(day=lambda table: table["day"] + DAY)
    is_back = after.merge(watched, on=["customer_id", "day"])
    assert 0.2 < len(is_back) / len(after) < 0.45
    stays = watched[watched["day"] < FIRST_DAY + 29 * DAY].merge(bought, how="left", on=["customer_id", "day"])
    stays = stays[stays["conversion_id"].isna()].assign(day=lambda table: table["day"] + DAY)
    assert len(stays.merge(watched, on=["customer_id", "day"])) == len(stays) > 1_000


# ---------------------------------------------------------------- untouched customers


def test_who_is_out_of_reach_is_never_touched_but_is_a_customer_and_buys() -> None:
    world = dataclasses.replace(EASY, channels=(Channel("seen", 1.0),), reach=0.3)
    simulation = simulate(world, customers=20_000, seed=1)
    touched = simulation.touchpoints["customer_id"].nunique()
    assert within_5_sd(touched, 20_000 * 0.3, 20_000 * 0.3 * 0.7)
    assert simulation.customers["customer_id"].tolist() == list(range(1, 20_001))
    bare = ~simulation.conversions["customer_id"].isin(simulation.touchpoints["customer_id"])
    assert bare.sum() > 3_000


def test_out_of_reach_changes_nothing_for_the_others() -> None:
    world = WORLDS["confounded"]
    few = simulate(dataclasses.replace(world, reach=0.5), customers=2_000, seed=1).touchpoints
    all_of_them = simulate(world, customers=2_000, seed=1).touchpoints
    reached = all_of_them[all_of_them["customer_id"].isin(few["customer_id"])]
    pd.testing.assert_frame_equal(few, reached.reset_index(drop=True))
    assert 0.3 < len(few) / len(all_of_them) < 0.7


# ---------------------------------------------------------------- seasons, activity, days


def test_purchases_and_budgets_follow_the_season() -> None:
    following = Channel("following", 0.1, season_slope=0.5)
    world = dataclasses.replace(
        EASY, channels=(following,), days=21, season_amplitude=0.8, season_days=7, repeat_purchases=True
    )
    simulation = simulate(world, customers=20_000, seed=1)
    bought = (simulation.conversions["converted_at"] - FIRST_DAY) // DAY
    touched = (simulation.touchpoints["touched_at"] - FIRST_DAY) // DAY
    for day in range(21):
        season = 0.8 * math.sin(2 * math.pi * day / 7)
        chance = 1 / (1 + 49 * math.exp(-season))
        assert within_5_sd((bought == day).sum(), 20_000 * chance, 20_000 * chance), day
        chance = 0.1 * math.exp(0.5 * season)
        assert within_5_sd((touched == day).sum(), 20_000 * chance, 20_000 * chance), day


def test_activity_makes_all_channels_go_together_but_purchases_not() -> None:
    """Counts of a channel are mixed binomial: 𝔼 = n p 𝔼f, and covariance n² p q Var f of two channels."""
    sigma, days = 0.5, 20
    world = dataclasses.replace(
        EASY,
        channels=(Channel("a", 0.02), Channel("b", 0.03)),
        activity_sigma=sigma,
        repeat_purchases=True,
        purchase_log_odds=-2.0,
    )
    simulation = simulate(world, customers=40_000, seed=1)
    seen = simulation.touchpoints
    counts = pd.crosstab(seen["customer_id"], seen["channel"]).reindex(range(1, 40_001), fill_value=0)
    mean, variance = math.exp(sigma**2 / 2), math.exp(sigma**2) * (math.exp(sigma**2) - 1)
    for name, chance in (("a", 0.02), ("b", 0.03)):
        assert within_5_sd(counts[name].mean(), days * chance * mean, counts[name].var() / 40_000), name
    products = (counts["a"] - counts["a"].mean()) * (counts["b"] - counts["b"].mean())
    assert within_5_sd(products.mean(), days**2 * 0.02 * 0.03 * variance, products.var() / 40_000)
    assert products.mean() > 5 * products.std() / 200
    bought = simulation.conversions.groupby("customer_id").size().reindex(range(1, 40_001), fill_value=0)
    assert abs(bought.corr(counts["a"])) < 5 / 200


def test_activity_reaches_the_site_and_with_it_retargeting() -> None:
    channels = (Channel("a", 0.05), Channel("retargeting", 0.1, visited_within_days=5))
    calm = dataclasses.replace(EASY, channels=channels, purchase_log_odds=-50.0)
    lively = dataclasses.replace(calm, activity_sigma=1.0)
    ratios = []
    for world in (calm, lively):
        seen = simulate(world, customers=20_000, seed=1).touchpoints
        counts = pd.crosstab(seen["customer_id"], seen["channel"]).reindex(range(1, 20_001), fill_value=0)
        ratios.append(counts["a"].corr(counts["retargeting"]))
    assert abs(ratios[0]) < 5 / math.sqrt(20_000)
    assert ratios[1] > 0.3


@pytest.mark.parametrize("name", ["confounded", "random", "activity", "null"])
def test_the_first_days_are_the_same_whatever_their_number(name: str) -> None:
    long, short = (simulate(name, customers=2_000, seed=5, days=days, truth=False) for days in (14, 6))
    for table, time in (("touchpoints", "touched_at"), ("conversions", "converted_at")):
        whole, part = getattr(long, table), getattr(short, table)
        whole = whole[whole[time] < FIRST_DAY + 6 * DAY].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            whole.drop(columns="conversion_id", errors="ignore"),
            part[whole.columns.drop("conversion_id", errors="ignore")],
        )
    assert short.costs["day"].nunique() == 6


# ---------------------------------------------------------------- families


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("changes", [{}, {"repeat_purchases": True, "reach": 0.8, "season_amplitude": 0.5}])
def test_truth_is_a_second_simulation_without_the_channel(family: str, changes: dict[str, object]) -> None:
    world = dataclasses.replace(random_world(family, 8), purchase_log_odds=-5.0, days=12, **changes)
    world = dataclasses.replace(
        world, channels=tuple(dataclasses.replace(c, effect=4 * c.effect) for c in world.channels)
    )
    simulation = simulate(world, customers=1_500, seed=2)
    spend = simulation.costs.groupby("channel")["amount"].sum()
    assert len(simulation.truth) == 8
    caused = simulation.truth.set_index("channel")["incremental_conversions"]
    effective = {c.name for c in world.paid_channels if c.effect > 0}
    assert set(caused[caused != 0].index) == effective
    assert len(effective) == (0 if family == "null" else 6)
    for row in simulation.truth.itertuples():
        other = simulate(world.without(row.channel), customers=1_500, seed=2, truth=False)
        value = simulation.conversions["value"].sum() - other.conversions["value"].sum()
        assert row.incremental_conversions == len(simulation.conversions) - len(other.conversions)
        assert row.incremental_value == pytest.approx(value, abs=1e-6)
        assert row.roi == pytest.approx((value - spend[row.channel]) / spend[row.channel], abs=1e-9)


@pytest.mark.parametrize("family", ["random", "activity"])
def test_a_channel_that_does_nothing_or_touches_nobody_causes_exactly_nothing(family: str) -> None:
    world = random_world(family, 9)
    quiet = world.without("email")
    channels = tuple(dataclasses.replace(c, effect=0.0) if c.name == "social" else c for c in quiet.channels)
    world = dataclasses.replace(world, channels=channels, purchase_log_odds=-6.0)
    simulation = simulate(world, customers=10_000, seed=1)
    truth = simulation.truth.set_index("channel")
    assert (simulation.touchpoints["channel"] == "social").sum() > 1_000
    assert (simulation.touchpoints["channel"] == "email").sum() == 0
    for name in ("social", "email"):
        assert truth.loc[name, ["incremental_conversions", "incremental_value"]].tolist() == [0, 0]
    assert math.isnan(truth.loc["email", "roi"])
    assert truth["incremental_conversions"].max() >= 10


def test_in_a_null_world_touchpoints_and_purchases_know_nothing_of_each_other() -> None:
    """Also in time: as many touchpoints in the three days before a purchase as in the three days after."""
    simulation = simulate("null", customers=10_000, seed=3)
    assert (simulation.truth["incremental_conversions"] == 0).all()
    assert (simulation.truth["roi"] == -1).all()
    seen = simulation.touchpoints
    bought = simulation.conversions.groupby("customer_id").size().reindex(range(1, 10_001), fill_value=0).to_numpy()
    counts = pd.crosstab(seen["customer_id"], seen["channel"]).reindex(range(1, 10_001), fill_value=0)
    assert counts.shape[1] == 10
    rng = np.random.default_rng(0)
    dealt = np.array([rng.permutation(bought) for _ in range(200)])
    for name in counts.columns:
        count = counts[name].to_numpy()
        chance = dealt @ count
        assert abs(bought @ count - chance.mean()) < 4 * chance.std(), name
    pairs = counts.corr().to_numpy()[np.triu_indices(10, 1)]
    assert np.abs(pairs).max() < 5 / math.sqrt(10_000)

    inner = simulation.conversions["converted_at"].between(FIRST_DAY + 3 * DAY, FIRST_DAY + 27 * DAY)
    both = seen.merge(simulation.conversions[inner], on="customer_id")
    gap = (both["touched_at"] - both["converted_at"]) / DAY
    before, after = ((gap > -3) & (gap < 0)).sum(), ((gap > 0) & (gap < 3)).sum()
    assert before > 400
    assert within_5_sd(before - after, 0, before + after)


def test_random_worlds_are_drawn_as_they_are_described() -> None:
    worlds = [random_world("random", seed) for seed in range(400)]
    paid = [channel for world in worlds for channel in world.paid_channels]
    effects = np.array([channel.effect for channel in paid])
    assert within_5_sd((effects == 0).sum(), 3_200 * 0.2, 3_200 * 0.16)
    logs = np.log(effects[effects > 0])
    assert effects[effects > 0].min() == 0.008
    assert effects.max() == 0.6
    assert within_5_sd(np.median(logs), math.log(0.10), 0.81 * math.pi / 2 / len(logs))
    prices = [channel.cost for channel in WORLDS["default"].paid_channels] * len(worlds)
    for shares, spread in (
        (np.array([channel.cost for channel in paid]) / prices, 0.6),
        ([w.channels[-1].probability / 0.008 for w in worlds], 0.45),
    ):
        logs = np.log(shares)
        assert within_5_sd(logs.mean(), 0, spread**2 / len(logs))
        assert within_5_sd(logs.std(), spread, spread**2 / 2 / len(logs))
    targeting = [
        any(
            c.latent_slope or c.in_market_factor != 1 or c.goodwill_slope or c.visited_within_days
            for c in w.paid_channels
        )
        for w in worlds
    ]
    for share, expected in (
        (np.mean(targeting), 0.85),
        (np.mean([any(c.effect_latent_slope for c in w.channels) for w in worlds]), 0.40),
        (np.mean([any(c.saturation for c in w.channels) for w in worlds]), 0.35),
        (np.mean([w.goodwill_needs_market for w in worlds]), 0.20),
    ):
        assert within_5_sd(share, expected, expected * (1 - expected) / 400), expected
    assert {abs(c.effect_latent_slope) for c in paid} == {0.0, 0.4}
    for values, low, high in (
        ([w.goodwill_retention for w in worlds], 0.75, 0.95),
        ([w.purchase_in_market_shift for w in worlds], 2.2, 4.0),
        ([w.purchase_log_odds for w in worlds], -8.9, -7.7),
    ):
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high >= max(values) > high - 0.05 * (high - low)
        assert within_5_sd(np.mean(values), (low + high) / 2, (high - low) ** 2 / 12 / 400)
    own = [c.latent_slope != 0 or c.in_market_factor != 1 for w in worlds for c in w.channels[:2]]
    assert within_5_sd(np.mean(own), 0.25 * 0.85, 0.25 * 0.75 / 400)


def test_targeting_changes_whom_channels_reach_more_than_how_many() -> None:
    counts = []
    for seed in range(8):
        world = random_world("random", seed)
        channels = tuple(
            dataclasses.replace(c, latent_slope=0.0, in_market_factor=1.0, goodwill_slope=0.0, visited_within_days=None)
            for c in world.channels
        )
        is_paid = {c.name for c in world.paid_channels}
        seen = simulate(world, customers=1_000, seed=1, truth=False).touchpoints
        plain = sum(c.probability for c in channels if c.paid) * 30 * 1_000
        counts.append(seen["channel"].isin(is_paid).sum() / plain)
    assert 0.8 < np.median(counts) < 2.5


def test_other_families_are_the_random_world_of_the_seed_with_one_change() -> None:
    base = random_world("random", 6)
    active = random_world("activity", 6)
    assert 0.6 <= active.activity_sigma <= 1.1
    assert dataclasses.replace(active, name="random 6", activity_sigma=0.0) == base
    null = random_world("null", 6)
    assert [c.cost for c in null.channels] == [c.cost for c in base.channels]
    assert null.purchase_log_odds == base.purchase_log_odds
    for channel in null.channels:
        assert channel.effect == channel.latent_slope == channel.goodwill_slope == 0
        assert channel.in_market_factor == 1
        assert channel.visited_within_days is None


def test_seeds_draw_worlds_and_customers() -> None:
    assert load_world("random", seed=5) == random_world("random", 5) != random_world("random", 6)
    shop = simulate("random", customers=300, seed=5)
    again = simulate(load_world("random", 5), customers=300, seed=5)
    pd.testing.assert_frame_equal(shop.touchpoints, again.touchpoints)
    other = simulate(load_world("random", 5), customers=300, seed=6)
    assert not shop.touchpoints.equals(other.touchpoints)
    with pytest.raises(InputError, match=r"'seed' is out of range|seed"):
        random_world("random", -1)
    with pytest.raises(InputError, match="activity"):
        random_world("activty", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "twin"), [("untargeted", "default"), ("targeted", "confounded"), ("untargeted_even", "default")]
)
def test_shipped_worlds_differ_in_effects_and_memory_alone(name: str, twin: str) -> None:
    world = WORLDS[name]
    assert world.goodwill_retention == (0.8 if name.endswith("_even") else 0.9)
    pairs = list(zip(world.channels, WORLDS[twin].channels, strict=True))
    assert [dataclasses.replace(c, effect=d.effect) for c, d in pairs] == list(WORLDS[twin].channels)
    assert [c.effect for c in world.paid_channels] == (
        [0.12, 0.10, 0.08, 0.15, 0.25, 0.30, 0.10, 0.15]
        if name.endswith("_even")
        else [0.02, 0.30, 0.08, 0.06, 0.02, 0.45, 0.04, 0.05]
    )
