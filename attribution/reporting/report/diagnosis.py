"""The part of a report that says what to look at first: tasks by the money in them, and spend that does not pay."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

_FIRST = 8
"""Tasks that stand in the open; the others are folded away."""

_MOST = 100
"""Rows of any table here; campaigns may be thousands, and all of them are in the tables of the run."""

_TASK = ["rank", "about", "kind", "slice", "size", "size_low", "size_high", "models", "evidence", "check"]
_WASTED = ["channel", "model", "basis", "spend", "roi", "roi_low", "roi_high", "loss", "models_wasted", "models"]


def diagnosis_section(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of a diagnosis, by the names that its template knows; None where there is none.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    if "tasks" not in tables:
        return None
    tasks = tables["tasks"]
    agreed = [
        f"{agreeing} of {asked}" if pd.notna(asked) else None
        for agreeing, asked in zip(tasks["models_agreeing"], tasks["models"], strict=True)
    ]
    shown = tasks.assign(
        models=pd.Series(agreed, index=tasks.index, dtype=object),
        kind=tasks["kind"].str.replace("_", " "),
    )[_TASK]
    wasted = tables.get("wasted_spend")
    slices = tables.get("roi_slices")
    gaps = None if slices is None else _gap_grid(tables["roi_gaps"])
    sensitivity = tables.get("cost_sensitivity")
    return {
        "first": shown.head(_FIRST),
        "others": shown.iloc[_FIRST:_MOST] if len(shown) > _FIRST else None,
        "wasted": None if wasted is None else _largest(wasted.loc[wasted["status"] == "wasted", _WASTED], "loss"),
        "wasted_says": _wasted_says(wasted),
        "slices": None if slices is None else _largest(slices[slices["money"].notna()], "money"),
        "gaps": None if gaps is None else _largest(gaps, "money"),
        "sensitivity": None if sensitivity is None else _largest(sensitivity, "amount"),
    }


def _wasted_says(wasted: pd.DataFrame | None) -> str:
    """How much spend is wasted under every model, and under any; or why nobody can tell."""
    if wasted is None:
        return "No channel has an ROI, so no spend can be called wasted."
    known = wasted[wasted["wasted"].notna()]
    if known.empty:
        return (
            "Not enough data: without intervals no spend can be called wasted. A part [resampling] in the experiment "
            "draws them."
        )
    spend = known.groupby(["estimand", "channel"]).agg(
        spend=("spend", "max"), wasted=("models_wasted", "first"), models=("models", "first")
    )
    every, some = (spend.loc[of, "spend"].sum() for of in (spend["wasted"] == spend["models"], spend["wasted"] > 0))
    return (
        f"Spend on channels whose ROI interval lies wholly below break-even: {every:,.0f} under every model, "
        f"{some:,.0f} under at least one."
    )


def _largest(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The rows with the most money, in their order."""
    if len(table) <= _MOST:
        return table
    return table.loc[table[by].abs().nlargest(_MOST).index.sort_values()]


def _gap_grid(gaps: pd.DataFrame) -> pd.DataFrame:
    """Money by part, a column each."""
    known = gaps[gaps["money"].notna() & (gaps["part"] != "reach")]
    known = known.assign(model=known["model"].fillna("(all)"))
    key = ["dimension", "model", "slice"]
    order = pd.MultiIndex.from_frame(known[key].drop_duplicates())
    grid = known.pivot(index=key, columns="part", values="money").reindex(order)
    grid = grid.reindex(columns=["rate", "value", "cost"])
    return grid.assign(money=grid.sum(axis=1)).reset_index().rename_axis(columns=None)
