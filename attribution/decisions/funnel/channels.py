"""What is owed to which channel: cost per stage, rates, velocity and win rate, under every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from attribution.decisions.funnel.credit import StageCredit
from attribution.decisions.funnel.funnel_declared import FUNNEL_CAMPAIGNS, FUNNEL_CREDIT, FUNNEL_TOUCHES, empty_table
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import ENDS, PROGRESS, Progress, ends_of, rates_of
from attribution.returns import Terms
from attribution.returns.returns_tables import paid_of, ratio, spend_of, with_idle_channels


def funnel_credit(
    progress: Progress,
    credited: Sequence[StageCredit],
    terms: Terms,
    options: FunnelOptions,
    *,
    funnel: pd.DataFrame,
) -> pd.DataFrame:
    """The ``funnel_credit`` table; ``funnel`` says what an arrival in each stage is worth."""
    parts = [_of_stage(progress, stage, terms, options) for stage in credited if len(stage.credit)]
    if not parts:
        return empty_table(FUNNEL_CREDIT)
    table = pd.concat(parts, ignore_index=True)
    table["handling"] = handling_of(table, credited, progress, options)
    table["full_cost_per_arrival"] = ratio(table["_paid"] + table["handling"], table["credit"])
    table["worth"] = table["credit"] * table["stage"].map(funnel.set_index("stage")["value_per_arrival"])
    order = {model: place for place, model in enumerate(dict.fromkeys(table["model"]))}
    table = table.assign(_model=table["model"].map(order)).sort_values(["_model", "_stage"], kind="stable")
    return table[list(FUNNEL_CREDIT.column_names)].reset_index(drop=True)


def handling_of(
    table: pd.DataFrame, credited: Sequence[StageCredit], progress: Progress, options: FunnelOptions
) -> pd.Series:
    """What working the cases of each row in the stages before its own cost; null where none is told, or not of whom.

    Parameters
    ----------
    table : ``model``, ``channel``, ``stage``; a case costs in the name of who is credited with its arrival
    credited : the stages; one that a model is left out of leaves what came of it unknown
    progress, options : the stages in order, and what an arrival in each costs
    """
    if not options.costs:
        return pd.Series(np.nan, index=table.index)
    place = {name: position for position, name in enumerate(progress.stages)}
    own, keys = table["stage"].map(place), pd.MultiIndex.from_frame(table[["model", "channel"]])
    cost = pd.Series(0.0, index=table.index)
    for stage in credited:
        each = float(options.costs.get(progress.stages[stage.stage], 0.0))
        if each:
            arrivals = stage.credit.set_index(["model", "channel"])["conversions"].reindex(keys).fillna(0.0)
            is_known = table["model"].isin(set(stage.credit["model"]))
            here = (each * arrivals.reset_index(drop=True)).set_axis(table.index).where(is_known)
            cost += here.where(own > stage.stage, 0.0)
    return cost


def _of_stage(progress: Progress, credited: StageCredit, terms: Terms, options: FunnelOptions) -> pd.DataFrame:
    cost_basis = options.cost_basis or terms.options.cost_basis
    # What conversions are worth beside their value is none of an arrival's business.
    table = with_idle_channels(credited.credit, replace(terms, measures=frozenset()))
    if credited.credit["value"].isna().all():
        table["value"] = np.nan
    table["spend"] = spend_of(table, terms, cost_basis)
    table["_paid"] = paid_of(table, terms, cost_basis)
    table["cost_per_arrival"] = ratio(table["_paid"], table["conversions"])
    keys = ["model", "channel"]
    parts = [
        _fared(progress, handed, ["channel"], options.level).assign(model=label)
        for label, handed in credited.allocated.items()
    ]
    if parts:
        table = table.merge(pd.concat(parts, ignore_index=True).drop(columns="credit"), on=keys, how="left")
    else:
        table[_FARED] = np.nan
    table["quality_credit"] = table["quality"] * table["conversions"] * table.pop("known_quality")
    return table.rename(columns={"conversions": "credit"}).assign(
        stage=progress.stages[credited.stage], _stage=credited.stage
    )


_FARED = [*PROGRESS, *ENDS, "quality", "known_quality"]


def _fared(progress: Progress, handed: pd.DataFrame, keys: list[str], level: float) -> pd.DataFrame:
    """How arrivals fare that were handed out, by ``keys``, each counted as far as it was."""
    rows = []
    for names, part in handed.groupby(keys, dropna=False, sort=True):
        own = part.groupby("arrival", sort=True)["credit"].sum()
        arrivals, weight = progress.table.loc[own.index], own.to_numpy()
        quality = arrivals["quality"].to_numpy()
        known = ~np.isnan(quality)
        total = weight.sum()
        of_known = weight[known].sum()
        rows.append(
            {
                **dict(zip(keys, names, strict=True)),
                "credit": total,
                **rates_of(progress, arrivals, weight),
                **ends_of(progress, arrivals, weight, level),
                "quality": float((weight * quality)[known].sum() / of_known) if of_known > 0 else np.nan,
                "known_quality": float(of_known / total) if total > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=[*keys, "credit", *_FARED])


def funnel_campaigns(progress: Progress, credited: Sequence[StageCredit], level: float) -> pd.DataFrame | None:
    """The ``funnel_campaigns`` table; None where touchpoints name no campaign."""
    parts = [
        _fared(progress, handed[handed["was_in"].notna() & _is_touched(handed)], ["channel", "campaign"], level).assign(
            model=label, stage=progress.stages[stage.stage]
        )
        for stage in credited
        for label, handed in stage.allocated.items()
        if "campaign" in stage.journeys.dimensions.names
    ]
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True)
    order = {model: place for place, model in enumerate(dict.fromkeys(table["model"]))}
    table = table.assign(_model=table["model"].map(order)).sort_values("_model", kind="stable")
    return table[list(FUNNEL_CAMPAIGNS.column_names)].reset_index(drop=True)


def _is_touched(handed: pd.DataFrame) -> pd.Series:
    return ~handed["channel"].str.startswith("(")


def funnel_touches(progress: Progress, won: StageCredit | None) -> pd.DataFrame:
    """The ``funnel_touches`` table: in which stage the touchpoints met the customers whom they won."""
    if won is None or not won.allocated:
        return empty_table(FUNNEL_TOUCHES)
    parts = []
    for label, handed in won.allocated.items():
        credit = handed.groupby(["was_in", "channel"], as_index=False)["credit"].sum()
        parts.append(won.touched.merge(credit, on=["was_in", "channel"]).assign(model=label))
    table = pd.concat(parts, ignore_index=True)
    names = np.array([*progress.stages, None], dtype=object)
    table["stage"] = names[table["was_in"].to_numpy(np.int64)]
    return table.astype({"touchpoints": np.int64})[list(FUNNEL_TOUCHES.column_names)]
