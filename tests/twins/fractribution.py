"""Fractional attribution by paths, as the published results of a Snowplow event file follow from it.

A touchpoint is a page view, a conversion the first event of a visitor that has a transaction total. A visitor who
never converts gives one path without conversion. Paths forget repeats: ``a > a > b`` is ``a > b``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

LOOKBACK = timedelta(days=30)

Path = tuple[str, ...]
Shares = Mapping[str, Fraction]


@dataclass(frozen=True)
class Visit:
    """One page view, with the channel it came through."""

    customer: str
    at: datetime
    channel: str


@dataclass(frozen=True)
class Order:
    """One conversion."""

    customer: str
    at: datetime
    revenue: Fraction


@dataclass(frozen=True)
class Tally:
    """How often one path converted and did not, and what it earned."""

    conversions: int = 0
    nulls: int = 0
    revenue: Fraction = Fraction(0)

    @property
    def rate(self) -> Fraction:
        """Share of the path's visitors who converted."""
        return Fraction(self.conversions, self.conversions + self.nulls)


Tallies = Mapping[Path, Tally]


def channel_of(source: str, medium: str) -> str:
    """The channel of a page view; the first condition that holds says which.

    >>> channel_of("google", "cpc"), channel_of("youtube.com", "referral"), channel_of("Partners", "affiliate")
    ('Paid_Search_Other', 'Video', 'Unmatched_Channel')
    """
    if medium.lower() == "cpc":
        return "Paid_Search_Other"
    if medium.lower() == "organic":
        return "Organic_Search"
    if "youtube" in source.lower():
        return "Video"
    if source == "(direct)":
        return "Direct"
    if medium.lower() == "referral":
        return "Referral"
    return "Unmatched_Channel"


def read_visits(events: Iterable[Mapping[str, str]]) -> list[Visit]:
    """The page views; the published tables write an ``f`` before the visitor's id."""
    return [
        Visit(
            "f" + event["domain_userid"],
            datetime.fromisoformat(event["derived_tstamp"]),
            channel_of(event["mkt_source"], event["mkt_medium"]),
        )
        for event in events
        if event["event_name"] == "page_view"
    ]


def read_orders(events: Iterable[Mapping[str, str]]) -> list[Order]:
    """The events with a transaction total."""
    return [
        Order(
            "f" + event["domain_userid"], datetime.fromisoformat(event["derived_tstamp"]), Fraction(event["tr_total"])
        )
        for event in events
        if event["tr_total"] and Fraction(event["tr_total"]) > 0
    ]


def converting_paths(visits: Iterable[Visit], orders: Iterable[Order]) -> list[tuple[Order, Path]]:
    """The first order of each visitor, and the channels in the 30 days up to it: its very instant counts."""
    first: dict[str, Order] = {}
    for order in sorted(orders, key=lambda order: order.at):
        first.setdefault(order.customer, order)
    paths = []
    for order in first.values():
        before = [v for v in visits if v.customer == order.customer and order.at - LOOKBACK <= v.at <= order.at]
        paths.append((order, tuple(visit.channel for visit in sorted(before, key=lambda visit: visit.at))))
    return paths


def other_paths(visits: Iterable[Visit], orders: Iterable[Order]) -> list[tuple[str, Path]]:
    """Each visitor without an order, and the channels of the 30 days up to the last visit."""
    customers = {visit.customer for visit in visits} - {order.customer for order in orders}
    paths = []
    for customer in sorted(customers):
        own = sorted((visit for visit in visits if visit.customer == customer), key=lambda visit: visit.at)
        paths.append((customer, tuple(visit.channel for visit in own if visit.at >= own[-1].at - LOOKBACK)))
    return paths


def exposure(path: Iterable[str]) -> Path:
    """The path without repeats of the channel before.

    >>> exposure(["a", "a", "b", "a"])
    ('a', 'b', 'a')
    """
    kept: list[str] = []
    for channel in path:
        if not kept or kept[-1] != channel:
            kept.append(channel)
    return tuple(kept)


def tally(converting: Iterable[tuple[Path, Fraction]], others: Iterable[Path]) -> dict[Path, Tally]:
    """Each path with its conversions, what they earned, and how often it did not convert."""
    tallies: dict[Path, Tally] = {}
    for path, revenue in converting:
        old = tallies.get(path, Tally())
        tallies[path] = Tally(old.conversions + 1, old.nulls, old.revenue + revenue)
    for path in others:
        old = tallies.get(path, Tally())
        tallies[path] = Tally(old.conversions, old.nulls + 1, old.revenue)
    return tallies


def last_touch(path: Path, tallies: Tallies) -> Shares:
    """Everything to the last channel."""
    return dict.fromkeys(path, Fraction(0)) | {path[-1]: Fraction(1)}


def shapley(path: Path, tallies: Tallies) -> Shares:
    """What the path's rate loses without each touchpoint, divided by the sum; all to the last one if nothing is lost.

    A path that nobody took has rate 0, a touchpoint that lowers the rate loses nothing, and one alone takes all. This
    is what the published rows called ``shapley`` hold; it is not the Shapley value.

    >>> tallies = {("a", "b"): Tally(1, 1), ("a",): Tally(1, 3)}
    >>> shapley(("a", "b"), tallies)
    {'a': Fraction(2, 3), 'b': Fraction(1, 3)}
    """
    rate = {other: counts.rate for other, counts in tallies.items()}
    without = [path[:position] + path[position + 1 :] for position in range(len(path))]
    lost = [max(rate[path] - rate.get(rest, Fraction(0)), Fraction(0)) for rest in without]
    if len(path) == 1 or not any(lost):
        return last_touch(path, tallies)
    shares = dict.fromkeys(path, Fraction(0))
    for channel, loss in zip(path, lost, strict=True):
        shares[channel] += loss / sum(lost)
    return shares


def credit(
    tallies: Tallies, share: Callable[[Path, Tallies], Shares], channels: Sequence[str]
) -> dict[str, tuple[Fraction, Fraction]]:
    """Conversions and revenue of each channel: those of every path, by its shares."""
    totals = {channel: (Fraction(0), Fraction(0)) for channel in channels}
    for path, counts in tallies.items():
        for channel, part in share(path, tallies).items():
            conversions, revenue = totals[channel]
            totals[channel] = (conversions + part * counts.conversions, revenue + part * counts.revenue)
    return totals
