"""How a variance splits over the factors of a full grid.

References
----------
.. [1] I. M. Sobol, "Global sensitivity indices for nonlinear mathematical models and their Monte Carlo estimates",
   Mathematics and Computers in Simulation 55, 2001.
.. [2] T. Homma, A. Saltelli, "Importance measures in global sensitivity analysis of nonlinear models", Reliability
   Engineering and System Safety 52, 1996 (total effects).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Variances(NamedTuple):
    """Parts of the variance of each column.

    ``total`` (…), all there is; ``main`` (factors, …) of what a factor does on average over all others; ``any``
    (factors, …) mean variance along a factor, all others held; ``interactions`` (…) of factors with each other;
    ``drawn`` (…) mean variance over draws. The first, ``interactions`` and ``drawn`` add up to ``total`` with
    ``main``.
    """

    total: Floats
    main: Floats
    any: Floats
    interactions: Floats
    drawn: Floats


def variances(values: Floats, factors: int) -> Variances:
    """Split the variance of ``values`` (levels of each factor …, draws, …), every combination counting alike.

    What draws do differently from combination to combination is part of ``drawn``.

    Examples
    --------
    >>> grid = np.array([[0.0, 2.0], [4.0, 6.0]])[:, :, None]  # a row adds 4, a column 2, one draw
    >>> found = variances(grid, 2)
    >>> float(found.total), found.main.tolist(), float(found.interactions), float(found.drawn)
    (5.0, [4.0, 1.0], 0.0, 0.0)
    """
    axes = tuple(range(factors))
    means = values.mean(axis=factors)
    between = means.var(axis=axes)
    drawn = values.var(axis=factors).mean(axis=axes)
    main = np.stack([means.mean(axis=_without(axes, each)).var(axis=0) for each in axes])
    along = np.stack([values.var(axis=each).mean(axis=tuple(range(factors))) for each in axes])
    # What rounding leaves of nothing is not below it.
    interactions = np.maximum(between - main.sum(axis=0), 0.0)
    return Variances(between + drawn, main, along, interactions, drawn)


def _without(axes: tuple[int, ...], left_out: int) -> tuple[int, ...]:
    return tuple(axis for axis in axes if axis != left_out)
