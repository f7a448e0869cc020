"""The part of a report that says what to look at first: tasks by the money in them, and spend that does not pay."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

_FIRST = 8
"""Tasks that stand in the open; the others are folded away."""

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
    sensitivity = tables.get("cost_sensitivity")
    return {
        "first": shown.head(_FIRST),
        "others": shown.iloc[_FIRST:] if len(shown) > _FIRST else None,
        "wasted": None if wasted is None else wasted.loc[wasted["status"] == "wasted", _WASTED],
        "wasted_says": _wasted_says(wasted),
        "slices": None if slices is None else slices[slices["money"].notna()],
        "gaps": None if slices is None else _gap_grid(tables["roi_gaps"]),
        "sensitivity": sensitivity,
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


def _gap_grid(gaps: pd.DataFrame) -> pd.DataFrame:
    """Money by part, a column each."""
    known = gaps[gaps["money"].notna() & (gaps["part"] != "reach")]
    known = known.assign(model=known["model"].fillna("(all)"))
    key = ["dimension", "model", "slice"]
    order = pd.MultiIndex.from_frame(known[key].drop_duplicates())
    grid = known.pivot(index=key, columns="part", values="money").reindex(order)
    return grid.reindex(columns=["rate", "value", "cost"]).reset_index().rename_axis(columns=None)
