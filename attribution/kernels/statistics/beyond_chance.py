"""Whether credit differs from what labels at random would get, from totals alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]

SIGNIFICANCE = 0.05
"""Of twenty logs in which labels mean nothing, at most one has any label said to differ."""


def label_z(credited: Floats, expected: Floats, total: Floats | float) -> Floats:
    """By how many standard deviations credit lies beyond what labels at random get, at the least.

    What one conversion gives to a label lies between 0 and 1 and has the mean p = expected ÷ total, so that its
    variance is at most p (1 − p): whatever the weights, and however labels repeat within a journey. NaN where nothing
    is expected.

    Parameters
    ----------
    credited, expected : conversions of a label, and what labels at random get
    total : conversions of all labels

    Examples
    --------
    Of 100 conversions a half was expected, give or take 5.

    >>> label_z(np.array([40.0, 60.0]), np.array([50.0, 50.0]), np.array([100.0, 100.0])).tolist()
    [-2.0, 2.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(expected * (1 - expected / total))
        return np.asarray(np.where(deviation > 0, (credited - expected) / deviation, np.nan))


def least_z(tests: int) -> float:
    """How large a z has to be among so many that are looked at (Bonferroni).

    Examples
    --------
    >>> [round(least_z(tests), 2) for tests in (1, 10)]
    [1.64, 2.58]
    """
    return float(norm.isf(SIGNIFICANCE / max(tests, 1)))
