"""What a customer brings over time: a simple lifetime value, and how soon it has paid for winning the customer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.schema.experiment import LifetimeOptions, ReturnsOptions

_ROUNDING = 1e-12
"""Relative: a sum that equals the cost but for rounding has paid for it."""


@check_arguments
def lifetime_value(revenue: float, *, retention: float, discount: float, periods: int, margin: float = 1.0) -> float:
    """Discounted lifetime revenue of a customer: Σ margin · revenue · retentionᵗ ÷ (1 + discount)ᵗ over the periods t.

    Parameters
    ----------
    revenue : money a period, from t = 0
    retention : share of customers who stay from one period to the next, 0 … 1
    discount : interest a period, ≥ 0
    periods : how many count, ≥ 1
    margin : gross margin, above 0 and at most 1. ``returns.ltv`` is revenue: leave it at 1 there, or the margin
        counts twice

    Raises
    ------
    InputError
        If one of them is out of its range.

    Examples
    --------
    >>> lifetime_value(100.0, retention=0.5, discount=0.0, periods=3)
    175.0
    >>> lifetime_value(100.0, retention=0.5, discount=0.0, periods=3, margin=0.4)
    70.0
    """
    _check(revenue=revenue, retention=retention, discount=discount, periods=periods, margin=margin)
    return float(margin * revenue * _weights(retention, discount, periods).sum())


@check_arguments
def payback_period(
    cac: float, revenue: float, *, retention: float, discount: float, periods: int, margin: float = 1.0
) -> int | None:
    """The first period t by which the discounted margin of a customer adds up to what winning the customer cost.

    Parameters
    ----------
    cac : cost of a new customer, ≥ 0
    revenue, retention, discount, periods, margin : as for `lifetime_value`

    Returns
    -------
    t from 0, the period of the first purchase; None if the customer never pays for it within ``periods``.

    Raises
    ------
    InputError
        If one of them is out of its range.

    Examples
    --------
    A margin of 40 a period, of which half the customers stay: 40, 60, 70, …

    >>> payback_period(65.0, 100.0, retention=0.5, discount=0.0, periods=12, margin=0.4)
    2
    >>> payback_period(85.0, 100.0, retention=0.5, discount=0.0, periods=12, margin=0.4) is None
    True
    """
    _check(cac=cac, revenue=revenue, retention=retention, discount=discount, periods=periods, margin=margin)
    earned = margin * revenue * np.cumsum(_weights(retention, discount, periods))
    period = first_reaching(earned[None, :], np.array([cac]))[0]
    return None if np.isnan(period) else int(period)


def default_lifetime(options: ReturnsOptions) -> float | None:
    """Lifetime revenue of a new customer of whom nothing else is known; None where it is not said."""
    lifetime = options.lifetime
    if lifetime is None or lifetime.revenue is None:
        return options.ltv
    return lifetime_value(
        lifetime.revenue, retention=lifetime.retention, discount=lifetime.discount, periods=lifetime.periods
    )


def payback(lifetime: NDArray[np.float64], cac: NDArray[np.float64], options: LifetimeOptions) -> NDArray[np.float64]:
    """(rows,) first period by which ``lifetime`` (rows,), coming in as ``options`` say, has paid for ``cac`` (rows,).

    NaN where it never does, or one of them is not known.
    """
    weights = np.cumsum(_weights(options.retention, options.discount, options.periods))
    return first_reaching(lifetime[:, None] * (weights / weights[-1]), cac)


def first_reaching(earned: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows,) first column of ``earned`` (rows, periods) that is at least ``cost`` (rows,); NaN where none is."""
    reached = earned >= cost[:, None] * (1.0 - _ROUNDING)
    return np.where(reached.any(axis=1), reached.argmax(axis=1).astype(np.float64), np.nan)


def _weights(retention: float, discount: float, periods: int) -> NDArray[np.float64]:
    return np.power(retention / (1.0 + discount), np.arange(periods, dtype=np.float64))


def _check(**given: float) -> None:
    ranges: dict[str, tuple[Callable[[float], bool], str]] = {
        "cac": (lambda x: 0 <= x < np.inf, "a finite number ≥ 0"),
        "revenue": (lambda x: 0 <= x < np.inf, "a finite number ≥ 0"),
        "retention": (lambda x: 0 <= x <= 1, "0 … 1"),
        "discount": (lambda x: 0 <= x < np.inf, "a finite number ≥ 0"),
        "periods": (lambda x: x >= 1 and x == int(x), "a whole number ≥ 1"),
        "margin": (lambda x: 0 < x <= 1, "above 0, at most 1"),
    }
    for name, value in given.items():
        is_allowed, allowed = ranges[name]
        if not is_allowed(value):
            raise InputError(f"lifetime: {name} is out of its range", given=value, allowed=allowed)
