"""The measured process of a budget: the best spend of fifty channels, under limits of all kinds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from attribution.decisions.budget import propose_budget
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.kernels.budget.allocation import allocate
from attribution.kernels.budget.curves import KINDS, build_curves
from attribution.kernels.budget.problem import Problem, simple_problem
from benchmarks.clock import Clock, arguments

DRAWS = 500


def problem(channels: int, *, steepness: float) -> Problem:
    """Curves of all kinds, steps of 30 %, a total near today's spend, and draws of returns."""
    rng = np.random.default_rng(11)
    kinds = [str(kind) for kind in rng.choice(KINDS, channels)]
    bend, today = list(rng.uniform(0.3, 0.8, channels)), list(rng.uniform(20, 100, channels))
    curves = build_curves(kinds, bend, today, [steepness] * channels)
    made = simple_problem(curves, rng.uniform(50, 400, channels), total=float(sum(today)))
    draws = made.returns * (1 + 0.3 * rng.normal(size=(DRAWS, channels)))
    low, high = curves.today * 0.7, curves.today * 1.3
    return replace(made, covariance=np.cov(draws.T), load=made.returns * 0.1, low=low, high=high)


def with_everything(made: Problem) -> Problem:
    """Also a floor and a ceiling of groups, a capacity and aversion to risk."""
    n = len(made.returns)
    groups = np.array([np.arange(n) < 0.4 * n, np.arange(n) >= 0.6 * n], dtype=float)
    return replace(
        made,
        rows=np.vstack([made.rows, groups]),
        row_low=np.array([-np.inf, 0.4 * made.total, -np.inf]),
        row_high=np.array([made.total, np.inf, 0.45 * made.total]),
        capacity=float(made.load.sum()),
        aversion=1.0,
    )


def returns_of(made: Problem) -> pd.DataFrame:
    """A ``returns`` table of one model."""
    names = [f"channel {place:02}" for place in range(len(made.returns))]
    table = pd.DataFrame({"channel": names, "spend": made.curves.today, "value": made.returns})
    table["roi"] = table["value"] / table["spend"] - 1
    return table.assign(
        model="linear", estimand="allocated", basis="revenue", cost_basis="media", conversions=made.load
    )


def propose(made: Problem) -> None:
    """The whole proposal of one model: three scenarios, draws, tables."""
    table = returns_of(made)
    rng = np.random.default_rng(3)
    drawn = made.returns * (1 + 0.3 * rng.normal(size=(DRAWS, len(made.returns))))
    options = BudgetOptions(total=made.total, risk_aversion=1.0)
    propose_budget(table, options, draws={"linear": pd.DataFrame(drawn, columns=list(table["channel"]))})


def measure(channels: int, clock: Clock) -> dict[str, float]:
    """Time each kind of problem once."""
    concave, curved = problem(channels, steepness=1.0), problem(channels, steepness=2.0)
    free = replace(curved, low=np.zeros(channels), high=np.full(channels, curved.total))
    gaps = {}
    for name, made in {
        "steps": concave,
        "steps, groups, capacity, risk": with_everything(concave),
        "S-shaped, no steps": free,
        "S-shaped, steps, groups, capacity, risk": with_everything(curved),
    }.items():
        # One thread, as a proposal asks for.
        with clock.step(name), threadpool_limits(1):
            gaps[name] = allocate(made).gap
    with clock.step("a proposal"):
        propose(concave)
    return gaps


if __name__ == "__main__":
    asked = arguments()
    measure(5, Clock())
    clock = Clock()
    clock.report(notes=measure(asked["channels"], clock))
