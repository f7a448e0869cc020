"""Worlds: the simulation against a slow reference, the laws of common random numbers, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.schema.tables import CONVERSIONS, COSTS, CUSTOMERS, TOUCHPOINTS, TRUTH
from attribution.simulation import WORLDS, Channel, Simulation, World, load_world, simulate

PAID = [channel.name for channel in WORLDS["default"].paid_channels]
DAY = pd.Timedelta(days=1)
FIRST_DAY = pd.Timestamp("2024-01-01")


def changed(world: World, channel: str | None = None, **changes: object) -> World:
    """The world with one channel (or every channel) changed, through nothing but its public fields."""
    channels = tuple(dataclasses.replace(c, **changes) if channel in (None, c.name) else c for c in world.channels)
    return dataclasses.replace(world, channels=channels)


def tables(simulation: Simulation) -> dict[str, pd.DataFrame]:
    return {field.name: getattr(simulation, field.name) for field in dataclasses.fields(simulation)}


def assert_same(left: Simulation, right: Simulation) -> None:
    for name, table in tables(left).items():
        pd.testing.assert_frame_equal(table, tables(right)[name], check_exact=True, obj=name)


@pytest.fixture(scope="module", params=["default", "confounded"])
def shop(request: pytest.FixtureRequest) -> tuple[World, Simulation]:
    return WORLDS[request.param], simulate(request.param, customers=20_000, seed=3)


# ---------------------------------------------------------------- a slow, obvious reference

BUSY = World(
    name="busy",
    channels=(
        Channel("video", 0.2, effect=0.5, cost=0.03, kind="impression", latent_slope=0.4),
        Channel("search", 0.05, effect=0.6, cost=0.4, in_market_factor=9.0, boosted_by="video", boost=1.7),
        Channel("brand", 0.05, effect=0.1, cost=0.1, goodwill_slope=0.6, latent_slope=-0.2),
        Channel("retargeting", 0.6, effect=0.3, cost=0.2, kind="impression", visited_within_days=2),
        Channel("direct", 0.03, paid=False, in_market_factor=50.0, goodwill_slope=0.3),
    ),
    days=12,
    boost_threshold=0.8,
    onset_log_odds=-3.0,
    purchase_log_odds=-5.0,
    purchase_in_market_shift=2.0,
)


# Everything else that a world can do, each part in several channels or twice a week.
RICH = World(
    name="rich",
    channels=(
        Channel("video", 0.3, effect=0.5, cost=0.03, kind="impression", effect_latent_slope=0.4, saturation=0.7),
        Channel("search", 0.1, effect=0.6, in_market_factor=5.0, boosted_by="video", boost=1.7, season_slope=2.0),
        Channel("brand", 0.1, effect=0.2, cost=0.1, goodwill_slope=0.6, saturation=2.0),
        Channel("retargeting", 0.6, effect=0.3, cost=0.2, visited_within_days=2, season_slope=-1.0),
        Channel("nothing", 0.2, cost=0.1, saturation=1.0, effect_latent_slope=-0.4),
        Channel("direct", 0.05, paid=False, in_market_factor=10.0, effect=0.3),
    ),
    days=11,
    goodwill_retention=0.8,
    boost_threshold=0.8,
    onset_log_odds=-2.0,
    purchase_log_odds=-4.5,
    purchase_in_market_shift=2.0,
    repeat_purchases=True,
    reach=0.7,
    activity_sigma=0.8,
    season_amplitude=0.7,
    season_days=4,
    goodwill_needs_market=True,
)
ONCE = dataclasses.replace(RICH, name="once", repeat_purchases=False)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def reference(world: World, customers: int, seed: int) -> tuple[list[tuple[int, str, float]], list[tuple[int, float]]]:
    """Touchpoints (customer, channel, day) and conversions (customer, day), one customer at a time."""
    further = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, 1)))
    activities = np.exp(world.activity_sigma * further.standard_normal(20_000))
    reach_draws = further.random(20_000)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    latent = rng.standard_normal((2, 20_000))[0]
    market_draw = rng.random(20_000)
    draws = [rng.random((3 + len(world.channels), 20_000)) for _ in range(world.days)]
    touchpoints, conversions = [], []
    for customer in range(customers):
        u = float(latent[customer])
        onset = sigmoid(world.onset_log_odds + world.onset_latent_slope * u)
        in_market = market_draw[customer] < onset / (onset + world.market_exit)
        goodwill, last_visit = 0.0, None
        seen: dict[str, list[int]] = {c.name: [] for c in world.channels}
        activity, is_reached = float(activities[customer]), reach_draws[customer] < world.reach
        for day in range(world.days):
            season = world.season_amplitude * math.sin(2 * math.pi * day / world.season_days)
            market, purchase, visit, *exposure = draws[day][:, customer]
            if in_market:
                in_market = market < 1 - world.market_exit
            else:
                log_odds = world.onset_log_odds + world.onset_latent_slope * u
                in_market = market < sigmoid(log_odds + world.onset_goodwill_slope * goodwill)
            hazard = sigmoid(
                world.purchase_log_odds
                + world.purchase_latent_slope * u
                + (world.purchase_in_market_shift if in_market else 0.0)
                + (goodwill if in_market or not world.goodwill_needs_market else 0.0)
                + season
            )
            end = day + purchase / hazard if purchase < hazard else math.inf
            visiting = world.visit_probability_in_market if in_market else world.visit_probability
            gained = 0.0
            today = []
            for c, draw in zip(world.channels, exposure, strict=True):
                chance = c.probability * math.exp(c.latent_slope * u + c.goodwill_slope * goodwill)
                chance *= (c.in_market_factor if in_market else 1.0) * math.exp(c.season_slope * season)
                chance = min(1.0, chance * activity) if is_reached else 0.0
                if c.visited_within_days and (last_visit is None or day - last_visit > c.visited_within_days):
                    continue
                if draw >= chance:
                    continue
                today.append(c.name)
                if world.repeat_purchases or day + draw / chance <= end:
                    touchpoints.append((customer + 1, c.name, day + draw / chance))
                faded = {
                    name: sum(world.goodwill_retention ** (day - 1 - d) for d in seen[name])
                    for name in (c.name, c.boosted_by or c.name)
                }
                gain = c.effect * (c.boost if c.boosted_by and faded[c.boosted_by] > world.boost_threshold else 1.0)
                gained += gain * math.exp(c.effect_latent_slope * u) / (1 + c.saturation * faded[c.name])
            if end < math.inf:
                conversions.append((customer + 1, end))
                if not world.repeat_purchases:
                    break
            for name in today:
                seen[name].append(day)
            goodwill = world.goodwill_retention * goodwill + gained
            last_visit = day if visit < visiting * activity else last_visit
            in_market = in_market and end == math.inf
    return touchpoints, conversions


@pytest.mark.parametrize("world", [BUSY, RICH, ONCE], ids=lambda world: world.name)
def test_simulation_equals_a_reference_that_walks_customer_by_customer(world: World) -> None:
    simulation = simulate(world, customers=400, seed=11)
    touchpoints, conversions = reference(world, 400, 11)
    assert {name for _, name, _ in touchpoints} == {c.name for c in world.channels}
    assert len(conversions) > 100
    assert (len({customer for customer, _ in conversions}) < len(conversions)) == world.repeat_purchases

    expected = pd.DataFrame(touchpoints, columns=["customer_id", "channel", "day"])
    expected = expected.sort_values(["customer_id", "day"], ignore_index=True)
    seen = simulation.touchpoints
    assert seen["customer_id"].tolist() == expected["customer_id"].tolist()
    assert seen["channel"].tolist() == expected["channel"].tolist()
    np.testing.assert_allclose((seen["touched_at"] - FIRST_DAY) / DAY, expected["day"], rtol=0, atol=5e-11)
    assert simulation.conversions["customer_id"].tolist() == [customer for customer, _ in conversions]
    days = (simulation.conversions["converted_at"] - FIRST_DAY) / DAY
    np.testing.assert_allclose(days, [day for _, day in conversions], rtol=0, atol=5e-11)


@pytest.mark.parametrize("world", [BUSY, RICH, ONCE], ids=lambda world: world.name)
def test_truth_equals_what_the_reference_loses_without_the_channel(world: World) -> None:
    truth = simulate(world, customers=400, seed=11).truth.set_index("channel")["incremental_conversions"]
    total = len(reference(world, 400, 11)[1])
    lost = {
        c.name: total - len(reference(changed(world, c.name, probability=0.0), 400, 11)[1]) for c in world.paid_channels
    }
    assert truth.to_dict() == lost
    assert lost.pop("nothing", 0) == 0
    assert min(lost.values()) > 0


# ---------------------------------------------------------------- common random numbers


@pytest.mark.parametrize(
    ("name", "channel"), [("default", "affiliate"), ("default", "social"), ("confounded", "display")]
)
def test_a_channel_without_effect_causes_exactly_nothing(name: str, channel: str) -> None:
    world = changed(WORLDS[name], channel, effect=0.0)
    simulation = simulate(world, customers=20_000, seed=5)
    truth = simulation.truth.set_index("channel")
    assert truth.loc[channel, "incremental_conversions"] == 0
    assert truth.loc[channel, "incremental_value"] == 0
    assert truth.loc[channel, "roi"] == -1
    assert (simulation.touchpoints["channel"] == channel).sum() > 1_000
    assert (truth["incremental_conversions"] > 0).sum() >= 6


@pytest.mark.parametrize("name", ["default", "confounded"])
def test_without_any_effect_switching_channels_off_changes_no_conversion(name: str) -> None:
    world = changed(WORLDS[name], effect=0.0)
    simulation = simulate(world, customers=5_000, seed=6)
    assert len(simulation.conversions) > 50
    assert (simulation.truth["incremental_conversions"] == 0).all()
    assert (simulation.truth["roi"] == -1).all()
    for channel in PAID:
        world = changed(world, channel, probability=0.0)
    quiet = simulate(world, customers=5_000, seed=6)
    assert set(quiet.touchpoints["channel"]) == {"organic", "direct"}
    pd.testing.assert_frame_equal(quiet.conversions, simulation.conversions)


@pytest.mark.parametrize("name", ["default", "confounded"])
def test_truth_equals_a_second_simulation_with_the_channel_at_probability_zero(name: str) -> None:
    world, simulation = WORLDS[name], simulate(name, customers=5_000, seed=3)
    assert (simulation.truth["incremental_conversions"] > 0).sum() >= 4
    spend = simulation.costs.groupby("channel")["amount"].sum()
    assert simulation.truth["channel"].tolist() == PAID
    for row in simulation.truth.itertuples():
        other = simulate(changed(world, row.channel, probability=0.0), customers=5_000, seed=3, truth=False)
        assert row.channel not in set(other.touchpoints["channel"])
        value = simulation.conversions["value"].sum() - other.conversions["value"].sum()
        assert row.incremental_conversions == len(simulation.conversions) - len(other.conversions)
        assert row.incremental_value == pytest.approx(value, abs=1e-6)
        assert row.roi == pytest.approx((value - spend[row.channel]) / spend[row.channel], abs=1e-9)


def test_everyone_who_buys_without_advertising_also_buys_with_it(shop: tuple[World, Simulation]) -> None:
    world, simulation = shop
    for channel in PAID:
        world = changed(world, channel, probability=0.0)
    quiet = simulate(world, customers=20_000, seed=3, truth=False).conversions.set_index("customer_id")
    loud = simulation.conversions.set_index("customer_id")
    assert 0 < len(quiet) < len(loud)
    assert set(quiet.index) <= set(loud.index)
    assert (quiet["value"] == loud.loc[quiet.index, "value"]).all()


# ---------------------------------------------------------------- seeds and prefixes


@pytest.mark.parametrize("first", [20_000, 25_000])
def test_the_first_customers_are_the_same_whatever_the_total(first: int) -> None:
    few = simulate("confounded", customers=first, seed=9, truth=False)
    many = simulate("confounded", customers=40_000, seed=9, truth=False)
    assert many.touchpoints["customer_id"].max() > 39_900
    for name in ("touchpoints", "conversions"):
        table = tables(many)[name]
        table = table[table["customer_id"] <= first]
        pd.testing.assert_frame_equal(tables(few)[name], table, check_exact=True)


def test_chunks_of_customers_are_different_people() -> None:
    conversions = simulate("default", customers=40_000, seed=9, truth=False).conversions
    second = set(conversions["customer_id"][conversions["customer_id"] > 20_000] - 20_000)
    assert len(second & set(conversions["customer_id"])) < 0.2 * len(second)


def test_truth_adds_up_over_chunks() -> None:
    both = simulate("default", customers=40_000, seed=9)
    off = simulate(changed(WORLDS["default"], "video", probability=0.0), customers=40_000, seed=9, truth=False)
    lost = len(both.conversions) - len(off.conversions)
    assert both.truth.set_index("channel").loc["video", "incremental_conversions"] == lost > 100


def test_same_seed_same_bytes_in_another_process() -> None:
    code = (
        "from attribution.simulation import simulate; s = simulate('confounded', customers=300, seed=4)\n"
        "print(*(t.to_csv() for t in vars(s).values()))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    here = simulate("confounded", customers=300, seed=4)
    expected = " ".join(table.to_csv(lineterminator="\n") for table in tables(here).values()) + "\n"
    assert there.replace("\r\n", "\n") == expected
    assert len(there) > 50_000


def test_another_seed_is_another_population() -> None:
    first, again, other = (simulate("default", customers=2_000, seed=seed) for seed in (1, 1, 2))
    assert_same(first, again)
    assert not first.touchpoints.equals(other.touchpoints)
    assert not other.conversions["value"].isin(first.conversions["value"]).all()


def test_leaving_the_truth_out_changes_nothing_else() -> None:
    full = simulate("default", customers=1_000, seed=1)
    short = simulate("default", customers=1_000, seed=1, truth=False)
    assert list(short.truth.columns) == list(full.truth.columns)
    assert len(short.truth) == 0
    assert_same(dataclasses.replace(full, truth=short.truth), short)


# ---------------------------------------------------------------- the tables


def test_tables_have_the_columns_types_and_order_of_the_contract(shop: tuple[World, Simulation]) -> None:
    _, simulation = shop
    for name, contract in zip(tables(simulation), (TOUCHPOINTS, CONVERSIONS, COSTS, TRUTH, CUSTOMERS), strict=True):
        table = tables(simulation)[name]
        assert list(table.columns) == [c for c in contract.column_names if c in table.columns]
        assert set(contract.required) <= set(table.columns)
        assert table.index.equals(pd.RangeIndex(len(table)))
        assert not table.isna().any().any()
    touchpoints, conversions = simulation.touchpoints, simulation.conversions
    assert touchpoints["customer_id"].dtype == conversions["customer_id"].dtype == np.int64
    assert touchpoints["touched_at"].dtype == conversions["converted_at"].dtype == "datetime64[us]"
    assert simulation.costs["day"].dtype == "datetime64[us]"
    for table, time in ((touchpoints, "touched_at"), (conversions, "converted_at")):
        assert table[time].equals(table.sort_values(["customer_id", time])[time])
    assert set(touchpoints["channel"]) == {*PAID, "organic", "direct"}
    kinds = touchpoints.groupby("kind")["channel"].unique().map(set)
    assert kinds["impression"] == {"display", "video"}
    assert kinds["click"] == {*PAID, "organic", "direct"} - {"display", "video"}


def test_customers_convert_at_most_once_and_see_nothing_afterwards(shop: tuple[World, Simulation]) -> None:
    world, simulation = shop
    conversions = simulation.conversions
    assert conversions["customer_id"].is_unique
    assert conversions["conversion_id"].is_unique
    both = simulation.touchpoints.merge(conversions, on="customer_id")
    assert (both["touched_at"] <= both["converted_at"]).all()
    # The very day of the purchase counts up to the moment of the purchase, not less.
    assert (both["touched_at"].dt.floor("D") == both["converted_at"].dt.floor("D")).sum() > 50
    for times in (simulation.touchpoints["touched_at"], conversions["converted_at"]):
        assert times.min() >= FIRST_DAY
        assert times.max() < FIRST_DAY + world.days * DAY
        assert times.dt.floor("D").nunique() == world.days


def test_costs_are_touchpoints_times_their_price(shop: tuple[World, Simulation]) -> None:
    world, simulation = shop
    touchpoints = simulation.touchpoints.assign(day=simulation.touchpoints["touched_at"].dt.floor("D"))
    counts = touchpoints.groupby(["channel", "day"]).size()
    assert len(simulation.costs) == len(PAID) * world.days
    assert not simulation.costs.duplicated(["channel", "day"]).any()
    price = {channel.name: channel.cost for channel in world.paid_channels}
    for row in simulation.costs.itertuples():
        count = counts.get((row.channel, row.day), 0)
        assert row.amount == pytest.approx(price[row.channel] * count, abs=0.005001)


# ---------------------------------------------------------------- frequencies


def within_5_sigma(count: int, trials: int, probability: float) -> bool:
    sd = math.sqrt(trials * probability * (1 - probability))
    return abs(count - trials * probability) <= 5 * sd


def test_exposure_frequencies_of_the_default_world_match_its_probabilities() -> None:
    world = dataclasses.replace(WORLDS["default"], purchase_log_odds=-50.0)  # nobody buys, nobody leaves
    simulation = simulate(world, customers=20_000, seed=2, truth=False)
    assert len(simulation.conversions) == 0
    counts = simulation.touchpoints["channel"].value_counts()
    for channel in world.paid_channels:
        assert within_5_sigma(counts[channel.name], 20_000 * 30, channel.probability), channel.name


@pytest.mark.parametrize("channel", ["display", "organic"])
def test_moments_within_the_day_are_uniform(channel: str) -> None:
    touchpoints = simulate("default", customers=20_000, seed=2, truth=False).touchpoints
    times = touchpoints["touched_at"][touchpoints["channel"] == channel]
    hours = times.dt.hour.value_counts()
    assert all(within_5_sigma(hours[hour], len(times), 1 / 24) for hour in range(24))
    assert times.dt.microsecond.nunique() > 1_000


def test_purchases_follow_the_hazard_where_nothing_else_acts() -> None:
    world = World(
        "plain",
        (Channel("display", 0.2),),
        days=20,
        onset_log_odds=-50.0,
        purchase_log_odds=math.log(0.01 / 0.99),
        purchase_latent_slope=0.0,
        value_latent_slope=0.0,
    )
    conversions = simulate(world, customers=60_000, seed=1, truth=False).conversions
    assert within_5_sigma(len(conversions), 60_000, 1 - 0.99**20)
    logs = np.log(conversions["value"])
    assert logs.std() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(2 * len(logs)))
    assert logs.mean() == pytest.approx(math.log(80) - 0.125, abs=5 * 0.5 / math.sqrt(len(logs)))


def test_the_market_is_stationary_without_advertising() -> None:
    always_seen = Channel("seen", 1e-6, paid=False, in_market_factor=1e6)
    world = World("still", (always_seen,), onset_log_odds=-2.0, purchase_log_odds=-50.0)
    days = simulate(world, customers=20_000, seed=1, truth=False).touchpoints["touched_at"].dt.day
    counts = days.value_counts()
    assert counts[1] > 5_000
    assert all(abs(counts[day] - counts[1]) < 5 * math.sqrt(2 * counts[1]) for day in range(1, 31))


@pytest.mark.parametrize("within", [1, 4])
def test_retargeting_touches_only_customers_who_visited_the_site_lately(within: int) -> None:
    retargeting = Channel("retargeting", 1.0, visited_within_days=within)
    world = World("still", (retargeting,), onset_log_odds=-50.0, purchase_log_odds=-50.0, visit_probability=0.1)
    days = simulate(world, customers=20_000, seed=1, truth=False).touchpoints["touched_at"].dt.day
    for day in range(2, 31):
        assert within_5_sigma((days == day).sum(), 20_000, 1 - 0.9 ** min(within, day - 1)), day
    assert (days == 1).sum() == 0


# ---------------------------------------------------------------- what the shipped worlds are for


def z_of_touched(name: str, channel: str, simulation: Simulation) -> float:
    """How much likelier those touched in the first 10 days buy later, in standard errors."""
    cut = FIRST_DAY + 10 * DAY
    conversions = simulation.conversions
    gone = set(conversions.loc[conversions["converted_at"] < cut, "customer_id"])
    later = set(conversions["customer_id"]) - gone
    seen = simulation.touchpoints
    touched = set(seen.loc[(seen["channel"] == channel) & (seen["touched_at"] < cut), "customer_id"]) - gone
    others = 60_000 - len(gone) - len(touched)
    rate_touched, rate_others = len(later & touched) / len(touched), len(later - touched) / others
    pooled = len(later) / (len(touched) + others)
    return (rate_touched - rate_others) / math.sqrt(pooled * (1 - pooled) * (1 / len(touched) + 1 / others))


def test_only_the_confounded_world_touches_those_who_would_have_bought_anyway() -> None:
    """With every effect at 0, any difference between touched and untouched customers is confounding."""
    chance, chosen = (
        simulate(changed(WORLDS[name], effect=0.0), customers=60_000, seed=8, truth=False)
        for name in ("default", "confounded")
    )
    for channel in PAID:
        assert abs(z_of_touched("default", channel, chance)) < 5, channel
    for channel in sorted(set(PAID) - {"display", "video"}):
        assert z_of_touched("confounded", channel, chosen) > 5, channel


def test_shipped_worlds_are_what_their_description_says(shop: tuple[World, Simulation]) -> None:
    _, simulation = shop
    assert 0.03 < len(simulation.conversions) / 20_000 < 0.045
    truth = simulation.truth.set_index("channel")
    caused = truth["incremental_conversions"]
    assert 0 <= caused["affiliate"] <= 5
    assert caused.max() > 60
    assert (truth["roi"] > 0.1).sum() >= 2
    assert (truth["roi"] < -0.1).sum() >= 2
    assert truth["roi"].idxmin() == "affiliate"


def test_last_touch_credits_paid_channels_with_more_than_they_caused(shop: tuple[World, Simulation]) -> None:
    _, simulation = shop
    before = simulation.touchpoints.merge(simulation.conversions, on="customer_id")
    last = before.drop_duplicates("customer_id", keep="last")
    credited = last["channel"].isin(PAID).sum()
    caused = simulation.truth["incremental_conversions"].sum()
    assert 0 < caused < 0.8 * credited < credited < len(simulation.conversions)


# ---------------------------------------------------------------- worlds from files


def as_toml(world: World) -> str:
    def line(key: str, value: object) -> str:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
        return f"{key} = {text}\n"

    def lines(owner: object) -> str:
        fields = {f.name: getattr(owner, f.name) for f in dataclasses.fields(owner) if f.name != "channels"}  # type: ignore[arg-type]
        return "".join(line(key, value) for key, value in fields.items() if value is not None)

    return lines(world) + "".join("\n[[channels]]\n" + lines(channel) for channel in world.channels)


@pytest.mark.parametrize("world", [WORLDS["confounded"], BUSY], ids=lambda world: world.name)
def test_a_world_survives_a_toml_file(world: World, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(as_toml(world), encoding="utf-8")
    assert load_world(path) == load_world(str(path)) == world
    assert_same(simulate(str(path), customers=200, seed=1), simulate(world, customers=200, seed=1))


def test_a_file_may_leave_defaults_out_and_write_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    channel = "\n[[channels]]\nname = 'tv'\nprobability = 0.1\neffect = 1\nboosted_by = 'tv'\n"
    path.write_text("name = 'short'\ndays = 5\nvalue_mean = 10\n" + channel, encoding="utf-8")
    world = load_world(path)
    assert world == World("short", (Channel("tv", 0.1, effect=1, boosted_by="tv"),), days=5, value_mean=10)
    simulation = simulate(world, customers=5_000)
    assert simulation.truth["roi"].isna().all()
    assert simulation.truth["incremental_conversions"].sum() > 0


def test_shipped_worlds_are_found_by_name() -> None:
    assert load_world("default") is WORLDS["default"]
    assert list(WORLDS)[:2] == ["default", "confounded"]
    assert all(name == world.name for name, world in WORLDS.items())


CHANNEL = "[[channels]]\nname = 'tv'\nprobability = 0.1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "name = 'x'\ndayz = 3\n" + CHANNEL,
            ["unknown key 'dayz'", "goodwill_retention", "did you mean 'days'"],
        ),
        (
            "name = 'x'\n" + CHANNEL + "efect = 1\n",
            ["channel 1", "unknown key 'efect'", "did you mean 'effect'"],
        ),
        (CHANNEL, ["missing 'name'"]),
        ("name = 'x'\n", ["missing 'channels'"]),
        ("name = 'x'\n[[channels]]\nname = 'tv'\n", ["channel 1", "missing 'probability'"]),
        ("name = 'x'\nchannels = ['tv']\n", ["must be a list of tables", "[[channels]]"]),
        ("name = 'x'\nchannels = []\n", ["no channel"]),
        ("name = \n", ["not TOML"]),
        ("name = 'x'\ndays = 0\n" + CHANNEL, ["'days'", "Given: 0", "a whole number from 1"]),
        ("name = 'x'\ndays = 2.5\n" + CHANNEL, ["'days'", "Given: 2.5", "whole"]),
        ("name = 'x'\ndays = true\n" + CHANNEL, ["'days'", "Given: True"]),
        ("name = 'x'\nmarket_exit = 'often'\n" + CHANNEL, ["'market_exit'", "Given: 'often'", "from 0 to 1"]),
        ("name = 'x'\nvalue_mean = nan\n" + CHANNEL, ["'value_mean'", "Given: nan"]),
        ("name = 'x'\ngoodwill_retention = 1.0\n" + CHANNEL, ["'goodwill_retention'", "Given: 1.0"]),
        ("name = 'x'\n" + CHANNEL + "effect = inf\n", ["channel 'tv'", "'effect'", "Given: inf"]),
        ("name = 'x'\n" + CHANNEL + "cost = -1\n", ["channel 'tv'", "'cost'", "Given: -1"]),
        ("name = 'x'\n" + CHANNEL + "paid = 'no'\n", ["'paid'", "true, false"]),
        ("name = 'x'\n" + CHANNEL + "paid = false\ncost = 1\n", ["unpaid channel cannot have a cost"]),
        ("name = 'x'\n" + CHANNEL + "kind = 'klick'\n", ["'klick'", "click, impression"]),
        ("name = 'x'\n" + CHANNEL + "visited_within_days = 0\n", ["'visited_within_days'", "Given: 0"]),
        (
            "name = 'x'\n" + CHANNEL + "boosted_by = 'radio'\n",
            ["'tv' is boosted by", "'radio'", "Allowed: tv"],
        ),
        ("name = 'x'\nreach = 1.5\n" + CHANNEL, ["'reach'", "Given: 1.5", "0 to 1"]),
        ("name = 'x'\nrepeat_purchases = 1\n" + CHANNEL, ["'repeat_purchases'", "Given: 1", "true, false"]),
        ("name = 'x'\nseason_days = 0\n" + CHANNEL, ["'season_days'", "Given: 0", "whole"]),
        ("name = 'x'\n" + CHANNEL + "saturation = -1\n", ["channel 'tv'", "'saturation'", "Given: -1"]),
        ("name = 'x'\n" + CHANNEL + CHANNEL, ["not unique", "Given: tv"]),
        (
            "name = 'x'\n[[channels]]\nname = '(null)'\nprobability = 0.1\n",
            ["a channel cannot have this name", "'(null)'"],
        ),
        ("name = ' '\n" + CHANNEL, ["a world cannot have this name"]),
        (
            "name = 'x'\n[[channels]]\nname = 'tv'\nprobability = 1.5\n",
            ["'probability'", "Given: 1.5", "0 to 1"],
        ),
    ],
)
def test_impossible_files_are_refused(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refusal:
        load_world(path)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def test_unknown_worlds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Allowed: default, confounded.*random.*did you mean 'confounded'"):
        simulate("confunded", customers=10)
    with pytest.raises(InputError, match="cannot be read"):
        load_world(tmp_path / "absent.toml")
    with pytest.raises(InputError, match=r"channels.*must be a tuple"):
        World("x", [Channel("tv", 0.1)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no channel 'radio'.*Allowed: tv"):
        World("x", (Channel("tv", 0.1),)).without("radio")


@pytest.mark.parametrize(
    "wrong", [{"customers": 0}, {"customers": 2.0}, {"customers": 5, "seed": -1}, {"customers": 5, "days": 0}]
)
def test_impossible_requests_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"out of range.*a whole number from|customers must be a whole number"):
        simulate("default", **wrong)
