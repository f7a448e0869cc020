"""A channel that does nothing, put among the events of every customer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.data.loading.events import Dimensions, EventStream
from attribution.errors import InputError
from attribution.journeys.structure import JourneyChunk
from attribution.journeys.untouched import untouched_ids
from attribution.kernels.journeys.insertion import CustomerEvents, insert_events, poisson_distribution, random_instants
from attribution.kernels.statistics.draws import draw_words, id_words
from attribution.schema.tables import PLACEBO_CHANNEL

_STREAM = 0x706C616365626F
"""Draws of the placebo have nothing to do with others that are made from the same customer and seed."""

_LISTED = -(1 << 62)
"""In place of a code or conversion: the customer is listed, and nothing happened."""

_MOST = 1_000.0


@dataclass(frozen=True)
class Placebo:
    """A channel without any effect, `attribution.schema.tables.PLACEBO_CHANNEL`: its touchpoints come at random.

    For every customer of the log, and of the ``customers`` table if there is one, they form a Poisson process over
    the span of the data. Where journeys end with the first conversion (``first_only``), later touchpoints are dropped
    as for any other channel, which leaves a Poisson process over the time at risk.

    Parameters
    ----------
    seed : another seed gives other times; those of a customer depend only on its id and the seed
    rate : mean number of touchpoints per customer over the span of the data; by default that of the average channel
    """

    seed: int = 0
    rate: float | None = None

    def __post_init__(self) -> None:
        if not _is_whole(self.seed) or not 0 <= self.seed < 1 << 63:
            raise InputError("placebo: seed must be a whole number, 0 or more", given=repr(self.seed))
        if self.rate is not None and not (_is_number(self.rate) and 0 < self.rate <= _MOST):
            raise InputError(
                "placebo: rate must be a mean number of touchpoints per customer",
                given=repr(self.rate),
                allowed=f"above 0, up to {_MOST:g}",
            )


@dataclass(frozen=True)
class Insertion:
    """How a placebo comes into a stream of events: ``ref`` is its code among ``dimensions``."""

    dimensions: Dimensions
    ref: int
    seed: int
    distribution: NDArray[np.float64]
    span: tuple[int, int]

    def apply(self, customers: pa.Array, events: CustomerEvents) -> CustomerEvents:
        """The events of ``customers`` with those of the placebo among them."""
        happened = events.ref != _LISTED
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(happened)])[events.starts]
        cost = events.cost[happened] if len(events.cost) else events.cost
        real_events = CustomerEvents(starts, events.at[happened], self._recode(events.ref[happened]), cost)
        return insert_events(real_events, *self._instants(customers), self.ref)

    def select_untouched(self, untouched: Callable[[], JourneyChunk | None]) -> JourneyChunk | None:
        """The journeys of untouched customers whom the placebo did not touch either."""
        chunk = untouched()
        if chunk is None or chunk.customer_ids is None:
            return chunk
        customer, _ = self._instants(chunk.customer_ids)
        touched = np.bincount(customer, minlength=len(chunk.customer_ids)) > 0
        return chunk.subset(~touched[chunk.customer])

    def _instants(self, customers: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        words = draw_words(draw_words(id_words(customers), _STREAM), self.seed)
        return random_instants(words, self.distribution, *self.span)

    def _recode(self, ref: NDArray[np.signedinteger]) -> NDArray[np.int64]:
        """Codes where there is a channel more: what stands before the channel moves up."""
        stride, radix = self.dimensions.stride_and_radix("channel")
        wide = ref.astype(np.int64)
        return np.where(wide < 0, wide, wide + wide // (stride * (radix - 1)) * stride)


def open_placebo(sources: Sources, stream: EventStream, placebo: Placebo) -> tuple[EventStream, Insertion]:
    """The stream as it is with the placebo's channel, and how its touchpoints come in.

    Raises
    ------
    InputError
        If times are integers, or there is no touchpoint to go by.
    """
    if sources.integer_times:
        raise InputError(
            "a placebo needs timestamps; the times of this log are integers",
            hint="set what the integers mean, e.g. time_format = 'epoch_s'",
        )
    dimensions = with_placebo(stream.dimensions)
    stream = _add_untouched(sources, stream)
    rate = _average_rate(sources, stream) if placebo.rate is None else float(placebo.rate)
    insertion = Insertion(
        dimensions,
        len(stream.dimensions.channels) * dimensions.stride_and_radix("channel")[0],
        int(placebo.seed),
        poisson_distribution(min(rate, _MOST)),
        (stream.first, stream.last),
    )
    return replace(stream, dimensions=dimensions), insertion


def with_placebo(dimensions: Dimensions) -> Dimensions:
    """The dimensions of a log with the channel that does nothing; `InputError` if there is no other channel."""
    if not dimensions.channels:
        raise InputError(
            "a placebo is compared with channels, but no touchpoint is usable",
            hint="give touchpoints with a channel, or leave placebo out of the experiment",
        )
    values = (
        (*values, PLACEBO_CHANNEL) if name == "channel" else values
        for name, values in zip(dimensions.names, dimensions.values, strict=True)
    )
    more = Dimensions(dimensions.names, tuple(values))
    more.check_size()
    return more


def _add_untouched(sources: Sources, stream: EventStream) -> EventStream:
    """The stream with an event `_LISTED` for every listed customer who has none, so that the kernel hears of them."""
    if not sources.has("customers"):
        return stream
    ids = untouched_ids(sources)
    more = sources.engine.query(f"select count(*) as n from ({ids})")["n"][0].as_py()
    events = stream.events
    cost = ", 0 as cost" if events.has_cost else ""
    listed = f"select customer_id, {stream.first} as happened_at, {_LISTED} as ref{cost} from ({ids})"
    return replace(stream, events=replace(events, sql=f"{events.sql} union all {listed}", rows=events.rows + int(more)))


def _average_rate(sources: Sources, stream: EventStream) -> float:
    """Touchpoints per channel and customer."""
    counted = sources.engine.query(
        "select count(distinct customer_id) as customers, count(*) filter (ref >= 0) as touchpoints "
        f"from ({stream.events.sql})"
    ).to_pylist()[0]
    return float(counted["touchpoints"] / len(stream.dimensions.channels) / counted["customers"])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
