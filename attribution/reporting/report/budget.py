"""The part of a report that is about a budget: who gets what, what it brings, what it rests on."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

PLAN = "plan"


def budget_section(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of a proposal, by the names that its template knows; None where there is none.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    if "budget" not in tables:
        return None
    limits = tables["budget_limits"]
    shown = {"model", "scenario", "limit", "allowed", "used", "binds", "shadow_price"}
    horizons = tables.get("budget_horizons")
    return {
        "objective": str(tables["budget"]["objective"].iloc[0]).replace("_", " "),
        "notes": list(tables["budget_notes"]["note"]),
        "plan": _plan_grid(tables["budget"]),
        "expected": _expected_grid(tables["budget_scenarios"]),
        "limits": limits.loc[limits["scenario"] == PLAN, [name for name in limits if name in shown - {"scenario"}]],
        "what_if": tables["budget_what_if"].drop(columns=["estimand", "objective"]),
        "horizons": None if horizons is None else _horizon_grid(horizons),
        "drift": tables.get("budget_drift"),
        "evidence": tables["budget_evidence"],
    }


def _plan_grid(budget: pd.DataFrame) -> pd.DataFrame:
    """Proposed spend of each channel, a column per model."""
    plan = budget[budget["scenario"] == PLAN]
    cells = plan.assign(
        cell=[
            f"{spend:,.0f} ({change:+.0%})" + (f", {binding}" if isinstance(binding, str) else "")
            for spend, change, binding in zip(plan["spend"], plan["change"], plan["binding"], strict=True)
        ]
    )
    order = list(dict.fromkeys(plan["channel"]))
    grid = cells.pivot(index="channel", columns="model", values="cell").reindex(order)
    grid = grid[list(dict.fromkeys(plan["model"]))]
    today = plan.drop_duplicates("channel").set_index("channel")["spend_today"].reindex(order)
    # A model may be called "today" or "channel" too.
    grid.insert(0, "today", today, allow_duplicates=True)
    return grid.reset_index(allow_duplicates=True)


def _expected_grid(scenarios: pd.DataFrame) -> pd.DataFrame:
    columns = ["model", "scenario", "spend", "return_today", "return", "gain", "gain_low", "gain_high"]
    return scenarios[[*columns, "return_of_plan", "regret", "shadow_price"]]


def _horizon_grid(horizons: pd.DataFrame) -> pd.DataFrame:
    """What each weight of the long run brings in both runs, all channels together."""
    keys = ["model", "weight", "objective", "long_objective"]
    return horizons.groupby(keys, sort=False)[["spend", "return", "long_return"]].sum().reset_index()
