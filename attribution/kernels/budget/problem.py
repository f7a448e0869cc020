"""What a budget problem is: curves, returns and limits; whether a spend keeps them, and which contradict each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from attribution.kernels.budget.curves import Curves

Floats = NDArray[np.float64]

TOLERANCE = 1e-7
"""A limit binds if what is spent comes so near to it, as a share of the total."""


@dataclass(frozen=True)
class Problem:
    """What is to be decided; the first row of ``rows`` is the total.

    Attributes
    ----------
    curves : of the channels
    returns : (channels,) today
    covariance : (channels, channels) of ``returns``
    aversion : standard deviations of the return that are taken off it
    low, high : (channels,) least and most spend
    rows : (limits, channels) 1 where a limit over several channels holds
    row_low, row_high : (limits,) least and most spend on them, −inf and inf where there is none
    load : (channels,) what each channel asks of the capacity today
    capacity : the most there may be of it, inf where there is no limit
    """

    curves: Curves
    returns: Floats
    covariance: Floats
    aversion: float
    low: Floats
    high: Floats
    rows: Floats
    row_low: Floats
    row_high: Floats
    load: Floats
    capacity: float = np.inf

    @property
    def total(self) -> float:
        return float(self.row_high[0])

    def deviation(self, spend: Floats) -> float:
        """Standard deviation of the return."""
        growth = self.curves.growth(spend)
        return float(np.sqrt(max(float(growth @ self.covariance @ growth), 0.0)))

    def worth(self, spend: Floats) -> float:
        """The return less the aversion to risk: what is maximised."""
        return float(self.returns @ self.curves.growth(spend)) - self.aversion * self.deviation(spend)

    def marginal(self, spend: Floats) -> Floats:
        """(channels,) worth of one unit of money more."""
        growth = self.curves.growth(spend)
        by_growth = self.returns
        deviation = self.deviation(spend)
        if self.aversion and deviation > 0:
            by_growth = by_growth - self.aversion * (self.covariance @ growth) / deviation
        return by_growth * self.curves.slope(spend)

    def use(self, spend: Floats) -> float:
        """Of the capacity."""
        return float(self.load @ self.curves.growth(spend))


def simple_problem(curves: Curves, returns: Floats, *, total: float) -> Problem:
    """A problem with no limit but the total."""
    n = len(returns)
    none, all_of_it = np.zeros(n), np.full(n, total)
    return Problem(
        curves, returns, np.zeros((n, n)), 0.0, none, all_of_it, np.ones((1, n)),
        np.array([-np.inf]), np.array([total]), np.zeros(n),
    )  # fmt: skip


def keeps(problem: Problem, spend: Floats) -> bool:
    """Whether all limits are kept, as nearly as they can be."""
    slack = TOLERANCE * max(problem.total, 1e-300)
    sums = problem.rows @ spend
    return bool(
        (spend >= problem.low - slack).all()
        and (spend <= problem.high + slack).all()
        and (sums >= problem.row_low - slack).all()
        and (sums <= problem.row_high + slack).all()
        and problem.use(spend) <= problem.capacity * (1 + TOLERANCE)
    )


def contradiction(problem: Problem, names: dict[tuple[str, int], str]) -> list[str]:
    """Names of limits that cannot be kept together, none of which could be left out of the list; [] if all can.

    Parameters
    ----------
    problem : its capacity is not looked at
    names : of the limits: ``("low", channel)``, ``("high", channel)``, ``("row_low", row)``, ``("row_high", row)``;
        those without a name are never given up
    """
    if _is_possible(problem):
        return []
    left, blamed = problem, []
    for key, name in names.items():
        without = _without(left, key)
        if _is_possible(without):
            blamed.append(name)
        else:
            left = without
    return blamed


def _without(problem: Problem, key: tuple[str, int]) -> Problem:
    which, index = key
    values = getattr(problem, which).copy()
    values[index] = {"low": 0.0, "high": np.inf, "row_low": -np.inf, "row_high": np.inf}[which]
    return replace(problem, **{which: values})


def _is_possible(problem: Problem) -> bool:
    """Whether some spend keeps all limits but the capacity."""
    return feasible(problem, np.zeros(len(problem.low))) is not None


def feasible(problem: Problem, cost: Floats) -> Floats | None:
    """(channels,) the spend of least ``cost`` (channels,) that keeps all limits but the capacity; None if none does."""
    if (problem.low > problem.high).any():
        return None
    above, below = np.isfinite(problem.row_high), np.isfinite(problem.row_low)
    matrix = np.concatenate([problem.rows[above], -problem.rows[below]])
    ends = np.concatenate([problem.row_high[above], -problem.row_low[below]])
    bounds = list(zip(problem.low, problem.high, strict=True))
    size = max(float(np.abs(ends).max(initial=0.0)), 1e-300)
    scaled = [(low / size, None if np.isinf(high) else high / size) for low, high in bounds]
    done = linprog(cost, A_ub=matrix, b_ub=ends / size, bounds=scaled, method="highs")
    return done.x * size if done.status == 0 else None
