"""SQL of a user reads, and does nothing else: under both engines, in queries and in filters of rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import attribution as at
from attribution.data.engine import DuckDBEngine
from attribution.data.engine.read_only import check_condition, check_query, reads_tables
from attribution.errors import InputError
from attribution.schema.experiment import TableSpec

TOUCH = "select 'u' as customer_id, timestamp '2024-01-01' as touched_at, 'letter' as channel"
ORDERS = pd.DataFrame({"customer_id": ["u"], "converted_at": ["2024-01-04"], "value": [5.0]})

WRITES = [
    f"with x as (copy (select 'mine' as a) to 'letter.txt') {TOUCH}",
    f"with y as (select 1), x as materialized (copy (select 'mine' as a) to 'letter.txt') {TOUCH}",
    f"with recursive x as (copy (select 'mine' as a) to 'letter.txt') {TOUCH}",
    f"select * from (with x as (copy (select 1) to 'letter.txt') {TOUCH})",
    f"{TOUCH} where exists (with x as (copy (select 1) to 'letter.txt') select 1)",
    f"with x as (insert into raw_conversions values (1) returning *) {TOUCH}",
    f"with x as (delete from raw_conversions returning *) {TOUCH}",
    f"with x as (update raw_conversions set value = 0 returning *) {TOUCH}",
    f"copy ({TOUCH}) to 'letter.txt'",
    f"{TOUCH}; copy (select 1) to 'letter.txt'",
    f"select * from query($${TOUCH}$$)",
    "select * from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "create table t as select 1",
    "attach 'letter.txt' as other",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set threads = 1",
    "export database 'folder'",
    "import database 'folder'",
    "call checkpoint()",
    "explain analyze select 1",
    f"select write_log('a') as b, * from ({TOUCH})",
    "select * from duckdb_secrets()",
    "select * from arrow_scan(0, 0, 0)",
    "select * from enable_logging()",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_does_more_than_read_is_refused(
    query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.txt").write_text("precious")
    with pytest.raises(InputError, match="table 'touchpoints', query: "):
        at.load_sources(TableSpec(query=query), ORDERS)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    assert (tmp_path / "letter.txt").read_text() == "precious"


@pytest.mark.parametrize(
    "address",
    ["https://example.org/a.csv", "http://localhost:1/a.parquet", "hf://datasets/a/b.csv", "az://c/a.parquet"],
)
@pytest.mark.parametrize(
    "query",
    [
        "select * from '{}'",
        "select * from read_text('{}')",
        "select * from read_parquet(['local.parquet', '{}'])",
        "with x as (select * from read_csv('{}')) select 1 as a where 1 in (select 1 from x)",
    ],
)
def test_no_network_is_reached_but_by_documented_addresses(query: str, address: str) -> None:
    with pytest.raises(InputError, match=r"addresses of this kind cannot be read.*Allowed: s3://, gs://"):
        check_query("touchpoints", query.format(address))


def test_an_address_that_is_put_together_is_reached_by_nothing() -> None:
    query = "select * from read_text('https' || '://localhost:1/a.csv')"
    with pytest.raises(InputError, match="httpfs"):
        at.load_sources(TableSpec(query=query), ORDERS)


def test_a_connection_is_closed_for_good() -> None:
    engine = DuckDBEngine()
    for name in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
        assert engine.query(f"select current_setting('{name}') as v")["v"].to_pylist() == [False]
    with pytest.raises(InputError, match="locked"):
        engine.define("x", "select 1; set autoload_known_extensions = true; select 2")


def test_what_reads_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,day,via\nu,2024-01-01,letter\nv,2024-01-02,fair\n")
    for query in (
        "select who as customer_id, day as touched_at, via as channel from 'a.csv'",
        "from read_csv('a.csv') select who as customer_id, day as touched_at, via as channel;",
        "with recursive n as (select 1 as i union all select i + 1 from n where i < 3), "
        "t as materialized (select * from read_csv(['a.csv'], header = true)) "
        "select who as customer_id, day as touched_at, via as channel from t where exists (select 1 from n)",
        "(select who as customer_id, day as touched_at, via as channel from 'a.csv' where via like 'f%') "
        "union all by name "
        "(select who as customer_id, day as touched_at, via as channel from 'a.csv' where via not like 'f%')",
        "select u.x as customer_id, date '2024-01-01' as touched_at, 'copy' as channel from unnest(['u', 'v']) as u(x)",
        "values ('u', timestamp '2024-01-01', 'fair')",
    ):
        if query.startswith("values"):
            check_query("touchpoints", query)
            continue
        sources = at.load_sources(TableSpec(query=query), ORDERS, folder=tmp_path)
        assert sources.engine.query("select count(*) as n from touchpoints")["n"].to_pylist() == [2], query


@pytest.mark.parametrize(
    "where",
    [
        "true) union all select * from read_csv('other.csv') where (true",
        "true) limit (1",
        "true) group by (1",
        "true; copy (select 1) to 'letter.txt'",
        "exists (with x as (copy (select 1) to 'letter.txt') select 1)",
        "channel in (select * from 'https://example.org/names.csv')",
        "channel in (select a from query('select 1 as a'))",
        "",
        "-- all of them",
    ],
)
def test_a_filter_is_one_condition_that_only_reads(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touchpoints = pd.DataFrame({"customer_id": ["u"], "touched_at": ["2024-01-01"], "channel": ["fair"]})
    with pytest.raises(InputError, match="table 'touchpoints'"):
        at.load_sources(TableSpec(source=touchpoints, where=where), ORDERS)
    assert list(tmp_path.iterdir()) == []


def test_a_filter_may_end_in_a_comment_and_holds_as_a_whole() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["u", "v"], "touched_at": "2024-01-01", "channel": ["fair", "letter"]})
    for where in ("channel = 'fair' -- and nothing else", "channel = 'fair' or channel = 'none'"):
        sources = at.load_sources(TableSpec(source=touchpoints, where=where), ORDERS)
        assert sources.engine.query("select channel from touchpoints")["channel"].to_pylist() == ["fair"]


def test_a_filter_tells_whether_it_reads_more_than_its_rows() -> None:
    assert not reads_tables("channel = 'from x' and value between 1 and 2")
    assert reads_tables("value > (select avg(value) from 'orders.csv')")
    check_condition("touchpoints", "value > (select avg(value) from 'orders.csv')")
