"""Which version of a registered model is in effect on which day."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from attribution.errors import InputError
from attribution.production.scoring.days import FAR, day_name, day_number


class Promotion(NamedTuple):
    """A version, and the day from which on it is in effect; ``since`` is None for the very first, on all days."""

    since: int | None
    version: str


@dataclass(frozen=True)
class Timeline:
    """The promotions to an alias, in the order in which they were made.

    The last promotion that reaches back to a day decides on it. So a promotion is added at the end and taken back from
    there, and what was in effect before it is in effect again.

    Attributes
    ----------
    promotions : at least one
    is_by_hand : whether the last one is on no record: somebody pointed the alias to its version

    Examples
    --------
    >>> shop = Timeline.of("1").promote("2", since=day_number("2026-05-01"))
    >>> [shop.version_on(day_number(day)) for day in ("2026-04-30", "2026-05-01")]
    ['1', '2']
    >>> shop.promote("3", since=day_number("2026-04-01")).stretches
    [Promotion(since=None, version='1'), Promotion(since=20544, version='3')]
    >>> shop.promote("3", since=day_number("2026-04-01")).roll_back() == shop
    True
    """

    promotions: tuple[Promotion, ...]
    is_by_hand: bool = False

    @classmethod
    def of(cls, version: str) -> Timeline:
        """One version on all days."""
        return cls((Promotion(None, version),))

    @classmethod
    def read(cls, text: str, where: str) -> Timeline:
        """The reverse of `text`.

        Raises
        ------
        InputError
            If it is nothing that `text` makes; ``where`` says what was read.
        """
        try:
            entries = [(None if day is None else day_number(day), version) for day, version in json.loads(text)]
        except (ValueError, TypeError):
            entries = []
        is_whole = entries and all(isinstance(version, str) for _, version in entries)
        if not is_whole or [index for index, (day, _) in enumerate(entries) if day is None] != [0]:
            raise InputError(
                f"{where} does not say which version is in effect on which day",
                given=repr(text[:200]),
                allowed='promotions in their order, such as [[null, "1"], ["2026-05-01", "2"]]',
                hint="correct it in MLflow, or remove it: the version of the alias is then in effect on all days",
            )
        return cls(tuple(Promotion(*entry) for entry in entries))

    @property
    def text(self) -> str:
        """As JSON: pairs of a day, null at first, and a version."""
        return json.dumps([[None if day is None else day_name(day), version] for day, version in self.promotions])

    @property
    def newest(self) -> str:
        """The version that was promoted last."""
        return self.promotions[-1].version

    @property
    def stretches(self) -> list[Promotion]:
        """The days on which each version is in effect: from when on, ascending, up to the next."""
        in_effect: list[Promotion] = []
        first = FAR
        for promotion in reversed(self.promotions):
            since = -FAR if promotion.since is None else promotion.since
            if since < first:
                in_effect, first = [promotion, *in_effect], since
        return [next(group) for _, group in groupby(in_effect, key=lambda one: one.version)]

    def version_on(self, day: int) -> str:
        """The version in effect on a day, counted from 1970-01-01."""
        return next(one.version for one in reversed(self.promotions) if one.since is None or one.since <= day)

    def promote(self, version: str, *, since: int) -> Timeline:
        """With ``version`` in effect from a day on."""
        return Timeline((*self.promotions, Promotion(since, version)))

    def roll_back(self, to: str | None = None) -> Timeline:
        """Without the last promotion; with ``to`` in its place if that is a version.

        Raises
        ------
        InputError
            If there is nothing to go back to, or ``to`` is in effect already.
        """
        *rest, last = self.promotions
        if to is not None and to == last.version and not self.is_by_hand:
            raise InputError(f"version {to} is the newest one in effect already", given=f"--version {to}")
        if to is not None:
            return Timeline((*rest, Promotion(last.since, to)))
        if not rest:
            raise InputError(
                f"version {last.version} did not replace another version", hint="choose a version with --version"
            )
        return Timeline(tuple(rest))

    def point_to(self, version: str, today: int) -> Timeline:
        """As it is if the alias points to its newest version; else with the alias' version from today on."""
        return self if version == self.newest else Timeline(self.promote(version, since=today).promotions, True)


def check_day(current: Timeline | None, restate: int | None, today: int) -> None:
    """Refuse a promotion from a day in the future, or today where the clock is before the last promotion.

    Raises
    ------
    InputError
        With both days.
    """
    if restate is not None and restate > today:
        raise InputError(
            "a version cannot be in effect from a day in the future",
            given=f"--restate {day_name(restate)}",
            allowed=f"days up to {day_name(today)}",
        )
    newest = None if current is None else current.promotions[-1]
    if restate is None and newest is not None and newest.since is not None and newest.since > today:
        raise InputError(
            f"version {newest.version} is in effect from {day_name(newest.since)} on, which is after today",
            given=f"today is {day_name(today)}",
            hint="set the clock of this computer right, or name the first day with --restate",
        )


def add_promotion(current: Timeline | None, version: str, *, restate: int | None, today: int) -> Timeline:
    """``current`` with ``version`` in effect from today on, or from an earlier day whose scores are to be restated.

    Parameters
    ----------
    current : what is in effect; None where nothing is, so that the version is in effect on all days
    version : the new one; where it is the newest already, nothing changes unless ``restate`` says from when on
    restate, today : days, counted from 1970-01-01

    Raises
    ------
    InputError
        See `check_day`.
    """
    check_day(current, restate, today)
    if current is None:
        return Timeline.of(version)
    if current.newest == version and restate is None:
        return Timeline(current.promotions)
    return current.promote(version, since=today if restate is None else restate)


def describe_effect(timeline: Timeline) -> str:
    """What the last promotion means, in sentences."""
    (*_, last), version = timeline.stretches, timeline.newest
    if last.since is None:
        return f"Version {version} is in effect on all days."
    since, before = day_name(last.since), timeline.version_on(last.since - 1)
    return f"Version {version} is in effect from {since} on. Earlier days keep version {before}."
