"""What a budget starts from: spend and return of every channel today, under every model, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.decisions.budget.budget_options import BudgetOptions, Objective
from attribution.decisions.budget.limits import Limits
from attribution.decisions.budget.response import Response
from attribution.errors import InputError, did_you_mean
from attribution.kernels.budget.problem import Problem
from attribution.kernels.statistics.intervals import percentile
from attribution.returns import is_known
from attribution.schema.tables import CAUSED, NO_CHANNELS

Floats = NDArray[np.float64]
Row = dict[str, object]

_HINTS = {
    "margin": "set returns.margin, such as 0.4, or add a column 'margin' to conversions",
    "ltv": "set returns.margin, and set returns.ltv or add a column 'ltv' to conversions",
}


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes
    ----------
    label, estimand : of the model
    channels : those with spend, the same under every model
    spend, returns : (channels,) today, the latter in the unit of the objective
    load : (channels,) conversions today, of which a capacity allows so many
    draws : (draws, channels) of ``returns``; None without resampling
    level : coverage of intervals
    is_known : (channels,) whether the model can tell the effect of a channel: no money is moved on what it cannot
    """

    label: str
    estimand: str
    channels: tuple[str, ...]
    spend: Floats
    returns: Floats
    load: Floats
    draws: Floats | None
    level: float
    is_known: NDArray[np.bool_]

    def problem(self, response: Response, limits: Limits, options: BudgetOptions) -> Problem:
        """What is to be decided under this model."""
        n = len(self.returns)
        covariance = np.zeros((n, n)) if self.draws is None else np.cov(self.draws.T, ddof=1).reshape(n, n)
        return Problem(
            response.curves,
            self.returns,
            covariance,
            options.risk_aversion,
            limits.low,
            limits.high,
            limits.rows,
            limits.row_low,
            limits.row_high,
            self.load,
            np.inf if options.capacity is None else options.capacity,
        )

    def ends(self, growth: Floats) -> tuple[float, float]:
        """Interval of the return of all channels, each grown by ``growth`` (channels,); nan without draws."""
        if self.draws is None:
            return np.nan, np.nan
        low, high = percentile((self.draws @ growth)[:, None], self.level)[:, 0]
        return float(low), float(high)

    def ends_of_channels(self, growth: Floats) -> Floats:
        """(2, channels) intervals of their returns; nan without draws, and where the model cannot tell."""
        if self.draws is None:
            return np.full((2, len(growth)), np.nan)
        return np.where(self.is_known, percentile(self.draws * growth, self.level), np.nan)


def find_cases(
    returns: pd.DataFrame,
    options: BudgetOptions,
    *,
    unit_economics: pd.DataFrame | None = None,
    stage_credit: pd.DataFrame | None = None,
    draws: Mapping[str, pd.DataFrame] | None = None,
    level: float = 0.9,
) -> list[Case]:
    """Every model of a ``returns`` table, with the channels that have spend of their own under all of them.

    Raises
    ------
    InputError
        If nothing has spend, the objective is not known, or nothing is returned.
    """
    if options.risk_aversion and not draws:
        raise InputError("budget.risk_aversion needs resampling", hint="set resampling in the experiment")
    rows = objective_rows(returns, options.objective, unit_economics)
    if options.capacity_stage is not None:
        # What channels caused is told of conversions, and of no other stage.
        rows = rows[rows["model"] != CAUSED]
    channels = _spending_channels(rows)
    cases = []
    for label, every in rows.groupby("model", sort=False):
        own = every.set_index("channel").loc[channels]
        own_draws = draws[str(label)][channels].to_numpy(float) if draws else None
        _check_numbers(own)
        volume = own["conversions"]
        if options.capacity_stage is not None:
            volume = _arrivals(stage_credit, options.capacity_stage, str(label)).reindex(channels, fill_value=0.0)
        load = np.maximum(volume.to_numpy(float), 0.0)
        money, amount = own["spend"].to_numpy(float), own["amount"].to_numpy(float)
        estimand = str(own["estimand"].iloc[0])
        has_effect = is_known(own).to_numpy()
        cases.append(Case(str(label), estimand, tuple(channels), money, amount, load, own_draws, level, has_effect))
    if not any(case.returns.any() for case in cases):
        raise InputError(
            f"budget: no channel with spend returns any {options.objective.replace('_', ' ')} under any model",
            hint="add a column value to the conversions table, or set objective = 'conversions'",
        )
    return cases


def objective_rows(
    returns: pd.DataFrame, objective: Objective, unit_economics: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The rows of ``returns`` for an objective, with its ``amount``, on the costs that channels are ranked by.

    Raises
    ------
    InputError
        If the objective is not known.
    """
    if returns.empty:
        raise InputError("budget: no channel has spend, so there is nothing to start from", hint="give a costs table")
    first = returns.iloc[0]
    by_value = objective in ("revenue", "margin", "ltv")
    basis = objective if by_value else first["basis"]
    rows = returns[(returns["basis"] == basis) & (returns["cost_basis"] == first["cost_basis"])]
    if rows.empty:
        raise InputError(f"budget.objective = {objective!r}, which is unknown", hint=_HINTS[objective])
    if objective != "new_customers":
        return rows.assign(amount=rows["value" if by_value else "conversions"])
    if unit_economics is None:
        raise InputError("budget.objective = 'new_customers' needs unit_economics", hint="output.unit_economics = true")
    new_customers = unit_economics.drop_duplicates(["model", "channel"])[["model", "channel", "new_customers"]]
    # NO_CHANNELS are no rows of that table, and have no spend.
    return rows.merge(new_customers, on=["model", "channel"], how="left").rename(columns={"new_customers": "amount"})


def _arrivals(stage_credit: pd.DataFrame | None, stage: str, label: str) -> pd.Series:
    """Credited arrivals in a stage of the funnel, by channel."""
    if stage_credit is None:
        raise InputError(f"budget.capacity_stage = {stage!r} needs a funnel with that stage")
    stages = list(dict.fromkeys(stage_credit["stage"]))
    if stage not in stages:
        raise InputError(
            f"budget.capacity_stage: {stage!r} is not a stage of the funnel",
            allowed=stages,
            hint=did_you_mean(stage, stages),
        )
    of_stage = (stage_credit["stage"] == stage) & (stage_credit["model"] == label)
    rows = stage_credit[of_stage & (stage_credit["grain"] == "channel")]
    return rows.set_index("channel")["credit"]


def _check_numbers(own: pd.DataFrame) -> None:
    wrong = ~np.isfinite(own[["spend", "amount", "conversions"]].to_numpy(float)).all(axis=1)
    if wrong.any():
        name = own.index[int(np.flatnonzero(wrong)[0])]
        channel_and_model = f"{name!r} under {own['model'].iloc[0]}"
        raise InputError("budget: spend or return of a channel is not a finite number", given=channel_and_model)


def _spending_channels(rows: pd.DataFrame) -> list[str]:
    """In the order of the table; a share of what others cost is no spend of one's own, and leaves ROI null."""
    is_paid = (rows["spend"] > 0) & (rows["roi"].notna() | ~is_known(rows))
    own = rows[is_paid & ~rows["channel"].isin(NO_CHANNELS)]
    models = rows["model"].nunique()
    under = own.groupby("channel", sort=False)["model"].nunique()
    channels = [channel for channel in dict.fromkeys(own["channel"]) if under[channel] == models]
    if not channels:
        raise InputError("budget: no channel has spend, so there is nothing to start from", hint="give a costs table")
    return channels


def without_spend(returns: pd.DataFrame, channels: Sequence[str]) -> tuple[str, ...]:
    """Channels with credit that are none of ``channels``."""
    credited = returns[~returns["channel"].isin([*NO_CHANNELS, *channels]) & (returns["conversions"] > 0)]
    return tuple(dict.fromkeys(credited["channel"]))
