"""Several ids, one person; several persons, one account. By hand, and against the twins."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.data.loading.findings import Finding
from attribution.data.loading.identity import (
    LARGE_CLUSTER,
    SHARED_CUSTOMERS,
    LinkedRows,
    Stitching,
    account_findings,
    fresh_id_finding,
    identity_findings,
    map_accounts,
    stitch_identities,
)
from attribution.errors import InputError
from tests.twins import identities as twin

TEXT_IDS = ("a", "b", "c", "ab", "", "A", "10", "9", "王芳", "李雷", "🛒", "visitor-1", "visitor-2", "visitor-10")
INTEGER_IDS = (0, 1, 2, 9, 10, -5, 2**53 + 1, 2**53 + 2, -(2**63), 2**63 - 1)


def links_among(ids: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    """Few ids, so that they meet again; now and then none at all."""
    end = st.sampled_from((*ids, None))
    return st.lists(st.tuples(end, end), max_size=14)


LINKS = links_among(TEXT_IDS) | links_among(INTEGER_IDS)


def table(links: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    kind = kind or (pa.int64() if any(isinstance(end, int) for link in links for end in link) else pa.string())
    return pa.table(
        {
            "visitor_id": pa.array([visitor for visitor, _ in links], kind),
            "customer_id": pa.array([customer for _, customer in links], kind),
        }
    )


def mapped(stitching: Any) -> dict[Any, Any]:
    ids, persons = (stitching.mapping[name].to_pylist() for name in ("id", "person"))
    assert ids == sorted(set(ids))
    return dict(zip(ids, persons, strict=True))


def rows(found: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in found.to_pylist()]


# ---------------------------------------------------------------- stitching


def test_links_lead_on_over_both_columns() -> None:
    links = [("phone", "mia"), ("laptop", "mia"), ("mia", "anna"), ("tablet", "anna"), ("kiosk", "bob")]
    stitching = stitch_identities(table(links))
    assert mapped(stitching) == {
        "kiosk": "bob",
        "laptop": "anna",
        "mia": "anna",
        "phone": "anna",
        "tablet": "anna",
    }
    assert rows(stitching.clusters) == [("anna", 5, 2), ("bob", 2, 1)]
    assert (stitching.links, stitching.unusable, stitching.visitors) == (5, 0, 5)


def test_a_person_has_the_smallest_customer_id_and_never_a_visitor_id() -> None:
    assert mapped(stitch_identities(table([("a", "z"), ("a", "y")]))) == {"a": "y", "z": "y"}
    # As text "10" comes before "9", as a number it does not.
    assert mapped(stitch_identities(table([("v", "9"), ("v", "10")]))) == {"9": "10", "v": "10"}
    assert mapped(stitch_identities(table([(0, 9), (0, 10)]))) == {0: 9, 10: 9}


def test_cycles_repeats_and_links_with_oneself_do_no_harm() -> None:
    cycle = [("a", "b"), ("b", "c"), ("c", "a")]
    assert mapped(stitch_identities(table(cycle * 300))) == {"b": "a", "c": "a"}
    alone = stitch_identities(table([("a", "a")]))
    assert (mapped(alone), rows(alone.clusters)) == ({}, [("a", 1, 1)])


@pytest.mark.parametrize("times", [256, 512, 65_536])
def test_a_link_may_be_repeated_any_number_of_times(times: int) -> None:
    stitching = stitch_identities(table([("cookie", "anna")] * times))
    assert (mapped(stitching), stitching.links) == ({"cookie": "anna"}, times)


def test_names_in_any_script() -> None:
    stitching = stitch_identities(table([("饼干一", "王芳"), ("饼干二", "王芳"), ("🛒", "李雷"), ("饼干二", "李雷")]))
    assert mapped(stitching) == {"王芳": "李雷", "饼干一": "李雷", "饼干二": "李雷", "🛒": "李雷"}
    assert min("李雷", "王芳") == "李雷"


def test_a_link_without_an_id_is_counted_and_ignored() -> None:
    stitching = stitch_identities(table([("a", None), (None, "b"), (None, None), ("a", "b")]))
    assert (mapped(stitching), stitching.links, stitching.unusable) == ({"a": "b"}, 4, 3)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.int64(), pa.int32(), pa.null()])
@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_stitch(kind: pa.DataType, count: int) -> None:
    stitching = stitch_identities(table([(None, None)] * count, kind))
    assert (stitching.mapping.num_rows, stitching.clusters.num_rows, stitching.shared_visitors.num_rows) == (0, 0, 0)
    assert (stitching.links, stitching.unusable, stitching.visitors) == (count, count, 0)
    integers = pa.types.is_integer(kind)
    assert set(stitching.mapping.schema.types) == {pa.int64() if integers else pa.large_string()}
    nothing = identity_findings(stitching, LinkedRows(0, 0, 0, 0, 0, 0))
    assert [finding.check for finding in nothing if finding.status == "warn"] == ["unusable_links"] * bool(count)


def test_a_column_of_nulls_beside_integers() -> None:
    links = pa.table({"visitor_id": pa.nulls(2), "customer_id": pa.array([1, 2])})
    assert stitch_identities(links).unusable == 2


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_texts_in_any_layout(kind: pa.DataType) -> None:
    links = table([("v", "b"), ("v", "a"), ("w", None)]).cast(pa.schema([("visitor_id", kind), ("customer_id", kind)]))
    chunked = pa.concat_tables([links.slice(1), links.slice(0, 1)])
    assert mapped(stitch_identities(chunked)) == {"b": "a", "v": "a"}


def test_ids_that_are_no_ids_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"column 'customer_id' is missing.*Given: .*'customer'.*did you mean 'customer'"
    ):
        stitch_identities(pa.table({"visitor_id": ["a"], "customer": ["b"]}))
    with pytest.raises(
        InputError, match=r"'identities', column 'visitor_id': these values cannot be ids. Given: double"
    ):
        stitch_identities(pa.table({"visitor_id": [1.5], "customer_id": [1]}))
    with pytest.raises(InputError, match="some ids are integers and some are texts"):
        stitch_identities(pa.table({"visitor_id": ["1"], "customer_id": [1]}))


@given(LINKS, st.randoms())
def test_as_the_twin_stitches_in_any_order(links: list[Any], chance: random.Random) -> None:
    stitching = stitch_identities(table(links))
    persons = twin.persons(links)
    assert mapped(stitching) == {member: person for member, person in persons.items() if person != member}
    assert rows(stitching.clusters) == twin.sizes(links)
    assert rows(stitching.shared_visitors) == twin.shared_visitors(links, SHARED_CUSTOMERS)
    assert stitching.unusable == sum(None in link for link in links)
    assert stitching.visitors == len({visitor for visitor, customer in links if None not in (visitor, customer)})
    shuffled = chance.sample(links, len(links))
    assert stitch_identities(table(shuffled, stitching.mapping.schema.types[0])) == stitching


def test_a_chain_of_two_hundred_thousand_links() -> None:
    length = 200_000
    names = [f"id-{place:06}" for place in np.random.default_rng(1).permutation(length + 1)]
    stitching = stitch_identities(pa.table({"visitor_id": names[:-1], "customer_id": names[1:]}))
    # The first name of the chain occurs as a visitor only.
    person = min(names[1:])
    assert rows(stitching.clusters) == [(person, length + 1, length)]
    assert set(stitching.mapping["person"].to_pylist()) == {person}
    assert stitching.mapping.num_rows == length


def test_many_links_as_the_twin_stitches() -> None:
    """Enough of them for large clusters beside small ones."""
    draw = np.random.default_rng(2)
    links = list(
        zip(draw.integers(0, 40_000, 20_000).tolist(), draw.integers(30_000, 60_000, 20_000).tolist(), strict=True)
    )
    as_texts: list[Any] = [(f"user-{visitor}", f"user-{customer}") for visitor, customer in links]
    for some in (links, as_texts):
        stitching = stitch_identities(table(some))
        assert rows(stitching.clusters) == twin.sizes(some)
        assert mapped(stitching) == {m: person for m, person in twin.persons(some).items() if person != m}


# ---------------------------------------------------------------- findings


def found(stitching: Stitching, **counts: Any) -> dict[str, Finding]:
    """Findings by check; every touchpoint and customer stitched and every id known unless said otherwise."""
    usual = dict.fromkeys(("touchpoints", "stitched_touchpoints", "customers", "stitched_customers"), 10) | {
        "unknown_visitors": 0,
        "unknown_customers": 0,
    }
    return {finding.check: finding for finding in identity_findings(stitching, LinkedRows(**{**usual, **counts}))}


def warned(findings: dict[str, Finding]) -> dict[str, tuple[float, str | None]]:
    return {check: (one.count, one.example) for check, one in findings.items() if one.status == "warn"}


FAMILY = [("phone", "mia"), ("laptop", "mia"), ("tablet", "bob"), ("tablet", "ann")]


def test_a_usual_table_of_links_warns_of_nothing() -> None:
    findings = found(stitch_identities(table(FAMILY)), touchpoints=40, customers=20)
    assert warned(findings) == {}
    assert all(finding.table == "identities" for finding in findings.values())
    assert {check: (one.count, one.total) for check, one in findings.items()} == {
        "stitched_touchpoints": (10, 40),
        "stitched_customers": (10, 20),
        "largest_cluster": (3, 6),
        "merged_customers": (1, 2),
        "shared_visitors": (0, 3),
        "large_clusters": (0, 2),
        "unknown_visitors": (0, 4),
        "unknown_customers": (0, 4),
        "unusable_links": (0, 4),
    }
    assert findings["largest_cluster"].example == "ann: ids 3, customer ids 2"


def test_a_visitor_with_three_customers_looks_like_a_shared_device() -> None:
    till = [("till", customer) for customer in ("c", "a", "b", "a", "till")]
    stitching = stitch_identities(table([*FAMILY, *till, *(("wall", str(number)) for number in range(4))]))
    assert rows(stitching.shared_visitors) == [("wall", 4), ("till", 3)]
    assert warned(found(stitching)) == {"shared_visitors": (2, "wall: customer ids 4")}


def test_two_customers_on_a_visitor_or_three_by_detours_are_none() -> None:
    stitching = stitch_identities(table([("x", "a"), ("x", "b"), ("y", "b"), ("y", "c")]))
    assert stitching.shared_visitors.num_rows == 0
    assert rows(stitching.clusters) == [("a", 5, 3)]
    assert warned(found(stitching)) == {}


def test_a_customer_with_a_hundred_visitors_is_hardly_one_person() -> None:
    cookies = [(f"cookie-{number}", "guest") for number in range(LARGE_CLUSTER)]
    assert warned(found(stitch_identities(table(cookies[1:])))) == {}
    assert warned(found(stitch_identities(table([*FAMILY, *cookies])))) == {
        "large_clusters": (1, "guest: ids 101, customer ids 1")
    }


def test_links_that_join_nothing_are_suspicious() -> None:
    stitching = stitch_identities(table(FAMILY))
    counts = {"stitched_touchpoints": 0, "stitched_customers": 0}
    assert set(warned(found(stitching, **counts))) == set(counts)
    assert warned(found(stitching, touchpoints=0, stitched_touchpoints=0)) == {}


def test_links_to_ids_that_nobody_has() -> None:
    findings = found(
        stitch_identities(table([*FAMILY, (None, "mia")])),
        unknown_visitors=2,
        unknown_visitor="laptop",
        unknown_customers=1,
        unknown_customer="mia",
    )
    assert warned(findings) == {
        "unknown_visitors": (2, "laptop"),
        "unknown_customers": (1, "mia"),
        "unusable_links": (1, None),
    }
    assert (findings["unknown_visitors"].total, findings["unusable_links"].total) == (4, 5)


@pytest.mark.parametrize(
    ("fresh", "looked_at", "status"),
    [(0, 0, "pass"), (0, 9, "pass"), (9, 100, "pass"), (10, 100, "warn"), (1, 1, "warn")],
)
def test_many_new_ids_before_conversions_warn(fresh: int, looked_at: int, status: str) -> None:
    finding = fresh_id_finding(fresh, looked_at, minutes=30)
    assert (finding.status, finding.count, finding.total) == (status, fresh, looked_at)
    assert "at most 30 minutes earlier" in finding.message


# ---------------------------------------------------------------- accounts


def contacts(*pairs: tuple[Any, Any]) -> pa.Table:
    return pa.table({"customer_id": [customer for customer, _ in pairs], "company": [account for _, account in pairs]})


def test_the_smallest_customer_stands_for_the_account() -> None:
    accounts = map_accounts(
        contacts(("cem", "acme"), ("ann", "acme"), ("bob", None), ("dan", "bolt"), ("eve", ""), ("fay", " ")), "company"
    )
    assert mapped(accounts) == {"cem": "ann"}
    assert rows(accounts.accounts) == [("acme", "ann", 2), ("bolt", "dan", 1)]
    assert (accounts.customers, accounts.without_account) == (6, 3)
    assert [(one.check, one.status, one.count, one.total) for one in account_findings(accounts)] == [
        ("without_account", "pass", 3, 6),
        ("account_conflicts", "pass", 0, None),
    ]


def test_an_account_called_like_a_customer_is_not_that_customer() -> None:
    accounts = map_accounts(contacts(("ann", "bob"), ("cem", "bob"), ("bob", None)), "company")
    assert mapped(accounts) == {"cem": "ann"}


def test_integer_customers_stay_integers() -> None:
    accounts = map_accounts(contacts((10, "甲公司"), (9, "甲公司"), (1, None), (None, "甲公司")), "company")
    assert mapped(accounts) == {10: 9}
    assert accounts.mapping.schema.types == [pa.int64(), pa.int64()]
    assert rows(accounts.accounts) == [("甲公司", 9, 2)]
    numbered = map_accounts(contacts((3, 7), (2, 7)), "company")
    assert (mapped(numbered), rows(numbered.accounts)) == ({3: 2}, [(7, 2, 2)])


def test_a_row_may_be_repeated_or_lack_the_account() -> None:
    accounts = map_accounts(contacts(("b", "acme"), ("b", None), ("b", "acme"), ("a", "acme")), "company")
    assert (mapped(accounts), accounts.customers, accounts.without_account) == ({"b": "a"}, 2, 0)


def test_a_customer_with_two_accounts_is_refused() -> None:
    rows = [
        ("ann", "acme"),
        ("bob", "acme"),
        ("bob", "bolt"),
        ("cem", "x"),
        ("cem", "y"),
        ("cem", "x"),
        ("bob", "acme"),
    ]
    message = (
        r"2 customers with more than one account, in 6 rows. Given: customer bob: acme, bolt. "
        r"Allowed: one account per customer"
    )
    for turned in (rows, rows[::-1]):
        with pytest.raises(InputError, match=message):
            map_accounts(contacts(*turned), "company")


def test_a_missing_or_senseless_account_column_is_refused() -> None:
    with pytest.raises(InputError, match=r"'customers': column 'compny' is missing.*did you mean 'company'"):
        map_accounts(contacts(("a", "b")), "compny")
    with pytest.raises(InputError, match=r"column 'company': these values cannot be ids. Given: double"):
        map_accounts(contacts(("a", 1.5)), "company")
    with pytest.raises(InputError, match="some ids are integers and some are texts"):
        map_accounts(contacts((1, "acme")), "company", persons=stitch_identities(table(FAMILY)).mapping)


@pytest.mark.parametrize("pairs", [[], [(None, None)], [("a", None), ("b", "")]])
def test_nobody_has_an_account(pairs: list[Any]) -> None:
    accounts = map_accounts(contacts(*pairs), "company")
    assert (accounts.mapping.num_rows, accounts.accounts.num_rows) == (0, 0)
    without = len([customer for customer, _ in pairs if customer is not None])
    assert (accounts.customers, accounts.without_account) == (without, without)
    assert account_findings(accounts)[0].status == "warn"


def test_visitors_follow_their_person_to_the_account() -> None:
    stitching = stitch_identities(table([("phone", "bob"), ("laptop", "cem"), ("tv", "dan")]))
    accounts = map_accounts(
        contacts(("bob", "acme"), ("cem", "acme"), ("dan", None)), "company", persons=stitching.mapping
    )
    assert mapped(accounts) == {"phone": "bob", "laptop": "bob", "cem": "bob", "tv": "dan"}


def test_a_person_of_two_accounts_is_counted_and_has_that_of_the_smallest_customer() -> None:
    stitching = stitch_identities(table([("till", "bob"), ("till", "cem")]))
    accounts = map_accounts(
        contacts(("cem", "bolt"), ("bob", "acme"), ("ann", "acme"), ("dan", "bolt")),
        "company",
        persons=stitching.mapping,
    )
    assert mapped(accounts) == {"till": "ann", "bob": "ann", "cem": "ann"}
    assert rows(accounts.accounts) == [("acme", "ann", 2), ("bolt", "dan", 2)]
    assert [(one.status, one.count, one.example) for one in account_findings(accounts)][1] == ("warn", 1, "bob")
    # Nobody is left of an account whose only customer went elsewhere.
    alone = map_accounts(contacts(("cem", "bolt"), ("bob", "acme")), "company", persons=stitching.mapping)
    assert rows(alone.accounts) == [("acme", "bob", 1)]


@given(
    links_among(TEXT_IDS), st.dictionaries(st.sampled_from(TEXT_IDS), st.sampled_from((None, "a", "b", "acme", "甲")))
)
def test_accounts_of_persons_as_the_twin_finds_them(links: list[Any], given_accounts: dict[str, str | None]) -> None:
    persons = stitch_identities(table(links, pa.string())).mapping
    customers = pa.table(
        {
            "customer_id": pa.array(list(given_accounts), pa.string()),
            "company": pa.array(list(given_accounts.values()), pa.string()),
        }
    )
    expected = twin.account_persons(given_accounts.items(), twin.persons(links))
    accounts = map_accounts(customers, "company", persons=persons)
    assert mapped(accounts) == {member: person for member, person in expected.items() if person != member}
    turned = customers.take(pa.array(range(len(given_accounts))[::-1], pa.int64()))
    assert map_accounts(turned, "company", persons=persons) == accounts
    # Whoever has no account is never taken for one.
    members = {customer for customer, account in given_accounts.items() if account is not None}
    for person in accounts.accounts["person"].to_pylist():
        assert members & {member for member, other in expected.items() if other == person}


@pytest.mark.parametrize(
    ("unknown_visitors", "unknown_customers", "status"),
    [(0, 3, "pass"), (1, 3, "pass"), (3, 3, "warn"), (0, 2, "warn"), (0, 0, "pass")],
)
def test_addresses_that_only_join_visitors_are_no_warning(
    unknown_visitors: int, unknown_customers: int, status: str
) -> None:
    links = pa.table({"visitor_id": ["phone", "laptop", "desk"], "customer_id": ["a@x", "a@x", "b@x"]})
    rows = LinkedRows(9, 3, 4, 2, unknown_visitors=unknown_visitors, unknown_customers=unknown_customers)
    found = [each for each in identity_findings(stitch_identities(links), rows) if each.check == "unknown_customers"]
    assert [(each.status, each.count) for each in found] == [(status, unknown_customers)]
