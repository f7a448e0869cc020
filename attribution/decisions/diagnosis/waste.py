"""Spend that does not pay, and what each type of cost does to ROI."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attribution.decisions.diagnosis.diagnosis_declared import COST_SENSITIVITY, WASTED_SPEND
from attribution.returns import Terms, main_basis
from attribution.schema.tables import NO_CHANNELS

WASTED, NOT_WASTED, UNKNOWN = "wasted", "not wasted", "not enough data"

DEARER = 0.1
"""By how much a type of cost rises, to see what that does."""


def wasted_spend(returns: pd.DataFrame) -> pd.DataFrame:
    """The ``wasted_spend`` table: spend on channels whose ROI interval lies wholly below break-even.

    Spend pays where its margin is at least what was spent: an ROI of 0 on margin, a ROAS of 1 ÷ margin on revenue. So
    channels are judged by margin where it is known and they are ranked by revenue, else by what they are ranked by.
    Credit is allocated: spend that counts as wasted here may have caused more than it was credited with, or less.

    Parameters
    ----------
    returns : the ``returns`` table; without intervals there is not enough data to call anything wasted

    Examples
    --------
    >>> returns = pd.DataFrame({"model": "linear", "estimand": "allocated", "basis": "revenue", "cost_basis": "media",
    ...     "channel": ["mail", "tv"], "spend": [10.0, 100.0], "value": [30.0, 60.0], "roi": [2.0, -0.4],
    ...     "roi_low": [1.0, -0.7], "roi_high": [3.0, -0.1]})
    >>> wasted_spend(returns)[["channel", "status", "wasted", "loss"]].values.tolist()
    [['mail', 'not wasted', 0.0, -20.0], ['tv', 'wasted', 100.0, 40.0]]
    """
    returns = returns.reset_index(drop=True)
    ranked = main_basis(returns)
    rows = ranked
    if len(ranked) and ranked.iloc[0]["basis"] == "revenue":
        same = returns["cost_basis"] == ranked.iloc[0]["cost_basis"]
        on_margin = returns[same & (returns["basis"] == "margin")]
        rows = on_margin if len(on_margin) else ranked
    rows = rows[rows["roi"].notna() & ~rows["channel"].isin(NO_CHANNELS)]
    table = rows[["model", "estimand", "channel", "basis", "cost_basis", "spend", "roi", "roi_low", "roi_high"]].copy()
    known = rows["roi_high"].notna()
    below = known & (rows["roi_high"] < 0)
    table["break_even_roas"] = _break_even(returns, rows)
    table["status"] = np.select([~known, below], [UNKNOWN, WASTED], NOT_WASTED)
    table["wasted"] = rows["spend"].where(below, 0.0).where(known)
    table["loss"] = rows["spend"] - rows["value"]
    by_channel = below.groupby([rows["estimand"], rows["channel"]])
    table["models_wasted"] = by_channel.transform("sum").astype("int64")
    table["models"] = by_channel.transform("size").astype("int64")
    return table[list(WASTED_SPEND.column_names)].reset_index(drop=True)


def _break_even(returns: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Revenue ÷ margin of each row, where both are credited; 1 where revenue is all that is known."""
    if not (returns["basis"] == "margin").any():
        return pd.Series(1.0 if (rows["basis"] == "revenue").all() else np.nan, index=rows.index)
    key = ["model", "channel", "cost_basis"]
    credited = [returns[returns["basis"] == basis].set_index(key)["value"] for basis in ("revenue", "margin")]
    if not len(credited[0]):
        return pd.Series(np.nan, index=rows.index)
    revenue, margin = (of.reindex(pd.MultiIndex.from_frame(rows[key])).to_numpy(float) for of in credited)
    return pd.Series(np.divide(revenue, margin, out=np.full(len(rows), np.nan), where=margin > 0), index=rows.index)


def cost_sensitivity(returns: pd.DataFrame, terms: Terms) -> pd.DataFrame | None:
    """The ``cost_sensitivity`` table: what each type of cost does to ROI; None where no cost says of what type it is.

    A type that is 10 % dearer for everyone leaves what costs are shared by as it was, so that ROI goes from
    R ÷ C − 1 to R ÷ (C + 0.1 a) − 1, where the channel bears a of that type. Fees that `returns.fee_rate` makes of
    media spend are a type of their own, and stay where media alone is dearer.

    Parameters
    ----------
    returns : the ``returns`` table
    terms : all costs
    """
    if not terms.costs.is_ledger:
        return None
    loaded = returns[(returns["cost_basis"] == "loaded") & (returns["basis"] == terms.options.basis)]
    loaded = loaded[~loaded["channel"].isin(NO_CHANNELS)]
    parts = [_sensitivity(rows, terms) for _, rows in loaded.groupby("model", sort=False)]
    empty = [pd.DataFrame(columns=list(COST_SENSITIVITY.column_names))]
    return pd.concat(parts or empty, ignore_index=True)[list(COST_SENSITIVITY.column_names)]


def _sensitivity(rows: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """The rows of one model, channel by channel."""
    channels, costs = list(rows["channel"]), terms.costs
    kinds = sorted({kind for _, kind in costs.amounts} | set(costs.shared), key=lambda kind: (kind != "media", kind))
    conversions = rows["conversions"].to_numpy(float)
    table = rows.reset_index(drop=True).assign(place=np.arange(len(rows)))
    parts = []
    for order, kind in enumerate(kinds):
        amount = np.array([costs.amounts.get((channel, kind), 0.0) for channel in channels])
        if costs.shared.get(kind):
            amount = amount + costs.shared[kind] * costs.shares(kind, channels, conversions)
        parts.append(table.assign(cost_type=kind, order=order, amount=amount))
    long = pd.concat(parts).sort_values(["place", "order"], kind="stable")
    long = long[long["roi"].notna() & (long["amount"] > 0)]
    spend, amount, value = (long[name].to_numpy(float) for name in ("spend", "amount", "value"))
    left = spend - amount
    # What is left of a sum after its only term is rounding.
    has_more = left > 1e-12 * spend
    roi_without = np.divide(value, left, out=np.full(len(long), np.nan), where=has_more) - 1
    change = value / (spend + DEARER * amount) - value / spend
    return long.assign(share=amount / spend, roi_change=change, roi_without=roi_without)
