"""A proposal, as a section: what is tracked of it, its figures, and what the report says.

Its tables come from the command that divides a budget by a finished run, see `attribution.pipeline.planning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from attribution.amounts import format_roi
from attribution.decisions.budget.budget_declared import BUDGET_TABLES, PLAN, TODAY
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.cases import without_spend
from attribution.decisions.budget.evidence import MOVED
from attribution.decisions.budget.notes import plan_notes
from attribution.schema.experiment import Experiment
from attribution.sections import FigureSpec, Language, ReportPart, Section


class BudgetSection(Section):
    """Who gets what, what it brings, what it rests on."""

    name = "budget"
    options = BudgetOptions
    declared = BUDGET_TABLES

    def is_wanted(self, experiment: Experiment) -> bool:
        """Never by a run alone: a budget is divided on request, after it."""
        return False

    def settings(self, experiment: Experiment) -> Mapping[str, object]:
        """None: they decide a proposal, and nothing of the run below it."""
        return {}

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """Proposed spend, what it brings, both horizons, and response curves that were fitted."""
        if "budget" not in tables:
            return ()
        budget = tables["budget"]
        figures = [
            FigureSpec("budget_by_channel", {"budget": budget}),
            FigureSpec("budget_gain", {"scenarios": tables["budget_scenarios"]}),
        ]
        if budget["weight"].notna().any():
            figures.append(FigureSpec("budget_horizons", {"budget": budget}))
        if budget["curvature_from"].str.startswith("fitted").any():
            figures.append(FigureSpec("response_curves", {"budget": budget}))
        return figures

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """The proposal and its evidence."""
        shown = budget_grids(tables)
        if shown is None:
            return None
        return ReportPart((("budget", "Budget"),), template="budget.html.j2", values=shown)


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
    drift = tables.get("drift")
    if drift is not None:
        moved = drift.loc[drift["status"].isin(MOVED), "channel"].nunique()
        metrics |= {"drift_channels": float(moved), "drift_expired": float(drift["expired"].eq(True).any())}
    return metrics


def budget_grids(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of a proposal, by the names that its template knows; None where there is none.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    if "budget" not in tables:
        return None
    budget, scenarios, limits = (tables[name] for name in ("budget", "budget_scenarios", "budget_limits"))
    drift = tables.get("drift")
    left_out = without_spend(tables["returns"], list(dict.fromkeys(budget["channel"]))) if "returns" in tables else ()
    columns = ["model", "limit", "allowed", "used", "binds", "shadow_price"]
    return {
        "objective": str(budget["objective"].iloc[0]).replace("_", " "),
        "notes": list(plan_notes(tables, left_out, tables)),
        "plan": _plan_grid(budget),
        "expected": _expected_grid(scenarios),
        "limits": limits.loc[limits["scenario"] == PLAN, columns],
        "what_if": _what_if_grid(scenarios),
        "horizons": _horizon_grid(budget) if budget["weight"].notna().any() else None,
        "drift": None if drift is None else drift[_DRIFT_COLUMNS],
        "evidence": scenarios.loc[scenarios["scenario"] == TODAY, _EVIDENCE_COLUMNS],
    }


_DRIFT_COLUMNS = [
    "model",
    "channel",
    "spend",
    "training",
    "recent",
    "standard_error",
    "p_adjusted",
    "status",
    "expired",
]
_EVIDENCE_COLUMNS = [
    *("model", "estimand", "run", "objective", "cost_basis", "data_start", "data_end", "valid_until", "return_today"),
    *("return_low", "return_high", "level", "draws", "curves_fitted", "curves_assumed"),
]


def _plan_grid(budget: pd.DataFrame) -> pd.DataFrame:
    """Proposed spend of each channel, a column per model."""
    plan = budget[budget["scenario"] == PLAN]
    cells = plan.assign(
        cell=[
            f"{spend:,.0f} ({format_roi(change)})" + (f", {binding}" if isinstance(binding, str) else "")
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
    best = scenarios[scenarios["kind"].isin(["plan", "bend"])]
    return best[[*columns, "return_of_plan", "regret", "shadow_price"]]


def _what_if_grid(scenarios: pd.DataFrame) -> pd.DataFrame:
    """Today, the plan, and divisions of one's own, in this order."""
    columns = ["model", "scenario", "spend", "return", "return_low", "return_high", "short_of_plan", "breaks"]
    kinds = ["today", "plan", "what_if"]
    models = scenarios.groupby("model", sort=False)
    rows = pd.concat([rows[rows["kind"] == kind] for _, rows in models for kind in kinds], ignore_index=True)
    return rows[columns]


def _horizon_grid(budget: pd.DataFrame) -> pd.DataFrame:
    """What each weight of the long run brings in both runs, all channels together."""
    keys = ["model", "weight", "objective", "long_objective"]
    return budget.groupby(keys, sort=False)[["spend", "return", "long_return"]].sum().reset_index()
