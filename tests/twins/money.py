"""What channels cost and return, in fractions and loops: from raw rows to ROI, targets and the parts of a review.

Days are numbered; money is exact. Written from docs/returns.md, docs/funnel.md and docs/kpis.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations
from math import prod

Money = dict[str, Fraction]
Window = tuple[int, int] | None
"""First and last day of an analysis; None for everything."""

LOOKBACK = 30
"""Days."""


# ---------------------------------------------------------------- costs


@dataclass(frozen=True)
class Cost:
    """One row of the ledger: on a day, over days, or a lump sum; without a channel it is shared."""

    channel: str | None
    amount: Fraction
    day: int | None = None
    days: tuple[int, int] | None = None
    kind: str = "media"
    currency: str | None = None
    serves: int | None = None

    @property
    def paid(self) -> list[int]:
        """The days on which it was paid; none of a lump sum."""
        if self.days is not None:
            return list(range(self.days[0], self.days[1] + 1))
        return [] if self.day is None else [self.day]


@dataclass(frozen=True)
class Terms:
    """What is asked of costs.

    ``rates`` : currency → day from which → what one unit is worth; ``drivers`` : cost type → what it is shared by,
    spend for the others.
    """

    rates: Mapping[str, Mapping[int, Fraction]] = field(default_factory=dict)
    serves: Mapping[str, int] = field(default_factory=dict)
    fees: Mapping[str, Fraction] | Fraction = Fraction(0)
    drivers: Mapping[str, str | Mapping[str, Fraction]] = field(default_factory=dict)

    def rate(self, currency: str | None, day: int) -> Fraction:
        """What one unit is worth on a day."""
        if currency is None or currency not in self.rates:
            return Fraction(1)
        return self.rates[currency][max(since for since in self.rates[currency] if since <= day)]

    def fee(self, channel: str) -> Fraction:
        """Fees per unit of media."""
        return self.fees if isinstance(self.fees, Fraction) else self.fees.get(channel, Fraction(0))


def booked(cost: Cost, terms: Terms, window: Window) -> Fraction:
    """What of a cost the window bears.

    >>> fair = Cost("fair", Fraction(9000), day=16, kind="venue", currency="USD", serves=90)
    >>> booked(fair, Terms(rates={"USD": {0: Fraction(9, 10)}}), (31, 61))
    Fraction(2790, 1)
    """
    if not cost.paid:
        return cost.amount * terms.rate(cost.currency, 0)
    serves = cost.serves or terms.serves.get(cost.kind)
    if serves is None:
        counted = [day for day in cost.paid if is_inside(day, window)]
        return sum((cost.amount / len(cost.paid) * terms.rate(cost.currency, day) for day in counted), Fraction(0))
    worth = sum((cost.amount / len(cost.paid) * terms.rate(cost.currency, day) for day in cost.paid), Fraction(0))
    served = range(cost.paid[0], cost.paid[0] + serves)
    return worth * sum(is_inside(day, window) for day in served) / serves


def is_inside(day: int, window: Window) -> bool:
    """Whether an analysis counts the day."""
    return window is None or window[0] <= day <= window[1]


@dataclass(frozen=True)
class Costs:
    """Costs of channels: media alone, all with their part of what is shared; whose are known; and what there is in all.

    A part of what is shared is no cost of a channel's own, unless a weight of yours for the channel says that it is.
    """

    media: Money
    loaded: Money
    known: frozenset[str]
    all_media: Fraction
    everything: Fraction


def add_costs(ledger: Sequence[Cost], terms: Terms, window: Window, *, touches: Money, credit: Money) -> Costs:
    """Costs of each channel; ``touches`` and ``credit`` are what may be shared by."""
    media: Money = {}
    own: Money = {}
    shared: Money = {}
    all_media = Fraction(0)
    for cost in ledger:
        amount = booked(cost, terms, window)
        all_media += amount if cost.kind == "media" else 0
        if cost.channel is None:
            shared[cost.kind] = shared.get(cost.kind, Fraction(0)) + amount
            continue
        own[cost.channel] = own.get(cost.channel, Fraction(0)) + amount
        if cost.kind == "media":
            media[cost.channel] = media.get(cost.channel, Fraction(0)) + amount
    for channel, spent in media.items():
        own[channel] += spent * terms.fee(channel)
    loaded, known = dict(own), set(own)
    for kind, amount in shared.items():
        driver = terms.drivers.get(kind, "spend")
        weights = (
            {"spend": media, "touchpoints": touches, "credit": credit}[driver] if isinstance(driver, str) else driver
        )
        known |= set() if isinstance(driver, str) else set(weights)
        whole = sum(weights.values(), Fraction(0))
        for channel, weight in weights.items():
            loaded[channel] = loaded.get(channel, Fraction(0)) + amount * weight / whole
    everything = sum((*own.values(), *shared.values()), Fraction(0))
    return Costs(media, loaded, frozenset(known), all_media, everything)


# ---------------------------------------------------------------- credit


@dataclass(frozen=True)
class Person:
    """Days and channels of touchpoints; the day of the one conversion and what it brings; the day of the win."""

    touches: tuple[tuple[int, str], ...]
    converts: int | None = None
    value: Fraction = Fraction(0)
    is_new: bool = True
    wins: int | None = None


def led_to(person: Person, day: int) -> list[str]:
    """Channels of the touchpoints that led to what happened on a day."""
    return [channel for touched, channel in person.touches if day - LOOKBACK <= touched <= day]


def share(people: Iterable[Person], window: Window, what: str) -> Money:
    """Each touchpoint of a journey gets as much as any other: conversions, value, new customers or wins."""
    credit: Money = {}
    for person in people:
        day = person.wins if what == "won" else person.converts
        if day is None or not is_inside(day, window):
            continue
        amount = {"value": person.value, "new_customers": Fraction(person.is_new)}.get(what, Fraction(1))
        channels = led_to(person, day)
        for channel in channels:
            credit[channel] = credit.get(channel, Fraction(0)) + amount / len(channels)
    return credit


def count(people: Iterable[Person], window: Window, what: str) -> Fraction:
    """The same, whoever gets it."""
    total = Fraction(0)
    for person in people:
        day = person.wins if what == "won" else person.converts
        if day is not None and is_inside(day, window):
            total += {"value": person.value, "new_customers": Fraction(person.is_new)}.get(what, Fraction(1))
    return total


def touched(people: Iterable[Person], window: Window) -> Money:
    """All touchpoints of the window by channel."""
    names = [channel for person in people for day, channel in person.touches if is_inside(day, window)]
    return {name: Fraction(names.count(name)) for name in names}


def journeys(people: Iterable[Person], window: Window) -> Money:
    """Journeys with each channel, on the day of the conversion or else of the last touchpoint."""
    counted: Money = {}
    for person in people:
        for channels, day in cut(person):
            if is_inside(day, window):
                for channel in set(channels):
                    counted[channel] = counted.get(channel, Fraction(0)) + 1
    return counted


def cut(person: Person) -> list[tuple[list[str], int]]:
    """Channels and day of every journey: the one that converts, and runs of what it leaves."""
    result = []
    left = list(person.touches)
    if person.converts is not None:
        result.append((led_to(person, person.converts), person.converts))
        left = [touch for touch in left if touch[0] > person.converts or touch[0] < person.converts - LOOKBACK]
    run: list[tuple[int, str]] = []
    for touch in sorted(left):
        converted_between = person.converts is not None and run and run[-1][0] <= person.converts < touch[0]
        if run and (touch[0] - run[-1][0] > LOOKBACK or converted_between):
            result.append(([channel for _, channel in run], run[-1][0]))
            run = []
        run.append(touch)
    return result + ([([channel for _, channel in run], run[-1][0])] if run else [])


# ---------------------------------------------------------------- targets


def attain(value: Fraction, goal: Fraction, *, at_most: bool) -> tuple[Fraction | None, str]:
    """How far a target is attained, and the verdict on it, where the run covers all of its days and has no interval."""
    met = value <= goal if at_most else value >= goal
    divided, by = (goal, value) if at_most else (value, goal)
    return (divided / by if by else None), "attained" if met else "missed"


# ---------------------------------------------------------------- reviews

Factors = Mapping[str, Fraction]
OF_RETURN, OF_COST = ("volume", "rate", "value"), ("spend", "cost")


def split(before: Mapping[str, Factors], after: Mapping[str, Factors]) -> tuple[dict[str, Money], dict[str, Money]]:
    """Parts of the change of return ÷ cost by channel and factor: of each channel's own, and of that of all."""
    own, whole = {}, {}
    for channel in before:
        one = {channel: before[channel]}, {channel: after[channel]}
        own[channel] = parts_of(channel, *one)
        whole[channel] = parts_of(channel, before, after)
    return own, whole


def parts_of(channel: str, before: Mapping[str, Factors], after: Mapping[str, Factors]) -> Money:
    """Those of one channel in the ratio of all: return and cost share its change, factors that of each."""
    returns = [sum((multiply(side[name], OF_RETURN) for name in side), Fraction(0)) for side in (before, after)]
    costs = [sum((multiply(side[name], OF_COST) for name in side), Fraction(0)) for side in (before, after)]
    # A unit more of return, and of cost, at the mean of both orders in which the two may change.
    price_of_return = (1 / costs[0] + 1 / costs[1]) / 2
    price_of_cost = -(returns[0] + returns[1]) / 2 / (costs[0] * costs[1])
    by_return = mean_over_orders(before[channel], after[channel], OF_RETURN)
    by_cost = mean_over_orders(before[channel], after[channel], OF_COST)
    return {name: price_of_return * part for name, part in by_return.items()} | {
        name: price_of_cost * part for name, part in by_cost.items()
    }


def mean_over_orders(before: Factors, after: Factors, names: Sequence[str]) -> Money:
    """What each factor adds to their product when it changes, over all orders in which they may.

    >>> two, three = {"a": Fraction(1), "b": Fraction(1)}, {"a": Fraction(3), "b": Fraction(2)}
    >>> {name: int(part) for name, part in mean_over_orders(two, three, "ab").items()}
    {'a': 3, 'b': 2}
    """
    added = dict.fromkeys(names, Fraction(0))
    orders = list(permutations(names))
    for order in orders:
        now = dict(before)
        for name in order:
            was = multiply(now, names)
            now[name] = after[name]
            added[name] += (multiply(now, names) - was) / len(orders)
    return added


def multiply(factors: Factors, names: Sequence[str]) -> Fraction:
    """The product of some of them."""
    return prod((factors[name] for name in names), start=Fraction(1))
