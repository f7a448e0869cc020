"""Rows of conversions that are parts of one: items of an order, and rows that pay back what an earlier one brought."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attribution.amounts import pluralise
from attribution.data.engine import Engine, quote
from attribution.data.loading.findings import Finding, count_finding
from attribution.errors import InputError

_ADDED_UP = ("value", "refund", "margin")


def keep_earliest(engine: Engine, columns: Sequence[str]) -> Finding:
    """Of rows with one ``conversion_id`` (and kind) keep the earliest.

    Parameters
    ----------
    engine : holds the canonical ``conversions``
    columns : of the table, ``conversion_id`` among them
    """
    order = ", ".join(name for name in ("converted_at", "customer_id", "value") if name in columns)
    kind = ", kind" if "kind" in columns else ""
    listed = ", ".join(map(quote, columns))
    engine.define("repeated_conversions", "select * from conversions")
    engine.define(
        "earliest_conversions",
        f"select {listed} from (select *, row_number() over (partition by conversion_id{kind} order by {order}) as "
        "place from repeated_conversions) where conversion_id is null or place = 1",
    )
    engine.view("conversions", "select * from earliest_conversions")
    (row,) = engine.query(
        "select (select count(*) from repeated_conversions) as n, (select count(*) from conversions) as kept"
    ).to_pylist()
    message = "conversions that repeat a conversion_id (left out, as same_id = 'earliest' says)"
    return Finding("repeated_id", "conversions", "pass", row["n"] - row["kept"], row["n"], None, message)


def sum_items(engine: Engine, columns: Sequence[str]) -> Finding:
    """Make the rows of one ``conversion_id`` one conversion: their money adds up, all else is that of the earliest.

    An item that was called off brings nothing, and an order of which every item was is called off itself.

    Parameters
    ----------
    engine : holds the canonical ``conversions``
    columns : of the table, ``conversion_id`` among them

    Raises
    ------
    InputError
        If rows also tell when they were changed: whether a later row is another item or the same is then not known.
    """
    if "updated_at" in columns:
        raise InputError(
            "table 'conversions': same_id = 'sum' cannot tell a changed item from another one",
            given="updated_at",
            hint="leave updated_at out of columns, or add up the items in a query",
        )
    engine.define("items", "select * from conversions")
    is_kept = "not coalesce(is_cancelled, false)" if "is_cancelled" in columns else "true"
    made = {name: f"sum(case when {is_kept} then {name} end)" for name in _ADDED_UP}
    made |= {"ltv": "max(ltv)", "is_cancelled": "bool_and(coalesce(is_cancelled, false))"}
    made |= {"is_new_customer": "bool_or(is_new_customer)", "conversion_id": "conversion_id"}
    whole = ", ".join(f"{made.get(name) or _first(name)} as {quote(name)}" for name in columns)
    listed = ", ".join(map(quote, columns))
    value = "value" if "value" in columns else "customer_id"
    engine.define(
        "orders_of_items",
        f"select {listed} from items where conversion_id is null union all select {listed} from (select {whole} from "
        f"(select *, row_number() over (partition by conversion_id order by converted_at, customer_id, {value}) as "
        "place from items where conversion_id is not null) group by conversion_id)",
    )
    engine.view("conversions", "select * from orders_of_items")
    (row,) = engine.query(
        "select count(*) as n, count(distinct conversion_id) as ids, (select count(*) from (select conversion_id from "
        "items where conversion_id is not null group by conversion_id having count(distinct customer_id) > 1)) as "
        "mixed from items where conversion_id is not null"
    ).to_pylist()
    if row["mixed"]:
        message = "orders whose items have several customers (read as the earliest item's): give each one customer"
        return count_finding("items_of_several", "conversions", row["mixed"], message, total=row["ids"])
    message = f"rows that are items of an order with others (added up to {pluralise(row['ids'], 'order')})"
    return Finding("added_up_items", "conversions", "pass", row["n"] - row["ids"], row["n"], None, message)


def _first(name: str) -> str:
    return f"max(case when place = 1 then {quote(name)} end)"


def net_refund_rows(engine: Engine, columns: Sequence[str]) -> tuple[tuple[str, ...], Finding]:
    """Take conversions with a negative value off what they pay back, as its ``refund``.

    That is the conversion with the same id; else the customer's latest one before it that brought as much.

    Parameters
    ----------
    engine : holds the canonical ``conversions``
    columns : of the table

    Returns
    -------
    columns, finding
        The columns that conversions have then, and the rows that pay back nothing that is known.

    Raises
    ------
    InputError
        If there are no values.
    """
    if "value" not in columns:
        raise InputError("table 'conversions': negative needs a column 'value'", given=list(columns))
    has_id = "conversion_id" in columns
    listed = ", ".join(f"c.{quote(name)}" for name in columns if name not in ("refund", "margin"))
    order = "customer_id, converted_at, " + ("conversion_id, value" if has_id else "value")
    engine.define("signed_conversions", f"select *, row_number() over (order by {order}) as place from conversions")
    engine.define("refund_rows", "select * from signed_conversions where value < 0")
    engine.define("paid_rows", "select * from signed_conversions where value >= 0 or value is null")
    matches = [
        "select r.place, max(p.place) as target, 2 as rank from refund_rows r join paid_rows p on "
        "p.customer_id = r.customer_id and p.converted_at <= r.converted_at and p.value >= -r.value group by r.place"
    ]
    if has_id:
        matches.append(
            "select r.place, min(p.place) as target, 1 as rank from refund_rows r join paid_rows p on "
            "p.conversion_id = r.conversion_id group by r.place"
        )
    engine.define(
        "refund_targets",
        "select place, target from (select *, row_number() over (partition by place order by rank) as choice from "
        f"({' union all '.join(matches)})) where choice = 1",
    )
    margin = ", sum(r.margin) as margin" if "margin" in columns else ""
    engine.define(
        "refunds",
        f"select t.target, sum(-r.value) as refund{margin} from refund_rows r join refund_targets t "
        "on t.place = r.place group by t.target",
    )
    own = "coalesce(c.refund, 0) + " if "refund" in columns else ""
    listed += f", {own}coalesce(r.refund, 0) as refund"
    listed += ", c.margin + coalesce(r.margin, 0) as margin" if "margin" in columns else ""
    engine.define("netted_conversions", f"select {listed} from paid_rows c left join refunds r on r.target = c.place")
    engine.view("conversions", "select * from netted_conversions")
    (row,) = engine.query(
        "select count(*) as n, count(*) filter (t.target is null) as lost, "
        "coalesce(sum(case when t.target is null then -r.value end), 0)::double as amount, "
        "min(case when t.target is null then r.customer_id end)::varchar as example "
        "from refund_rows r left join refund_targets t on t.place = r.place"
    ).to_pylist()
    new = (*(name for name in columns if name not in ("refund", "margin")), "refund", *_has_margin(columns))
    return new, _refund_finding(row["n"], row["lost"], row["amount"], row["example"])


def _has_margin(columns: Collection[str]) -> tuple[str, ...]:
    return ("margin",) if "margin" in columns else ()


def _refund_finding(rows: int, lost: int, amount: float, example: str | None) -> Finding:
    message = f"{pluralise(rows, 'row')} with a negative value, each taken off a conversion before it"
    if lost:
        message = (
            f"refunds of conversions that are not here, {amount:,.2f} in total (left out): give them the conversion_id "
            "of what they pay back, or let conversions begin earlier"
        )
    return count_finding("refund_rows", "conversions", lost, message, total=rows, example=example)
