"""Adapters: exports of well-known products, small and worked by hand, and the real export schemas.

The real files are not shipped, see `test_real_data`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution import load_sources
from attribution.data.adapters import adapt, adapter_names, read_adapter
from attribution.data.adapters.slots import fill, slots
from attribution.errors import InputError
from attribution.schema.experiment import TableSpec
from attribution.schema.tables import INPUTS
from tests.test_real_data import data_folder

FEEDABLE = {"touchpoints", "conversions", "costs", "identities", "customers"}
EXPORTS = [
    (name, table, place)
    for name in adapter_names()
    for table, exports in read_adapter(name).tables.items()
    for place in range(len(exports))
]
NAMED = pytest.mark.parametrize(("name", "table", "place"), EXPORTS, ids=lambda part: str(part))


def rows(
    adapter: str, table: str, source: pa.Table | Path, columns: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """What the adapter makes of an Arrow table or a file; CSV is read as text, as the package does."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    if isinstance(source, pa.Table):
        connection.register("raw", source)
    else:
        option = ", all_varchar = true" if source.suffix == ".csv" else ""
        connection.execute(f"create view raw as select * from read_{source.suffix[1:]}('{source}'{option})")
    schema = connection.sql("select * from raw limit 0").to_arrow_table().schema
    adapted = adapt(adapter, table, schema, columns=columns)
    return connection.sql(adapted.select("raw")).to_arrow_table().to_pylist()


def only(found: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in found]


# ---------------------------------------------------------------- the files themselves


def test_the_products_asked_for_are_there() -> None:
    assert set(adapter_names()) == {
        "ga4",
        "google_ads",
        "hubspot",
        "linkedin_ads",
        "matomo",
        "meta_ads",
        "microsoft_ads",
        "pinterest_ads",
        "reddit_ads",
        "rudderstack",
        "salesforce",
        "segment",
        "snowplow",
    }


@pytest.mark.parametrize("name", adapter_names())
def test_an_adapter_says_what_it_is(name: str) -> None:
    adapter = read_adapter(name)
    assert adapter.title
    assert adapter.schema.startswith("https://")
    assert set(adapter.tables) <= FEEDABLE


@NAMED
def test_an_export_feeds_known_columns_and_the_required_ones(name: str, table: str, place: int) -> None:
    export = read_adapter(name).tables[table][place]
    assert export.export
    contract = INPUTS[table]
    # A channel may come from the rules, out of the raw marketing fields.
    derived = {"channel"} if "url" in export.columns or "referrer" in export.columns else set()
    assert set(contract.required) - derived <= set(export.columns)
    if table == "customers":
        return  # segment columns of any name
    assert set(export.columns) <= {*contract.column_names, "kind"}


def raw_columns(name: str, table: str, place: int, *, everything: bool) -> pa.Schema:
    """A raw table of text columns that has the needed columns of an export, or all that it names."""
    wanted: dict[str, Any] = {}
    for template in read_adapter(name).tables[table][place].templates:
        for slot in slots(template):
            for path in slot.names if everything else slot.names[: 0 if slot.optional else 1]:
                first, *fields = path.split(".")
                into = wanted.setdefault(first, {} if fields else None)
                for depth, field in enumerate(fields, start=1):
                    into[field] = {} if depth < len(fields) and into.get(field) is None else into.get(field)
                    into = into[field]
    return pa.schema([pa.field(first.removesuffix("[]"), text_type(first, into)) for first, into in wanted.items()])


def text_type(name: str, fields: dict[str, Any] | None) -> pa.DataType:
    if name.endswith("[]"):
        number = {"int_value": pa.int64(), "float_value": pa.float64(), "double_value": pa.float64()}
        value = pa.struct([("string_value", pa.string()), *number.items()])
        return pa.list_(pa.struct([("key", pa.string()), ("value", value)]))
    return pa.string() if fields is None else pa.struct([(field, text_type(field, of)) for field, of in fields.items()])


@NAMED
def test_an_export_says_how_its_times_are_written(name: str, table: str, place: int) -> None:
    export = read_adapter(name).tables[table][place]
    has_times = bool({"touched_at", "converted_at"} & set(export.columns))
    assert has_times == (export.time_format is not None or export.time_zone is not None)


@NAMED
@pytest.mark.parametrize("everything", [True, False], ids=["all columns", "needed columns"])
def test_every_expression_is_sql_on_text_columns(name: str, table: str, place: int, everything: bool) -> None:
    export = read_adapter(name).tables[table][place]
    schema = raw_columns(name, table, place, everything=everything)
    sql = [fill(template, dict(zip(schema.names, schema.types, strict=True))) for template in export.templates]
    assert not any("{" in expression for expression in sql)
    with duckdb.connect() as connection:
        connection.register("raw", schema.empty_table())
        assert connection.sql(f"select {', '.join(sql)} from raw").fetchall() == []


@pytest.mark.parametrize(
    ("name", "table"),
    [
        (name, table)
        for name in adapter_names()
        for table, exports in read_adapter(name).tables.items()
        if len(exports) == 1  # otherwise another export may fit
    ],
)
def test_no_needed_column_can_be_spared(name: str, table: str) -> None:
    schema = raw_columns(name, table, 0, everything=False)
    assert adapt(name, table, schema).expressions
    for field in schema:
        rest = pa.schema([other for other in schema if other != field])
        with pytest.raises(InputError, match=f"adapter {name!r}: source column .*{field.name!r}.* is missing"):
            adapt(name, table, rest)


# ---------------------------------------------------------------- web analytics, worked by hand

NOON = 1_714_557_600_000_000  # 2024-05-01T10:00:00Z in microseconds
MINUTE = 60_000_000

VALUE = {
    "string_value": pa.string(),
    "int_value": pa.int64(),
    "float_value": pa.float64(),
    "double_value": pa.float64(),
}
COLLECTED = ["manual_campaign_id", "manual_campaign_name", "manual_source", "manual_medium"]
COLLECTED += ["manual_term", "manual_content", "gclid", "dclid", "srsltid"]
GA4 = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", pa.struct(list(VALUE.items())))]))),
        ("user_id", pa.string()),
        ("user_pseudo_id", pa.string()),
        ("traffic_source", pa.struct([(field, pa.string()) for field in ("name", "medium", "source")])),
        ("collected_traffic_source", pa.struct([(field, pa.string()) for field in COLLECTED])),
        ("ecommerce", pa.struct([("purchase_revenue", pa.float64()), ("transaction_id", pa.string())])),
    ]
)


def ga4_event(
    minute: int,
    event: str,
    params: Mapping[str, Any] | None = None,
    collected: Mapping[str, str] | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """One row of events_*; a parameter lies in the field of its type, as Google writes it."""
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    return {
        "event_date": "20240501",
        "event_timestamp": NOON + minute * MINUTE,
        "event_name": event,
        "event_params": [
            {"key": key, "value": dict.fromkeys(VALUE) | {kinds[type(value)]: value}}
            for key, value in (params or {}).items()
        ],
        "user_pseudo_id": "1.1",
        "traffic_source": {"name": "(organic)", "medium": "organic", "source": "google"},
        "collected_traffic_source": collected and dict.fromkeys(COLLECTED) | collected,
        **rest,
    }


SHOP = "https://shop.example/"
GA4_EVENTS = [
    ga4_event(0, "session_start", {"page_location": SHOP, "ga_session_id": 1}),
    ga4_event(
        1,
        "page_view",
        {"page_location": f"{SHOP}?gclid=Cj0", "page_referrer": "https://www.google.com/", "entrances": 1},
        {"gclid": "Cj0", "manual_source": "google", "manual_medium": "organic"},
    ),
    ga4_event(2, "page_view", {"page_location": f"{SHOP}a", "page_referrer": SHOP}),
    ga4_event(3, "scroll", {"page_location": f"{SHOP}a", "source": "google"}),
    ga4_event(4, "page_view", {"page_location": f"{SHOP}b", "source": "letter", "medium": "email", "campaign": "May"}),
    ga4_event(5, "page_view", {"page_location": SHOP, "entrances": 1}, user_pseudo_id="2.2", user_id="anna"),
    ga4_event(
        6,
        "page_view",
        {"page_location": SHOP},
        {"manual_campaign_name": "春", "manual_source": "bing", "manual_medium": "cpc", "manual_term": "tea"},
    ),
    ga4_event(
        7,
        "purchase",
        {"transaction_id": "T1", "value": 9, "currency": "EUR"},
        ecommerce={"purchase_revenue": 12.5, "transaction_id": "T1"},
        user_id="bob",
    ),
    ga4_event(
        8,
        "purchase",
        {"transaction_id": "T2", "value": 7},
        ecommerce={"purchase_revenue": None, "transaction_id": "(not set)"},
    ),
    ga4_event(9, "purchase", {"value": 3.25}, ecommerce=None),
    ga4_event(10, "refund", {"value": 3.25}, ecommerce={"purchase_revenue": 1.0, "transaction_id": "T1"}),
]


@pytest.fixture
def ga4(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(GA4_EVENTS, schema=GA4), tmp_path / "events_20240501.parquet")
    return tmp_path / "events_20240501.parquet"


def test_ga4_touchpoints_are_entries_and_new_campaigns(ga4: Path) -> None:
    found = rows("ga4", "touchpoints", ga4)
    assert only(found, "customer_id", "touched_at", "utm_source", "utm_medium", "utm_campaign", "gclid") == [
        ("1.1", NOON + 1 * MINUTE, "google", None, None, "Cj0"),
        ("1.1", NOON + 4 * MINUTE, "letter", "email", "May", None),
        ("2.2", NOON + 5 * MINUTE, None, None, None, None),
        ("1.1", NOON + 6 * MINUTE, "bing", "cpc", "春", None),
    ]
    assert found[0]["referrer"] == "https://www.google.com/"
    assert found[0]["url"] == f"{SHOP}?gclid=Cj0"
    assert found[3]["utm_term"] == "tea"
    assert {row["kind"] for row in found} == {"visit"}


def test_ga4_conversions_are_purchases(ga4: Path) -> None:
    assert only(rows("ga4", "conversions", ga4), "customer_id", "converted_at", "value", "conversion_id") == [
        ("1.1", NOON + 7 * MINUTE, 12.5, "T1"),
        ("1.1", NOON + 8 * MINUTE, 7.0, "T2"),
        ("1.1", NOON + 9 * MINUTE, 3.25, None),
    ]


def test_ga4_identities_are_browsers_on_which_a_user_was_known(ga4: Path) -> None:
    assert only(rows("ga4", "identities", ga4), "visitor_id", "customer_id") == [("2.2", "anna"), ("1.1", "bob")]


def test_ga4_exports_from_before_2023_have_no_collected_source(ga4: Path) -> None:
    old = pq.read_table(ga4).drop_columns(["collected_traffic_source", "user_id", "ecommerce"])
    found = rows("ga4", "touchpoints", old)
    assert only(found, "touched_at", "utm_source") == [
        (NOON + 1 * MINUTE, None),
        (NOON + 4 * MINUTE, "letter"),
        (NOON + 5 * MINUTE, None),
    ]
    assert "srsltid" not in found[0]
    assert only(rows("ga4", "conversions", old), "value", "conversion_id") == [(9.0, "T1"), (7.0, "T2"), (3.25, None)]


def ad_event(
    at: int, url: str, gclid: str | None, group: str | None, ads: str | None, manual: str | None
) -> dict[str, Any]:
    """A page view with what GA4 credits its session to, which export tables have since July 2024."""
    event = ga4_event(at, "page_view", {"page_location": url, "entrances": 1}, user_pseudo_id=str(at))
    collected = dict.fromkeys(GA4.field("collected_traffic_source").type.names) | {
        "gclid": gclid,
        "manual_campaign_name": manual,
    }
    session = {
        "google_ads_campaign": {"campaign_name": ads},
        "cross_channel_campaign": {"campaign_name": "cross", "default_channel_group": group},
    }
    return event | {"collected_traffic_source": collected, "session_traffic_source_last_click": session}


def test_ga4_says_campaign_and_channel_of_the_ads_that_it_tagged() -> None:
    raw = pa.Table.from_pylist(
        [
            ad_event(1, SHOP, "g", "Cross-network", "All products", None),
            ad_event(2, SHOP, "g", "Paid Video", "Awareness", "(organic)"),
            ad_event(3, f"{SHOP}?wbraid=w", None, "Display", None, None),
            ad_event(4, SHOP, "g", "Paid Search", "Ads name", "own name"),
            # A fault of the export, and a direct session that is credited to an ad of last week.
            ad_event(5, SHOP, "g", "Organic Search", None, None),
            ad_event(6, SHOP, None, "Paid Search", "Last week", None),
        ]
    )
    found = sorted(rows("ga4", "touchpoints", raw), key=lambda row: row["touched_at"])
    assert only(found, "channel_group", "utm_campaign") == [
        ("Cross-network", "All products"),
        ("Paid Video", "Awareness"),
        ("Display", "cross"),
        ("Paid Search", "own name"),
        (None, "cross"),
        (None, None),
    ]


def test_ga4_is_read_by_the_package_as_microseconds(ga4: Path) -> None:
    adapted = adapt("ga4", "conversions", GA4)
    assert adapted.time_format == "epoch_us"
    query = f"with raw as (select * from '{ga4}') {adapted.select('raw')}"
    sources = load_sources(conversions=TableSpec(query=query, time_format=adapted.time_format))
    found = sources.engine.query("select converted_at, value from conversions order by converted_at").to_pylist()
    assert found[0] == {"converted_at": NOON + 7 * MINUTE, "value": 12.5}


def test_ga4_as_json_text_is_refused(tmp_path: Path) -> None:
    text = pa.schema([(field.name, pa.int64() if field.name == "event_timestamp" else pa.string()) for field in GA4])
    with pytest.raises(InputError, match=r"'event_params' must be nested.*Given: string.*read_json"):
        adapt("ga4", "touchpoints", text)
    half = GA4.set(GA4.get_field_index("ecommerce"), pa.field("ecommerce", pa.string()))
    with pytest.raises(InputError, match="'ecommerce' must be nested"):
        adapt("ga4", "conversions", half)


def test_ga4_as_json_can_be_read_by_a_query(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text("\n".join(json.dumps(event) for event in GA4_EVENTS), encoding="utf-8")
    with duckdb.connect() as connection:
        raw = connection.sql(f"select * from read_json('{file}', sample_size = -1)").to_arrow_table()
    assert only(rows("ga4", "conversions", raw), "value", "conversion_id") == [(12.5, "T1"), (7.0, "T2"), (3.25, None)]
    assert len(rows("ga4", "touchpoints", raw)) == 4


SNOWPLOW = pa.table(
    {
        "event_name": ["page_view", "page_ping", "page_view", "page_view", "transaction", "transaction"],
        "event_id": ["e1", "e2", "e3", "e4", "e5", "e6"],
        "domain_userid": ["d1", "d1", "d1", None, "d1", "d1"],
        "user_id": [None, None, "u1", "u2", None, None],
        "derived_tstamp": [dt.datetime(2024, 5, 1, 10, minute) for minute in range(6)],
        "collector_tstamp": [dt.datetime(2024, 5, 2)] * 6,
        "mkt_source": ["google", None, None, None, None, None],
        "mkt_medium": ["cpc", None, None, None, None, None],
        "mkt_campaign": ["spring", None, None, None, None, None],
        "mkt_term": pa.nulls(6, pa.string()),
        "mkt_content": pa.nulls(6, pa.string()),
        "mkt_network": ["Google", None, None, "Microsoft", None, None],
        "mkt_clickid": ["g-1", None, None, "m-1", None, None],
        "refr_medium": ["search", "internal", "internal", None, None, None],
        "page_referrer": ["https://google.com/", SHOP, SHOP, None, None, None],
        "page_url": [SHOP, SHOP, SHOP, SHOP, SHOP, SHOP],
        "tr_orderid": [None, None, None, None, "o1", None],
        "tr_total": pa.array([None, None, None, None, 19.9, 0.0], pa.float64()),
    }
)


def test_snowplow_touchpoints_are_page_views_from_elsewhere() -> None:
    found = rows("snowplow", "touchpoints", SNOWPLOW)
    assert only(found, "customer_id", "touched_at", "utm_source", "gclid", "msclkid", "referrer") == [
        ("d1", dt.datetime(2024, 5, 1, 10, 0), "google", "g-1", None, "https://google.com/"),
        ("u2", dt.datetime(2024, 5, 1, 10, 3), None, None, "m-1", None),
    ]


def test_snowplow_conversions_have_a_total() -> None:
    assert only(rows("snowplow", "conversions", SNOWPLOW), "customer_id", "value", "conversion_id") == [
        ("d1", 19.9, "o1")
    ]
    assert only(rows("snowplow", "identities", SNOWPLOW), "visitor_id", "customer_id") == [("d1", "u1")]


def test_names_match_in_any_case() -> None:
    shouted = SNOWPLOW.rename_columns([name.upper() for name in SNOWPLOW.column_names])
    assert rows("snowplow", "touchpoints", shouted) == rows("snowplow", "touchpoints", SNOWPLOW)


PAGES = {
    "anonymous_id": ["a1", "a1", "a1", "a2"],
    "user_id": [None, "u1", None, None],
    "timestamp": ["2024-05-01T10:00:00Z", "2024-05-01T10:01:00Z", "2024-05-01T10:02:00Z", "2024-05-01T10:03:00Z"],
    "original_timestamp": ["2024-05-01T12:00:00Z"] * 4,
    "url": [f"{SHOP}?utm_source=x", f"{SHOP}a", "https://SHOP.example/b", SHOP],
    "context_campaign_source": ["x", None, None, None],
    "context_campaign_medium": ["social", None, None, None],
    "context_campaign_name": ["c", None, None, None],
}
ORDERS = pa.table(
    {
        "anonymous_id": ["a1", "a2", "a2"],
        "timestamp": ["2024-05-02T10:00:00Z", "2024-05-03T10:00:00Z", "2024-05-03T10:00:00Z"],
        "event": ["order_completed", "Order Completed", "Product Viewed"],
        "order_id": ["o1", "o2", None],
        "revenue": [10.0, 20.0, None],
        "total": [12.0, 24.0, None],
    }
)


@pytest.mark.parametrize(("name", "nothing"), [("segment", ""), ("rudderstack", "$direct")])
def test_segment_and_rudderstack_touchpoints_are_pages_reached_from_elsewhere(name: str, nothing: str) -> None:
    pages = pa.table({**PAGES, "referrer": ["https://social.example/p", SHOP, "https://shop.example/a", nothing]})
    found = rows(name, "touchpoints", pages)
    assert only(found, "customer_id", "touched_at", "utm_source", "utm_medium", "utm_campaign") == [
        ("a1", "2024-05-01T10:00:00Z", "x", "social", "c"),
        ("a2", "2024-05-01T10:03:00Z", None, None, None),
    ]
    assert (found[1]["referrer"] or "") == ""
    assert "utm_term" not in found[0]
    assert len(rows(name, "touchpoints", pa.table(PAGES))) == 4  # no referrer was ever sent
    assert only(rows(name, "conversions", ORDERS), "customer_id", "value", "conversion_id") == [
        ("a1", 10.0, "o1"),
        ("a2", 20.0, "o2"),
    ]
    assert len(rows(name, "conversions", ORDERS.drop_columns(["event"]))) == 3
    assert only(rows(name, "identities", pages), "visitor_id", "customer_id") == [("a1", "u1")]


def test_matomo_visits_and_conversions() -> None:
    visits = pa.table(
        {
            "idvisit": [1, 2, 3],
            "idvisitor": ["0a", "0b", "0b"],
            "user_id": [None, "u1", None],
            "visit_first_action_time": [dt.datetime(2024, 5, day) for day in (1, 2, 3)],
            "referer_type": [6, 2, 6],
            "referer_name": ["spring", "Google", "letter"],
            "referer_keyword": ["tea", None, None],
            "referer_url": ["https://ads.example/", "https://google.com/", None],
        }
    )
    columns = ("customer_id", "touched_at", "utm_campaign", "utm_term", "referrer")
    assert only(rows("matomo", "touchpoints", visits), *columns) == [
        ("0a", dt.datetime(2024, 5, 1), "spring", "tea", "https://ads.example/"),
        ("0b", dt.datetime(2024, 5, 2), None, None, "https://google.com/"),
        ("0b", dt.datetime(2024, 5, 3), "letter", None, None),
    ]
    plugin = visits.append_column("campaign_name", pa.array(["Spring!", None, None]))
    assert only(rows("matomo", "touchpoints", plugin), "utm_campaign") == [("Spring!",), (None,), ("letter",)]
    conversions = pa.table(
        {
            "idvisitor": ["0a", "0b", "0b"],
            "server_time": [dt.datetime(2024, 5, 4)] * 3,
            "idgoal": [0, 7, -1],
            "idorder": ["o1", None, None],
            "revenue": [9.5, 1.0, 4.0],
        }
    )
    assert only(rows("matomo", "conversions", conversions), "customer_id", "value", "conversion_id", "kind") == [
        ("0a", 9.5, "o1", "order"),
        ("0b", 1.0, None, "goal 7"),
    ]
    assert only(rows("matomo", "identities", visits), "visitor_id", "customer_id") == [("0b", "u1")]


# ---------------------------------------------------------------- CRM, worked by hand


def test_hubspot_emails_are_clicks_and_impressions_of_an_address() -> None:
    events = pa.table(
        {
            "recipient": ["Ann@x.example", "ann@x.example", "bob@x.example", "bob@x.example"],
            "created": [1_714_557_600_000, 1_714_557_660_000, 1_714_557_720_000, 1_714_557_780_000],
            "type": ["OPEN", "CLICK", "SENT", "CLICK"],
            "emailCampaignId": [7, 7, 7, 8],
            "filteredEvent": [False, False, False, True],
        }
    )
    assert only(rows("hubspot", "touchpoints", events), "customer_id", "channel", "kind", "campaign") == [
        ("ann@x.example", "Email", "impression", 7),
        ("ann@x.example", "Email", "click", 7),
    ]


DEALS = {
    "contact_id": [1, 2, 3],
    "deal_id": [11, 12, 13],
    "closedate": ["2024-05-01T10:00:00Z"] * 3,
    "amount": ["100", "200", "300"],
}


@pytest.mark.parametrize(
    ("column", "values"),
    [("hs_is_closed_won", ["true", "false", "true"]), ("dealstage", ["closedwon", "closedlost", "closedwon"])],
)
def test_hubspot_won_deals_are_conversions(column: str, values: list[str]) -> None:
    deals = pa.table({**DEALS, column: values, "is_deleted": [False, False, True]})
    assert only(rows("hubspot", "conversions", deals), "customer_id", "value", "conversion_id", "kind") == [
        (1, "100", 11, "won")
    ]


def test_hubspot_contacts_are_leads_identities_and_customers() -> None:
    contacts = pa.table(
        {
            "id": [1, 2, 3],
            "property_email": ["Ann@x.example", None, "cy@x.example"],
            "property_first_conversion_date": ["2024-05-01 10:00:00", None, "2024-05-02 10:00:00"],
            "property_company": ["Acme", "Acme", "Beta"],
            "_fivetran_deleted": ["FALSE", "FALSE", "TRUE"],
        }
    )
    leads = rows("hubspot", "conversions", contacts)
    assert only(leads, "customer_id", "converted_at", "kind") == [(1, "2024-05-01 10:00:00", "lead")]
    assert "value" not in leads[0]
    assert rows("hubspot", "identities", contacts)[0] == {"visitor_id": "ann@x.example", "customer_id": "1"}
    assert only(rows("hubspot", "customers", contacts), "customer_id", "company") == [(1, "Acme"), (2, "Acme")]


def test_hubspot_calls_and_meetings_are_touchpoints_of_a_contact() -> None:
    call = pa.table({"contact_id": [1], "property_hs_timestamp": ["2024-05-01 10:00:00"], "type": ["CALL"]})
    assert only(rows("hubspot", "touchpoints", call), "customer_id", "channel", "kind") == [
        (1, "Sales Call", "phone_call")
    ]
    meeting = pa.table({"contact_id": [1], "start_time": ["2024-05-01 10:00:00"]})
    assert only(rows("hubspot", "touchpoints", meeting), "channel", "kind") == [("Sales Meeting", "sales_visit")]


def test_salesforce_by_its_own_names() -> None:
    tasks = pa.table(
        {
            "AccountId": ["a1", "a1", "a2", "a2"],
            "ActivityDate": [dt.date(2024, 5, day) for day in (1, 2, 3, 4)],
            "TaskSubtype": ["Call", "Email", "Task", "Task"],
            "IsClosed": [True, True, True, False],
            "IsDeleted": [False] * 4,
        }
    )
    assert only(rows("salesforce", "touchpoints", tasks), "customer_id", "touched_at", "channel", "kind") == [
        ("a1", dt.date(2024, 5, 1), "Sales Call", "phone_call"),
        ("a1", dt.date(2024, 5, 2), "Sales Email", "email"),
        ("a2", dt.date(2024, 5, 3), "Sales Task", "task"),
    ]
    contacts = pa.table({"Id": ["c1", "c2"], "AccountId": ["a1", None]})
    assert rows("salesforce", "identities", contacts) == [{"visitor_id": "c1", "customer_id": "a1"}]
    assert only(rows("salesforce", "customers", contacts), "customer_id", "account") == [("c1", "a1"), ("c2", None)]
    opportunities = pa.table(
        {
            "Id": ["o1", "o2", "o3"],
            "AccountId": ["a1", "a1", "a2"],
            "Amount": [100.0, 5.0, 7.0],
            "CloseDate": [dt.date(2024, 6, 1)] * 3,
            "IsWon": [True, False, True],
            "IsDeleted": [False, False, True],
        }
    )
    assert rows("salesforce", "conversions", opportunities) == [
        {
            "customer_id": "a1",
            "converted_at": dt.date(2024, 6, 1),
            "value": 100.0,
            "conversion_id": "o1",
            "kind": "won",
        }
    ]


# ---------------------------------------------------------------- costs, worked by hand


def costs(name: str, **columns: list[Any]) -> list[dict[str, Any]]:
    return rows(name, "costs", pa.table(columns))


def test_google_ads_types_and_networks_are_channels() -> None:
    networks = ["SEARCH", "SEARCH_PARTNERS", "CONTENT", "YOUTUBE_WATCH", "MIXED", "UNKNOWN"]
    found = costs("google_ads", date=["2024-05-01"] * 6, id=[1] * 6, cost_micros=[1] * 6, ad_network_type=networks)
    expected = ["Paid Search", "Paid Search", "Display", "Paid Video", "Cross-network", "Paid Search"]
    assert [row["channel"] for row in found] == expected
    types = ["SEARCH", "SHOPPING", "PERFORMANCE_MAX", "VIDEO", "DISPLAY"]
    found = costs(
        "google_ads", segments_date=[dt.date(2024, 5, 1)] * 5, metrics_cost_micros=[2_500_000] * 5,
        campaign_name=["α"] * 5, advertising_channel_type=types, ad_network_type=["SEARCH"] * 5,
    )  # fmt: skip
    expected = ["Paid Search", "Paid Shopping", "Cross-network", "Paid Video", "Display"]
    assert [row["channel"] for row in found] == expected
    assert only(found[:1], "campaign", "day", "amount") == [("α", dt.date(2024, 5, 1), 2.5)]
    assert costs("google_ads", date=["2024-05-01"], cost_micros=["1500000"]) == [
        {"channel": "Paid Search", "day": "2024-05-01", "amount": 1.5}
    ]


def test_microsoft_ads_reports_by_either_name() -> None:
    found = costs(
        "microsoft_ads", TimePeriod=["2024-05-01"] * 4, CampaignName=list("abcd"), Spend=["1.5"] * 4,
        CampaignType=["Search & content", "Shopping", "Audience", "Performance max"],
    )  # fmt: skip
    assert only(found, "channel", "campaign", "amount") == [
        ("Paid Search", "a", "1.5"),
        ("Paid Shopping", "b", "1.5"),
        ("Display", "c", "1.5"),
        ("Cross-network", "d", "1.5"),
    ]
    assert costs("microsoft_ads", date=["2024-05-01"], campaign_id=[7], spend=[2.5]) == [
        {"channel": "Paid Search", "campaign": 7, "day": "2024-05-01", "amount": 2.5}
    ]


def test_meta_insights_are_periods() -> None:
    assert costs("meta_ads", campaign_name=["c"], date_start=["2024-05-01"], date_stop=["2024-05-31"], spend=["9"]) == [
        {
            "channel": "Paid Social",
            "campaign": "c",
            "period_start": "2024-05-01",
            "period_end": "2024-05-31",
            "amount": "9",
        }
    ]


def test_meta_ads_are_days() -> None:
    assert costs("meta_ads", date=["2024-05-01"], ad_id=[1], spend=["76.53"]) == [
        {"channel": "Paid Social", "day": "2024-05-01", "amount": "76.53"}
    ]


def test_pinterest_and_reddit_count_millionths() -> None:
    found = costs("pinterest_ads", date=["2024-05-01"], campaign_name=["c"], spend_in_micro_dollar=["2250000"])
    assert found == [{"channel": "Paid Social", "campaign": "c", "day": "2024-05-01", "amount": 2.25}]
    found = costs("reddit_ads", date=["2024-05-01"], account_id=[1], spend=[417_638_836])
    assert found == [{"channel": "Paid Social", "day": "2024-05-01", "amount": 417.638836}]


def test_pinterest_in_whole_units() -> None:
    found = costs("pinterest_ads", DATE=["2024-05-01"], CAMPAIGN_NAME=["c"], SPEND_IN_DOLLAR=["2.5"])
    assert found == [{"channel": "Paid Social", "campaign": "c", "day": "2024-05-01", "amount": "2.5"}]


def test_linkedin_takes_one_currency_for_all_rows() -> None:
    found = costs("linkedin_ads", day=["2024-05-01"] * 2, cost_in_local_currency=["0", "8"], cost_in_usd=[None, "9"])
    assert [row["amount"] for row in found] == ["0", "8"]
    assert costs("linkedin_ads", day=["2024-05-01"], costInUsd=[9.0])[0]["amount"] == 9.0


# ---------------------------------------------------------------- the user's own columns, refusals

PLAIN = pa.table(
    {"date": ["2024-05-01"], "id": [1], "cost_micros": [1_000_000], "cost": [3], "brand": ["Search, brand"]}
)


def test_own_columns_take_the_place_of_the_adapters() -> None:
    assert rows("google_ads", "costs", PLAIN, {"amount": "cost", "channel": "brand"}) == [
        {"campaign": 1, "day": "2024-05-01", "amount": 3, "channel": "Search, brand"}
    ]


def test_what_only_a_replaced_column_needs_may_be_missing() -> None:
    raw = PLAIN.drop_columns(["cost_micros"])
    assert rows("google_ads", "costs", raw, {"amount": "cost"})[0]["amount"] == 3


def test_own_times_are_read_as_the_user_says() -> None:
    own = adapt("ga4", "touchpoints", GA4, columns={"touched_at": "event_date"})
    assert (own.time_format, own.time_zone) == (None, None)
    assert own.expressions["touched_at"] == '"event_date"'
    other = adapt("ga4", "touchpoints", GA4, columns={"customer_id": "user_id"})
    assert other.time_format == "epoch_us"


@settings(max_examples=30)
@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_own_columns_may_have_any_name(name: str) -> None:
    raw = pa.table({"date": ["2024-05-01"], "spend": [2]}).rename_columns(["date", name])
    if name.lower() != "date":
        assert rows("meta_ads", "costs", raw, {"amount": name})[0]["amount"] == 2


def test_own_columns_must_be_there() -> None:
    with pytest.raises(InputError, match=r"table 'costs': source column 'cots' \(for 'amount'\) is missing.*'cost'"):
        adapt("google_ads", "costs", PLAIN.schema, columns={"amount": "cots"})


def test_a_missing_source_column_is_named_with_what_is_there() -> None:
    raw = pa.schema([("date", pa.string()), ("cost_micro", pa.int64())])
    with pytest.raises(InputError) as caught:
        adapt("google_ads", "costs", raw)
    assert str(caught.value) == (
        "table 'costs', adapter 'google_ads': source column 'cost_micros' or 'metrics_cost_micros' is missing. "
        "Given: ['date', 'cost_micro']. Allowed: campaign_stats; campaign report, downloaded by day. "
        "Hint: did you mean 'cost_micro'?"
    )


def test_of_several_exports_the_nearest_is_named() -> None:
    raw = pa.schema([("contact_id", pa.int64()), ("deal_id", pa.int64()), ("property_closedate", pa.string())])
    with pytest.raises(
        InputError, match=r"'property_hs_is_closed_won' or .*'dealstage' is missing.*deal with.*; contact"
    ):
        adapt("hubspot", "conversions", raw)
    raw = pa.schema([("contact_id", pa.int64()), ("begin", pa.string())])
    with pytest.raises(InputError, match=r"'property_hs_timestamp' or .*Hint: if it has another name: columns ="):
        adapt("hubspot", "touchpoints", raw)
    raw = pa.schema([("id", pa.string()), ("url", pa.string()), ("referer", pa.string())])
    with pytest.raises(InputError, match=r"source column 'recipient' is missing.*email_event with its clicks"):
        adapt("hubspot", "touchpoints", raw)


def test_unknown_adapters_and_tables_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown adapter.*'snowplough'.*ga4, .*did you mean 'snowplow'"):
        adapt("snowplough", "touchpoints", PLAIN.schema)
    with pytest.raises(
        InputError, match=r"'google_ads'.*has no such table.*Allowed: costs.*adapters for 'touchpoints' are ga4,"
    ):
        adapt("google_ads", "touchpoints", PLAIN.schema)
    with pytest.raises(InputError, match=r"'ga4'.*has no such table.*Allowed: touchpoints, conversions, identities"):
        adapt("ga4", "paths", PLAIN.schema)


# ---------------------------------------------------------------- the real export schemas


@pytest.fixture(scope="module")
def exports() -> Path:
    folder = data_folder()
    if folder is None or not (folder / "crm-ads-export-schemas").is_dir():
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    return folder / "crm-ads-export-schemas"


def loaded(adapter: str, table: str, raw: str, schema: pa.Schema) -> list[dict[str, Any]]:
    """What the package reads of the adapted rows of a query."""
    adapted = adapt(adapter, table, schema)
    spec = TableSpec(
        query=f"with raw as ({raw}) {adapted.select('raw')}",
        time_format=adapted.time_format,
        time_zone=adapted.time_zone,
    )
    order = pd.DataFrame({"customer_id": ["x"], "converted_at": ["2024-05-01T00:00:00Z"]})
    given: dict[str, Any] = {"conversions": order, table: spec}
    sources = load_sources(**given)
    return sources.engine.query(f"select * from {table}").to_pylist()


def csv(exports: Path, name: str) -> str:
    return f"select * from read_csv('{exports / name}.csv', all_varchar = true)"


def schema_of(raw: str) -> pa.Schema:
    with duckdb.connect() as connection:
        return connection.sql(raw).to_arrow_table().schema


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "spend", "micro", "day", "channel", "campaign"),
    [
        ("google_ads", "google_ads_campaign_stats", "cost_micros", 1e6, "date", "Paid Search", "id"),
        ("meta_ads", "facebook_ads_basic_ad", "spend", 1, "date", "Paid Social", None),
        ("linkedin_ads", "linkedin_ad_analytics_by_campaign", "cost_in_local_currency", 1, "day", "Paid Social",
         "campaign_id"),
        ("pinterest_ads", "pinterest_campaign_report", "spend_in_micro_dollar", 1e6, "date", "Paid Social",
         "campaign_name"),
        ("reddit_ads", "reddit_ads_account_report", "spend", 1e6, "date", "Paid Social", None),
    ],
)  # fmt: skip
def test_real_costs_are_read_in_currency_and_days(
    exports: Path, name: str, file: str, spend: str, micro: float, day: str, channel: str, campaign: str | None
) -> None:
    raw = csv(exports, file)
    found = pd.DataFrame(loaded(name, "costs", raw, schema_of(raw)))
    frame = pd.read_csv(exports / f"{file}.csv")
    assert sorted(found["amount"]) == sorted(frame[spend] / micro)
    assert sorted(found["day"]) == sorted(pd.to_datetime(frame[day]).dt.date)
    assert set(found["channel"]) == {channel}
    if campaign is None:
        assert "campaign" not in found
    else:
        assert sorted(found["campaign"]) == sorted(frame[campaign].astype(str))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "first"),
    [
        ("google_ads", "google_ads_campaign_stats", (dt.date(2021, 2, 1), 36.15)),
        ("meta_ads", "facebook_ads_basic_ad", (dt.date(2020, 12, 10), 76.53)),
        ("linkedin_ads", "linkedin_ad_analytics_by_campaign", (dt.date(2020, 3, 28), 50.2)),
        ("pinterest_ads", "pinterest_campaign_report", (dt.date(2023, 6, 1), 2.25)),
        ("reddit_ads", "reddit_ads_account_report", (dt.date(2022, 11, 25), 417.638836)),
    ],
)
def test_a_real_cost_looked_up_by_eye(exports: Path, name: str, file: str, first: tuple[dt.date, float]) -> None:
    raw = csv(exports, file)
    assert first in only(loaded(name, "costs", raw, schema_of(raw)), "day", "amount")


@pytest.mark.data
def test_real_microsoft_campaigns_have_a_type_but_no_spend(exports: Path) -> None:
    raw = csv(exports, "microsoft_ads_campaign_history")
    with pytest.raises(InputError, match=r"'microsoft_ads': source column 'date' or .* is missing"):
        adapt("microsoft_ads", "costs", schema_of(raw))
    joined = f"select 'day' as time_period, '1.5' as spend, name as campaign_name, type from ({raw})"
    joined = joined.replace("'day'", "'2024-05-01'")
    found = loaded("microsoft_ads", "costs", joined, schema_of(joined))
    assert len(found) == 10
    assert {(row["channel"], row["amount"], row["day"]) for row in found} == {("Paid Search", 1.5, dt.date(2024, 5, 1))}


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "count", "kinds"),
    [
        ("salesforce_task", 10, {("Sales Task", "task")}),
        ("salesforce_event", 10, {("Sales Call", "phone_call"), ("Sales Meeting", "sales_visit")}),
    ],
)
def test_real_salesforce_activities(exports: Path, file: str, count: int, kinds: set[tuple[str, str]]) -> None:
    raw = csv(exports, file)
    found = loaded("salesforce", "touchpoints", raw, schema_of(raw))
    frame = pd.read_csv(exports / f"{file}.csv", dtype=str)
    assert set(only(found, "channel", "kind")) == kinds
    assert len(found) == count
    assert sorted(str(row["customer_id"]) for row in found) == sorted(frame["account_id"].fillna("None"))
    assert {row["touched_at"] for row in found} == {1_573_493_014_000_000}  # 2019-11-11 17:23:34, UTC


@pytest.mark.data
def test_real_salesforce_opportunities_are_all_deleted(exports: Path) -> None:
    raw = csv(exports, "salesforce_opportunity")
    assert rows("salesforce", "conversions", exports / "salesforce_opportunity.csv") == []
    kept = raw.replace("*", "* replace ('false' as is_deleted)")
    found = rows("salesforce", "conversions", duckdb.sql(kept).to_arrow_table())
    frame = pd.read_csv(exports / "salesforce_opportunity.csv", dtype=str).query("is_won == 'true'")
    assert len(found) == len(frame) == 5
    assert only(found[:1], "customer_id", "converted_at", "value", "conversion_id") == [
        ("9CcfAt8qtZvCTwFvwOFLcg==", "2018-12-19 00:00:00", "24120000", "006q000000HddohAAB")
    ]
    accounts = rows("salesforce", "customers", exports / "salesforce_account.csv")
    assert only(accounts, "customer_id", "industry") == [("0015500000Xyy06AAB", None)]


@pytest.mark.data
def test_real_hubspot_deals_joined_with_contacts_and_stages(exports: Path) -> None:
    with pytest.raises(InputError, match="'hubspot': source column 'contact_id' is missing"):
        rows("hubspot", "conversions", exports / "hubspot_deal.csv")
    raw = (
        f"select d.*, c.contact_id, s.closed_won from ({csv(exports, 'hubspot_deal')}) d "
        f"left join ({csv(exports, 'hubspot_deal_contact')}) c using (deal_id) "
        f"left join ({csv(exports, 'hubspot_deal_pipeline_stage')}) s on s.stage_id = d.deal_pipeline_stage_id"
    )
    assert rows("hubspot", "conversions", duckdb.sql(raw).to_arrow_table()) == []  # the keys of these files do not join
    won = raw.replace("s.closed_won", "'TRUE' as closed_won")
    found = rows("hubspot", "conversions", duckdb.sql(won).to_arrow_table())
    frame = pd.read_csv(exports / "hubspot_deal.csv", dtype=str)
    assert sorted(row["conversion_id"] for row in found) == sorted(frame.query("is_deleted == 'false'")["deal_id"])


@pytest.mark.data
def test_real_hubspot_contacts(exports: Path) -> None:
    file = exports / "hubspot_contact.csv"
    frame = pd.read_csv(file, dtype=str)
    leads = rows("hubspot", "conversions", file)
    assert only(leads, "customer_id", "converted_at") == list(
        zip(frame["id"], frame["property_first_conversion_date"], strict=True)
    )
    links = rows("hubspot", "identities", file)
    assert only(links, "visitor_id", "customer_id") == list(zip(frame["property_email"], frame["id"], strict=True))
    assert rows("hubspot", "customers", file)[0] == {
        "customer_id": "78971951",
        "company": "SampleCompany",
        "job_title": None,
        "annual_revenue": "111111",
    }


@pytest.mark.data
@pytest.mark.parametrize(("file", "kind"), [("click", "click"), ("open", "impression")])
def test_real_hubspot_email_events_need_their_recipient(exports: Path, file: str, kind: str) -> None:
    raw = csv(exports, f"hubspot_email_event_{file}")
    with pytest.raises(InputError, match="adapter 'hubspot': source column 'recipient' is missing"):
        adapt("hubspot", "touchpoints", schema_of(raw))
    joined = f"select e.*, 'A@x' as recipient, _fivetran_synced as created, '{file}' as type from ({raw}) e"
    found = loaded("hubspot", "touchpoints", joined, schema_of(joined))
    assert len(found) == 100
    assert {(row["customer_id"], row["channel"], row["kind"]) for row in found} == {("a@x", "Email", kind)}


@pytest.mark.data
def test_real_hubspot_calls_and_meetings_with_a_contact(exports: Path) -> None:
    call = f"select *, 7 as contact_id from ({csv(exports, 'hubspot_engagement_call')})"
    found = loaded("hubspot", "touchpoints", call, schema_of(call))
    assert only(found, "customer_id", "touched_at", "channel") == [("7", 1_409_172_644_778_000, "Sales Call")]
    meeting = f"select *, 7 as contact_id from ({csv(exports, 'hubspot_engagement_meeting')})"
    found = loaded("hubspot", "touchpoints", meeting, schema_of(meeting))
    assert len(found) == 100
    assert 1_569_502_800_000_000 in {row["touched_at"] for row in found}  # 2019-09-26 13:00, UTC


@pytest.mark.data
def test_real_snowplow_events(exports: Path) -> None:
    folder = exports.parent / "snowplow-fractribution-fixtures"
    file = folder / "snowplow_fractribution_events.csv"
    found = rows("snowplow", "touchpoints", file)
    sessions = pd.read_csv(folder / "snowplow_fractribution_sessions_by_customer_id_expected.csv")
    mine = sorted(only(found, "customer_id", "utm_source", "utm_medium", "utm_campaign"))
    assert mine == sorted(
        zip(sessions["customer_id"].str[1:], sessions["source"], sessions["medium"], sessions["campaign"], strict=True)
    )
    orders = pd.read_csv(folder / "snowplow_fractribution_conversions_by_customer_id_expected.csv")
    conversions = rows("snowplow", "conversions", file)
    assert sorted((row["customer_id"], float(row["value"])) for row in conversions) == sorted(
        zip(orders["customer_id"].str[1:], orders["revenue"], strict=True)
    )
