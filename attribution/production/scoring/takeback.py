"""What an input takes back: conversions that moved, that are gone, and those it leaves outdated, by their ids."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attribution.data.engine import text
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import DAY
from attribution.production.scoring.days import Choice, Digests, News, day_name, day_number
from attribution.production.scoring.in_effect import VersionsInEffect

MAX_GAP_DAYS = 400
"""A row further from all others has a wrong time."""

_SHOWN = 5
_IDS = pa.schema({"conversion_id": pa.string(), "customer_id": pa.string()})


def check_gaps(sources: Sources, touchpoints: Digests, conversions: Digests, max_gap_days: int) -> None:
    """Refuse rows whose day lies more than ``max_gap_days`` from all others.

    Raises
    ------
    InputError
        Naming the rows by id and time.
    """
    days = sorted({*touchpoints, *conversions})
    gaps = [math.inf, *(after - before for before, after in pairwise(days)), math.inf]
    far = [day for day, around in zip(days, pairwise(gaps), strict=True) if min(around) > max_gap_days]
    if not far or len(days) == 1:
        return
    rows = _rows_of(sources, "conversions", [day for day in far if day in conversions])
    rows += _rows_of(sources, "touchpoints", [day for day in far if day in touchpoints])
    raise InputError(
        f"rows are more than {max_gap_days} days from all others, so their times are probably wrong",
        given="; ".join(rows[:_SHOWN]) + (" …" if len(rows) > _SHOWN else ""),
        allowed=f"a gap of at most {max_gap_days} days before or after a row",
        hint="correct or leave out these rows; if they are right, raise --max-gap-days (max_gap_days in Python)",
    )


def _rows_of(sources: Sources, table: str, days: list[int]) -> list[str]:
    """The first rows of ``table`` on ``days``, by id and time."""
    if not days:
        return []
    is_named = table == "conversions" and sources.has(table, "conversion_id")
    view, time = (sources.conversions_view, "converted_at") if table == "conversions" else (table, "touched_at")
    rows = sources.engine.query(
        f"select {'conversion_id' if is_named else 'customer_id'}::varchar as id, {time} as time from {view} "
        f"where floor({time} / {DAY})::bigint in ({', '.join(map(str, days))}) order by time, id limit {_SHOWN + 1}",
        table=table,
    ).to_pylist()
    owner = f"{table.removesuffix('s')} " if is_named else f"{table.removesuffix('s')} of customer "
    return [f"{owner}{row['id']!r} at {_moment(row['time'])}" for row in rows]


def _moment(at: int) -> str:
    return (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=at)).isoformat(sep=" ", timespec="seconds")


@dataclass(frozen=True)
class Published:
    """The conversions that an output folder holds.

    Attributes
    ----------
    paths : file of each day
    """

    paths: Mapping[int, Path]

    def of(self, day: int) -> pa.Table:
        """``conversion_id`` and ``customer_id`` of each conversion of ``day``; none where its file cannot be read."""
        if day not in self.paths:
            return _IDS.empty_table()
        try:
            rows = pq.ParquetFile(self.paths[day]).read(columns=_IDS.names)
        except (OSError, pa.ArrowException):
            return _IDS.empty_table()
        return rows.cast(_IDS).group_by(_IDS.names).aggregate([])


class TakeBack:
    """What the conversions of an input mean for those that are published.

    Parameters
    ----------
    sources : the input
    versions : which version makes each day, and which kinds of conversions they score
    news : the input against what was known
    published : what the output folder holds
    manifest : of that folder
    """

    def __init__(
        self,
        sources: Sources,
        versions: VersionsInEffect,
        news: News,
        published: Published,
        manifest: Mapping[str, Any],
    ) -> None:
        self._sources, self._kinds, self.published = sources, versions.kinds, published
        self._is_told = versions.reads_as_newest
        self._outdated_before = {day_number(name): ids for name, ids in manifest.get("outdated", {}).items()}
        waiting = {*self._outdated_before, *map(day_number, manifest.get("deferred", ()))}
        is_first = not self.published.paths and not self._outdated_before
        self.arrived = self._arrivals(() if is_first else {*news.changed("conversions"), *waiting})
        """Conversions of the days whose input is not what it was, with the ``day``."""
        self.news = news
        self.moved = self._moved()
        counts = {day: int(news.earlier["conversions"].get(day, "0-").partition("-")[0]) for day in self.moved}
        self.left_out = self._left_out()
        """Ids on days that the input tells of and does not speak for, and that were not published there."""
        self.news = replace(
            news,
            moved={day: max(counts[day] - len(ids), 0) for day, ids in self.moved.items()},
            entered=frozenset(day for day in self.left_out if day not in news.conversions.cut),
        )

    def _moved(self) -> Mapping[int, pa.ChunkedArray]:
        """Ids that were published on a day that the input does not speak for, and are on another now, by that day."""
        span = self.news.conversions
        arrived = _on(self.arrived, (day for day in self.news.current.conversions if day in span))["conversion_id"]
        moved = {}
        if len(arrived):
            for day in self.published.paths:
                if day not in span:
                    ids = self.published.of(day)["conversion_id"]
                    gone = ids.filter(pc.is_in(ids, value_set=arrived.combine_chunks()))
                    if len(gone):
                        moved[day] = gone
        return moved

    def gone(self, choice: Choice) -> Mapping[int, pa.ChunkedArray]:
        """Ids that are to be taken out of days that are not scored again, by day."""
        gone = dict(self.moved)
        # What a version that reads other tables has published may be in them.
        covered = [day for day in choice.outdated if day in self.news.conversions and self._is_told(day)]
        here = [day for day in covered if day in self.published.paths]
        arrived = self._arrivals(here)
        for day in here:
            ids = self.published.of(day)["conversion_id"]
            gone[day] = ids.filter(
                pc.invert(pc.is_in(ids, value_set=_on(arrived, [day])["conversion_id"].combine_chunks()))
            )
        return {day: ids for day, ids in gone.items() if len(ids)}

    def outdated(self, choice: Choice) -> Mapping[int, list[str]]:
        """Ids of conversions whose credit may be wrong and cannot be made right from this input, by day."""
        ids_by_day = {}
        conversions = self._arrivals(day for day in choice.outdated if day in self.news.conversions)
        for day in choice.outdated:
            if day in self.news.conversions and self._is_told(day):
                ids_by_day[day] = set(_on(conversions, [day])["conversion_id"].to_pylist())
            else:
                ids_by_day[day] = self._may_be_wrong(day) | set(self._outdated_before.get(day, ()))
        for day, ids in self.left_out.items():
            ids_by_day[day] = ids_by_day.get(day, set(self._outdated_before.get(day, ()))) | ids
        arrived = set(_on(self.arrived, choice.score)["conversion_id"].to_pylist())
        for day, ids in self._outdated_before.items():
            if day not in self.news.conversions:
                ids_by_day[day] = ids_by_day.get(day, set()) | set(ids)
        return {day: sorted(ids - arrived) for day, ids in sorted(ids_by_day.items()) if ids - arrived}

    def _may_be_wrong(self, day: int) -> set[str]:
        """Published conversions of a day that the input does not speak for, with causes on days that it does."""
        news, reach = self.news, self.news.current.reach
        rows = self.published.of(day)
        if day in self.moved:
            rows = rows.filter(pc.invert(pc.is_in(rows["conversion_id"], value_set=self.moved[day].combine_chunks())))
        if not reach.meets(day, news.changed("touchpoints")):
            every = {*news.changed("conversions"), *self.moved, *news.entered}
            causes = [cause for cause in every if 0 <= day - cause <= reach.days]
            arrived = self._arrivals(cause for cause in causes if cause in news.entered)
            customers = [_on(self.arrived, causes)["customer_id"], arrived["customer_id"]]
            customers += [self._customers(cause) for cause in causes]
            customer_ids = pa.chunked_array([chunk for part in customers for chunk in part.chunks], pa.string())
            rows = rows.filter(pc.is_in(rows["customer_id"], value_set=customer_ids.combine_chunks()))
        return set(rows["conversion_id"].to_pylist())

    def _customers(self, day: int) -> pa.ChunkedArray:
        """Customers of published conversions of ``day``; only of those that moved, where the input says no more."""
        rows = self.published.of(day)
        if day in self.moved:
            rows = rows.filter(pc.is_in(rows["conversion_id"], value_set=self.moved[day].combine_chunks()))
        return rows["customer_id"]

    def _left_out(self) -> dict[int, set[str]]:
        span, converted = self.news.conversions, self.news.current.conversions
        beside = [day for day in converted if day not in span]
        if not beside:
            return {}
        rows = self._arrivals(beside)
        inside = [self.published.of(day) for day in self.news.changed("conversions") if day in span]
        taken = {name for table in inside for name in table["conversion_id"].to_pylist()}
        # Those that were named there and never published are taken from there as well.
        taken |= {name for day, ids in self._outdated_before.items() if day in span for name in ids}
        left = {}
        for day in beside:
            ids = set(_on(rows, [day])["conversion_id"].to_pylist())
            held = set(self.published.of(day)["conversion_id"].to_pylist())
            left[day] = ids - held if day in span.cut else ids & taken
            if day in span.cut and day == span.last + 1:
                left[day] |= held - ids
        return {day: ids for day, ids in left.items() if ids}

    def _arrivals(self, days: Iterable[int]) -> pa.Table:
        """Conversions of the input on ``days``: ``day``, ``conversion_id`` and ``customer_id``."""
        ordered = sorted(set(days))
        if not ordered:
            return _IDS.insert(0, pa.field("day", pa.int64())).empty_table()
        sources = self._sources
        columns = {
            "conversion_id": "null::varchar", "value": "0::double", "is_new_customer": "null::boolean",
        }  # fmt: skip
        expressions = {name: name if sources.has("conversions", name) else sql for name, sql in columns.items()}
        keep = f"converted_at between {ordered[0] * DAY} and {(ordered[-1] + 1) * DAY - 1} and customer_id is not null"
        if self._kinds is not None:
            keep += f" and kind in ({', '.join(map(text, self._kinds))})"
        # As `attribution.data.loading.events.conversion_ids` makes them where there are none.
        number = f"row_number() over (partition by customer_id, converted_at order by id, {expressions['value']}, "
        number += f"{expressions['is_new_customer']})"
        table = sources.engine.query(
            f"select floor(converted_at / {DAY})::bigint as day, customer_id::varchar as customer_id, "
            f"coalesce(id, concat(customer_id, '@', converted_at, '#', {number})) as conversion_id "
            f"from (select *, {expressions['conversion_id']} as id from {sources.conversions_view} where {keep})",
            table="conversions",
        )
        rows = table.select(["day", *_IDS.names]).cast(_IDS.insert(0, pa.field("day", pa.int64())))
        return _on(rows, ordered)


def _on(rows: pa.Table, days: Iterable[int]) -> pa.Table:
    return rows.filter(pc.is_in(rows["day"], value_set=pa.array(list(days), pa.int64())))


def names(outdated: Mapping[int, list[str]]) -> dict[str, list[str]]:
    """By the names of days."""
    return {day_name(day): ids for day, ids in outdated.items()}
