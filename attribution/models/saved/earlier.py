"""Intervals as version 0.1.0 wrote them, in a table of their own, put beside the estimates that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

INTERVALS = "intervals"
"""Name of that table: ``model``, ``channel``, ``measure``, ``estimate``, ``low``, ``high``."""

_MEASURES: Mapping[str, Sequence[str]] = {
    "credit": ("conversions", "value", "share"),
    "returns": ("roi", "rank", "conversions", "value"),
}


def merge_intervals(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables without ``intervals``: ``credit`` and ``returns`` hold the ends of every interval instead.

    Parameters
    ----------
    tables : of a run or a model, by name; those of today stay as they are

    Examples
    --------
    >>> keys = {"model": ["linear"], "channel": ["mail"]}
    >>> of = {"measure": ["value"], "estimate": [9.0], "low": [7.0], "high": [12.0]}
    >>> credit = pd.DataFrame({**keys, "conversions": [2.0], "value": [9.0], "share": [1.0]})
    >>> merged = merge_intervals({"credit": credit, "intervals": pd.DataFrame({**keys, **of})})
    >>> list(merged), merged["credit"][["value_low", "value_high"]].values.tolist()
    (['credit'], [[7.0, 12.0]])
    """
    merged = {name: table for name, table in tables.items() if name != INTERVALS}
    for name, measures in _MEASURES.items():
        if name in merged and "value_low" not in merged[name]:
            merged[name] = add_ends(merged[name], tables.get(INTERVALS), measures)
    return merged


def add_ends(table: pd.DataFrame, intervals: pd.DataFrame | None, measures: Sequence[str]) -> pd.DataFrame:
    """With ``MEASURE_low`` and ``MEASURE_high`` of each measure; null where the run drew nothing.

    An interval belongs to a row whose estimate it has: of value, that is the rows on revenue, and a share is another
    one where it leaves out what no channel has. Ranks go by conversions, and have no estimate, where nothing was spent.
    """
    filled = table.copy()
    for measure in measures:
        columns = [f"{measure}_low", f"{measure}_high"]
        filled = filled.assign(**{name: filled.get(name, np.nan) for name in columns})
        if intervals is None:
            continue
        rows = intervals[intervals["measure"] == measure].set_index(["model", "channel"])
        own = rows.reindex(pd.MultiIndex.from_frame(filled[["model", "channel"]]))
        estimate = filled[measure].to_numpy(float)
        belongs = np.isclose(estimate, own["estimate"].to_numpy(float), rtol=1e-6, atol=1e-12)
        if measure == "rank":
            belongs |= bool(np.isnan(estimate).all())
        for name, end in zip(columns, ("low", "high"), strict=True):
            values = filled[name].to_numpy(float)
            filled[name] = np.where(belongs & np.isnan(values), own[end].to_numpy(float), values)
    return filled
