"""The rows that one model adds to the tables of a budget: the plan, and what other bends would make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.decisions.budget.budget_declared import LESS_BEND, MORE_BEND, PLAN
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.cases import Case, Row
from attribution.decisions.budget.limits import Limits
from attribution.decisions.budget.response import Response
from attribution.kernels.budget.allocation import Allocation, allocate, share_above_today
from attribution.kernels.budget.problem import TOLERANCE, Problem, keeps

Floats = NDArray[np.float64]

CAPACITY = "capacity"

DRAWS_SOLVED = 100
"""Draws for which the best spend is found again, to tell how surely a channel should get more."""


@dataclass(frozen=True)
class Solved:
    """One model's problem as planned with its limits and curves, its optimum, and its rows per table."""

    problem: Problem
    limits: Limits
    response: Response
    best: Allocation
    rows: Mapping[str, list[Row]]


def solve_case(case: Case, response: Response, limits: Limits, options: BudgetOptions) -> Solved:
    """The best spend under one model, and that if curves bend more or less than thought."""
    plan = case.problem(response, limits, options)
    bends = {PLAN: response.curves.bend, MORE_BEND: response.more, LESS_BEND: response.less}
    problems = {name: replace(plan, curves=plan.curves.bent(bend)) for name, bend in bends.items()}
    best = {name: allocate(problem) for name, problem in problems.items()}
    solved = Solved(plan, limits, response, best[PLAN], {"budget": [], "budget_limits": [], "budget_scenarios": []})
    for name, problem in problems.items():
        columns = channel_columns(case, solved, problem, best[name])
        if case.draws is not None:
            draws = case.draws[:DRAWS_SOLVED]
            more = share_above_today(problem.curves, draws, problem.low, problem.high, problem.total)
            columns["probability_more"] = np.where(case.is_known, more, np.nan)
        scenario: Row = {"kind": "plan" if name == PLAN else "bend"}
        scenario |= _scenario_row(case, problem, best[name], best[PLAN]) | _price_of_total(best[name], limits)
        rows = {
            "budget": pd.DataFrame(columns).to_dict("records"),
            "budget_limits": _limit_rows(problem, best[name], limits, options),
            "budget_scenarios": [scenario],
        }
        for table, own in rows.items():
            solved.rows[table].extend({"scenario": name} | row for row in own)
    return solved


def channel_columns(case: Case, solved: Solved, problem: Problem, best: Allocation) -> dict[str, object]:
    """Columns of ``budget`` of one scenario, whose spend is ``best`` under the curves of ``problem``."""
    today, spend, curves = problem.curves.today, best.spend, problem.curves
    growth = curves.growth(spend)
    low, high = case.ends_of_channels(growth)
    may_say = np.where(case.is_known, 1.0, np.nan)
    return {
        "channel": case.channels,
        "spend_today": today,
        "spend": spend,
        "change": spend / today - 1,
        "return_today": problem.returns,
        "return": problem.returns * growth,
        "return_sd": np.nan if case.draws is None else np.sqrt(np.diag(problem.covariance)) * growth * may_say,
        "return_low": low,
        "return_high": high,
        "marginal_today": problem.returns * curves.slope(today) * may_say,
        "marginal": problem.returns * curves.slope(spend) * may_say,
        "binding": _binding(best, solved.limits),
        "curve": curves.kind.tolist(),
        "curvature": curves.bend,
        "steepness": curves.steepness,
        "curvature_from": solved.response.origins,
    }


def _binding(best: Allocation, limits: Limits) -> list[str | None]:
    near = TOLERANCE * limits.available
    names: list[str | None] = []
    for index, spend in enumerate(best.spend):
        at_high = limits.high_names[index] is not None and spend >= limits.high[index] - near
        at_low = spend <= limits.low[index] + near
        names.append(limits.high_names[index] if at_high else limits.low_names[index] if at_low else None)
    return names


def _limit_rows(problem: Problem, best: Allocation, limits: Limits, options: BudgetOptions) -> list[Row]:
    sums = problem.rows @ best.spend
    # A unit less reserved is a unit more to divide.
    used = {"total": (float(options.total or 0), float(sums[0]) + sum(options.reserve.values()))}
    used |= {f"reserve {name!r}": (amount, amount) for name, amount in options.reserve.items()}
    own = float(best.row_high_prices[0])
    rows = [_limit(name, *of, own) | _price_of_total(best, limits) for name, of in used.items()]
    for row, group in enumerate(limits.groups, start=1):
        ends = {"floor": (problem.row_low, best.row_low_prices), "ceiling": (problem.row_high, best.row_high_prices)}
        for end, (allowed, prices) in ends.items():
            if np.isfinite(allowed[row]):
                rows.append(_limit(f"{end} of group {group!r}", float(allowed[row]), float(sums[row]), prices[row]))
    if np.isfinite(problem.capacity):
        counted = "" if options.capacity_stage is None else f" of {options.capacity_stage}"
        rows.append(_limit(f"{CAPACITY}{counted}", problem.capacity, problem.use(best.spend), best.capacity_price))
    return rows


def _price_of_total(best: Allocation, limits: Limits) -> dict[str, float]:
    """Return of one unit of total more: limits that are shares of it move along."""
    gained = best.row_high_prices @ limits.share_high - best.row_low_prices @ limits.share_low
    return {"shadow_price": float(gained)}


def _limit(name: str, allowed: float, used: float, price: float) -> Row:
    return {"limit": name, "allowed": allowed, "used": used, "binds": bool(price > 0), "shadow_price": float(price)}


def _scenario_row(case: Case, problem: Problem, best: Allocation, plan: Allocation) -> Row:
    today, spend = problem.curves.today, best.spend
    growth = problem.curves.growth(spend)

    def return_at(at: Floats) -> float:
        return float(problem.returns @ problem.curves.growth(at))

    regret = max(problem.worth(spend) - problem.worth(plan.spend), 0.0) if keeps(problem, plan.spend) else np.nan
    low, high = case.ends(growth)
    gain_low, gain_high = case.ends(growth - 1)
    return {
        "risk_aversion": problem.aversion,
        "spend_today": float(today.sum()),
        "spend": float(spend.sum()),
        "unspent": max(problem.total - float(spend.sum()), 0.0),
        "return_today": float(problem.returns.sum()),
        "return_same_mix": return_at(today * problem.total / today.sum()),
        "return": return_at(spend),
        "return_sd": problem.deviation(spend) if case.draws is not None else np.nan,
        "return_low": low,
        "return_high": high,
        "gain": return_at(spend) - float(problem.returns.sum()),
        "gain_low": gain_low,
        "gain_high": gain_high,
        "return_of_plan": return_at(plan.spend),
        "short_of_plan": return_at(plan.spend) - return_at(spend),
        "regret": regret,
        "optimality_gap": best.gap,
    }
