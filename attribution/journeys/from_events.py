"""On which day a journey is booked, so that days add up and what is booked on a day that is over stays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.data.engine import Engine
from attribution.data.loading import Finding, Sources, count_finding
from attribution.data.loading.events import EventStream, conversion_ids, open_events
from attribution.data.loading.identity import fresh_id_finding
from attribution.errors import InputError
from attribution.journeys.histories import Histories
from attribution.journeys.placebo_channel import Insertion, Placebo, open_placebo
from attribution.journeys.refine import DAY, MINUTE, Refinement, default_window, lookback_windows
from attribution.journeys.structure import JourneyChunk, Journeys, Readings, Summary, add_readings
from attribution.journeys.untouched import untouched_journeys
from attribution.kernels.journeys import cut as kernel
from attribution.kernels.journeys import history
from attribution.kernels.journeys.batches import customer_ids, customer_starts, gather_slices, whole_customers
from attribution.kernels.journeys.cut import Windows
from attribution.kernels.journeys.ids import fresh_ids, searched_since
from attribution.kernels.journeys.insertion import CustomerEvents
from attribution.schema.experiment import JourneyOptions, Period

# ---------------------------------------------------------------- the day a journey is booked on


def book_by_day(chunk: JourneyChunk, windows: Windows) -> JourneyChunk:
    """Journeys as they were cut, dealt to their days: that of the conversion, or the one on which they close.

    Where windows vary, a journey closes when the last of those of its touchpoints does.
    """
    assert chunk.ended_at is not None
    moment = chunk.ended_at.copy()
    waiting = np.flatnonzero(chunk.conversion < 0)
    moment[waiting] = _closing_times(chunk.subset(waiting), windows)
    return replace(chunk, bucket=moment // DAY)


def _closing_times(chunk: JourneyChunk, windows: Windows) -> NDArray[np.int64]:
    """(journeys,) when journeys without a conversion close; none of them is empty."""
    assert chunk.touched_at is not None
    assert chunk.ended_at is not None
    if not windows.vary or len(chunk) == 0:
        return chunk.ended_at + int(windows.length.max())
    code, touched_at = (gather_slices(of, chunk.start, chunk.stop) for of in (chunk.code, chunk.touched_at))
    return np.maximum.reduceat(touched_at + windows.of(code), chunk.offsets[:-1])


# ---------------------------------------------------------------- cutting

_WORKERS = 2
"""The pass is short beside the sort: more threads than this would wait for events."""

_MANY_OPEN = 0.2
"""With a larger share of them open, journeys without a conversion tell of the end of the data, not of channels."""

NEW_ID_MINUTES = 30
"""An id whose first event comes so shortly before its first conversion has no history."""

Result = TypeVar("Result")

Places = NDArray[np.int64]

_MODES = {"reset": kernel.RESET, "cumulative": kernel.CUMULATIVE, "first_only": kernel.FIRST_ONLY}


def journeys_from_events(
    sources: Sources, options: JourneyOptions, period: Period, placebo: Placebo | None = None, *, by_day: bool = False
) -> Journeys:
    """Journeys from the ``touchpoints`` and ``conversions`` tables, and a placebo if asked for.

    With ``by_day`` the bucket of each journey is the day it is booked on, see `attribution.journeys.from_events`.

    Raises
    ------
    InputError
        If a time-based option is given and times are integers.
    """
    _check_times(sources, options, period)
    stream = open_events(sources, kinds=options.conversion_kinds, mark_new=options.customers == "new")
    insertion = None
    if placebo is not None:
        stream, insertion = open_placebo(sources, stream, placebo)
    windows = lookback_windows(options, stream.dimensions, default_window(options, has_times=not sources.integer_times))
    first, last = period.bounds()
    mode = _MODES[options.conversions]
    refinement = Refinement(options, stream.dimensions, windows if windows.vary and mode == kernel.CUMULATIVE else None)
    build = Build(
        stream,
        windows,
        mode,
        (kernel.ANY_TIME[0] if first is None else first, kernel.ANY_TIME[1] if last is None else last),
        refinement,
        not sources.integer_times,
        sources.engine.batch_rows,
        insertion,
        by_day,
    )
    made = StreamedChunks(sources.engine, build)
    untouched = partial(untouched_journeys, sources, stream.dimensions)
    longest = int(windows.length.max())
    holds_all = insertion is None and mode == kernel.RESET and period == Period() and not refinement.leaves_out
    return Journeys(
        made if sources.engine.streams(stream.events) else tuple(made),
        stream.dimensions,
        refinement.channels,
        lookback_days=None if longest == kernel.NO_LOOKBACK else longest / DAY,
        span=(stream.first, stream.last),
        integer_times=sources.integer_times,
        overlap=mode == kernel.CUMULATIVE,
        conversion_ids=partial(conversion_ids, sources),
        untouched=untouched if insertion is None else partial(insertion.select_untouched, untouched),
        lists_customers=sources.has("customers"),
        period=None if build.period == kernel.ANY_TIME else build.period,
        first_only=mode == kernel.FIRST_ONLY,
        paid_channels=partial(paid_channels, sources),
        describe=build.describe,
        counted_touchpoints=stream.touchpoints if holds_all else None,
    )


@dataclass(frozen=True)
class StreamedChunks:
    """Chunks that are cut from sorted events whenever they are read."""

    engine: Engine
    build: Build

    def __iter__(self) -> Iterator[JourneyChunk]:
        parts = self.engine.map_partitions(self.build.stream.events, self.build.keep)
        return (chunk for part in parts for chunk in part)

    def map(self, step: Callable[[JourneyChunk], Readings]) -> list[Readings]:
        return self.engine.map_partitions(self.build.stream.events, partial(self.build.read, step))


def paid_channels(sources: Sources) -> tuple[str, ...]:
    """Channels with a cost, in the costs table or on their touchpoints."""
    paid: set[str] = set()
    if sources.has("costs"):
        paid |= _distinct(sources, "select distinct channel from media_costs where amount <> 0")
    if sources.has("touchpoints", "cost"):
        paid |= _distinct(sources, "select distinct channel from touchpoints where cost <> 0")
    return tuple(sorted(paid))


def _distinct(sources: Sources, sql: str) -> set[str]:
    return {name for name in sources.engine.query(sql)["channel"].to_pylist() if name is not None}


def _check_times(sources: Sources, options: JourneyOptions, period: Period) -> None:
    """Refuse what needs days where times are mere positions."""
    if not sources.integer_times:
        return
    for name, setting in (
        ("lookback_days", options.lookback_days),
        ("lookback_by_kind", options.lookback_by_kind),
        ("lookback_by_channel", options.lookback_by_channel),
        ("dedupe", "gap" if options.dedupe == "gap" else None),
        ("open_journeys", "drop" if options.open_journeys == "drop" else None),
        ("period", period.start or period.end),
    ):
        if setting:
            raise InputError(
                f"{name} needs timestamps; the times of this log are integers",
                given=f"{name} = {setting}",
                hint="leave it out, or set what the integers mean, e.g. time_format = 'epoch_s'",
            )


@dataclass(frozen=True)
class Build:
    """How events become journeys.

    ``period`` is its first and last instant; ``has_times`` says that times are moments, not positions.
    """

    stream: EventStream
    windows: kernel.Windows
    mode: int
    period: tuple[int, int]
    refinement: Refinement
    has_times: bool
    batch_rows: int
    placebo: Insertion | None = None
    by_day: bool = False

    def keep(self, batches: Iterator[pa.RecordBatch]) -> list[JourneyChunk]:
        """The journeys of a partition."""
        return list(self._each(batches, lambda chunk: chunk))

    def read(self, step: Callable[[JourneyChunk], Readings], batches: Iterator[pa.RecordBatch]) -> Readings:
        """What ``step`` gives for the journeys of a partition, added up."""
        return reduce(add_readings, self._each(batches, step))

    def _each(self, batches: Iterator[pa.RecordBatch], step: Callable[[JourneyChunk], Result]) -> Iterator[Result]:
        """Cut all customers of a partition and apply ``step``, two groups at a time, in order."""
        under_way: deque[Future[list[Result]]] = deque()
        with ThreadPoolExecutor(_WORKERS) as pool:
            for group in whole_customers(batches, self.batch_rows):
                if len(under_way) > _WORKERS:
                    yield from under_way.popleft().result()
                under_way.append(pool.submit(lambda group: [step(chunk) for chunk in self._refine(group)], group))
            while under_way:
                yield from under_way.popleft().result()

    def _refine(self, group: list[pa.RecordBatch]) -> Iterator[JourneyChunk]:
        """Journeys as the options ask for them; those that overlap are flattened a batch at a time."""
        chunk = self._cut(group)
        batches = chunk.batches() if self.refinement.changes_steps else [chunk]
        return map(self.refinement.apply, batches)

    def _cut(self, group: list[pa.RecordBatch]) -> JourneyChunk:
        # Copies, which the kernel turns from events into touchpoints.
        at, ref, *costs = (
            np.concatenate([batch.column(name).to_numpy() for batch in group])
            for name in self.stream.events.columns[1:]
        )
        cost = costs[0] if costs else np.zeros(0)
        ids = pa.concat_arrays([batch.column("customer_id") for batch in group])
        starts = customer_starts(ids)
        customers = customer_ids(ids, starts)
        if self.placebo is not None:
            starts, at, ref, cost = self.placebo.apply(customers, CustomerEvents(starts, at, ref, cost))
        touchpoints = int((ref >= 0).sum())
        ties, duplicates = kernel.order_ties(starts, at, ref, cost)
        events = self._events(starts, at, ref)
        fresh = fresh_ids(starts, at, ref, *self._arrivals) if self.has_times else (0, 0)
        made = kernel.cut_journeys(
            starts, at, ref, cost, windows=self.windows, mode=self.mode, end=self.stream.last, period=self.period
        )
        chunk = self._chunk(
            made,
            (at[: made.touchpoints], ref[: made.touchpoints], cost[: made.touchpoints] if costs else None),
            customers,
        )
        counts = (touchpoints, ties, duplicates, *made.dropped.tolist(), *made.outside.tolist(), *fresh)
        counted = dict(zip(_COUNTED, counts, strict=True))
        chunk = replace(chunk, counted=counted, histories=self._histories(events, chunk))
        chunk = self._of_period(chunk, made.is_later)
        return self._only_new(book_by_day(chunk, self.windows) if self.by_day else chunk)

    def _events(self, starts: Places, at: Places, ref: NDArray[np.signedinteger]) -> history.Events | None:
        """What happens to these customers, before it is cut; nothing where it does not matter when."""
        if not self.has_times or self.mode == kernel.CUMULATIVE:
            return None
        return history.read_events(starts, at, ref, is_last=self.mode == kernel.FIRST_ONLY, whole=self.windows.vary)

    def _histories(self, events: history.Events | None, chunk: JourneyChunk) -> Histories | None:
        """The histories of these customers, on the touchpoints of journeys where these are in the order of time."""
        if events is None:
            return None
        counts = (events.ended_at >= self.period[0]) & (events.ended_at <= self.period[1])
        if self.refinement.options.customers == "new":
            counts &= self.stream.is_new[events.row]
        touched_at, channel = chunk.touched_at, chunk.channel
        if events.code is not None:
            touched_at, channel = events.touched_at, self._channels(events.code)
        assert touched_at is not None
        value = self.stream.values[events.row]
        return Histories(events.touch_start, touched_at, channel, events.end_start, events.ended_at, counts, value)

    def _channels(self, code: NDArray[np.signedinteger]) -> NDArray[np.int32]:
        dimensions = self.stream.dimensions
        return (dimensions.digit(code, "channel") if dimensions.names else code).astype(np.int32, copy=False)

    def _of_period(self, chunk: JourneyChunk, is_later: NDArray[np.bool_]) -> JourneyChunk:
        """The journeys that count in the period, and beside them those that were last touched in it."""
        if self.period == kernel.ANY_TIME:
            return chunk
        later = replace(chunk.subset(is_later), counted={}, histories=None)
        return replace(chunk.subset(~is_later), since=self.period[0], later=later)

    @property
    def _arrivals(self) -> tuple[int, int, int]:
        """How old an id may be and count as new, and between when it is looked for."""
        window = int(self.windows.length.max())
        limit = min(NEW_ID_MINUTES * MINUTE, window)
        lookback = -1 if window == kernel.NO_LOOKBACK else window
        since = searched_since(self.stream.first, self.stream.last, lookback=lookback, limit=limit)
        return limit, max(since, self.period[0]), min(self.stream.last, self.period[1])

    def _only_new(self, chunk: JourneyChunk) -> JourneyChunk:
        """Without the conversions of customers who are not new, where only those of new ones count."""
        if self.refinement.options.customers == "all":
            return chunk
        counts = (chunk.conversion < 0) | self.stream.is_new[chunk.conversion]
        dropped = int((~counts).sum())
        return replace(chunk.subset(counts), counted={**chunk.counted, "not_new": dropped})

    def _chunk(
        self,
        made: kernel.Cut,
        touchpoints: tuple[NDArray[np.int64], NDArray[np.signedinteger], NDArray[np.float64] | None],
        customer_ids: pa.Array,
    ) -> JourneyChunk:
        touched_at, code, cost = touchpoints
        converted = made.conversion >= 0
        return JourneyChunk(
            channel=self._channels(code),
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
            dimensions=self.stream.dimensions,
        )

    def describe(self, overview: Summary) -> list[Finding]:
        """What was counted, as rows of the quality table."""
        touchpoints = overview.number("touchpoints")
        counted: list[tuple[str, str, str, float | None, str]] = [
            ("ties", "touchpoints", "ties", touchpoints, _TIES),
            ("duplicates", "touchpoints", "duplicates", touchpoints, _DUPLICATES),
            (
                "without_touchpoint",
                "conversions",
                "unattributed_conversions",
                overview.number("conversions"),
                _WITHOUT_TOUCHPOINT,
            ),
        ]
        findings = [
            count_finding(check, table, overview.number(name), text, total=total)
            for check, table, name, total, text in counted
        ]
        # What somebody asked for is counted, and is no warning.
        findings += [
            Finding(check, table, "pass", overview.number(name), None, None, text)
            for check, table, name, text in self._options_counted()
        ]
        findings += [*self._only_converters(overview), self._open_finding(overview)]
        if self.has_times:
            fresh, looked_at = (int(overview.number(name)) for name in ("fresh_ids", "ids_looked_at"))
            findings.append(fresh_id_finding(fresh, looked_at, minutes=NEW_ID_MINUTES))
        return [*self.stream.findings, *findings, *self.refinement.describe(overview)]

    def _options_counted(self) -> list[tuple[str, str, str, str]]:
        """Check, table, count and text of what options leave out."""
        counted = []
        if self.mode == kernel.FIRST_ONLY:
            for table in ("touchpoints", "conversions"):
                text = f"{table} after the customer's first conversion (left out)"
                counted.append(("after_first_conversion", table, f"dropped_{table}", text))
        if self.period != kernel.ANY_TIME:
            counted.append(("outside_period", "conversions", "conversions_outside", _OUTSIDE))
            counted.append(("outside_period", "journeys", "nulls_outside", _NULLS_OUTSIDE))
        if self.refinement.options.customers == "new":
            counted.append(("not_new", "conversions", "not_new", _NOT_NEW))
        return counted

    def _only_converters(self, overview: Summary) -> list[Finding]:
        """A warning where the period leaves converters only: other journeys close one window later."""
        outside = overview.number("nulls_outside")
        if overview.number("nulls") > 0 or outside == 0 or overview.number("conversions") == 0:
            return []
        window = int(self.windows.length.max()) / DAY
        message = (
            f"the period leaves out all {outside:,.0f} journeys that did not convert, so Markov and Shapley's rate "
            "learn from converters only, and channels look alike. "
            f"Such a journey closes {window:g} days after its last touchpoint: shorten lookback_days, move period.end "
            f"{window:g} days later, or leave it out if the data end there anyway"
        )
        return [Finding(ONLY_CONVERTERS, "journeys", "warn", outside, outside, None, message)]

    def _open_finding(self, overview: Summary) -> Finding:
        """How many journeys the end of the data cuts off: some always are, and many bias what follows."""
        check, table = "open_journeys", "journeys"
        still_open, total = overview.number("open"), overview.number("nulls")
        share = percent(still_open / max(total, 1))
        message = (
            f"{share} of journeys without a conversion are open at the end of the data, and count as not converted"
        )
        if still_open <= _MANY_OPEN * total:
            return Finding(check, table, "pass", still_open, total, None, message)
        window, span = int(self.windows.length.max()) / DAY, (self.stream.last - self.stream.first) / DAY
        message += (
            f". A lookback window of {window:g} days is long for {round(span, 1):g} days of data: shorten it, "
            "or leave open journeys out with open_journeys = 'drop'"
        )
        return Finding(check, table, "warn", still_open, total, None, message)


ONLY_CONVERTERS = "period_leaves_converters"
"""The check that no journey is left that did not convert."""

_COUNTED = (
    "touchpoints",
    "ties",
    "duplicates",
    "dropped_touchpoints",
    "dropped_conversions",
    "conversions_outside",
    "nulls_outside",
    "fresh_ids",
    "ids_looked_at",
)
_TIES = (
    "touchpoints of one customer at the same time (ordered by kind, channel and the other columns): use more precise "
    "times if you have them"
)
_DUPLICATES = (
    "touchpoints that are equal to another one in every column (counted twice): set journeys.dedupe to merge them"
)
_WITHOUT_TOUCHPOINT = (
    "conversions without a touchpoint in their lookback window (credited to (unattributed)): if these are many, check "
    "for untracked touchpoints, ids that do not match, and a window that is too short"
)
_NOT_NEW = "conversions of customers who had converted before (not counted, but they still close journeys)"
_OUTSIDE = "conversions outside the period (not counted, but they still close journeys)"
_NULLS_OUTSIDE = "non-converting journeys that close outside the period (left out)"
