"""Conversions and paths net of what was paid back, and without what was called off."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.data.engine import Engine, quote
from attribution.data.loading.quality import Finding, count_finding
from attribution.errors import InputError


def net_conversions(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    """Take refunds off the value of ``conversions`` and leave cancelled ones out, before anything is credited.

    Parameters
    ----------
    engine : holds the canonical table
    columns : of the table

    Returns
    -------
    list of Finding
        How much was taken off; none where the table tells neither refunds nor cancellations.

    Raises
    ------
    InputError
        If more is refunded than was paid, or a margin is larger than the value it is part of.
    """
    if "refund" in columns:
        if "value" not in columns:
            raise InputError("table 'conversions' has refunds and no column 'value' to take them off")
        _refuse(engine, "refund > coalesce(value, 0)", "refund more than was paid", "refund", "up to the value")
    findings = []
    if {"refund", "is_cancelled"} & set(columns):
        findings = _netted(engine, columns)
    if "margin" in columns and "value" in columns:
        _refuse(engine, "margin > coalesce(value, 0)", "have a margin above their value", "margin", "up to the value")
    return findings


def net_paths(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    """Take refunds and cancelled conversions off ``paths``.

    A cancelled conversion is a journey that did not convert: it is added to ``nulls``, where the table has them.

    Parameters
    ----------
    engine : holds the canonical table
    columns : of the table

    Raises
    ------
    InputError
        If more is refunded than was paid, or more is cancelled than there was.
    """
    taken_off = {"refund": "value", "cancelled": "conversions"}
    asked = {column: of for column, of in taken_off.items() if column in columns}
    if not asked:
        return []
    problems = {"refund": "refund more than was paid", "cancelled": "cancel more conversions than there were"}
    for column, of in asked.items():
        if of not in columns:
            raise InputError(f"table 'paths' has a column {column!r} and no column {of!r} to take it off")
        _refuse(engine, f"{column} > coalesce({of}, 0)", problems[column], column, f"up to the {of}", table="paths")
    engine.define("gross_paths", "select * from paths")
    net = {of: f"{of} - coalesce({column}, 0) as {of}" for column, of in asked.items()}
    if "cancelled" in asked:
        net["nulls"] = "coalesce(nulls, 0) + coalesce(cancelled, 0) as nulls"
    select = ", ".join(net.get(name, quote(name)) for name in columns)
    engine.view("paths", f"select {select} from gross_paths")
    listed = ", ".join(f"coalesce(sum({column}), 0)::double as {column}" for column in asked)
    found = engine.query(f"select {listed}, sum(conversions)::double as n from gross_paths").to_pylist()[0]
    texts = {
        "refund": "refunded: credit is of what is left",
        "cancelled": "cancelled conversions: journeys that did not convert",
    }
    told = {"refund": ("refunded", None), "cancelled": ("cancelled", found["n"])}
    return [
        count_finding(told[column][0], "paths", found[column], texts[column], total=told[column][1]) for column in asked
    ]


def _netted(engine: Engine, columns: Sequence[str]) -> list[Finding]:
    cancelled = "coalesce(is_cancelled, false)" if "is_cancelled" in columns else "false"
    refund = "coalesce(refund, 0)" if "refund" in columns else "0"
    engine.define("gross_conversions", f"select *, {cancelled} as is_off, {refund} as paid_back from conversions")
    net = {"value": "value - paid_back as value"}
    select = ", ".join(net.get(name, quote(name)) for name in columns)
    engine.view("conversions", f"select {select} from gross_conversions where not is_off")
    found = engine.query(
        "select count(*) as n, count(*) filter (is_off) as cancelled, "
        "count(*) filter (paid_back > 0 and not is_off) as refunded, "
        "coalesce(sum(case when is_off then 0 else paid_back end), 0)::double as amount from gross_conversions"
    ).to_pylist()[0]
    texts = {
        "cancelled": "cancelled conversions: as if they had not been",
        "refunded": f"conversions with a refund, {found['amount']:,.2f} in all: credit is of what is left",
    }
    asked = {"cancelled": "is_cancelled", "refunded": "refund"}
    return [
        count_finding(check, "conversions", found[check], message, total=found["n"])
        for check, message in texts.items()
        if asked[check] in columns
    ]


def _refuse(engine: Engine, test: str, problem: str, column: str, allowed: str, *, table: str = "conversions") -> None:
    shown = f"min({column})::varchar as example"
    found = engine.query(f"select count(*) as n, {shown} from {table} where {test}").to_pylist()[0]
    if found["n"]:
        where = f"table {table!r}, column {column!r}"
        raise InputError(f"{where}: {found['n']} rows {problem}", given=found["example"], allowed=allowed)
