"""Short and long run against each other: the best spend for each weight of the long run.

References
----------
.. [1] K. Miettinen, "Nonlinear multiobjective optimization", 1999, section 3.1 (weighting).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.decisions.budget.budget_options import BudgetOptions, LongRunOptions
from attribution.decisions.budget.cases import Case, Row, objective_rows
from attribution.errors import InputError, did_you_mean
from attribution.kernels.budget.allocation import allocate
from attribution.kernels.budget.problem import Problem

Floats = NDArray[np.float64]


def long_returns(
    case: Case, returns: pd.DataFrame, options: BudgetOptions, unit_economics: pd.DataFrame | None = None
) -> Floats:
    """(channels,) what each channel returns in the long run, at today's spend.

    Raises
    ------
    InputError
        If the objective is not known, or a factor is of no channel with spend.
    """
    asked = options.long_run or LongRunOptions(factors={case.channels[0]: 1.0})
    for name in asked.factors:
        if name not in case.channels:
            raise InputError(
                f"budget.long_run.factors: {name!r} is no channel with spend",
                allowed=list(case.channels),
                hint=did_you_mean(name, case.channels),
            )
    rows = objective_rows(returns, asked.objective or options.objective, unit_economics)
    amounts = rows[rows["model"] == case.label].set_index("channel")["amount"]
    factors = np.array([asked.factors.get(name, 1.0) for name in case.channels])
    result: Floats = amounts.loc[list(case.channels)].to_numpy(float) * factors
    return result


def horizon_rows(case: Case, problem: Problem, in_long_run: Floats, options: BudgetOptions) -> list[Row]:
    """Rows of ``budget_horizons``: no other spend within limits returns more in both runs, if curves are concave.

    The uncertainty of returns is ignored.
    """
    asked = options.long_run
    if asked is None:
        return []
    sizes = [max(float(np.abs(of).sum()), 1e-300) for of in (case.returns, in_long_run)]
    rows: list[Row] = []
    for weight in np.linspace(0.0, 1.0, asked.points).round(12):
        weighted = (1 - weight) * case.returns / sizes[0] + weight * in_long_run / sizes[1]
        spend = allocate(replace(problem, returns=weighted, aversion=0.0)).spend
        growth = problem.curves.growth(spend)
        columns = {"channel": case.channels, "spend": spend, "return": case.returns * growth}
        columns["long_return"] = in_long_run * growth
        head: Row = {"model": case.label, "estimand": case.estimand, "weight": float(weight)}
        head |= {"objective": options.objective, "long_objective": asked.objective or options.objective}
        rows += [head | each for each in pd.DataFrame(columns).to_dict("records")]
    return rows
