"""Which days are to be scored: those whose input is not what it was when they were scored last."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attribution.data.engine import quote
from attribution.data.loading import Sources
from attribution.journeys import DAY

FAR = 1 << 40
"""More days than any log has."""

_EPOCH = dt.date(1970, 1, 1)


def day_name(day: int) -> str:
    """A day counted from 1970-01-01 as text.

    Examples
    --------
    >>> day_name(19723), day_number("2024-01-01")
    ('2024-01-01', 19723)
    """
    return (_EPOCH + dt.timedelta(days=day)).isoformat()


def day_number(name: str) -> int:
    """The reverse of `day_name`."""
    return (dt.date.fromisoformat(name) - _EPOCH).days


Digests = Mapping[int, str]
"""A fingerprint of the rows of each day, whatever their order."""


def daily_digests(sources: Sources, table: str, time: str, view: str | None = None) -> Digests:
    """Fingerprints of the rows of ``table`` on each day.

    The engine's own hash is fast, and another version of the engine may have another: days are then scored again, to
    the same bytes.
    """
    columns = ", ".join(quote(name) for name in sorted(sources.tables[table].columns))
    found = sources.engine.query(
        f"select floor({time} / {DAY})::bigint as day, count(*) as n, sum(hash({columns}) >> 20)::varchar as digest "
        f"from {view or table} where {time} is not null group by 1",
        table=table,
    ).to_pylist()
    return {int(row["day"]): f"{row['n']}-{row['digest']}" for row in found}


@dataclass(frozen=True)
class Reach:
    """How far an event reaches.

    Attributes
    ----------
    days : conversions up to so many days after a touchpoint may credit it
    closes : whether a conversion takes touchpoints away from later ones
    """

    days: int
    closes: bool

    @classmethod
    def of(cls, lookback_days: float | None, conversions: str, customers: str) -> Reach:
        """From the options of journeys."""
        whole = customers == "new" or conversions == "first_only" or lookback_days is None
        days = FAR if whole or lookback_days is None else math.ceil(lookback_days)
        return cls(days, whole or conversions == "reset")


@dataclass(frozen=True)
class Input:
    """What a job is given, day by day.

    Attributes
    ----------
    touchpoints, conversions : fingerprints by day
    reach : how far an event reaches
    """

    touchpoints: Digests
    conversions: Digests
    reach: Reach

    @property
    def since(self) -> int:
        """First day whose history is known: earlier events may be missing."""
        firsts = [min(digests) for digests in (self.touchpoints, self._closing) if digests]
        return max(firsts, default=FAR)

    @property
    def _closing(self) -> Digests:
        return self.conversions if self.reach.closes else {}

    def has_history(self, day: int, scored: Mapping[str, Any] | None) -> bool:
        """Whether as much is known of what led to ``day`` as when it was scored."""
        if scored is None or self.since <= day - self.reach.days:
            return True
        return self.since <= day_number(str(scored["since"]))

    def changed(self, before: Mapping[str, Mapping[str, str]]) -> set[int]:
        """Days whose credit may be another than with the input of ``before``, by table and day."""
        touched: set[int] = set()
        for table, digests, reaches in (
            ("touchpoints", self.touchpoints, True),
            ("conversions", self.conversions, self.reach.closes),
        ):
            earlier = {day_number(name): digest for name, digest in before.get(table, {}).items()}
            first = min(digests, default=FAR)
            for day in {*digests, *(known for known in earlier if known >= first)}:
                if digests.get(day) != earlier.get(day):
                    reach = self.reach.days if reaches else 0
                    touched |= {known for known in self.conversions if day <= known <= day + reach}
        return touched

    def merged(self, before: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """The input known now: that of ``before`` for days that lie before what is given."""
        merged = {}
        for table, digests in (("touchpoints", self.touchpoints), ("conversions", self.conversions)):
            first = min(digests, default=FAR)
            kept = {name: digest for name, digest in before.get(table, {}).items() if day_number(name) < first}
            merged[table] = dict(sorted({**kept, **{day_name(day): digest for day, digest in digests.items()}}.items()))
        return merged


@dataclass(frozen=True)
class Choice:
    """Days to score, days that are kept although their input may have changed, and days that lost all conversions."""

    score: list[int]
    kept: list[int]
    emptied: list[int]


def choose_days(
    given: Input, manifest: Mapping[str, Any], made_by: str, *, first: int | None, last: int | None
) -> Choice:
    """Which days of ``given`` are to be scored.

    Parameters
    ----------
    given : the input
    manifest : of what was scored before; empty if nothing was
    made_by : version and settings of the model
    first, last : days asked for, which are scored whatever was there; all that changed if both are None
    """
    scored: Mapping[str, Any] = manifest.get("days", {})
    if first is not None or last is not None:
        low, high = -FAR if first is None else first, FAR if last is None else last
        score = sorted(day for day in given.conversions if low <= day <= high)
        emptied = [day_number(name) for name in scored if low <= day_number(name) <= high]
        return Choice(score, [], sorted(set(emptied) - set(score)))
    wanted = given.changed(manifest.get("inputs", {}))
    for day in given.conversions:
        told = scored.get(day_name(day))
        if told is None or told["made_by"] != made_by:
            wanted.add(day)
    known = {day for day in wanted if given.has_history(day, scored.get(day_name(day)))}
    return Choice(sorted(known), sorted(wanted - known), [])
