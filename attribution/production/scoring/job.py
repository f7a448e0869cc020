"""The scoring job: credit of new conversions, a file for each day."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
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
from attribution.production.guards import Thresholds, Timing
from attribution.production.scoring.days import (
    FAR,
    Choice,
    Input,
    Reach,
    choose_days,
    daily_digests,
    daily_touchpoints,
    day_number,
    longest_window,
)
from attribution.production.scoring.ledger import opened_ledger
from attribution.production.scoring.parts import Names, Parts, PartWriter
from attribution.production.scoring.publication import Publication, Scored
from attribution.production.scoring.scoring_guards import ScoringGuards
from attribution.production.scoring.takeback import MAX_GAP_DAYS, Published, TakeBack, check_gaps
from attribution.schema.experiment import Period

Result = TypeVar("Result")


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
    thresholds : of guards
    due : the day that every table must have rows of; the day before the newest row if None, and yesterday in a folder
        that was given such rows before
    now : the time of the job (UTC); that of the computer if None
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
    thresholds: Thresholds = field(default_factory=Thresholds)
    due: int | None = None
    now: dt.datetime | None = None


def score_days(
    scorer: Scorer, request: Request, engine: Engine, *, on_stage: Callable[[str], None] = lambda _: None
) -> Scored:
    """Score conversions into ``OUT/journey_credit/day=YYYY-MM-DD/journey_credit.parquet``.

    Days whose input is what it was when they were scored are left alone; a day that changed is replaced whole, and
    the ``restatement`` table says by how much. Scoring the same input again writes the same bytes.

    Parameters
    ----------
    scorer : loaded from its folder
    request : what to read, where to write
    engine : holds the tables, and decides how much memory is used
    on_stage : told what is being done

    Raises
    ------
    InputError
        If the input lacks what the model needs, another job is at work in the folder, or it is another model's.
    """
    with opened_ledger(request.out, scorer.name) as ledger:
        on_stage("reading tables")
        sources = scorer.open(
            request.tables, engine=engine, canonical=request.canonical, latest=True, folder=request.folder
        )
        if sources.has("paths") or sources.integer_times or not sources.has("conversions"):
            raise InputError("scoring needs timestamps, but these tables have only an order")
        on_stage("finding the days that changed")
        manifest = ledger.read() or {}
        current = replace(input_of(scorer, sources), covers=request.covers)
        check_gaps(sources, current.touchpoints, current.conversions, request.max_gap_days)
        damaged = [day_number(day) for day, entry in manifest.get("days", {}).items() if ledger.is_damaged(day, entry)]
        published = Published({day_number(day): ledger.day_path(day) for day in manifest.get("days", {})})
        news = current.against(manifest.get("inputs", {}))
        taken = TakeBack(sources, scorer.definition.journeys.conversion_kinds, news, published, manifest)
        made_by = f"{scorer.version}/{scorer.unknown_channels}"
        between = request.first, request.last
        guards = _guards(scorer, request, taken, manifest)
        choice = choose_days(taken.news, manifest, made_by, damaged=damaged, cut=guards.cut_days, between=between)
        says = guards.judge_input(choice)
        if request.dry_run:
            return Scored.planned(manifest, choice, taken, says)
        on_stage(f"scoring {pluralise(len(choice.score), 'day')}")
        publication = Publication(scorer, ledger, taken, manifest, made_by=made_by, damaged=damaged)
        if choice.score:
            _score(scorer, sources, current, choice, publication)
        return publication.commit(choice, partial(guards.judge_scores, says), now=guards.timing.now)


def _guards(scorer: Scorer, request: Request, taken: TakeBack, manifest: Mapping[str, Any]) -> ScoringGuards:
    timing = Timing.of(
        request.due,
        manifest.get("scored_at"),
        manifest.get("inputs", {}),
        manifest.get("guards", ()),
        now=request.now,
    )
    is_chosen = (request.first, request.last) != (None, None)
    return ScoringGuards(scorer, taken.news, manifest, timing, request.thresholds, is_chosen)


def _score(scorer: Scorer, sources: Sources, current: Input, choice: Choice, publication: Publication) -> None:
    """Write the credit of all chosen days aside, first as journeys come, then day by day."""
    journeys = _journeys(scorer, sources, current, choice.score)
    applied = scorer.apply(journeys)
    folder = publication.ledger.staging.resolve() / "parts"
    folder.mkdir()
    (summary,) = journeys.read(PartWriter(folder, applied, np.array(choice.score, dtype=np.int64)))
    written = summary.tables["parts"].keys[:, 0].tolist() if "parts" in summary.tables else []
    ids = journeys.conversion_ids()
    names = Names(scorer.name, scorer.version, journeys.channels, journeys.dimensions, ids)
    parts = Parts(folder, written)
    unknown_channels = {
        position: name for position, name in enumerate(names.channels) if not applied.is_known[position]
    }
    for day, table, unknown in _one_ahead(parts, names, unknown_channels):
        publication.add(day, table, unknown)


def _one_ahead(
    parts: Parts, names: Names, unknown_channels: Mapping[int, str]
) -> Iterator[tuple[int, pa.Table, dict[str, int]]]:
    """The rows of each day, and its unknown channels; those of the next are made while a day's are written."""

    def made(day: int) -> tuple[int, pa.Table, dict[str, int]]:
        return day, parts.table(day, names), parts.unknown(day, unknown_channels) if unknown_channels else {}

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming: deque[Future[tuple[int, pa.Table, dict[str, int]]]] = deque()
        for day in parts.days:
            coming.append(pool.submit(made, day))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _journeys(scorer: Scorer, sources: Sources, current: Input, days: list[int]) -> Journeys:
    """Journeys of conversions from the first of ``days`` to the last."""
    first, last = days[0] * DAY, (days[-1] + 1) * DAY - 1
    days_with_rows = {*current.touchpoints, *current.conversions}
    # Nothing before the longest window of the first day matters.
    since = days[0] - current.reach.days
    is_part = current.reach.days < FAR and (since > min(days_with_rows) or days[-1] < max(days_with_rows))
    window = Window(sources.engine, (since * DAY, last) if is_part else None)
    period = Period(start=_moment(first), end=_moment(last))
    return build_journeys(replace(sources, engine=window), period=period, **scorer.journey_options(sources))


def input_of(scorer: Scorer, sources: Sources) -> Input:
    """The input of a job day by day, and how far it reaches."""
    options = scorer.definition.journeys
    reach = Reach.of(longest_window(options), options.conversions, options.customers)
    touched, volumes = daily_touchpoints(sources)
    converted = daily_digests(sources, "conversions", "converted_at", sources.conversions_view)
    gross = "gross_conversions" if sources.has("conversions", "is_cancelled") else sources.conversions_view
    (ends,) = sources.engine.query(
        f"select min(converted_at) as first, max(converted_at) as last from {gross}", table="conversions"
    ).to_pylist()
    delivered = None if ends["first"] is None else (ends["first"], ends["last"])
    return Input(touched, converted, reach, delivered=delivered, volumes=volumes)


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
