"""Buckets of customers: disjoint, complete, and the same whatever the order of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.journeys import observe
from attribution.journeys.buckets import (
    BUCKETS,
    Buckets,
    Bucketwise,
    Dealing,
    bucket_reader,
    converting_customers,
    observe_buckets,
    split_buckets,
)
from attribution.kernels.statistics.dealing import deal
from attribution.kernels.statistics.draws import id_words, multinomial_weights, poisson_weights, uniform
from attribution.kernels.statistics.sums import to_float
from attribution.models.machinery import get_machinery

MODELS = (at.LastTouch(), at.Linear(), at.TimeDecay(), at.Markov(), at.Markov(order=3), at.Shapley())


def log(customers: int = 600, seed: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01", "us")
    touches, converts = rng.poisson(3, customers), rng.poisson(0.4, customers)
    names = np.array([f"顾客 {number}" for number in range(customers)])

    def moments(n: int) -> Any:
        return start + rng.integers(0, 60 * 24, n) * np.timedelta64(1, "h")

    touchpoints = pd.DataFrame(
        {
            "customer_id": np.repeat(names, touches),
            "touched_at": moments(touches.sum()),
            "channel": rng.choice(["邮件", "search", "video", "direct"], touches.sum()),
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": np.repeat(names, converts),
            "converted_at": moments(converts.sum()),
            "value": rng.gamma(2.0, 30.0, converts.sum()).round(2),
        }
    )
    return touchpoints, conversions


def journeys(tables: tuple[pd.DataFrame, pd.DataFrame], **engine: Any) -> at.Journeys:
    return at.build_journeys(at.load_sources(*tables, engine=at.DuckDBEngine(**engine)))


def split(built: at.Journeys, dealing: Dealing | None = None) -> list[tuple[at.Summary, Buckets]]:
    for model in MODELS:
        if built.has_times or not model.needs_times:
            get_machinery(model).prepare(built)
    readers = [
        Bucketwise(observe_buckets),
        *(get_machinery(model).buckets_reader for model in MODELS if built.has_times or not model.needs_times),
    ]
    return split_buckets(built.read(bucket_reader(readers, dealing or Dealing()))[0], len(readers))


def test_buckets_add_up_to_what_all_customers_contribute() -> None:
    built = journeys(log())
    parts = split(built)
    for model, (whole, buckets) in zip(MODELS, parts[1:], strict=True):
        alone, undrawn = built.read(model.summarise, get_machinery(model).summarise_undrawn)
        assert {*whole.tables, *undrawn.tables} == set(alone.tables)
        again = buckets.weighted(np.ones(buckets.size))
        for name in whole.tables:
            table = alone.tables[name]
            assert np.array_equal(whole.tables[name].keys, table.keys)
            assert to_float(whole.tables[name].sums).tobytes() == to_float(table.sums).tobytes()
            np.testing.assert_allclose(to_float(again.tables[name].sums), to_float(table.sums), rtol=1e-12)


@pytest.mark.parametrize("from_paths", [False, True])
def test_all_buckets_at_once_are_each_by_itself(from_paths: bool) -> None:
    built = at.build_journeys(at.load_sources(paths=PATHS)) if from_paths else journeys(log())
    rule = at.Linear()
    get_machinery(rule).prepare(built)
    read = bucket_reader(
        [Bucketwise(observe_buckets), get_machinery(rule).buckets_reader, observe, rule.summarise], Dealing()
    )
    at_once, rule_at_once, each, rule_each = (buckets for _, buckets in split_buckets(built.read(read)[0], 4))
    for a, b in ((at_once, each), (rule_at_once, rule_each)):
        assert set(a.tables) == set(b.tables)
        for name in {"conversions", "value", "nulls", "unattributed_conversions"} & set(a.tables):
            x, y = (of.totals(name, len(built.channels)) for of in (a, b))
            assert x.tobytes() == y.tobytes(), name


def test_a_bucket_is_what_its_customers_contribute_alone() -> None:
    tables = log()
    touched = set(tables[0]["customer_id"])
    name = next(name for name in tables[1]["customer_id"] if name in touched)
    bucket = int(id_words(pa.array([name]))[0]) % BUCKETS
    own = tuple(
        frame[[int(id_words(pa.array([name]))[0]) % BUCKETS == bucket for name in frame["customer_id"]]]
        for frame in tables
    )
    assert 0 < len(own[0]) < len(tables[0]) / 20
    buckets = split(journeys(tables))[2][1]
    credit = at.Linear().fit(journeys(own)).credit_
    column = int(np.flatnonzero(buckets.labels == bucket)[0])
    names = sorted(tables[0]["channel"].unique())
    expected = dict(zip(credit.channels, credit.conversions, strict=False))
    found = buckets.totals("conversions", len(names))[:, column]
    np.testing.assert_allclose(found, [expected.get(name, 0.0) for name in names], rtol=1e-12)


def test_doubling_a_bucket_is_doubling_its_customers() -> None:
    tables = log()
    chosen = [name for name in tables[0]["customer_id"].unique() if int(id_words(pa.array([name]))[0]) % BUCKETS < 40]

    def twice(frame: pd.DataFrame) -> pd.DataFrame:
        more = frame[frame["customer_id"].isin(chosen)]
        return pd.concat([frame, more.assign(customer_id=more["customer_id"] + " twin")])

    _, buckets = split(journeys(tables))[4]
    model = at.Markov().fit(journeys((twice(tables[0]), twice(tables[1]))))
    weights = np.where(buckets.labels < 40, 2.0, 1.0)
    again = at.Markov().fit(journeys(tables))
    again.observed_ = model.observed_
    again.solve(buckets.weighted(weights))
    np.testing.assert_allclose(again.removal_effects_, model.removal_effects_, rtol=1e-12)


def test_order_batches_partitions_and_threads_change_no_bucket() -> None:
    touchpoints, conversions = log()
    shuffled = touchpoints.sample(frac=1, random_state=1), conversions.sample(frac=1, random_state=2)
    first = split(journeys((touchpoints, conversions)))
    others = (
        journeys(shuffled),
        journeys((touchpoints, conversions), batch_rows=50),
        journeys((touchpoints, conversions), partitions=3, threads=1),
    )
    for other in others:
        for (_, a), (_, b) in zip(first, split(other), strict=True):
            assert a.labels.tobytes() == b.labels.tobytes()
            # What was counted while building belongs to no customer; the first bucket of a chunk carries it.
            for name in {"steps", "value", "conversions", "nulls", "unattributed_value"} & set(a.tables):
                assert a.tables[name].keys.tobytes() == b.tables[name].keys.tobytes()
                assert a.tables[name].sums.toarray().tobytes() == b.tables[name].sums.toarray().tobytes()


PATHS = pd.DataFrame(
    {
        "path": ["a > b", "b", "a > b", "", "b > a > b", "a", "a"],
        "conversions": [3, 250, 1, 2, 0.5, 0, 0],
        "value": [30.0, 1000.0, 9.5, 4.0, 1.0, 7.0, 0.0],
        "nulls": [1000, 0, 12, 0, 2, 0, 4],
    }
)


def test_aggregated_paths_are_dealt_journey_by_journey() -> None:
    built = at.build_journeys(at.load_sources(paths=PATHS))
    (whole, buckets), *_ = split(built)
    for what in ("conversions", "nulls", "value"):
        np.testing.assert_allclose(buckets.totals(what, 1).sum(), PATHS[what].sum(), rtol=1e-12)
        np.testing.assert_allclose(whole.number(what), PATHS[what].sum(), rtol=1e-12)
    nulls = buckets.totals("nulls", 1)[0]
    assert 0.5 < nulls.var() / nulls.mean() < 2.0  # as many random journeys, not one lump


def test_more_journeys_than_can_be_dealt_are_refused() -> None:
    built = at.build_journeys(at.load_sources(paths=PATHS.assign(conversions=1e300)))
    with pytest.raises(InputError, match="more journeys than can be dealt to resamples"):
        split(built)


def test_order_of_aggregated_paths_changes_no_bucket() -> None:
    first = split(at.build_journeys(at.load_sources(paths=PATHS)))
    second = split(at.build_journeys(at.load_sources(paths=PATHS.sample(frac=1, random_state=4))))
    for (_, a), (_, b) in zip(first, second, strict=True):
        for name, table in a.tables.items():
            assert table.sums.toarray().tobytes() == b.tables[name].sums.toarray().tobytes()


def test_converting_customers_may_be_buckets_of_their_own() -> None:
    tables = log(200)
    built = journeys(tables)
    words = built.read(converting_customers)[0].tables["words"].keys[:, 0].copy().view(np.uint64)
    assert len(words) == tables[1]["customer_id"].nunique()
    (_, observed), *_ = split(built, Dealing(singles=np.sort(words)))
    assert observed.is_single.sum() == len(words)
    conversions = observed.totals("conversions", 1)[0]
    assert (conversions[observed.is_single] >= 1).all()
    assert (conversions[~observed.is_single] == 0).all()
    by_customer = np.sort(tables[1].groupby("customer_id").size().to_numpy())
    assert np.sort(conversions[observed.is_single]).tolist() == by_customer.tolist()


def test_conversions_of_paths_may_be_buckets_of_their_own() -> None:
    built = at.build_journeys(at.load_sources(paths=PATHS))
    (_, observed), *_ = split(built, Dealing(singles=np.zeros(0, np.uint64)))
    conversions = observed.totals("conversions", 1)[0]
    assert sorted(conversions[observed.is_single].tolist()) == [1.0] * 256
    assert conversions.sum() == PATHS["conversions"].sum()


@given(
    st.lists(st.tuples(st.integers(0, 700), st.sampled_from([0.0, 0.25]), st.sampled_from([0.0, 7.5])), min_size=1),
    st.sampled_from([1, 2, 16, 256]),
)
def test_dealing_loses_nothing(rows: list[tuple[int, float, float]], parts: int) -> None:
    given = np.array([[n + fraction, n // 3, value] for n, fraction, value in rows])
    dealt = deal(np.arange(len(rows), dtype=np.uint64), *given.T.copy(), parts)
    found = np.zeros_like(given)
    np.add.at(found, dealt.row, np.column_stack([dealt.conversions, dealt.nulls, dealt.value]))
    np.testing.assert_allclose(found, given, rtol=1e-12)
    assert ((dealt.part >= 0) & (dealt.part < parts)).all()
    assert ((dealt.conversions > 0) | (dealt.nulls > 0) | (dealt.value > 0)).all()
    whole = (dealt.conversions % 1 == 0) & ((dealt.conversions > 0) | (dealt.nulls > 0))
    assert len(set(zip(dealt.row[whole].tolist(), dealt.part[whole].tolist(), strict=True))) == whole.sum()


@pytest.mark.parametrize("count", [40, 100, 101, 6_400])
def test_dealing_is_multinomial(count: int) -> None:
    rows = np.full(4_000, float(count))
    dealt = deal(np.arange(4_000, dtype=np.uint64), rows, np.zeros(4_000), rows, 16)
    piles = np.zeros((4_000, 16))
    piles[dealt.row, dealt.part] = dealt.conversions
    expected = count / 16 * 15 / 16
    assert abs(piles.var() / expected - 1) < 0.03
    assert abs(np.corrcoef(piles[:, 0], piles[:, 1])[0, 1] + 1 / 15) < 0.05
    assert np.abs(piles.mean(axis=0) - count / 16).max() < 5 * np.sqrt(expected / 4_000)


def test_weights_are_those_of_the_bootstrap() -> None:
    weights = multinomial_weights(2_000, BUCKETS, seed=1)
    assert (weights.sum(axis=1) == BUCKETS).all()
    assert abs(weights.var() - 1.0) < 0.02
    words = id_words(pa.array(range(300)))
    poisson = poisson_weights(2_000, words, seed=1)
    assert abs(poisson.mean() - 1.0) < 0.01
    assert abs(poisson.var() - 1.0) < 0.02
    assert abs(np.corrcoef(poisson[:, 0], poisson[:, 1])[0, 1]) < 0.1
    assert not np.array_equal(weights, multinomial_weights(2_000, BUCKETS, seed=2))


def test_a_customer_has_the_same_draws_among_others() -> None:
    words = id_words(pa.array(["a", "b", "c"]))
    assert np.array_equal(poisson_weights(9, words, 5)[:, 1:], poisson_weights(9, words[1:], 5))


def test_random_bits_are_spread_evenly() -> None:
    numbers = uniform(id_words(pa.array([f"id-{n}" for n in range(50_000)])), 0)
    assert ((numbers >= 0) & (numbers < 1)).all()
    histogram = np.histogram(numbers, bins=100, range=(0, 1))[0]
    assert ((histogram - 500) ** 2 / 500).sum() < 160  # chi-squared with 99 degrees of freedom
    assert len(np.unique(id_words(pa.array(range(50_000))))) == 50_000
