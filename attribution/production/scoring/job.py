"""The scoring job: credit of new conversions, a file for each day."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from attribution.amounts import pluralise
from attribution.data.engine import Engine, Events
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import DAY, Journeys, build_journeys
from attribution.models.saved.scorer import Scorer
from attribution.production.scoring.days import FAR, Choice, Input, Reach, choose_days, daily_digests, day_number
from attribution.production.scoring.ledger import opened_ledger
from attribution.production.scoring.parts import Names, Parts, PartWriter
from attribution.production.scoring.publication import Publication, Scored
from attribution.production.scoring.takeback import MAX_GAP_DAYS, Published, TakeBack, check_gaps
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, Period

Result = TypeVar("Result")

_LONGEST_DAYS = 36_500
"""A longer lookback window is none."""


@dataclass(frozen=True)
class Request:
    """What a job is asked for.

    Attributes
    ----------
    tables : sources of ``touchpoints``, ``conversions`` and what else the model was fitted with, by table
    out : output folder
    first, last : days to score, whatever was there; those that changed if both are None
    canonical : whether tables have canonical columns, however they were read in training
    dry_run : find out which days would be scored, and write nothing
    covers : first and last day that the tables tell all of; from the first to the last conversion if None
    max_gap_days : a row that lies further from all others is refused
    folder : where relative paths of the tables start
    """

    tables: Mapping[str, Any]
    out: Path
    first: int | None = None
    last: int | None = None
    canonical: bool = False
    dry_run: bool = False
    covers: tuple[int, int] | None = None
    max_gap_days: int = MAX_GAP_DAYS
    folder: Path = Path()


def score_days(
    scorer: Scorer, asked: Request, engine: Engine, *, on_stage: Callable[[str], None] = lambda _: None
) -> Scored:
    """Score conversions into ``OUT/journey_credit/day=YYYY-MM-DD/journey_credit.parquet``.

    Days whose input is what it was when they were scored are left alone; a day that changed is replaced whole, and
    the ``restatement`` table says by how much. Scoring the same input again writes the same bytes.

    Parameters
    ----------
    scorer : loaded from its folder
    asked : what to read, where to write
    engine : holds the tables, and decides how much memory is used
    on_stage : told what is being done

    Raises
    ------
    InputError
        If the input lacks what the model needs, another job is at work in the folder, or it is another model's.
    """
    with opened_ledger(asked.out, scorer.name) as ledger:
        on_stage("reading tables")
        sources = scorer.open(asked.tables, engine=engine, canonical=asked.canonical, latest=True, folder=asked.folder)
        if sources.has("paths") or sources.integer_times or not sources.has("conversions"):
            raise InputError("scoring needs timestamps, but these tables have only an order")
        on_stage("finding the days that changed")
        manifest = ledger.read() or {}
        given = replace(input_of(scorer, sources), covers=asked.covers)
        check_gaps(sources, given.touchpoints, given.conversions, asked.max_gap_days)
        damaged = [day_number(day) for day, told in manifest.get("days", {}).items() if ledger.is_damaged(day, told)]
        published = Published({day_number(day): ledger.day_path(day) for day in manifest.get("days", {})})
        news = given.against(manifest.get("inputs", {}))
        taken = TakeBack(sources, scorer.definition.journeys.conversion_kinds, news, published, manifest)
        made_by = f"{scorer.version}/{scorer.unknown_channels}"
        choice = choose_days(taken.news, manifest, made_by, damaged=damaged, asked=(asked.first, asked.last))
        if asked.dry_run:
            return Scored.planned(manifest, choice, taken)
        on_stage(f"scoring {pluralise(len(choice.score), 'day')}")
        publication = Publication(scorer, ledger, taken, manifest, made_by=made_by, damaged=damaged)
        if choice.score:
            _score(scorer, sources, given, choice, publication)
        return publication.commit(choice)


def _score(scorer: Scorer, sources: Sources, given: Input, choice: Choice, publication: Publication) -> None:
    """Write the credit of all wanted days aside, first as journeys come, then day by day."""
    journeys = _journeys(scorer, sources, given, choice.score)
    applied = scorer.apply(journeys)
    folder = publication.ledger.aside.resolve() / "parts"
    folder.mkdir()
    (found,) = journeys.read(PartWriter(folder, applied, np.array(choice.score, dtype=np.int64)))
    written = found.tables["parts"].keys[:, 0].tolist() if "parts" in found.tables else []
    ids = journeys.conversion_ids()
    names = Names(scorer.name, scorer.version, journeys.channels, journeys.dimensions, ids)
    parts = Parts(folder, written)
    strangers = {place: name for place, name in enumerate(names.channels) if not applied.is_known[place]}
    for day, table, unknown in _one_ahead(parts, names, strangers):
        publication.add(day, table, unknown)


def _one_ahead(
    parts: Parts, names: Names, strangers: Mapping[int, str]
) -> Iterator[tuple[int, pa.Table, dict[str, int]]]:
    """The rows of each day, and its unknown channels; those of the next are made while a day's are written."""

    def made(day: int) -> tuple[int, pa.Table, dict[str, int]]:
        return day, parts.table(day, names), parts.unknown(day, strangers) if strangers else {}

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming: deque[Future[tuple[int, pa.Table, dict[str, int]]]] = deque()
        for day in parts.days:
            coming.append(pool.submit(made, day))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _journeys(scorer: Scorer, sources: Sources, given: Input, days: list[int]) -> Journeys:
    """Journeys of conversions from the first of ``days`` to the last."""
    first, last = days[0] * DAY, (days[-1] + 1) * DAY - 1
    seen = {*given.touchpoints, *given.conversions}
    # Nothing before the longest window of the first day matters.
    since = days[0] - given.reach.days
    is_part = given.reach.days < FAR and (since > min(seen) or days[-1] < max(seen))
    window = Window(sources.engine, (since * DAY, last) if is_part else None)
    period = Period(start=_moment(first), end=_moment(last))
    return build_journeys(replace(sources, engine=window), period=period, **scorer.journey_options(sources))


def input_of(scorer: Scorer, sources: Sources) -> Input:
    """The input of a job day by day, and how far it reaches."""
    asked = scorer.definition.journeys
    lookback = DEFAULT_LOOKBACK_DAYS if asked.lookback_days is None else asked.lookback_days
    longest = max(lookback, *asked.lookback_by_channel.values(), *asked.lookback_by_kind.values(), 0)
    reach = Reach.of(longest if longest < _LONGEST_DAYS else None, asked.conversions, asked.customers)
    touched = daily_digests(sources, "touchpoints", "touched_at") if sources.has("touchpoints") else {}
    converted = daily_digests(sources, "conversions", "converted_at", sources.conversions_view)
    gross = "gross_conversions" if sources.has("conversions", "is_cancelled") else sources.conversions_view
    (ends,) = sources.engine.query(
        f"select min(converted_at) as first, max(converted_at) as last from {gross}", table="conversions"
    ).to_pylist()
    return Input(touched, converted, reach, delivered=None if ends["first"] is None else (ends["first"], ends["last"]))


def _moment(at: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at)


class Window:
    """An engine whose events are those between two instants, and are never held all at once.

    Parameters
    ----------
    engine : the engine
    between : first and last instant in microseconds, both inclusive; all events if None
    """

    def __init__(self, engine: Engine, between: tuple[int, int] | None) -> None:
        self._engine, self._between = engine, between

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def streams(self, events: Events) -> bool:
        """Always: scores are written as journeys are made."""
        return True

    def map_partitions(self, events: Events, function: Callable[[Iterator[pa.RecordBatch]], Result]) -> list[Result]:
        """`Engine.map_partitions` of the events in the window."""
        if self._between is not None:
            first, last = self._between
            sql = f"select * from ({events.sql}) where happened_at between {first} and {last}"
            rows = int(self._engine.query(f"select count(*) as n from ({sql})")["n"][0].as_py())
            events = Events(sql, rows, events.has_cost)
        return self._engine.map_partitions(events, function)
