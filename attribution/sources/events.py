"""Canonical touchpoints and conversions as one stream of events, and what was dropped on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.engine import Events, quote
from attribution.errors import InputError
from attribution.sources.load import Sources
from attribution.sources.quality import Finding, count_finding

_LARGEST_CODE = 1 << 62


@dataclass(frozen=True)
class Dimensions:
    """The table of distinct (channel, campaign, kind, …), never written out: a code is a mixed-radix number.

    ``values[d]`` lists the values of dimension ``names[d]`` in the order that breaks ties. A dimension other
    than the channel may be null, which has digit 0.
    """

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def channels(self) -> tuple[str, ...]:
        return self.values[self.names.index("channel")] if self.names else ()

    def digit(self, code: NDArray[np.int64], name: str) -> NDArray[np.int64]:
        """Position of each code's value of ``name``; for nullable dimensions 0 is null and 1 the first value."""
        place = self.names.index(name)
        return (code // self._stride(place)) % self._radix(place)

    def decode(self, code: NDArray[np.int64], name: str) -> NDArray[np.object_]:
        """The value of ``name`` for each code; None where null."""
        if name not in self.names:
            return np.full(len(code), None, dtype=object)
        values = self.values[self.names.index(name)]
        known = np.array(values if name == "channel" else (None, *values), dtype=object)
        return known[self.digit(code, name)]

    def sql(self) -> str:
        """SQL for the code of a touchpoint, after `create_enums`."""
        terms = []
        for place, name in enumerate(self.names):
            digit = f"enum_code(try_cast({quote(name)} as {quote(_enum(name))}))::bigint"
            if name != "channel":
                digit = f"coalesce({digit} + 1, 0)"
            terms.append(f"{digit} * {self._stride(place)}")
        return " + ".join(terms)

    def _radix(self, place: int) -> int:
        return max(1, len(self.values[place]) + (self.names[place] != "channel"))

    def _stride(self, place: int) -> int:
        stride = 1
        for later in range(place + 1, len(self.names)):
            stride *= self._radix(later)
        return stride

    def check_size(self) -> None:
        """Raise `InputError` if codes would not fit into 62 bits."""
        if self.names and self._stride(0) * self._radix(0) > _LARGEST_CODE:
            sizes = {name: len(values) for name, values in zip(self.names, self.values, strict=True)}
            raise InputError("the dimensions of touchpoints have too many combinations", given=sizes)


@dataclass(frozen=True)
class EventStream:
    """What the journey kernel reads, with what came of reading it.

    Attributes
    ----------
    events : the stream
    dimensions : how codes are read
    first, last : earliest and latest time of a usable event
    findings : dropped and repaired rows
    """

    events: Events
    dimensions: Dimensions
    first: int
    last: int
    findings: tuple[Finding, ...]


def open_events(sources: Sources) -> EventStream:
    """Prepare the event stream of ``sources``: drop and count unusable rows, number what is left."""
    findings: list[Finding] = []
    spans: list[tuple[int, int]] = []
    parts: list[str] = []
    rows = 0
    dimensions = Dimensions((), ())
    if sources.has("touchpoints"):
        dimensions = _read_dimensions(sources)
        kept = _count_touchpoints(sources, findings, spans)
        rows += kept
        if kept:
            cost = "coalesce(cost, 0)" if sources.has("touchpoints", "cost") else "0::double"
            parts.append(
                f"select * from (select customer_id, touched_at as happened_at, {dimensions.sql()} as ref, {cost} as amount "
                "from touchpoints where customer_id is not null and touched_at is not null) where ref is not null"
            )
    kept = _number_conversions(sources, findings, spans)
    rows += kept
    if kept:
        parts.append(
            "select customer_id, converted_at as happened_at, -1 - row as ref, value as amount from numbered_conversions"
        )
    if not parts:
        raise InputError("no usable row is left", hint="customer, time and channel are null everywhere")
    return EventStream(
        Events(" union all ".join(parts), rows),
        dimensions,
        min(first for first, _ in spans),
        max(last for _, last in spans),
        tuple(findings),
    )


def _enum(name: str) -> str:
    return f"{name}_enum"


def _read_dimensions(sources: Sources) -> Dimensions:
    values = []
    for name in sources.dimensions:
        column = quote(name)
        found = sources.engine.query(
            f"select distinct {column}::varchar as v from touchpoints where {column} is not null"
        )["v"].to_pylist()
        known = sorted(value for value in found if value.strip())
        if name == "kind":
            known.sort(key=lambda kind: {"click": 0, "impression": 1}.get(kind, 2))
        values.append(tuple(known))
    dimensions = Dimensions(sources.dimensions, tuple(values))
    dimensions.check_size()
    for name, known in zip(dimensions.names, dimensions.values, strict=True):
        sources.engine.create_enum(_enum(name), known)
    return dimensions


def _count_touchpoints(sources: Sources, findings: list[Finding], spans: list[tuple[int, int]]) -> int:
    channel_known = "channel is not null and trim(channel) <> ''"
    usable = f"customer_id is not null and touched_at is not null and {channel_known}"
    cost = "count(*) filter (cost is null)" if sources.has("touchpoints", "cost") else "0"
    found = sources.engine.query(
        "select count(*) as n, count(*) filter (customer_id is null) as customer, "
        f"count(*) filter (touched_at is null) as time, count(*) filter (not ({channel_known})) as channel, "
        f"count(*) filter ({usable}) as kept, {cost} as cost, "
        f"min(touched_at) filter ({usable}) as first, max(touched_at) filter ({usable}) as last from touchpoints"
    ).to_pylist()[0]
    for column in ("customer", "time", "channel"):
        findings.append(
            count_finding(
                f"null_{column}",
                "touchpoints",
                found[column],
                f"touchpoints without {column}: dropped",
                total=found["n"],
            )
        )
    if sources.has("touchpoints", "cost"):
        findings.append(
            count_finding(
                "null_cost",
                "touchpoints",
                found["cost"],
                "touchpoints without cost: taken as 0",
                total=found["n"],
            )
        )
    if found["kept"]:
        spans.append((found["first"], found["last"]))
    return int(found["kept"])


def _number_conversions(sources: Sources, findings: list[Finding], spans: list[tuple[int, int]]) -> int:
    """Keep usable conversions as ``numbered_conversions``, numbered in an order that no engine decides."""
    has_value, has_id = sources.has("conversions", "value"), sources.has("conversions", "conversion_id")
    value = "coalesce(value, 0)" if has_value else "0::double"
    identity = "conversion_id" if has_id else "null::varchar"
    order = "customer_id, converted_at, conversion_id, value"
    keep = "where customer_id is not null and converted_at is not null"
    first_of_id = (
        "qualify conversion_id is null or row_number() over "
        "(partition by conversion_id order by converted_at, customer_id, value) = 1"
    )
    sources.engine.define(
        "numbered_conversions",
        f"select *, row_number() over (order by {order}) - 1 as row from (select customer_id, converted_at, "
        f"{value} as value, {identity} as conversion_id from conversions {keep} {first_of_id if has_id else ''})",
    )
    null_value = "count(*) filter (value is null)" if has_value else "0"
    found = sources.engine.query(
        "select count(*) as n, count(*) filter (customer_id is null) as customer, "
        f"count(*) filter (converted_at is null) as time, {null_value} as value, "
        "(count(*) filter (customer_id is not null and converted_at is not null)) as usable from conversions"
    ).to_pylist()[0]
    kept = sources.engine.query(
        "select count(*) as n, min(converted_at) as first, max(converted_at) as last from numbered_conversions"
    ).to_pylist()[0]
    for column in ("customer", "time"):
        findings.append(
            count_finding(
                f"null_{column}",
                "conversions",
                found[column],
                f"conversions without {column}: dropped",
                total=found["n"],
            )
        )
    if has_value:
        findings.append(
            count_finding(
                "null_value",
                "conversions",
                found["value"],
                "conversions without value: taken as 0",
                total=found["n"],
            )
        )
    if has_id:
        findings.append(
            count_finding(
                "duplicate_id",
                "conversions",
                found["usable"] - kept["n"],
                "conversions whose conversion_id came before: the earliest, then smallest row is kept",
                total=found["n"],
            )
        )
    if kept["n"]:
        spans.append((kept["first"], kept["last"]))
    return int(kept["n"])


def conversion_ids(sources: Sources) -> NDArray[np.object_]:
    """(conversions,) ids by row; made from customer, time and occurrence where there are none."""
    made = (
        "concat(customer_id, '@', converted_at, '#', "
        "row - min(row) over (partition by customer_id, converted_at) + 1)"
    )
    ids = sources.engine.query(
        f"select coalesce(conversion_id, {made}) as id from numbered_conversions order by row"
    )
    return np.asarray(ids["id"].to_numpy(), dtype=object)
