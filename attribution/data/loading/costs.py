"""The costs table and rates of exchange against themselves: days, bounds of what is not known exactly, spreading."""

from __future__ import annotations

from collections.abc import Collection

from attribution.data.engine import Engine, quote
from attribution.data.loading.contract import check_channels
from attribution.errors import InputError

_BOUNDS = ("cost_low", "cost_high")


def optional_cost_columns(columns: Collection[str]) -> set[str]:
    """Columns of a costs table that may hold nulls, given those that it has."""
    # Beside a cost type, a row without a channel is a cost that channels share.
    shared = {"channel"} if "cost_type" in columns else set()
    return shared | ({"amount"} if set(_BOUNDS) <= set(columns) else set())


def check_costs(engine: Engine, columns: Collection[str]) -> None:
    """Refuse a costs table that contradicts itself, and fill in the middle where only bounds are known.

    Parameters
    ----------
    engine : holds the table ``costs``, and afterwards the filled one and ``media_costs``
    columns : of the table

    Raises
    ------
    InputError
        If a cost has days that cannot be, bounds that cannot be, or nothing to be spread from.
    """
    _check_days(engine, columns)
    if set(_BOUNDS) & set(columns):
        _fill_bounds(engine, columns)
    check_channels("costs", engine.query("select distinct channel from costs")["channel"].to_pylist())
    is_media = " where channel is not null and coalesce(lower(trim(cost_type)), 'media') = 'media'"
    engine.view("media_costs", f"select * from costs{is_media if 'cost_type' in columns else ''}")


def check_rates(engine: Engine, columns: Collection[str]) -> None:
    """Refuse a table ``rates`` that says two things of one currency and day, or nothing."""
    _refuse(engine, "rates", "rate <= 0", "have a rate of 0", "concat(currency, ' ', rate)")
    day = "day" if "day" in columns else "null"
    keys = f"select upper(trim(currency)) as name, {day} as day from rates"
    engine.view("rates_of_day", f"select name, day from ({keys}) t group by name, day having count(*) > 1")
    _refuse(engine, "rates_of_day", "true", "pairs of currency and day have several rates", "concat(name, ' ', day)")


def _check_days(engine: Engine, columns: Collection[str]) -> None:
    period = set(columns) & {"period_start", "period_end"}
    if len(period) == 1 or (period and "day" in columns):
        raise InputError(
            "table 'costs': a cost lies on a day, in a period, or is a lump sum",
            given=sorted(set(columns) & {"day", "period_start", "period_end"}),
            allowed="day, or period_start and period_end, or none of them",
        )
    if period:
        # Ratios to a period need both ends; a lump sum has neither.
        shown = "concat(period_start, ' … ', period_end)"
        for test, problem in (
            ("(period_start is null) <> (period_end is null)", "only one of period_start and period_end is given"),
            ("period_end < period_start", "period_end lies before period_start"),
        ):
            _refuse(engine, "costs", test, problem, shown, in_rows=True)
    if "amortise_days" in columns:
        begins = "day" if "day" in columns else "period_start" if period else "null"
        for test, problem in (
            ("amortise_days < 1 or amortise_days <> floor(amortise_days)", "amortise_days is no whole number ≥ 1"),
            (f"amortise_days is not null and {begins} is null", "amortise_days is given and no day to begin on"),
        ):
            _refuse(engine, "costs", test, problem, "amortise_days::varchar", in_rows=True)


def _fill_bounds(engine: Engine, columns: Collection[str]) -> None:
    if not set(_BOUNDS) <= set(columns):
        lacking = (set(_BOUNDS) - set(columns)).pop()
        raise InputError(f"table 'costs': bounds of a cost need both cost_low and cost_high, and {lacking} is missing")
    shown = "concat(cost_low, ' … ', cost_high)"
    for test, problem in (
        ("(cost_low is null) <> (cost_high is null)", "only one of cost_low and cost_high is given"),
        ("amount is null and cost_low is null", "neither the amount nor bounds of it are given"),
        ("cost_low > cost_high", "cost_low is above cost_high"),
        ("amount < cost_low or amount > cost_high", "the amount lies outside of its bounds"),
    ):
        _refuse(engine, "costs", test, problem, shown, in_rows=True)
    engine.define("written_costs", "select * from costs")
    filled = {
        "amount": "coalesce(amount, (cost_low + cost_high) / 2) as amount",
        **{name: f"coalesce({name}, amount) as {name}" for name in _BOUNDS},
    }
    select = ", ".join(filled.get(name, quote(name)) for name in columns)
    engine.view("costs", f"select {select} from written_costs")


def _refuse(engine: Engine, table: str, test: str, problem: str, shown: str, *, in_rows: bool = False) -> None:
    found = engine.query(f"select count(*) as n, min({shown}) as example from {table} where {test}").to_pylist()[0]
    if found["n"]:
        said = f"in {found['n']} rows {problem}" if in_rows else f"{found['n']} rows {problem}"
        raise InputError(f"table {table.partition('_')[0]!r}: {said}", given=found["example"])
