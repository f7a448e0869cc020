"""ROI where costs are known in bounds only: from the worst to the best that they allow, and which ranks that leaves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.returns.spend import CostBasis
from attribution.returns.table import with_idle_channels
from attribution.returns.terms import Basis, Terms
from attribution.schema.tables import COST_BOUNDS, NO_CHANNELS

Floats = NDArray[np.float64]


def cost_bounds(credit: pd.DataFrame, terms: Terms) -> pd.DataFrame | None:
    """The ``cost_bounds`` table of a ``credit`` table with its measures; None where all costs are known exactly.

    Each channel's bounds are those that costs allow it, whatever the costs of the others. Two channels overlap where
    their ROI may be the same; the rank of a channel that overlaps with none is sure, as far as costs go.
    """
    if terms.costs.bounds is None:
        return None
    table = with_idle_channels(credit, terms)
    table = table[~table["channel"].isin(NO_CHANNELS)]
    parts = [
        _rows(part, terms, basis, cost_basis)
        for basis, cost_basis in terms.combinations
        for _, part in table.groupby("model", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)[list(COST_BOUNDS.column_names)]


def bounds_findings(bounds: pd.DataFrame | None) -> list[Finding]:
    """Channels whose place in the ranking hangs on costs that are known in bounds only."""
    if bounds is None or bounds.empty:
        return []
    first = bounds.iloc[0]
    ranked = bounds[(bounds["basis"] == first["basis"]) & (bounds["cost_basis"] == first["cost_basis"])]
    unsure = sorted(set(ranked.loc[ranked["overlaps"].notna(), "channel"]))
    message = "channels whose ROI overlaps that of others within the bounds of costs: their rank is not sure"
    total = ranked["channel"].nunique()
    return [count_finding("cost_bounds", "costs", len(unsure), message, total=total, example=", ".join(unsure[:5]))]


def _rows(part: pd.DataFrame, terms: Terms, basis: Basis, cost_basis: CostBasis) -> pd.DataFrame:
    channels = list(part["channel"])
    amounts = {name: part[name].to_numpy(float)[None] for name in ("conversions", "value", *terms.measures)}
    earned = terms.earned(basis, amounts)[0]
    spend = terms.costs.spend(cost_basis, channels, amounts["conversions"])[0]
    low, high = (of[0] for of in terms.costs.spend_bounds(cost_basis, channels, amounts["conversions"]))
    with np.errstate(divide="ignore", invalid="ignore"):
        # What loses money whatever it costs loses less by share where it costs more.
        ends = np.sort(
            np.stack([np.where(of > 0, earned / of, np.inf * np.sign(earned)) - 1 for of in (low, high)]), axis=0
        )
        roi = np.where(spend > 0, earned / spend - 1, np.nan)
    known = terms.costs.has_own(cost_basis, channels) & np.isfinite(high) & (high > 0) & ~np.isnan(ends).any(axis=0)
    worst, best = ends[:, known]
    names = np.array(channels, dtype=object)[known]
    rows = part[known].assign(basis=basis, cost_basis=cost_basis, spend_low=low[known], spend=spend[known])
    rows = rows.assign(spend_high=high[known], roi_low=_finite(worst), roi=roi[known], roi_high=_finite(best))
    rows["rank_low"] = 1.0 + (worst[None, :] > best[:, None]).sum(axis=1)
    rows["rank_high"] = float(len(names)) - (best[None, :] < worst[:, None]).sum(axis=1)
    meet = (worst[None, :] <= best[:, None]) & (best[None, :] >= worst[:, None]) & ~np.eye(len(names), dtype=bool)
    rows["overlaps"] = [", ".join(names[others]) or None for others in meet]
    return rows


def _finite(ends: Floats) -> Floats:
    return np.where(np.isfinite(ends), ends, np.nan)
