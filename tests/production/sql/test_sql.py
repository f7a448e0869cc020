"""A fitted model as one SELECT: in every database the credit that the scorer hands out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.models import AttributionModel
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.sql import DIALECTS, SqlTables, build_select, is_select
from attribution.schema.experiment import JourneyOptions, TableSpec
from tests import postgres
from tests.cli.test_cli import call
from tests.decisions.comparison.test_comparison import small_log
from tests.models.hazards import hazard
from tests.scale import examples

CHANNELS = ("direct", "DIRECT", "mail", "搜索 🙂", 'it\'s \\ "new"', "Zeitung")
UNKNOWN = "noch nie"
DIMENSIONS = ("channel", "campaign", "kind", "stage", "creative")
MODELS: tuple[AttributionModel, ...] = (
    at.FirstTouch(),
    at.LastTouch(),
    at.LastNonDirect(),
    at.Linear(),
    at.LinearDistinct(),
    at.PositionBased(first=0.3, last=0.5),
    at.TimeDecay(half_life_days=0.01),
    at.TimeDecay(half_life_days=9),
    at.WShaped(),
    at.FullPath(),
    at.CustomWeights(weights=[0, 0.5, 0.2]),
    at.CustomWeights(weights=[1]),
    at.Markov(),
    at.Markov(order=2),
    at.Markov(reconcile=False),
    at.Shapley(),
    at.Shapley(game="rate", negative="zero"),
    at.Shapley(game="rate", negative="zero", reconcile=False),
    at.AdditiveHazard(),
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"lookback_days": 2.0, "conversions": "cumulative"},
    {"lookback_days": float("inf"), "conversions": "first_only"},
    {"lookback_days": 3.0, "lookback_by_channel": {"mail": 1.0}, "lookback_by_kind": {"impression": 0.5, "call": 9.0}},
    {"conversions": "cumulative", "lookback_by_channel": {"搜索 🙂": 0.25}, "customers": "new"},
    {"view_through": "clicks_only", "dedupe": "consecutive", "customers": "new"},
    {"view_through": "clicks_dominate", "view_through_weight": 0.25, "dedupe": "gap", "dedupe_gap_minutes": 720},
    {"dedupe": "unique", "direct": "drop_if_other", "view_through_weight": 0.125},
    {"direct": "drop", "direct_channels": ["Direct", "mail"], "transform": "exposure"},
    {"transform": "first", "max_touchpoints": 2, "conversion_kinds": ["order"]},
    {"transform": "frequency", "max_touchpoints": 3, "conversions": "cumulative"},
)
NUMBERS = ("position", "credit", "credited_value")
HALF_DAY = np.timedelta64(12, "h")


def touchpoints_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows of customer, half-days, channel, campaign, kind, stage, creative, cost."""
    frame = pd.DataFrame(rows, columns=["customer_id", "touched_at", *DIMENSIONS, "cost"])
    frame["touched_at"] = np.datetime64("2024-01-01", "us") + frame["touched_at"].to_numpy(np.int64) * HALF_DAY
    return frame.astype(dict.fromkeys(("customer_id", *DIMENSIONS), object))


def conversions_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows of customer, half-days, value, id, kind, whether new."""
    names = ["customer_id", "converted_at", "value", "conversion_id", "kind", "is_new_customer"]
    frame = pd.DataFrame(rows, columns=names)
    frame["converted_at"] = np.datetime64("2024-01-01", "us") + frame["converted_at"].to_numpy(np.int64) * HALF_DAY
    frame["is_new_customer"] = frame["is_new_customer"].astype("boolean")
    return frame.astype({"customer_id": object, "value": float, "conversion_id": object, "kind": object})


CUSTOMERS = ("客户 1", "b", "o'b", "")
TOUCHPOINT = st.tuples(
    st.sampled_from(CUSTOMERS),
    st.integers(0, 12),
    st.sampled_from([*CHANNELS, UNKNOWN, " "]),
    st.sampled_from([None, "", "Zz", "Ää", "a"]),
    st.sampled_from([None, "click", "impression", "call"]),
    st.sampled_from([None, "lead", "opportunity"]),
    st.sampled_from([None, "x", "X"]),
    st.sampled_from([0.0, 1.0]),
)
CONVERSION = st.tuples(
    st.sampled_from(CUSTOMERS),
    st.integers(0, 14),
    st.sampled_from([None, 0.0, 5.0, 7.25]),
    st.sampled_from([None, None, None, "1", "Ä", "a", "", "B"]),
    st.sampled_from(["order", "order", "lead"]),
    st.sampled_from([None, True, False]),
)
FIRST_TOUCH = ("b", 3, "mail", None, "click", None, None, 0.0)
FIRST_CONVERSION = ("b", 4, 3.0, None, "order", None)


def random_log(seed: int, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)

    def drawn(*choices: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return list(zip(*([values[i] for i in rng.integers(0, len(values), rows)] for values in choices), strict=True))

    customers = tuple(f"客户 {i}" for i in range(rows // 6))
    touched = drawn(
        customers,
        tuple(range(40)),
        CHANNELS,
        (None, "", "Zz", "Ää", "a"),
        (None, "click", "impression", "call"),
        (None, None, "lead", "opportunity"),
        (None, "x", "X"),
        (0.0, 1.0),
    )
    ids = (None, *(f"id {i}" for i in range(rows // 3)), *(f"Ö {i}" for i in range(rows // 3)))
    converted = drawn(customers, tuple(range(42)), (None, 0.0, 5.0, 7.25), ids, ("order", "lead"), (None, True, False))
    return touchpoints_of(touched), conversions_of(converted[: rows // 3])


def mapped(frame: pd.DataFrame) -> TableSpec:
    return TableSpec(source=frame, columns={name: name for name in frame})


def fitted(model: AttributionModel, journeys: at.Journeys) -> AttributionModel:
    """The model on these journeys; the log is too short for a hazard, whose rates are made up."""
    if not isinstance(model, at.AdditiveHazard):
        return model.fit(journeys)
    rates = 0.02 * (np.arange(len(journeys.channels)) % 3)
    return hazard(journeys.channels, rates.tolist(), 0.01, half_lives=(0.5, 7.0), weights=(0.3, 0.7))


TRAINED: dict[tuple[int, int], Scorer] = {}


def scorer_of(model: int, options: int) -> Scorer:
    if (model, options) not in TRAINED:
        touchpoints, conversions = random_log(0, 120)
        nobody = pd.DataFrame({"customer_id": [*touchpoints["customer_id"].unique(), *(f"no {i}" for i in range(9))]})
        sources = at.load_sources(mapped(touchpoints), conversions, customers=nobody)
        asked = JourneyOptions(**OPTIONS[options])
        journeys = at.build_journeys(sources, **OPTIONS[options])
        definition = Definition(journeys=asked, training=Training.of(sources, journeys))
        made = Scorer.of(fitted(MODELS[model], journeys), definition=definition)
        TRAINED[model, options] = replace(made, version="0123456789abcdef")
    return TRAINED[model, options]


def same(found: pd.DataFrame, scorer: Scorer, touchpoints: pd.DataFrame, conversions: pd.DataFrame) -> None:
    expected = scorer.score(mapped(touchpoints), conversions)
    assert list(found.columns) == list(expected.columns)
    found, expected = (
        frame.assign(**{name: pd.to_numeric(frame[name]) for name in NUMBERS})
        .assign(position=lambda read: read["position"].fillna(0).astype(int))
        .sort_values(["conversion_id", "position"])
        .reset_index(drop=True)
        for frame in (found, expected)
    )
    for name in ("model", "conversion_id", "customer_id", "channel", "campaign", "position", "model_version"):
        assert [None if pd.isna(value) else value for value in found[name]] == [
            None if pd.isna(value) else value for value in expected[name]
        ], name
    times = [pd.to_datetime(frame["touched_at"]).astype("datetime64[us]") for frame in (found, expected)]
    pd.testing.assert_series_equal(*times)
    for name in ("credit", "credited_value"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found.groupby("conversion_id")["credit"].sum(), 1.0, rtol=1e-12)


def in_duckdb(sql: str, touchpoints: pd.DataFrame, conversions: pd.DataFrame) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        connection.register("touchpoints", touchpoints)
        connection.register("conversions", conversions)
        return connection.execute(sql).df()


def log_of(touched: list[tuple[Any, ...]], converted: list[tuple[Any, ...]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return touchpoints_of([FIRST_TOUCH, *touched]), conversions_of([FIRST_CONVERSION, *converted])


CASES = given(
    st.integers(0, len(MODELS) - 1),
    st.integers(0, len(OPTIONS) - 1),
    st.sampled_from([None, "zero"]),
    st.builds(log_of, st.lists(TOUCHPOINT, max_size=14), st.lists(CONVERSION, max_size=6)),
)


def asked(model: int, options: int, policy: str | None) -> Scorer:
    scorer = scorer_of(model, options)
    return scorer if policy is None else scorer.with_policy(policy)


@examples(10)
@CASES
def test_duckdb_hands_out_as_the_scorer_does(
    model: int, options: int, policy: str | None, log: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    scorer = asked(model, options, policy)
    same(in_duckdb(build_select(scorer, "duckdb"), *log), scorer, *log)


@pytest.mark.parametrize("options", range(len(OPTIONS)))
def test_every_option_is_said(options: int) -> None:
    log = random_log(3, 240)
    for model in (0, 8, 12):
        scorer = scorer_of((model + options) % len(MODELS), options)
        same(in_duckdb(build_select(scorer, "duckdb"), *log), scorer, *log)


# ------------------------------------------------------------------------------ other databases


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    reason = postgres.why_not()
    if reason:
        pytest.skip(reason)
    with postgres.running() as running:
        yield running


@examples(5)
@CASES
def test_postgres_hands_out_as_the_scorer_does(
    server: postgres.Server, model: int, options: int, policy: str | None, log: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    # A blank name is none, and CSV knows no difference.
    log = tuple(frame.replace({"": None}) for frame in log)  # type: ignore[assignment]
    scorer = asked(model, options, policy)
    found = server.select(build_select(scorer, "postgres"), dict(zip(("touchpoints", "conversions"), log, strict=True)))
    same(found, scorer, *log)


@pytest.mark.parametrize("model", range(len(MODELS)))
def test_postgres_knows_every_model(server: postgres.Server, model: int) -> None:
    log = random_log(4, 150)
    scorer = scorer_of(model, model * 4 % len(OPTIONS))
    found = server.select(build_select(scorer, "postgres"), dict(zip(("touchpoints", "conversions"), log, strict=True)))
    same(found, scorer, *log)


def test_postgres_orders_texts_otherwise_unless_told(server: postgres.Server) -> None:
    frame = pd.DataFrame({"v": ["a", "Zz"]})
    assert server.select("select min(v) as v from x", {"x": frame})["v"].tolist() == ["a"]
    assert server.select('select min(v collate "C") as v from x', {"x": frame})["v"].tolist() == ["Zz"]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from attribution.data.engine.spark import session

    try:
        session.check_packages()
        session.check_java()
    except InputError as error:
        pytest.skip(str(error))
    from pyspark import SparkContext

    active = SparkContext._active_spark_context is not None
    settings = {} if active else {"spark.sql.shuffle.partitions": "1"}
    opened, own = session.open_session(None if active else "local[1]", settings)
    alone = opened.newSession()
    alone.conf.set("spark.sql.shuffle.partitions", "1")
    # Plans as long as these, run once each, take longer to compile than to interpret.
    alone.conf.set("spark.sql.codegen.wholeStage", "false")
    alone.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    alone.conf.set("spark.sql.adaptive.enabled", "false")
    yield alone
    if own:
        opened.stop()


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("options", range(len(OPTIONS)))
def test_spark_hands_out_as_the_scorer_does(spark: Any, options: int, tmp_path: Path) -> None:
    log = random_log(5, 150)
    for name, frame in zip(("touchpoints", "conversions"), log, strict=True):
        frame.to_parquet(tmp_path / f"{name}.parquet", coerce_timestamps="us")
        spark.read.parquet(str(tmp_path / f"{name}.parquet")).createOrReplaceTempView(name)
    model = [13, 17, 18, 8, 2, 16, 18, 10, 5, 4, 15][options]
    scorer = scorer_of(model, options)
    rows = spark.sql(build_select(scorer, "spark")).toArrow()
    same(rows.to_pandas(), scorer, *log)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_reads_its_own_select(dialect: str) -> None:
    sqlglot = pytest.importorskip("sqlglot")
    for model, options in ((13, 3), (8, 10), (6, 6), (17, 8), (18, 7)):
        sql = build_select(scorer_of(model, options), dialect)
        (tree,) = sqlglot.parse(sql, read=dialect)
        assert isinstance(tree, sqlglot.exp.Query)
        assert not re.search("instant_us|by_code_point|given_touchpoints|NULLS (LAST|FIRST)", sql, re.IGNORECASE)
        assert {table.name for table in tree.find_all(sqlglot.exp.Table)} >= {"touchpoints", "conversions"}


# ------------------------------------------------------------------------------ what is read


def test_tables_are_read_as_in_training_or_have_canonical_columns() -> None:
    touchpoints, conversions = random_log(6, 90)
    raw = touchpoints.rename(columns={"customer_id": "Kunde", "channel": "Kanal", "touched_at": "order"})
    raw["chan"], raw["Kanal"] = raw["Kanal"], raw["Kanal"].where(np.arange(len(raw)) % 2 == 0, None)
    reading = {
        "touchpoints": {
            "columns": {"customer_id": "Kunde", "touched_at": "order", "channel": ["Kanal", "chan"], "stage": "stage"},
            "where": "Kunde <> '客户 3'",
        },
        "conversions": {"columns": {"customer_id": "customer_id", "converted_at": "converted_at"}},
    }
    plain = conversions[["customer_id", "converted_at"]]
    specs = [TableSpec(source=raw, **reading["touchpoints"]), TableSpec(source=plain)]
    sources = at.load_sources(*specs)
    journeys = at.build_journeys(sources)
    definition = Definition(reading=reading, training=Training.of(sources, journeys))
    scorer = Scorer.of(at.Linear().fit(journeys), definition=definition)
    found = in_duckdb(build_select(scorer, "duckdb"), raw, plain)
    expected = scorer.score(*specs)
    assert len(found) == len(expected) > 20
    keys = ["conversion_id", "position"]
    for name in ("channel", "credit"):
        pairs = (frame.sort_values(keys)[name].tolist() for frame in (found, expected))
        assert next(pairs) == next(pairs)
    canonical = SqlTables("log.touches", "log.sales", canonical=True, lacks=("value", "conversion_id"))
    sql = build_select(scorer, "duckdb", canonical)
    assert "FROM log.touches" in sql
    assert "log.sales" in sql
    assert "Kunde" not in sql
    with duckdb.connect() as connection:
        connection.execute("create schema log")
        named = touchpoints[touchpoints["customer_id"] != "客户 3"]
        connection.register("named", named)
        connection.register("plain", plain)
        connection.execute("create table log.touches as from named; create table log.sales as from plain")
        assert len(connection.execute(sql).fetchall()) == len(expected)


def test_positions_and_campaigns_as_channels() -> None:
    touchpoints, conversions = random_log(7, 120)
    for frame, time in ((touchpoints, "touched_at"), (conversions, "converted_at")):
        frame[time] = (frame[time] - pd.Timestamp("2024-01-01")) // pd.Timedelta("12h")
    sources = at.load_sources(mapped(touchpoints), conversions, grain="campaign")
    journeys = at.build_journeys(sources)
    definition = Definition(grain="campaign", training=Training.of(sources, journeys))
    scorer = Scorer.of(at.Markov().fit(journeys), definition=definition)
    found = in_duckdb(build_select(scorer, "duckdb"), touchpoints, conversions)
    assert found["channel"].str.contains(" / Zz").any()
    expected = scorer.score(mapped(touchpoints), conversions)
    pair = [frame.sort_values(["conversion_id", "position"]).reset_index(drop=True) for frame in (found, expected)]
    for name in ("conversion_id", "channel"):
        assert pair[0][name].tolist() == pair[1][name].tolist()
    assert pair[0]["touched_at"].fillna(-1).astype(int).tolist() == pair[1]["touched_at"].fillna(-1).tolist()
    np.testing.assert_allclose(pair[0]["credit"], pair[1]["credit"], rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------ times of every type

TIMES = {
    "text": (None, lambda times: times.strftime("%Y-%m-%dT%H:%M:%S.%f")),
    "text with blanks": (None, lambda times: [" ", *(f" {text} " for text in times.strftime("%Y-%m-%d %H:%M"))][:-1]),
    "text with offsets": (
        None,
        lambda times: [
            f"{(time + pd.Timedelta(hours=2)).isoformat()}+02:00" if place % 2 else f"{time.isoformat()}Z"
            for place, time in enumerate(times)
        ],
    ),
    "days": (None, lambda times: times.strftime("%Y-%m-%d")),
    "timestamps": (None, lambda times: times),
    "timestamps with a zone": (None, lambda times: times.tz_localize("UTC").tz_convert("Asia/Tokyo")),
    "text in Paris": ("Europe/Paris", lambda times: times.strftime("%Y-%m-%d %H:%M:%S")),
    "timestamps in Paris": ("Europe/Paris", lambda times: times),
    "text with offsets, not of Paris": ("Europe/Paris", lambda times: times.strftime("%Y-%m-%dT%H:%M:%SZ")),
}
"""The time zone of the table in training, and what its times are."""

SESSION = "America/New_York"
"""The zone of a session: no time may depend on it."""


def timed_log(kind: str) -> tuple[Scorer, tuple[pd.DataFrame, pd.DataFrame], tuple[TableSpec, TableSpec]]:
    """A model, a log over the change of clocks in March, and how it is read. Credit tells every second."""
    zone, write = TIMES[kind]
    rng = np.random.default_rng(2)
    moments = pd.Timestamp("2024-03-29") + pd.to_timedelta(rng.integers(0, 5 * 86_400, 60), unit="s")
    touchpoints = pd.DataFrame(
        {"customer_id": rng.integers(0, 9, 60).astype(str), "channel": rng.choice(CHANNELS, 60)}
    ).assign(touched_at=write(moments.floor("min")))
    ends = pd.DatetimeIndex(["2024-04-02T05:00:01", "2024-03-31T12:30:00"] * 9).floor("min")
    conversions = pd.DataFrame({"customer_id": np.arange(18).astype(str), "converted_at": write(ends)})
    conversions["customer_id"] = np.repeat(np.arange(9), 2).astype(str)
    conversions["conversion_id"] = np.arange(18).astype(str)
    options = {} if zone is None else {"time_zone": zone}
    specs = (TableSpec(source=touchpoints, **options), TableSpec(source=conversions, **options))
    sources = at.load_sources(*specs)
    journeys = at.build_journeys(sources, lookback_days=1.5)
    reading = {name: options for name in ("touchpoints", "conversions") if options}
    definition = Definition(JourneyOptions(lookback_days=1.5), reading=reading, training=Training.of(sources, journeys))
    scorer = Scorer.of(at.TimeDecay(half_life_days=0.01).fit(journeys), definition=definition)
    return replace(scorer, version="0123456789abcdef"), (touchpoints, conversions), specs


def same_times(rows: pd.DataFrame, scorer: Scorer, specs: tuple[TableSpec, TableSpec]) -> None:
    expected = scorer.score(*specs)
    pair = [
        frame.assign(position=pd.to_numeric(frame["position"]).fillna(0).astype(int))
        .sort_values(["conversion_id", "position"])
        .reset_index(drop=True)
        for frame in (rows, expected)
    ]
    for name in ("conversion_id", "channel", "position"):
        assert pair[0][name].tolist() == pair[1][name].tolist()
    times = [pd.to_datetime(frame["touched_at"]).astype("datetime64[us]") for frame in pair]
    pd.testing.assert_series_equal(*times)
    np.testing.assert_allclose(pd.to_numeric(pair[0]["credit"]), pair[1]["credit"], rtol=1e-9, atol=1e-12)
    assert pair[1]["position"].max() > 2


# pandas warns of how pyarrow reads it.
ZONED_FRAMES = pytest.mark.filterwarnings("ignore:Series.values returning:pandas.errors.Pandas4Warning")


@ZONED_FRAMES
@pytest.mark.parametrize("kind", TIMES)
def test_duckdb_reads_times_of_every_type_in_any_session(kind: str) -> None:
    scorer, log, specs = timed_log(kind)
    with duckdb.connect() as connection:
        connection.execute(f"set TimeZone = '{SESSION}'")
        connection.register("touchpoints", log[0])
        connection.register("conversions", log[1])
        sql = build_select(scorer, "duckdb", SqlTables(lacks=("value",)))
        same_times(connection.execute(sql).df(), scorer, specs)


@ZONED_FRAMES
@pytest.mark.parametrize("kind", TIMES)
def test_postgres_reads_times_of_every_type_in_any_session(server: postgres.Server, kind: str) -> None:
    scorer, log, specs = timed_log(kind)
    sql = build_select(scorer, "postgres", SqlTables(lacks=("value",)))
    tables = dict(zip(("touchpoints", "conversions"), log, strict=True))
    same_times(server.select(sql, tables, session=f"set timezone = '{SESSION}'"), scorer, specs)


@pytest.mark.nightly
@ZONED_FRAMES
@pytest.mark.slow
def test_spark_reads_times_of_every_type_in_any_session(spark: Any, tmp_path: Path) -> None:
    zone = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", SESSION)
    try:
        for kind in TIMES:
            scorer, log, specs = timed_log(kind)
            for name, frame in zip(("touchpoints", "conversions"), log, strict=True):
                path = tmp_path / f"{kind}.{name}.parquet"
                frame.to_parquet(path, coerce_timestamps="us")
                spark.read.parquet(str(path)).createOrReplaceTempView(name)
            types = dict(spark.table("touchpoints").dtypes)
            expected = {"timestamps": "timestamp_ntz", "timestamps with a zone": "timestamp"}
            assert types["touched_at"] == expected.get(kind.removesuffix(" in Paris"), "string")
            sql = build_select(scorer, "spark", SqlTables(lacks=("value",)))
            same_times(spark.sql(sql).toArrow().to_pandas(), scorer, specs)
    finally:
        spark.conf.set("spark.sql.session.timeZone", zone)


def test_positions_may_be_texts() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["a", "a"], "touched_at": ["9", "10"], "channel": ["mail", "direct"]})
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["11"], "conversion_id": ["1"]})
    sources = at.load_sources(touchpoints, conversions)
    journeys = at.build_journeys(sources)
    scorer = Scorer.of(at.LastTouch().fit(journeys), definition=Definition(training=Training.of(sources, journeys)))
    rows = in_duckdb(build_select(scorer, "duckdb", SqlTables(lacks=("value",))), touchpoints, conversions)
    assert rows.sort_values("position")["credit"].tolist() == [0, 1]


# ------------------------------------------------------------------------------ the header


def test_the_header_says_what_it_is_and_what_tables_must_be() -> None:
    scorer = scorer_of(13, 1)
    changed = replace(
        scorer,
        name="shop\n; drop table x",
        definition=replace(scorer.definition, reading={"conversions": {"time_zone": "Europe/Paris"}}),
    )
    for dialect in DIALECTS:
        sql = build_select(changed, dialect)
        lines = sql.splitlines()
        header = [line for line in lines if line.startswith("--")]
        assert lines[: len(header)] == header  # and no name ends a comment
        assert lines[len(header)].startswith("WITH")
        text = "\n".join(header)
        for words in (
            "model markov_2 (Markov) of the scorer shop ; drop table x, version 0123456789abcdef.",
            "Settings: order = 2",
            'Journeys: lookback_days = 2.0, conversions = "cumulative"; grain: channel; unknown channels: zero.',
            "Fitted on ",
            "It reads touchpoints: customer_id, touched_at, kind, channel, campaign, stage, creative.",
            "It reads conversions: customer_id, converted_at, value, conversion_id.",
            "Those without an offset are of UTC; the model was fitted on times without a time zone.",
            "Those without an offset are of Europe/Paris",
        ):
            assert words in text
    assert "TIMESTAMP_NTZ, TIMESTAMP_TZ or TIMESTAMP_LTZ; texts must be converted first" in build_select(
        scorer, "snowflake"
    )
    assert build_select(scorer, "spark") == build_select(scorer, "spark")


# ------------------------------------------------------------------------------ what is refused


class Own(AttributionModel):
    """A model of one's own."""

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        return np.ones(len(chunk.channel))


def by_place(*, position: np.ndarray, **_: Any) -> np.ndarray:
    return position


@pytest.mark.parametrize(
    ("model", "given"), [(Own(), r"Own\(name='own'\)"), (at.CustomWeights(function=by_place), "function='.*:by_place'")]
)
def test_models_without_an_expression_are_refused_by_name(model: AttributionModel, given: str) -> None:
    touchpoints, conversions = random_log(0, 60)
    fitted = model.fit(at.build_journeys(at.load_sources(touchpoints, conversions)))
    with pytest.raises(InputError, match=f"{model.label}.* cannot be exported to SQL.*{given}.*attribution score"):
        build_select(Scorer.of(fitted), "duckdb")


class Saying(Own):
    """A rule whose expression is a setting."""

    def __init__(self, *, sql: str, name: str | None = None) -> None:
        super().__init__(name=name)
        self.sql = sql

    @property
    def weight_sql(self) -> str:
        return self.sql


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("case when", "one SQL expression in DuckDB's dialect.*Given: case when"),
        ("1) from touchpoints --", "one SQL expression"),
        ("1, 2", "one SQL expression"),
        ("(select max(value) from conversions)", "an expression without SELECT and tables"),
        ("position = 1", "weight_sql must be a number.*then 1 else 0"),
        ("positon", "names the column positon.*did you mean 'position'"),
        ("learned.rates_", "names the column learned.rates_.*learned.conversions"),
        ("customer_id", "names the column customer_id"),
        ("1 / count(*) over ()", "more than one journey.*partition by journey"),
        ("1 / count(*) over (partition by channel)", "more than one journey"),
    ],
)
def test_an_expression_that_is_none_is_refused(sql: str, problem: str) -> None:
    touchpoints, conversions = random_log(0, 60)
    fitted = Saying(sql=sql).fit(at.build_journeys(at.load_sources(touchpoints, conversions)))
    with pytest.raises(InputError, match=problem):
        build_select(Scorer.of(fitted), "duckdb")


def test_age_needs_times() -> None:
    touchpoints, conversions = random_log(0, 60)
    for frame, time in ((touchpoints, "touched_at"), (conversions, "converted_at")):
        frame[time] = (frame[time] - pd.Timestamp("2024-01-01")) // pd.Timedelta("12h")
    sources = at.load_sources(touchpoints, conversions)
    journeys = at.build_journeys(sources)
    scorer = Scorer.of(
        Saying(sql="age_days").fit(journeys), definition=Definition(training=Training.of(sources, journeys))
    )
    with pytest.raises(InputError, match=r"uses age_days.*only an order.*timestamps"):
        build_select(scorer, "duckdb")


@pytest.mark.parametrize("policy", ["like_known", "zero"])
@pytest.mark.parametrize("options", [0, 1, 7, 9])
def test_columns_that_an_expression_may_name(policy: str, options: int) -> None:
    """Kind, stage, age, a window over the journey and numbers with a fraction, as `weigh` has them."""
    log = random_log(5, 240)
    sources = at.load_sources(mapped(log[0]), log[1])
    journeys = at.build_journeys(sources, **OPTIONS[options])
    definition = Definition(journeys=JourneyOptions(**OPTIONS[options]), training=Training.of(sources, journeys))
    scorer = Scorer.of(Staged().fit(journeys), definition=definition, unknown_channels=policy)
    made = replace(scorer, version="0123456789abcdef")
    other = random_log(8, 240)
    same(in_duckdb(build_select(made, "duckdb"), *other), made, *other)


class Staged(AttributionModel):
    """By age, more for a view and for a stage, and by how long the journey is."""

    needs_times = True

    def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
        assert chunk.ended_at is not None
        assert chunk.touched_at is not None
        age = (np.repeat(chunk.ended_at, chunk.lengths) - chunk.touched_at) / 86_400_000_000
        kind, stage = (chunk.dimensions.decode(chunk.code, name) for name in ("kind", "stage"))
        marked = np.array([name is not None for name in stage], dtype=bool)
        weights = 1.1 + age * np.where(kind == "impression", 0.3, 1e-3) + marked
        return weights + 1.0 / np.repeat(chunk.lengths, chunk.lengths)

    @property
    def weight_sql(self) -> str:
        return (
            "1.1 + age_days * case when kind = 'impression' then 0.3 else 1e-3 end "
            "+ case when touchpoint.stage is null then 0 else 1 end + 1 / max(POSITION) over (partition by Journey)"
        )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"journeys": JourneyOptions(account="firm")}, "journeys of accounts .* account = 'firm'"),
        ({"channels": {"rules": []}}, "channel rules .*--canonical"),
        ({"reading": {"touchpoints": {"adapter": "ga4"}}}, "reading .* touchpoints.adapter"),
        ({"reading": {"conversions": {"time_format": "%d/%m/%Y"}}}, "reading .* conversions.time_format"),
        ({"reading": {"conversions": {"time_zone": "UTC') --"}}}, r"the time zone .* Given: UTC'\) --"),
        ({"reading": {"touchpoints": {"columns": {"utm_source": "s"}}}}, "channel rules"),
        ({"reading": {"conversions": {"columns": {"refund": "r"}}}}, "netting .* refund"),
    ],
)
def test_what_needs_a_pass_of_its_own_is_refused_by_name(change: dict[str, Any], problem: str) -> None:
    scorer = scorer_of(3, 0)
    changed = replace(scorer, definition=replace(scorer.definition, **change))
    with pytest.raises(InputError, match=problem):
        build_select(changed, "duckdb")
    if "journeys" not in change:
        assert is_select(build_select(changed, "duckdb", SqlTables(canonical=True)).splitlines()[0])


def test_further_refusals() -> None:
    scorer = scorer_of(12, 0)
    training = scorer.definition.training
    assert training is not None
    tables = (*training.tables, "identities")
    linked = replace(scorer, definition=replace(scorer.definition, training=replace(training, tables=tables)))
    for made, dialect, named, problem in (
        (linked, "duckdb", SqlTables(), "identities"),
        (scorer.with_policy("refuse"), "duckdb", SqlTables(), "unknown_channels = 'refuse'.*--unknown-channels zero"),
        (scorer, "postgresql", SqlTables(), "did you mean 'postgres'"),
        (scorer, "duckdb", SqlTables(lacks=("customer_id",)), "conversions table must have"),
        (scorer, "duckdb", SqlTables("Touches"), "already uses the name of your table"),
    ):
        with pytest.raises(InputError, match=problem):
            build_select(made, dialect, named)


def test_without_sqlglot_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(InputError, match=r"sqlglot.*journey-attribution\[sql\]"):
        build_select(scorer_of(3, 0), "duckdb")


# ------------------------------------------------------------------------------ the command


def test_the_command_writes_the_select_of_a_run_and_of_an_exported_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = small_log(tmp_path)
    assert call(monkeypatch, "run", toml, "--out", tmp_path / "run", "--set", "tracking.enabled=false", "--json") == 0
    to = ("--to", tmp_path / "models" / "time_decay", "--no-register")
    assert call(monkeypatch, "export", tmp_path / "run", "--model", "time_decay", *to) == 0
    capsys.readouterr()
    assert call(monkeypatch, "export", tmp_path / "run", "--model", "time_decay", "--sql", "postgres") == 0
    printed = capsys.readouterr().out
    version = Scorer.load(tmp_path / "models" / "time_decay").version
    assert printed.startswith(
        f"-- Credit of conversions by model time_decay (TimeDecay) of the scorer time_decay, version {version}.\n"
    )
    file = tmp_path / "sql" / "credit.sql"
    asked = ("--sql", "postgres", "--to", file)
    assert call(monkeypatch, "export", tmp_path / "models" / "time_decay", *asked) == 0
    assert file.read_text(encoding="utf-8") == printed
    assert f"'{version}' AS model_version" in printed
    # A file that it wrote is replaced, also one of the first version, which had no header.
    for first in (printed, printed[printed.index("WITH") :]):
        file.write_text(first, encoding="utf-8")
        assert call(monkeypatch, "export", tmp_path / "models" / "time_decay", *asked) == 0
        assert file.read_text(encoding="utf-8") == printed
    file.write_text("select 1", encoding="utf-8")
    assert call(monkeypatch, "export", tmp_path / "models" / "time_decay", *asked) == 2
    assert call(monkeypatch, "export", tmp_path / "run", "--model", "time_decay", "--sql", "oracle") == 2
    assert "Allowed: duckdb, spark" in capsys.readouterr().err
    assert (
        call(monkeypatch, "export", tmp_path / "models" / "time_decay", "--sql", "duckdb", "--alias", "champion") == 2
    )
    assert call(monkeypatch, "export", tmp_path / "models" / "time_decay", "--sql", "duckdb", "--to", tmp_path) == 2
