"""How a change of Σ return ÷ Σ cost splits into the factors of both, exactly.

References
----------
.. [1] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II, 1953.
.. [2] G. Owen, "Values of games with a priori unions", Mathematical Economics and Game Theory, 1977.
.. [3] B. W. Ang, "Decomposition analysis for policymaking in energy: which is the preferred method?", Energy Policy
   32, 2004 (why a split must leave no residual and must reverse with time; LMDI, its log-mean form, has no answer
   where a factor is zero, so that factors are averaged over their orders instead).
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
        others = [other for other in range(count) if other != factor]
        for size in range(count):
            share = 1.0 / (count * comb(count - 1, size))
            for changed in combinations(others, size):
                product = np.ones(before.shape[1])
                for other in others:
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
    known = denominator != 0
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=known)
    ratio = np.where(known, ratio, np.where(known[::-1], ratio[::-1], 1.0))
    return np.asarray(ratio)
