"""What channels caused where chance moved their budgets between regions: a regression over regions and days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class RegionalEffects(NamedTuple):
    """By channel.

    Attributes
    ----------
    effects, standard_errors : conversions caused in all regions and days, shape (channels,)
    degrees : of freedom of their t distribution: regions − channels − 1
    varies : share of the variance of exposure that neither region, day, other channels nor chance explain, shape
        (channels,)
    """

    effects: Floats
    standard_errors: Floats
    degrees: float
    varies: Floats


def adstock(amounts: Floats, retention: float) -> Floats:
    """What is left of this and earlier days, along the last axis.

    Examples
    --------
    >>> adstock(np.array([8.0, 0.0, 4.0]), 0.5).tolist()
    [8.0, 4.0, 6.0]
    """
    stock = np.array(amounts, dtype=float)
    for day in range(1, stock.shape[-1]):
        stock[..., day] += retention * stock[..., day - 1]
    return stock


def within_regions_and_days(values: Floats, weights: Floats) -> Floats:
    """What weighted means of regions and days do not explain: residuals of both fixed effects.

    Parameters
    ----------
    values : shape (…, regions, days)
    weights : shape (regions, days)
    """
    of_regions, of_days = weights.sum(axis=1), weights.sum(axis=0)
    normal = np.block([[np.diag(of_regions), weights], [weights.T, np.diag(of_days)]])
    sums = np.concatenate([(weights * values).sum(axis=-1), (weights * values).sum(axis=-2)], axis=-1)
    effects = sums @ np.linalg.pinv(normal, hermitian=True)
    regions = len(weights)
    left: Floats = values - effects[..., :regions, None] - effects[..., None, regions:]
    return left


def regional_effects(
    conversions: Floats, at_risk: Floats, touches: Floats, heads: Floats, *, retentions: Sequence[float], burn_in: int
) -> RegionalEffects:
    """Conversions per head at risk, regressed on adstocked exposure per head, within regions and days.

    Weighted by heads at risk; errors are clustered by region, times √(R ÷ (R − 1)). The first days are left out, as
    nothing says what happened before them; effects are told for all days.

    Parameters
    ----------
    conversions, at_risk : new conversions, and customers without one at the start of the day, shape (regions, days)
    touches : of each channel, shape (channels, regions, days)
    heads : customers, shape (regions,)
    retentions : shares of exposure that may be left a day later; each counts by how well it fits, and how far they are
        apart is part of the error
    burn_in : days that are left out
    """
    weights = at_risk[:, burn_in:]
    rates = np.divide(conversions[:, burn_in:], weights, out=np.zeros_like(weights), where=weights > 0)
    outcome = within_regions_and_days(rates, weights)
    stocks = np.array([adstock(touches, retention) / heads[:, None] for retention in retentions])
    fits = [_fit(outcome, within_regions_and_days(stock[..., burn_in:], weights), weights) for stock in stocks]
    shares = _plausible(fits)
    reach = (at_risk * stocks).sum(axis=(2, 3))
    effects = reach * [fit.coefficients for fit in fits]
    variances = reach**2 * [np.diag(fit.variance) for fit in fits]
    mean = shares @ effects
    # Touches that come by chance vary by their own number.
    noises = [adstock(touches, retention**2)[..., burn_in:] / heads[:, None] ** 2 for retention in retentions]
    varies = [
        _varies(stock[..., burn_in:], fit.products, noise, weights)
        for stock, fit, noise in zip(stocks, fits, noises, strict=True)
    ]
    return RegionalEffects(
        mean,
        np.sqrt(shares @ (variances + (effects - mean) ** 2)),
        float(len(heads) - len(touches) - 1),
        shares @ np.array(varies),
    )


class _Fit(NamedTuple):
    coefficients: Floats
    variance: Floats
    squares: float
    spread: float
    products: Floats


def _fit(outcome: Floats, exposure: Floats, weights: Floats) -> _Fit:
    """Weighted least squares of what is left within regions and days."""
    weighted = weights * exposure
    products = np.einsum("crd,krd->ck", weighted, exposure)
    inverse = np.linalg.pinv(products, hermitian=True)
    coefficients = inverse @ np.einsum("crd,rd->c", weighted, outcome)
    residuals = outcome - np.einsum("c,crd->rd", coefficients, exposure)
    scores = np.einsum("crd,rd->rc", weighted, residuals)
    regions = len(weights)
    variance = inverse @ (scores.T @ scores) @ inverse * regions / (regions - 1)
    squares = float((weights * residuals**2).sum())
    spread = squares / (residuals.size - sum(residuals.shape) + 1 - len(exposure))
    # Days of one region resemble each other, so they count for fewer than they are.
    naive = spread * np.diag(inverse).sum()
    alike = max(float(np.diag(variance).sum() / naive), 1.0) if naive > 0 else 1.0
    return _Fit(coefficients, variance, squares, spread * alike, products)


def _plausible(fits: Sequence[_Fit]) -> Floats:
    """How much each fit counts, by how far its squares exceed those of the best."""
    best = min(fits, key=lambda fit: fit.squares)
    further = np.array([fit.squares - best.squares for fit in fits])
    likely: Floats = np.exp(-0.5 * further / best.spread) if best.spread > 0 else (further == 0).astype(float)
    return np.asarray(likely / likely.sum())


def _varies(stock: Floats, products: Floats, noise: Floats, weights: Floats) -> Floats:
    mean = (weights * stock).sum(axis=(1, 2)) / weights.sum()
    total = (weights * (stock - mean[:, None, None]) ** 2).sum(axis=(1, 2))
    own = np.empty_like(total)
    for channel in range(len(own)):
        of_all = np.delete(products, channel, axis=0)
        shared = of_all[:, channel]
        further = np.linalg.pinv(np.delete(of_all, channel, axis=1), hermitian=True)
        own[channel] = products[channel, channel] - shared @ further @ shared
    rest = own - (weights * noise).sum(axis=(1, 2))
    shares: Floats = np.divide(rest, total, out=np.zeros_like(total), where=total > 0)
    return shares.clip(0.0, 1.0)
