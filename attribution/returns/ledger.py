"""The costs table as a ledger: amounts by channel and cost type, in one currency, pro-rated to the period."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.kernels.statistics.sums import exact_sums, to_float
from attribution.returns.days import Days
from attribution.returns.rates import currency_rates, read_rates, words
from attribution.schema.experiment import Period, ReturnsOptions

MEDIA = "media"
"""The cost type of a cost that names none."""

FEES = "fees"
"""The cost type of a share of media spend."""

COST_TYPES = (MEDIA, FEES, "labour", "content", "tools", "venue", "materials", "travel")
"""The usual ones; any other word is a cost type of one's own."""

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
    days = Days.of(table)
    factors = []
    if "currency" in table:
        factors.append(currency_rates(table["currency"], days, read_rates(sources, options), period.bounds()))
    days = days.amortised(table, options)
    if period.bounds() != (None, None) and days.are_known:
        factors.append(days.share_inside(period.bounds()))
    amounts = {name: table[name].to_numpy(np.float64) for name in AMOUNTS if name in table}
    for factor in factors:
        amounts = {name: amount * factor for name, amount in amounts.items()}
    _check_future(days, amounts["amount"])
    return summed(table[["channel", "cost_type"]], amounts)


def summed(keys: pd.DataFrame, amounts: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Distinct rows of ``keys``, sorted, with the exact sums of their amounts (rows,) by name."""
    groups = keys.groupby(list(keys.columns), dropna=False, sort=True)
    place = groups.ngroup().to_numpy(np.int64)
    distinct = keys.assign(place=place).drop_duplicates("place").sort_values("place").drop(columns="place")
    sums = {name: totals_of(place, amount, len(distinct)) for name, amount in amounts.items()}
    return distinct.assign(**sums).reset_index(drop=True)


def totals_of(place: NDArray[np.integer], amount: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(size,) exact sums of amounts (rows,) by their place (rows,).

    Raises
    ------
    InputError
        If a sum is infinite.
    """
    totals = to_float(exact_sums(place, amount, size))
    if not np.isfinite(totals).all():
        raise InputError("the sum of all spend is larger than any float", hint="use a larger unit of money")
    return np.asarray(totals)


def cost_types(table: pd.DataFrame) -> pd.Series:
    """The type of each row of a costs table, in small letters; media where none is told.

    Raises
    ------
    InputError
        If a cost that channels share does not say what it is for.
    """
    if "cost_type" not in table:
        return pd.Series(MEDIA, index=table.index)
    written = words(table["cost_type"]).str.casefold()
    unknown = int((written.isna() & table["channel"].isna()).sum())
    if unknown:
        raise InputError(
            f"table 'costs': {unknown} rows have neither a channel nor a cost type",
            hint="a cost that channels share says what it is for: labour, tools, …",
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
    place = rows.groupby(kind, dropna=False, sort=False).ngroup()
    before = rows.groupby(place)["period_end"].cummax().groupby(place).shift()
    return rows[(rows["period_start"] <= before).to_numpy()]


def _check_overlaps(table: pd.DataFrame) -> None:
    clash = overlapping(table)
    if len(clash):
        first = clash.iloc[0]
        raise InputError(
            f"table 'costs': {len(clash)} periods overlap an earlier one of the same channel, type and campaign",
            given=f"{first['channel']}, {first['period_start']:%Y-%m-%d} … {first['period_end']:%Y-%m-%d}",
            allowed="periods that are apart, or the same",
            hint="different costs are told apart by their cost type or campaign",
        )


def _check_future(days: Days, amount: NDArray[np.float64]) -> None:
    # Somewhere on earth tomorrow has begun.
    tomorrow = np.datetime64("now", "D") + 1
    future = (days.first > tomorrow) & (amount > 0)
    if future.any():
        raise InputError(
            f"table 'costs': {int(future.sum())} costs lie in the future, so nothing can have come of them",
            given=str(days.first[future].min()),
            hint="correct their days, or end the [period] before them",
        )
