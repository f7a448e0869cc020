"""Customers who were never touched: the baseline of games over coalitions of channels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from attribution.data.loading import Sources
from attribution.data.loading.events import Dimensions
from attribution.journeys.structure import JourneyChunk


def untouched_journeys(sources: Sources, dimensions: Dimensions) -> JourneyChunk | None:
    """A journey without touchpoint or conversion for every customer who has neither; None without ``customers``.

    Only a ``customers`` table lists customers who left no trace.
    """
    if not sources.has("customers"):
        return None
    ids = sources.engine.query(f"{untouched_ids(sources)} order by customer_id")["customer_id"].combine_chunks()
    customers = len(ids)
    nowhere = np.zeros(customers, np.int64)
    return JourneyChunk(
        channel=np.zeros(0, np.int32),
        code=np.zeros(0, np.int64),
        touched_at=np.zeros(0, np.int64),
        start=nowhere,
        stop=nowhere,
        ended_at=nowhere,
        conversions=np.zeros(customers, bool),
        nulls=np.ones(customers, bool),
        value=np.zeros(customers),
        is_open=np.zeros(customers, bool),
        conversion=np.full(customers, -1),
        customer=np.arange(customers),
        customer_ids=ids if isinstance(ids, pa.Array) else pa.array(ids),
        cost=None,
        dimensions=dimensions,
    )


def untouched_ids(sources: Sources) -> str:
    """SQL for the listed customers who have neither touchpoint nor conversion."""
    views = {"touchpoints": "touchpoints", "conversions": sources.conversions_view}
    event_tables = [view for table, view in views.items() if sources.has(table)]
    # Not "not in": Spark's parser takes a union in its parentheses for one value.
    return " except ".join(
        f"select customer_id from {table} where customer_id is not null" for table in ("customers", *event_tables)
    )
