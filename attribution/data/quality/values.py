"""Values: currencies that are added up, and conversions that outweigh all others."""

from __future__ import annotations

from typing import Any

from attribution.data.engine import quote
from attribution.data.loading.load import Sources
from attribution.data.loading.quality import Finding
from attribution.data.loading.wording import listed, percent

_CURRENCY_WORDS = ("currency", "ccy", "devise", "moneda", "währung", "waehrung", "币种", "货币", "通貨")
_MONEY = {"conversions": "value", "costs": "amount", "touchpoints": "cost", "paths": "value"}

_FAR = 100.0
"""Times the 99th percentile: of a million log-normal values with σ = 1.5, the largest is about 40 times it."""

_OUTWEIGHS = 0.10
"""With so much of all value on one conversion, every ranking by value tells of that one."""

_LEAST_CONVERSIONS = 100
"""With fewer, one may well carry so much."""

_ZEROS = 0.2
"""With more conversions worth nothing than this, values and numbers of conversions tell different tales."""


def check_currencies(sources: Sources) -> list[Finding]:
    """Whether money of several currencies is added up, where a raw table says which it is."""
    return [
        _check_currency(sources, table, column)
        for table in sources.tables
        if table in _MONEY and sources.has(table, _MONEY[table])
        for column in _currency_column(sources, table)
    ]


def _currency_column(sources: Sources, table: str) -> list[str]:
    names = sources.engine.schema(f"raw_{table}").names
    return [name for name in names if any(word in name.casefold() for word in _CURRENCY_WORDS)][:1]


def _check_currency(sources: Sources, table: str, column: str) -> Finding:
    check, name = "currencies", f"upper(trim({quote(column)}::varchar))"
    found = sources.engine.query(
        f"select {name} as currency, count(*) as n from {quote(f'raw_{table}')} where {name} <> '' "
        "group by 1 order by n desc, currency",
        table=table,
    ).to_pylist()
    total = sum(row["n"] for row in found)
    if len(found) < 2:
        return Finding(check, table, "pass", 0, total, None, f"{column!r} names one currency")
    others = [row["currency"] for row in found[1:]]
    if table == "costs" and sources.has("costs", "currency"):
        return Finding(check, table, "pass", 0, total, None, f"{column!r} names currencies that returns.rates converts")
    message = f"{column!r} names {found[0]['currency']} and {listed(others)}, and amounts are added up as they are"
    return Finding(check, table, "warn", total - found[0]["n"], total, others[0], message)


def check_values(sources: Sources) -> list[Finding]:
    """Conversions that outweigh all others, and conversions worth nothing."""
    found = sources.engine.query(
        "select count(value) as n, coalesce(sum(value), 0) as total, coalesce(max(value), 0) as largest, "
        "coalesce(sum(case when value = 0 then 1 else 0 end), 0)::bigint as zeros, "
        "coalesce(percentile_cont(0.99) within group (order by value), 0) as high from conversions"
    ).to_pylist()[0]
    return [_check_outliers(sources, found), _check_zeros(found)]


def _check_outliers(sources: Sources, found: dict[str, Any]) -> Finding:
    check, table = "value_outliers", "conversions"
    n, largest, high = found["n"], found["largest"], found["high"]
    share = largest / found["total"] if found["total"] > 0 else 0.0
    is_far = 0 < high < largest / _FAR
    if not is_far and (n < _LEAST_CONVERSIONS or share <= _OUTWEIGHS):
        message = f"the largest value, {largest:,.2f}, is {percent(share)} of all value"
        return Finding(check, table, "pass", 0, n, None, message)
    test = f"value > {high * _FAR!r}" if is_far else f"value >= {largest!r}"
    rows = sources.engine.query(
        f"select count(*) as n, min(customer_id)::varchar as customer from conversions where {test}"
    ).to_pylist()[0]
    message = (
        f"values up to {largest:,.2f}, where 99 % are at most {high:,.2f}: the largest is {percent(share)} of all "
        f"value; one is that of customer {rows['customer']!r}"
    )
    return Finding(check, table, "warn", rows["n"], n, f"{largest:,.2f}", message)


def _check_zeros(found: dict[str, Any]) -> Finding:
    check, table, n, zeros = "zero_values", "conversions", found["n"], found["zeros"]
    share = zeros / max(n, 1)
    message = f"{percent(share)} of conversions are worth 0"
    if share <= _ZEROS:
        return Finding(check, table, "pass", 0, n, None, message)
    return Finding(check, table, "warn", zeros, n, None, f"{message}: they weigh nothing where channels rank by value")
