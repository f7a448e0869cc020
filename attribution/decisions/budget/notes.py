"""What to know before acting on a proposal, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from attribution.amounts import format_amount, pluralise
from attribution.decisions.budget.evidence import MOVED
from attribution.decisions.budget.limits import NOT_KNOWN
from attribution.decisions.budget.rows import CAPACITY
from attribution.kernels.budget.problem import TOLERANCE
from attribution.models.chance import beyond_chance
from attribution.uncertainty.model_checks import failed_checks

NOT_INCREMENTAL = (
    "Credit is allocated, not incremental: the plan assumes that channels caused the conversions they are credited "
    "with. Move money in steps, and test before large ones."
)

Tables = Mapping[str, pd.DataFrame]


def plan_notes(tables: Tables, left_out: Sequence[str], run_tables: Tables) -> tuple[str, ...]:
    """The notes of a proposal, most important first.

    Parameters
    ----------
    tables : of the proposal
    left_out : channels with credit and no spend, of which nothing is planned
    run_tables : of the run that it rests on
    """
    scenarios, plan = tables["budget_scenarios"], tables["budget"].query("scenario == 'plan'")
    scenarios = scenarios[scenarios["kind"].isin(["plan", "bend"])]
    notes = [NOT_INCREMENTAL] if (plan["estimand"] == "allocated").any() else []
    apart = beyond_chance(run_tables.get("credit", pd.DataFrame()))
    if len(apart) and not apart["is_other"].any():
        notes.append(
            "No credit differs surely from what chance gives, so the plan may follow prices alone: do not act on it."
        )
    failed = failed_checks(run_tables)
    notes += [f"Nothing is planned by {model}, because it fails a check. {says}" for model, says in failed.items()]
    objective = str(scenarios["objective"].iloc[0])
    notes += _drift_notes(tables.get("drift"))
    assumed = plan.loc[plan["curvature_from"].str.startswith("assumed"), "channel"].nunique()
    if assumed:
        notes.append(
            f"The response curves of {assumed} of {plan['channel'].nunique()} channels are assumed. If they bend "
            "more or "
            f"less, the plan returns up to {format_amount(scenarios['regret'].max())} less {objective} than the "
            "best plan."
        )
    if plan["return_sd"].isna().all():
        notes.append(
            "There are no intervals, because the run had no resampling: small gains may be chance. Set resampling."
        )
    else:
        notes.append("Intervals cover sampling only, not the choice of a model or of a response curve.")
    notes += _profit_notes(tables, objective)
    planned = scenarios[scenarios["kind"] == "plan"]
    unspent = planned["unspent"].max()
    if unspent > TOLERANCE * (planned["spend"] + planned["unspent"]).max():
        notes.append(f"Because of limits, up to {unspent:,.2f} of the total is not spent.")
    held = plan.loc[plan["binding"] == NOT_KNOWN, ["model", "channel"]]
    for model, rows in held.groupby("model", sort=False):
        notes.append(
            f"Under {model} the spend of {', '.join(rows['channel'])} stays as it is, because the effect is not known: "
            "test these channels before you move their money."
        )
    if left_out:
        notes.append(f"Not planned, because they have no spend today: {', '.join(left_out)}.")
    capacities = tables["budget_limits"]["limit"].loc[lambda names: names.str.startswith(CAPACITY)]
    if len(capacities):
        stage = capacities.iloc[0].removeprefix(CAPACITY).removeprefix(" of ")
        exceeds = (
            " If response curves bend more or less, the plan exceeds it." if scenarios["regret"].isna().any() else ""
        )
        counted = f"arrivals in {stage}" if stage else "conversions"
        notes.append(f"Capacity limits the {counted} credited to channels with spend.{exceeds}")
    if tables["budget"]["long_factor"].fillna(1.0).ne(1).any():
        notes.append("Long-run returns are assumptions, set in long_run.factors.")
    valid_until = plan["valid_until"].iloc[0]
    until = (
        f"The plan is valid until {valid_until}"
        if valid_until
        else "The data have no dates, so the plan has no end date"
    )
    notes.append(f"{until}. Its total is for a period as long as that of the data.")
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
            f"The additional spend does not pay back under {', '.join(loses['model'])}: under {first['model']}, "
            f"{first['spend'] - first['spend_today']:,.2f} more spend returns {first['gain']:,.2f}. Consider a "
            "smaller total."
        )
    low = plan[plan["marginal"] < 1]
    if len(low):
        channels = ", ".join(dict.fromkeys(low["channel"]))
        notes.append(
            f"Under at least one model, the last unit of spend does not pay back in {channels}. Consider less "
            "spend there."
        )
    return notes


def _drift_notes(drift: pd.DataFrame | None) -> list[str]:
    if drift is None:
        return []
    notes = []
    if drift["expired"].eq(True).any():
        notes.append(f"The earlier plan expired on {drift['valid_until'].iloc[0]}: use this one.")
    moved = drift[drift["status"].isin(MOVED)]
    if len(moved):
        channels = ", ".join(dict.fromkeys(moved["channel"]))
        notes.append(f"The earlier plan no longer holds: the returns of {channels} have changed. Use this one.")
    unknown = drift.loc[drift["status"] == "unknown", "channel"].nunique()
    if unknown:
        notes.append(
            f"Whether the earlier plan still holds is unknown for {pluralise(unknown, 'channel')}, because there "
            "are no intervals."
        )
    return notes
