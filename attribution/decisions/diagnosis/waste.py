"""Spend that does not pay."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attribution.returns import main_basis
from attribution.schema.tables import NO_CHANNELS

WASTED, NOT_WASTED, UNKNOWN = "wasted", "not wasted", "not enough data"


def judge_spend(returns: pd.DataFrame) -> pd.DataFrame:
    """Every channel with an ROI under every model, and whether its ROI interval lies wholly below break-even.

    Spend pays where its margin is at least what was spent: an ROI of 0 on margin, a ROAS of 1 ÷ margin on revenue. So
    channels are judged by margin where it is known and they are ranked by revenue, else by what they are ranked by.
    Credit is allocated: spend that counts as wasted here may have caused more than it was credited with, or less.

    Parameters
    ----------
    returns : the ``returns`` table; without intervals there is not enough data to call anything wasted

    Returns
    -------
    The columns of ``returns`` from ``model`` to ``roi_high``, and ``break_even_roas``; ``status``; ``wasted``: spend
    that is, null without an interval; ``loss``: what spend did not earn back, at the estimate; ``models_wasted`` of
    ``models``: those of the estimand under which the spend counts as wasted.

    Examples
    --------
    >>> returns = pd.DataFrame({"model": "linear", "estimand": "allocated", "basis": "revenue", "cost_basis": "media",
    ...     "channel": ["mail", "tv"], "spend": [10.0, 100.0], "value": [30.0, 60.0], "roi": [2.0, -0.4],
    ...     "roi_low": [1.0, -0.7], "roi_high": [3.0, -0.1]})
    >>> judge_spend(returns)[["channel", "status", "wasted", "loss"]].values.tolist()
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
    has_interval = rows["roi_high"].notna()
    below = has_interval & (rows["roi_high"] < 0)
    table["break_even_roas"] = _break_even(returns, rows)
    table["status"] = np.select([~has_interval, below], [UNKNOWN, WASTED], NOT_WASTED)
    table["wasted"] = rows["spend"].where(below, 0.0).where(has_interval)
    table["loss"] = rows["spend"] - rows["value"]
    by_channel = below.groupby([rows["estimand"], rows["channel"]])
    table["models_wasted"] = by_channel.transform("sum").astype("int64")
    table["models"] = by_channel.transform("size").astype("int64")
    return table.reset_index(drop=True)


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
