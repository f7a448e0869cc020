"""What is owed to which channel: cost per stage, rates, velocity and win rate, under every model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from attribution.decisions.funnel.credit import StageCredit
from attribution.decisions.funnel.funnel_declared import FUNNEL_CREDIT, FUNNEL_TOUCHES, empty_table
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import ENDS, PROGRESS, Progress, ends_of, rates_of
from attribution.decisions.funnel.stages import GAINS, Wins, average_win, wins_of
from attribution.returns import Terms
from attribution.returns.returns_tables import paid_of, ratio, with_idle_channels
from attribution.schema.tables import NO_CHANNELS


def funnel_credit(
    progress: Progress,
    credited: Sequence[StageCredit],
    terms: Terms,
    options: FunnelOptions,
    *,
    returns: pd.DataFrame,
    funnel: pd.DataFrame,
    pipeline: pd.DataFrame,
) -> pd.DataFrame:
    """The ``funnel_credit`` table: channels as a whole and, where touchpoints name any, the campaigns in them.

    Parameters
    ----------
    progress, credited, terms, options : all arrivals, their credit stage by stage, and what spend counts
    returns : says what each channel spent; by that it is the same in every stage
    funnel : says what an arrival in each stage is worth
    pipeline : says what is expected of open cases
    """
    if not any(len(stage.credit) for stage in credited):
        return empty_table(FUNNEL_CREDIT)
    wins = wins_of(progress)
    channels = pd.concat(
        [_of_channels(progress, wins, stage, (terms, returns), options) for stage in credited if len(stage.credit)],
        ignore_index=True,
    )
    channels["handling"] = handling_of(channels, credited, progress, options)
    channels["full_cost_per_arrival"] = ratio(channels["_paid"] + channels["handling"], channels["credit"])
    channels = _with_returns(channels, pipeline, options.won_at).assign(grain="channel", campaign=None)
    campaigns = (part for stage in credited for part in _of_campaigns(progress, wins, stage, options.level))
    table = pd.concat([channels, *campaigns], ignore_index=True)
    table["worth"] = table["credit"] * table["stage"].map(funnel.set_index("stage")["value_per_arrival"])
    table["value_per_point"] = table["wins_per_point"] * average_win(progress)
    table["quality_credit"] = table["quality"] * table["credit"] * table["known_quality"]
    order = {model: position for position, model in enumerate(dict.fromkeys(table["model"]))}
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
    positions = {name: position for position, name in enumerate(progress.stages)}
    own, keys = table["stage"].map(positions), pd.MultiIndex.from_frame(table[["model", "channel"]])
    cost = pd.Series(0.0, index=table.index)
    for stage in credited:
        each = float(options.costs.get(progress.stages[stage.stage], 0.0))
        if each:
            arrivals = stage.credit.set_index(["model", "channel"])["conversions"].reindex(keys).fillna(0.0)
            is_known = table["model"].isin(set(stage.credit["model"]))
            here = (each * arrivals.reset_index(drop=True)).set_axis(table.index).where(is_known)
            cost += here.where(own > stage.stage, 0.0)
    return cost


def _of_channels(
    progress: Progress, wins: Wins, credited: StageCredit, money: tuple[Terms, pd.DataFrame], options: FunnelOptions
) -> pd.DataFrame:
    terms, returns = money
    cost_basis = options.cost_basis or terms.options.cost_basis
    # What conversions are worth beside their value is none of an arrival's business.
    table = with_idle_channels(credited.credit, replace(terms, measures=frozenset()))
    if credited.credit["value"].isna().all():
        table["value"] = np.nan
    # What is shared by credit is shared by that of conversions: arrivals of a stage change no spend, and may be none.
    rows = returns[(returns["cost_basis"] == cost_basis) & (returns["basis"] == returns["basis"].iloc[0])]
    spend = rows.set_index(["model", "channel"])["spend"]
    table["spend"] = spend.reindex(pd.MultiIndex.from_frame(table[["model", "channel"]])).to_numpy()
    table["_paid"] = paid_of(table, terms, cost_basis)
    table["cost_per_arrival"] = ratio(table["_paid"], table["conversions"])
    parts = [
        _follow_arrivals(progress, wins, allocated, ["channel"], options.level).assign(model=label)
        for label, allocated in credited.allocated.items()
    ]
    if parts:
        fared = pd.concat(parts, ignore_index=True).drop(columns="credit")
        table = table.merge(fared, on=["model", "channel"], how="left")
    else:
        table[_FARED] = np.nan
    return table.rename(columns={"conversions": "credit"}).assign(
        stage=progress.stages[credited.stage], _stage=credited.stage
    )


def _with_returns(table: pd.DataFrame, pipeline: pd.DataFrame, won_at: int) -> pd.DataFrame:
    """ROI on what is won, and what it were if open cases came as expected; null in all stages but that of wins.

    A model that credits no win has no such row; what it says of open cases is in ``pipeline``.
    """
    measures = ["expected_wins", "expected_value"]
    expected = pipeline.groupby(["model", "channel"], sort=False)[measures].sum(min_count=1).reset_index()
    table = table.merge(expected, on=["model", "channel"], how="left")
    is_win = table["_stage"] == won_at
    value, spend, paid = (table[name].where(is_win) for name in ("value", "spend", "_paid"))
    table["roi"] = ratio(value - spend, paid)
    table["full_roi"] = ratio(value - spend - table["handling"], paid + table["handling"])
    table["roi_if_expected"] = ratio(value + table["expected_value"].fillna(0.0) - spend, paid)
    table["expected_wins"] = table["expected_wins"].fillna(0.0)
    table[measures] = table[measures].where(is_win)
    return table


def _of_campaigns(progress: Progress, wins: Wins, credited: StageCredit, level: float) -> Iterator[pd.DataFrame]:
    """Campaigns as rows of their own, model by model; touchpoints that name none are one part of their channel."""
    if "campaign" not in credited.journeys.dimensions.names:
        return
    estimand = credited.credit.drop_duplicates("model").set_index("model")["estimand"]
    for label, allocated in credited.allocated.items():
        touched = allocated[~allocated["channel"].isin(NO_CHANNELS)]
        if len(touched):
            yield _follow_arrivals(progress, wins, touched, ["channel", "campaign"], level).assign(
                model=label,
                estimand=estimand[label],
                grain="campaign",
                stage=progress.stages[credited.stage],
                _stage=credited.stage,
            )


_FARED = [*PROGRESS, *ENDS, *GAINS, "quality", "known_quality"]


def _follow_arrivals(
    progress: Progress, wins: Wins, allocated: pd.DataFrame, keys: list[str], level: float
) -> pd.DataFrame:
    """How arrivals fare that were allocated, by ``keys``, each counted as far as it was."""
    rows = []
    for names, part in allocated.groupby(keys, dropna=False, sort=True):
        own = part.groupby("arrival", sort=True)["credit"].sum()
        arrivals, weight = progress.table.loc[own.index], own.to_numpy()
        quality = arrivals["quality"].to_numpy()
        has_quality = ~np.isnan(quality)
        total = weight.sum()
        of_known = weight[has_quality].sum()
        rates = rates_of(progress, arrivals, weight)
        through = float((weight * wins.of_arrival.loc[own.index].to_numpy()).sum())
        stage = int(arrivals["stage"].iloc[0])
        rows.append(
            {
                **dict(zip(keys, names, strict=True)),
                "credit": total,
                **rates,
                **ends_of(progress, arrivals, weight, level),
                **wins.gains_of(stage, total, rates["rate_to_next"], through),
                "quality": float((weight * quality)[has_quality].sum() / of_known) if of_known > 0 else np.nan,
                "known_quality": float(of_known / total) if total > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=[*keys, "credit", *_FARED])


def funnel_touches(progress: Progress, won: StageCredit | None) -> pd.DataFrame:
    """The ``funnel_touches`` table: in which stage the touchpoints met the customers whom they won."""
    if won is None or not won.allocated:
        return empty_table(FUNNEL_TOUCHES)
    parts = []
    for label, allocated in won.allocated.items():
        credit = allocated.groupby(["was_in", "channel"], as_index=False)["credit"].sum()
        parts.append(won.touched.merge(credit, on=["was_in", "channel"]).assign(model=label))
    table = pd.concat(parts, ignore_index=True)
    names = np.array([*progress.stages, None], dtype=object)
    table["stage"] = names[table["was_in"].to_numpy(np.int64)]
    return table.astype({"touchpoints": np.int64})[list(FUNNEL_TOUCHES.column_names)]
