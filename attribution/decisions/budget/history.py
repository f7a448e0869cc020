"""How spend and return went together, week by week, in the data of a run: what curvature can be fitted to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attribution.data.loading import Sources
from attribution.data.loading.events import conversion_ids
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.errors import InputError
from attribution.returns.cost_ledger import MEDIA, Days, cost_types, currency_rates, read_rates
from attribution.returns.worth import read_measure
from attribution.schema.experiment import Period, ReturnsOptions
from attribution.schema.tables import NO_CHANNELS

WEEK = 7


def weekly_history(
    sources: Sources,
    journey_credit: pd.DataFrame,
    options: BudgetOptions,
    *,
    returns: ReturnsOptions | None = None,
    period: Period | None = None,
    lookback_days: float = 30.0,
) -> pd.DataFrame:
    """Spend and credited return per model, channel and week.

    Parameters
    ----------
    sources : the costs table by day or period, or touchpoints with costs; journeys have been built of them where the
        objective is of single conversions (new customers, LTV, margin)
    journey_credit : the ``journey_credit`` table; what a touchpoint earned counts in the week of the touchpoint
    options : the objective: conversions, new ones alone, their value, margin or LTV, up to one factor for all
    returns : which costs are spend, where both tables know them, and what currencies are worth
    period : only its weeks count
    lookback_days : so many last days are left out, since what they were spent on may still convert

    Returns
    -------
    Columns model, channel, period (first day of the week), spend and return; whole weeks only. Channels with a lump
    sum have no rows, and what channels share is no spend of theirs.

    Raises
    ------
    InputError
        If costs have no days, or conversions do not say what the objective needs.
    """
    spend = _daily_spend(sources, returns or ReturnsOptions())
    earned = journey_credit[~journey_credit["channel"].isin(NO_CHANNELS)]
    if spend.empty or earned.empty:
        raise InputError("budget.history needs costs with days", hint="add a column day to the costs table")
    if not pd.api.types.is_datetime64_any_dtype(earned["touched_at"]):
        raise InputError("budget.history needs timestamps, but these data have only an order")
    touched = earned["touched_at"].dt.floor("D")
    touched = touched if touched.dt.tz is None else touched.dt.tz_localize(None)
    first, last = _span(spend["day"], touched, period)
    weeks = int(((last - first).days + 1 - np.ceil(lookback_days)) // WEEK)
    index = pd.MultiIndex.from_product([sorted(set(spend["channel"])), range(max(weeks, 0))], names=["channel", "week"])
    spent = spend.assign(week=_week(spend["day"], first)).groupby(["channel", "week"])["amount"].sum()
    amount = _amount(earned, options, sources, returns or ReturnsOptions())
    parts = []
    for label in journey_credit["model"].unique():
        own = earned["model"] == label
        keys = [earned.loc[own, "channel"], _week(touched[own], first).rename("week")]
        returned = amount[own].groupby(keys).sum()
        table = pd.DataFrame({"spend": spent.reindex(index, fill_value=0.0), "return": returned.reindex(index)})
        parts.append(table.fillna({"return": 0.0}).reset_index().assign(model=label))
    history = pd.concat(parts, ignore_index=True)
    history["period"] = (first + pd.to_timedelta(history["week"] * WEEK, unit="D")).dt.strftime("%Y-%m-%d")
    return history[["model", "channel", "period", "spend", "return"]]


def _span(spent: pd.Series, touched: pd.Series, period: Period | None) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last day of which both spend and touchpoints are known."""
    first, last = max(spent.min(), touched.min()), min(spent.max(), touched.max())
    bounds = [None if at is None else pd.Timestamp(at, unit="us").floor("D") for at in (period or Period()).bounds()]
    return max(first, bounds[0] or first), min(last, bounds[1] or last)


def _week(days: pd.Series, first: pd.Timestamp) -> pd.Series:
    return (days - first).dt.days // WEEK


def _amount(earned: pd.DataFrame, options: BudgetOptions, sources: Sources, returns: ReturnsOptions) -> pd.Series:
    """What each touchpoint earned, up to a factor that is the same for all: the shape of the course is what counts."""
    measure = {"new_customers": "new_customers", "ltv": "ltv"}.get(options.objective)
    if options.objective == "margin" and sources.has("conversions", "margin"):
        measure = "margin"
    if measure is None:
        return earned["credit" if options.objective == "conversions" else "credited_value"].astype(float)
    worth = dict(zip(conversion_ids(sources), read_measure(sources, measure, returns)[:-1], strict=True))
    return earned["credit"].astype(float) * earned["conversion_id"].map(worth).astype(float)


def _daily_spend(sources: Sources, options: ReturnsOptions) -> pd.DataFrame:
    """Columns channel, day and amount."""
    parts, spend_from = [], options.spend_from
    if sources.has("costs"):
        parts.append(_from_costs(sources, options))
    if spend_from != "costs" and sources.has("touchpoints", "cost") and sources.integer_times is False:
        query = "select channel, touched_at, cost from touchpoints where cost is not null and trim(channel) <> ''"
        table = sources.engine.query(query).to_pandas()
        days = pd.to_datetime(table["touched_at"], unit="us").dt.floor("D")
        parts.append(pd.DataFrame({"channel": table["channel"], "day": days, "amount": table["cost"].astype(float)}))
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["channel", "day", "amount"])


def _from_costs(sources: Sources, options: ReturnsOptions) -> pd.DataFrame:
    """Costs are spread evenly over the days on which they serve; channels with a lump sum are left out."""
    table = sources.engine.query("select * from costs").to_pandas()
    table["cost_type"] = cost_types(table)
    paid = Days.of(table)
    serves = paid.amortise(table, options)
    amount = table["amount"].to_numpy(np.float64)
    if "currency" in table:
        amount = amount * currency_rates(table["currency"], paid, serves, read_rates(sources, options), (None, None))
    is_media = table["cost_type"] == MEDIA
    counts = table["channel"].notna() & (is_media | (options.cost_basis == "loaded"))
    if options.spend_from == "touchpoints":
        counts &= ~is_media
    undated = np.isnat(serves.first) | np.isnat(serves.last)
    rows = np.flatnonzero(counts & ~table["channel"].isin(table.loc[counts & undated, "channel"]))
    length = (serves.last - serves.first).astype(np.int64)[rows] + 1
    which = np.repeat(rows, length)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(length) - length, length)
    return pd.DataFrame(
        {
            "channel": table["channel"].to_numpy()[which],
            "day": (serves.first[which] + offset).astype("datetime64[us]"),
            "amount": np.repeat(amount[rows] / length, length),
        }
    )
