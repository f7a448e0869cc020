"""The spend per channel that returns most, under limits, and what each limit costs.

Where only the total limits several channels together, a bisection finds the spend (`fill`); else sequential
quadratic programming does. As functions of growth instead of spend, the return, its risk and the use of capacity are
concave, convex and linear; so one optimum is the only one, unless a floor over several channels meets a capacity or
risk, or a curve is S-shaped. Then several starts are tried, and the best is not proven to be the best of all.

References
----------
.. [1] S. Boyd, L. Vandenberghe, "Convex optimization", 2004, section 5.5 (multipliers).
.. [2] D. Kraft, "A software package for sequential quadratic programming", DFVLR-FB 88-28, 1988.
.. [3] S. Boyd, L. Vandenberghe, "Convex optimization", 2004, example 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize, nnls

from attribution.errors import InputError
from attribution.kernels.budget.curves import NEAR_ZERO, Curves
from attribution.kernels.budget.problem import TOLERANCE, Problem, feasible, keeps

Floats = NDArray[np.float64]

# ---------------------------------------------------------------- where nothing but the total limits channels together
# Marginal returns are equal wherever no limit binds; a bisection on that one number finds the spend.


def fill(curves: Curves, returns: Floats, low: Floats, high: Floats, total: float) -> Floats:
    """(draws, channels) the spend that returns most for each row of ``returns`` (draws, channels).

    Only ``low``, ``high``, (channels,) or (draws, channels), and the total limit it. Curves must be concave between
    them; where they are not, or straight, it is a start and no more.
    """
    returns = np.atleast_2d(returns)
    steepest = (np.maximum(returns, 0) * curves.slope(low)).max(axis=1)
    top = np.log(np.maximum(steepest, 1e-300)) + 1e-9
    bottom = top - 120.0
    for _ in range(56):
        middle = (top + bottom) / 2
        spends_more = _spend_at(curves, returns, low, high, np.exp(middle)).sum(axis=1) > total
        bottom, top = np.where(spends_more, middle, bottom), np.where(spends_more, top, middle)
    return _spend_at(curves, returns, low, high, np.exp(top))


def _spend_at(curves: Curves, returns: Floats, low: Floats, high: Floats, price: Floats) -> Floats:
    """(draws, channels) spend at which one unit more returns ``price`` (draws,)."""
    with np.errstate(divide="ignore", over="ignore"):
        slope = price[:, None] / np.where(returns > 0, returns, np.nan)
        # A return that is not positive is worth no money; one that is linear, all or none of it.
        spend = np.where(returns > 0, np.clip(curves.spend_of_slope(slope), low, high), low)
    unsolved = np.flatnonzero(np.isnan(spend).any(axis=0))
    if len(unsolved):
        least, most = (np.broadcast_to(end, returns.shape)[:, unsolved] for end in (low, high))
        own = curves.bend[unsolved], curves.steepness[unsolved], curves.today[unsolved]
        spend[:, unsolved] = _bisect(returns[:, unsolved], price, least, most, *own)
    return np.clip(spend, low, high)


@njit(cache=True, nogil=True)
def _bisect(returns, price, least, most, bend, steepness, today):
    """(draws, channels) what `_spend_at` gives for Hill curves, whose slope has no inverse but falls all the way."""
    spend = np.empty(returns.shape)
    for channel in range(returns.shape[1]):
        n, half = steepness[channel], bend[channel] ** steepness[channel]
        for draw in range(returns.shape[0]):
            low, high = least[draw, channel], most[draw, channel]
            for _ in range(48):
                middle = (low + high) / 2
                x = max(middle / today[channel], NEAR_ZERO)
                power = x**n
                slope = n * half * power / x / (half + power) ** 2 * (half + 1) / today[channel]
                if returns[draw, channel] * slope > price[draw]:
                    low = middle
                else:
                    high = middle
            spend[draw, channel] = (low + high) / 2
    return spend


def share_above_today(curves: Curves, draws: Floats, low: Floats, high: Floats, total: float) -> Floats:
    """(channels,) how often, over draws of returns (draws, channels), the best spend is above today's.

    Examples
    --------
    >>> from attribution.kernels.budget.curves import build_curves
    >>> curves = build_curves(["power"] * 2, [0.5] * 2, [50.0] * 2)
    >>> share_above_today(curves, np.array([[1.0, 2.0], [2.0, 3.0]]), np.zeros(2), np.full(2, 100.0), 100.0).tolist()
    [0.0, 1.0]
    """
    result: Floats = (fill(curves, draws, low, high, total) > curves.today * (1 + 1e-9)).mean(axis=0)
    return result


# ---------------------------------------------------------------- under all other limits

CONVERGED = 1e-4
"""Where prices explain marginal worth to so small a share, a solution is taken for the optimum."""

SETTLED = 1e-6
"""Where the share is smaller still, looking further is of no use."""

ROUNDING = 1e-9
"""Prices below such a share of the largest marginal worth are none."""

STARTS, CORNERS, CHOICES = 2, 6, 8
"""Random starts, such with much on one channel, and such without some, where there may be more than one optimum."""


@dataclass(frozen=True)
class Allocation:
    """The spend that returns most, and the price of every limit: worth of loosening it by one unit.

    Attributes
    ----------
    spend : (channels,)
    low_prices, high_prices : (channels,) of each channel's own limits
    row_low_prices, row_high_prices : (limits,) of limits over several channels; the first is that of the total
    capacity_price : of one unit of capacity
    gap : largest marginal worth that the prices leave unexplained, as a share of the largest; 0 at the optimum
    """

    spend: Floats
    low_prices: Floats
    high_prices: Floats
    row_low_prices: Floats
    row_high_prices: Floats
    capacity_price: float
    gap: float


def allocate(problem: Problem) -> Allocation:
    """The optimum of a problem that has a solution (see `contradiction`).

    Raises
    ------
    InputError
        If the capacity is exceeded whatever is spent.

    Examples
    --------
    >>> from attribution.kernels.budget.curves import build_curves
    >>> from attribution.kernels.budget.problem import simple_problem
    >>> curves = build_curves(["power"] * 2, [0.5] * 2, [50.0] * 2)
    >>> result = allocate(simple_problem(curves, np.array([100.0, 200.0]), total=100.0))
    >>> result.spend.round(6).tolist(), round(float(result.row_high_prices[0]), 6)
    ([20.0, 80.0], 1.581139)
    """
    start = fill(problem.curves, problem.returns[None], problem.low, problem.high, problem.total)[0]
    is_concave = bool((problem.low >= problem.curves.concave_from() * (problem.returns > 0)).all())
    if is_concave and not problem.aversion and keeps(problem, start):
        filled = _price(problem, start)
        if filled.gap < CONVERGED:
            return filled
    climbed = _improve(problem, start)
    if is_concave and keeps(problem, climbed):
        priced = _price(problem, climbed)
        is_sole = not (problem.aversion or np.isfinite(problem.capacity)) or not priced.row_low_prices.any()
        if is_sole and priced.gap < CONVERGED:
            return priced
    starts = [np.clip(problem.curves.today, problem.low, problem.high), *_without_some(problem)]
    if problem.aversion or len(problem.rows) > 1 or np.isfinite(problem.capacity):
        rng = np.random.default_rng(0)
        starts += [problem.low, *_corners(problem)]
        starts += [problem.low + share * _range(problem) for share in rng.uniform(size=(STARTS, len(start)))]
    improved = [each if _is_explained(problem, each) else _improve(problem, each, steps=40) for each in starts]
    candidates = [spend for spend in [*improved, *starts, climbed, start] if keeps(problem, spend)]
    if not candidates:
        raise InputError(
            "budget: the floors alone use more than the capacity",
            given=f"capacity {problem.capacity:g}, and {min(problem.use(each) for each in improved):g} at the floors",
            hint="raise the capacity or lower the floors",
        )
    best = max(candidates, key=problem.worth)
    if not _is_explained(problem, best):
        best = max((each for each in (best, _improve(problem, best)) if keeps(problem, each)), key=problem.worth)
    return _price(problem, best)


def _is_explained(problem: Problem, spend: Floats) -> bool:
    """Whether prices explain a spend that keeps the limits, and no curve is climbed half-way up an S."""
    is_up = spend >= np.minimum(problem.curves.concave_from(), problem.high)
    is_left = spend <= problem.low + TOLERANCE * problem.total
    return bool((is_up | is_left).all()) and keeps(problem, spend) and _price(problem, spend).gap < SETTLED


def _corners(problem: Problem) -> list[Floats]:
    """Spends that keep the limits, each with as much as can be on one of the channels that floors or an S concern.

    A floor under a capacity is best met where money brings fewest new conversions, which may be one channel alone.
    """
    concerned = problem.rows[np.isfinite(problem.row_low)].any(axis=0) | (problem.low < problem.curves.concave_from())
    ratio = problem.returns / np.maximum(problem.load, 1e-300)
    indices = [index for index in np.argsort(-ratio, kind="stable") if concerned[index]]
    corners = (feasible(problem, -np.eye(len(ratio))[index]) for index in indices[:CORNERS])
    return [spend for spend in corners if spend is not None]


def _without_some(problem: Problem) -> list[Floats]:
    """The best few spends if some S-shaped curves are left at their least and the others are past their turn.

    Within such a choice curves are concave. All choices of up to eight such curves are tried; of more, those that
    take the best at one price of money, and such with one more.
    """
    turn = np.maximum(problem.low, np.minimum(problem.curves.concave_from(), problem.high))
    curved = np.flatnonzero(turn > problem.low)
    if not len(curved):
        return []
    if len(curved) <= 8:
        on = np.array(list(product([False, True], repeat=len(curved))))
    else:
        rank = np.argsort(np.argsort(-_worth_of_starting(problem, turn)[curved], kind="stable"))
        first = rank < np.arange(len(curved) + 1)[:, None]
        extended = [row | (rank == after) for row in first for after in (row.sum() + np.arange(1, 4))]
        on = np.unique(np.concatenate([first, extended]), axis=0)
    low, high = np.tile(problem.low, (len(on), 1)), np.tile(problem.high, (len(on), 1))
    low[:, curved] = np.where(on, turn[curved], problem.low[curved])
    high[:, curved] = np.where(on, problem.high[curved], problem.low[curved])
    within = np.flatnonzero((low @ problem.rows.T <= problem.row_high * (1 + TOLERANCE)).all(axis=1))
    if not len(within):
        return []
    starts = _fill_to_capacity(problem, low[within], high[within])
    likely = sorted(range(len(within)), key=lambda index: -problem.worth(starts[index]))[:CHOICES]
    regions = [(replace(problem, low=low[within[index]], high=high[within[index]]), starts[index]) for index in likely]
    # Where total and capacity alone hold channels together, the filled spend is the best of its choice.
    is_filled = not problem.aversion and len(problem.rows) == 1
    return [start if is_filled else _improve(region, start, steps=40) for region, start in regions]


def _worth_of_starting(problem: Problem, turn: Floats) -> Floats:
    """(channels,) most that a unit of money returns, on average, on the way from the least spend past the turn."""
    curves, low = problem.curves, problem.low
    least, most = turn, np.maximum(np.minimum(problem.high, problem.total), turn)
    base = curves.growth(low)
    for _ in range(40):
        middle = (least + most) / 2
        still_rises = curves.slope(middle) * (middle - low) > curves.growth(middle) - base
        least, most = np.where(still_rises, middle, least), np.where(still_rises, most, middle)
    return problem.returns * (curves.growth(most) - base) / np.maximum(most - low, 1e-300)


def _fill_to_capacity(problem: Problem, low: Floats, high: Floats) -> Floats:
    """(choices, channels) the spend that returns most between ``low`` and ``high``, of total and capacity.

    What a channel asks of the capacity is taken off its return, at the price at which the capacity is kept.
    """
    every = np.tile(problem.returns, (len(low), 1))
    spend = fill(problem.curves, every, low, high, problem.total)
    if (problem.curves.growth(spend) @ problem.load <= problem.capacity).all():
        return spend
    # Above this price no channel is worth what it takes.
    top = np.full(len(low), float((problem.returns / np.maximum(problem.load, 1e-300)).max(initial=0.0)))
    bottom = np.zeros(len(low))
    for _ in range(20):
        price = (top + bottom) / 2
        spend = fill(problem.curves, every - price[:, None] * problem.load, low, high, problem.total)
        exceeds = problem.curves.growth(spend) @ problem.load > problem.capacity
        bottom, top = np.where(exceeds, price, bottom), np.where(exceeds, top, price)
    return fill(problem.curves, every - top[:, None] * problem.load, low, high, problem.total)


def _range(problem: Problem) -> Floats:
    return np.minimum(problem.high, problem.total) - problem.low


def _improve(problem: Problem, start: Floats, *, steps: int = 150) -> Floats:
    """The best spend near ``start``, found as growth: in it, slopes stay finite where a channel gets nothing."""
    curves, money = problem.curves, problem.total
    # Curvature of spend in growth is of the size of today's spend: in these units it is of the size of one.
    unit = 1 / np.sqrt(curves.today / money)
    size = max(np.abs(problem.returns).sum(), 1e-300)

    def worth(z: Floats) -> float:
        growth = z * unit
        risk = np.sqrt(max(float(growth @ problem.covariance @ growth), 0.0))
        result: float = (problem.aversion * risk - float(problem.returns @ growth)) / size
        return result

    def slope(z: Floats) -> Floats:
        growth = z * unit
        risk = np.sqrt(max(float(growth @ problem.covariance @ growth), 1e-300))
        result: Floats = (problem.aversion * (problem.covariance @ growth) / risk - problem.returns) * unit / size
        return result

    def price(z: Floats) -> Floats:
        per_growth = 1 / np.maximum(curves.slope(curves.spend_at(z * unit)), 1e-9 / curves.today)
        # An S is flat at nothing, where money per growth has no end; of a channel that cannot move, it is not needed.
        return problem.rows * np.where(problem.low < problem.high, per_growth, 0.0) * unit / money

    sums = NonlinearConstraint(
        lambda z: problem.rows @ curves.spend_at(z * unit) / money,
        problem.row_low / money,
        problem.row_high / money,
        jac=price,
    )
    limits: list[LinearConstraint | NonlinearConstraint] = [sums]
    if np.isfinite(problem.capacity):
        limits.append(LinearConstraint((problem.load * unit)[None] / max(problem.capacity, 1e-300), -np.inf, 1.0))
    ends = curves.growth(problem.low) / unit, curves.growth(np.minimum(problem.high, money)) / unit
    with np.errstate(over="ignore", invalid="ignore"):
        done = minimize(
            worth,
            np.clip(curves.growth(start) / unit, *ends),
            jac=slope,
            bounds=list(zip(*ends, strict=True)),
            constraints=limits,
            method="SLSQP",
            options={"maxiter": steps, "ftol": 1e-12},
        )
    return np.clip(curves.spend_at(np.clip(done.x, *ends) * unit), problem.low, problem.high)


def _price(problem: Problem, spend: Floats) -> Allocation:
    """Prices that explain the marginal worth at ``spend``, only of limits that bind there."""
    near = TOLERANCE * 10 * problem.total
    marginal = problem.marginal(spend)
    sums = problem.rows @ spend
    n, unit = len(spend), np.eye(len(spend))
    kinds = [
        (problem.rows, sums >= problem.row_high - near),
        (-problem.rows, sums <= problem.row_low + near),
        (unit, spend >= problem.high - near),
        (-unit, spend <= problem.low + near),
        (
            (problem.load * problem.curves.slope(spend))[None],
            np.array([problem.use(spend) >= problem.capacity * (1 - 10 * TOLERANCE)]),
        ),
    ]
    size = max(float(np.abs(marginal).max()), 1e-300)
    columns = np.concatenate([vectors[binds] for vectors, binds in kinds]).T
    norms = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    multipliers = nnls(columns / norms, marginal / size)[0] / norms * size if columns.size else np.zeros(0)
    gap = float(np.abs(marginal - columns @ multipliers).max() / size) if n else 0.0
    multipliers[multipliers * norms < ROUNDING * size] = 0.0
    prices, done = [], 0
    for vectors, binds in kinds:
        price = np.zeros(len(vectors))
        price[binds] = multipliers[done : done + binds.sum()]
        done += int(binds.sum())
        prices.append(price)
    return Allocation(spend, prices[3], prices[2], prices[1], prices[0], float(prices[4][0]), gap)
