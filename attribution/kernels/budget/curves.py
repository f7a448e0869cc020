"""Response curves: what a channel returns at another spend, anchored at today's spend and return.

A curve is today's return times a growth: 1 at today's spend, 0 at none. One point says nothing of the bend, so that
the bend is fitted to a history in which spend has varied, or assumed.

References
----------
.. [1] Y. Jin, Y. Wang, Y. Sun, D. Chan, J. Koehler, "Bayesian methods for media mix modeling with carryover and
   shape effects", 2017 (Hill curves).
.. [2] A. R. Gallant, "Nonlinear statistical models", 1987, chapter 1 (intervals from the sum of squares).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import t as student

from attribution.amounts import percent
from attribution.errors import InputError

Floats = NDArray[np.float64]

POWER, LOG, HILL = "power", "log", "hill"
KINDS = (POWER, LOG, HILL)

RANGES = {POWER: (0.05, 0.95), LOG: (0.02, 50.0), HILL: (0.02, 50.0)}
"""Bends that are looked for in a history."""

FEWEST_PERIODS = 8
LEAST_VARIATION = 0.1
"""A history needs so many periods, and so large a standard deviation of spend as a share of its mean."""

NEAR_ZERO = 1e-9
"""Share of today's spend below which a slope, which may be infinite at nothing, is taken to be the one here."""


@dataclass(frozen=True)
class Curves:
    """One curve per channel; all arrays are (channels,).

    Attributes
    ----------
    kind : ``power``, ``log`` or ``hill``
    bend : power: exponent in (0, 1]; log: scale, and Hill: spend of half the most there can be, as multiples of
        today's spend
    steepness : exponent of Hill; above 1 the curve is S-shaped
    today : spend > 0 at which growth is 1
    """

    kind: NDArray[np.str_]
    bend: Floats
    steepness: Floats
    today: Floats

    def growth(self, spend: Floats) -> Floats:
        """(…, channels) return at ``spend`` (…, channels) as a multiple of today's.

        Examples
        --------
        >>> build_curves(["power", "log", "hill"], [0.5, 1.0, 1.0], [100.0] * 3).growth(np.array([25.0, 100.0, 300.0]))
        array([0.5, 1. , 1.5])
        """
        x = np.maximum(spend, 0.0) / self.today
        bend, n = self.bend, self.steepness
        grown = np.empty_like(x)
        for kind, at in self._columns_by_kind:
            if kind == POWER:
                grown[..., at] = x[..., at] ** bend[at]
            elif kind == LOG:
                grown[..., at] = np.log1p(x[..., at] / bend[at]) / np.log1p(1 / bend[at])
            else:
                power, half = x[..., at] ** n[at], bend[at] ** n[at]
                grown[..., at] = power / (half + power) * (half + 1)
        return grown

    def slope(self, spend: Floats) -> Floats:
        """(…, channels) growth per unit of money more; of a power curve at nothing, the one a little above.

        Examples
        --------
        >>> build_curves(["power"], [0.5], [100.0]).slope(np.array([100.0])).tolist()
        [0.005]
        """
        x = np.maximum(spend / self.today, NEAR_ZERO)
        bend, n = self.bend, self.steepness
        slope = np.empty_like(x)
        for kind, at in self._columns_by_kind:
            if kind == POWER:
                slope[..., at] = bend[at] * x[..., at] ** (bend[at] - 1)
            elif kind == LOG:
                slope[..., at] = 1 / ((bend[at] + x[..., at]) * np.log1p(1 / bend[at]))
            else:
                power, half = x[..., at] ** n[at], bend[at] ** n[at]
                slope[..., at] = n[at] * half * power / x[..., at] / (half + power) ** 2 * (half + 1)
        return slope / self.today

    def spend_at(self, growth: Floats) -> Floats:
        """(…, channels) spend at which growth is ``growth`` (…, channels), which must be within reach.

        Examples
        --------
        >>> build_curves(["power", "log", "hill"], [0.5, 1.0, 1.0], [100.0] * 3).spend_at(np.array([0.5, 1.0, 1.5]))
        array([ 25., 100., 300.])
        """
        x = np.empty_like(growth, dtype=np.float64)
        bend, n = self.bend, self.steepness
        for kind, at in self._columns_by_kind:
            y = np.maximum(growth[..., at], 0.0)
            if kind == POWER:
                x[..., at] = y ** (1 / bend[at])
            elif kind == LOG:
                x[..., at] = bend[at] * np.expm1(y * np.log1p(1 / bend[at]))
            else:
                half = bend[at] ** n[at]
                x[..., at] = (half * y / np.maximum(half + 1 - y, 1e-12 * (half + 1))) ** (1 / n[at])
        return x * self.today

    def spend_of_slope(self, slope: Floats) -> Floats:
        """(…, channels) spend at which growth per unit of money is ``slope`` > 0; 0 where it never is.

        Curves must be concave; nan for Hill curves with a steepness other than 1, which have no such formula.
        """
        s = slope * self.today
        x = np.empty_like(s)
        bend = self.bend
        for kind, at in self._columns_by_kind:
            if kind == POWER:
                # A straight line is all or nothing.
                x[..., at] = (s[..., at] / bend[at]) ** (1 / np.minimum(bend[at] - 1, -1e-12))
            elif kind == LOG:
                x[..., at] = 1 / (s[..., at] * np.log1p(1 / bend[at])) - bend[at]
            else:
                formula = np.sqrt(bend[at] * (bend[at] + 1) / s[..., at]) - bend[at]
                x[..., at] = np.where(self.steepness[at] == 1, formula, np.nan)
        return np.maximum(x, 0.0) * self.today

    def concave_from(self) -> Floats:
        """(channels,) spend from which on each curve is concave: 0, or where an S turns."""
        n = np.where(self.kind == HILL, self.steepness, 1.0)
        result: Floats = self.today * self.bend * (np.maximum(n - 1, 0) / (n + 1)) ** (1 / n)
        return result

    def bent(self, bend: Floats) -> Curves:
        """The same curves with another bend."""
        return replace(self, bend=np.asarray(bend, dtype=np.float64))

    @cached_property
    def _columns_by_kind(self) -> list[tuple[str, NDArray[np.int64]]]:
        every = [(kind, np.flatnonzero(self.kind == kind)) for kind in KINDS]
        return [(kind, at) for kind, at in every if len(at)]


def build_curves(
    kind: list[str], bend: list[float], today: list[float], steepness: list[float] | None = None
) -> Curves:
    """`Curves` from lists, one entry per channel; ``steepness`` is 1 unless given."""
    steep = np.ones(len(kind)) if steepness is None else np.asarray(steepness, dtype=np.float64)
    return Curves(np.asarray(kind, dtype=str), np.asarray(bend, float), steep, np.asarray(today, float))


@dataclass(frozen=True)
class Bend:
    """A bend fitted to a history, with the interval of it, and how many periods it comes from."""

    bend: float
    low: float
    high: float
    periods: int


def fit_bend(
    spend: Floats, returns: Floats, today: float, *, kind: str, steepness: float = 1.0, level: float = 0.9
) -> Bend:
    """The bend of the curve that fits a history best, by least squares.

    Parameters
    ----------
    spend, returns : (periods,) of one channel
    today : spend that the bend of log and Hill curves is a multiple of, in money per period
    kind, steepness : of the curve
    level : nominal coverage of the interval

    Raises
    ------
    InputError
        If the history says nothing of the bend: too few periods, spend too flat, no return, or a fit that any bend,
        or none, would do for.

    Notes
    -----
    Whoever spends more when demand is high sees returns rise with spend that spend did not cause: the fit then shows
    too little bend. Only tests of spend are free of this.

    Examples
    --------
    >>> spend = np.array([10.0, 20, 30, 40, 60, 80, 90, 120])
    >>> fit = fit_bend(spend, 5 * spend**0.6 + np.array([0.5, -0.5] * 4), 50.0, kind="power")
    >>> round(fit.bend, 1), fit.low < 0.6 < fit.high
    (0.6, True)
    """
    _check_history(spend, returns)
    lowest, highest = RANGES[kind]

    def misfit(log_bend: float) -> float:
        grown = build_curves([kind], [np.exp(log_bend)], [today], [steepness]).growth(spend[:, None])[:, 0]
        return float(((returns - grown * (grown @ returns) / (grown @ grown)) ** 2).sum())

    ends = np.log(lowest), np.log(highest)
    grid = np.linspace(*ends, 61)
    best = int(np.argmin([misfit(at) for at in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    result = minimize_scalar(misfit, bounds=around, method="bounded", options={"xatol": 1e-9})
    if best in (0, len(grid) - 1):
        raise InputError(
            "spend history shows no saturation: returns grow in proportion to spend, or do not follow it",
            hint="set budget.curvature, or change spend in a test and use that history",
        )
    allowed = _allowed_misfit(float(result.fun), returns, level)
    low, high = (_crossing(misfit, float(result.x), end, allowed) for end in ends)
    if low is None and high is None:
        raise InputError(
            "spend history does not determine the curve: any curvature fits it equally well",
            hint="set budget.curvature, or change spend in a test and use that history",
        )
    return Bend(
        float(np.exp(result.x)),
        lowest if low is None else float(np.exp(low)),
        highest if high is None else float(np.exp(high)),
        len(spend),
    )


def _check_history(spend: Floats, returns: Floats) -> None:
    if not (np.isfinite(spend).all() and np.isfinite(returns).all() and (spend >= 0).all()):
        raise InputError("spend history must hold finite numbers, and no spend below 0")
    if len(spend) < FEWEST_PERIODS:
        raise InputError(f"spend history has {len(spend)} periods; a curve needs {FEWEST_PERIODS}")
    mean = spend.mean()
    variation = float(spend.std(ddof=1) / mean) if mean > 0 else 0.0
    if variation < LEAST_VARIATION:
        raise InputError(
            f"spend history is too flat for a curve: the standard deviation of spend is {percent(variation)} of its "
            f"mean, but must be {percent(LEAST_VARIATION)} or more"
        )
    if not (returns > 0).any():
        raise InputError("spend history has no return in any period")


def _allowed_misfit(least: float, returns: Floats, level: float) -> float:
    """Sum of squares up to which a bend lies in the interval; a perfect fit is as good as rounding lets it be."""
    free = len(returns) - 2
    rounding = 1e-12 * float((returns**2).sum())
    return max(least, rounding) * (1 + float(student.ppf((1 + level) / 2, free)) ** 2 / free)


def _crossing(misfit: Callable[[float], float], best: float, end: float, allowed: float) -> float | None:
    """Where the misfit first exceeds what is allowed on the way to ``end``; None if it does not."""
    before = best
    for at in np.linspace(best, end, 61)[1:]:
        if misfit(at) > allowed:
            return float(brentq(lambda value: misfit(value) - allowed, before, at))
        before = at
    return None
