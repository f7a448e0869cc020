"""What to know before acting on a proposal, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from attribution.decisions.budget.evidence import MOVED
from attribution.decisions.budget.rows import CAPACITY
from attribution.kernels.budget.problem import TOLERANCE

NOT_INCREMENTAL = (
    "Credit is allocated, not incremental: the plan moves money as if channels had caused what they are credited with. "
    "Move in steps, and test before large ones."
)

Tables = Mapping[str, pd.DataFrame]


def plan_notes(tables: Tables, left_out: Sequence[str]) -> tuple[str, ...]:
    """The notes of a proposal, most important first.

    Parameters
    ----------
    tables : of the proposal
    left_out : channels with credit and no spend, of which nothing is planned
    """
    scenarios, plan = tables["budget_scenarios"], tables["budget"].query("scenario == 'plan'")
    scenarios = scenarios[scenarios["kind"].isin(["plan", "bend"])]
    notes = [NOT_INCREMENTAL] if (plan["estimand"] == "allocated").any() else []
    objective = str(scenarios["objective"].iloc[0])
    notes += _drift_notes(tables.get("drift"))
    assumed = plan.loc[plan["curvature_from"].str.startswith("assumed"), "channel"].nunique()
    if assumed:
        notes.append(
            f"Curvature of {assumed} of {plan['channel'].nunique()} channels is assumed: if curves bend otherwise, the "
            f"plan is up to {scenarios['regret'].max():,.2f} of {objective} short of the best."
        )
    if plan["return_sd"].isna().all():
        notes.append("There are no intervals, because resampling was not asked for: small gains may be chance.")
    else:
        notes.append("Intervals cover sampling only: neither the choice of a model nor that of a curve.")
    notes += _profit_notes(tables, objective)
    planned = scenarios[scenarios["kind"] == "plan"]
    unspent = planned["unspent"].max()
    if unspent > TOLERANCE * (planned["spend"] + planned["unspent"]).max():
        notes.append(f"Limits leave up to {unspent:,.2f} unspent.")
    if left_out:
        notes.append(f"Not planned, no spend today: {', '.join(left_out)}.")
    capacities = tables["budget_limits"]["limit"].loc[lambda names: names.str.startswith(CAPACITY)]
    if len(capacities):
        stage = capacities.iloc[0].removeprefix(CAPACITY).removeprefix(" of ")
        exceeds = " If curves bend otherwise, the plan exceeds it." if scenarios["regret"].isna().any() else ""
        counted = f"arrivals in {stage}" if stage else "conversions"
        notes.append(f"Capacity counts {counted} as credited to channels that have spend.{exceeds}")
    if tables["budget"]["long_factor"].fillna(1.0).ne(1).any():
        notes.append("What channels return in the long run is an assumption, as given in long_run.factors.")
    valid_until = plan["valid_until"].iloc[0]
    until = f"Valid until {valid_until}" if valid_until else "Data have no dates, so the plan has no expiry date"
    notes.append(f"{until}; the total is for a period as long as that of the data.")
    return tuple(notes)


def _profit_notes(tables: Tables, objective: str) -> list[str]:
    """Where the last money brings less than it costs; conversions and revenue have no price to tell."""
    if objective not in ("margin", "ltv"):
        return []
    plan, scenarios = (tables[name].query("scenario == 'plan'") for name in ("budget", "budget_scenarios"))
    notes = []
    more = scenarios["spend"] - scenarios["spend_today"]
    loses = scenarios[(more > 0) & (scenarios["gain"] < more)]
    if len(loses):
        first = loses.iloc[0]
        notes.append(
            f"What is spent more brings less than it costs under {', '.join(loses['model'])}: {first['gain']:,.2f} for "
            f"{first['spend'] - first['spend_today']:,.2f} under {first['model']}."
        )
    low = plan[plan["marginal"] < 1]
    if len(low):
        channels = ", ".join(dict.fromkeys(low["channel"]))
        notes.append(f"The last unit of money brings less than it costs, under some model, in: {channels}.")
    return notes


def _drift_notes(drift: pd.DataFrame | None) -> list[str]:
    if drift is None:
        return []
    notes = []
    if drift["expired"].eq(True).any():
        notes.append(f"The earlier proposal expired on {drift['valid_until'].iloc[0]}.")
    moved = drift[drift["status"].isin(MOVED)]
    if len(moved):
        channels = ", ".join(dict.fromkeys(moved["channel"]))
        notes.append(f"The ground has moved under the earlier proposal: {channels}.")
    unknown = drift.loc[drift["status"] == "unknown", "channel"].nunique()
    if unknown:
        notes.append(f"Whether the ground has moved is unknown for {unknown} channels: there are no intervals.")
    return notes
