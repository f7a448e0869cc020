"""What the log says of its own period: customers whom channels reached, spend, and the value of a conversion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from attribution.data.loading import Sources
from attribution.incrementality.lift_readings import LogPeriod
from attribution.sections import RunContext


class Reach(NamedTuple):
    """Customers of the log in its period.

    Attributes
    ----------
    customers, converted : all who could be reached, and those of them who converted
    channels : by channel, ``exposed`` customers, and how many of them ``converted`` after their first touchpoint of it
    """

    customers: float
    converted: float
    channels: pd.DataFrame


def read_reach(context: RunContext) -> Reach | None:
    """Whom channels reached; None where there are no customers, no days, or none but those who converted."""
    if "reach" not in context.memory:
        context.memory["reach"] = _read_reach(context)
    reach: Reach | None = context.memory["reach"]
    return reach


def _read_reach(context: RunContext) -> Reach | None:
    sources, bounds = context.sources, period_bounds(context)
    if bounds is None or not sources.has("touchpoints"):
        return None
    touched = (
        "select channel, customer_id, min(touched_at) as first_at from touchpoints where channel is not null and "
        f"customer_id is not null and touched_at between {bounds[0]} and {bounds[1]} group by channel, customer_id"
    )
    bought = (
        f"select customer_id, max(converted_at) as last_at from {sources.conversions_view} where customer_id is not "
        f"null and converted_at between {bounds[0]} and {bounds[1]} group by customer_id"
    )
    channels = sources.engine.query(
        "select channel, count(*)::double as exposed, "
        f"count(case when last_at >= first_at then 1 end)::double as converted from ({touched}) t left join ({bought}) "
        "c on t.customer_id = c.customer_id group by channel order by channel"
    ).to_pandas()
    if channels["exposed"].sum() <= channels["converted"].sum():
        return None
    return Reach(_count_customers(sources, bounds), _count(sources, bought), channels.set_index("channel"))


def _count_customers(sources: Sources, bounds: tuple[int, int]) -> float:
    """Those listed, or else those who left a trace in the period."""
    if sources.has("customers"):
        return _count(sources, "select distinct customer_id from customers where customer_id is not null")
    traces = " union ".join(
        f"select customer_id from {view} where customer_id is not null and {at} between {bounds[0]} and {bounds[1]}"
        for view, at in (("touchpoints", "touched_at"), (sources.conversions_view, "converted_at"))
    )
    return _count(sources, traces)


def _count(sources: Sources, rows: str) -> float:
    return float(sources.engine.query(f"select count(*)::double as n from ({rows}) t")["n"][0].as_py())


def period_bounds(context: RunContext) -> tuple[int, int] | None:
    """First and last instant that count; None where times are none."""
    journeys = context.journeys
    if journeys.span is None or journeys.integer_times:
        return None
    first, last = journeys.span
    if journeys.period is not None:
        first, last = max(first, journeys.period[0]), min(last, journeys.period[1])
    return int(first), int(last)


def log_period(context: RunContext) -> LogPeriod:
    """The period that effects are brought to; without days where the log has none."""
    bounds, reach = period_bounds(context), read_reach(context)
    days = [None, None] if bounds is None else [pd.Timestamp(at, unit="us").date() for at in bounds]
    conversions = context.journeys.total("conversions")
    value = context.journeys.total("value")
    return LogPeriod(
        days[0],
        days[1],
        {} if reach is None else reach.channels["exposed"].to_dict(),
        context.terms.costs.media,
        value / conversions if conversions > 0 and value else np.nan,
        context.experiment.incrementality.drift,
    )
