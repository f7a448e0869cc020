"""Which days are to be scored: what an input says about what was known before.

An input speaks for the days from its first to its last conversion, and for its touchpoints from the first to the last.
Inside them it is the whole truth. A day that it begins or ends in the middle of is not among them.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from attribution.data.engine import quote
from attribution.data.loading import Sources
from attribution.journeys import DAY
from attribution.production.scoring.volumes import Volumes
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, JourneyOptions

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


_MOVED = "-moved"
"""Ends the fingerprint of a day that lost conversions to others: nobody knows that of the rest."""

Digests = Mapping[int, str]
"""What tells the rows of each day from others, whatever their order: how many, a hash, and when the first and last are.

``12-345@0-86399000000``; those written before times were kept end before the ``@``.
"""


def daily_digests(sources: Sources, table: str, time: str, view: str | None = None) -> Digests:
    """Fingerprints of the rows of ``table`` on each day.

    The engine's own hash is fast, and another version of the engine may have another: days are then scored again, to
    the same bytes.
    """
    sql = _rows_by_day(sources, table, time, view or table)
    return _digests(sources.engine.query(f"select *, digest::varchar as text from ({sql})", table=table))


def daily_touchpoints(sources: Sources) -> tuple[Digests, Volumes]:
    """Fingerprints of the touchpoints of each day, and how many each channel has; nothing where there are none."""
    if not sources.has("touchpoints"):
        return {}, Volumes.none()
    # Once, since most of the time goes into reading.
    view = "touchpoint_days"
    sources.engine.define(view, _rows_by_day(sources, "touchpoints", "touched_at", "touchpoints", "channel"))
    days = sources.engine.query(
        "select day, sum(n)::bigint as n, sum(digest)::varchar as text, min(first) as first, max(last) as last "
        f"from {view} group by 1",
        table="touchpoints",
    )
    return _digests(days), Volumes.read(sources, view)


def _rows_by_day(sources: Sources, table: str, time: str, view: str, *further: str) -> str:
    """Rows of each day (and of each of the ``further`` columns): how many, a hash, and when the first and last are."""
    columns = ", ".join(quote(name) for name in sorted(sources.tables[table].columns))
    keys = "".join(f", {name}::varchar as {name}" for name in further)
    groups = ", ".join(map(str, range(1, 2 + len(further))))
    return (
        f"select floor({time} / {DAY})::bigint as day{keys}, count(*) as n, sum(hash({columns}) >> 20) as digest, "
        f"min({time}) as first, max({time}) as last from {view} "
        f"where {time} is not null and customer_id is not null group by {groups}"
    )


def _digests(rows: pa.Table) -> Digests:
    return {
        int(row["day"]): f"{row['n']}-{row['text']}@{row['first'] - row['day'] * DAY}-{row['last'] - row['day'] * DAY}"
        for row in rows.to_pylist()
    }


def last_moments(digests: Digests) -> dict[int, int]:
    """When the last row of each day is, in microseconds after midnight, of the days whose fingerprints tell it."""
    ends = {day: _ends(day, digest) for day, digest in digests.items()}
    return {day: moments[1] - day * DAY for day, moments in ends.items() if moments is not None}


def is_same(one: str | None, other: str | None) -> bool:
    """Whether two fingerprints are of the same rows."""
    if one is None or other is None:
        return one is other
    if "@" in one and "@" in other:
        return one == other
    return one.partition("@")[0] == other.partition("@")[0]


def _ends(day: int, digest: str | None) -> tuple[int, int] | None:
    """First and last moment of the rows of ``day``, where its fingerprint tells them."""
    if digest is None or "@" not in digest:
        return None
    first, last = digest.partition("@")[2].split("-")
    return day * DAY + int(first), day * DAY + int(last)


_LONGEST_DAYS = 36_500
"""A longer lookback window is none."""


def longest_window(options: JourneyOptions) -> float | None:
    """The longest lookback window of any touchpoint, in days; None where there is none."""
    lookback = DEFAULT_LOOKBACK_DAYS if options.lookback_days is None else options.lookback_days
    longest = max(lookback, *options.lookback_by_channel.values(), *options.lookback_by_kind.values(), 0)
    return longest if longest < _LONGEST_DAYS else None


def unsure_days(options: JourneyOptions) -> int:
    """On how many days at the beginning of a log visits depend on what lies before it."""
    return 0 if options.visits is None else 1 + math.ceil(options.visits.lookback_days)


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

    def meets(self, day: int, causes: list[int]) -> bool:
        """Whether any of ``causes``, sorted days, reaches ``day``."""
        index = bisect_right(causes, day)
        return index > 0 and causes[index - 1] >= day - self.days


class Span(NamedTuple):
    """Days that an input speaks for, both included, and those it would if it did not cut them in the middle."""

    first: int
    last: int
    cut: tuple[int, ...] = ()

    def __contains__(self, day: object) -> bool:
        return isinstance(day, int) and self.first <= day <= self.last


@dataclass(frozen=True)
class Input:
    """What a job is given, day by day.

    Attributes
    ----------
    touchpoints, conversions : fingerprints by day
    reach : how far an event reaches
    covers : days that it speaks for, where it was said
    delivered : first and last moment of all conversions, those that were called off among them; those of
        ``conversions`` if None
    volumes : its touchpoints by day and channel
    unsure_days : on how many days at its beginning touchpoints depend on rows before them, as visits do
    """

    touchpoints: Digests
    conversions: Digests
    reach: Reach
    covers: tuple[int, int] | None = None
    delivered: tuple[int, int] | None = None
    volumes: Volumes = field(default_factory=Volumes.none)
    unsure_days: int = 0

    def against(self, inputs: Mapping[str, Mapping[str, str]]) -> News:
        """What it says about ``inputs``, fingerprints known before by table and day."""
        earlier = {
            table: {day_number(name): digest for name, digest in inputs.get(table, {}).items()}
            for table in ("touchpoints", "conversions")
        }
        moments = self.delivered or _ends_of(self.conversions)
        converted = self.covers or (moments[0] // DAY, moments[1] // DAY)
        touched = (min(self.touchpoints, default=FAR), max(self.touchpoints, default=-FAR))
        if self.covers is not None:
            touched = (min(touched[0], self.covers[0]), max(touched[1], self.covers[1]))
        first, last = _ends_of(self.touchpoints)
        either = min(first, moments[0]), max(last, moments[1])
        spans = {
            "conversions": self._span(converted, self.conversions, earlier["conversions"], either),
            "touchpoints": self._span(
                touched, self.touchpoints, earlier["touchpoints"], (first, last), self.unsure_days
            ),
        }
        return News(self, earlier, spans["touchpoints"], spans["conversions"])

    def _span(
        self, days: tuple[int, int], digests: Digests, earlier: Digests, ends: tuple[int, int], unsure: int = 0
    ) -> Span:
        """``days`` without those in the middle of which the input begins or ends, and unsure ones that changed."""
        first, last = days
        covered = range(1, 0) if self.covers is None else range(self.covers[0], self.covers[1] + 1)
        cut = []
        before = _ends(first, earlier.get(first))
        is_other = first in earlier and not is_same(earlier[first], digests.get(first))
        is_begun = before[0] < ends[0] if before else not earlier.get(first, "").endswith(_MOVED)
        if first not in covered and is_other and is_begun:
            cut.append(first)
        after = _ends(last, earlier.get(last))
        if last not in covered and after is not None and after[1] > ends[1]:
            cut.append(last)
        begins = first + (first in cut)
        if min(earlier, default=first) < first:
            head = range(first, min(first + unsure, last + 1))
            other = [day for day in head if day in earlier and not is_same(earlier[day], digests.get(day))]
            begins, cut = max([begins, *(day + 1 for day in other)]), cut + other
        return Span(begins, last - (last in cut and begins <= last), tuple(sorted(set(cut))))


def _ends_of(digests: Digests) -> tuple[int, int]:
    """First and last moment of all rows; of days whose fingerprints tell none, the day's."""
    if not digests:
        return FAR * DAY, -FAR * DAY
    first, last = min(digests), max(digests)
    low, high = _ends(first, digests[first]), _ends(last, digests[last])
    return first * DAY if low is None else low[0], (last + 1) * DAY - 1 if high is None else high[1]


@dataclass(frozen=True)
class News:
    """What an input says that was not known, and what it does not say.

    Attributes
    ----------
    current : the input
    earlier : fingerprints known before, by table and day
    touchpoints, conversions : days that the input speaks for
    moved : days that it does not speak for, and that lose conversions to others; how many are left
    entered : days that it does not speak for, and that gain conversions from those that it does
    """

    current: Input
    earlier: Mapping[str, Digests]
    touchpoints: Span
    conversions: Span
    moved: Mapping[int, int] = field(default_factory=dict)
    entered: frozenset[int] = frozenset()

    def changed(self, table: str) -> list[int]:
        """Days whose rows are other ones than before; history that was not known before is among them."""
        span, digests, earlier = self._of(table)
        days = {day for day in earlier if day in span} | {day for day in digests if day in span or day not in earlier}
        return sorted(day for day in days if not is_same(digests.get(day), earlier.get(day)))

    def missing(self, table: str) -> list[int]:
        """Days that are known, and of which the input does not tell all."""
        span, digests, earlier = self._of(table)
        days = {day for day in earlier if day not in span and not is_same(digests.get(day), earlier[day])}
        return sorted(days if table == "touchpoints" else days - {day for day, left in self.moved.items() if not left})

    def lacks_history(self) -> Collection[int]:
        """Days with conversions of which something is known that led to them and is not in the input."""
        touched, closed = self.missing("touchpoints"), self.missing("conversions")
        reach = self.current.reach
        return {
            day
            for day in self.current.conversions
            if reach.meets(day, touched) or (reach.closes and reach.meets(day, closed))
        }

    def merge_inputs(self) -> dict[str, dict[str, str]]:
        """What is known now, by table and day."""
        merged = {}
        for table in ("touchpoints", "conversions"):
            span, digests, earlier = self._of(table)
            days = {day: digest for day, digest in earlier.items() if day not in span}
            days |= {day: digest for day, digest in digests.items() if day in span or day not in earlier}
            merged[table] = {day_name(day): digest for day, digest in sorted(days.items())}
        for day, left in self.moved.items():
            merged["conversions"].pop(day_name(day), None)
            if left:
                merged["conversions"][day_name(day)] = f"{left}{_MOVED}"
        return merged

    def merge_volumes(self, earlier: Volumes) -> Volumes:
        """Touchpoints by day and channel that are known now, where ``earlier`` ones were known before."""
        span, _, known_days = self._of("touchpoints")
        other_days = [day for day in known_days if day not in span]
        current = self.current.volumes
        is_told = np.isin(current.days, other_days, invert=True)
        return earlier.on(np.isin(earlier.days, other_days)).joined(current.on(is_told))

    def _of(self, table: str) -> tuple[Span, Digests, Digests]:
        if table == "touchpoints":
            return self.touchpoints, self.current.touchpoints, self.earlier[table]
        return self.conversions, self.current.conversions, self.earlier[table]


@dataclass(frozen=True)
class Choice:
    """What is to become of each day.

    Attributes
    ----------
    score : days to score
    without_history : days of an earlier version of the model, asked for, or new, that are left for lack of history
    emptied : days that lost all conversions
    outdated : days whose credit may be wrong now and cannot be made right from this input
    deferred : days to score that were not asked for
    """

    score: list[int]
    without_history: list[int] = field(default_factory=list)
    emptied: list[int] = field(default_factory=list)
    outdated: list[int] = field(default_factory=list)
    deferred: list[int] = field(default_factory=list)


class DayVersions(Protocol):
    """Which version of a model makes each day."""

    def made_by(self, day: int) -> str:
        """Version and settings of the model on a day."""

    def reads_as_newest(self, day: int) -> bool:
        """Whether that version reads the tables of the input as they are told here."""


def choose_days(
    news: News,
    manifest: Mapping[str, Any],
    versions: DayVersions,
    *,
    damaged: Collection[int] = (),
    cut: Collection[int] = (),
    between: tuple[int | None, int | None] = (None, None),
) -> Choice:
    """Which days are to be scored.

    Parameters
    ----------
    news : the input against what was known
    manifest : of what was scored before; empty if nothing was
    versions : which version of the model makes each day
    damaged : days whose file is not what was written
    cut : days that were not scored before, and whose history the input cuts off
    between : first and last day to score, whatever was there; all that changed if both are None
    """
    scored = {day_number(name): entry for name, entry in manifest.get("days", {}).items()}
    reach, conversions = news.current.reach, news.current.conversions
    stale = {*map(day_number, (*manifest.get("outdated", {}), *manifest.get("deferred", ()))), *damaged}
    causes = sorted({*news.changed("conversions"), *({*news.moved, *news.entered} if reach.closes else ())})
    touched, untold = news.changed("touchpoints"), news.lacks_history()
    is_old = manifest.get("schema_version") == 1
    low, high = -FAR if between[0] is None else between[0], FAR if between[1] is None else between[1]
    choice = Choice([])
    for day in sorted({*conversions, *scored, *stale}):
        entry, is_covered = scored.get(day), day in news.conversions
        is_wrong = reach.meets(day, touched) or day in causes or (reach.closes and reach.meets(day, causes))
        is_wrong = is_wrong and (entry is not None or is_covered)
        is_new = is_covered and day in conversions and entry is None
        is_outdated = is_covered and entry is not None and (entry["made_by"] != versions.made_by(day) or is_old)
        is_due = is_wrong or is_new or is_outdated or day in stale or between != (None, None)
        if not is_due:
            continue
        if day in cut:
            # Nobody misses days before the first one of the folder.
            if low <= day <= high and (between != (None, None) or not scored or day > min(scored)):
                choice.without_history.append(day)
        elif not low <= day <= high:
            if is_wrong or is_new or is_outdated or (is_covered and day in stale):
                choice.deferred.append(day)
        elif is_covered and day not in conversions and versions.reads_as_newest(day):
            choice.emptied.append(day)
        elif is_covered and day not in untold:
            choice.score.append(day)
        elif is_wrong or is_new or (is_covered and day in stale) or day in damaged:
            choice.outdated.append(day)
        elif is_covered:
            choice.without_history.append(day)
    return choice
