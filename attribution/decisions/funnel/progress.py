"""What became of every arrival: moved on, won, lost, or still open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.decisions.funnel.arrivals import Arrivals
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.journeys import DAY
from attribution.kernels.statistics.incidence import (
    LOST,
    MOVED,
    STILL_OPEN,
    Incidence,
    cumulative_incidence,
    weighted_median,
)
from attribution.kernels.statistics.intervals import weighted_wilson, wilson_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Progress:
    """Arrivals and what became of them.

    Attributes
    ----------
    table : the rows of `Arrivals.table` with ``outcome`` (`MOVED`, `LOST`, `STILL_OPEN`), ``next_stage`` (−1 for
        none) and ``days_to_next``, ``is_won`` and ``days_to_win``, ``age`` (days at risk), ``from_stage`` (the
        highest earlier stage of the same case, −1 for none) and ``is_out_of_order``. Days are null where there is
        none, or where the dates run backwards.
    stages : of the funnel, in order
    won_at : position of the one that is a win
    findings : what is suspicious about the order of stages
    """

    table: pd.DataFrame
    stages: tuple[str, ...]
    won_at: int
    findings: tuple[Finding, ...]

    def of(self, stage: int) -> pd.DataFrame:
        """The arrivals in one stage."""
        return self.table[self.table["stage"] == stage]

    @property
    def last(self) -> int:
        """Position of the last stage, after which there is nothing to move on to."""
        return len(self.stages) - 1


def follow(arrivals: Arrivals, options: FunnelOptions) -> Progress:
    """Find out what became of every arrival.

    Two arrivals belong to one case if they are of one customer, and of one deal unless one of them is of no deal:
    a lead who became two deals moved on, and both deals come from it. What counts is the order of stages; where
    dates run against it, the arrival still counts as moved on, and its days are unknown.
    """
    table = arrivals.table.copy()
    pairs = belonging(table, table)
    later = pairs[pairs["stage"] > pairs["stage_of"]]
    won = pairs[pairs["stage"] >= options.won_at].groupby("row_of")["at"].min()
    ahead = later.groupby("row_of")
    table["next_stage"] = ahead["stage"].min().reindex(table.index).fillna(-1).astype(np.int64)
    table["from_stage"] = later.groupby("row")["stage_of"].max().reindex(table.index).fillna(-1).astype(np.int64)
    table["days_to_next"] = (ahead["at"].min().reindex(table.index) - table["at"]) / DAY
    table["is_won"] = won.reindex(table.index).notna()
    table["days_to_win"] = (won.reindex(table.index) - table["at"]) / DAY
    table["is_out_of_order"] = table["days_to_next"] < 0
    table = _with_outcome(table, arrivals, options)
    return Progress(table, options.stages, options.won_at, tuple(_findings(table, later, options)))


def belonging(rows: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Pairs of rows of one case: ``row_of`` of ``rows`` and ``row`` of ``candidates``, with stage and time of both."""
    columns = [name for name in ("customer", "deal_id", "stage", "at") if name in candidates]
    a = rows[["customer", "deal_id", "stage", "at"]].rename_axis("row_of").reset_index()
    b = candidates[columns].rename_axis("row").reset_index()
    pairs = a.merge(b, on="customer", suffixes=("_of", ""))
    same = (pairs["deal_id_of"] == pairs["deal_id"]) | (pairs["deal_id_of"] == "") | (pairs["deal_id"] == "")
    return pairs[same]


def _with_outcome(table: pd.DataFrame, arrivals: Arrivals, options: FunnelOptions) -> pd.DataFrame:
    """Outcome and days at risk; lost is what was said to be, or has not moved for too long."""
    open_days = (arrivals.end - table["at"]) / DAY
    lost = belonging(table, arrivals.lost.assign(stage=-1))
    # A case that was given up and came back was not lost then.
    lost = lost[lost["at"] >= lost["at_of"]].groupby("row_of")["at"].min().reindex(table.index)
    lost_days = (lost - table["at"]) / DAY
    if options.window_days is not None:
        lost_days = lost_days.fillna(np.inf).clip(upper=options.window_days)
        lost_days = lost_days.where(lost_days <= open_days)
    moved = table["next_stage"] >= 0
    outcome = np.where(moved, MOVED, np.where(lost_days.notna(), LOST, STILL_OPEN))
    age = np.where(moved, table["days_to_next"].clip(lower=0), np.where(lost_days.notna(), lost_days, open_days))
    for name in ("days_to_next", "days_to_win"):
        table[name] = table[name].where(table[name] >= 0)
    return table.assign(outcome=outcome, age=age)


def _findings(table: pd.DataFrame, later: pd.DataFrame, options: FunnelOptions) -> list[Finding]:
    backwards = later[later["at"] < later["at_of"]]
    example = None
    if len(backwards):
        first = backwards.iloc[0]
        names = options.stages[int(first["stage"])], options.stages[int(first["stage_of"])]
        example = f"{table.at[first['row_of'], 'customer_id']}: {names[0]} before {names[1]}"
    message = (
        "arrivals dated after an arrival in a later stage (counted as moved on; the days between are not counted): "
        "correct the dates"
    )
    broken = count_finding(
        "stage_order", "stages", backwards["row_of"].nunique(), message, total=len(table), example=example
    )
    skipped = int((table["stage"] - table["from_stage"] > 1).sum())
    text = "arrivals without an arrival in the stage before (it was skipped or not recorded)"
    return [broken, Finding("stage_skipped", "stages", "pass", skipped, len(table), None, text)]


PROGRESS = (
    *("rate_to_next", "rate_matured", "median_days_to_next", "median_days_of_all"),
    *("win_rate", "median_days_to_win", "open_share"),
)
"""What arrivals come to, in all tables alike."""


def rates_of(progress: Progress, rows: pd.DataFrame, weight: Floats | None = None) -> dict[str, float]:
    """Rates, velocity and maturity of arrivals in one stage.

    Parameters
    ----------
    progress : of all arrivals
    rows : some rows of its table, all of one stage
    weight : (rows,) how much each counts; one each unless given
    """
    weights = np.ones(len(rows)) if weight is None else weight
    total = weights.sum()
    if not total > 0:
        return dict.fromkeys(PROGRESS, np.nan)
    stage = int(rows["stage"].iloc[0])
    outcome = rows["outcome"].to_numpy()
    rates = dict.fromkeys(PROGRESS, np.nan)
    if stage < progress.last:
        in_the_end = cumulative_incidence(rows["age"].to_numpy(), outcome, weights)
        rates |= {
            "rate_to_next": float(weights[outcome == MOVED].sum() / total),
            "rate_matured": in_the_end.final,
            "median_days_to_next": _median(rows["days_to_next"].to_numpy(), weights),
            "median_days_of_all": in_the_end.median,
            "open_share": float(weights[outcome == STILL_OPEN].sum() / total),
        }
    if stage < progress.won_at:
        rates |= {
            "win_rate": float(weights[rows["is_won"].to_numpy()].sum() / total),
            "median_days_to_win": _median(rows["days_to_win"].to_numpy(), weights),
        }
    return rates


ENDS = ("rate_low", "rate_high", "win_rate_low", "win_rate_high", "rate_matured_low", "rate_matured_high")
"""Ends of the intervals of what arrivals come to."""


def ends_of(progress: Progress, rows: pd.DataFrame, weight: Floats, level: float) -> dict[str, float]:
    """Intervals of rates of arrivals in one stage, each as far as its (rows,) weight.

    That of ``rate_matured`` is the score interval of as many whole cases, none of them open, as bring its variance.
    """
    bounds = dict.fromkeys(ENDS, np.nan)
    if not weight.sum() > 0:
        return bounds
    stage = int(rows["stage"].iloc[0])
    if stage < progress.last:
        ends = weighted_wilson(rows["outcome"].to_numpy() == MOVED, weight, level)
        bounds |= dict(zip(ENDS[:2], ends, strict=True))
        in_the_end = cumulative_incidence(rows["age"].to_numpy(), rows["outcome"].to_numpy(), weight)
        cases = np.array([in_the_end.cases])
        low, high = wilson_interval(in_the_end.final * cases, cases, level)
        bounds |= dict(zip(ENDS[4:], (float(low[0]), float(high[0])), strict=True))
    if stage < progress.won_at:
        ends = weighted_wilson(rows["is_won"].to_numpy(), weight, level)
        bounds |= dict(zip(ENDS[2:4], ends, strict=True))
    return bounds


def _median(days: Floats, weights: Floats) -> float:
    has_days = ~np.isnan(days)
    return weighted_median(days[has_days], weights[has_days])


def incidences(progress: Progress) -> list[Incidence]:
    """How cases of each stage but the last move on with age."""
    parts = [progress.of(stage) for stage in range(progress.last)]
    return [cumulative_incidence(part["age"].to_numpy(), part["outcome"].to_numpy()) for part in parts]
