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
from attribution.decisions.budget.rows import Solved, channel_columns
from attribution.errors import InputError, did_you_mean
from attribution.kernels.budget.allocation import allocate

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
    long_run = options.long_run or LongRunOptions(factors={case.channels[0]: 1.0})
    for name in long_run.factors:
        if name not in case.channels:
            raise InputError(
                f"budget.long_run.factors: {name!r} is not a channel with spend",
                allowed=list(case.channels),
                hint=did_you_mean(name, case.channels),
            )
    rows = objective_rows(returns, long_run.objective or options.objective, unit_economics)
    amounts = rows[rows["model"] == case.label].set_index("channel")["amount"]
    factors = np.array([long_run.factors.get(name, 1.0) for name in case.channels])
    result: Floats = amounts.loc[list(case.channels)].to_numpy(float) * factors
    return result


def horizon_rows(case: Case, solved: Solved, in_long_run: Floats | None, options: BudgetOptions) -> list[Row]:
    """Rows of ``budget`` for each weight of the long run.

    No other spend within limits returns more in both runs, if curves are concave. The uncertainty of returns is
    ignored when money is divided.
    """
    long_run = options.long_run
    if long_run is None or in_long_run is None:
        return []
    sizes = [max(float(np.abs(of).sum()), 1e-300) for of in (case.returns, in_long_run)]
    factors = [long_run.factors.get(name, 1.0) for name in case.channels]
    rows: list[Row] = []
    for weight in np.linspace(0.0, 1.0, long_run.points).round(12):
        weighted = (1 - weight) * case.returns / sizes[0] + weight * in_long_run / sizes[1]
        best = allocate(replace(solved.problem, returns=weighted, aversion=0.0))
        head: Row = {"scenario": f"long run {weight:.12g}", "weight": float(weight)}
        head |= {"long_objective": long_run.objective or options.objective}
        columns = channel_columns(case, solved, solved.problem, best) | {"long_factor": factors}
        columns["long_return"] = in_long_run * solved.problem.curves.growth(best.spend)
        rows += [head | row for row in pd.DataFrame(columns).to_dict("records")]
    return rows
