"""Multiples of parts with which conversions, each divided once, add up to given totals, or come near to them.

Conversion i is divided into parts p(i, c) that add up to 1. One multiple per column gives it the parts

    p(i, c) · m_c ÷ Σ_d p(i, d) · m_d

whose sums over conversions are to be the targets [1]. The convex dual, Σ_i log Σ_c p(i, c) · m_c less the sum of
target_c log m_c, is solved by Newton steps, damped so that they cannot overshoot [2]. Where columns are to have more
than all conversions that they have a part in, their multiples grow until they get nearly all of these.

`attribution.kernels.credit.raking` does the same for equal parts, which depend on a set of columns alone.

References
----------
.. [1] W. E. Deming, F. F. Stephan, "On a least squares adjustment of a sampled frequency table when the expected
   marginal totals are known", Annals of Mathematical Statistics 11(4), 1940.
.. [2] F. Bach, "Self-concordant analysis for logistic regression", Electronic Journal of Statistics 4, 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONVERGED = 1e-12
"""Relative, of every total."""

_FARTHEST = 60.0
"""Between the logarithms of two multiples: beyond it a part is as good as all or nothing."""

_STILL = 1e-15
"""Relative, of every total: what moves less than this from step to step moves no more."""

_STEPS = 200


def rescale(conversion: Ints, column: Ints, parts: Floats, targets: Floats) -> Floats:
    """(columns + 1,) multiples of parts, with which columns get their targets and one more column the rest.

    No column can have more than the conversions that it has a part in. If all of them together are to have more than
    there is, they share it in proportion.

    Parameters
    ----------
    conversion, column : (entries,) what each part is of, from 0; the one more column is the last
    parts : (entries,) ≥ 0
    targets : (columns,) ≥ 0; the multiple of a column is 0 where its target is

    Examples
    --------
    Column 0 is to have 0.4 of two conversions, the rest is for column 1.

    >>> conversion, column = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> parts = np.array([0.5, 0.5, 0.2, 0.8])
    >>> multiples = rescale(conversion, column, parts, np.array([0.4]))
    >>> divided = parts * multiples[column]
    >>> round(float(divided[0] / divided[:2].sum() + divided[2] / divided[2:].sum()), 12)
    0.4
    """
    from scipy.sparse import csr_matrix

    size, rest = len(targets) + 1, len(targets)
    table = csr_matrix((parts, (conversion, column)), shape=(int(conversion.max(initial=-1)) + 1, size))
    took_part = np.asarray((table > 0).sum(axis=0), dtype=np.float64).ravel()
    goals = np.append(np.minimum(targets, took_part[:rest]), 0.0)
    goals[rest] = max(table.shape[0] - goals.sum(), 0.0) * (took_part[rest] > 0)
    multiples = (goals > 0).astype(np.float64)
    columns = np.flatnonzero(goals)
    table = table[:, columns]
    table = table[np.asarray(table.sum(axis=1)).ravel() > 0]
    if table.shape[0]:
        multiples[columns] = np.exp(_solve(table, goals[columns] * (table.shape[0] / goals.sum())))
    return np.asarray(multiples)


def _solve(table: csr_matrix, targets: Floats) -> Floats:
    """(columns,) logarithms of multiples, the largest of them 0."""
    logs, before = np.zeros(len(targets)), np.zeros(len(targets))
    for _ in range(_STEPS):
        parts = table.multiply(np.exp(logs)).tocsr()
        parts = parts.multiply(1.0 / parts.sum(axis=1)).tocsr()
        totals = np.asarray(parts.sum(axis=0)).ravel()
        missing = targets - totals
        # A column that has all it can get, and is to have more, would go on for ever.
        is_open = (np.abs(logs) < _FARTHEST) | (np.sign(missing) != np.sign(logs))
        is_still = np.abs(totals - before) <= _STILL * targets
        if ((np.abs(missing) <= CONVERGED * targets) | is_still)[is_open].all():
            break
        before = totals
        curvature = np.diag(totals) - (parts.T @ parts).toarray()
        direction = np.zeros(len(targets))
        direction[is_open] = np.linalg.lstsq(curvature[np.ix_(is_open, is_open)], missing[is_open], rcond=1e-14)[0]
        reach = np.ptp(direction)
        if reach == 0:
            break
        logs = np.clip(logs + direction * (np.log1p(reach) / reach), -_FARTHEST, _FARTHEST)
    return np.asarray(logs - logs.max())
