"""Journeys from touchpoints and conversions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.experiment import DEFAULT_LOOKBACK_DAYS, JourneyOptions, Period
from attribution.journeys.structure import JourneyChunk, Journeys
from attribution.kernels import cut as kernel
from attribution.kernels.batches import customer_starts, whole_customers
from attribution.sources import Finding, Sources, count_finding
from attribution.sources.events import EventStream, conversion_ids, open_events

DAY = 86_400_000_000
"""Microseconds."""

_WORKERS = 2
"""The pass is short beside the sort: more threads than this would wait for events."""

_AGES = 10_000_000.0
"""Days; longer than any log, and short enough for sums of microseconds."""

_MODES = {"reset": kernel.RESET, "cumulative": kernel.CUMULATIVE, "first_only": kernel.FIRST_ONLY}


def journeys_from_events(sources: Sources, options: JourneyOptions, period: Period) -> Journeys:
    """Journeys from the ``touchpoints`` and ``conversions`` tables.

    Raises
    ------
    InputError
        If a time-based option is given and times are integers.
    """
    window = _window(sources, options, period)
    stream = open_events(sources)
    build = _Build(stream, window, _MODES[options.conversions], period.bounds(), sources.engine.batch_rows)
    parts = sources.engine.map_partitions(stream.events, build.partition)
    chunks = tuple(chunk for part in parts for chunk in part.chunks)
    return Journeys(
        chunks,
        stream.dimensions,
        lookback_days=None if window == kernel.NO_LOOKBACK else window / DAY,
        span=(stream.first, stream.last),
        integer_times=sources.integer_times,
        conversion_ids=partial(conversion_ids, sources),
        findings=(*stream.findings, *build.findings(parts, chunks)),
    )


def _window(sources: Sources, options: JourneyOptions, period: Period) -> int:
    """The lookback window in the unit of the times."""
    if sources.integer_times:
        for name, setting in (
            ("lookback_days", options.lookback_days),
            ("period", period.start or period.end),
        ):
            if setting is not None:
                raise InputError(
                    f"{name} is time-based, and the times of this log are integers",
                    given=f"{name} = {setting}",
                    hint="leave it out, or say what the integers are: time_format = 'epoch_s'",
                )
        return kernel.NO_LOOKBACK
    days = DEFAULT_LOOKBACK_DAYS if options.lookback_days is None else options.lookback_days
    # Further back than time itself is no window at all.
    return round(days * DAY) if days < _AGES else kernel.NO_LOOKBACK


@dataclass
class _Part:
    """What a group of customers gave, and after `add` what several gave."""

    chunks: list[JourneyChunk]
    touchpoints: int = 0
    ties: int = 0
    duplicates: int = 0
    dropped_touchpoints: int = 0
    dropped_conversions: int = 0
    conversions_outside: int = 0
    nulls_outside: int = 0

    def add(self, other: _Part) -> None:
        self.chunks += other.chunks
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_COUNTS = tuple(part.name for part in fields(_Part) if part.name != "chunks")


@dataclass(frozen=True)
class _Build:
    stream: EventStream
    window: int
    mode: int
    period: tuple[int | None, int | None]
    batch_rows: int

    def partition(self, batches: Iterator[pa.RecordBatch]) -> _Part:
        """Cut all customers of a partition, two groups at a time, in order."""
        whole = _Part([])
        under_way: deque[Future[_Part]] = deque()
        with ThreadPoolExecutor(_WORKERS) as pool:
            for group in whole_customers(batches, self.batch_rows):
                if len(under_way) > _WORKERS:
                    whole.add(under_way.popleft().result())
                under_way.append(pool.submit(self._cut, group))
            while under_way:
                whole.add(under_way.popleft().result())
        return whole

    def _cut(self, group: list[pa.RecordBatch]) -> _Part:
        # Copies, which the kernel turns from events into touchpoints.
        at, ref, *costs = (
            np.concatenate([batch.column(name).to_numpy() for batch in group])
            for name in self.stream.events.columns[1:]
        )
        cost = costs[0] if costs else np.zeros(0)
        ids = pa.concat_arrays([batch.column("customer_id") for batch in group])
        starts = customer_starts(ids)
        part = _Part([], touchpoints=int((ref >= 0).sum()))
        part.ties, part.duplicates = kernel.order_ties(starts, at, ref, cost)
        made = kernel.cut_journeys(starts, at, ref, cost, lookback=self.window, mode=self.mode, end=self.stream.last)
        part.dropped_touchpoints, part.dropped_conversions = made.dropped.tolist()
        touchpoints = (at[: made.kept], ref[: made.kept], cost[: made.kept] if costs else None)
        part.chunks.append(self._select(self._chunk(made, touchpoints, ids.take(pa.array(starts[:-1]))), part))
        return part

    def _chunk(
        self,
        made: kernel.Cut,
        touchpoints: tuple[NDArray[np.int64], NDArray[np.signedinteger], NDArray[np.float64] | None],
        customer_ids: pa.Array,
    ) -> JourneyChunk:
        touched_at, code, cost = touchpoints
        converted = made.conversion >= 0
        dimensions = self.stream.dimensions
        return JourneyChunk(
            channel=(dimensions.digit(code, "channel") if dimensions.names else code).astype(np.int32, copy=False),
            code=code,
            touched_at=touched_at,
            start=made.start,
            stop=made.stop,
            ended_at=made.ended_at,
            conversions=converted,
            nulls=~converted,
            value=self.stream.values[made.conversion],
            is_open=made.is_open,
            conversion=made.conversion,
            customer=made.customer,
            customer_ids=customer_ids,
            cost=cost,
        )

    def _select(self, chunk: JourneyChunk, part: _Part) -> JourneyChunk:
        """Keep what lies in the analysis period and count what does not."""
        first, last = self.period
        if first is None and last is None:
            return chunk
        assert chunk.ended_at is not None
        converted = chunk.conversion >= 0
        window = 0 if self.window == kernel.NO_LOOKBACK else self.window
        closed_at = np.where(converted, chunk.ended_at, chunk.ended_at + window)
        if self.window == kernel.NO_LOOKBACK:
            closed_at = np.where(converted, closed_at, self.stream.last)
        inside = np.ones(len(chunk), dtype=bool)
        if first is not None:
            inside &= closed_at >= first
        if last is not None:
            inside &= closed_at <= last
        part.conversions_outside += int((converted & ~inside).sum())
        part.nulls_outside += int((~converted & ~inside).sum())
        return chunk.only(inside)

    def findings(self, parts: list[_Part], chunks: tuple[JourneyChunk, ...]) -> list[Finding]:
        """What was counted, as rows of the quality table."""

        def count(name: str) -> int:
            return sum(getattr(part, name) for part in parts)

        converted = sum(int((chunk.conversion >= 0).sum()) for chunk in chunks)
        touchpoints = count("touchpoints")
        bare = sum(int(((chunk.conversion >= 0) & (chunk.lengths == 0)).sum()) for chunk in chunks)
        still_open = sum(int(chunk.is_open.sum()) for chunk in chunks)
        journeys = sum(len(chunk) for chunk in chunks)
        counted: list[tuple[str, str, int, int | None, str]] = [
            ("ties", "touchpoints", count("ties"), touchpoints, _TIES),
            ("duplicates", "touchpoints", count("duplicates"), touchpoints, _DUPLICATES),
            ("without_touchpoint", "conversions", bare, converted, _BARE),
            ("open_journeys", "journeys", still_open, journeys, _OPEN),
        ]
        if self.mode == kernel.FIRST_ONLY:
            for table in ("touchpoints", "conversions"):
                message = f"{table} after the customer's first conversion: dropped"
                counted.append(("after_first_conversion", table, count(f"dropped_{table}"), None, message))
        if self.period != (None, None):
            counted.append(("outside_period", "conversions", count("conversions_outside"), None, _OUTSIDE))
            counted.append(("outside_period", "journeys", count("nulls_outside"), None, _NULLS_OUTSIDE))
        return [count_finding(check, table, n, text, total=total) for check, table, n, total, text in counted]


_TIES = "touchpoints at one instant of one customer: ordered by kind, channel and the other columns"
_DUPLICATES = "touchpoints that repeat another in every column: kept"
_BARE = "conversions without a touchpoint in their window: credited to (unattributed)"
_OPEN = "journeys still open at the end of the data: kept, as not converted"
_OUTSIDE = "conversions outside the period: left out, they still close journeys"
_NULLS_OUTSIDE = "non-converting journeys that close outside the period: left out"
