"""Spark beside DuckDB: whatever one engine reads, refuses and counts, the other does too, to the last digit."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import attribution as at
from attribution.data.engine import Events
from attribution.data.engine.spark import SparkEngine, session, tasks
from attribution.data.engine.spark import engine as spark_engine
from attribution.data.loading.checks import check_sources
from attribution.data.loading.load import content_digest
from attribution.data.quality import quality_findings
from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.journeys.credit_bounds import credit_bounds
from attribution.models.credit import journey_credit
from attribution.models.resampling import fit_and_resample
from attribution.schema.experiment import Period, ResamplingOptions
from attribution.uncertainty.disagreement import disagreement_table
from tests.journeys.test_journeys import EPOCH, MODES, clicks, expected, frames, listed
from tests.scale import examples
from tests.twins import journeys as twin
from tests.twins.strategies import histories, lookbacks, periods

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
MODELS = (at.LastTouch(), at.Linear(), at.TimeDecay(half_life_days=7), at.Markov(order=2), at.Shapley())


def why_not() -> str | None:
    """Why Spark cannot run here."""
    try:
        session.check_packages()
        session.check_java()
    except InputError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def spark() -> Iterator[Callable[..., SparkEngine]]:
    """Engines in one session. Batches are cut after few rows, so that customers go on in the next one."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    first = SparkEngine(master="local[1]", config={"spark.sql.shuffle.partitions": "2"})

    def another(**options: Any) -> SparkEngine:
        engine = SparkEngine(**options)
        engine._session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
        return engine

    yield another
    first.close()


@pytest.fixture(params=["duckdb", "spark"])
def new_engine(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """How to make an engine of either kind."""
    return at.DuckDBEngine if request.param == "duckdb" else request.getfixturevalue("spark")


# ---------------------------------------------------------------- journeys


def crowds() -> st.SearchStrategy[dict[str, twin.History]]:
    """Several random histories side by side: Spark takes as long for many customers as for a few."""

    def side_by_side(drawn: list[dict[str, twin.History]]) -> dict[str, twin.History]:
        has_ids = all(v.conversion_id for one in drawn for _, mine in one.values() for v in mine)
        return {
            f"{place} {name}": (
                touches,
                [twin.Conv(v.at, f"{place} {v.conversion_id}" if has_ids else None, v.value) for v in converted],
            )
            for place, one in enumerate(drawn)
            for name, (touches, converted) in clicks(one).items()
        }

    return st.lists(histories(unit=DAY), min_size=2, max_size=9).map(side_by_side)


@examples(2, suppress_health_check=list(HealthCheck))
@given(
    history=crowds(),
    lookback=lookbacks(),
    period=periods(unit=DAY),
    mode=st.sampled_from(MODES),
    integer_ids=st.booleans(),
    partitions=st.integers(1, 3),
)
def test_journeys_equal_their_twin(
    new_engine: Callable[..., Any],
    history: dict[str, twin.History],
    lookback: int | None,
    period: tuple[int, int] | None,
    mode: Any,
    integer_ids: bool,
    partitions: int,
) -> None:
    if not any(converted for _, converted in history.values()):
        return
    bounds = None if period is None else [pd.Timestamp(edge, unit="us").to_pydatetime() for edge in period]
    journeys = at.build_journeys(
        at.load_sources(
            **frames(history, integer_ids=integer_ids, timestamps=True),
            engine=new_engine(batch_rows=3, partitions=partitions),
        ),
        lookback_days=float("inf") if lookback is None else lookback,
        conversions=mode,
        period=None if bounds is None else Period(start=bounds[0], end=bounds[1]),
    )
    slow = twin.build(history, lookback=None if lookback is None else lookback * DAY, mode=mode, period=period)
    rename = {c: sorted(history).index(c) if integer_ids else c for c in history}
    assert listed(journeys) == expected(slow, rename)
    counted = {(f.check, f.table): f.count for f in journeys.findings}
    assert counted["ties", "touchpoints"] == slow.counts["ties"]
    assert counted["without_touchpoint", "conversions"] == slow.counts["without_touchpoint"]
    assert counted["open_journeys", "journeys"] == slow.counts["open"]


def log(customers: int, touchpoints: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A log with few instants, one customer who has half of it, and costs that no sum of floats gets exactly."""
    rng = np.random.default_rng(5)
    names = np.array(["everybody", *(f"客户 {number}" for number in range(customers - 1))])
    weights = np.array([0.5, *([0.5 / (customers - 1)] * (customers - 1))])

    def at_random(rows: int) -> dict[str, Any]:
        hours = rng.integers(0, 90 * 24, rows) * np.timedelta64(1, "h")
        return {"customer_id": rng.choice(names, rows, p=weights), "at": EPOCH + hours}

    touched = at_random(touchpoints)
    converted = at_random(touchpoints // 10)
    return (
        pd.DataFrame(
            {
                "customer_id": touched["customer_id"],
                "touched_at": touched["at"],
                "channel": rng.choice(["search", "Search", "邮件", "é", "z"], touchpoints),
                "campaign": pd.array(rng.choice(["one", "two", ""], touchpoints), dtype="string"),
                "cost": rng.random(touchpoints),
            }
        ),
        pd.DataFrame(
            {
                "customer_id": converted["customer_id"],
                "converted_at": converted["at"],
                "value": rng.random(touchpoints // 10),
            }
        ),
    )


def outcome(engine: Any, *tables: Any, **options: Any) -> dict[str, Any]:
    """What must not depend on the engine."""
    sources = at.load_sources(*tables, engine=engine, **options)
    journeys = at.build_journeys(sources)
    return {
        "credit": at.attribute(journeys, MODELS).table.to_csv(),
        "disagreement": disagreement_table(credit_bounds(journeys), MODELS).to_csv(),
        "dimensions": journeys.dimensions,
        "findings": [*sources.findings, *check_sources(sources), *journeys.findings],
        "ids": journeys.conversion_ids().tolist(),
        "schemas": {name: sources.engine.schema(name) for name in sources.tables},
    }


@pytest.mark.nightly
def test_the_gate_finds_the_same(spark: Callable[..., Any]) -> None:
    found = []
    for engine in (at.DuckDBEngine(), spark()):
        sources = at.load_sources(*log(customers=40, touchpoints=2_000), engine=engine)
        digests = [content_digest(sources, name) for name in sources.tables]
        found.append([*digests, *quality_findings(sources, period=Period(), lookback_days=None)])
    assert len(found[0]) > 12
    assert found[0] == found[1]


@pytest.mark.nightly
def test_intervals_and_games_are_the_same(spark: Callable[..., Any]) -> None:
    """Readers of buckets, folds and games travel to the journeys as others do."""
    touchpoints, conversions = log(customers=60, touchpoints=600)
    customers = pd.DataFrame({"customer_id": [f"nobody {number}" for number in range(400)]})
    found = []
    for engine in (at.DuckDBEngine(), spark()):
        sources = at.load_sources(touchpoints, conversions, customers=customers, engine=engine)
        journeys = at.build_journeys(sources)
        models = [
            at.LinearDistinct(),
            at.CustomWeights(weights=[2, 1]),
            at.Markov(order="auto"),
            at.Shapley(),
            at.Shapley(game="rate", negative="zero"),
            at.Shapley(game="path_incremental", negative="zero"),
        ]
        _, resamples = fit_and_resample(models, journeys, ResamplingOptions(draws=50, method="bca"))
        draws = [resamples.draws[label].channels.conversions for label in resamples.labels]
        found.append((journey_credit(journeys, models), *draws, *(model.credit_.conversions for model in models)))
    here, there = found
    pd.testing.assert_frame_equal(here[0], there[0], rtol=1e-12)
    for a, b in zip(here[1:], there[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.nightly
def test_journeys_are_read_where_they_are_made(spark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tables = log(customers=40, touchpoints=2_000)
    here = outcome(at.DuckDBEngine(), *tables)
    held = outcome(spark(partitions=3), *tables)
    monkeypatch.setattr(spark_engine, "HELD_ROWS", 0)
    engine = spark(partitions=4)
    streamed = outcome(engine, *tables)
    assert held == here
    assert streamed == here
    # Kept, for they are read again and again.
    assert "sorted events" in engine._kept
    engine.close()
    assert not engine._kept


def test_partitions_hold_whole_customers_in_order(spark: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PIECE_BYTES", 1_000)  # so that a result takes several pieces
    engine = spark(partitions=3)
    rng = np.random.default_rng(2)
    rows = pa.table({"id": rng.integers(0, 30, 500), "moment": rng.integers(0, 50, 500), "n": range(500)})
    engine.register_arrow("log", rows)
    sql = "select id as customer_id, moment as happened_at, n::integer as ref, n / 2 as cost from raw_log"
    events = Events(sql, rows=500, has_cost=True)

    def keep(batches: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
        return list(batches)

    parts = engine.map_partitions(events, keep)
    assert len(parts) == 3
    assert max(len(batch) for part in parts for batch in part) <= 7
    whole = [pa.Table.from_batches(part) for part in parts]
    types = [pa.int64(), pa.int64(), pa.int32(), pa.float64()]
    assert all(part.schema.types == types and part.schema.names == list(events.columns) for part in whole)
    customers = [set(part["customer_id"].to_pylist()) for part in whole]
    assert sum(map(len, customers)) == len(set.union(*customers)) == 30
    for part in whole:
        keys = list(zip(part["customer_id"].to_pylist(), part["happened_at"].to_pylist(), strict=True))
        assert keys == sorted(keys)
    assert sorted(n for part in whole for n in part["ref"].to_pylist()) == list(range(500))
    assert engine.map_partitions(events, keep) == parts
    # More partitions than customers: the empty ones give nothing.
    few = Events(f"select * from ({sql}) where customer_id = 3", rows=20, has_cost=True)
    assert len(engine.map_partitions(few, keep)) == 1


def test_what_a_task_refuses_reaches_the_user(spark: Callable[..., Any]) -> None:
    engine = spark()
    engine.register_arrow("log", pa.table({"id": ["a", "b"], "moment": [1, 2]}))
    events = Events("select id as customer_id, moment as happened_at, 0 as ref from raw_log", rows=2, has_cost=False)

    def refuse(batches: Iterator[pa.RecordBatch]) -> None:
        raise InputError("no, “这样” 不行", given='a "quoted" \\ text')

    with pytest.raises(InputError, match=re.escape('no, “这样” 不行. Given: a "quoted" \\ text.')):
        engine.map_partitions(events, refuse)


# ---------------------------------------------------------------- one SQL, two engines

TEXTS = [
    None,
    "",
    " ",
    "a",
    "A ",
    " ä\u3000",
    "nan",
    "NaN",
    "inf",
    "1",
    "1.0",
    "1e3",
    " 5 ",
    "0x1F",
    "1_000",
    "٣",
    "-0",
]
TEXTS += ["9223372036854775807", "9223372036854775808", "2024-01-01", "2024-01-01T10:00:00Z", "2024-02-30", "20240101"]
TEXTS += ["2024-01-01 10:00:00.1234567", "2024-01-01 10:00:00+05:30", "infinity", "true", "31/02/2024", "3/2/2024"]
TEXTS += [
    "邮件",
    "😀",
    "a'b",
    'a"b',
    "a\\b",
    "\\1",
    "%",
    "a\nb",
    "\t",
    "\u00a0",
    "\u200b",
    "ÀÉ",
    "ß",
    "İ",
    "1,5",
    "9" * 40,
]
FLOATS = [None, 0.0, -0.0, 1.0, 2.5, -2.5, 1e15, 1e17, 1e22, 1e-7, 0.1, 1 / 3, np.inf, -np.inf, np.nan, 5e-324, 2.0**53]


def nasty() -> pa.Table:
    """A column of every type that a log may come in, with the values that engines disagree about."""
    n = len(TEXTS)
    gap = [k % 7 == 3 for k in range(n)]
    whole = np.arange(n, dtype=np.int64)
    ids = np.random.default_rng(1).integers(-(2**62), 2**62, n) >> (whole * 7 % 62)
    floats = [FLOATS[k % len(FLOATS)] for k in range(n)]
    return pa.table(
        {
            "k": whole,
            "t": TEXTS,
            "i": pa.array(ids, mask=np.array(gap)),
            "narrow": pa.array(whole - 5, pa.int32()),
            "f": floats,
            "half": pa.array(floats, pa.float32()),
            "ts": pa.array([None if g else int(k) * 10**14 - 10**15 for k, g in enumerate(gap)], pa.timestamp("us")),
            "tz": pa.array([None if g else int(k) * 10**14 - k for k, g in enumerate(gap)], pa.timestamp("us", "UTC")),
            "ns": pa.array([None if g else int(k) * 10**16 - k for k, g in enumerate(gap)], pa.timestamp("ns")),
            "d": pa.array(whole * 1000 - 20000, pa.int32()).cast(pa.date32()),
            "u": pa.array(whole.astype(np.uint64) * 10**17),
            "money": pa.array([int(k) - 3 for k in whole], pa.decimal128(18, 2)),
            "flag": [None if g else k % 3 == 0 for k, g in enumerate(gap)],
            "words": [["a", None, "b'"] if k % 2 else None for k in whole],
            "parts": [{"name": TEXTS[k], "n": [k]} for k in whole],
        }
    )


EXPRESSIONS = r"""
try_cast(t as double) | try_cast(t as bigint) | try_cast(t as date) | epoch_us(try_cast(t as timestamptz))
epoch_us(try_cast(t as timestamp)) | try_strptime(t, '%d/%m/%Y') | trim(t) | case when trim(t) <> '' then t end
case when t >= '!' then t when trim(t) <> '' then t end | lower(trim(t)) | upper(t) | nullif(trim(t), '') | t || '\'
case when isnan(try_cast(t as double)) then null else try_cast(t as double) end | t in ('a', '', null) | t < 'b'
coalesce(try_cast(ltrim(lower(trim(t)), ' ab') as bigint)::varchar, lower(trim(t))) | hash(t) % 97 | t like 'a%'
regexp_full_match(t, '[+-]?\d{1,18}') | regexp_replace(replace(t, ',', '.'), '(\.\d{6})\d+', '\1') | t = 'a''b'
concat(t, '@', i, '#', narrow + 1) | concat_ws('|', coalesce(length(t) || ':' || t, '-'), coalesce(f::varchar, '-'))
md5_number_lower(coalesce(t, ''))::hugeint | t is not distinct from 'a' | t is distinct from 'a'
enum_code(try_cast(t as "my enum"))::bigint * 3 | coalesce(enum_code(try_cast(t as "many"))::bigint + 1, 0)
case when f = floor(f) and abs(f) < 9007199254740992 then f::bigint::varchar else f::varchar end | try_cast(f as bigint)
case when isnan(f) then null else f end | f * 2 | f + 1 | half::varchar | try_cast(half as double) | round(f, 2)
f::varchar | isfinite(f) | isinf(f) | isnan(f) | not isnan(f) | f > 0.5 | i > f | i = f | i is null or f is null
case when isfinite(f) or isinf(f) then f end
i::varchar | i % 1000 | i - i % 1000 | abs(i) | -i | hash(i) % 97 | coalesce(i, 0) | not (i > 5 and f < 3)
i between 0 and 1000000 | try_cast(i as integer) | i::double | narrow + i | narrow * 2 | i % 7 = 0
(-1 - narrow)::integer | k // 7 | k / 7 | try_cast(narrow as tinyint) | u::varchar | try_cast(u as bigint) | u > 5
money::varchar | try_cast(money as double) | money > 1 | money is null | flag::varchar | not flag | flag is true
case when flag then 1 else 0 end | epoch_us(ts) | epoch_us(ts::timestamp) | epoch_us(tz) | epoch_us(d::timestamp)
epoch_us(timezone('Europe/Paris', ts::timestamp)) | ts::varchar | tz::varchar | ns::varchar | d::varchar
epoch_us(make_timestamp((epoch_ns(ns) - (epoch_ns(ns) % 1000 + 1000) % 1000) // 1000)) | d = '2024-01-01'
ts is not null | ts >= '2001-01-01' | strftime(ts, '%Y') | ts + interval 1 day | time '10:00' | greatest(i, k)
words::varchar[] | words[1] | list_max(list_transform(words, lambda w: upper(w))) | parts.name | list_max(parts.n)
parts | 0::double | null::varchar | 'null' | 1.5
"""

STATEMENTS = r"""
select count(*) filter (t = 'a') as n, (min(t) filter (regexp_full_match(t, '\d+')))::varchar as example from raw_nasty

select min(t), max(t), min(f), max(f), count(distinct t), sum(narrow), sum(narrow)::bigint, min(ns), max(money)
from raw_nasty

select t as v, count(*) as n from raw_nasty where f < 1000 group by 1 order by n desc, v

select v, sum(n)::bigint as n, max(n) as busiest from (select t as v, k - k % 10 as day, count(*) as n from raw_nasty
where t is not null and hash(t) % 5 in (1, 2) group by 1, 2) group by 1 having sum(n) > 0 order by n desc, v

select *, row_number() over (order by t, i, f) - 1 as row from (select t, i, f from raw_nasty
qualify t is null or row_number() over (partition by length(t) order by i, t, f) = 1) order by row

select coalesce(t, concat(i, '@', k - min(k) over (partition by flag) + 1)) as id from raw_nasty order by k

select coalesce(percentile_cont(0.99) within group (order by v), 0) as high from (select k / 4 as v from raw_nasty)

select (select count(t) from raw_nasty) as a, (select coalesce(sum(k), 0)::bigint from raw_nasty) as b

select sum(md5_number_lower(t)::hugeint)::varchar as low
from (select concat_ws('|', coalesce(t, '-'), k) as t from raw_nasty)

select a.k, b.t from raw_nasty a left join raw_nasty b on a.k = b.narrow and trim(b.t) <> '' order by a.k

select a.k from raw_nasty a join raw_nasty b on a.t is not distinct from b.t order by 1

select k from raw_nasty where t = 'a' union all select narrow from raw_nasty where narrow < 0 order by 1

select distinct trim(t) as v from raw_nasty order by v desc

select f, count(*) as n from raw_nasty group by f order by f

select * from raw_nasty order by k

select name from pg_timezone_names() where name like 'Europe/P%' order by 1
"""


def engines(spark: Callable[..., Any], *, values: int = 100) -> tuple[Any, Any]:
    both = at.DuckDBEngine(), spark()
    for engine in both:
        engine.register_arrow("nasty", nasty())
        engine.create_enum(
            "my enum", ["a", "A ", " ä\u3000", "a'b", "a\\b", "邮件", "\\1", "${user.home}", "a\nb", "%"]
        )
        engine.create_enum("many", [*(f"value {number}" for number in range(values)), "a", "1"])
    return both


def test_expressions_mean_the_same(spark: Callable[..., Any]) -> None:
    duckdb, other = engines(spark)
    expressions = [part.strip() for line in EXPRESSIONS.strip().splitlines() for part in line.split(" | ")]
    assert len(expressions) > 90
    for start in range(0, len(expressions), 40):
        some = expressions[start : start + 40]
        sql = f"select {', '.join(f'{part} as v{i}' for i, part in enumerate(some))} from raw_nasty order by k"
        here, there = duckdb.query(sql), other.query(sql)
        assert here.schema == there.schema
        for i, part in enumerate(some):
            shown = [
                [repr(value) for value in table[f"v{i}"].cast(readable(table, i)).to_pylist()]
                for table in (here, there)
            ]
            assert shown[0] == shown[1], part


def readable(table: pa.Table, place: int) -> pa.DataType:
    """Times that Python has no value for are looked at as integers."""
    kind = table.schema.field(place).type
    if pa.types.is_date32(kind):
        return pa.int32()
    return pa.int64() if pa.types.is_timestamp(kind) else kind


@pytest.mark.parametrize("place", range(3))
def test_statements_mean_the_same(spark: Callable[..., Any], place: int) -> None:
    duckdb, other = engines(spark)
    for sql in STATEMENTS.strip().split("\n\n")[place::3]:
        here, there = duckdb.query(sql), other.query(sql)
        assert here.schema == there.schema, sql
        # As text, for NaN is not equal to itself.
        assert repr(here.to_pylist()) == repr(there.to_pylist()), sql


def test_spark_itself_computes_what_typed_columns_need(spark: Callable[..., Any]) -> None:
    """Every call of DuckDB hands all rows to Python and back: a log in Parquet must not need one."""
    _, engine = engines(spark)
    raw, code = "raw_nasty", 'enum_code(try_cast(t as "my enum"))::bigint'
    for sql in (
        f"select i::bigint as customer_id, epoch_us(ts::timestamp) as touched_at from {raw}",
        f"select case when t::varchar >= '!' then t::varchar when trim(t) <> '' then t::varchar end from {raw}",
        f"select case when isnan(try_cast(f as double)) then null else try_cast(f as double) end as value from {raw}",
        f"select ({code} * 4 + coalesce({code} + 1, 0) * 1)::integer as ref from {raw} where i is not null",
        f"select count(*) filter (isinf(f)) as n, (min(t::varchar) filter (f < 0))::varchar as example from {raw}",
    ):
        assert "duckdb_" not in engine._catalogue.to_spark(sql).lower()
    assert "duckdb_" in engine._catalogue.to_spark(f"select try_cast(t as double) from {raw}").lower()


def test_errors_are_duckdbs(new_engine: Callable[..., Any]) -> None:
    engine = new_engine()
    engine.register_arrow("nasty", nasty())
    for sql, message in {
        "select nope from raw_nasty": "table 'log' cannot be read: Binder Error: Referenced column \"nope\" not found",
        "select t::bigint from raw_nasty where k = 3": "Conversion Error: Could not convert string 'a' to INT64",
        "select k + 9223372036854775807 from raw_nasty": "table 'log' cannot be read: .*[Oo]verflow",
        "select from from": "table 'log' cannot be read: Parser Error",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            engine.query(sql, table="log")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 700
    engine.claim()
    with pytest.raises(InputError, match="holds the tables of another run"):
        engine.claim()


# ---------------------------------------------------------------- messy inputs

MESSY = [
    {
        "user": "007",
        "ts": "2024-03-31T01:30:00+01:00",
        "channel": "Paid, search",
        "campaign": 'the "best"',
        "cost": "1.5",
    },
    {"user": "7", "ts": "2024-03-31T02:30:00Z", "channel": "邮件", "campaign": None, "cost": "0.1"},
    {"user": " ", "ts": "2024-04-01T00:00:00Z", "channel": "mail", "campaign": "x", "cost": "1"},
    {
        "user": "zoë",
        "ts": "2024-04-01T00:00:00.123456789+05:30",
        "channel": "mail",
        "campaign": "line\nbreak",
        "cost": "",
    },
    {
        "user": "zoë",
        "ts": "2024-04-01T00:00:00.123456789+05:30",
        "channel": "mail",
        "campaign": "line\nbreak",
        "cost": "",
    },
    {"user": "007", "ts": None, "channel": "mail", "campaign": "x", "cost": "2"},
    {"user": "007", "ts": "2024-04-02 00:00:00,5Z", "channel": "\u3000", "campaign": " ", "cost": "nan"},
    {"user": None, "ts": "2024-04-02T00:00:00Z", "channel": "😀", "campaign": "a\\b", "cost": "1e-3"},
    {
        "user": "NULL",
        "ts": "2024-04-02T00:00:00Z",
        "channel": "null",
        "campaign": "it's",
        "cost": "0.30000000000000004",
    },
]
ORDERS = [
    {"id": "b", "user": "007", "paid": "2024-04-03T00:00:00Z", "amount": "10.10"},
    {"id": "a", "user": "007", "paid": "2024-04-03T00:00:00Z", "amount": "20"},
    {"id": "b", "user": "007", "paid": "2024-04-05T00:00:00Z", "amount": "10.10"},
    {"id": None, "user": "zoë", "paid": "2024-04-03T12:00:00+05:30", "amount": ""},
    {"id": "c", "user": "nobody", "paid": "2024-04-03T00:00:00Z", "amount": "5"},
    {"id": "d", "user": None, "paid": "2024-04-03T00:00:00Z", "amount": "5"},
]
TOUCHED = {"customer_id": "user", "touched_at": "ts", "channel": "channel", "campaign": "campaign", "cost": "cost"}
CONVERTED = {"conversion_id": "id", "customer_id": "user", "converted_at": "paid", "value": "amount"}


def write_csv(path: Path, rows: list[dict[str, Any]], columns: list[str], delimiter: str = ",") -> Path:
    def field(value: str | None) -> str:
        return "" if value is None else '"' + value.replace('"', '""') + '"'

    text = "\n".join([delimiter.join(columns), *(delimiter.join(field(row[c]) for c in columns) for row in rows), ""])
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_json(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def as_csv(folder: Path) -> tuple[Any, Any]:
    """Two layouts: another order of columns and another delimiter; one file is compressed."""
    columns = list(TOUCHED.values())
    write_csv(folder / "t1.csv", MESSY[:4], columns)
    write_csv(folder / "t2.csv", MESSY[4:5], columns[::-1], ";")
    write_csv(folder / "t3.csv.gz", MESSY[5:], columns)
    write_csv(folder / "orders.csv", ORDERS, list(CONVERTED.values()))
    return str(folder / "t*.csv*"), str(folder / "orders.csv")


def as_json(folder: Path) -> tuple[Any, Any]:
    """Numbers, booleans and objects among the texts, a key that only the second file has, lists."""
    write_json(folder / "t1.jsonl", [row | {"tags": ["a", 1, None], "user": row["user"]} for row in MESSY[:4]])
    write_json(folder / "t2.jsonl.gz", [row | {"extra": {"a": 1}, "tags": None} for row in MESSY[4:]])
    write_json(folder / "orders.jsonl", [row | {"amount": float(row["amount"] or 0)} for row in ORDERS])
    return str(folder / "t*.jsonl*"), str(folder / "orders.jsonl")


def as_parquet(folder: Path) -> tuple[Any, Any]:
    """Types proper; files differ in the width of an integer, in the unit of times, in the order of columns."""
    stamps = [None if row["ts"] is None else pd.Timestamp(row["ts"].replace(",", ".")) for row in MESSY]
    rows = [row | {"ts": stamp, "cost": float(row["cost"] or 0)} for row, stamp in zip(MESSY, stamps, strict=True)]
    for place, (part, unit, number) in enumerate(
        ((rows[:4], "us", pa.int64()), (rows[4:6], "us", pa.int16()), (rows[6:], "ns", pa.int64()))
    ):
        schema = pa.schema(
            [
                ("user", pa.string()),
                ("ts", pa.timestamp(unit, "UTC")),
                ("channel", pa.dictionary(pa.int32(), pa.string())),
                ("campaign", pa.string()),
                ("cost", pa.float64()),
                ("a b.`c", number),
                ("span", pa.time64("us")),
            ]
        )
        made = pa.Table.from_pylist([row | {"a b.`c": place, "span": place} for row in part], schema)
        # NaN is in no statistics, and DuckDB takes that to mean that there is none.
        turned = made.select(made.column_names[:: -1 if place else 1])
        pq.write_table(turned, folder / f"t{place}.parquet", write_statistics=["user"])
    orders = [row | {"paid": pd.Timestamp(row["paid"]).tz_convert("UTC"), "amount": None} for row in ORDERS]
    pq.write_table(pa.Table.from_pylist(orders), folder / "orders.parquet")
    return str(folder / "t*.parquet"), str(folder / "orders.parquet")


def as_frames(folder: Path) -> tuple[Any, Any]:
    return pd.DataFrame(MESSY), pd.DataFrame(ORDERS)


def as_query(folder: Path) -> tuple[Any, Any]:
    as_csv(folder)

    def renamed(columns: dict[str, str], *files: str) -> str:
        listed = ", ".join(f'"{source}" as {name}' for name, source in columns.items())
        return " union all ".join(f"select {listed} from read_csv('{file}', all_varchar = true)" for file in files)

    return renamed(TOUCHED, "t1.csv", "t3.csv.gz"), renamed(CONVERTED, "orders.csv")


@pytest.mark.nightly
@pytest.mark.parametrize("write", [as_csv, as_json, as_parquet, as_frames, as_query])
def test_messy_inputs_give_the_same(
    spark: Callable[..., Any], tmp_path: Path, write: Callable[[Path], tuple[Any, Any]]
) -> None:
    from attribution.schema.experiment import TableSpec

    def specs(touches: Any, orders: Any) -> tuple[TableSpec, TableSpec]:
        named = "query" if isinstance(touches, str) and touches.startswith("select") else "source"
        where = (
            {} if named == "query" else {"where": "channel <> 'mail' or (\"user\" ilike 'z%' and length(channel) = 4)"}
        )
        columns = [{} if named == "query" else {"columns": given} for given in (TOUCHED, CONVERTED)]
        return (
            TableSpec.model_validate({named: touches, **columns[0], **where}),
            TableSpec.model_validate({named: orders, **columns[1]}),
        )

    tables = write(tmp_path)
    here = outcome(at.DuckDBEngine(), *specs(*tables), folder=tmp_path)
    there = outcome(spark(partitions=2), *specs(*tables), folder=tmp_path)
    for what in here:
        assert there[what] == here[what], what
    assert "邮件" in here["credit"]


def test_spark_itself_reads_parquet_of_any_name(spark: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "a b %20 邮"
    folder.mkdir()
    rows = pd.DataFrame({"customer_id": [1, 2], "converted_at": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    for name in ("plain", "x[1]", "it's, {really}?", "s*", "a\\b"):
        path = folder / f"{name}.parquet"
        rows.to_parquet(path)
        engine = spark()
        assert at.load_sources(None, str(path), engine=engine).tables["conversions"].rows == 2
        assert not engine._kept  # where what DuckDB has read would be


def test_no_file_is_left_out_for_its_name(spark: Callable[..., Any], tmp_path: Path) -> None:
    for number, name in enumerate(("plain", "_hidden", ".hidden", "at 12:00")):
        rows = pd.DataFrame({"customer_id": [number], "converted_at": pd.to_datetime(["2024-01-01"])})
        rows.to_parquet(tmp_path / f"{name}.parquet")
    files = [str(path) for path in tmp_path.iterdir()]
    assert at.load_sources(None, files, engine=spark()).tables["conversions"].rows == 4


@pytest.mark.nightly
def test_raw_columns_links_and_codes_give_the_same(spark: Callable[..., Any]) -> None:
    touchpoints = pd.DataFrame(
        {
            "customer_id": ["c1", "c1", "c2", "ann", None, "c3"],
            "touched_at": pd.to_datetime(
                ["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
            ),
            "utm_source": ["google", "News", None, "facebook", "x", None],
            "utm_medium": ["cpc", "e-mail", None, "paid_social", "y", None],
            "referrer": [None, None, "https://www.google.com/", None, None, None],
            "code": [None, None, None, None, None, " QR-1 "],
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": ["ann", "bob", "c3"],
            "converted_at": pd.to_datetime(["2024-01-06", "2024-01-07", "2024-01-08"]),
            "value": [1.5, 2.5, 3.0],
            "code": [None, "SAVE", None],
        }
    )
    further = {
        "identities": pd.DataFrame({"visitor_id": ["c1", "c2", "c9"], "customer_id": ["ann", "bob", "zed"]}),
        "codes": pd.DataFrame({"code": ["QR-1", "SAVE"], "channel": ["Poster", "Flyer"]}),
        "customers": pd.DataFrame({"customer_id": ["ann", "bob"], "firm": ["acme", "acme"]}),
        "costs": pd.DataFrame(
            {"channel": ["Poster", "Email"], "amount": [10.0, 5.0], "day": ["2024-01-01", "2024-01-02"]}
        ),
    }
    here, there = (
        outcome(engine, touchpoints, conversions, account="firm", **further) for engine in (at.DuckDBEngine(), spark())
    )
    for what in here:
        assert there[what] == here[what], what
    assert "Poster" in here["credit"]
    assert "Flyer" in here["credit"]


@pytest.mark.nightly
def test_ledgers_campaigns_and_lifetimes_give_the_same(spark: Callable[..., Any]) -> None:
    from attribution.returns import read_costs
    from attribution.schema.experiment import ReturnsOptions

    touchpoints, conversions = log(customers=30, touchpoints=300)
    touchpoints = touchpoints.assign(campaign=np.where(touchpoints["customer_id"].str.endswith("1"), "春季", None))
    names = sorted(set(touchpoints["channel"]))
    further = {
        "costs": pd.DataFrame(
            {
                "channel": [*names[:2], None],
                "cost_type": ["media", "venue", "tools"],
                "amount": [None, 90.0, 7.0],
                "cost_low": [10.0, None, None],
                "cost_high": [30.0, None, None],
                "day": ["2024-01-02", "2024-01-03", "2024-01-04"],
                "amortise_days": [None, 30, None],
                "currency": ["USD", "EUR", None],
            }
        ),
        "rates": pd.DataFrame({"currency": ["USD", "USD"], "rate": [0.5, 0.75], "day": [None, "2024-01-02"]}),
        "lifetimes": conversions[["customer_id"]].drop_duplicates().iloc[1:].assign(ltv=12.5),
    }
    asked = ReturnsOptions(currency="EUR", fee_rate=0.1, spend_from="costs")
    found = []
    for engine in (at.DuckDBEngine(), spark()):
        sources = at.load_sources(touchpoints, conversions, engine=engine, grain="campaign", **further)
        costs = read_costs(sources, asked)
        digests = {name: content_digest(sources, name) for name in sources.tables}
        worth = engine.query("select customer_id, ltv from conversions order by 1, 2").to_pylist()
        found.append([costs, digests, sources.findings, sources.dimensions, worth])
    assert found[0] == found[1]
    assert found[0][0].media
    assert any(finding.check == "no_lifetime" and finding.count for finding in found[0][2])


@pytest.mark.nightly
def test_refusals_are_the_same(spark: Callable[..., Any], tmp_path: Path) -> None:
    good = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-02"], "value": [1.0]})
    touches = pd.DataFrame({"customer_id": ["a"], "touched_at": ["2024-01-01"], "channel": ["mail"]})
    (tmp_path / "broken.csv").write_text('customer_id,converted_at\na,2024-01-01\n"b,2024-01-02\n')
    (tmp_path / "ragged.csv").write_text("customer_id,converted_at\na,2024-01-01,x\n")
    (tmp_path / "latin.csv").write_bytes("customer_id,converted_at\nzoë,2024-01-01\n".encode("latin-1"))
    whole = gzip.compress(b"customer_id,converted_at\n" + b"a,2024-01-01\n" * 100_000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "broken.jsonl").write_text('{"customer_id": "a", "converted_at": "2024-01-01"}\n{"customer_id"\n')
    pq.write_table(pa.Table.from_pandas(good), tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-20])
    latin = pa.array([b"zo\xeb"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"customer_id": latin, "converted_at": [1]}), tmp_path / "latin.parquet")
    refused: list[tuple[Any, Any]] = [
        (touches, good.assign(value=[-1.0])),
        (touches, good.assign(value=[np.inf])),
        (touches, good.assign(value=["ten"])),
        (touches, good.assign(converted_at=["03/04/2024"])),
        (touches, good.assign(converted_at=["soon"])),
        (touches, good.drop(columns="customer_id")),
        (touches, good.iloc[:0]),
        (touches.assign(channel="(start)"), good),
        (touches.assign(touched_at=["2024-01-01T00:00:00Z"]), good.assign(converted_at="2024-01-02 10:00")),
        (touches, at.TableSpec(source=good, where="nope = 1")),
        (touches, at.TableSpec(source=good, where="true; drop table x")),
        (touches, at.TableSpec(source=good, time_zone="Europe/Pariss")),
        (touches, "select * from 'nothing.csv'"),
        *((touches, str(path)) for path in sorted(tmp_path.iterdir())),
        (touches, at.TableSpec(source=str(tmp_path / "latin.csv"), where="customer_id >")),
    ]
    differing = []
    for tables in refused:
        said = []
        for engine in (at.DuckDBEngine(), spark()):
            with pytest.raises(InputError) as caught:
                at.build_journeys(at.load_sources(*tables, engine=engine, folder=tmp_path))
            said.append(str(caught.value))
        # Of typed Parquet alone it is Spark that says what is wrong.
        if said[0] != said[1] and not ("latin.parquet" in str(tables[1]) and all("UTF" in each for each in said)):
            differing.append(said)
    assert not differing


# ---------------------------------------------------------------- sessions


def test_an_active_session_is_used_and_left_as_it_is(spark: Callable[..., Any]) -> None:
    one, other = spark(), spark()
    assert one._session.sparkContext is other._session.sparkContext
    one.register_arrow("x", pa.table({"a": [1]}))
    with pytest.raises(InputError, match="raw_x"):
        other.query("select * from raw_x")
    with pytest.raises(InputError, match=r"one is active already.*local\[4\]', spark.executor.memory"):
        SparkEngine(master="local[4]", config={"spark.executor.memory": "1g"})
    one.close()
    assert other.query("select 1 as a").to_pylist() == [{"a": 1}]
    other.register_arrow("x", pa.table({"a": [2]}))
    assert other.query("select a from raw_x").to_pylist() == [{"a": 2}]


@pytest.mark.parametrize("package", ["pyspark", "sqlglot"])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    if package == "sqlglot" and found("pyspark") is None:
        pytest.skip("pyspark is missing anyway")
    with pytest.raises(InputError, match=re.escape(f"needs the package {package}") + r".*journey-attribution\[spark\]"):
        SparkEngine()


def java(folder: Path, says: str) -> Path:
    """A Java that only tells its version."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("says", ['openjdk version "11.0.2" 2019-01-15', 'java version "1.8.0_202"', "no version"])
def test_an_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, says)))
    with pytest.raises(InputError, match=f"needs Java 17 or later. Given: .*{re.escape(says)}"):
        session.check_java()


def test_java_is_looked_for_where_spark_will(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(
        InputError, match=f"it was not found. Given: JAVA_HOME = {re.escape(str(tmp_path))}. Hint: install it"
    ):
        session.check_java()
    java(tmp_path, 'openjdk version "21.0.1" 2023-10-17')
    session.check_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    session.check_java()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"it was not found\. Hint: install it"):
        session.check_java()


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own: there is one Spark in a process."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"} | environment,
        timeout=300,
    )


def test_spark_that_does_not_start_says_why() -> None:
    if why_not():
        pytest.skip(str(why_not()))
    code = (
        "from attribution.data.engine.spark import SparkEngine\n"
        "from attribution.errors import InputError\n"
        "try: SparkEngine(master='local[2]', config={'spark.driver.memory': 'much'})\n"
        "except InputError as error: print(error)"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert "Spark does not start" in done.stdout
    assert "much" in done.stdout
    assert done.stderr == ""


CLUSTER = """
import os, signal, sys, threading, time
from pathlib import Path
import pyarrow as pa
from tests.data.engine.test_spark import MODELS, log
import attribution as at
from attribution.data.engine import Events
from attribution.data.engine.spark import SparkEngine

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    config = {"spark.sql.shuffle.partitions": "2", "spark.executor.memory": "512m"}
    first = SparkEngine(master="local-cluster[2,1,1024]", config=config)
    tables = log(customers=40, touchpoints=2_000)
    # Executors work in folders of their own.
    os.chdir(folder.parent)
    tables[1].to_csv("orders.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S")
    tables = (tables[0], "orders.csv")
    credit = [
        at.attribute(at.build_journeys(at.load_sources(*tables, engine=engine)), MODELS).table.to_csv()
        for engine in (SparkEngine(partitions=4), at.DuckDBEngine())
    ]
    same = credit[0] == credit[1]
    executors = first._session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
    print(f"executors {executors}, same {same}")

    def parent(process):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])

    def executor_of(process):
        while "CoarseGrainedExecutorBackend" not in Path(f"/proc/{process}/cmdline").read_text():
            process = parent(process)
        return process

    def slowly(batches):
        (folder / f"{os.getpid()}").write_text("")
        found = []
        for batch in batches:
            time.sleep(0.1)
            found.append((len(batch), sum(batch.column("ref").to_pylist())))
        (folder / "done").write_text("")
        return sum(rows for rows, _ in found), sum(total for _, total in found)

    engine = SparkEngine(partitions=4)
    engine._session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "50")
    numbered = tables[0].assign(n=range(2_000))[["customer_id", "n"]]
    engine.register_arrow("log", pa.Table.from_pandas(numbered, preserve_index=False))
    events = Events("select customer_id, n as happened_at, n::integer as ref from raw_log", rows=2_000, has_cost=False)
    answer = []
    job = threading.Thread(target=lambda: answer.append(engine.map_partitions(events, slowly)))
    job.start()
    while not (started := list(folder.iterdir())):
        time.sleep(0.02)
    assert not (folder / "done").exists()
    victim = executor_of(int(started[0].name))
    os.kill(victim, signal.SIGKILL)
    job.join()
    tried = len(list(folder.iterdir())) - 1
    print(f"killed, {sum(rows for rows, _ in answer[0])} rows, total {sum(total for _, total in answer[0])}")
    print(f"workers {tried}")
    first.close()
"""


@pytest.mark.nightly
def test_a_cluster_gives_the_same_even_if_an_executor_is_killed(tmp_path: Path) -> None:
    if why_not():
        pytest.skip(str(why_not()))
    import pyspark

    work = Path(pyspark.__file__).parent / "work"
    before = set(work.glob("*"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    try:
        done = run(CLUSTER, str(folder))
    finally:
        for left in set(work.glob("*")) - before:
            shutil.rmtree(left, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "executors 2, same True"
    assert lines[1] == f"killed, 2000 rows, total {sum(range(2_000))}"
    assert done.stderr == ""


# ---------------------------------------------------------------- the scoring job


@pytest.mark.nightly
def test_the_scoring_job_writes_the_same_bytes(spark: Callable[..., Any], tmp_path: Path) -> None:
    from attribution.models.saved import Scorer
    from attribution.production.scoring.job import ScoringOptions, score_days

    rng = np.random.default_rng(0)
    start = np.datetime64("2024-01-01", "us")
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"客户 {i}" for i in rng.integers(0, 30, 200)],
            "touched_at": start + rng.integers(0, 40 * 24, 200) * np.timedelta64(1, "h"),
            "channel": rng.choice(["email", "search", "微信"], 200),
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": [f"客户 {i}" for i in rng.integers(0, 30, 40)],
            "converted_at": start + rng.integers(0, 40 * 24, 40) * np.timedelta64(1, "h"),
            "value": rng.gamma(2, 40, 40).round(2),
        }
    )
    tables = {}
    for name, frame in (("touchpoints", touchpoints), ("conversions", conversions)):
        tables[name] = str(tmp_path / f"{name}.parquet")
        frame.to_parquet(tables[name], index=False)
    model = at.Markov().fit(at.build_journeys(at.load_sources(touchpoints, conversions)))
    scorer = Scorer.of(model, name="shop").save(tmp_path / "model")
    score_days(scorer, ScoringOptions(tables, tmp_path / "duckdb"), at.DuckDBEngine())
    score_days(scorer, ScoringOptions(tables, tmp_path / "spark"), spark(partitions=2))

    def files(out: Path) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in (out / "journey_credit").rglob("*.parquet")}

    assert files(tmp_path / "spark") == files(tmp_path / "duckdb")
    # Either engine goes on where the other has ended: nothing is left to do.
    again = score_days(scorer, ScoringOptions(tables, tmp_path / "spark"), at.DuckDBEngine())
    assert (again.written, again.unchanged) == ((), ())
