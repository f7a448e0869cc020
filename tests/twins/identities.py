"""Who is who, which devices are shared, who is new: in loops over dictionaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from .journeys import History

Id = str | int
Link = tuple[Id | None, Id | None]


def clusters(links: Iterable[Link]) -> list[set[Id]]:
    """Sets of ids that are connected, by joining two sets for every link between them."""
    of: dict[Id, set[Id]] = {}
    for visitor, customer in links:
        if visitor is None or customer is None:
            continue
        joined = of.get(visitor, {visitor}) | of.get(customer, {customer})
        for member in joined:
            of[member] = joined
    return list({id(cluster): cluster for cluster in of.values()}.values())


def persons(links: Sequence[Link]) -> dict[Id, Id]:
    """The person of every linked id: the smallest id of its cluster that some usable link names as customer."""
    customers = {customer for visitor, customer in links if visitor is not None and customer is not None}
    return {member: min(cluster & customers) for cluster in clusters(links) for member in cluster}


def sizes(links: Sequence[Link]) -> list[tuple[Id, int, int]]:
    """Person, ids and customer ids of every cluster, the largest first, then by person."""
    customers = {customer for visitor, customer in links if visitor is not None and customer is not None}
    rows = [(min(cluster & customers), len(cluster), len(cluster & customers)) for cluster in clusters(links)]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def shared_visitors(links: Iterable[Link], least: int) -> list[tuple[Id, int]]:
    """Visitors with at least ``least`` customers other than themselves, those with most first."""
    customers: dict[Id, set[Id]] = defaultdict(set)
    for visitor, customer in links:
        if visitor is not None and customer is not None and visitor != customer:
            customers[visitor].add(customer)
    rows = [(visitor, len(mine)) for visitor, mine in customers.items() if len(mine) >= least]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def fresh(data: Mapping[str, History], limit: int, since: int, until: int) -> tuple[int, int]:
    """Customers first touched at most ``limit`` before their first conversion, and all looked at.

    Those who convert before any touchpoint are not looked at.
    """
    ages = []
    for touches, conversions in data.values():
        if conversions:
            converted_at = min(conversion.at for conversion in conversions)
            touched_at = min((touch.at for touch in touches), default=converted_at + 1)
            if since <= converted_at <= until and touched_at <= converted_at:
                ages.append(converted_at - touched_at)
    return sum(age <= limit for age in ages), len(ages)


def account_persons(customers: Iterable[tuple[Id, str | None]], person_of: Mapping[Id, Id]) -> dict[Id, Id]:
    """Who stands for every id: the smallest person of its person's account, or the person if it has none.

    The account of a person is that of its smallest customer id that has one.
    """
    account_of_person: dict[Id, str] = {}
    ids = set(person_of) | set(person_of.values())
    for customer, account in sorted(customers, key=lambda row: row[0]):
        ids.add(customer)
        if account is not None and account.strip():
            account_of_person.setdefault(person_of.get(customer, customer), account)
    members: dict[str, list[Id]] = defaultdict(list)
    for person, account in account_of_person.items():
        members[account].append(person)
    result = {}
    for member in ids:
        person = person_of.get(member, member)
        account = account_of_person.get(person)
        result[member] = person if account is None else min(members[account])
    return result
