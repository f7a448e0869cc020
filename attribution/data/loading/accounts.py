"""Journeys of accounts: the customers of one company, one journey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.loading.identity import mapping_table, read_ids, same_kind
from attribution.data.loading.quality import Finding, Status, count_finding
from attribution.errors import InputError
from attribution.kernels.journeys.ids import sorted_codes


@dataclass(frozen=True)
class Accounts:
    """Which customers stand for one account.

    Attributes
    ----------
    mapping : ``id`` and ``person``, in the form of `Stitching.mapping` and in its place: every id of an account
        belongs to the same ``person``, the smallest of the persons in it
    accounts : ``account``, the ``person`` that stands for it, and how many ``customers`` name it; by ``account``
    customers : distinct customers of the table
    without_account : of these, without an account; they stay on their own
    conflicts : persons who have customer ids with different accounts; the account of the smallest id is taken
    conflict : the smallest of these persons
    """

    mapping: pa.Table
    accounts: pa.Table
    customers: int
    without_account: int
    conflicts: int
    conflict: object


def map_accounts(customers: pa.Table, column: str, *, persons: pa.Table | None = None) -> Accounts:
    """Replace customers by their account: who stands for all its customers is one of them.

    An account is named by the smallest of its persons, not by the account itself, so that it can never be mistaken
    for a customer without account, whatever either is called, and integer ids stay integers. `Accounts.accounts`
    tells the account of each such person.

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
    names, given = sorted_codes(account.drop_null())
    account_of = _account_of(ids, names, own[pc.is_valid(account).to_numpy()], given)
    person_of = np.arange(len(ids))
    person_of[moved] = person
    stand_in, first, torn = _join(person_of, account_of, len(names))
    kept = np.flatnonzero(first < len(ids))
    is_listed = np.bincount(own, minlength=len(ids)) > 0
    per_account = np.bincount(account_of[account_of >= 0], minlength=len(names))
    return Accounts(
        mapping=mapping_table(ids, stand_in),
        accounts=pa.table(
            {
                "account": names.take(pa.array(kept)),
                "person": ids.take(pa.array(first[kept])),
                "customers": per_account[kept],
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
        Finding("without_account", "customers", status, without, total, None, _WITHOUT),
        count_finding("account_conflicts", "customers", accounts.conflicts, _CONFLICTS, example=accounts.conflict),
    ]


_WITHOUT = "customers without an account: they stay on their own"
_CONFLICTS = "persons whose customer ids have different accounts: that of the smallest id is taken"


def _read_accounts(customers: pa.Table, column: str) -> pa.ChunkedArray:
    (accounts,) = same_kind("customers", read_ids("customers", customers, column))
    if pa.types.is_integer(accounts.type):
        return accounts
    # All customers with a blank would be one huge account.
    is_blank = pc.equal(pc.utf8_trim_whitespace(accounts), "")
    return pc.if_else(is_blank, pa.scalar(None, accounts.type), accounts)


def _account_of(
    ids: pa.Array, names: pa.Array, customer: NDArray[np.int64], account: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(ids,) the one account that rows (customer, account) give each customer; −1 where none does."""
    account_of = np.full(len(ids), -1)
    account_of[customer] = account
    torn = np.unique(customer[account != account_of[customer]])
    if len(torn):
        of_first = sorted({str(names[code]) for code in account[customer == torn[0]].tolist()})
        raise InputError(
            f"table 'customers': {len(torn)} customers have more than one account, "
            f"in {np.isin(customer, torn).sum()} rows",
            given=f"customer {ids[torn[0]]}: {', '.join(of_first[:5])}",
            allowed="one account per customer",
        )
    return account_of


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
