"""Tables of a run that version 0.1.0 wrote, in the tables of today: what was merged is looked for where it is now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]


def migrate_tables(tables: Mapping[str, pd.DataFrame]) -> Tables:
    """Tables of format 1 as those of format 2; what format 2 has under the same name and columns stays.

    Parameters
    ----------
    tables : those of one folder, by name

    Examples
    --------
    >>> notes = pd.DataFrame({"note": ["Credit is allocated."]})
    >>> list(migrate_tables({"credit": pd.DataFrame(), "budget_notes": notes}))
    ['credit']
    """
    current = dict(tables)
    _migrate_budget(current)
    _migrate_funnel(current)
    return current


def _migrate_budget(tables: Tables) -> None:
    tables.pop("budget_notes", None)
    evidence, what_if, horizons, drift = (
        tables.pop(f"budget_{name}", None) for name in ("evidence", "what_if", "horizons", "drift")
    )
    if evidence is not None:
        scenarios = tables["budget_scenarios"]
        kinds = np.where(scenarios["scenario"] == "plan", "plan", "bend")
        short = scenarios["return_of_plan"] - scenarios["return"]
        parts = [scenarios.assign(kind=kinds, short_of_plan=short, breaks=None)]
        if what_if is not None:
            own = what_if[what_if["what_if"] != "plan"].rename(columns={"what_if": "scenario"})
            today = own["model"].map(evidence.set_index("model")["return_today"])
            kinds = np.where(own["scenario"] == "today", "today", "what_if")
            spent = own["model"].map(scenarios.drop_duplicates("model").set_index("model")["spend_today"])
            own = own.assign(kind=kinds, spend_today=spent, return_today=today, gain=own["return"] - today)
            parts.append(own.assign(return_of_plan=own["return"] + own["short_of_plan"]))
        names = ["run", "cost_basis", "data_start", "data_end", "valid_until", "level", "draws"]
        ground = evidence[["model", *names, "curves_fitted", "curves_assumed"]]
        tables["budget_scenarios"] = _stacked(parts).merge(ground, on="model", how="left")
    if "budget" in tables and "weight" not in tables["budget"]:
        parts = [tables["budget"].assign(weight=np.nan, long_objective=None, long_return=np.nan, long_factor=np.nan)]
        if horizons is not None:
            parts.append(horizons.assign(scenario=[f"long run {weight:.12g}" for weight in horizons["weight"]]))
        tables["budget"] = _stacked(parts)
    if drift is not None:
        now = drift.rename(columns={"expected": "training", "return": "recent"})
        moved = now["status"].isin(["above", "below", "new", "gone"])
        change = now["recent"] / now["training"].where(now["training"] > 0) - 1
        tables["drift"] = now.assign(measure="plan_return", change=change, drifted=moved)


def _migrate_funnel(tables: Tables) -> None:
    gains, returns, campaigns = (
        tables.pop(name, None) for name in ("bottlenecks", "funnel_returns", "funnel_campaigns")
    )
    if gains is None or returns is None:
        return
    funnel, credit = tables["funnel"], tables["funnel_credit"].assign(grain="channel", campaign=None)
    columns = ["wins_through", "elasticity", "wins_per_point", "value_per_point"]
    is_whole = gains["model"].isna()
    funnel = funnel.merge(gains.loc[is_whole, ["stage", *columns, "is_bottleneck"]], on="stage", how="left")
    tables["funnel"] = funnel.assign(is_bottleneck=funnel["is_bottleneck"].eq(True))
    credit = credit.merge(
        gains.loc[~is_whole, ["model", "stage", "channel", *columns]], on=["model", "stage", "channel"], how="left"
    )
    # The first stage that is not before the win is the win.
    won = returns.assign(stage=funnel["stage"].iloc[int(is_whole.sum())])
    ratios = ["roi", "full_roi", "expected_wins", "expected_value", "roi_if_expected"]
    keys = ["model", "stage", "channel"]
    parts = [credit.merge(won[[*keys, *ratios]], on=keys, how="left")]
    if campaigns is not None:
        estimand = credit.drop_duplicates("model").set_index("model")["estimand"]
        parts.append(campaigns.assign(grain="campaign", estimand=campaigns["model"].map(estimand)))
    tables["funnel_credit"] = _stacked(parts)


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows below each other; columns that are null in a whole part do not decide the type of a column."""
    columns = list(dict.fromkeys(name for part in parts for name in part))
    records = [row for part in parts for row in part.to_dict("records")]
    return pd.DataFrame(records, columns=columns)
