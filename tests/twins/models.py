"""What each model hands out, one journey after the other.

Every number becomes a `Fraction`, so that credit adds up exactly; only time decay needs floats. A model
returns what every channel is credited with, for conversions and for value. Conversions without a touchpoint
go to ``(unattributed)`` under every model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from math import factorial
from typing import Literal

from .journeys import TwinJourney

UNATTRIBUTED = "(unattributed)"
DAY = 24 * 60 * 60 * 1_000_000
"""Microseconds."""

Outcome = Literal["conversions", "value"]
State = tuple[str | None, ...]


@dataclass(frozen=True)
class PathRow:
    """Journeys along one path: how many converted, their value together, and how many did not convert.

    ``ages`` are the days from each touchpoint to the conversion, in the order of the path.
    """

    path: tuple[str, ...]
    conversions: float = 0
    value: float = 0
    nulls: float = 0
    ages: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TwinCredit:
    """Credit by channel; every channel of the path table is there, with 0 if it gets nothing."""

    conversions: dict[str, Fraction]
    value: dict[str, Fraction]


def path_rows(journeys: Iterable[TwinJourney]) -> list[PathRow]:
    """One row per journey; a journey that did not convert, open or not, is one null."""
    rows = []
    for journey in journeys:
        path = tuple(touch.channel for touch in journey.touches)
        if journey.conversion is None:
            rows.append(PathRow(path, nulls=1))
        else:
            ages = tuple((journey.conversion.at - touch.at) / DAY for touch in journey.touches)
            rows.append(PathRow(path, conversions=1, value=journey.conversion.value, ages=ages))
    return rows


# Rules: each says how much every touchpoint of one path weighs.

Weigh = Callable[[PathRow], Sequence[Fraction | float]]


def allocate(rows: Sequence[PathRow], weigh: Weigh) -> TwinCredit:
    """Credit when every journey is divided among its touchpoints by weight; all weights 0 count as equal."""
    credit = TwinCredit(_nothing(rows), _nothing(rows))
    for row in rows:
        conversions, value = Fraction(row.conversions), Fraction(row.value)
        if not row.path:
            credit.conversions[UNATTRIBUTED] += conversions
            credit.value[UNATTRIBUTED] += value
            continue
        if conversions == value == 0:
            continue
        weights = [Fraction(weight) for weight in weigh(row)]
        if sum(weights) == 0:
            weights = [Fraction(1)] * len(row.path)
        for channel, weight in zip(row.path, weights, strict=True):
            share = weight / sum(weights)
            credit.conversions[channel] += conversions * share
            credit.value[channel] += value * share
    return credit


def first(rows: Sequence[PathRow]) -> TwinCredit:
    """All credit to the first touchpoint."""
    return allocate(rows, lambda row: [1] + [0] * (len(row.path) - 1))


def last(rows: Sequence[PathRow]) -> TwinCredit:
    """All credit to the last touchpoint."""
    return allocate(rows, lambda row: [0] * (len(row.path) - 1) + [1])


def last_non_direct(rows: Sequence[PathRow], direct: set[str]) -> TwinCredit:
    """All credit to the latest touchpoint whose channel is not direct; to the last one if all are."""

    def weigh(row: PathRow) -> list[int]:
        candidates = [position for position, channel in enumerate(row.path) if channel not in direct]
        chosen = candidates[-1] if candidates else len(row.path) - 1
        return [int(position == chosen) for position in range(len(row.path))]

    return allocate(rows, weigh)


def linear(rows: Sequence[PathRow]) -> TwinCredit:
    """Equal credit to every touchpoint."""
    return allocate(rows, lambda row: [1] * len(row.path))


def linear_unique(rows: Sequence[PathRow]) -> TwinCredit:
    """Equal credit to every distinct channel, divided equally among its touchpoints."""
    return allocate(rows, lambda row: [Fraction(1, row.path.count(channel)) for channel in row.path])


def position(rows: Sequence[PathRow], first: float, last: float) -> TwinCredit:
    """A share for the first and for the last touchpoint, the rest divided equally among those between.

    >>> position([PathRow(("a", "b", "c", "d"), conversions=8)], first=0.25, last=0.5).conversions
    {'a': Fraction(2, 1), 'b': Fraction(1, 1), 'c': Fraction(1, 1), 'd': Fraction(4, 1)}
    """
    at_first, at_last = Fraction(first), Fraction(last)

    def weigh(row: PathRow) -> list[Fraction]:
        between = len(row.path) - 2
        if between == -1:
            return [Fraction(1)]
        if between == 0:
            return [at_first, at_last]
        return [at_first] + [(1 - at_first - at_last) / between] * between + [at_last]

    return allocate(rows, weigh)


def time_decay(rows: Sequence[PathRow], half_life: float) -> TwinCredit:
    """A touchpoint one half-life (in days) older weighs half as much."""

    def weigh(row: PathRow) -> list[float]:
        assert row.ages is not None, "time decay needs the ages of the touchpoints"
        # Only differences of age matter; without this the weights of a long half-forgotten journey are all 0.
        return [2.0 ** (-(age - min(row.ages)) / half_life) for age in row.ages]

    return allocate(rows, weigh)


# Markov: build the chain, take a channel out of it, solve again.


@dataclass(frozen=True)
class Removal:
    """What the chain expects of one journey, and the share of it that is lost without each channel."""

    per_journey: Fraction
    effects: dict[str, Fraction]


def markov(rows: Sequence[PathRow], order: int) -> TwinCredit:
    """All conversions with touchpoints, divided in proportion to the removal effects; likewise all value."""
    return TwinCredit(_by_removal(rows, order, "conversions"), _by_removal(rows, order, "value"))


def removal(rows: Sequence[PathRow], order: int, outcome: Outcome = "conversions") -> Removal:
    """Removal effect of every channel by deleting it and solving again; all 0 if there is nothing to lose.

    >>> rows = [PathRow(("a", "b"), conversions=1), PathRow(("a",), conversions=1, nulls=2)]
    >>> removal(rows, order=1).effects
    {'a': Fraction(1, 1), 'b': Fraction(1, 2)}
    """
    whole = _expected(rows, order, outcome, without=None)
    if whole == 0:
        return Removal(whole, dict.fromkeys(_channels(rows), Fraction(0)))
    lost = {channel: whole - _expected(rows, order, outcome, without=channel) for channel in _channels(rows)}
    return Removal(whole, {channel: loss / whole for channel, loss in lost.items()})


def _by_removal(rows: Sequence[PathRow], order: int, outcome: Outcome) -> dict[str, Fraction]:
    effects = removal(rows, order, outcome).effects
    total = sum(Fraction(getattr(row, outcome)) for row in rows if row.path)
    credit = _nothing(rows)
    for row in rows:
        if not row.path:
            credit[UNATTRIBUTED] += Fraction(getattr(row, outcome))
    for channel, effect in effects.items():
        if effect:
            credit[channel] = total * effect / sum(effects.values())
    return credit


def _expected(rows: Sequence[PathRow], order: int, outcome: Outcome, *, without: str | None) -> Fraction:
    """Conversions or value expected of one journey; a transition into the channel ``without`` ends in null.

    A state is the last ``order`` channels, filled up with None at the start of the journey.
    """
    start: State = (None,) * order
    visits: dict[State, Fraction] = defaultdict(Fraction)
    moves: dict[tuple[State, State], Fraction] = defaultdict(Fraction)
    leaving: dict[State, Fraction] = defaultdict(Fraction)
    for row in rows:
        weight = Fraction(row.conversions) + Fraction(row.nulls)
        if not row.path or weight == 0:
            continue
        state = start
        for channel in row.path:
            following: State = (*state, channel)[1:]
            visits[state] += weight
            moves[state, following] += weight
            state = following
        visits[state] += weight
        leaving[state] += Fraction(getattr(row, outcome))

    if not visits:
        return Fraction(0)
    states = list(visits)
    matrix = [[Fraction(int(origin == target)) for target in states] for origin in states]
    for (origin, target), weight in moves.items():
        if without is None or target[-1] != without:
            matrix[states.index(origin)][states.index(target)] -= weight / visits[origin]
    return solve(matrix, [leaving[state] / visits[state] for state in states])[states.index(start)]


def solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Solution of a system of linear equations, exactly (Gauss-Jordan).

    >>> solve([[Fraction(0), Fraction(2)], [Fraction(1), Fraction(1)]], [Fraction(6), Fraction(5)])
    [Fraction(2, 1), Fraction(3, 1)]
    """
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for column in range(size):
        pivot = next(index for index in range(column, size) if rows[index][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [entry / rows[column][column] for entry in rows[column]]
        for index in range(size):
            factor = rows[index][column]
            if index != column and factor != 0:
                rows[index] = [a - factor * b for a, b in zip(rows[index], rows[column], strict=True)]
    return [row[-1] for row in rows]


# Shapley: every order in which the channels could arrive.


def shapley_set(rows: Sequence[PathRow]) -> TwinCredit:
    """Average gain by a channel over all orders of arrival; a coalition is worth the paths inside it."""
    return TwinCredit(_over_all_orders(rows, "conversions"), _over_all_orders(rows, "value"))


def _over_all_orders(rows: Sequence[PathRow], outcome: Outcome) -> dict[str, Fraction]:
    worth: dict[frozenset[str], Fraction] = {}

    def worth_of(coalition: frozenset[str]) -> Fraction:
        if coalition not in worth:
            inside = [row for row in rows if row.path and set(row.path) <= coalition]
            worth[coalition] = sum((Fraction(getattr(row, outcome)) for row in inside), Fraction(0))
        return worth[coalition]

    channels = _channels(rows)
    credit = _nothing(rows)
    for arrival in permutations(channels):
        for position, channel in enumerate(arrival):
            before = frozenset(arrival[:position])
            credit[channel] += worth_of(before | {channel}) - worth_of(before)
    for channel in channels:
        credit[channel] /= factorial(len(channels))
    for row in rows:
        if not row.path:
            credit[UNATTRIBUTED] += Fraction(getattr(row, outcome))
    return credit


def _channels(rows: Sequence[PathRow]) -> list[str]:
    return sorted({channel for row in rows for channel in row.path})


def _nothing(rows: Sequence[PathRow]) -> dict[str, Fraction]:
    """Zero for every channel, and for ``(unattributed)`` if there is a path without touchpoints."""
    names = _channels(rows) + ([UNATTRIBUTED] if any(not row.path for row in rows) else [])
    return dict.fromkeys(names, Fraction(0))
