"""How a variance splits over factors, and a change of a ratio over what it is made of, exactly.

References
----------
.. [1] I. M. Sobol, "Global sensitivity indices for nonlinear mathematical models and their Monte Carlo estimates",
   Mathematics and Computers in Simulation 55, 2001.
.. [2] T. Homma, A. Saltelli, "Importance measures in global sensitivity analysis of nonlinear models", Reliability
   Engineering and System Safety 52, 1996 (total effects).
.. [3] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II, 1953.
.. [4] G. Owen, "Values of games with a priori unions", Mathematical Economics and Game Theory, 1977.
.. [5] B. W. Ang, "Decomposition analysis for policymaking in energy: which is the preferred method?", Energy Policy
   32, 2004 (why a split must leave no residual and must reverse with time; LMDI, its log-mean form, has no answer
   where a factor is zero, so that factors are averaged over their orders instead).
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# ---------------------------------------------------------------- a variance over the factors of a full grid [1], [2]


class Variances(NamedTuple):
    """Parts of the variance of each column.

    ``total`` (…), all there is; ``main`` (factors, …) of what a factor does on average over all others; ``any``
    (factors, …) mean variance along a factor, all others held; ``interactions`` (…) of factors with each other;
    ``between_draws`` (…) mean variance over draws. The first, ``interactions`` and ``between_draws``
    add up to ``total`` with ``main``.
    """

    total: Floats
    main: Floats
    any: Floats
    interactions: Floats
    between_draws: Floats


def variances(values: Floats, factors: int) -> Variances:
    """Split the variance of ``values`` (levels of each factor …, draws, …), every combination counting alike.

    What draws do differently from combination to combination is part of ``between_draws``.

    Examples
    --------
    >>> grid = np.array([[0.0, 2.0], [4.0, 6.0]])[:, :, None]  # a row adds 4, a column 2, one draw
    >>> found = variances(grid, 2)
    >>> float(found.total), found.main.tolist(), float(found.interactions), float(found.between_draws)
    (5.0, [4.0, 1.0], 0.0, 0.0)
    """
    axes = tuple(range(factors))
    means = values.mean(axis=factors)
    between = means.var(axis=axes)
    between_draws = values.var(axis=factors).mean(axis=axes)
    main = np.stack([means.mean(axis=_without(axes, each)).var(axis=0) for each in axes])
    along = np.stack([values.var(axis=each).mean(axis=tuple(range(factors))) for each in axes])
    # What rounding leaves of nothing is not below it.
    interactions = np.maximum(between - main.sum(axis=0), 0.0)
    return Variances(between + between_draws, main, along, interactions, between_draws)


def _without(axes: tuple[int, ...], left_out: int) -> tuple[int, ...]:
    return tuple(axis for axis in axes if axis != left_out)


# ---------------------------------------------------------------- a change of Σ return ÷ Σ cost, exactly [3], [4], [5]


def split_product(before: Floats, after: Floats) -> Floats:
    """(factors, n) what each factor adds to the change of n products: its Shapley value, over all orders of change.

    Parameters
    ----------
    before, after : (factors, n) the factors of each product

    Examples
    --------
    >>> split_product(np.array([[2.0], [3.0]]), np.array([[4.0], [5.0]])).ravel().tolist()
    [8.0, 6.0]
    """
    count = len(before)
    parts = np.zeros_like(before)
    for factor in range(count):
        other_factors = [other for other in range(count) if other != factor]
        for size in range(count):
            share = 1.0 / (count * comb(count - 1, size))
            for changed in combinations(other_factors, size):
                product = np.ones(before.shape[1])
                for other in other_factors:
                    product = product * (after if other in changed else before)[other]
                parts[factor] += share * product
        parts[factor] *= after[factor] - before[factor]
    return parts


def prices_of_change(returns: Floats, costs: Floats) -> tuple[Floats, Floats]:
    """What one unit more of return, and one of cost, add to a change of return ÷ cost: Shapley over the two.

    Parameters
    ----------
    returns, costs : (2, …) before and after

    Returns
    -------
    of_return, of_cost : (…); NaN where a cost is not above 0

    Examples
    --------
    >>> of_return, of_cost = prices_of_change(np.array([4.0, 9.0]), np.array([2.0, 3.0]))
    >>> round(float(5.0 * of_return + 1.0 * of_cost), 12)  # 9 ÷ 3 − 4 ÷ 2
    1.0
    """
    paid = np.where((costs > 0).all(axis=0), costs, np.nan)
    of_return = 0.5 * (1.0 / paid[0] + 1.0 / paid[1])
    of_cost = -0.5 * (returns[0] + returns[1]) / (paid[0] * paid[1])
    return np.asarray(of_return), np.asarray(of_cost)


def ratio_known(numerator: Floats, denominator: Floats) -> Floats:
    """(2, n) numerator ÷ denominator before and after; where one is not known, as it is in the other, else 1.

    A channel that was not touched has no rate of conversion. With the rate it has otherwise, all of its change is one
    of volume.

    Examples
    --------
    >>> ratio_known(np.array([[0.0], [6.0]]), np.array([[0.0], [3.0]])).ravel().tolist()
    [2.0, 2.0]
    """
    is_known = denominator != 0
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=is_known)
    ratio = np.where(is_known, ratio, np.where(is_known[::-1], ratio[::-1], 1.0))
    return np.asarray(ratio)
