"""What each day adds: one pass over the journeys, one summary per day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Journeys, Reader, Summary, observe
from attribution.journeys.profile import profile_reader
from attribution.kernels.statistics.sums import KeyedSums, stack_labelled
from attribution.models import AttributionModel
from attribution.models.machinery import Daywise, get_machinery

_EPOCH = dt.date(1970, 1, 1)

OBSERVED, PROFILE, MODELS = 0, 1, 2
"""Whose tables a number before the name says: what was observed, how journeys look, and from here on each model."""

DayTables = Mapping[str, KeyedSums]
"""Tables of one day, named ``NUMBER/NAME``."""


def day_number(day: dt.date) -> int:
    """Days since 1970-01-01.

    Examples
    --------
    >>> day_number(dt.date(1970, 1, 3))
    2
    """
    return (day - _EPOCH).days


def day_name(number: int) -> str:
    """The day as ``YYYY-MM-DD``, the inverse of `day_number`.

    Examples
    --------
    >>> day_name(2)
    '1970-01-03'
    """
    return (_EPOCH + dt.timedelta(days=int(number))).isoformat()


def history_of_days(models: Sequence[AttributionModel]) -> int:
    """How many days before a day matter to what it adds to ``models``, beyond the lookback window; 0 if none do."""
    return max((get_machinery(model).history_days for model in models), default=0)


def summarise_days(
    journeys: Journeys, models: Sequence[AttributionModel], first: int, last: int
) -> dict[int, DayTables]:
    """What every day from ``first`` to ``last`` adds to ``models``, in one pass over ``journeys``.

    Parameters
    ----------
    journeys : from `attribution.journeys.journeys_by_day`
    models : not fitted by this; their channels are set
    first, last : numbers of days, both included; journeys booked on others are left out

    Raises
    ------
    InputError
        If what a model sums up belongs to no day.
    """
    for model in models:
        reason = get_machinery(model).lacks_days
        if reason is not None:
            raise InputError(
                f"model {model.label!r} {reason}",
                hint="leave it out of daily summaries, and fit it with `attribution run`",
            )
    daywise = [get_machinery(model).daywise(journeys, range(first, last + 1)) for model in models]
    own = [model.summarise if of is None else of for model, of in zip(models, daywise, strict=True)]
    (summary,) = journeys.read(DayReader((observe, profile_reader(journeys), *own), first, last))
    for number, of in enumerate(daywise, MODELS):
        if of is not None:
            summary += Summary({f"{number}/{name}": table for name, table in of.rest.tables.items()})
    by_day: dict[int, dict[str, KeyedSums]] = {day: {} for day in range(first, last + 1)}
    for name, table in summary.tables.items():
        # A day without rows has the table all the same: models look for it.
        none = KeyedSums(table.keys[:0, 1:], table.sums._replace(limbs=table.sums.limbs[:0]))
        for tables in by_day.values():
            tables[name] = none
        for day, of_day in _split(table):
            by_day[day][name] = of_day
    return dict(by_day)


@dataclass(frozen=True)
class DayReader:
    """What sums up journeys day by day: the day leads the keys of its tables."""

    readers: tuple[Reader | Daywise, ...]
    first: int
    last: int

    def __call__(self, chunk: JourneyChunk) -> Summary:
        assert chunk.bucket is not None
        by_name: dict[str, list[tuple[int, KeyedSums]]] = {}
        plain = {number: reader for number, reader in enumerate(self.readers) if not isinstance(reader, Daywise)}
        for day, part in self._parts(chunk):
            for number, reader in plain.items():
                for name, table in reader(part).tables.items():
                    by_name.setdefault(f"{number}/{name}", []).append((day, table))
        tables = {name: stack_labelled(parts) for name, parts in by_name.items()}
        for number, of in enumerate(self.readers):
            if isinstance(of, Daywise):
                tables |= {f"{number}/{name}": table for name, table in of.read(chunk).tables.items()}
        return Summary(tables)

    def _parts(self, chunk: JourneyChunk) -> Iterator[tuple[int, JourneyChunk]]:
        assert chunk.bucket is not None
        positions = np.flatnonzero((chunk.bucket >= self.first) & (chunk.bucket <= self.last))
        ordered = chunk.subset(positions[np.argsort(chunk.bucket[positions], kind="stable")])
        assert ordered.bucket is not None
        days = ordered.bucket
        # A day that is over has no open journeys, and what was counted while building belongs to no day.
        ordered = replace(ordered, bucket=None, counted={}, is_open=np.zeros(len(ordered), bool))
        for low, high in _runs(days):
            yield int(days[low]), ordered.subset(slice(low, high))


def _split(table: KeyedSums) -> Iterator[tuple[int, KeyedSums]]:
    days = table.keys[:, 0]
    for low, high in _runs(days):
        sums = table.sums._replace(limbs=table.sums.limbs[low:high])
        yield int(days[low]), KeyedSums(table.keys[low:high, 1:], sums)


def _runs(days: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Where each day begins and ends among sorted ``days``."""
    edges = np.flatnonzero(np.diff(days, prepend=days[:1] - 1)).tolist()
    return zip(edges, [*edges[1:], len(days)], strict=False)
