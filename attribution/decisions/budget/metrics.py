"""A proposal in numbers with a name each, as they are tracked."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.decisions.budget.evidence import MOVED


def budget_metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """What the plan brings under each model, and what it gives each channel."""
    metrics: dict[str, float] = {}
    scenarios, budget = (tables[name].query("scenario == 'plan'") for name in ("budget_scenarios", "budget"))
    for what in ("spend", "return_today", "return", "gain", "gain_low", "gain_high", "unspent", "shadow_price"):
        metrics |= {f"{what}/{row['model']}": float(row[what]) for _, row in scenarios.iterrows()}
    regret = tables["budget_scenarios"].groupby("model", sort=False)["regret"].max()
    metrics |= {f"regret/{model}": float(most) for model, most in regret.items()}
    for what in ("spend", "change", "marginal", "probability_more"):
        metrics |= {f"{what}/{row['model']}_{row['channel']}": float(row[what]) for _, row in budget.iterrows()}
    drift = tables.get("budget_drift")
    if drift is not None:
        moved = drift.loc[drift["status"].isin(MOVED), "channel"].nunique()
        metrics |= {"drift_channels": float(moved), "drift_expired": float(drift["expired"].eq(True).any())}
    return metrics
