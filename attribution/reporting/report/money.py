"""The part of a report that sets every return beside every cost: ROI on all terms, customers, bounds of costs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.reporting.charts import listed
from attribution.returns import main_basis
from attribution.schema.tables import NO_CHANNELS

_UNIT = ["channel", "spend", "conversions", "new_customers", "cpa", "cac", "lifetime_margin", "ltv_to_cac", "payback"]
_BREAK_EVEN = ["break_even_roas", "break_even_cpa"]


def money_section(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of returns and costs, by the names that its template knows; None where ROI is all.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    returns = tables.get("returns", pd.DataFrame())
    has_terms = "basis" in returns and len(returns[["basis", "cost_basis"]].drop_duplicates()) > 1
    economics, bounds = tables.get("unit_economics"), tables.get("cost_bounds")
    if not has_terms and economics is None and bounds is None:
        return None
    return {
        "notes": money_sentences(tables),
        "roi": _roi_grid(returns) if has_terms else None,
        "economics": None if economics is None else economics[["model", "cost_basis", *_UNIT, *_BREAK_EVEN]],
        "bounds": None if bounds is None else main_basis(bounds).drop(columns=["estimand", "basis", "cost_basis"]),
    }


def money_sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Where full costs turn a gain into a loss, and where unknown costs leave the order open."""
    sentences = []
    returns = tables.get("returns", pd.DataFrame())
    if "cost_basis" in returns and returns["cost_basis"].nunique() > 1:
        basis = returns.iloc[0]["basis"]
        same = returns[(returns["basis"] == basis) & ~returns["channel"].isin(NO_CHANNELS)]
        wide = same.pivot(index=["model", "channel"], columns="cost_basis", values="roi").dropna()
        lost = wide[(wide["media"] > 0) & (wide["loaded"] <= 0)].reset_index()
        models = same["model"].nunique()
        under = lost.groupby("channel")["model"].nunique()
        names = [f"{name} (under {count} of {models} models)" for name, count in under.items()]
        if names:
            sentences.append(f"On {basis}, gains on media cost alone and loses with all its costs: {listed(names)}.")
    bounds = tables.get("cost_bounds")
    if bounds is not None:
        unsure = sorted(set(main_basis(bounds).dropna(subset="overlaps")["channel"]))
        if unsure:
            sentences.append(
                f"Within the bounds of their costs, the ROI of {listed(unsure)} may be the same as another channel's: "
                "their order is not sure."
            )
    return sentences


def _roi_grid(returns: pd.DataFrame) -> pd.DataFrame:
    """ROI of each channel with spend, a column per basis and cost basis; intervals where there are some."""
    rows = returns[returns["roi"].notna()]
    cells = rows.assign(
        terms=rows["basis"] + ", " + rows["cost_basis"] + " cost",
        cell=[
            f"{roi:,.2f}" + (f" [{low:,.2f}, {high:,.2f}]" if pd.notna(low) and pd.notna(high) else "")
            for roi, low, high in zip(rows["roi"], rows["roi_low"], rows["roi_high"], strict=True)
        ],
    )
    order = list(dict.fromkeys(zip(rows["model"], rows["channel"], strict=True)))
    grid = cells.pivot(index=["model", "channel"], columns="terms", values="cell")
    grid = grid.reindex(pd.MultiIndex.from_tuples(order, names=["model", "channel"]))
    return grid[list(dict.fromkeys(cells["terms"]))].reset_index()
