"""Journeys as arrays: slices of touchpoints, chunk by chunk, and what there is to know of them, which adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from typing import Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.arguments import check_arguments, describe
from attribution.data.loading import Finding
from attribution.data.loading.events import Dimensions
from attribution.errors import InputError
from attribution.journeys.histories import Histories
from attribution.kernels.journeys.batches import gather_slices
from attribution.kernels.statistics.sums import KeyedSums, exact_sums, merge_keyed, sum_by_key, sums_of_counts, to_float

# ---------------------------------------------------------------- sums of what there is to know


@dataclass(frozen=True)
class Summary:
    """Named tables of exact sums. Summaries add up, in any order, to the same bytes.

    Parameters
    ----------
    tables : exact sums by name; each has keys (rows, k) and one sum per row

    Examples
    --------
    Parts of the journeys are summed up by themselves; their sums add up to that of all.

    >>> import pandas as pd
    >>> import attribution as at
    >>> parts = [at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": [path], "conversions": [count]})))
    ...          for path, count in (("mail", 2), ("search > mail", 3))]
    >>> (parts[0].overview + parts[1].overview).number("conversions")
    5.0
    """

    tables: Mapping[str, KeyedSums]

    def __add__(self, other: Summary) -> Summary:
        merged = dict(self.tables)
        for name, table in other.tables.items():
            merged[name] = merge_keyed(merged[name], table) if name in merged else table
        return Summary(merged)

    @check_arguments
    def dense(self, name: str, size: int) -> NDArray[np.float64]:
        """(size,) sums of a table whose keys are 0 … size − 1; 0 where a key, or the table, is absent."""
        table = self.tables.get(name)
        least = 0 if table is None or not len(table.keys) else int(table.keys[:, 0].max()) + 1
        if size < least:
            raise InputError(f"Summary.dense: size is too small for {name!r}", given=size, allowed=f"{least} or more")
        result = np.zeros(size)
        if table is not None:
            result[table.keys[:, 0]] = to_float(table.sums)
        return result

    @check_arguments
    def number(self, name: str) -> float:
        """The sum of a table made by `number`; 0 where there is none."""
        return float(self.dense(name, 1)[0])


def number(terms: NDArray[np.bool_] | NDArray[np.float64]) -> KeyedSums:
    """The exact sum of all ``terms`` as a table with one row."""
    floats = np.array([float(np.count_nonzero(terms))]) if terms.dtype == np.bool_ else terms.astype(np.float64)
    rows = min(len(floats), 1)
    return KeyedSums(np.zeros((rows, 1), np.int64), exact_sums(np.zeros(len(floats), np.int64), floats, rows))


@check_arguments
def tally(keys: NDArray[np.signedinteger], times: NDArray[np.bool_] | NDArray[np.float64]) -> KeyedSums:
    """How often each key occurs, as a table of exact sums for a `Summary`.

    Parameters
    ----------
    keys : (n,) small whole numbers ≥ 0, such as channels
    times : (n,) how often each key counts: bool for whether at all, float64 for a number

    Examples
    --------
    >>> import numpy as np
    >>> counted = tally(np.array([2, 0, 2]), np.array([True, True, True]))
    >>> Summary({"touchpoints": counted}).dense("touchpoints", 3).tolist()
    [1.0, 0.0, 2.0]
    """
    if times.dtype == np.bool_:
        counts = np.bincount(keys[times])
        taken = np.flatnonzero(counts)
        return KeyedSums(taken[:, None], sums_of_counts(counts[taken]))
    return sum_by_key(keys.astype(np.int64)[:, None], times.astype(np.float64))


# ---------------------------------------------------------------- journeys

PIECE_STEPS = 4_000_000
"""Touchpoints laid out at once: overlapping journeys are slices until a model reads them."""


Counts = NDArray[np.bool_] | NDArray[np.float64]


class BucketSlices(NamedTuple):
    """Journeys bucket by bucket, touchpoints end to end; columns as in `JourneyChunk`."""

    start: NDArray[np.signedinteger]
    stop: NDArray[np.signedinteger]
    channel: NDArray[np.int32]
    bucket: NDArray[np.int64]
    conversions: Counts
    nulls: Counts


@dataclass(frozen=True)
class JourneyChunk:
    """A part of the journeys of a run, as slices of its touchpoints.

    Attributes
    ----------
    channel : (touchpoints,) int32, position in ``Journeys.channels``
    code : (touchpoints,) integers, see `Dimensions`
    touched_at : (touchpoints,) int64 microseconds or positions; None for aggregated paths
    start, stop : (journeys,) integers, journey j is touchpoints start[j] … stop[j] − 1
    ended_at : (journeys,) int64, conversion, or last touchpoint of a journey that did not convert
    conversions, nulls : (journeys,) how often the journey converted and did not: bool from events, float64 from
        paths
    value : (journeys,) float64
    is_open : (journeys,) bool, may still convert after the end of the data
    conversion : (journeys,) int64, row of the conversion, −1 for none
    customer : (journeys,) integers, position in ``customer_ids``
    customer_ids : ids of the customers; None for aggregated paths
    cost : (touchpoints,) float64; None where touchpoints carry none
    dimensions : what ``code`` means
    factor : (touchpoints,) float64 by which weights are multiplied; None where all count alike
    bucket : (journeys,) int64 label of the bucket that each was dealt to, once it has been
    counted : what was counted while these journeys were built
    since : first instant of the period that the journeys are of; None without one
    later : journeys without a conversion that were last touched in the period and close after it; see `by_last_touch`
    histories : of all customers in ``customer_ids``, those without a journey included. They belong to the whole
        chunk: `subset` leaves them as they are, and `of_customers` does not. None where there are none to read

    Examples
    --------
    Customer b was touched by mail and did not convert; a was touched by mail and search, and did.

    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(
    ...     pd.DataFrame({"customer_id": ["a", "a", "b"], "touched_at": ["2024-01-01", "2024-01-05", "2024-01-03"],
    ...                   "channel": ["mail", "search", "mail"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-06"], "value": [100.0]}),
    ... ))
    >>> (chunk,) = journeys
    >>> chunk.channel.tolist(), chunk.start.tolist(), chunk.stop.tolist(), chunk.conversions.tolist()
    ([0, 0, 1], [0, 1], [1, 3], [False, True])
    """

    channel: NDArray[np.int32]
    code: NDArray[np.signedinteger]
    touched_at: NDArray[np.int64] | None
    start: NDArray[np.signedinteger]
    stop: NDArray[np.signedinteger]
    ended_at: NDArray[np.int64] | None
    conversions: Counts
    nulls: Counts
    value: NDArray[np.float64]
    is_open: NDArray[np.bool_]
    conversion: NDArray[np.int64]
    customer: NDArray[np.signedinteger]
    customer_ids: pa.Array | None
    cost: NDArray[np.float64] | None
    dimensions: Dimensions
    factor: NDArray[np.float64] | None = None
    bucket: NDArray[np.int64] | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    since: int | None = None
    later: JourneyChunk | None = None
    histories: Histories | None = None

    def __len__(self) -> int:
        return len(self.start)

    @property
    def by_last_touch(self) -> tuple[JourneyChunk, ...]:
        """The journeys of the period by the day that decides what they are held against: spend and conversions.

        A journey that converts counts when it does, one that does not when it was last touched. The journeys themselves
        are those that close in the period, where one that fails does so a lookback window after its last touchpoint.
        """
        if self.since is None:
            return (self,)
        assert self.ended_at is not None
        own = self.subset((self.conversion >= 0) | (self.ended_at >= self.since))
        return (own,) if self.later is None else (own, self.later)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(journeys,) touchpoints per journey."""
        return (self.stop - self.start).astype(np.int64)

    @cached_property
    def allocated(self) -> JourneyChunk:
        """The journeys with credit to allocate and a channel to allocate it to, end to end."""
        return self.flatten(self.converting & (self.lengths > 0))

    @cached_property
    def touched(self) -> JourneyChunk:
        """The journeys that have touchpoints."""
        has_any = self.lengths > 0
        return self if has_any.all() else self.subset(has_any)

    @property
    def bucket_order(self) -> NDArray[np.intp]:
        """(journeys,) the journeys bucket by bucket."""
        assert self.bucket is not None
        # Sixteen bits are sorted by counting.
        is_narrow = len(self) > 0 and self.bucket.max() < 1 << 16
        return np.argsort(self.bucket.astype(np.uint16) if is_narrow else self.bucket, kind="stable")

    @cached_property
    def touched_by_bucket(self) -> BucketSlices:
        """The journeys that have touchpoints, for readers that take one bucket after another."""
        order = self.bucket_order
        order = order[self.lengths[order] > 0]
        start, stop = self.start[order], self.stop[order]
        ends = np.cumsum(stop - start)
        assert self.bucket is not None
        return BucketSlices(
            ends - (stop - start),
            ends,
            gather_slices(self.channel, start, stop),
            self.bucket[order],
            self.conversions[order],
            self.nulls[order],
        )

    @property
    def converting(self) -> NDArray[np.bool_]:
        """(journeys,) whether there is credit to allocate."""
        return np.asarray((self.conversions > 0) | (self.value > 0))

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(journeys + 1,) where each journey starts, once `flatten` has put them end to end."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])

    def flatten(self, keep: NDArray[np.bool_]) -> JourneyChunk:
        """The journeys that ``keep`` (journeys,) names, their touchpoints end to end and without overlap."""
        start, stop = self.start[keep], self.stop[keep]
        is_flat = keep.all() and len(start) and start[0] == 0 and stop[-1] == len(self.channel)
        is_flat = is_flat and bool((start[1:] == stop[:-1]).all())
        if is_flat:
            return self
        lengths = (stop - start).astype(np.int64)
        ends = np.cumsum(lengths)
        return replace(
            self,
            channel=gather_slices(self.channel, start, stop),
            code=gather_slices(self.code, start, stop),
            touched_at=None if self.touched_at is None else gather_slices(self.touched_at, start, stop),
            cost=None if self.cost is None else gather_slices(self.cost, start, stop),
            factor=None if self.factor is None else gather_slices(self.factor, start, stop),
            start=ends - lengths,
            stop=ends,
            ended_at=None if self.ended_at is None else self.ended_at[keep],
            bucket=None if self.bucket is None else self.bucket[keep],
            **{name: getattr(self, name)[keep] for name in _PER_JOURNEY},
        )

    def batches(self, steps: int = PIECE_STEPS) -> Iterator[JourneyChunk]:
        """Runs of journeys with about ``steps`` touchpoints each, so that laying them out needs bounded memory."""
        total = np.cumsum(self.lengths)
        if len(self) == 0 or total[-1] <= steps:
            yield self
            return
        group = total // steps
        edges = np.flatnonzero(np.diff(group)) + 1
        for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(self)], strict=True):
            batch = self.subset(slice(low, high))
            # What was counted, what closes later and what happened to customers belong to the whole.
            yield batch if low == 0 else replace(batch, counted={}, later=None, histories=None)

    def of_customers(self, chosen: NDArray[np.bool_]) -> JourneyChunk:
        """The journeys and histories of the customers that ``chosen`` (customers,) names."""
        part = self.subset(chosen[self.customer])
        return part if self.histories is None else replace(part, histories=self.histories.of(chosen))

    def subset(self, rows: slice | NDArray[np.bool_] | NDArray[np.signedinteger]) -> JourneyChunk:
        """Some of the journeys, on the same touchpoints; rows may be repeated and in any order."""
        return replace(
            self,
            start=self.start[rows],
            stop=self.stop[rows],
            ended_at=None if self.ended_at is None else self.ended_at[rows],
            bucket=None if self.bucket is None else self.bucket[rows],
            **{name: getattr(self, name)[rows] for name in _PER_JOURNEY},
        )


_PER_JOURNEY = ("conversions", "nulls", "value", "is_open", "conversion", "customer")


def _no_ids() -> NDArray[np.object_]:
    return np.zeros(0, dtype=object)


class Chunks(Protocol):
    """Journeys that are too many to hold: they are made anew for every pass."""

    def __iter__(self) -> Iterator[JourneyChunk]: ...

    def map(self, step: Callable[[JourneyChunk], Readings]) -> Iterable[Readings]:
        """Results of ``step`` for all chunks, some of them added up already, where the chunks are made."""


@dataclass(frozen=True)
class Journeys:
    """All journeys of a run, chunk by chunk; read them as often as needed.

    Attributes
    ----------
    chunks : the journeys: held, or made anew for every pass
    dimensions : what the codes of touchpoints mean
    channels : channel names; a channel's code in the chunks is its position
    lookback_days : the longest window; None where there is none
    span : first and last time of an event; None for aggregated paths
    integer_times : whether times are positions; None for aggregated paths
    overlap : whether a touchpoint may be in several journeys
    conversion_ids : returns the ids of conversions by row; called only when needed
    untouched : returns journeys of listed customers without touchpoint or conversion; None without ``customers``
    lists_customers : whether there is a ``customers`` table
    period : first and last instant of the period; None without one
    first_only : whether everything after a customer's first conversion is left out
    paid_channels : returns the channels that have a cost
    describe : turns what was counted while building into rows of the quality table
    counted_touchpoints : (channels,) touchpoints, where reading the log has told how many there are; None where options
        leave some out

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(
    ...     pd.DataFrame({"customer_id": ["a", "a", "b"], "touched_at": ["2024-01-01", "2024-01-05", "2024-01-03"],
    ...                   "channel": ["mail", "search", "mail"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-06"], "value": [100.0]}),
    ... ))
    >>> len(journeys), journeys.channels, journeys.total("value"), journeys.lookback_days
    (2, ('mail', 'search'), 100.0, 30.0)
    """

    chunks: tuple[JourneyChunk, ...] | Chunks
    dimensions: Dimensions
    channels: tuple[str, ...]
    lookback_days: float | None = None
    span: tuple[int, int] | None = None
    integer_times: bool | None = None
    overlap: bool = False
    conversion_ids: Callable[[], NDArray[np.object_]] = _no_ids
    untouched: Callable[[], JourneyChunk | None] = lambda: None
    lists_customers: bool = False
    period: tuple[int, int] | None = None
    first_only: bool = False
    paid_channels: Callable[[], tuple[str, ...]] = lambda: ()
    describe: Callable[[Summary], list[Finding]] = lambda _: []
    counted_touchpoints: NDArray[np.float64] | None = None

    def __iter__(self) -> Iterator[JourneyChunk]:
        return iter(self.chunks)

    def __len__(self) -> int:
        return int(self.overview.number("journeys"))

    @check_arguments
    def read(self, *readers: Reader) -> list[Summary]:
        """Summarise all journeys with each reader, in a single pass.

        A reader receives batches of bounded size, in any order and on any thread or machine.
        """
        step = partial(_read_chunk, readers)
        parts: Iterable[Readings] = map(step, self.chunks) if isinstance(self.chunks, tuple) else self.chunks.map(step)
        nothing: Readings = tuple(Summary({}) for _ in readers)
        whole: Readings = reduce(add_readings, parts, nothing)
        return list(whole)

    @cached_property
    def overview(self) -> Summary:
        """What `observe` sums up of all journeys."""
        return self.read(observe)[0]

    @cached_property
    def touchpoints(self) -> NDArray[np.float64]:
        """(channels,) touchpoints of each channel, as often as journeys hold them."""
        if self.counted_touchpoints is not None:
            return self.counted_touchpoints
        return self.read(count_touchpoints)[0].dense("touchpoints", len(self.channels))

    @property
    def findings(self) -> list[Finding]:
        """What was counted while building, as rows of the quality table."""
        return self.describe(self.overview)

    @property
    def has_times(self) -> bool:
        """Whether touchpoints carry real times, so that days between them mean something."""
        return self.integer_times is False

    @check_arguments
    def total(self, what: Literal["conversions", "nulls", "value"]) -> float:
        """Observed total, summed independently of the order of journeys."""
        return self.overview.number(what)


Reader = Callable[[JourneyChunk], Summary]
Readings = tuple[Summary, ...]


def observe(chunk: JourneyChunk) -> Summary:
    """Totals that no model may change, the part that no channel can have, and what was counted while building."""
    is_untouched = chunk.lengths == 0
    sums = {what: number(getattr(chunk, what)) for what in ("conversions", "nulls", "value")}
    sums |= {f"unattributed_{what}": number(getattr(chunk, what)[is_untouched]) for what in ("conversions", "value")}
    counts = {**chunk.counted, "journeys": len(chunk), "open": int(chunk.is_open.sum())}
    return Summary({**sums, **{name: number(np.array([float(count)])) for name, count in counts.items()}})


def count_touchpoints(chunk: JourneyChunk) -> Summary:
    """Touchpoints by channel, each as often as the journeys it stands in happened."""
    channel = gather_slices(chunk.channel, chunk.start, chunk.stop)
    if chunk.conversions.dtype == np.bool_:
        return Summary({"touchpoints": tally(channel, np.ones(len(channel), bool))})
    times = np.asarray(chunk.conversions + chunk.nulls, dtype=np.float64)
    return Summary({"touchpoints": tally(channel, np.repeat(times, chunk.lengths))})


def add_readings(a: Readings, b: Readings) -> Readings:
    """Readings of some journeys and of others, reader by reader."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _read_chunk(readers: Sequence[Reader], chunk: JourneyChunk) -> Readings:
    def read(batch: JourneyChunk) -> Readings:
        return tuple(_summary_of(reader, batch) for reader in readers)

    return reduce(add_readings, map(read, chunk.batches()))


def _summary_of(reader: Reader, batch: JourneyChunk) -> Summary:
    summary = reader(batch)
    if not isinstance(summary, Summary):
        raise InputError("read: a reader must return a Summary", given=f"{describe(summary)} of {describe(reader)}")
    return summary
