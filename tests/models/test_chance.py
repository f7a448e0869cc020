"""Credit by chance: what labels at random get, for every model, and that nothing but the labels is at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.errors import InputError
from attribution.journeys.structure import count_touchpoints
from attribution.kernels.credit.labels import cut_shares
from attribution.models.chance import SHUFFLES, Chance, Shuffling, _shuffle
from attribution.models.credit import share_sums
from attribution.models.fitting import fit_models
from attribution.models.machinery import Draws, get_machinery
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import NO_CHANNELS
from tests.data.engine.test_spark import why_not

Frame = pd.DataFrame
CHANCE = ["chance_conversions", "chance_value", "beyond_conversions"]


class Unstated(at.Linear):
    """Linear, without the word that its weights ignore channels: it is shuffled."""

    def weigh(self, chunk: Any) -> Any:
        return np.ones(len(chunk.channel))


class Halves(at.AttributionModel):
    """A model of somebody's own that learns: what a channel gets under linear, moved half-way to equal shares."""

    def summarise(self, chunk: Any) -> Any:
        return share_sums(self, chunk)

    def weigh(self, chunk: Any) -> Any:
        return np.ones(len(chunk.channel))

    def solve(self, summary: Any) -> Any:
        linear = [summary.dense(what, len(self.channels_)) for what in ("conversions", "value")]
        return tuple((of + of.mean()) / 2 for of in linear)


class Choosy(Halves):
    """Refuses journeys in which the first channel is the most frequent one of all that convert."""

    def solve(self, summary: Any) -> Any:
        conversions = summary.dense("conversions", len(self.channels_))
        if hasattr(self, "credit_") and not np.array_equal(conversions, self.seen_):
            raise InputError("these journeys are not those it knows")
        self.seen_ = conversions
        return conversions, summary.dense("value", len(self.channels_))


def models() -> list[at.AttributionModel]:
    return [
        at.FirstTouch(),
        at.LastTouch(),
        at.Linear(),
        at.PositionBased(),
        at.TimeDecay(),
        at.CustomWeights(weights=[3, 1]),
        at.WShaped(),
        at.LastNonDirect(),
        at.LinearDistinct(),
        at.Markov(),
        at.Markov(order=2),
        at.Markov(order="auto"),
        at.Shapley(),
        Unstated(),
        Halves(),
    ]


def noise(customers: int = 400, seed: int = 3, rate: float = 0.4) -> dict[str, Frame]:
    """Touchpoints, channels and conversions that have nothing to do with one another."""
    rng = np.random.default_rng(seed)
    touches = rng.poisson(4, customers)
    names = np.array([f"c{i:04d}" for i in range(customers)])
    start = np.datetime64("2024-03-01", "us")
    # Whole days, so that there are ties.
    moments = start + rng.integers(0, 40, touches.sum()) * np.timedelta64(1, "D")
    converts = rng.random(customers) < rate
    return {
        "touchpoints": pd.DataFrame(
            {
                "customer_id": np.repeat(names, touches),
                "touched_at": moments,
                "channel": rng.choice(["ads", "direct", "mail", "search"], len(moments), p=[0.1, 0.15, 0.25, 0.5]),
                "stage": rng.choice(np.array([None, "lead"], dtype=object), len(moments), p=[0.8, 0.2]),
            }
        ),
        "conversions": pd.DataFrame(
            {
                "customer_id": names[converts],
                "converted_at": start + rng.integers(20, 60, converts.sum()) * np.timedelta64(1, "D"),
                "value": rng.gamma(2.0, 30.0, converts.sum()).round(2),
            }
        ),
        "customers": pd.DataFrame({"customer_id": [*names, *(f"untouched {i}" for i in range(300))]}),
    }


def journeys_of(log: dict[str, Frame], engine: DuckDBEngine | None = None, **options: Any) -> at.Journeys:
    frame = log["touchpoints"]
    touchpoints = TableSpec(source=frame, columns={name: name for name in frame})
    sources = at.load_sources(touchpoints, log["conversions"], customers=log["customers"], engine=engine)
    return at.build_journeys(sources, **options)


def out_of_core() -> DuckDBEngine:
    """An engine that holds no journeys: they are made anew for every pass."""
    engine = DuckDBEngine(batch_rows=100)
    engine._held_rows = 0
    return engine


def chance_of(journeys: at.Journeys, models: Sequence[at.AttributionModel]) -> Chance:
    for model in models:
        get_machinery(model).prepare(journeys)
    shuffling = Shuffling(journeys, tuple(models))
    observed, summary = fit_models(models, journeys, shuffling.read)
    return shuffling.solve(summary, observed)


# ---------------------------------------------------------------- laws


def test_chance_and_credit_of_channels_add_up_to_the_same() -> None:
    table = at.attribute(journeys_of(noise()), models(), chance=True).table
    assert not table["model"].duplicated().all()
    channels = table[~table["channel"].isin(NO_CHANNELS)]
    assert channels[CHANCE].notna().all(axis=None)
    sums = channels.groupby("model")[["conversions", "chance_conversions", "value", "chance_value"]].sum()
    np.testing.assert_allclose(sums["chance_conversions"], sums["conversions"], rtol=1e-12)
    np.testing.assert_allclose(sums["chance_value"], sums["value"], rtol=1e-12)
    beyond = channels["conversions"] - channels["chance_conversions"]
    np.testing.assert_array_equal(channels["beyond_conversions"], beyond)
    assert table.loc[table["channel"].isin(NO_CHANNELS), CHANCE].isna().all(axis=None)


def test_with_one_channel_chance_is_credit() -> None:
    log = noise()
    log["touchpoints"]["channel"] = "mail"
    table = at.attribute(journeys_of(log), models(), chance=True).table
    one = table[table["channel"] == "mail"]
    np.testing.assert_allclose(one["chance_conversions"], one["conversions"], rtol=1e-12)
    np.testing.assert_allclose(one["chance_value"], one["value"], rtol=1e-12)


def test_the_closed_form_is_the_mean_of_shuffles() -> None:
    journeys = journeys_of(noise())
    stated, shuffled = at.Linear(), Unstated(name="unstated")
    chance = chance_of(journeys, [stated, shuffled])
    for what in ("conversions", "value"):
        each = getattr(chance.shuffles["unstated"], what)
        assert each.shape == (SHUFFLES, 4)
        error = each.std(axis=0, ddof=1) / np.sqrt(SHUFFLES)
        assert (error > 0).all()
        assert (np.abs(chance.level("linear", what) - chance.level("unstated", what)) < 3 * error).all()
    share = log_shares(journeys)
    attributable = stated.credit_.conversions[:-1].sum()
    np.testing.assert_allclose(chance.level("linear", "conversions"), share * attributable, rtol=1e-12)


def log_shares(journeys: at.Journeys) -> Any:
    counts = noise()["touchpoints"]["channel"].value_counts().reindex(list(journeys.channels)).to_numpy()
    return counts / counts.sum()


def test_a_shuffle_is_solved_as_journeys_with_its_labels_are() -> None:
    exact = [at.Markov(), at.Shapley(), at.LinearDistinct(), at.LastNonDirect(), Halves()]
    exact += [at.Shapley(game=game) for game in ("rate", "path_incremental")]
    journeys = journeys_of(noise())
    chance = chance_of(journeys, [*exact, at.Markov(order=2)])
    (chunk,) = journeys
    shuffles = _shuffle(chunk, cut_shares(journeys.touchpoints))
    written = [replace(shuffled, channel=shuffled.channel.copy()) for shuffled in shuffles]
    for shuffle in (0, SHUFFLES - 1):
        relabelled = replace(journeys, chunks=(written[shuffle],))
        # A chain of order 2 is followed by its influences.
        for model, tolerance in [*((model, 1e-12) for model in exact), (at.Markov(order=2), 0.02)]:
            fitted = type(model)(**model.get_params()).fit(relabelled)
            for what in ("conversions", "value"):
                np.testing.assert_allclose(
                    getattr(chance.shuffles[fitted.label], what)[shuffle],
                    getattr(fitted.credit_, what)[:-1],
                    rtol=tolerance,
                    atol=1e-9,
                )


def test_an_order_that_data_choose_stays_as_chosen() -> None:
    journeys = journeys_of(noise())
    auto = at.Markov(order="auto")
    chance = chance_of(journeys, [auto, at.Markov(order=1)])
    assert auto.order_ == 1
    for what in ("conversions", "value"):
        a, b = (getattr(chance.shuffles[label], what) for label in (auto.label, "markov"))
        np.testing.assert_array_equal(a, b)
    assert auto.order == "auto"


# ---------------------------------------------------------------- what must change nothing


def table_of(journeys: at.Journeys) -> Frame:
    return at.attribute(journeys, models(), chance=True).table


@pytest.fixture(scope="module")
def as_it_is() -> Frame:
    return table_of(journeys_of(noise(customers=120)))


@pytest.mark.parametrize(
    "engine",
    [lambda: DuckDBEngine(batch_rows=60), lambda: DuckDBEngine(partitions=3, threads=1), out_of_core],
    ids=["batches", "partitions", "out of core"],
)
def test_batches_partitions_and_memory_change_no_byte(as_it_is: Frame, engine: Callable[[], DuckDBEngine]) -> None:
    journeys = journeys_of(noise(customers=120), engine())
    assert isinstance(journeys.chunks, tuple) == (engine is not out_of_core)
    pd.testing.assert_frame_equal(table_of(journeys), as_it_is, check_exact=True)


def test_the_order_of_rows_changes_no_byte(as_it_is: Frame) -> None:
    shuffled = {name: table.sample(frac=1, random_state=4) for name, table in noise(customers=120).items()}
    pd.testing.assert_frame_equal(table_of(journeys_of(shuffled)), as_it_is, check_exact=True)


def test_resampling_changes_no_byte_of_the_level() -> None:
    log = noise()
    settings: dict[str, Any] = {
        "name": "noise",
        "tables": {"touchpoints": log["touchpoints"], "conversions": log["conversions"]},
        "models": [{"model": "LastNonDirect"}, {"model": "Markov"}, {"model": "Linear"}],
    }
    plain, drawn = (
        at.run_experiment(at.Experiment(**settings, **more)).tables["credit"]
        for more in ({}, {"resampling": {"draws": 60}})
    )
    pd.testing.assert_frame_equal(plain[["model", "channel", *CHANCE]], drawn[["model", "channel", *CHANCE]])
    assert plain["beyond_conversions_low"].isna().all()
    channels = ~drawn["channel"].isin(NO_CHANNELS)
    assert (drawn.loc[channels, "beyond_conversions_low"] < drawn.loc[channels, "beyond_conversions"]).all()
    assert (drawn.loc[channels, "beyond_conversions_high"] > drawn.loc[channels, "beyond_conversions"]).all()
    assert drawn.loc[~channels, "beyond_conversions_low"].isna().all()


@pytest.mark.slow
@pytest.mark.nightly
def test_spark_gives_the_same_bytes() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    log = noise()
    own = [model for model in models() if not isinstance(model, Unstated | Halves | at.WShaped)]
    tables = log["touchpoints"], log["conversions"]
    engine = at.SparkEngine(master="local[1]", config={"spark.sql.shuffle.partitions": "2"})
    try:
        there = at.attribute(at.build_journeys(at.load_sources(*tables, engine=engine)), own, chance=True).table
    finally:
        engine.close()
    here = at.attribute(at.build_journeys(at.load_sources(*tables)), own, chance=True).table
    pd.testing.assert_frame_equal(there, here, check_exact=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lookback_days": 3},
        {"lookback_by_channel": {"mail": 2, "search": 9}},
        {"conversions": "cumulative"},
        {"conversions": "first_only"},
        {"direct": "drop"},
        {"transform": "frequency"},
        {"period": at.Period(start="2024-03-10", end="2024-04-20")},
    ],
    ids=str,
)
def test_touchpoints_are_counted_as_journeys_hold_them(options: dict[str, Any]) -> None:
    journeys = journeys_of(noise(customers=120), **options)
    counted = journeys.read(count_touchpoints)[0].dense("touchpoints", len(journeys.channels))
    np.testing.assert_array_equal(journeys.touchpoints, counted)
    table = at.attribute(journeys, [at.Linear(), at.LinearDistinct(), at.Markov()], chance=True).table
    sums = table[~table["channel"].isin(NO_CHANNELS)].groupby("model")[["conversions", "chance_conversions"]].sum()
    np.testing.assert_allclose(sums["chance_conversions"], sums["conversions"], rtol=1e-12)
    if options.get("direct") == "drop":
        assert (table.loc[table["channel"] == "direct", "chance_conversions"] == 0).all()


def test_a_touchpoint_keeps_its_label_whoever_else_is_there() -> None:
    """Overlapping journeys share touchpoints; a touchpoint has one label in all of them, as under any engine."""
    log, options = noise(customers=120), {"conversions": "cumulative", "lookback_days": 10}
    journeys, parts = (journeys_of(log, DuckDBEngine(batch_rows=rows), **options) for rows in (40, 10_000))
    a, b = (at.attribute(each, [at.Markov(), Unstated()], chance=True).table for each in (journeys, parts))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


# ---------------------------------------------------------------- noise, and what is not noise


def test_on_noise_nothing_lies_beyond_chance() -> None:
    log = noise(customers=3_000, seed=8)
    experiment = at.Experiment(
        name="noise",
        tables={"touchpoints": log["touchpoints"], "conversions": log["conversions"]},
        models=[{"model": name} for name in ("LastTouch", "Linear", "LastNonDirect", "Markov", "Shapley")],
        resampling={"draws": 200},
        tracking={"enabled": False},
    )
    credit = at.run_experiment(experiment).tables["credit"]
    channels = credit[~credit["channel"].isin(NO_CHANNELS)]
    holds = (channels["beyond_conversions_low"] <= 0) & (channels["beyond_conversions_high"] >= 0)
    assert holds.mean() >= 0.85
    assert (channels["beyond_conversions"].abs() < 0.06 * channels["conversions"].sum() / 5).all()


def test_a_channel_that_opens_the_way_to_every_conversion_lies_beyond_chance() -> None:
    log = noise()
    converting = log["conversions"][["customer_id", "converted_at"]].assign(channel="demo", stage=None)
    converting["touched_at"] = converting.pop("converted_at")
    log["touchpoints"] = pd.concat([log["touchpoints"], converting], ignore_index=True)
    table = at.attribute(journeys_of(log), models(), chance=True).table
    beyond = table[table["channel"] == "demo"].set_index("model")["beyond_conversions"]
    assert (beyond.drop("first_touch") > 0).all()


# ---------------------------------------------------------------- aggregated paths


PATHS = pd.DataFrame(
    {
        "path": ["mail > search", "search", "search > mail > mail", "direct > search", ""],
        "conversions": [300, 500.5, 40, 3, 10],
        "value": [900.0, 2_000.0, 0.0, 70.0, 5.0],
        "nulls": [4_000, 2_500, 100, 20, 700],
    }
)


def test_paths_are_labelled_journey_by_journey() -> None:
    journeys = at.build_journeys(at.load_sources(paths=PATHS))
    every = [at.Linear(), Unstated(name="unstated"), at.Markov(), at.Shapley(), at.Shapley(game="rate", name="rate")]
    chance = chance_of(journeys, every)
    shares = np.array([23, 300 + 4_000 + 2 * 140, 4_300 + 3_000.5 + 140 + 23])
    shares = shares / shares.sum()
    np.testing.assert_allclose(chance.shares, shares, rtol=1e-12)
    np.testing.assert_allclose(chance.level("linear", "conversions"), shares * 843.5, rtol=1e-12)
    each = chance.shuffles["unstated"].conversions
    np.testing.assert_allclose(each.sum(axis=1), 843.5, rtol=1e-12)
    np.testing.assert_allclose(each.mean(axis=0), shares * 843.5, atol=4 * np.sqrt(843.5 * 0.25 / SHUFFLES))
    # Journeys are labelled one by one: labels of whole rows would spread over hundreds of conversions.
    assert 5 < each.std(axis=0).max() < 30
    for label in ("markov", "shapley"):
        np.testing.assert_allclose(chance.shuffles[label].conversions.sum(axis=1), 843.5, rtol=1e-9)
        np.testing.assert_allclose(chance.shuffles[label].value.sum(axis=1), 2_970.0, rtol=1e-9)


def test_the_order_of_paths_changes_no_byte() -> None:
    twice = pd.concat([PATHS, PATHS.iloc[:2]], ignore_index=True)
    tables = [
        at.attribute(
            at.build_journeys(at.load_sources(paths=paths)),
            [at.Linear(), at.Markov(), at.Markov(order=2), at.Shapley(), Unstated()],
            chance=True,
        ).table
        for paths in (twice, twice.sample(frac=1, random_state=1))
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


# ---------------------------------------------------------------- draws, and models that cannot be solved


def sample(conversions: list[list[float]]) -> SimpleNamespace:
    return SimpleNamespace(channels=Draws(np.array(conversions), np.array(conversions)))


def test_a_draw_is_held_against_its_shuffle_and_shares_in_what_it_has_more() -> None:
    shuffles = Draws(np.array([[3.0, 5.0], [5.0, 3.0]]), np.zeros((2, 2)))
    chance = Chance(("a", "b"), np.array([0.25, 0.75]), {"m": shuffles})
    drawn: Any = SimpleNamespace(
        draws={"m": sample([[4, 6], [5, 7], [1, 1]])},
        estimates={"m": sample([[4, 4]])},
        jackknife={"m": sample([[3, 3]])},
    )
    draws, estimate, jackknife = chance.beyond("m", drawn)
    # Draws 0 and 2 against the first shuffle, draw 1 against the second; 10, 12 and 2 conversions instead of 8.
    np.testing.assert_allclose(draws, [[4 - 3 - 0.5, 6 - 5 - 1.5], [5 - 5 - 1, 7 - 3 - 3], [1 - 3 + 1.5, 1 - 5 + 4.5]])
    np.testing.assert_allclose(estimate, [[0, 0]])
    np.testing.assert_allclose(jackknife, [[3 - 4 + 0.5, 3 - 4 + 1.5]])


def test_a_model_that_refuses_shuffled_journeys_has_no_level_and_says_so() -> None:
    chance = chance_of(journeys_of(noise()), [at.Linear(), Choosy()])
    assert set(chance.shuffles) == {"linear"}
    (finding,) = chance.findings
    assert (finding.check, finding.status, finding.example) == ("chance_left_out", "warn", "choosy")
    assert "these journeys are not those it knows" in finding.message
    table = at.attribute(journeys_of(noise()), [at.Linear(), Choosy()], chance=True).table
    assert table.loc[table["model"] == "choosy", CHANCE].isna().all(axis=None)


def test_a_log_without_a_touchpoint_has_nothing_by_chance() -> None:
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-01"]})
    journeys = at.build_journeys(at.load_sources(conversions=conversions))
    table = at.attribute(journeys, [at.LastTouch(), at.LastNonDirect(), at.Markov()], chance=True).table
    assert table["channel"].tolist() == ["(unattributed)"] * 3
    assert table[CHANCE].isna().all(axis=None)


def test_weights_of_a_subclass_are_not_taken_to_ignore_channels() -> None:
    assert at.Linear.ignores_channels
    assert not Unstated.ignores_channels
    assert not at.Markov.ignores_channels
