"""Canonical touchpoints and conversions as one stream of events, and what was dropped on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.data.engine import Events, quote, text
from attribution.data.loading.contract import check_channels
from attribution.data.loading.findings import Finding, count_finding
from attribution.data.loading.load import Sources
from attribution.data.loading.times import LARGEST_POSITION
from attribution.errors import InputError, did_you_mean

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

    def stride_and_radix(self, name: str) -> tuple[int, int]:
        """Stride and radix of ``name`` in a code: its digit is code ÷ stride mod radix."""
        index = self.names.index(name)
        return self._stride(index), self._radix(index)

    def digit(self, code: NDArray[np.int64], name: str) -> NDArray[np.int64]:
        """Position of each code's value of ``name``; for nullable dimensions 0 is null and 1 the first value."""
        index = self.names.index(name)
        if len(self.names) == 1:
            return code
        return (code // self._stride(index)) % self._radix(index)

    def decode(self, code: NDArray[np.int64], name: str) -> NDArray[np.object_]:
        """The value of ``name`` for each code; None where null."""
        if name not in self.names:
            return np.full(len(code), None, dtype=object)
        values = self.values[self.names.index(name)]
        labels = np.array(values if name == "channel" else (None, *values), dtype=object)
        return labels[self.digit(code, name)]

    def sql(self) -> str:
        """SQL for the code of a touchpoint, after `create_enums`."""
        terms = []
        for index, name in enumerate(self.names):
            digit = f"enum_code(try_cast({quote(name)} as {quote(_enum(name))}))::bigint"
            if name != "channel":
                digit = f"coalesce({digit} + 1, 0)"
            terms.append(f"{digit} * {self._stride(index)}")
        # A narrow integer makes the sort lighter.
        kind = "integer" if self.combinations < 1 << 31 else "bigint"
        return f"({' + '.join(terms)})::{kind}"

    @property
    def combinations(self) -> int:
        """How many codes there could be."""
        return self._stride(0) * self._radix(0) if self.names else 0

    def _radix(self, index: int) -> int:
        return max(1, len(self.values[index]) + (self.names[index] != "channel"))

    def _stride(self, index: int) -> int:
        stride = 1
        for later in range(index + 1, len(self.names)):
            stride *= self._radix(later)
        return stride

    def check_size(self) -> None:
        """Raise `InputError` if codes would not fit into 62 bits."""
        if self.combinations > _LARGEST_CODE:
            sizes = {name: len(values) for name, values in zip(self.names, self.values, strict=True)}
            raise InputError("the columns of touchpoints have too many combinations of values", given=sizes)


@dataclass(frozen=True)
class EventStream:
    """What the journey kernel reads, with what came of reading it.

    Attributes
    ----------
    events : the stream
    dimensions : how codes are read
    first, last : earliest and latest time of a usable event
    values : (conversions + 1,) value of each conversion, by row; 0 at the end, which is where row −1 points
    is_new : (conversions + 1,) whether it is the conversion of a new customer, by row; (0,) unless asked for
    touchpoints : (channels,) usable touchpoints of each channel
    findings : dropped and repaired rows
    """

    events: Events
    dimensions: Dimensions
    first: int
    last: int
    values: NDArray[np.float64]
    is_new: NDArray[np.bool_]
    touchpoints: NDArray[np.float64]
    findings: tuple[Finding, ...]


def open_events(sources: Sources, *, kinds: Sequence[str] | None = None, mark_new: bool = False) -> EventStream:
    """Prepare the event stream of ``sources``: drop and count unusable rows, number what is left.

    Parameters
    ----------
    sources : the input tables
    kinds : which kinds of conversions there are for this run; all unless given
    mark_new : whether to find out which conversions are those of new customers
    """
    findings: list[Finding] = []
    spans: list[tuple[int, int]] = []
    parts: list[str] = []
    rows = 0
    dimensions, touchpoints = Dimensions((), ()), np.zeros(0)
    has_cost = sources.has("touchpoints", "cost")
    if sources.has("touchpoints"):
        dimensions, touchpoints = _read_touchpoints(sources, findings, spans)
        usable = int(touchpoints.sum())
        rows += usable
        if usable:
            cost = ", coalesce(cost, 0) as cost" if has_cost else ""
            parts.append(
                "select * from ("
                f"select customer_id, touched_at as happened_at, {dimensions.sql()} as ref{cost} "
                "from touchpoints where customer_id is not null and touched_at is not null) where ref is not null"
            )
    usable = _number_conversions(sources, kinds, findings, spans)
    rows += usable
    if usable:
        number = "(-1 - row)::integer" if usable < 1 << 31 else "-1 - row"
        parts.append(
            f"select customer_id, converted_at as happened_at, {number} as ref{', 0 as cost' if has_cost else ''} "
            f"from {numbered_view(sources)}"
        )
    if not parts:
        raise InputError("no usable touchpoint is left", hint="every row lacks a customer, a time or a channel")
    first, last = min(first for first, _ in spans), max(last for _, last in spans)
    if max(-first, last) >= LARGEST_POSITION:
        raise InputError(
            "a time is too far from 1970 to be computed with",
            given=f"{first if -first > last else last} microseconds",
            allowed="times within 36,000 years of 1970",
            hint="set time_format, so that the times are read correctly",
        )
    return EventStream(
        Events(" union all ".join(parts), rows, has_cost),
        dimensions,
        first,
        last,
        _values(sources),
        is_new_customer(sources) if mark_new else np.zeros(0, bool),
        touchpoints,
        tuple(findings),
    )


def _enum(name: str) -> str:
    return f"{name}_enum"


def _read_touchpoints(
    sources: Sources, findings: list[Finding], spans: list[tuple[int, int]]
) -> tuple[Dimensions, NDArray[np.float64]]:
    """The dimensions, and (channels,) how many touchpoints can be used; those that cannot are counted."""
    has_cost = sources.has("touchpoints", "cost")
    # One scan, by channel: its distinct values and everything that is to be counted.
    by_channel = sources.engine.query(
        "select channel as v, count(*) as n, count(customer_id) as customer, count(touched_at) as time, "
        f"{'count(cost)' if has_cost else 'count(*)'} as cost, min(touched_at) as first, max(touched_at) as last "
        "from touchpoints group by channel",
        table="touchpoints",
    ).to_pylist()
    total = sum(row["n"] for row in by_channel)
    missing = {name: total - sum(row[name] for row in by_channel) for name in ("customer", "time", "cost")}
    missing["channel"] = sum(row["n"] for row in by_channel if row["v"] is None or not row["v"].strip(" "))
    for name in ("customer", "time", "channel"):
        message = f"touchpoints without {name} (left out): complete them if they had one"
        findings.append(count_finding(f"null_{name}", "touchpoints", missing[name], message, total=total))
    if has_cost:
        message = "touchpoints without cost (counted as 0): complete them if they had one"
        findings.append(count_finding("null_cost", "touchpoints", missing["cost"], message, total=total))
    usable = by_channel
    if missing["customer"] or missing["time"] or missing["channel"]:
        usable = sources.engine.query(
            "select channel as v, count(*) as n, min(touched_at) as first, max(touched_at) as last from touchpoints "
            "where customer_id is not null and touched_at is not null and trim(channel) <> '' group by channel"
        ).to_pylist()
    if usable:
        spans.append((min(row["first"] for row in usable), max(row["last"] for row in usable)))
    dimensions = _dimensions(sources, [row["v"] for row in by_channel])
    counts = {row["v"]: float(row["n"]) for row in usable}
    return dimensions, np.array([counts.get(channel, 0.0) for channel in dimensions.channels])


def _dimensions(sources: Sources, channels: list[str | None]) -> Dimensions:
    values = []
    for name in sources.dimensions:
        distinct = channels
        if name != "channel":
            distinct = sources.engine.query(f"select distinct {quote(name)} as v from touchpoints")["v"].to_pylist()
        values.append(order_values(name, (value for value in distinct if value is not None and value.strip(" "))))
    check_channels("touchpoints", values[sources.dimensions.index("channel")])
    dimensions = Dimensions(sources.dimensions, tuple(values))
    dimensions.check_size()
    for name, of_dimension in zip(dimensions.names, dimensions.values, strict=True):
        sources.engine.create_enum(_enum(name), of_dimension)
    return dimensions


def order_values(dimension: str, values: Iterable[str]) -> tuple[str, ...]:
    """Values of a dimension in the order that breaks ties: by code point, a click before an impression.

    Examples
    --------
    >>> order_values("kind", ["call", "impression", "click"]), order_values("channel", ["mail", "Mail"])
    (('click', 'impression', 'call'), ('Mail', 'mail'))
    """
    ordered = sorted(values)
    if dimension == "kind":
        ordered.sort(key=lambda kind: {"click": 0, "impression": 1}.get(kind, 2))
    return tuple(ordered)


def _number_conversions(
    sources: Sources, kinds: Sequence[str] | None, findings: list[Finding], spans: list[tuple[int, int]]
) -> int:
    """Keep usable conversions as `numbered_view` names it, numbered in an order that no engine decides."""
    has_value, has_id = sources.has("conversions", "value"), sources.has("conversions", "conversion_id")
    value = "coalesce(value, 0)" if has_value else "0::double"
    identity = "conversion_id" if has_id else "null::varchar"
    is_new = "is_new_customer" if sources.has("conversions", "is_new_customer") else "null::boolean"
    worth = "".join(f", {name}" for name in ("margin", "ltv") if sources.has("conversions", name))
    order = "customer_id, converted_at, conversion_id, value, is_new_customer"
    keep = "where customer_id is not null and converted_at is not null"
    if kinds is not None:
        keep += f" and {_of_kinds(sources, kinds, findings)}"
    first_of_id = (
        "qualify conversion_id is null or row_number() over "
        f"(partition by conversion_id order by converted_at, customer_id, value, {is_new}) = 1"
    )
    sources.engine.define(
        numbered_view(sources),
        f"select *, row_number() over (order by {order}) - 1 as row from ("
        f"select customer_id, converted_at, {value} as value, {identity} as conversion_id, "
        f"{is_new} as is_new_customer{worth} from {sources.conversions_view} {keep} {first_of_id if has_id else ''})",
    )
    of_kind = "true" if kinds is None else _kind_test(kinds)
    counted = {
        "customer": "customer_id is null",
        "time": "converted_at is null",
        "value": "value is null" if has_value else "false",
        "usable": f"customer_id is not null and converted_at is not null and {of_kind}",
    }
    counts = ", ".join(f"count(*) filter ({test}) as {name}" for name, test in counted.items())
    every = f"select count(*) as n, {counts} from {sources.conversions_view}"
    nulls = sources.engine.query(every, table="conversions").to_pylist()[0]
    usable = sources.engine.query(
        f"select count(*) as n, min(converted_at) as first, max(converted_at) as last from {numbered_view(sources)}"
    ).to_pylist()[0]
    checks = [
        (
            "null_customer",
            nulls["customer"],
            "conversions without a customer (left out): complete them if they had one",
        ),
        ("null_time", nulls["time"], "conversions without a time (left out): complete them if they had one"),
    ]
    if has_value:
        checks.append(
            ("null_value", nulls["value"], "conversions without a value (counted as 0): complete them if they had one")
        )
    if has_id:
        left_out = nulls["usable"] - usable["n"]
        repeated = _describe_repeated(sources, keep) if left_out and has_value else ""
        repeated = (
            f"conversions that repeat a conversion_id (only the earliest is used{repeated}): if they are different "
            "orders, give each an id of its own; if they are items of one order, set same_id = 'sum'; if they are "
            "copies, set same_id = 'earliest'"
        )
        checks.append(("duplicate_id", left_out, repeated))
    findings += [count_finding(check, "conversions", n, text, total=nulls["n"]) for check, n, text in checks]
    if usable["n"]:
        spans.append((usable["first"], usable["last"]))
    return int(usable["n"])


def _describe_repeated(sources: Sources, keep: str) -> str:
    """The money of conversions that are left out, and of how many ids the values differ."""
    (row,) = sources.engine.query(
        "select coalesce(sum(total - first), 0)::double as amount, "
        "count(*) filter (high <> low) as differing from (select sum(value) as total, "
        "max(case when place = 1 then coalesce(value, 0) end) as first, min(value) as low, max(value) as high from "
        "(select conversion_id, value, row_number() over (partition by conversion_id order by converted_at, "
        f"customer_id, value) as place from {sources.conversions_view} {keep} and conversion_id is not null) "
        "group by conversion_id having count(*) > 1)"
    ).to_pylist()
    differ = f"; the values of {pluralise(row['differing'], 'id')} differ" if row["differing"] else ""
    return f", {row['amount']:,.2f} in total is left out{differ}"


def _of_kinds(sources: Sources, kinds: Sequence[str], findings: list[Finding]) -> str:
    """SQL for conversions of these kinds; the others are counted."""
    if not sources.has("conversions", "kind"):
        raise InputError("conversion_kinds is set, but the conversions table has no column 'kind'", given=list(kinds))
    tally = f"select kind, count(*) as n from {sources.conversions_view} group by kind"
    counts = {row["kind"]: row["n"] for row in sources.engine.query(tally).to_pylist()}
    kinds_of_data = sorted(kind for kind in counts if kind is not None)
    for kind in kinds:
        if kind not in counts:
            raise InputError(
                f"no conversion is of kind {kind!r}", allowed=kinds_of_data, hint=did_you_mean(kind, kinds_of_data)
            )
    other_kinds = sum(n for kind, n in counts.items() if kind not in kinds)
    message = "conversions of kinds that conversion_kinds does not list (left out)"
    findings.append(Finding("other_kinds", "conversions", "pass", other_kinds, sum(counts.values()), None, message))
    return _kind_test(kinds)


def _kind_test(kinds: Sequence[str]) -> str:
    return f"coalesce(kind in ({', '.join(text(kind) for kind in kinds)}), false)"


def numbered_view(sources: Sources) -> str:
    """Name of the table of usable conversions, by row."""
    return f"numbered_{sources.conversions_view}"


def _values(sources: Sources) -> NDArray[np.float64]:
    values = sources.engine.query(f"select value from {numbered_view(sources)} order by row")["value"]
    return np.append(np.asarray(values.to_numpy(), dtype=np.float64), 0.0)


def is_new_customer(sources: Sources) -> NDArray[np.bool_]:
    """(conversions + 1,) whether it is a new customer's, by row: as the log says, or the customer's first."""
    first = "row = min(row) over (partition by customer_id)"
    is_new = sources.engine.query(
        f"select coalesce(is_new_customer, {first}) as is_new from {numbered_view(sources)} order by row"
    )["is_new"]
    return np.append(np.asarray(is_new.to_numpy(), dtype=bool), False)


def conversion_ids(sources: Sources) -> NDArray[np.object_]:
    """(conversions,) ids by row; made from customer, time and occurrence where there are none."""
    made = (
        "concat(customer_id, '@', converted_at, '#', row - min(row) over (partition by customer_id, converted_at) + 1)"
    )
    ids = sources.engine.query(
        f"select coalesce(conversion_id, {made}) as id from {numbered_view(sources)} order by row"
    )
    return np.asarray(ids["id"].to_numpy(), dtype=object)
