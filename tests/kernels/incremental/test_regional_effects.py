"""Effects of budgets that chance moved between regions: against statsmodels, and where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.incrementality.regional_budgets import CAUTION, RETENTIONS
from attribution.kernels.incremental.regional_effects import adstock, regional_effects, within_regions_and_days

REGIONS, DAYS, BURN_IN, RETENTION = 15, 40, 10, 0.8
CAUSED = np.array([0.002, 0.0006])


def world(seed: int, *, follows_demand: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """New conversions, customers at risk, touches of two channels, customers by region.

    Regions differ in demand, and their budgets change every five days: by chance, or those of the first channel along
    that demand.
    """
    draw = np.random.default_rng(seed)
    heads = draw.integers(4_000, 9_000, REGIONS).astype(float)
    demand = np.exp(draw.normal(0, 0.3, (REGIONS, DAYS // 5))).repeat(5, axis=1)
    levels = np.exp(draw.normal(0, 0.6, (2, REGIONS, DAYS // 5))).repeat(5, axis=2)
    if follows_demand:
        levels[0] = demand**2
    touches = draw.poisson(0.05 * heads[:, None] * levels).astype(float)
    rates = 0.002 * demand + np.einsum("c,crd->rd", CAUSED, adstock(touches, RETENTION)) / heads[:, None]
    at_risk, conversions = np.empty((REGIONS, DAYS)), np.empty((REGIONS, DAYS))
    left = heads.copy()
    for day in range(DAYS):
        at_risk[:, day], conversions[:, day] = left, draw.binomial(left.astype(int), rates[:, day])
        left = left - conversions[:, day]
    return conversions, at_risk, touches, heads


def truth(at_risk: np.ndarray, touches: np.ndarray, heads: np.ndarray) -> np.ndarray:
    return np.asarray(CAUSED * (at_risk * adstock(touches, RETENTION) / heads[:, None]).sum(axis=(1, 2)))


def test_it_is_the_regression_of_statsmodels() -> None:
    import statsmodels.api as sm

    conversions, at_risk, touches, heads = world(1)
    effects = regional_effects(conversions, at_risk, touches, heads, retentions=[RETENTION], burn_in=BURN_IN)
    stock = adstock(touches, RETENTION) / heads[:, None]
    of_region, of_day = (each.ravel() for each in np.indices((REGIONS, DAYS - BURN_IN)))
    dummies = [np.eye(REGIONS)[of_region], np.eye(DAYS - BURN_IN)[of_day][:, 1:]]
    columns = np.column_stack([*(each[:, BURN_IN:].ravel() for each in stock), *dummies])
    weights = at_risk[:, BURN_IN:].ravel()
    fit = sm.WLS(conversions[:, BURN_IN:].ravel() / weights, columns, weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": of_region, "use_correction": False}
    )
    reach = (at_risk * stock).sum(axis=(1, 2))
    assert effects.effects == pytest.approx(reach * fit.params[:2], rel=1e-9)
    corrected = reach * fit.bse[:2] * np.sqrt(REGIONS / (REGIONS - 1))
    assert effects.standard_errors == pytest.approx(corrected, rel=1e-9)
    assert effects.degrees == REGIONS - 2 - 1


def test_how_fast_exposure_fades_is_part_of_the_error() -> None:
    """A fit that is far worse counts for nothing; two that are one and the same count half each, and add nothing."""
    conversions, at_risk, touches, heads = world(1)
    stock = adstock(touches, 0.8) / heads[:, None]
    clear = at_risk * (0.002 + np.einsum("c,crd->rd", CAUSED * 10, stock))
    of = (clear, at_risk, touches, heads)
    right, both = (regional_effects(*of, retentions=each, burn_in=BURN_IN) for each in ([0.8], [0.8, 0.0]))
    assert both.effects == pytest.approx(10 * truth(*of[1:]), rel=1e-9)
    assert both.effects == pytest.approx(right.effects, rel=1e-9)
    noisy = (conversions, at_risk, touches, heads)
    one, same, two = (
        regional_effects(*noisy, retentions=each, burn_in=BURN_IN) for each in ([0.8], [0.8, 0.8], [0.8, 0.5])
    )
    assert same.standard_errors == pytest.approx(one.standard_errors)
    other = regional_effects(*noisy, retentions=[0.5], burn_in=BURN_IN)
    lower, upper = np.minimum(one.effects, other.effects), np.maximum(one.effects, other.effects)
    assert ((lower < two.effects) & (two.effects < upper)).all()
    assert (two.standard_errors > np.minimum(one.standard_errors, other.standard_errors)).all()


def test_what_is_left_has_no_means_of_regions_or_days() -> None:
    draw = np.random.default_rng(3)
    weights, values = draw.uniform(1, 2, (4, 6)), draw.normal(size=(2, 4, 6))
    left = within_regions_and_days(values, weights) * weights
    assert np.abs(left.sum(axis=1)).max() < 1e-12
    assert np.abs(left.sum(axis=2)).max() < 1e-12


def test_chance_recovers_what_was_caused_and_budgets_along_demand_do_not() -> None:
    distances: dict[bool, list[float]] = {False: [], True: []}
    for follows_demand, seeds in ((False, range(40)), (True, range(10))):
        for seed in seeds:
            of = world(seed, follows_demand=follows_demand)
            effects = regional_effects(*of, retentions=RETENTIONS, burn_in=BURN_IN)
            assert (effects.varies > 0.05).all()
            caused = truth(*of[1:])
            distances[follows_demand].append(float((effects.effects - caused)[0] / effects.standard_errors[0]))
    by_chance = np.array(distances[False])
    # The interval of nine in ten, t with 12 degrees of freedom, with the caution that a run takes.
    assert (np.abs(by_chance) < 1.7823 * CAUTION).sum() >= 36
    assert abs(np.median(by_chance)) < 0.6
    assert np.mean(distances[True]) > 3


def test_national_budgets_do_not_vary() -> None:
    """What differs between regions then is the luck of customers, and of a channel twice nothing is its own."""
    conversions, at_risk, _, heads = world(2)
    draw = np.random.default_rng(4)
    national = np.exp(draw.normal(0, 0.6, DAYS))
    touches = draw.poisson(0.05 * heads[:, None] * national, (1, REGIONS, DAYS)).astype(float)
    effects = regional_effects(conversions, at_risk, touches, heads, retentions=[RETENTION], burn_in=BURN_IN)
    assert effects.varies[0] < 0.01
    own = world(2)[2][:1]
    twice = regional_effects(
        conversions, at_risk, np.concatenate([own, own]), heads, retentions=[RETENTION], burn_in=BURN_IN
    )
    assert twice.varies.tolist() == [0, 0]
