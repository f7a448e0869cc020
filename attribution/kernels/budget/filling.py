"""The spend that returns most where nothing but the total limits several channels together.

Marginal returns are equal wherever no limit binds; a bisection on that one number finds the spend.

References
----------
.. [1] S. Boyd, L. Vandenberghe, "Convex optimization", 2004, example 5.2.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from attribution.kernels.budget.curves import NEAR_ZERO, Curves

Floats = NDArray[np.float64]


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
        wanted = price[:, None] / np.where(returns > 0, returns, np.nan)
        # A return that is not positive is worth no money; one that is linear, all or none of it.
        spend = np.where(returns > 0, np.clip(curves.spend_of_slope(wanted), low, high), low)
    lacking = np.flatnonzero(np.isnan(spend).any(axis=0))
    if len(lacking):
        least, most = (np.broadcast_to(end, returns.shape)[:, lacking] for end in (low, high))
        own = curves.bend[lacking], curves.steepness[lacking], curves.today[lacking]
        spend[:, lacking] = _bisected(returns[:, lacking], price, least, most, *own)
    return np.clip(spend, low, high)


@njit(cache=True, nogil=True)
def _bisected(returns, price, least, most, bend, steepness, today):
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
    >>> from attribution.kernels.budget.curves import curves_of
    >>> curves = curves_of(["power"] * 2, [0.5] * 2, [50.0] * 2)
    >>> share_above_today(curves, np.array([[1.0, 2.0], [2.0, 3.0]]), np.zeros(2), np.full(2, 100.0), 100.0).tolist()
    [0.0, 1.0]
    """
    result: Floats = (fill(curves, draws, low, high, total) > curves.today * (1 + 1e-9)).mean(axis=0)
    return result
