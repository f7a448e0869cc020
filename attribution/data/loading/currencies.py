"""Currencies: which one money is in; two are converted where rates are given, or refused, never added up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from attribution.amounts import pluralise
from attribution.data.engine import Engine, quote, text
from attribution.data.loading.findings import Finding
from attribution.errors import InputError, did_you_mean

MONEY = {
    "conversions": "value",
    "costs": "amount",
    "touchpoints": "cost",
    "paths": "value",
    "stages": "amount",
    "lifetimes": "ltv",
}
"""Tables with money, and the column that it is in first of all."""

_WORDS = ("currency", "ccy", "devise", "moneda", "währung", "waehrung", "币种", "货币", "通貨")
_VALUES = ("value", "refund", "margin", "ltv")
_ALWAYS = -(1 << 62)


@dataclass(frozen=True)
class Currencies:
    """The currencies that a table tells.

    Attributes
    ----------
    column : of the raw table or, with ``is_read``, of the canonical one; None where signs beside amounts tell
    rows : by currency, the most frequent first
    is_read : whether it is a column of the canonical table, so that its money can be converted
    """

    column: str | None
    rows: Mapping[str, int]
    is_read: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.rows)


def find_currencies(
    engine: Engine, columns: Mapping[str, Collection[str]], signs: Mapping[str, str]
) -> dict[str, Currencies]:
    """What each table with money says about its currency; tables that say nothing are absent.

    Parameters
    ----------
    engine : holds the canonical tables, and the raw ones as ``raw_NAME``
    columns : of the canonical tables
    signs : table → the currency whose sign stands beside its amounts
    """
    result = {}
    for table, money in MONEY.items():
        if money not in columns.get(table, ()):
            continue
        if "currency" in columns[table] and table in ("conversions", "costs"):
            result[table] = Currencies("currency", _count(engine, table, "currency"), is_read=True)
        elif (column := _raw_column(engine, table)) is not None:
            result[table] = Currencies(column, _count(engine, f"raw_{table}", column))
        elif table in signs:
            result[table] = Currencies(None, {signs[table]: 1})
    return result


def _raw_column(engine: Engine, table: str) -> str | None:
    fields = [field for field in engine.schema(f"raw_{table}") if not pa.types.is_primitive(field.type)]
    return next((field.name for field in fields if any(word in field.name.casefold() for word in _WORDS)), None)


def _count(engine: Engine, view: str, column: str) -> dict[str, int]:
    name = f"upper(trim({quote(column)}::varchar))"
    # A number in such a column is a rate.
    rows = engine.query(
        f"select {name} as currency, count(*) as n from {quote(view)} where {name} <> '' "
        f"and try_cast({name} as double) is null group by 1 order by n desc, currency",
        table=view.removeprefix("raw_"),
    ).to_pylist()
    return {row["currency"]: row["n"] for row in rows}


def base_currency(currencies: Mapping[str, Currencies], currency: str | None) -> str | None:
    """The currency of values: what is asked for, else the only one that conversions or paths tell.

    Raises
    ------
    InputError
        If conversions are in several currencies and none is asked for.
    """
    if currency is not None:
        return currency.strip().upper()
    for table in ("conversions", "paths"):
        names = currencies[table].names if table in currencies else ()
        if len(names) > 1:
            raise _several(table, currencies[table])
        if names:
            return names[0]
    return None


def check_currencies(currencies: Mapping[str, Currencies], base: str | None) -> None:
    """Refuse money that cannot be converted and is not in the currency of values.

    Raises
    ------
    InputError
        Naming table, column and currencies.
    """
    for table, own in currencies.items():
        if own.is_read:
            continue
        if len(own.names) > 1:
            raise _several(table, own)
        if base is not None and own.names and own.names[0] != base:
            raise InputError(
                f"table {table!r}: its money is in {own.names[0]}, and that of values in {base}",
                given=None if own.column is None else f"column {own.column!r}",
                hint=_remedy(table, own.column),
            )


def _several(table: str, currencies: Currencies) -> InputError:
    return InputError(
        f"table {table!r}: amounts are in several currencies",
        given=", ".join(currencies.names[:5]),
        hint='set returns.currency, such as "EUR", and returns.rates, such as { USD = 0.92 }'
        if currencies.is_read
        else _remedy(table, currencies.column),
    )


def _remedy(table: str, column: str | None) -> str:
    if table not in ("conversions", "costs"):
        return "convert the amounts to one currency in a query"
    if column is None:
        return "give the currency in a column currency, and set returns.currency and returns.rates"
    return (
        f"map it: columns = {{ currency = {column!r} }}, and set returns.currency and returns.rates; if the amounts "
        "are converted already, say so: currency = \"'EUR'\""
    )


def convert_values(
    engine: Engine,
    columns: Collection[str],
    base: str,
    rates: Mapping[str, float],
    *,
    dated: Collection[str] = (),
    has_times: bool = True,
) -> list[Finding]:
    """Convert what is money in ``conversions`` to the currency ``base``, at the rate of the day of each.

    Parameters
    ----------
    engine : holds ``conversions`` with a column ``currency`` and, with columns ``dated``, the table ``rates``
    columns : of conversions
    base : the currency of values
    rates : what one unit of a currency is worth, on every day
    dated : columns of the table ``rates``; none where there is no such table
    has_times : whether conversions have times, not positions

    Raises
    ------
    InputError
        If a rate is not known, or told twice.
    """
    present = _count(engine, "conversions", "currency")
    foreign = {name: n for name, n in present.items() if name != base}
    if not foreign:
        return []
    _define_rates(engine, base, rates, dated)
    first_rates = engine.query(
        "select name, min(since) as since, count(*) as n from exchange_rates group by name"
    ).to_pylist()
    for name in foreign:
        rate = next((row for row in first_rates if row["name"] == name), None)
        if rate is None:
            names = sorted(row["name"] for row in first_rates)
            raise InputError(
                f"table 'conversions': no rate is known for currency {name!r}",
                allowed=names,
                hint=did_you_mean(name, names) or f"set returns.rates = {{ {name} = … }}, or add the table rates",
            )
        if not has_times and (rate["n"] > 1 or rate["since"] != _ALWAYS):
            raise InputError(
                f"table 'conversions': the rate of {name} changes from day to day, but times are only an order",
                hint="set one rate for all days in returns.rates",
            )
    _join_rates(engine, columns, base)
    total, converted = sum(present.values()), sum(foreign.values())
    message = f"conversions in {', '.join(sorted(foreign))} (converted to {base}, at the rate of their day)"
    return [Finding("converted_currencies", "conversions", "pass", converted, total, None, message)]


def _define_rates(engine: Engine, base: str, rates: Mapping[str, float], dated: Collection[str]) -> None:
    """Table ``exchange_rates``: each holds from ``since`` until ``until``, in µs since 1970."""
    constant = {**{name.strip().upper(): float(rate) for name, rate in rates.items()}, base: 1.0}
    always = f"{_ALWAYS}::bigint as since"
    selects = [f"select {text(name)} as name, {rate!r}::double as rate, {always}" for name, rate in constant.items()]
    if dated:
        since = f"coalesce(epoch_us(day::timestamp), {_ALWAYS}) as since" if "day" in dated else always
        name = "upper(trim(currency))"
        selects.append(f"select {name} as name, rate, {since} from rates where {name} <> {text(base)}")
        twice = engine.query("select distinct upper(trim(currency)) as name from rates")["name"].to_pylist()
        both = sorted({name.strip().upper() for name in rates} & set(twice))
        if both:
            raise InputError(f"the rate of {both[0]} is in both returns.rates and the table 'rates'")
    engine.define("rates_since", " union all ".join(selects))
    engine.define(
        "exchange_rates",
        "select a.name, a.rate, a.since, min(b.since) as until from rates_since a left join rates_since b "
        "on b.name = a.name and b.since > a.since group by a.name, a.rate, a.since",
    )


def _join_rates(engine: Engine, columns: Collection[str], base: str) -> None:
    name = f"coalesce(nullif(upper(trim(currency)), ''), {text(base)})"
    engine.define("foreign_conversions", f"select *, {name} as currency_name from conversions")
    joined = (
        "foreign_conversions c left join exchange_rates r on r.name = c.currency_name and c.converted_at >= r.since "
        "and (r.until is null or c.converted_at < r.until)"
    )
    early = engine.query(
        f"select count(*) as n, min(c.currency_name) as currency, min(c.converted_at) as first from {joined} "
        "where r.rate is null and c.converted_at is not null"
    ).to_pylist()[0]
    if early["n"]:
        raise InputError(
            f"table 'conversions': the rate of {early['currency']} is not known on the days of "
            f"{pluralise(early['n'], 'conversion')}",
            hint="add earlier rates to the table rates",
        )
    converted = {name: f"c.{name} * coalesce(r.rate, 1) as {name}" for name in _VALUES}
    converted["currency"] = f"{text(base)} as currency"
    listed = ", ".join(converted.get(name, f"c.{quote(name)}") for name in columns)
    engine.define("converted_conversions", f"select {listed} from {joined}")
    engine.view("conversions", "select * from converted_conversions")
