"""Several ids, one person, and several persons, one account: links followed to their end, and what is suspicious."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.data.loading.findings import Finding, Status, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.kernels.journeys.ids import smallest_of_component, sorted_codes

# ---------------------------------------------------------------- several ids, one person

SHARED_CUSTOMERS = 3
"""A visitor linked with this many customers looks like a shared device: a till, a library, a default id."""

LARGE_CLUSTER = 100
"""More ids than this are probably not one person: a new cookie every week makes 52 a year and browser."""

FRESH_SHARE = 0.1
"""Where ids last, at most one in a hundred converts within half an hour of its first event."""


@dataclass(frozen=True)
class Stitching:
    """Who is who, according to a table of links.

    Ids are int64 or large_string, as those of the links; texts are ordered by code points, integers by size.

    Attributes
    ----------
    mapping : ``id`` and the ``person`` it belongs to, for each id that is not its person's; sorted by ``id``
    clusters : ``person``, how many ``ids`` are linked and how many of them are ``customer_ids``; one row per person
        that occurs in a link, most ids first, then by ``person``
    shared_visitors : ``visitor_id`` and the number of ``customer_ids`` it is linked with directly, for visitors
        with at least `SHARED_CUSTOMERS` of them besides itself; most first, then by ``visitor_id``
    visitors : distinct visitor ids of usable links
    links : rows of the table
    unusable : rows with a null in either column, which are ignored
    """

    mapping: pa.Table
    clusters: pa.Table
    shared_visitors: pa.Table
    visitors: int
    links: int
    unusable: int


def stitch_identities(links: pa.Table) -> Stitching:
    """Join all ids that links connect, however many links it takes, and name the person each id belongs to.

    A link says that two ids are one person. An id may occur in both columns; repeated links, cycles and links of an
    id with itself do no harm. A person is named by the smallest of its ids that occur in the column
    ``customer_id``: every link has one, so every cluster has one. Several customer ids in one cluster are one
    person too, that is what the links say; `identity_findings` counts them. The order of the rows does not matter.

    Parameters
    ----------
    links : Arrow table with ``visitor_id`` and ``customer_id``, both text or both integers; other columns are
        ignored, and so are rows with a null in either. A blank text is an id like any other here: the loader makes
        it null.

    Raises
    ------
    InputError
        If a column is missing, or ids are neither text nor integers, or of one kind here and the other there.

    References
    ----------
    R. E. Tarjan, "Efficiency of a good but not linear set union algorithm", Journal of the ACM 22 (1975).

    Examples
    --------
    >>> links = pa.table({"visitor_id": ["cookie-2", "cookie-1", "b"], "customer_id": ["b", "b", "a"]})
    >>> stitched = stitch_identities(links)
    >>> stitched.mapping.to_pylist()
    [{'id': 'b', 'person': 'a'}, {'id': 'cookie-1', 'person': 'a'}, {'id': 'cookie-2', 'person': 'a'}]
    >>> stitched.clusters.to_pylist()
    [{'person': 'a', 'ids': 4, 'customer_ids': 2}]
    """
    visitor, customer = (read_ids("identities", links, name) for name in ("visitor_id", "customer_id"))
    visitor, customer = same_kind("identities", visitor, customer)
    usable = pc.and_(pc.is_valid(visitor), pc.is_valid(customer))
    unusable = links.num_rows - (pc.sum(usable).as_py() or 0)
    if unusable:
        visitor, customer = visitor.filter(usable), customer.filter(usable)
    count = len(visitor)
    ids, codes = sorted_codes(pa.chunked_array([*visitor.chunks, *customer.chunks], visitor.type))
    first, second = codes[:count], codes[count:]
    component, name = smallest_of_component(first, second, len(ids))
    return Stitching(
        mapping=mapping_table(ids, name[component]),
        clusters=_clusters(ids, component, name, np.bincount(second, minlength=len(ids)) > 0),
        shared_visitors=_shared_visitors(ids, first, second),
        visitors=int(np.count_nonzero(np.bincount(first, minlength=len(ids)))),
        links=links.num_rows,
        unusable=unusable,
    )


def read_ids(table: str, rows: pa.Table, name: str) -> pa.ChunkedArray:
    """The ids in column ``name`` as int64 or large_string; of type null where there is none."""
    if name not in rows.column_names:
        raise InputError(
            f"table {table!r}: column {name!r} is missing",
            given=rows.column_names,
            hint=did_you_mean(name, rows.column_names),
        )
    column = rows[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return column
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    raise InputError(
        f"table {table!r}, column {name!r}: these values cannot be ids", given=kind, allowed="texts, integers"
    )


def same_kind(table: str, *columns: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    """The columns, of nulls only taken as what the others are."""
    kinds = {str(column.type): column.type for column in columns if not pa.types.is_null(column.type)}
    if len(kinds) > 1:
        raise InputError(f"table {table!r}: some ids are integers and some are texts", given=sorted(kinds))
    kind = next(iter(kinds.values()), pa.large_string())
    return [column.cast(kind) for column in columns]


def mapping_table(ids: pa.Array, person: NDArray[np.int64]) -> pa.Table:
    """``id`` and ``person`` of the ``ids`` (n,), ascending, whose ``person`` (n,), a position, is another."""
    moved = np.flatnonzero(person != np.arange(len(person)))
    return pa.table({"id": ids.take(pa.array(moved)), "person": ids.take(pa.array(person[moved]))})


def _clusters(
    ids: pa.Array, component: NDArray[np.int64], name: NDArray[np.int64], is_customer: NDArray[np.bool_]
) -> pa.Table:
    size = np.bincount(component, minlength=len(name))
    customers = np.bincount(component[is_customer], minlength=len(name))
    order = np.lexsort((name, -size))
    return pa.table({"person": ids.take(pa.array(name[order])), "ids": size[order], "customer_ids": customers[order]})


def _shared_visitors(ids: pa.Array, first: NDArray[np.int64], second: NDArray[np.int64]) -> pa.Table:
    linked = np.bincount(first[first != second], minlength=len(ids))
    # Few visitors have many links, so that few links need to be told apart.
    rows = (first != second) & (linked[first] >= SHARED_CUSTOMERS)
    pairs = np.sort(first[rows] * len(ids) + second[rows])
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    visitor, customers = np.unique(pairs // max(len(ids), 1), return_counts=True)
    order = np.lexsort((visitor, -customers))
    order = order[customers[order] >= SHARED_CUSTOMERS]
    return pa.table({"visitor_id": ids.take(pa.array(visitor[order])), "customer_ids": customers[order]})


@dataclass(frozen=True)
class LinkedRows:
    """How the links meet the other tables, counted by the engine before any id is replaced.

    Attributes
    ----------
    touchpoints : touchpoints with an id
    stitched_touchpoints : of these, whose id is in ``mapping.id``
    customers : distinct ids in touchpoints and conversions together
    stitched_customers : of these, in ``mapping.id``
    unknown_visitors : usable links whose ``visitor_id`` is the id of no touchpoint and no conversion
    unknown_customers : usable links whose ``customer_id`` is not
    unknown_visitor, unknown_customer : the smallest such id; None where there is none
    """

    touchpoints: int
    stitched_touchpoints: int
    customers: int
    stitched_customers: int
    unknown_visitors: int
    unknown_customers: int
    unknown_visitor: object = None
    unknown_customer: object = None


def identity_findings(stitching: Stitching, rows: LinkedRows) -> list[Finding]:
    """What the links did and what is suspicious about them, as rows of the quality table.

    A warning says that no touchpoint or no customer was stitched at all, that a link lacks an id or names one that
    nothing else knows, or that a cluster looks like more than one person: a visitor is linked with
    `SHARED_CUSTOMERS` customers or more (a shared device, a default id), or a cluster has more than `LARGE_CLUSTER`
    ids (a customer "guest", devices that are handed around). Nothing is taken apart: delete such links.

    Examples
    --------
    >>> till = stitch_identities(pa.table({"visitor_id": ["till"] * 3, "customer_id": ["a", "b", "c"]}))
    >>> found = identity_findings(till, LinkedRows(9, 3, 4, 3, unknown_visitors=0, unknown_customers=0))
    >>> [(finding.check, finding.count, finding.example) for finding in found if finding.status == "warn"]
    [('shared_visitors', 1, 'till: customer ids 3')]
    """
    usable = stitching.links - stitching.unusable
    clusters, shared = stitching.clusters, stitching.shared_visitors
    ids = clusters["ids"].to_numpy()
    merged = int(np.count_nonzero(clusters["customer_ids"].to_numpy() > 1))
    largest = Finding(
        "largest_cluster", "identities", "pass", int(ids.max(initial=0)), int(ids.sum()), _top(clusters), _LARGEST
    )
    suspicions = [
        ("shared_visitors", shared.num_rows, stitching.visitors, _top(shared), _SHARED),
        ("large_clusters", int(np.count_nonzero(ids > LARGE_CLUSTER)), len(ids), _top(clusters), _LARGE),
        ("unknown_visitors", rows.unknown_visitors, usable, rows.unknown_visitor, _UNKNOWN_VISITORS),
        ("unknown_customers", rows.unknown_customers, usable, rows.unknown_customer, _UNKNOWN_CUSTOMERS),
        ("unusable_links", stitching.unusable, stitching.links, None, _UNUSABLE),
    ]
    # An e-mail address or a login that only joins visitors is in no other table, and need not be.
    is_label = 0 < usable == rows.unknown_customers and rows.unknown_visitors < usable
    if is_label:
        labels = Finding("unknown_customers", "identities", "pass", usable, usable, None, _LABELS)
        suspicions = [each for each in suspicions if each[0] != labels.check]
    return [
        _share("stitched_touchpoints", rows.stitched_touchpoints, rows.touchpoints, _TOUCHPOINTS),
        _share("stitched_customers", rows.stitched_customers, rows.customers, _CUSTOMERS),
        largest,
        Finding("merged_customers", "identities", "pass", merged, len(ids), None, _MERGED),
        *(
            count_finding(check, "identities", count, message, total=total, example=example)
            for check, count, total, example, message in suspicions
        ),
        *([labels] if is_label else []),
    ]


def fresh_id_finding(fresh: int, looked_at: int, *, minutes: float) -> Finding:
    """New ids right before a conversion, the usual way journeys are lost; counted by `kernels.arrivals`.

    Some people do buy at first sight, so that it warns from a share of `FRESH_SHARE` on.

    Examples
    --------
    >>> fresh_id_finding(5, 738, minutes=30).status, fresh_id_finding(300, 738, minutes=30).status
    ('pass', 'warn')
    """
    status: Status = "warn" if fresh and fresh >= FRESH_SHARE * looked_at else "pass"
    return Finding("new_id_before_conversion", "conversions", status, fresh, looked_at, None, _FRESH.format(minutes))


def _share(check: str, count: int, total: int, message: str) -> Finding:
    """A fact that is suspicious only where it is none at all."""
    if total and not count:
        remedy = "none is: check that links and tables write their ids alike"
        return Finding(check, "identities", "warn", count, total, None, f"{message}; {remedy}")
    return Finding(check, "identities", "pass", count, total, None, message)


def _top(table: pa.Table) -> str | None:
    """The first row in words."""
    if table.num_rows == 0:
        return None
    name, *counts = table.column_names
    shown = ", ".join(f"{count.replace('_', ' ')} {table[count][0]}" for count in counts)
    return f"{table[name][0]}: {shown}"


_TOUCHPOINTS = "touchpoints whose id was replaced by the id of their person"
_CUSTOMERS = "ids in touchpoints and conversions that were replaced by the id of their person"
_LARGEST = "ids of the person with the most ids, out of all linked ids"
_MERGED = "persons with several customer ids (merged under the smallest id)"
_SHARED = (
    f"visitors linked to {SHARED_CUSTOMERS} or more customers, for example on a shared device, and merged into one "
    "person: remove these links if they are wrong"
)
_LARGE = f"persons with more than {LARGE_CLUSTER} ids, so probably not one person: remove the links that join them"
_UNKNOWN_VISITORS = (
    "links whose visitor_id is in no touchpoint and no conversion: check that touchpoints have this id, written alike"
)
_UNKNOWN_CUSTOMERS = (
    "links whose customer_id is in no touchpoint and no conversion (they may still join visitors): check that "
    "conversions have this id, written alike"
)
_LABELS = "links whose customer_id is in no other table: an address or a login that joins visitors, which is enough"
_UNUSABLE = "links without visitor_id or customer_id (ignored): complete them, or filter them with where"
_FRESH = (
    "first conversions whose id was first seen at most {:g} minutes earlier: "
    "if these are many, people get new ids (login, cleared cookies) and earlier touchpoints are lost; link ids "
    "with identities"
)


# ---------------------------------------------------------------- several persons, one account


@dataclass(frozen=True)
class Accounts:
    """Which customers stand for one account.

    Attributes
    ----------
    mapping : ``id`` and ``person``, in the form of `Stitching.mapping` and in its place: every id of an account
        belongs to the same ``person``, the smallest of the persons in it
    own_ids : ``id`` and ``person`` of accounts that no customer is called like: deals may be booked on them
    accounts : ``account``, the ``person`` that stands for it, and how many ``customers`` name it; by ``account``
    customers : distinct customers of the table
    without_account : of these, without an account; they stay on their own
    conflicts : persons who have customer ids with different accounts; the account of the smallest id is taken
    conflict : the smallest of these persons
    """

    mapping: pa.Table
    own_ids: pa.Table
    accounts: pa.Table
    customers: int
    without_account: int
    conflicts: int
    conflict: object


def map_accounts(customers: pa.Table, column: str, *, persons: pa.Table | None = None) -> Accounts:
    """Replace customers by their account: who stands for all its customers is one of them.

    An account is named by the smallest of its persons, not by the account itself, so that it can never be mistaken
    for a customer without account, whatever either is called, and integer ids stay integers. `Accounts.accounts`
    tells the account of each such person, `Accounts.own_ids` the accounts that are ids themselves.

    Parameters
    ----------
    customers : Arrow table with ``customer_id`` (text or integers) and ``column``; rows without customer are ignored
    column : where the account is; a null or a blank text is none
    persons : the ``mapping`` of `stitch_identities`, if ids are stitched as well: visitors follow their person to
        its account, and the result replaces that mapping

    Raises
    ------
    InputError
        If a column is missing, or a customer has two accounts.

    Examples
    --------
    >>> contacts = pa.table({"customer_id": ["cem", "ann", "bob"], "account": ["acme", "acme", None]})
    >>> map_accounts(contacts, "account").mapping.to_pylist()
    [{'id': 'cem', 'person': 'ann'}]
    """
    nobody = pa.table({"id": pa.nulls(0), "person": pa.nulls(0)})
    customer, moved, person = same_kind(
        "customers",
        read_ids("customers", customers, "customer_id"),
        *(read_ids("identities", nobody if persons is None else persons, name) for name in ("id", "person")),
    )
    account = _read_accounts(customers, column)
    rows = pc.is_valid(customer)
    customer, account = customer.filter(rows), account.filter(rows)
    ids, codes = sorted_codes(pa.chunked_array([*customer.chunks, *moved.chunks, *person.chunks], customer.type))
    own, moved, person = np.split(codes, [len(customer), len(customer) + len(moved)])
    names, account_codes = sorted_codes(account.drop_null())
    account_of = _assign_accounts(ids, names, own[pc.is_valid(account).to_numpy()], account_codes)
    person_of = np.arange(len(ids))
    person_of[moved] = person
    stand_in, first, torn = _join(person_of, account_of, len(names))
    has_person = np.flatnonzero(first < len(ids))
    is_listed = np.bincount(own, minlength=len(ids)) > 0
    per_account = np.bincount(account_of[account_of >= 0], minlength=len(names))
    return Accounts(
        mapping=mapping_table(ids, stand_in),
        own_ids=_own_ids(ids, names, first),
        accounts=pa.table(
            {
                "account": names.take(pa.array(has_person)),
                "person": ids.take(pa.array(first[has_person])),
                "customers": per_account[has_person],
            }
        ),
        customers=int(np.count_nonzero(is_listed)),
        without_account=int(np.count_nonzero(is_listed & (account_of < 0))),
        conflicts=len(torn),
        conflict=ids[torn[0]].as_py() if len(torn) else None,
    )


def account_findings(accounts: Accounts) -> list[Finding]:
    """How many customers have an account, as rows of the quality table.

    Examples
    --------
    >>> found = account_findings(map_accounts(pa.table({"customer_id": [1, 2], "account": ["acme", ""]}), "account"))
    >>> [(finding.check, finding.count, finding.total, finding.status) for finding in found]
    [('without_account', 1, 2, 'pass'), ('account_conflicts', 0, None, 'pass')]
    """
    total, without = accounts.customers, accounts.without_account
    status: Status = "warn" if without == total else "pass"
    return [
        Finding(
            "without_account",
            "customers",
            status,
            without,
            total,
            None,
            _WITHOUT + (_ALL_WITHOUT if status == "warn" else ""),
        ),
        count_finding("account_conflicts", "customers", accounts.conflicts, _CONFLICTS, example=accounts.conflict),
    ]


_WITHOUT = "customers without an account (each keeps a journey of its own)"
_ALL_WITHOUT = ": no customer has one, so fill the account column, or leave journeys.account out"
_CONFLICTS = (
    "persons whose customer ids have different accounts (the account of the smallest id is used): correct the "
    "accounts, or remove the links that join these ids"
)


def _read_accounts(customers: pa.Table, column: str) -> pa.ChunkedArray:
    (accounts,) = same_kind("customers", read_ids("customers", customers, column))
    if pa.types.is_integer(accounts.type):
        return accounts
    # All customers with a blank would be one huge account.
    is_blank = pc.equal(pc.utf8_trim_whitespace(accounts), "")
    return pc.if_else(is_blank, pa.scalar(None, accounts.type), accounts)


def _assign_accounts(
    ids: pa.Array, names: pa.Array, customer: NDArray[np.int64], account: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(ids,) the one account that rows (customer, account) give each customer; −1 where none does."""
    account_of = np.full(len(ids), -1)
    account_of[customer] = account
    torn = np.unique(customer[account != account_of[customer]])
    if len(torn):
        of_first = sorted({str(names[code]) for code in account[customer == torn[0]].tolist()})
        raise InputError(
            f"table 'customers': {pluralise(len(torn), 'customer')} with more than one account, "
            f"in {pluralise(np.isin(customer, torn).sum(), 'row')}",
            given=f"customer {ids[torn[0]]}: {', '.join(of_first[:5])}",
            allowed="one account per customer",
        )
    return account_of


def _own_ids(ids: pa.Array, names: pa.Array, first: NDArray[np.int64]) -> pa.Table:
    """Accounts that can be told from all customers, as ids, and the person who stands for each.

    Numbers of accounts and of customers can be told apart only where none is both.
    """
    is_number = pa.types.is_integer(ids.type)
    if is_number and not pa.types.is_integer(names.type) and not pc.all(pc.utf8_is_decimal(names)).as_py():
        return pa.table({"id": ids.slice(0, 0), "person": ids.slice(0, 0)})
    as_ids = names.cast(ids.type)
    is_free = ~np.asarray(pc.is_in(as_ids, value_set=ids).to_numpy(zero_copy_only=False), dtype=bool)
    if is_number and not is_free.all():
        is_free[:] = False
    accounts = np.flatnonzero(is_free & (first < len(ids)))
    return pa.table({"id": as_ids.take(pa.array(accounts)), "person": ids.take(pa.array(first[accounts]))})


def _join(
    person_of: NDArray[np.int64], account_of: NDArray[np.int64], accounts: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Who stands for each id (ids,), the first person of each account (accounts,), persons with several accounts."""
    customer = np.flatnonzero(account_of >= 0)
    person, account = person_of[customer], account_of[customer]
    of_person = np.full(len(person_of), -1)
    # Of several the last one written stays: that of the smallest customer.
    of_person[person[::-1]] = account[::-1]
    first = np.full(accounts, len(person_of))
    np.minimum.at(first, of_person[person], person)
    of_id = of_person[person_of]
    stand_in = np.where(of_id >= 0, first[of_id], person_of) if accounts else person_of
    return stand_in, first, np.unique(person[account != of_person[person]])
