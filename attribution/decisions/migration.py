"""Tables of a run that version 0.1.0 wrote, in the tables of today: what was merged is looked for where it is now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.decisions.diagnosis.diagnosis_declared import ROI_SLICES, TASKS
from attribution.models.order import held_out_table
from attribution.models.saved.earlier import INTERVALS, add_ends, merge_intervals
from attribution.returns import ALL_TYPES, main_basis
from attribution.returns.ranking import compare_rankings
from attribution.returns.returns_declared import COST_SENSITIVITY, UNIT_ECONOMICS
from attribution.schema.tables import PUBLISHED_CREDIT
from attribution.schema.tables.roi_parts import REST, ROI_PARTS
from attribution.uncertainty.intervals_declared import ALL_MODELS, DIFFERENCES, RANK_PROBABILITY
from attribution.uncertainty.sensitivity.spread import ORDER

Tables = dict[str, pd.DataFrame]

_CHANCE = {
    "credit": (
        "chance_conversions",
        "chance_value",
        "beyond_conversions",
        "beyond_conversions_low",
        "beyond_conversions_high",
    ),
    "returns": ("roi_beyond_chance",),
    "placebo": ("conversions_low", "conversions_high", "chance_conversions", "beyond", "passes"),
}
_COSTS = list(COST_SENSITIVITY.column_names)
_JUDGED = ["spend", "roi", "roi_low", "roi_high", "break_even_roas", "basis", "cost_basis", "estimand"]


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
    current = merge_intervals(tables)
    _migrate_published(current, tables.get(INTERVALS))
    _migrate_orders(current)
    _migrate_pairs(current)
    _migrate_ranks(current)
    _migrate_budget(current)
    _migrate_costs(current)
    _migrate_waste(current)
    _migrate_agreement(current)
    _migrate_roi_parts(current)
    _migrate_funnel(current)
    _migrate_economics(current)
    _migrate_chance(current)
    _migrate_known(current)
    _migrate_words(current)
    return current


def _migrate_words(tables: Tables) -> None:
    """What slices touched was counted in journeys; pairs had a word for the sign of their interaction."""
    slices, pairs = tables.get("roi_slices"), tables.get("interactions")
    if slices is not None and "reach" not in slices:
        slices = slices.rename(columns={"journeys": "reach"}).assign(expected=np.nan, beyond_chance=np.nan)
        tables["roi_slices"] = slices[list(ROI_SLICES.column_names)]
    if pairs is not None and "kind" in pairs:
        tables["interactions"] = pairs.drop(columns="kind")


def _migrate_chance(tables: Tables) -> None:
    """Credit and placebo of earlier runs were not held against chance: the columns are there, and null."""
    for name, columns in _CHANCE.items():
        if name in tables and "model" in tables[name]:
            missing = [column for column in columns if column not in tables[name]]
            tables[name] = tables[name].assign(**dict.fromkeys(missing, np.nan)) if missing else tables[name]


def _migrate_known(tables: Tables) -> None:
    """Earlier runs did not say whether a model can tell the effect of a channel: each number is taken as it stands."""
    for name in ("credit", "returns"):
        if name in tables and "model" in tables[name] and "is_known" not in tables[name]:
            tables[name] = tables[name].assign(is_known=True)


def _migrate_published(tables: Tables, intervals: pd.DataFrame | None) -> None:
    reconciled, effects = (tables.pop(name, None) for name in ("reconciliation", "removal_effects"))
    parts = [part for part in (reconciled, effects) if part is not None and not part.empty]
    if not parts:
        return
    table = tables["credit"][["model", "channel", "conversions"]]
    for part in parts:
        table = table.merge(part.rename(columns={"handed_out": "allocated"}), on=["model", "channel"], how="left")
    table = table.reindex(columns=["conversions", *PUBLISHED_CREDIT.column_names])
    table = table[table[["published", "removal_effect"]].notna().any(axis=1)].reset_index(drop=True)
    table = table.assign(
        published=table["published"].fillna(table["conversions"]), group=table["group"].astype("Int64")
    )
    table = add_ends(table, intervals, ("removal_effect", "removal_effect_value"))
    tables["published_credit"] = table[list(PUBLISHED_CREDIT.column_names)]


def _migrate_orders(tables: Tables) -> None:
    """Orders that were tried come before what else was scored; a chain that chose its order stood in both tables."""
    tried, scored = tables.pop("order_selection", None), tables.get("held_out")
    parts = [] if tried is None else [tried.assign(per="step")]
    if scored is not None:
        parts.append(scored if tried is None else scored[~scored["model"].isin(tried["model"])])
    if parts:
        tables["held_out"] = held_out_table(parts)


def _migrate_pairs(tables: Tables) -> None:
    """Each pair of channels once, with the difference of what the run ranked them by; models and swaps below them."""
    pairs, models, swaps = (
        tables.pop(name, None) for name in ("pairwise_probability", "model_differences", "rank_swaps")
    )
    parts = []
    if pairs is not None:
        once = pairs[pairs["channel_a"] < pairs["channel_b"]].rename(columns={"model": "model_a", "by": "measure"})
        rows = main_basis(tables["returns"]).set_index(["model", "channel"])
        ends = [once[["model_a", f"channel_{side}"]].apply(tuple, axis=1) for side in "ab"]
        measures = once["measure"].to_numpy()
        a, b = ([rows.at[key, name] for key, name in zip(keys, measures, strict=True)] for keys in ends)
        parts.append(once.assign(model_b=once["model_a"], difference=np.subtract(a, b)))
    if models is not None:
        parts.append(models.assign(channel_a=models["channel"], channel_b=models["channel"]))
    if swaps is not None:
        parts.append(swaps.assign(measure=ORDER, difference=swaps["above_a"] - swaps["above_b"]))
    if parts:
        tables["differences"] = _stack(parts).reindex(columns=list(DIFFERENCES.column_names))


def _migrate_ranks(tables: Tables) -> None:
    """Ranks over all models and specifications stand below those of a model.

    Verdicts that took credit for what was caused are left out: nobody should act on them any more.
    """
    ranks, joint = tables.get("rank_probability"), tables.pop("joint_rank_probability", None)
    if ranks is not None and "estimand" not in ranks:
        estimands = tables["credit"].drop_duplicates("model").set_index("model")["estimand"]
        parts = [ranks.assign(estimand=ranks["model"].map(estimands), least=np.nan, most=np.nan)]
        if joint is not None:
            parts.append(joint.assign(model=ALL_MODELS))
        tables["rank_probability"] = _stack(parts)[list(RANK_PROBABILITY.column_names)]
    if "verdicts" in tables and "basis" not in tables["verdicts"]:
        del tables["verdicts"]


def _migrate_economics(tables: Tables) -> None:
    """How many draws had no customer was not written: where there was one such draw there was no interval."""
    table = tables.get("unit_economics")
    if table is not None and "cac_empty_draws" not in table:
        table = table.assign(cpa_empty_draws=np.nan, cac_empty_draws=np.nan)
        tables["unit_economics"] = table.reindex(columns=list(UNIT_ECONOMICS.column_names))


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
        tables["budget_scenarios"] = _stack(parts).merge(ground, on="model", how="left")
    if "budget" in tables and "weight" not in tables["budget"]:
        parts = [tables["budget"].assign(weight=np.nan, long_objective=None, long_return=np.nan, long_factor=np.nan)]
        if horizons is not None:
            parts.append(horizons.assign(scenario=[f"long run {weight:.12g}" for weight in horizons["weight"]]))
        tables["budget"] = _stack(parts)
    if drift is not None:
        now = drift.rename(columns={"expected": "training", "return": "recent"})
        moved = now["status"].isin(["above", "below", "new", "gone"])
        change = now["recent"] / now["training"].where(now["training"] > 0) - 1
        tables["drift"] = now.assign(measure="plan_return", change=change, drifted=moved)


def _migrate_costs(tables: Tables) -> None:
    coverage, bounds = (tables.pop(f"cost_{name}", None) for name in ("coverage", "bounds"))
    if coverage is None and bounds is None:
        return
    parts, borne = [], tables.pop("cost_sensitivity", None)
    if coverage is not None:
        returns = tables["returns"]
        ranked = returns[["model", "estimand", "basis"]].drop_duplicates("model").assign(cost_basis="loaded")
        own = ranked.merge(coverage.rename(columns={"amount": "own", "share": "own_share"}), how="cross")
        if borne is not None:
            # Its intervals were those of returns, where they still are.
            borne = borne.drop(columns=["roi_low", "roi_high"])
            own = own.merge(borne, on=["model", "channel", "cost_type"], how="left")
        parts.append(own)
    if bounds is not None:
        spend = {f"spend{end}": f"amount{end}" for end in ("", "_low", "_high")}
        share = (bounds["spend"] / bounds["spend"]).where(bounds["spend"] > 0)
        parts.append(bounds.rename(columns=spend).assign(cost_type=ALL_TYPES, is_known=True, share=share))
    tables["cost_sensitivity"] = _stack([part.reindex(columns=_COSTS) for part in parts])


def _migrate_waste(tables: Tables) -> None:
    wasted = tables.pop("wasted_spend", None)
    if "tasks" not in tables or "roi_low" in tables["tasks"]:
        return
    tasks = tables["tasks"]
    parts = [pd.DataFrame(columns=["kind", "dimension", "slice", "model", *_JUDGED])]
    if wasted is not None:
        judged = wasted.rename(columns={"channel": "slice"})[["slice", "model", *_JUDGED]].assign(dimension="channel")
        parts += [judged.assign(kind=kind) for kind in ("wasted_spend", "spend_below_break_even")]
    if "roi_slices" in tables:
        names = ["dimension", "slice", "model", "spend", "roi"]
        parts.append(tables["roi_slices"][names].assign(kind="lagging_slice"))
    numbers = tasks.merge(_stack(parts), on=["kind", "dimension", "slice", "model"], how="left")
    tables["tasks"] = numbers.reindex(columns=list(TASKS.column_names))


def _migrate_agreement(tables: Tables) -> None:
    before = tables.get("agreement")
    if before is not None and "channels" not in before:
        now = compare_rankings(tables["returns"]).agreement
        keys = ["specification_a", "model_a", "specification_b", "model_b", "channels"]
        tables["agreement"] = before.merge(now[keys], on=["model_a", "model_b"], how="left")[list(now)]


def _migrate_roi_parts(tables: Tables) -> None:
    gaps = tables.pop("roi_gaps", None)
    if gaps is not None:
        gaps = gaps.rename(columns={"rest": "reference"}).assign(compared_with=REST, model_before=None)
        tables["roi_parts"] = gaps.assign(total_change=np.nan)[list(ROI_PARTS.column_names)]


def _migrate_funnel(tables: Tables) -> None:
    if "conversion_rates" in tables:
        tables["conversion_rates"] = tables["conversion_rates"].rename(columns={"place": "touch_position"})
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
    tables["funnel_credit"] = _stack(parts)


def _stack(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows below each other; columns that are null in a whole part do not decide the type of a column."""
    columns = list(dict.fromkeys(name for part in parts for name in part))
    records = [row for part in parts for row in part.to_dict("records")]
    return pd.DataFrame(records, columns=columns)
