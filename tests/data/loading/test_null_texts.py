"""Texts that mean nothing are null, counted and said, in whatever way a table is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.data.nothing import free_mail, texts_of
from attribution.errors import InputError

NOBODY = ["undefined", "NULL", " None ", "(not set)", "N/A", "-1", "0", "00000000-0000-0000-0000-000000000000"]


def visits(ids: list[Any], channels: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids, "touched_at": "2026-03-01", "channel": channels or "mail"})


def orders(*ids: Any, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": list(ids), "converted_at": "2026-03-02", **columns})


def column(sources: at.Sources, table: str, name: str) -> list[Any]:
    found = sources.engine.query(f"select {name} as v from {table}")["v"].to_pylist()
    return sorted(value for value in found if value is not None)


def said(sources: at.Sources, check: str = "null_texts") -> dict[str, tuple[float, float | None]]:
    return {each.table: (each.count, each.total) for each in sources.findings if each.check == check}


@pytest.mark.parametrize("way", ["csv", "parquet", "json", "frame", "arrow", "query"])
def test_nobody_is_nobody_in_every_way_of_reading(way: str, tmp_path: Path) -> None:
    frame, path = visits([*NOBODY, "ann"]), tmp_path / f"visits.{way}"
    source: Any = {"frame": frame, "arrow": pa.Table.from_pandas(frame)}.get(way, path)
    if way == "csv":
        frame.to_csv(path, index=False)
    elif way == "json":
        frame.to_json(path, orient="records", lines=True)
    elif way in ("parquet", "query"):
        frame.to_parquet(path)
        source = f"select * from read_parquet('{path}')" if way == "query" else path
    sources = at.load_sources(source, orders("ann"))
    assert column(sources, "touchpoints", "customer_id") == ["ann"]
    assert said(sources) == {"touchpoints": (8, 9)}


@pytest.mark.parametrize(
    ("ids", "stay"),
    [
        ([0, 1, 2], [0, 1, 2]),  # numbers that count from 0
        (["0", "1", "2"], ["0", "1", "2"]),
        ([0] * 21 + [1, 2], [1, 2]),  # guests of a shop, and its first customers
        ([0, 0, 1_001, 1_002], [1_001, 1_002]),
        ([0, 1_001, 1_002], [0, 1_001, 1_002]),
        (["0", "u-1"], ["u-1"]),
        ([-1, 4], [4]),
        ([-1.0, 4.0, None], [4]),
    ],
)
def test_when_zero_is_somebody(ids: list[Any], stay: list[Any]) -> None:
    sources = at.load_sources(visits(ids), orders(stay[-1]))
    assert column(sources, "touchpoints", "customer_id") == stay


def test_what_means_nothing_depends_on_the_column() -> None:
    assert {"unknown", "guest"} <= texts_of("ids")
    assert not {"unknown", "(none)", "0"} & texts_of("channels")
    assert "na" in texts_of("channels")
    assert "na" not in texts_of("names")
    frame = visits(["a", "b", "c", "d"], ["Unknown", "NaN", "0", "-1"]).assign(campaign=["NA", "-", "guest", "null"])
    sources = at.load_sources(frame, orders("a"))
    assert column(sources, "touchpoints", "channel") == ["0", "Unknown"]
    assert column(sources, "touchpoints", "campaign") == ["NA", "guest"]
    assert [each.count for each in sources.findings if each.check == "null_texts"] == [2, 2]


def test_ids_of_conversions_that_mean_nothing_are_not_one_conversion() -> None:
    sources = at.load_sources(visits(["a"]), orders("a", "b", "c", conversion_id=["null", "null", "null"]))
    assert column(sources, "conversions", "conversion_id") == []
    journeys = at.build_journeys(sources)
    assert sum(int(chunk.conversions.sum()) for chunk in journeys.chunks) == 3


def test_links_to_nobody_join_nobody() -> None:
    links = pd.DataFrame({"visitor_id": ["v1", "v2", "v3"], "customer_id": ["undefined", "undefined", "ann"]})
    sources = at.load_sources(visits(["v1", "v2", "v3"]), orders("ann"), identities=links)
    assert column(sources, "touchpoints", "customer_id") == ["ann", "v1", "v2"]
    assert said(sources) == {"identities": (2, 3)}


def test_a_free_mail_domain_is_no_company() -> None:
    customers = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "firm": ["Gmail.com", "gmail.com", "acme", "acme"]})
    sources = at.load_sources(visits(["a", "b", "c", "d"]), orders("a"), customers=customers, account="firm")
    assert column(sources, "touchpoints", "customer_id") == ["a", "b", "c", "c"]
    assert said(sources, "free_mail") == {"customers": (2, 4)}
    kept = at.TableSpec(source=customers, null_texts={"keep": ["gmail.com"]})
    joined = at.load_sources(visits(["a", "b"]), orders("a"), customers=kept, account="firm")
    # "Gmail.com" and "gmail.com" are two accounts, as they are written.
    assert column(joined, "touchpoints", "customer_id") == ["a", "b"]
    assert "gmail.com" in free_mail()


def test_a_cost_of_no_channel_is_refused_or_shared() -> None:
    costs = pd.DataFrame({"channel": ["mail", "(not set)"], "amount": [1.0, 2.0]})
    with pytest.raises(InputError, match=r"mean nothing in 1 of 2 rows. Given: '\(not set\)'"):
        at.load_sources(visits(["a"]), orders("a"), costs)
    sources = at.load_sources(visits(["a"]), orders("a"), costs.assign(cost_type="tools"))
    assert column(sources, "costs", "channel") == ["mail"]


def test_texts_are_kept_and_added_by_one_key() -> None:
    frame = visits(["a", "b", "c"], ["None", "tbd", "undefined"])
    spec = at.TableSpec(source=frame, null_texts={"keep": ["none"], "add": ["TBD"]})
    assert column(at.load_sources(spec, orders("a")), "touchpoints", "channel") == ["None"]
    for key, word, hint in (("keep", "undefinde", "did you mean 'undefined'"), ("add", "null", "null anyway")):
        wrong = at.TableSpec(source=frame, null_texts={key: [word]})
        with pytest.raises(InputError, match=hint):
            at.load_sources(wrong, orders("a"))


@pytest.mark.parametrize("path", [["mail > null > tv", "(not set)"], [["mail", "null", "tv"], ["(not set)"]]])
def test_steps_that_mean_nothing_are_left_out_of_paths(path: list[Any]) -> None:
    journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": path, "conversions": [2, 1]})))
    assert journeys.channels == ("mail", "tv")
    credit = at.Linear().fit(journeys).credit_.to_frame().set_index("channel")["conversions"]
    assert credit.to_dict() == {"mail": 1.0, "tv": 1.0, "(unattributed)": 1.0}


def test_a_filter_says_what_it_leaves_out_and_what_it_cannot_tell() -> None:
    frame = visits(["a", "b", "c", "d"]).assign(label=["test", None, None, "live"])
    sources = at.load_sources(at.TableSpec(source=frame, where="label <> 'test'"), orders("d"))
    (finding,) = [each for each in sources.findings if each.check == "where"]
    assert (finding.status, finding.count, finding.total) == ("warn", 3, 4)
    assert "in 2 of them" in finding.message
    whole = at.load_sources(at.TableSpec(source=frame, where="coalesce(label, '') <> 'test'"), orders("d"))
    (finding,) = [each for each in whole.findings if each.check == "where"]
    assert (finding.status, finding.count) == ("pass", 1)


@pytest.mark.parametrize(
    ("day", "time_format"), [("03/01/2026", "%m/%d/%Y"), (20260301, "%Y%m%d"), (1_772_323_200, "epoch_s")]
)
def test_days_of_costs_and_rates_are_read_as_told(day: Any, time_format: str) -> None:
    costs = at.TableSpec(
        source=pd.DataFrame({"channel": ["mail"], "amount": [1.0], "day": [day]}), time_format=time_format
    )
    rates = at.TableSpec(
        source=pd.DataFrame({"currency": ["USD"], "rate": [2.0], "day": [day]}), time_format=time_format
    )
    sources = at.load_sources(visits(["a"]), orders("a"), costs, rates=rates)
    for table in ("costs", "rates"):
        assert [str(value) for value in column(sources, table, "day")] == ["2026-03-01"]


@pytest.mark.parametrize(
    ("key", "value"), [("time_zone", "Europe/Paris"), ("separator", "|"), ("time_format", "%d/%m/%Y")]
)
def test_a_key_without_effect_in_a_table_is_refused(key: str, value: str) -> None:
    costs = at.TableSpec(source=pd.DataFrame({"channel": ["mail"], "amount": [1.0]}), **{key: value})
    with pytest.raises(InputError, match=f"{key} has no effect"):
        at.load_sources(visits(["a"]), orders("a"), costs)


def test_deals_on_an_account_are_those_of_its_customers() -> None:
    customers = pd.DataFrame({"customer_id": ["c1", "c2", "beta"], "firm": ["acme", "acme", "beta"]})
    sources = at.load_sources(
        visits(["c1", "c2", "beta"]), orders("acme", "beta", "c2"), customers=customers, account="firm"
    )
    # An account that a customer is called like cannot be told from the customer.
    assert column(sources, "conversions", "customer_id") == ["beta", "c1", "c1"]
    (finding,) = [each for each in sources.findings if each.check == "account_ids"]
    assert (finding.count, finding.total, finding.example) == (1, 3, "acme")


def test_numbers_of_accounts_are_ids_only_where_no_customer_has_one() -> None:
    customers = pd.DataFrame({"customer_id": [11, 12, 13], "firm": [501, 501, 502]})
    apart = at.load_sources(visits([11, 12, 13]), orders(501), customers=customers, account="firm")
    assert column(apart, "conversions", "customer_id") == [11]
    mixed = customers.assign(firm=[501, 501, 11])
    shared = at.load_sources(visits([11, 12, 13]), orders(501), customers=mixed, account="firm")
    assert column(shared, "conversions", "customer_id") == [501]
