"""The costs table as a ledger: amounts by channel and cost type, in one currency, pro-rated to the period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.data.loading import Sources
from attribution.errors import InputError, did_you_mean
from attribution.journeys import DAY
from attribution.kernels.statistics.sums import exact_sums, to_float
from attribution.schema.experiment import Period, ReturnsOptions

Floats = NDArray[np.float64]

# ---------------------------------------------------------------- days of a cost

Bounds = tuple[int | None, int | None]


@dataclass(frozen=True)
class Days:
    """First and last day (rows,) of each cost, inclusive; not a day for lump sums without one.

    ``are_known``: whether the table tells days at all; ``is_spread`` (rows,): whether they are the days on which the
    cost serves, not those on which it was paid.
    """

    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]
    are_known: bool
    is_spread: NDArray[np.bool_]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Days:
        """The days of a costs table."""
        for start, end in (("day", "day"), ("period_start", "period_end")):
            if start in table:
                first, last = (pd.to_datetime(table[name]).to_numpy().astype("datetime64[D]") for name in (start, end))
                return cls(first, last, are_known=True, is_spread=np.zeros(len(table), bool))
        never = np.full(len(table), np.datetime64("NaT", "D"))
        return cls(never, never, are_known=False, is_spread=np.zeros(len(table), bool))

    def amortise(self, table: pd.DataFrame, options: ReturnsOptions) -> Days:
        """Costs that serve for some days from their first one on, by the table or else by their type.

        Raises
        ------
        InputError
            If such a cost has no day, or no cost is of a type that is to be spread.
        """
        by_type = {name.strip().casefold(): days for name, days in options.amortise_days.items()}
        unknown = sorted(set(by_type) - set(table["cost_type"]))
        if unknown:
            allowed = sorted(set(table["cost_type"]))
            raise InputError(
                f"returns.amortise_days: no cost is of type {unknown[0]!r}",
                allowed=allowed,
                hint=did_you_mean(unknown[0], allowed),
            )
        serves = table["cost_type"].map(by_type).astype(float)
        if "amortise_days" in table:
            serves = table["amortise_days"].astype(float).fillna(serves)
        spread = serves.notna().to_numpy()
        undated = spread & np.isnat(self.first)
        if undated.any():
            kinds = sorted(set(table.loc[undated, "cost_type"]))
            raise InputError(
                f"table 'costs': amortise_days without a day to start from, in {pluralise(int(undated.sum()), 'row')}",
                given=kinds[:5],
                hint="add a day, or period_start and period_end",
            )
        last = self.last.copy()
        last[spread] = self.first[spread] + (serves[spread].to_numpy().astype(np.int64) - 1)
        return replace(self, last=last, is_spread=spread)

    @property
    def instants(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin of the first day and end of the last (rows,), µs since 1970; meaningless without days."""
        first, last = (days.astype("datetime64[us]").astype(np.int64) for days in (self.first, self.last))
        return first, last + DAY

    def inside(self, bounds: Bounds) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begin and end (rows,) of the part of each cost that lies in the period; the end may lie before the begin."""
        low, high = self.instants
        first = low if bounds[0] is None else np.maximum(low, bounds[0])
        last = high if bounds[1] is None else np.minimum(high, bounds[1] + 1)
        return first, last

    def share_inside(self, bounds: Bounds) -> NDArray[np.float64]:
        """Share (rows,) of each cost's days that lies in the period; 1 for lump sums without days."""
        has_days = ~np.isnat(self.first)
        low, high = (at[has_days] for at in self.instants)
        first, last = (at[has_days] for at in self.inside(bounds))
        share = np.ones(len(has_days))
        share[has_days] = np.maximum(last - first, 0) / (high - low)
        return share


# ---------------------------------------------------------------- costs in other currencies

_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class RateHistory:
    """Rate of one currency: ``rate`` (steps,) holds from ``since`` (steps,), µs since 1970, until the next."""

    since: NDArray[np.int64]
    rate: Floats

    @property
    def is_constant(self) -> bool:
        """Whether one rate holds always."""
        return len(self.since) == 1 and bool(self.since[0] == _ALWAYS)

    def means(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
        """(rows,) mean rate between two instants each, weighted by time; NaN where it begins before the first rate."""
        begin = np.searchsorted(self.since, first, side="right") - 1
        end = np.searchsorted(self.since, np.maximum(last - 1, first), side="right") - 1
        # Days since the first dated rate: exact integers of µs would lose digits as floats.
        origin = self.since[self.since > _ALWAYS].min(initial=np.int64(2**62))
        edges = np.where(self.since == _ALWAYS, 0, self.since - origin) / DAY
        area = np.append(0.0, np.cumsum(self.rate[:-1] * np.diff(edges)))
        at = [(instant - origin) / DAY for instant in (first, np.maximum(last, first))]
        below = [area[step] + self.rate[step] * (x - edges[step]) for step, x in zip((begin, end), at, strict=True)]
        length = np.where(at[1] > at[0], at[1] - at[0], 1.0)
        mean = np.where(begin == end, self.rate[begin], (below[1] - below[0]) / length)
        return np.where(begin < 0, np.nan, mean)


def read_rates(sources: Sources, options: ReturnsOptions) -> dict[str, RateHistory]:
    """The rate of every currency that the options or the table ``rates`` tell, by its name in capitals.

    Raises
    ------
    InputError
        If both tell one currency, or the table's rates are in a currency that is not said.
    """
    histories = {
        name.strip().upper(): RateHistory(np.array([_ALWAYS]), np.array([float(rate)]))
        for name, rate in options.rates.items()
    }
    currency = options.currency or sources.currency
    if sources.has("rates"):
        if currency is None:
            raise InputError(
                "table 'rates' has rates, but returns.currency is not set",
                hint='set returns.currency to the currency of values, such as "EUR"',
            )
        for name, history in _dated_histories(sources).items():
            if name in histories:
                raise InputError(f"the rate of {name} is in both returns.rates and the table 'rates'")
            histories[name] = history
    if currency is not None:
        histories[currency.strip().upper()] = RateHistory(np.array([_ALWAYS]), np.array([1.0]))
    return histories


def currency_rates(
    currency: pd.Series, paid: Days, serves: Days, histories: Mapping[str, RateHistory], bounds: Bounds
) -> Floats:
    """(rows,) what one unit of each row's currency is worth.

    A cost is converted on the days on which it was paid: one that is spread over other days on all of them, and
    another, which is paid as it serves, on those inside the analysis. A cost that does not serve then is worth 0.

    Parameters
    ----------
    currency : of each row; null means that of the values
    paid, serves : days on which it was paid, and on which it serves
    histories : as `read_rates` gives them
    bounds : of the analysis period

    Raises
    ------
    InputError
        If the rate of a currency is not known, or not on some day.
    """
    names = words(currency).str.upper()
    present = sorted(names.dropna().unique())
    if not histories:
        if len(present) < 2:
            # One currency, which must be that of the values: nothing else is known.
            return np.ones(len(names))
        raise InputError(
            "table 'costs': amounts are in several currencies",
            given=present[:5],
            hint='set returns.currency, such as "EUR", and returns.rates, such as { USD = 0.92 }',
        )
    unknown = [name for name in present if name not in histories]
    if unknown:
        raise InputError(
            f"table 'costs': no rate is known for currency {unknown[0]!r}",
            allowed=sorted(histories),
            hint=did_you_mean(unknown[0], histories)
            or f"set returns.rates = {{ {unknown[0]} = … }}, or add the table rates",
        )
    rates = np.ones(len(names))
    for name in present:
        of = (names == name).to_numpy(bool, na_value=False)
        history = histories[name]
        rates[of] = history.rate[0] if history.is_constant else _on_days(name, history, paid, serves, of, bounds)
    return rates


def words(column: pd.Series) -> pd.Series:
    """Texts without blanks around them, null where nothing is left."""
    texts = column.astype("string").str.strip()
    return texts.mask(texts == "")


def _dated_histories(sources: Sources) -> dict[str, RateHistory]:
    columns = "currency, rate, " + ("day" if sources.has("rates", "day") else "null::date as day")
    table = sources.engine.query(f"select {columns} from rates").to_pandas()
    day = pd.to_datetime(table["day"]).to_numpy().astype("datetime64[us]")
    table["since"] = np.where(np.isnat(day), _ALWAYS, day.astype(np.int64))
    table = table.assign(name=words(table["currency"]).str.upper()).sort_values(["name", "since"])
    return {
        str(name): RateHistory(part["since"].to_numpy(np.int64), part["rate"].to_numpy(np.float64))
        for name, part in table.groupby("name")
    }


def _on_days(
    name: str, history: RateHistory, paid: Days, serves: Days, of: NDArray[np.bool_], bounds: Bounds
) -> Floats:
    dated = ~np.isnat(paid.first[of])
    if not dated.all():
        raise InputError(
            f"table 'costs': {pluralise(int((~dated).sum()), 'cost')} in {name} without a day, but its rate "
            "changes from day to day",
            hint="add a day, or set one rate for all days in returns.rates",
        )
    begin, end = (at[of] for at in serves.inside(bounds))
    outside = end <= begin
    pairs = zip(paid.instants, paid.inside(bounds), strict=True)
    first, last = (np.where(serves.is_spread, whole, inside)[of] for whole, inside in pairs)
    # Outside of the period there is nothing to convert.
    rates = np.where(outside, 0.0, history.means(first, last))
    if np.isnan(rates).any():
        earliest = first[np.isnan(rates)].min()
        raise InputError(
            f"table 'costs': the rate of {name} is not known on the first days of "
            f"{pluralise(int(np.isnan(rates).sum()), 'cost')}",
            given=str(np.datetime64(int(earliest), "us").astype("datetime64[D]")),
            allowed=f"days from {np.datetime64(int(history.since[0]), 'us').astype('datetime64[D]')} on",
        )
    return rates


# ---------------------------------------------------------------- ledger

MEDIA = "media"
"""The cost type of a cost that names none."""

FEES = "fees"
"""The cost type of a share of media spend."""

COST_TYPES = (MEDIA, FEES, "labour", "content", "tools", "venue", "materials", "travel")
"""The usual ones; any other word is a cost type of one's own."""

ALL_TYPES = "(all)"
"""What stands for all types together, and is therefore none of them."""

AMOUNTS = ("amount", "cost_low", "cost_high")
"""What is known of a cost, and the least and the most that it may have been."""


def read_ledger(sources: Sources, period: Period, options: ReturnsOptions) -> pd.DataFrame:
    """``channel`` (null where shared), ``cost_type`` and `AMOUNTS` (the bounds where known), one row for each pair.

    Raises
    ------
    InputError
        If a currency is unknown, a cost lies in the future, periods of one type of cost overlap, or a cost without
        a day is to be spread.
    """
    table = sources.engine.query("select * from costs").to_pandas()
    has_types = "cost_type" in table
    table["cost_type"] = cost_types(table)
    if has_types and "period_start" in table:
        # Without types, two costs that run at the same time cannot be told from one that was booked twice.
        _check_overlaps(table)
    paid = Days.of(table)
    days = paid.amortise(table, options)
    factors = []
    if "currency" in table:
        factors.append(currency_rates(table["currency"], paid, days, read_rates(sources, options), period.bounds()))
    if period.bounds() != (None, None) and days.are_known:
        factors.append(days.share_inside(period.bounds()))
    amounts = {name: table[name].to_numpy(np.float64) for name in AMOUNTS if name in table}
    for factor in factors:
        amounts = {name: amount * factor for name, amount in amounts.items()}
    _check_future(days, amounts["amount"])
    ledger = sum_amounts(table[["channel", "cost_type"]], amounts)
    _check_credits(ledger)
    return ledger


def sum_amounts(keys: pd.DataFrame, amounts: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Distinct rows of ``keys``, sorted, with the exact sums of their amounts (rows,) by name."""
    groups = keys.groupby(list(keys.columns), dropna=False, sort=True)
    group = groups.ngroup().to_numpy(np.int64)
    distinct = keys.assign(group=group).drop_duplicates("group").sort_values("group").drop(columns="group")
    sums = {name: totals_of(group, amount, len(distinct)) for name, amount in amounts.items()}
    return distinct.assign(**sums).reset_index(drop=True)


def totals_of(group: NDArray[np.integer], amount: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(size,) exact sums of amounts (rows,) by their group (rows,).

    Raises
    ------
    InputError
        If a sum is infinite.
    """
    # Credits are summed up by themselves: exact sums are of amounts ≥ 0.
    totals = to_float(exact_sums(group, np.maximum(amount, 0.0), size))
    if (amount < 0).any():
        totals = totals - to_float(exact_sums(group, np.maximum(-amount, 0.0), size))
    if not np.isfinite(totals).all():
        raise InputError("the sum of all spend is too large for a float", hint="use a larger unit of money")
    return np.asarray(totals)


def cost_types(table: pd.DataFrame) -> pd.Series:
    """The type of each row of a costs table, in small letters; media where none is told.

    Raises
    ------
    InputError
        If a cost that channels share does not say what it is for, or a type is called as all of them together are.
    """
    if "cost_type" not in table:
        return pd.Series(MEDIA, index=table.index)
    written = words(table["cost_type"]).str.casefold()
    unknown = int((written.isna() & table["channel"].isna()).sum())
    if unknown:
        raise InputError(
            f"table 'costs': neither a channel nor a cost type, in {pluralise(unknown, 'row')}",
            hint="a shared cost needs a cost type: labour, tools, …",
        )
    totals = int((written == ALL_TYPES).sum())
    if totals:
        raise InputError(
            f"table 'costs': {totals} rows are of the cost type {ALL_TYPES!r}, which stands for all types together",
            hint="leave rows out that add up others, or give the type another name",
        )
    return written.fillna(MEDIA).astype(object)


def overlapping(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a costs table whose period overlaps an earlier one of the same kind of cost.

    The same period again is none: several invoices may be for one.
    """
    kind = [name for name in ("channel", "campaign", "cost_type", "currency") if name in table]
    rows = table[[*kind, "period_start", "period_end"]].dropna(subset="period_start").drop_duplicates()
    rows = rows.assign(**{name: pd.to_datetime(rows[name]) for name in ("period_start", "period_end")})
    rows = rows.sort_values([*kind, "period_start", "period_end"])
    group = rows.groupby(kind, dropna=False, sort=False).ngroup()
    before = rows.groupby(group)["period_end"].cummax().groupby(group).shift()
    return rows[(rows["period_start"] <= before).to_numpy()]


def _check_overlaps(table: pd.DataFrame) -> None:
    clash = overlapping(table)
    if len(clash):
        first = clash.iloc[0]
        raise InputError(
            f"table 'costs': {pluralise(len(clash), 'period')} overlapping an earlier one of the same channel, "
            "type and campaign",
            given=f"{first['channel']}, {first['period_start']:%Y-%m-%d} … {first['period_end']:%Y-%m-%d}",
            allowed="periods that do not overlap, or are equal",
            hint="give different costs another cost type or campaign",
        )


def _check_credits(ledger: pd.DataFrame) -> None:
    """Refuse a channel whose credits, which ``negative = "net"`` lets through, are more than its costs."""
    below = ledger[ledger["amount"] < 0]
    if len(below):
        first = below.iloc[0]
        raise InputError(
            f"table 'costs': the credits of {pluralise(len(below), 'channel')} are more than the costs",
            given=f"{first['channel']}, {first['cost_type']}: {first['amount']:,.2f}",
            hint="book credits in the period of the costs that they reduce, or leave them out with where",
        )


def _check_future(days: Days, amount: NDArray[np.float64]) -> None:
    # Somewhere on earth tomorrow has begun.
    tomorrow = np.datetime64("now", "D") + 1
    future = (days.first > tomorrow) & (amount > 0)
    if future.any():
        raise InputError(
            f"table 'costs': {pluralise(int(future.sum()), 'cost')} dated in the future cannot have had an effect yet",
            given=str(days.first[future].min()),
            hint="correct their days, or end the period before them",
        )
