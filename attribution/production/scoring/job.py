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
from attribution.data.engine import DuckDBEngine, Engine, Events
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import DAY, Journeys, build_journeys
from attribution.models.saved.scorer import Scorer
from attribution.production.guards import Thresholds, Timing
from attribution.production.scoring.days import (
    FAR,
    Input,
    Reach,
    choose_days,
    daily_digests,
    daily_touchpoints,
    day_number,
    unsure_days,
)
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.scoring.ledger import opened_ledger
from attribution.production.scoring.parts import Names, Parts, PartWriter
from attribution.production.scoring.publication import Publication, Scored
from attribution.production.scoring.scoring_guards import ScoringGuards
from attribution.production.scoring.takeback import MAX_GAP_DAYS, Published, TakeBack, check_gaps
from attribution.schema.experiment import Period

Result = TypeVar("Result")


@dataclass(frozen=True)
class ScoringOptions:
    """What a job reads, and what it writes where.

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
    model: Scorer | VersionsInEffect,
    options: ScoringOptions,
    engine: Engine,
    *,
    open_engine: Callable[[], Engine] = DuckDBEngine,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Scored:
    """Score conversions into ``OUT/journey_credit/day=YYYY-MM-DD/journey_credit.parquet``.

    Days whose input is what it was when they were scored are left alone; a day that changed is replaced whole, and
    the ``restatement`` table says by how much. Scoring the same input again writes the same bytes. Each day is by the
    version in effect on it.

    Parameters
    ----------
    model : a scorer, or the versions of a registered model
    options : what to read, where to write
    engine : holds the tables, and decides how much memory is used
    open_engine : makes another one, for a version that reads the tables otherwise than the newest one
    on_stage : told what is being done

    Raises
    ------
    InputError
        If the input lacks what the model needs, another job is at work in the folder, or it is another model's.
    """
    versions = model if isinstance(model, VersionsInEffect) else VersionsInEffect.of(model)
    scorer = versions.newest
    with opened_ledger(options.out, scorer.name) as ledger:
        on_stage("reading tables")
        sources = _open(scorer, options, engine)
        on_stage("finding the days that changed")
        manifest = ledger.read() or {}
        versions = versions.continued(manifest.get("in_effect", ()))
        unsure = unsure_days(scorer.definition.journeys)
        current = replace(input_of(sources, versions.reach), covers=options.covers, unsure_days=unsure)
        check_gaps(sources, current.touchpoints, current.conversions, options.max_gap_days)
        damaged = [day_number(day) for day, entry in manifest.get("days", {}).items() if ledger.is_damaged(day, entry)]
        published = Published({day_number(day): ledger.day_path(day) for day in manifest.get("days", {})})
        news = current.against(manifest.get("inputs", {}))
        taken = TakeBack(sources, versions, news, published, manifest)
        between = options.first, options.last
        guards = _guards(versions, options, taken, manifest)
        choice = choose_days(taken.news, manifest, versions, damaged=damaged, cut=guards.cut_days, between=between)
        says = guards.judge_input(choice)
        if options.dry_run:
            return Scored.planned(manifest, choice, taken, says)
        on_stage(f"scoring {pluralise(len(choice.score), 'day')}")
        publication = Publication(versions, ledger, taken, manifest, damaged=damaged)
        for own, days in versions.by_version(choice.score):
            tables = sources if versions.reads_as_newest(days[0]) else _open(own, options, open_engine())
            _score(own, tables, current, days, publication)
        return publication.commit(choice, partial(guards.judge_scores, says), now=guards.timing.now)


def _guards(
    versions: VersionsInEffect, options: ScoringOptions, taken: TakeBack, manifest: Mapping[str, Any]
) -> ScoringGuards:
    timing = Timing.of(
        options.due,
        manifest.get("scored_at"),
        manifest.get("inputs", {}),
        manifest.get("guards", ()),
        now=options.now,
    )
    is_chosen = (options.first, options.last) != (None, None)
    return ScoringGuards(versions, taken.news, manifest, timing, options.thresholds, is_chosen)


def _open(scorer: Scorer, options: ScoringOptions, engine: Engine) -> Sources:
    """The tables of a job as ``scorer`` reads them."""
    sources = scorer.open(
        options.tables, engine=engine, canonical=options.canonical, latest=True, folder=options.folder
    )
    if sources.has("paths") or sources.integer_times or not sources.has("conversions"):
        raise InputError("scoring needs timestamps, but these tables have only an order")
    return sources


def _score(scorer: Scorer, sources: Sources, current: Input, days: list[int], publication: Publication) -> None:
    """Write the credit of ``days`` aside, first as journeys come, then day by day."""
    journeys = _journeys(scorer, sources, current, days)
    applied = scorer.apply(journeys)
    folder = publication.ledger.staging.resolve() / f"parts-{days[0]}"
    folder.mkdir()
    (summary,) = journeys.read(PartWriter(folder, applied, np.array(days, dtype=np.int64)))
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


def input_of(sources: Sources, reach: Reach) -> Input:
    """The input of a job day by day, and how far it reaches."""
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
