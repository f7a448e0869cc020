"""From raw columns, codes, identities and accounts to journeys; every expected journey is worked by hand."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.data.channels import ChannelRules, read_rules
from attribution.data.engine import DuckDBEngine
from attribution.data.loading import Finding
from attribution.errors import InputError
from attribution.pipeline.pipeline import journeys_of, open_sources
from attribution.pipeline.sections import read_experiment
from attribution.production.output_tables import output_tables
from attribution.schema.experiment import TableSpec
from tests.cli.test_cli import call, table_bytes, write_log
from tests.test_real_data import data_folder

Journey = tuple[object, tuple[str, ...], bool]
DAY = 86_400_000_000
START = dt.datetime(2024, 1, 1)


def touches(*rows: tuple[Any, ...], **columns: list[Any]) -> pd.DataFrame:
    """Rows of customer and day, with further columns."""
    ids, days = zip(*rows, strict=True)
    return pd.DataFrame({"customer_id": ids, "touched_at": [moment(day) for day in days], **columns})


def orders(*rows: tuple[Any, ...], **columns: list[Any]) -> pd.DataFrame:
    ids, days = zip(*rows, strict=True)
    return pd.DataFrame({"customer_id": ids, "converted_at": [moment(day) for day in days], "value": 10.0, **columns})


def moment(day: float) -> dt.datetime:
    return START + dt.timedelta(days=day)


def table(sources: at.Sources, columns: str = "*", name: str = "touchpoints") -> list[tuple[Any, ...]]:
    """Rows of a table in the engine, sorted."""
    rows = sources.engine.query(f"select {columns} from {name} order by all").to_pylist()
    return [tuple(row.values()) for row in rows]


def journeys(sources: at.Sources, **options: Any) -> list[Journey]:
    """Customer, channels, whether it converted."""
    return sorted(listed(at.build_journeys(sources, **options)), key=str)


def listed(built: at.Journeys) -> list[Journey]:
    found = []
    for chunk in built:
        for j in range(len(chunk)):
            path = tuple(built.channels[step] for step in chunk.channel[chunk.start[j] : chunk.stop[j]])
            found.append((chunk.customer_ids[int(chunk.customer[j])].as_py(), path, bool(chunk.conversions[j])))
    return found


def finding(sources: at.Sources, check: str, table: str | None = None) -> Finding:
    (found,) = [f for f in sources.findings if f.check == check and table in (None, f.table)]
    return found


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as refused:
        at.load_sources(*arguments, **options)
    told = str(refused.value)
    for inner in ("raw_", "_export", "known_codes", "enriched_", "stitched_", "_adapted"):
        assert inner not in told
    return told


# ---------------------------------------------------------------- raw columns and channel rules

TAGGED = "https://x.example/?utm_source=partner&utm_medium=affiliate&utm_campaign=A%20b"
RAW = pd.DataFrame(
    {
        "utm_source": ["google", None, None, "Neuigkeiten", None, None],
        "utm_medium": ["cpc", None, None, "E-Mail", None, None],
        "utm_campaign": ["Frühling", None, None, None, None, None],
        "referrer": [None, "https://www.bing.com/", None, None, "https://例え.jp/", None],
        "url": [None, None, TAGGED, None, None, None],
        "gclid": [None, None, None, None, None, "abc"],
    }
)  # fmt: skip
DERIVED = [
    ("Paid Search", "frühling"),
    ("Organic Search", None),
    ("Affiliates", "a b"),
    ("Email", None),
    ("Referral", None),
    ("Paid Search", None),
]


def raw_touches() -> pd.DataFrame:
    return touches(*(("a", day) for day in range(6))).join(RAW)


def test_raw_columns_become_channel_and_campaign() -> None:
    sources = at.load_sources(raw_touches(), orders(("a", 6)))
    found = sources.engine.query("select channel, campaign from touchpoints order by touched_at").to_pylist()
    assert [tuple(row.values()) for row in found] == DERIVED
    assert sources.dimensions == ("channel", "campaign")
    assert sources.tables["touchpoints"].columns == ("customer_id", "touched_at", "channel", "campaign")
    assert journeys(sources) == [("a", tuple(channel for channel, _ in DERIVED), True)]


@pytest.mark.parametrize(
    ("column", "expected"),
    [("url", ["Affiliates", "Direct"]), ("referrer", ["Organic Search", "Direct", "Referral"]), ("gclid", None)],
)
def test_one_raw_column_is_enough(column: str, expected: list[str] | None) -> None:
    frame = raw_touches()[["customer_id", "touched_at", column]]
    channels = {row[0] for row in table(at.load_sources(frame, orders(("a", 6))), "channel")}
    assert channels == set(expected or ["Paid Search", "Direct"])


@pytest.mark.parametrize("nothing", [[None, None], ["", " "], [float("nan"), None]])
def test_raw_columns_without_a_value_are_direct(nothing: list[Any]) -> None:
    frame = touches(("a", 0), ("a", 1), utm_source=nothing, url=nothing)
    sources = at.load_sources(frame, orders(("a", 2)))
    assert journeys(sources) == [("a", ("Direct", "Direct"), True)]
    assert sources.channel_lint is not None
    assert sources.channel_lint.num_rows == 0


def test_numbers_among_raw_columns_are_texts() -> None:
    frame = touches(("a", 0), ("a", 1), utm_campaign=[2024, None], utm_source=["letter"] * 2, utm_medium=["email"] * 2)
    assert table(at.load_sources(frame, orders(("a", 2))), "channel, campaign") == [("Email", "2024"), ("Email", None)]


def test_beside_a_channel_column_raw_columns_are_read_only_if_mapped() -> None:
    frame = raw_touches().assign(channel=["mail", None, " ", "search", None, "mail"])
    sources = at.load_sources(frame, orders(("a", 6)))
    assert sources.channel_lint is None
    assert table(sources, "distinct channel") == [(" ",), ("mail",), ("search",), (None,)]
    spec = TableSpec(source=frame, columns={name: name for name in frame.columns})
    mapped = at.load_sources(spec, orders(("a", 6)))
    found = mapped.engine.query("select channel from touchpoints order by touched_at")["channel"].to_pylist()
    assert found == ["mail", "Organic Search", "Affiliates", "search", "Referral", "mail"]
    assert finding(mapped, "unmapped").message.endswith("0 of 3 touchpoints; read in table channel_lint what to do")


def test_a_campaign_of_the_log_comes_before_a_derived_one() -> None:
    frame = raw_touches()[:3].assign(campaign=["own", "own", None])
    assert table(at.load_sources(frame, orders(("a", 6))), "campaign") == [("a b",), ("own",), ("own",)]


def test_the_lint_counts_only_touchpoints_that_rules_gave_a_channel() -> None:
    frame = touches(
        ("a", 0), ("a", 1), ("a", 2), utm_source=["hall"] * 3, utm_medium=["gate"] * 3, channel=["x", None, None]
    )
    sources = at.load_sources(TableSpec(source=frame, columns={n: n for n in frame.columns}), orders(("a", 3)))
    assert sources.channel_lint is not None
    assert sources.channel_lint.select(["check", "source", "medium", "touchpoints"]).to_pylist() == [
        {"check": "unmapped", "source": "hall", "medium": "gate", "touchpoints": 2}
    ]
    unmapped = finding(sources, "unmapped")
    assert (unmapped.status, unmapped.count, unmapped.example) == ("warn", 1, "hall / gate")


def test_the_lint_knows_campaigns_that_the_log_names_itself() -> None:
    frame = touches(
        *(("a", i) for i in range(5)),
        utm_source=["google"] * 5,
        utm_medium=["cpc"] * 5,
        campaign=["spring", "autumn", None, " ", "spring"],
    )
    sources = at.load_sources(frame, orders(("a", 5)))
    assert sources.channel_lint is not None
    assert sources.channel_lint.select(["check", "source", "medium", "touchpoints"]).to_pylist() == [
        {"check": "paid_without_campaign", "source": "google", "medium": "cpc", "touchpoints": 2}
    ]
    named = at.load_sources(frame.assign(campaign="spring"), orders(("a", 5)))
    assert finding(named, "paid_without_campaign").status == "pass"


def test_own_rules_stand_before_the_default_ones() -> None:
    rules = read_rules(
        {
            "own_sites": ["例え.jp"],
            "rules": [{"channel": "Früh ❤ {x}", "campaign": "fr*"}, {"channel": "Näht's", "source": "neu*"}],
        },
        "[channels]",
    )
    sources = at.load_sources(raw_touches(), orders(("a", 6)), channels=rules)
    found = sources.engine.query("select channel from touchpoints order by touched_at")["channel"].to_pylist()
    assert found == ["Früh ❤ {x}", "Organic Search", "Affiliates", "Näht's", "Paid Search"]
    lint = sources.channel_lint
    assert lint is not None
    assert {"check": "self_referral", "source": "例え.jp", "touchpoints": 1} in lint.select(
        ["check", "source", "touchpoints"]
    ).to_pylist()


def test_rules_that_nothing_can_use_are_refused() -> None:
    rules = ChannelRules(own_sites=("example.com",))
    told = refusal(touches(("a", 0), channel=["mail"]), orders(("a", 1)), channels=rules)
    assert "there are channel rules" in told
    assert "'utm_source' in columns" in told
    assert "channel rules" in refusal(paths=pd.DataFrame({"path": ["a"], "conversions": [1]}), channels=rules)
    # The default grouping alone asks for nothing.
    at.load_sources(touches(("a", 0), channel=["mail"]), orders(("a", 1)), channels=ChannelRules())


# ---------------------------------------------------------------- identities


def links(*pairs: tuple[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["visitor_id", "customer_id"])


def test_a_visitor_who_converts_as_a_customer_has_one_journey() -> None:
    log = touches(("cookie", 0), ("anna", 1), ("other", 0), channel=["search", "mail", "social"])
    apart = at.load_sources(log, orders(("anna", 2)))
    assert journeys(apart) == [
        ("anna", ("mail",), True), ("cookie", ("search",), False), ("other", ("social",), False)
    ]  # fmt: skip
    stitched = at.load_sources(log, orders(("anna", 2)), identities=links(("cookie", "anna")))
    assert journeys(stitched) == [("anna", ("search", "mail"), True), ("other", ("social",), False)]
    assert finding(stitched, "stitched_touchpoints").count == 1
    assert finding(stitched, "stitched_touchpoints").total == 3
    assert (finding(stitched, "stitched_customers").count, finding(stitched, "stitched_customers").total) == (1, 3)


@pytest.mark.parametrize(
    "pairs",
    [
        [("c1", "c2"), ("c2", "bob")],
        [("bob", "c2"), ("c2", "c1"), ("c1", "bob")],
        [("c1", "bob"), ("c2", "bob"), ("c1", "bob"), ("bob", "bob"), (None, "bob"), ("c1", None)],
    ],
)
def test_links_lead_on_in_chains_and_cycles(pairs: list[tuple[Any, Any]]) -> None:
    log = touches(("c1", 0), ("c2", 1), channel=["search", "mail"])
    sources = at.load_sources(log, orders(("bob", 2)), identities=links(*pairs))
    ((person, path, converted),) = journeys(sources)
    assert (path, converted) == (("search", "mail"), True)
    # The smallest id that is a customer's in some link.
    assert person == min(customer for visitor, customer in pairs if visitor and customer)
    assert finding(sources, "unusable_links").count == sum(None in pair for pair in pairs)


def test_conversions_are_stitched_as_well() -> None:
    log = touches(("anna", 0), channel=["search"])
    sources = at.load_sources(log, orders(("till-7", 1)), identities=links(("till-7", "anna")))
    assert journeys(sources) == [("anna", ("search",), True)]


def test_links_to_ids_that_nobody_has_are_counted() -> None:
    log = touches(("c1", 0), channel=["search"])
    given = links(("c1", "anna"), ("c9", "zoe"), ("c8", "anna"), ("", "anna"))
    sources = at.load_sources(log, orders(("anna", 2)), identities=given)
    assert journeys(sources) == [("anna", ("search",), True)]
    unknown = finding(sources, "unknown_visitors")
    assert (unknown.status, unknown.count, unknown.example) == ("warn", 2, "c8")
    assert (finding(sources, "unknown_customers").count, finding(sources, "unknown_customers").example) == (1, "zoe")
    assert finding(sources, "unusable_links").count == 1


def test_identities_that_are_all_unusable_change_nothing() -> None:
    log = touches((1, 0), channel=["search"])
    sources = at.load_sources(log, orders((1, 2)), identities=links((None, None), (None, 1)))
    assert journeys(sources) == [(1, ("search",), True)]
    assert finding(sources, "unusable_links").count == 2


def test_identities_without_touchpoints() -> None:
    sources = at.load_sources(conversions=orders(("c", 1), ("anna", 2)), identities=links(("c", "anna")))
    assert journeys(sources) == [("anna", (), True)] * 2


@pytest.mark.parametrize("kind", ["int64", "Int64", "float64"])
def test_integer_ids_stay_integers(kind: str) -> None:
    log = touches((7, 0), channel=["search"])
    given = links((7, 3)).astype(kind)
    assert journeys(at.load_sources(log, orders((3, 1)), identities=given)) == [(3, ("search",), True)]


@pytest.mark.parametrize("text_in", ["touchpoints", "conversions", "identities"])
def test_integers_here_and_texts_there_are_all_texts(text_in: str) -> None:
    tables = {
        "touchpoints": touches((7, 0), channel=["search"]),
        "conversions": orders((3, 1)),
        "identities": links((7, 3)),
    }
    tables[text_in] = tables[text_in].astype({c: "str" for c in ("customer_id", "visitor_id") if c in tables[text_in]})
    assert journeys(at.load_sources(**tables)) == [("3", ("search",), True)]


def test_a_visitor_as_text_beside_a_customer_as_integer() -> None:
    log = touches(("cookie", 0), channel=["search"])
    assert journeys(at.load_sources(log, orders((3, 1)), identities=links(("cookie", 3)))) == [("3", ("search",), True)]


def test_a_further_text_column_called_visitor_id_leaves_ids_as_they_are() -> None:
    log = touches((3, 0), channel=["search"], visitor_id=["v"])
    assert journeys(at.load_sources(log, orders((3, 1)))) == [(3, ("search",), True)]


def test_a_shared_device_is_a_warning() -> None:
    log = touches(("till", 0), ("b", 1), channel=["search", "mail"])
    given = links(("till", "a"), ("till", "b"), ("till", "c"))
    sources = at.load_sources(log, orders(("c", 2)), identities=given)
    shared = finding(sources, "shared_visitors")
    assert (shared.status, shared.example) == ("warn", "till: customer ids 3")
    assert journeys(sources) == [("a", ("search", "mail"), True)]


def test_who_is_a_new_customer_is_told_by_persons() -> None:
    log = touches(("c1", 0), ("c2", 5), channel=["search", "mail"])
    tables = {"touchpoints": log, "conversions": orders(("c1", 1), ("c2", 6)), "identities": links(("c1", "c2"))}
    built = journeys(at.load_sources(**tables), customers="new")
    assert [journey for journey in built if journey[2]] == [("c2", ("search",), True)]


# ---------------------------------------------------------------- accounts


COMPANIES = pd.DataFrame(
    {"customer_id": ["ann", "bob", "cem", "dora"], "company": ["Ærø A/S", "Ærø A/S", None, " "], "size": [1, 2, 3, 4]}
)


def test_customers_of_one_company_share_a_journey() -> None:
    log = touches(("bob", 0), ("ann", 1), ("cem", 0), ("eve", 0), channel=["fair", "mail", "search", "social"])
    sources = at.load_sources(log, orders(("bob", 2)), customers=COMPANIES, account="company")
    assert journeys(sources) == [
        ("ann", ("fair", "mail"), True), ("cem", ("search",), False), ("eve", ("social",), False),
    ]  # fmt: skip
    without = finding(sources, "without_account")
    assert (without.count, without.total, without.status) == (2, 4, "pass")


def test_visitors_follow_their_person_to_the_account() -> None:
    log = touches(("cookie", 0), ("ann", 1), channel=["fair", "mail"])
    tables = {"customers": COMPANIES, "identities": links(("cookie", "bob"))}
    sources = at.load_sources(log, orders(("ann", 2)), **tables, account="company")
    assert journeys(sources) == [("ann", ("fair", "mail"), True)]


def test_a_person_of_two_companies_is_counted() -> None:
    rows = pd.DataFrame({"customer_id": [1, 2], "company": [10, 20]})
    log = touches((1, 0), (2, 1), channel=["fair", "mail"])
    tables = {"customers": rows, "identities": links((1, 2))}
    sources = at.load_sources(log, orders((2, 2)), **tables, account="company")
    assert finding(sources, "account_conflicts").status == "warn"
    assert journeys(sources) == [(2, ("fair", "mail"), True)]


@pytest.mark.parametrize("given", ["frame", "mapped", "query"])
def test_the_account_column_may_be_mapped_or_simply_be_there(given: str) -> None:
    log = touches(("bob", 0), ("ann", 1), channel=["fair", "mail"])
    customers: Any = COMPANIES
    account = "company"
    if given == "mapped":
        account = '{we"ird} 100%'
        customers = TableSpec(source=COMPANIES, columns={"customer_id": "customer_id", account: "company"})
    if given == "query":
        customers = "select * from (values ('ann', 'x'), ('bob', 'x')) t(customer_id, company)"
    sources = at.load_sources(log, orders(("ann", 2)), customers=customers, account=account)
    assert journeys(sources) == [("ann", ("fair", "mail"), True)]


def test_accounts_that_cannot_be_are_refused() -> None:
    log, sold = touches(("ann", 0), channel=["fair"]), orders(("ann", 2))
    told = refusal(log, sold, customers=COMPANIES, account="compny")
    assert "no column 'compny'" in told
    assert "company" in told
    assert "no customers table" in refusal(log, sold, account="company")
    for name in ("customer_id", "Customer_ID"):
        assert "account must name the column" in refusal(log, sold, customers=COMPANIES, account=name)
    assert "has no column ''" in refusal(log, sold, customers=COMPANIES, account="")
    spec = TableSpec(source=COMPANIES, columns={"customer_id": "customer_id"})
    assert "map 'company' to its source column in columns" in refusal(log, sold, customers=spec, account="company")
    torn = pd.DataFrame({"customer_id": ["ann", "ann"], "company": ["x", "y"]})
    assert "customer ann: x, y" in refusal(log, sold, customers=torn, account="company")


def test_all_flat_columns_of_customers_are_kept() -> None:
    rows = pa.Table.from_pandas(COMPANIES).append_column("tags", pa.array([["x"], [], None, None]))
    log, sold = touches(("ann", 0), channel=["fair"]), orders(("ann", 2))
    assert at.load_sources(log, sold, customers=rows).tables["customers"].columns == ("customer_id", "company", "size")
    assert "are not text" in refusal(log, sold, customers=rows, account="tags")


@pytest.mark.parametrize("name", ["identities", "customers", "codes"])
def test_aggregated_paths_have_no_customers(name: str) -> None:
    tables = {"identities": links(("a", "b")), "customers": COMPANIES, "codes": codes(("X", "mail"))}
    paths = pd.DataFrame({"path": ["a"], "conversions": [1]})
    assert f"table '{name}'" in refusal(paths=paths, **{name: tables[name]})


# ---------------------------------------------------------------- codes


def codes(*rows: tuple[str, str], **columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({**dict(zip(("code", "channel"), map(list, zip(*rows, strict=True)), strict=True)), **columns})


FLYER = codes(("QR-1", "Flyer"), ("SAVE10", "Mail"), campaign=["Mai", None])


def test_a_scanned_code_is_a_touchpoint_of_its_channel() -> None:
    log = touches(("a", 0), ("a", 1), ("a", 2), channel=["search", None, " "], code=[None, "QR-1", " SAVE10 "])
    sources = at.load_sources(log, orders(("a", 3)), codes=FLYER)
    assert journeys(sources) == [("a", ("search", "Flyer", "Mail"), True)]
    assert table(sources, "channel, campaign, kind") == [
        ("Flyer", "Mai", "offline"), ("Mail", None, "offline"), ("search", None, None)
    ]  # fmt: skip
    assert "code" not in sources.tables["touchpoints"].columns


def test_a_log_of_nothing_but_scans() -> None:
    log = touches(("a", 0), ("a", 1), code=["QR-1", "SAVE10"])
    assert journeys(at.load_sources(log, orders(("a", 3)), codes=FLYER)) == [("a", ("Flyer", "Mail"), True)]
    assert "there is no codes table" in refusal(log, orders(("a", 3)))


def test_a_code_speaks_only_where_the_log_names_no_channel() -> None:
    log = touches(("a", 0), channel=["search"], campaign=["own"], kind=["click"], code=["QR-1"])
    sources = at.load_sources(log, orders(("a", 3)), codes=FLYER.assign(kind="scan"))
    assert table(sources, "channel, campaign, kind") == [("search", "own", "click")]


def test_kind_and_campaign_of_the_scan_come_before_those_of_the_code() -> None:
    log = touches(("a", 0), ("a", 1), campaign=["own", None], kind=[None, "visit"], code=["QR-1", "QR-1"])
    sources = at.load_sources(log, orders(("a", 3)), codes=FLYER.assign(kind="scan"))
    assert table(sources, "channel, campaign, kind") == [("Flyer", "Mai", "visit"), ("Flyer", "own", "scan")]


def test_a_code_comes_before_channel_rules() -> None:
    log = touches(("a", 0), ("a", 1), url=["https://x.example/?utm_medium=email"] * 2, code=["QR-1", None])
    assert journeys(at.load_sources(log, orders(("a", 3)), codes=FLYER)) == [("a", ("Flyer", "Email"), True)]


def test_unknown_codes_are_counted() -> None:
    log = touches(("a", 0), ("a", 1), ("a", 2), channel=["search", None, None], code=["NO", "no", ""])
    sold = orders(("a", 3), ("a", 4), ("a", 5), code=["??", "SAVE10", None])
    sources = at.load_sources(log, sold, codes=FLYER)
    for name, count, total, example in (("touchpoints", 2, 2, "NO"), ("conversions", 1, 2, "??")):
        unknown = finding(sources, "unknown_code", name)
        assert (unknown.status, unknown.count, unknown.total, unknown.example) == ("warn", count, total, example)
    # The touchpoints without a channel are dropped, as any.
    assert sorted(path for _, path, converted in journeys(sources) if converted) == [(), ("Mail",), ("search",)]


def test_a_redemption_without_an_earlier_touchpoint_of_its_channel_makes_one() -> None:
    log = touches(("a", 0), ("b", 0), ("b", 9), channel=["search", "Mail", "Mail"])
    sold = orders(("a", 3), ("b", 3), ("c", 3), code=["SAVE10", "SAVE10", "QR-1"])
    sources = at.load_sources(log, sold, codes=FLYER)
    assert [journey for journey in journeys(sources) if journey[2]] == [
        ("a", ("search", "Mail"), True), ("b", ("Mail",), True), ("c", ("Flyer",), True)
    ]  # fmt: skip
    at_conversion = (moment(3) - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    inferred = sources.engine.query("select * from touchpoints where kind = 'inferred' order by customer_id")
    assert inferred.select(["customer_id", "touched_at", "channel", "campaign"]).to_pylist() == [
        {"customer_id": "a", "touched_at": at_conversion, "channel": "Mail", "campaign": None},
        {"customer_id": "c", "touched_at": at_conversion, "channel": "Flyer", "campaign": "Mai"},
    ]
    counted = finding(sources, "inferred_touchpoints")
    assert (counted.count, counted.total, counted.status) == (2, 3, "pass")
    assert sources.tables["touchpoints"].rows == 5


def test_a_touchpoint_after_the_redemption_is_no_earlier_one_and_one_at_its_instant_is() -> None:
    log = touches(("a", 4), ("b", 3), channel=["Mail", "Mail"])
    sources = at.load_sources(log, orders(("a", 3), ("b", 3), code=["SAVE10"] * 2), codes=FLYER)
    assert [journey for journey in journeys(sources) if journey[2]] == [("a", ("Mail",), True), ("b", ("Mail",), True)]
    assert finding(sources, "inferred_touchpoints").count == 1


def test_an_earlier_touchpoint_may_be_derived_scanned_or_another_ids() -> None:
    """Who is met through rules, a scan or under a cookie is met; nothing needs to be inferred."""
    log = touches(
        ("a", 0), ("b", 0), ("cookie", 0),
        utm_medium=["email", None, "email"], code=[None, "QR-1", None],
    )  # fmt: skip
    known = codes(("SAVE10", "Email"), ("QR-1", "Flyer"))
    sold = orders(("a", 1), ("b", 1), ("anna", 1), code=["SAVE10", "QR-1", "SAVE10"])
    sources = at.load_sources(log, sold, codes=known, identities=links(("cookie", "anna")))
    assert finding(sources, "inferred_touchpoints").count == 0
    assert journeys(sources) == [("a", ("Email",), True), ("anna", ("Email",), True), ("b", ("Flyer",), True)]


def test_an_inferred_touchpoint_belongs_to_the_person_and_the_account() -> None:
    log = touches(("ann", 0), channel=["fair"])
    tables = {"customers": COMPANIES, "identities": links(("till", "bob")), "codes": FLYER}
    sources = at.load_sources(log, orders(("till", 1), code=["SAVE10"]), **tables, account="company")
    assert journeys(sources) == [("ann", ("fair", "Mail"), True)]


def test_copies_of_a_conversion_infer_one_touchpoint() -> None:
    sold = orders(("a", 1), ("a", 1), ("a", 2), code=["SAVE10"] * 3, conversion_id=["1", "1", "1"])
    log = touches(("a", 0), channel=["search"])
    assert journeys(at.load_sources(log, sold, codes=FLYER)) == [("a", ("search", "Mail"), True)]
    apart = at.load_sources(log, sold.drop(columns="conversion_id"), codes=FLYER)
    assert finding(apart, "inferred_touchpoints").count == 2


def test_a_conversion_without_customer_or_time_redeems_nothing() -> None:
    sold = orders(("a", 1), (None, 1), ("b", 1), code=["SAVE10"] * 3)
    sold.loc[2, "converted_at"] = None
    sources = at.load_sources(touches(("a", 0), channel=["search"]), sold, codes=FLYER)
    assert finding(sources, "inferred_touchpoints").count == 1


def test_conversions_alone_with_codes() -> None:
    sold = orders(("a", 1), ("b", 1), ("c", 1), code=["SAVE10", None, "QR-1"])
    sources = at.load_sources(conversions=sold, codes=FLYER)
    assert journeys(sources) == [("a", ("Mail",), True), ("b", (), True), ("c", ("Flyer",), True)]
    assert sources.dimensions == ("kind", "channel", "campaign")
    credit = at.attribute(at.build_journeys(sources), [at.LastTouch()]).table.set_index("channel")["conversions"]
    assert credit.to_dict() == {"Flyer": 1, "Mail": 1, "(unattributed)": 1}


def test_conversions_alone_with_codes_that_nobody_redeemed() -> None:
    sources = at.load_sources(conversions=orders(("a", 1), code=["NO"]), codes=FLYER)
    assert journeys(sources) == [("a", (), True)]
    assert not sources.has("touchpoints")
    assert finding(sources, "unknown_code").count == 1


def test_codes_that_cannot_be_are_refused() -> None:
    log, sold = touches(("a", 0), channel=["search"], code=["X"]), orders(("a", 1))
    told = refusal(log, sold, codes=codes(("X", "a"), ("Y", "b"), (" X", "c")))
    assert "1 code in more than one row" in told
    assert "'X'" in told
    assert "reserved" in refusal(log, sold, codes=codes(("X", "(unattributed)")))
    assert "neither touchpoints nor conversions" in refusal(log.drop(columns="code"), sold, codes=FLYER)
    assert "column 'channel' is missing" in refusal(log, sold, codes=pd.DataFrame({"code": ["X"]}))
    assert "are null" in refusal(log, sold, codes=codes(("X", " ")))


def test_codes_may_be_numbers_and_texts_in_any_script() -> None:
    log = touches(("a", 0), ("a", 1), code=["12", "优惠❤"])
    known = codes(("12", "Plakat"), ("优惠❤", "微信"))
    assert journeys(at.load_sources(log, orders(("a", 2)), codes=known)) == [("a", ("Plakat", "微信"), True)]
    numbers = pd.DataFrame({"code": [12, 13], "channel": ["Plakat", "x"]})
    scans = touches(("a", 0), ("a", 1), code=[12, None])
    assert table(at.load_sources(scans, orders(("a", 2)), codes=numbers), "channel") == [("Plakat",), (None,)]


def test_integer_times() -> None:
    log = pd.DataFrame({"customer_id": [1, 1], "touched_at": [1, 2], "utm_medium": ["email", None]})
    sold = pd.DataFrame({"customer_id": [1, 2], "converted_at": [3, 9], "code": ["X", "X"]})
    sources = at.load_sources(log, sold, codes=codes(("X", "Radio")), identities=links((2, 1)))
    assert sources.integer_times is True
    assert journeys(sources) == [(1, ("Email", "Direct", "Radio"), True), (1, ("Radio",), True)]
    told = refusal(log, orders((1, 1), code=["X"]), codes=codes(("X", "Radio")))
    assert "are integers" in told


# ---------------------------------------------------------------- money, dimensions, order


def test_costs_of_touchpoints_stay_complete() -> None:
    log = touches(
        ("c", 0), ("a", 1), ("c", 2), ("b", 3),
        utm_medium=["email", None, "email", None], code=[None, "QR-1", None, "NO"], cost=[1.5, 2.25, 4.0, None],
    )  # fmt: skip
    tables = {"codes": FLYER, "identities": links(("c", "a"), ("b", "b"))}
    sources = at.load_sources(log, orders(("a", 4), code=["SAVE10"]), **tables)
    returns = at.compute_returns(at.attribute(at.build_journeys(sources), [at.LastTouch()]), sources)
    spend = returns.set_index("channel")["spend"]
    assert spend["Email"] == 5.5
    assert spend["Flyer"] == 2.25
    # What was inferred cost nothing that anyone knows of.
    assert pd.isna(spend["Mail"])
    assert spend.sum() == 7.75


def test_costs_of_an_inferred_channel_may_stand_in_the_costs_table() -> None:
    log = touches(("a", 0), channel=["search"], cost=[1.0])
    costs = pd.DataFrame({"channel": ["Mail"], "amount": [5.0]})
    sources = at.load_sources(log, orders(("a", 1), code=["SAVE10"]), costs, codes=FLYER)
    returns = at.compute_returns(at.attribute(at.build_journeys(sources), [at.Linear()]), sources)
    assert returns.set_index("channel")["roas"].dropna().to_dict() == {"Mail": 1.0, "search": 5.0}


WEIRD = ['{curly} "quoted"', "100 %s %(x)s", "it's ; --", "größe 尺寸", "t", "m.person", "derived_channel", "row", "id"]


def test_dimensions_of_any_name_stay_beside_what_is_added() -> None:
    log = touches(("c", 0), ("a", 1), utm_medium=["email", None], code=[None, "QR-1"])
    for place, name in enumerate(WEIRD):
        log[name] = [f"v{place}", None]
    columns = {name: name for name in log.columns}
    tables = {"codes": FLYER, "identities": links(("c", "a"))}
    sources = at.load_sources(TableSpec(source=log, columns=columns), orders(("a", 2), code=["SAVE10"]), **tables)
    assert sources.dimensions == ("kind", "channel", "campaign", *sorted(WEIRD))
    assert journeys(sources) == [("a", ("Email", "Flyer", "Mail"), True)]
    for place, name in enumerate(WEIRD):
        quoted = '"' + name.replace('"', '""') + '"'
        found = sources.engine.query(f"select {quoted} as v from touchpoints order by touched_at")["v"].to_pylist()
        assert found == [f"v{place}", None, None]


@pytest.mark.parametrize("name", ["Channel", "CAMPAIGN", "Kind", "Touched_At"])
def test_a_dimension_that_differs_from_a_column_only_in_case_is_refused(name: str) -> None:
    """Engines would read the one for the other: credit would go to the wrong channels."""
    log = touches(("c", 0), ("a", 1), utm_medium=["email", None], code=[None, "QR-1"])
    spec = TableSpec(source=log, columns={n: n for n in log.columns} | {name: "utm_medium"})
    told = refusal(spec, orders(("a", 2)), codes=FLYER)
    assert f"{name!r}" in told
    assert "differ only in case" in told


def everything(seed: int) -> dict[str, Any]:
    """A log that uses all there is, with rows in an order that ``seed`` decides."""
    rng = random.Random(5)
    mediums, referrers = ["cpc", "email", None, "görl"], ["https://www.google.com/", None, "https://blog.example/ü"]
    log = pd.DataFrame(
        [
            {
                "customer_id": f"c{rng.randrange(40)}",
                "touched_at": moment(rng.randrange(40) / 2),
                "utm_source": rng.choice(["google", "gogle", "News", None]),
                "utm_medium": rng.choice(mediums),
                "referrer": rng.choice(referrers),
                "code": rng.choice([None, None, "QR-1", "?"]),
                "cost": rng.random(),
            }
            for _ in range(400)
        ]
    )
    sold = pd.DataFrame(
        [
            {
                "customer_id": f"u{rng.randrange(30)}",
                "converted_at": moment(rng.randrange(60) / 3),
                "value": rng.random() * 100,
                "code": rng.choice([None, "SAVE10", "QR-1"]),
            }
            for _ in range(60)
        ]
    )
    tables = {
        "touchpoints": log,
        "conversions": sold,
        "identities": links(*((f"c{rng.randrange(40)}", f"u{rng.randrange(30)}") for _ in range(25))),
        "customers": pd.DataFrame([(f"u{i}", f"f{i // 3}") for i in range(30)], columns=["customer_id", "firm"]),
        "codes": FLYER,
    }  # fmt: skip
    return {name: frame.sample(frac=1, random_state=seed) if seed else frame for name, frame in tables.items()}


def digest(seed: int, **engine: Any) -> tuple[Any, ...]:
    """All that comes out, to the last bit."""
    sources = at.load_sources(**everything(seed), account="firm", engine=DuckDBEngine(**engine))
    built = at.build_journeys(sources)
    credit = at.attribute(built, [at.Linear(), at.Markov(order=1), at.Shapley()]).table
    returns = at.compute_returns(at.attribute(built, [at.Linear()]), sources)
    assert sources.channel_lint is not None
    return (
        table(sources),
        credit.to_csv(index=False),
        returns.to_csv(index=False),
        sources.channel_lint.to_pylist(),
        sources.findings,
    )


def test_neither_row_order_nor_batches_nor_partitions_nor_threads_change_a_byte() -> None:
    first = digest(0)
    assert first == digest(1, batch_rows=7, partitions=3)
    assert first == digest(2, threads=1)
    assert len(first[0]) > 400


def test_everything_against_plain_python() -> None:
    """The same enrichment, step by step and row by row."""
    tables = everything(0)
    person = twin_persons(tables["identities"], tables["customers"])
    rules = {"cpc": "Paid Search", "email": "Email"}
    sources = at.load_sources(**tables, account="firm")
    derived = {
        tuple(None if pd.isna(v) else v for v in key[:3]): key[3]
        for key in sources.engine.query("select utm_source, utm_medium, referrer, derived_channel from raw_derived")
        .to_pandas()
        .itertuples(index=False)
    }
    assert derived["google", "cpc", None] == rules["cpc"]
    assert derived[None, "email", None] == rules["email"]
    expected, met = [], {}
    for row in tables["touchpoints"].to_dict("records"):
        raw = tuple(None if pd.isna(row[name]) else row[name] for name in ("utm_source", "utm_medium", "referrer"))
        channel = "Flyer" if row["code"] == "QR-1" else derived[raw]
        who = person.get(row["customer_id"], row["customer_id"])
        expected.append((who, row["touched_at"], channel))
        met[who, channel] = min(row["touched_at"], met.get((who, channel), row["touched_at"]))
    inferred = set()
    for row in tables["conversions"].to_dict("records"):
        channel = {"QR-1": "Flyer", "SAVE10": "Mail"}.get(row["code"])
        who = person.get(row["customer_id"], row["customer_id"])
        if channel and not met.get((who, channel), row["converted_at"] + pd.Timedelta(1)) <= row["converted_at"]:
            inferred.add((who, row["converted_at"], channel))
    assert inferred
    found = table(sources, "customer_id, make_timestamp(touched_at), channel")
    assert Counter(found) == Counter(
        (who, at_.to_pydatetime().replace(tzinfo=None), c) for who, at_, c in [*expected, *inferred]
    )
    assert finding(sources, "inferred_touchpoints").count == len(inferred)


def twin_persons(identities: pd.DataFrame, customers: pd.DataFrame) -> dict[str, str]:
    """Who stands for whom, by passing names along until nothing changes."""
    pairs = [tuple(pair) for pair in identities[["visitor_id", "customer_id"]].to_numpy()]
    firms: dict[str, list[str]] = {}
    for customer, firm in customers[["customer_id", "firm"]].to_numpy():
        firms.setdefault(firm, []).append(customer)
    ids = {name for pair in pairs for name in pair} | set(customers["customer_id"])
    known = {customer for _, customer in pairs}

    def joined(groups: list[tuple[str, ...]], start: dict[str, str]) -> dict[str, str]:
        names = dict(start)
        while True:
            before = dict(names)
            for group in groups:
                smallest = min(names[name] for name in group)
                names.update(dict.fromkeys(group, smallest))
            if names == before:
                return names

    # A visitor id is never a name: it comes after all customer ids.
    persons = joined(pairs, {name: name if name in known else f"~{name}" for name in ids})
    persons = {name: person.removeprefix("~") for name, person in persons.items()}
    account = dict(zip(customers["customer_id"], customers["firm"], strict=True))
    firm_of = {}
    for customer in sorted(account, reverse=True):
        firm_of[persons[customer]] = account[customer]
    stand_in: dict[str, str] = {}
    for who, firm in firm_of.items():
        stand_in[firm] = min(who, stand_in.get(firm, who))
    return {name: stand_in[firm_of[who]] if who in firm_of else who for name, who in persons.items()}


# ---------------------------------------------------------------- adapters

EVENTS = pd.DataFrame(
    {
        "event_name": ["page_view", "page_view", "page_ping", "page_view", "checkout"],
        "domain_userid": ["ü1", "ü1", "ü1", "ü2", "ü1"],
        "user_id": [None, None, None, "anna", None],
        "derived_tstamp": [f"2024-01-0{day}T10:00:00Z" for day in (1, 2, 2, 3, 4)],
        "mkt_source": ["google", None, None, "news", None],
        "mkt_medium": ["cpc", None, None, "email", None],
        "refr_medium": [None, "internal", None, None, None],
        "page_referrer": [None] * 5,
        "{weird} 100%": ["x", "y", "x", "x", "z"],
        "tr_total": [None, None, None, None, "12.50"],
        "event_id": list("abcde"),
    }
)


def snowplow(**more: Any) -> TableSpec:
    return TableSpec(**{"adapter": "snowplow", "source": EVENTS, **more})


def test_an_adapter_feeds_rules_and_identities() -> None:
    sources = at.load_sources(snowplow(), snowplow(), identities=snowplow())
    assert journeys(sources) == [("anna", ("Email",), False), ("ü1", ("Paid Search",), True)]
    assert sources.integer_times is False
    assert table(sources, "value", "conversions") == [(12.5,)]
    assert (finding(sources, "stitched_touchpoints").count, finding(sources, "stitched_touchpoints").total) == (1, 2)


def test_where_and_the_adapters_filter_must_both_hold() -> None:
    sources = at.load_sources(snowplow(where="\"{weird} 100%\" = 'x'"), snowplow())
    assert len(table(sources)) == 2
    sources = at.load_sources(snowplow(where="\"{weird} 100%\" = 'x' or event_name = 'checkout'"), snowplow())
    assert len(table(sources)) == 2
    sources = at.load_sources(snowplow(where="mkt_medium = 'email'"), snowplow())
    assert table(sources, "customer_id") == [("ü2",)]
    assert "has no rows" in refusal(snowplow(where="false"), snowplow())


def test_own_columns_override_those_of_the_adapter() -> None:
    columns = {"customer_id": "event_id", "utm_medium": "{weird} 100%", '"d" {x}': "{weird} 100%"}
    sources = at.load_sources(snowplow(columns=columns), snowplow())
    assert table(sources, 'customer_id, channel, """d"" {x}"') == [
        ("a", "Organic Search", "x"), ("d", "Unassigned", "x")
    ]  # fmt: skip
    several = {"customer_id": ["user_id", "domain_userid"]}
    assert table(at.load_sources(snowplow(columns=several), snowplow()), "customer_id") == [("anna",), ("ü1",)]


def test_a_channel_of_ones_own_beside_an_adapter() -> None:
    sources = at.load_sources(snowplow(columns={"channel": "mkt_source"}), snowplow())
    assert table(sources, "channel") == [("google",), ("news",)]
    gap = EVENTS.assign(mkt_source=[None, None, None, "news", None])
    sources = at.load_sources(snowplow(source=gap, columns={"channel": "mkt_source"}), snowplow())
    assert table(sources, "channel") == [("Paid Other",), ("news",)]


def test_an_adapter_with_a_query() -> None:
    query = "select 'page_view' as event_name, 'é' as domain_userid, timestamp '2024-01-01' as derived_tstamp"
    sources = at.load_sources(TableSpec(adapter="snowplow", query=f"{query}, 'organic' as mkt_medium"), snowplow())
    assert table(sources, "customer_id, channel") == [("é", "Organic Search")]
    told = refusal(TableSpec(adapter="snowplow", query=query, where="false"), snowplow())
    assert "filter inside the query" in told


def test_times_beside_an_adapter() -> None:
    zoned = EVENTS.assign(derived_tstamp=[text.rstrip("Z") for text in EVENTS["derived_tstamp"]])
    sources = at.load_sources(snowplow(source=zoned, time_zone="Asia/Tokyo"), snowplow())
    assert table(sources, "make_timestamp(touched_at)")[0] == (dt.datetime(2024, 1, 1, 1),)


def test_adapters_that_cannot_be_are_refused() -> None:
    assert "did you mean 'snowplow'" in refusal(snowplow(adapter="snowplough"), snowplow())
    assert "has no such table" in refusal(snowplow(adapter="google_ads"), snowplow())
    told = refusal(snowplow(source=EVENTS.drop(columns="domain_userid").drop(columns="user_id")), snowplow())
    assert "table 'touchpoints', adapter 'snowplow'" in told
    for where in ("nothing = 1", "1 = "):
        assert refusal(snowplow(where=where), snowplow()).startswith("table 'touchpoints'")
    for source in ("nowhere.csv", pd.concat([EVENTS, EVENTS["user_id"]], axis=1), 3):
        assert "table 'touchpoints'" in refusal(snowplow(source=source), snowplow())
    assert "no column 'campaign_x'" in refusal(snowplow(), snowplow(columns={"campaign_x": "event_id"}))


def test_currencies_are_looked_for_in_the_export_of_an_adapter() -> None:
    export = EVENTS.assign(tr_currency=[None, None, None, "EUR", "USD"], tr_total=[None] * 3 + ["1", "2"])
    assert "amounts are in several currencies" in refusal(snowplow(), snowplow(source=export))
    sources = at.load_sources(snowplow(), snowplow(source=export), currency="EUR", exchange_rates={"USD": 0.5})
    assert sources.engine.query("select value from conversions order by value")["value"].to_pylist() == [1.0, 1.0]


# ---------------------------------------------------------------- the published results, from one file

FRACTRIBUTION = """
[channels]
rules = [
  {{ channel = "Paid_Search_Other", medium = "cpc" }},
  {{ channel = "Organic_Search", medium = "organic" }},
  {{ channel = "Video", source = "*youtube*" }},
  {{ channel = "Direct", source = "(direct)" }},
  {{ channel = "Referral", medium = "referral" }},
  {{ channel = "Unmatched_Channel", source = "*" }},
]

[tables]
touchpoints = {{ adapter = "snowplow", source = "{events}" }}
conversions = {{ adapter = "snowplow", source = "{events}" }}
costs = {{ source = "{spend}", columns = {{ channel = "channel", amount = "spend" }} }}

[journeys]
lookback_days = 30
conversions = "first_only"
transform = "exposure"

[[models]]
model = "LastTouch"

[tracking]
enabled = false
"""


@pytest.fixture
def fixtures() -> Path:
    data = data_folder()
    if data is None or not (data / "snowplow-fractribution-fixtures").is_dir():
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    return data / "snowplow-fractribution-fixtures"


def published(fixtures: Path, name: str) -> list[dict[str, str]]:
    frame = pd.read_csv(fixtures / f"snowplow_fractribution_{name}_expected.csv", dtype=str).rename(columns=str.lower)
    return [{key: value for key, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]


@pytest.mark.data
def test_one_experiment_file_gives_the_published_results(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: fixtures / f"snowplow_fractribution_{name}.csv" for name in ("events", "channel_spend_expected")}
    text = FRACTRIBUTION.format(events=files["events"], spend=files["channel_spend_expected"])
    (tmp_path / "f.toml").write_text(text, encoding="utf-8")
    experiment = read_experiment(tmp_path / "f.toml")
    found = Counter(journeys_of_experiment(experiment))
    summary = {tuple(row["transformed_path"].split(" > ")): row for row in published(fixtures, "path_summary")}
    for path, row in summary.items():
        assert found.pop((path, True), 0) == int(row["conversions"])
        assert found.pop((path, False), 0) == int(row["non_conversions"])
    assert not found
    assert call(monkeypatch, "run", tmp_path / "f.toml", "--out", tmp_path / "out") == 0
    returns = pd.read_csv(tmp_path / "out" / "returns.csv").set_index("channel")
    rows = [row for row in published(fixtures, "report_table") if row["attribution_type"] == "last_touch"]
    assert {*returns.index} == {*(row["channel"] for row in rows), "(unattributed)"}
    for row in rows:
        for mine, theirs in (
            ("conversions", "conversions"),
            ("value", "revenue"),
            ("spend", "spend"),
            ("roas", "roas"),
        ):
            assert returns.loc[row["channel"], mine] == pytest.approx(float(row[theirs]), rel=1e-14)


def journeys_of_experiment(experiment: at.Experiment) -> list[tuple[tuple[str, ...], bool]]:
    sources = open_sources(experiment)
    built = journeys_of(experiment, sources)
    return [
        (
            tuple(built.channels[step] for step in chunk.channel[chunk.start[j] : chunk.stop[j]]),
            bool(chunk.conversions[j]),
        )
        for chunk in built
        for j in range(len(chunk))
    ]


# ---------------------------------------------------------------- the command line

SHOP = """
[channels]
file = "../rules/channels.toml"            # or own_sites and [[channels.rules]] right here

[tables]
touchpoints = { source = "visits.csv" }    # customer_id, touched_at, utm_source, utm_medium, referrer, code
conversions = { source = "orders.csv" }    # customer_id, converted_at, value, code
identities = { source = "logins.csv" }     # visitor_id, customer_id
customers = { source = "customers.csv" }   # customer_id, company
codes = { source = "codes.csv" }           # code, channel; campaign, kind

[journeys]
account = "company"

[[models]]
model = "LastTouch"
"""
"""As the README shows it."""

RULES = """
own_sites = ["shop.example"]               # a referrer there is none from outside

[[rules]]                                  # the first that holds decides; all conditions of a rule must hold
channel = "Trains & stations"
source = ["bahn*", "rail*"]                # * stands for any text, whatever the case

[[rules]]
channel = "Brand search"
medium = "cpc"
campaign = "*brand*"
"""
UNTRACKED = "[tracking]\nenabled = false\n"
FILES = {
    "shop/shop.toml": 'memory_limit = "4GB"\n' + SHOP + UNTRACKED,
    "rules/channels.toml": RULES,
    "shop/visits.csv": """customer_id,touched_at,utm_source,utm_medium,referrer,code
cookie-1,2024-01-01,bahnhof,plakat,,
cookie-1,2024-01-02,,,https://shop.example/cart,
cookie-2,2024-01-02,newsleter,email,,
cookie-3,2024-01-02,newsletter,email,,
cookie-3,2024-01-02,newsletter,email,,
cookie-2,2024-01-03,,,,QR-1
""",
    "shop/orders.csv": """customer_id,converted_at,value,code
änne,2024-01-05,10,
bo,2024-01-06,20,MAI
cleo,2024-01-07,30,JUNI
""",
    "shop/logins.csv": "visitor_id,customer_id\ncookie-1,änne\ncookie-2,bo\ncookie-9,bo\n",
    "shop/customers.csv": "customer_id,company\nänne,企业\ncleo,企业\nbo,\n",
    "shop/codes.csv": "code,channel,kind\nQR-1,Flyer,scan\nMAI,Beilage,\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "shop" / "shop.toml"


def test_a_shop_from_files_to_credit(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "out") == 0
    credit = pd.read_csv(tmp_path / "out" / "credit.csv").set_index("channel")["value"]
    # Änne came by train, and then walked about the own pages; Cleo, of the same firm, has nothing new; Bo redeemed MAI.
    assert credit[credit > 0].to_dict() == {"Beilage": 20, "Trains & stations": 10, "(unattributed)": 30}
    assert (tmp_path / "out" / "channels.toml").read_text(encoding="utf-8") == RULES
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "rules") == 2  # it is read
    lint = pd.read_csv(tmp_path / "out" / "channel_lint.csv")
    assert tuple(lint.columns) == output_tables()["channel_lint"].column_names
    assert tuple(pd.read_parquet(tmp_path / "out" / "channel_lint.parquet").columns) == tuple(lint.columns)
    assert set(zip(lint["check"], lint["source"].fillna(""), lint["touchpoints"], strict=True)) == {
        ("near_duplicate_source", "newsleter", 1), ("self_referral", "shop.example", 1), ("rule_without_hits", "", 0)
    }  # fmt: skip
    quality = pd.read_csv(tmp_path / "out" / "quality.csv").set_index(["check", "table"])
    counts = {
        ("self_referral", "touchpoints"): (0, "pass"),  # own_sites names it
        ("inferred_touchpoints", "conversions"): (1, "pass"),
        ("unknown_code", "conversions"): (1, "warn"),
        ("unknown_code", "touchpoints"): (0, "pass"),
        ("unknown_visitors", "identities"): (1, "warn"),
        ("without_account", "customers"): (1, "pass"),
    }
    assert {key: (quality.loc[key, "count"], quality.loc[key, "status"]) for key in counts} == counts


def test_a_shop_gives_the_same_bytes_whatever_the_order_of_rows(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "one") == 0
    for name, text in FILES.items():
        if name.endswith(".csv"):
            header, *rows = text.splitlines()
            (tmp_path / name).write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "two") == 0
    one, two = table_bytes(tmp_path / "one"), table_bytes(tmp_path / "two")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_without_rules_there_is_no_lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "run", write_log(tmp_path), "--out", tmp_path / "out") == 0
    assert not (tmp_path / "out" / "channel_lint.csv").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('channels.file="nowhere.toml"', "nowhere.toml"),
        ("channels.file=3", "file"),
        ("channels.own_sites=[]", "give either a file or rules, not both"),
        ('channels={ fil = "x" }', "unknown field 'fil'"),
        ("channels={ rules = 3 }", "'rules' must be a list of tables"),
        ("channels=3", "channels"),
        ('journeys.account="compani"', "no column 'compani'"),
        ('tables.touchpoints.adapter="snowplow"', "adapter 'snowplow'"),
        ('tables.touchpoints.adapter="x"', "unknown adapter"),
        ('memory_limit="4 gigs"', "size such as"),
        ('memory_limit="1MB"', "memory_limit is too low"),
        ('tables.codes.columns={ code = "channel", channel = "code", price = "kind" }', "no column 'price'"),
        ('tables.codes.columns={ code = "kind", channel = "code" }', "are null"),
        ('tables.identities.source="codes.csv"', "column 'visitor_id' is missing"),
    ],
)
def test_bad_requests_end_with_one_message(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    told: str,
) -> None:
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "out", "--set", setting) == 2
    message = capsys.readouterr().err
    assert told in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("rules = [", "channels.toml"),
        ("sites = []", "unknown field 'sites'"),
        ('[[rules]]\nchannel = "x"\nsource = "a"\n[[rules]]\nchannel = "y"\nsource = "a"', "can never match"),
        ('[[rules]]\nchannel = "x"\nsorce = "a"', "rule 1: unknown field 'sorce'"),
        ("rules = [{}]", "rule 1: 'channel' must be a name"),
        ('own_sites = ["shop"]', "'own_sites' has an entry that is not a host"),
        ('file = "other.toml"', "unknown field 'file'"),
    ],
)
def test_bad_rules_files_are_named(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rules: str,
    told: str,
) -> None:
    (tmp_path / "rules" / "channels.toml").write_text(rules, encoding="utf-8")
    for command in (("validate", shop), ("run", shop, "--out", tmp_path / "out")):
        assert call(monkeypatch, *command) == 2
        message = capsys.readouterr().err
        assert told in message
        assert "channels.toml" in message
        assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_cyclic_links_and_links_to_nobody_do_not_stop_a_run(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "plain") == 0
    with (tmp_path / "shop" / "logins.csv").open("a", encoding="utf-8") as links:
        links.write("änne,cookie-1\nbo,bo\ncookie-77,nobody\n")
    assert call(monkeypatch, "run", shop, "--out", tmp_path / "cyclic") == 0
    plain, cyclic = (pd.read_csv(tmp_path / name / "credit.csv") for name in ("plain", "cyclic"))
    pd.testing.assert_frame_equal(plain, cyclic)
    quality = pd.read_csv(tmp_path / "cyclic" / "quality.csv").set_index(["check", "table"])
    for check, count, example in (("unknown_visitors", 2, "cookie-77"), ("unknown_customers", 1, "nobody")):
        row = quality.loc[(check, "identities")]
        assert (row["status"], row["count"], row["example"]) == ("warn", count, example)


ADAPTED = """
[tables]
touchpoints = { adapter = "snowplow", source = "events/*.parquet", where = "app_id = 'shop'" }
conversions = { adapter = "snowplow", source = "events/*.parquet", columns = { value = "tr_total_base" } }
identities = { adapter = "snowplow", source = "events/*.parquet" }
costs = { adapter = "google_ads", source = "spend.csv" }

[[models]]
model = "Markov"
"""
"""As the README shows it."""


def test_adapters_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events").mkdir()
    events = EVENTS.assign(app_id=["shop", "shop", "shop", "blog", "shop"], tr_total_base=["0", "0", "0", "0", "8"])
    events.to_parquet(tmp_path / "events" / "1.parquet")
    (tmp_path / "spend.csv").write_text(
        "customer_id,date,campaign_name,campaign_advertising_channel_type,cost_micros\n1,2024-01-01,ü,SEARCH,4000000\n"
    )
    (tmp_path / "e.toml").write_text(ADAPTED + UNTRACKED, encoding="utf-8")
    assert call(monkeypatch, "run", tmp_path / "e.toml", "--out", tmp_path / "out") == 0
    returns = pd.read_csv(tmp_path / "out" / "returns.csv").set_index("channel")
    assert returns[["conversions", "value", "spend", "roas"]].loc["Paid Search"].tolist() == [1, 8, 4, 2]
