"""How much a test could tell before it is run: smallest effects and numbers of customers."""

from __future__ import annotations

import numpy as np
from scipy import stats

ALPHA, POWER = 0.1, 0.8
"""Probability of seeing an effect where there is none, and of seeing one that there is."""


def detectable_effect(
    customers: float,
    rate: float,
    control_share: float,
    *,
    exposed_share: float = 1.0,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Smallest number of conversions caused that a test tells from none with probability ``power``.

    Parameters
    ----------
    customers : in both arms
    rate : conversions per customer that is compared
    control_share : of customers in control
    exposed_share : of customers who are or would be exposed, where these are compared; all of them otherwise

    Examples
    --------
    >>> round(detectable_effect(500_000, 0.034, 0.2), 3)
    796.594
    >>> round(detectable_effect(500_000, 0.05, 0.2, exposed_share=0.3), 3)
    524.707
    """
    compared = customers * exposed_share
    arms = 1 / (compared * (1 - control_share)) + 1 / (compared * control_share)
    return float(_reach(alpha, power) * compared * np.sqrt(rate * (1 - rate) * arms))


def customers_needed(
    effect: float, rate: float, control_share: float, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Customers to compare, in both arms, for which an ``effect`` per customer is detectable.

    Examples
    --------
    >>> round(customers_needed(0.002, 0.034, 0.2), 1)
    317281.1
    """
    arms = 1 / (1 - control_share) + 1 / control_share
    return float(_reach(alpha, power) ** 2 * rate * (1 - rate) * arms / effect**2)


def _reach(alpha: float, power: float) -> float:
    """Standard errors between no effect and one that is detectable."""
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
