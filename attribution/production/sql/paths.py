"""Journeys in SQL: which touchpoints belong to which conversion, and which of them remain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attribution.data.engine import text
from attribution.journeys.refine import DIRECT, GAP_MINUTES, IMPRESSION, MINUTE, MOST_COUNTED, microseconds
from attribution.kernels.journeys.cut import NO_LOOKBACK
from attribution.models.rules import named_channels
from attribution.production.sql.inputs import Inputs
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS

JOURNEY = "customer_id, nth"
"""The columns that identify a journey."""

_NONE = 1 << 62
_CARRIED = ("customer_id", "nth", "touched_us", "converted_us", "place")


@dataclass(frozen=True)
class Step:
    """A common table: its name, and what it selects."""

    name: str
    sql: str


def pair_steps(inputs: Inputs) -> Iterator[Step]:
    """Touchpoints with the conversion that they led to, ``place_sql`` by ``place_sql``."""
    columns = [*inputs.columns, *(["cost"] if inputs.has_cost else [])]
    within = _within(inputs, "c.converted_us - t.touched_us")
    columns_sql = ", ".join(f"t.{name}" for name in ("touched_us", *columns))
    columns_sql += ", c.converted_us"
    if inputs.options.conversions == "cumulative":
        source = "touches t join converted c on t.customer_id = c.customer_id and t.touched_us <= c.converted_us"
    else:
        # A conversion takes the touchpoints since the one before it.
        blank = ", ".join(f"null as {name}" for name in columns)
        yield Step(
            "events",
            f"select customer_id, touched_us, 0 as is_conversion, {', '.join(columns)} from touches "
            f"union all select customer_id, converted_us, 1 as is_conversion, {blank} from converted",
        )
        before = (
            "sum(is_conversion) over (partition by customer_id order by touched_us, is_conversion "
            "rows between unbounded preceding and current row)"
        )
        yield Step("assigned", f"select *, {before} + 1 as nth from events")
        source = "assigned t join converted c on t.customer_id = c.customer_id and t.nth = c.nth"
        within = f"t.is_conversion = 0 and {within}"
    place_sql = (
        f"row_number() over (partition by {JOURNEY} order by touched_us, {', '.join(inputs.tie_break)}) as place"
    )
    yield Step(
        "paired",
        f"select c.customer_id, c.nth, {columns_sql} from {source} where {inputs.condition_to_count()} and {within}",
    )
    yield Step("placed", f"select *, {place_sql} from paired")


def _within(inputs: Inputs, age: str) -> str:
    """Condition that a touchpoint lies in its window, the shorter one of two."""
    options = inputs.options
    days = DEFAULT_LOOKBACK_DAYS if options.lookback_days is None else options.lookback_days
    default = microseconds(days) if inputs.has_times else NO_LOOKBACK
    own = [
        f"case t.{name} "
        f"{' '.join(f'when {text(value)} then {microseconds(days)}' for value, days in lookback.items())} "
        f"else {_NONE} end"
        for name, lookback in (("channel", options.lookback_by_channel), ("kind", options.lookback_by_kind))
        if lookback and name in inputs.dimensions
    ]
    if not own:
        return "true" if default == NO_LOOKBACK else f"{age} <= {default}"
    window = own[0] if len(own) == 1 else f"least({', '.join(own)})"
    return f"{age} <= case when {window} = {_NONE} then {default} else {window} end"


def refine_steps(inputs: Inputs, trained: Sequence[str], source: str) -> Iterator[Step]:
    """The journey options, one step after another; ``trained`` are the channels of the model."""
    options, has_kind = inputs.options, "kind" in inputs.dimensions
    if options.view_through != "equal" and has_kind:
        is_view = f"coalesce(kind, '') = {text(IMPRESSION)}"
        yield from _drop_steps("clicks", source, is_view, only_if_other=options.view_through == "clicks_dominate")
        source = "clicks"
    if options.dedupe != "none":
        yield from _merge_steps(inputs, source)
        source = "merged"
    if options.direct != "keep":
        is_direct = named_channels(options.direct_channels or DIRECT, trained)
        yield from _drop_steps("told", source, is_direct, only_if_other=options.direct == "drop_if_other")
        source = "told"
    if options.transform != "unique":
        yield from _transform_steps(inputs, source)
        source = "transformed"
    if options.max_touchpoints is not None:
        back = f"row_number() over (partition by {JOURNEY} order by place desc)"
        yield Step("counted_back", f"select *, {back} as places_left from {source}")
        yield Step("latest", f"select * from counted_back where places_left <= {options.max_touchpoints}")


def _drop_steps(name: str, source: str, test: str, *, only_if_other: bool) -> Iterator[Step]:
    if not only_if_other:
        yield Step(name, f"select * from {source} where not {test}")
        return
    others_sql = f"sum(case when {test} then 0 else 1 end) over (partition by {JOURNEY})"
    yield Step(f"{name}_counted", f"select *, {others_sql} as others_of_{name} from {source}")
    yield Step(name, f"select * from {name}_counted where others_of_{name} = 0 or not {test}")


def _merge_steps(inputs: Inputs, source: str) -> Iterator[Step]:
    """Without touchpoints that repeat the one before."""
    over = f"over (partition by {JOURNEY} order by place)"
    compared = [*inputs.columns, "touched_us", *(["cost"] if inputs.has_cost else [])]
    before = ", ".join(f"lag({name}) {over} as {name}_before" for name in compared)
    same = [f"coalesce({name}, '') = coalesce({name}_before, '')" for name in inputs.columns]
    if inputs.options.dedupe == "gap":
        gap = round(min((inputs.options.dedupe_gap_minutes or GAP_MINUTES) * MINUTE, _NONE))
        same.append(f"touched_us - touched_us_before <= {gap}")
    if inputs.options.dedupe == "unique":
        same += ["touched_us = touched_us_before", "cost = cost_before"]
    yield Step("beside", f"select *, {before} from {source}")
    columns_sql = ", ".join([*_CARRIED, *inputs.columns])
    yield Step(
        "merged", f"select {columns_sql} from beside where touched_us_before is null or not ({' and '.join(same)})"
    )


def _transform_steps(inputs: Inputs, source: str) -> Iterator[Step]:
    further = [name for name in inputs.columns if name != "channel"]
    if inputs.options.transform == "exposure":
        before = f"lag(channel) over (partition by {JOURNEY} order by place)"
        yield Step("runs", f"select *, {before} as channel_before from {source}")
        names = ", ".join([*_CARRIED, *further, "channel"])
        yield Step("transformed", f"select {names} from runs where channel_before is null or channel <> channel_before")
        return
    of_channel = f"over (partition by {JOURNEY}, channel"
    occurrence = f"row_number() {of_channel} order by place) as occurrence, count(*) {of_channel}) as times"
    yield Step("occurring", f"select *, {occurrence} from {source}")
    channel = "channel"
    if inputs.options.transform == "frequency":
        times = f"case when times < {MOST_COUNTED} then cast(times as varchar) else '{MOST_COUNTED}+' end"
        channel = f"channel || ' (' || {times} || ')' as channel"
    names = ", ".join([*_CARRIED, *further, channel])
    yield Step("transformed", f"select {names} from occurring where occurrence = 1")
