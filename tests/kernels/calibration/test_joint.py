"""Joint draws have the margins that are known exactly, and hang together by what channels have in common."""

from __future__ import annotations

import numpy as np

from attribution.kernels.calibration.joint import draw_effects
from attribution.kernels.calibration.posterior import calibrate
from tests.kernels.calibration.slow_posterior import assumed, draw, reads

BASES = np.array([[100.0, 200.0, 50.0], [30.0, 260.0, 20.0]])
CAP = np.array([300.0, 500.0, 120.0])
TERMS = ((-1.0, 0.45, 0.8, 0.15), (-0.4, 0.55, 0.95, 0.15))


def test_margins_are_those_of_the_posterior() -> None:
    posterior = calibrate(BASES, CAP, assumed(*TERMS), reads((0, 40, 15), (2, -5, 10)))
    draws = draw_effects(posterior, 4096)
    assert draws.shape == (4096, 3)
    np.testing.assert_allclose(draws.mean(axis=0), posterior.means, rtol=2e-3)
    np.testing.assert_allclose((draws == 0).mean(axis=0), posterior.nothing, atol=2e-3)
    for level in (0.2, 0.5, 0.8, 0.95):
        at = posterior.quantiles(level)
        np.testing.assert_allclose((draws <= at)[:, at > 0].mean(axis=0), level, atol=4e-3)
    assert (draws <= CAP * (1 + 1e-9)).all()


def test_channels_hang_together_as_brute_force_says() -> None:
    readings = reads((0, 40, 15))
    posterior = calibrate(BASES[:1], CAP, assumed(TERMS[0]), readings)
    draws = draw_effects(posterior, 4096)
    effects, weight = draw(BASES[0], CAP, TERMS[0], readings, 400_000)
    total = effects.sum(axis=1)
    mean = weight @ total / weight.sum()
    spread = np.sqrt(weight @ (total - mean) ** 2 / weight.sum())
    np.testing.assert_allclose(draws.sum(axis=1).std(), spread, rtol=0.02)
    assert draws.sum(axis=1).var() > 1.05 * draws.var(axis=0).sum()


def test_draws_do_not_depend_on_the_order_of_readings() -> None:
    rows = [(0, 40.0, 15.0), (2, -5.0, 10.0), (0, 60.0, 20.0)]
    one, other = (calibrate(BASES, CAP, assumed(*TERMS), reads(*order)) for order in (rows, rows[::-1]))
    assert draw_effects(one, 512).tobytes() == draw_effects(other, 512).tobytes()


def test_a_channel_without_converters_is_drawn_as_nothing() -> None:
    cap = np.array([300.0, 0.0, 120.0])
    posterior = calibrate(np.array([[100.0, 0.0, 50.0]]), cap, assumed(TERMS[0]), reads((1, 30, 5)))
    draws = draw_effects(posterior, 256)
    assert (draws[:, 1] == 0).all()
    assert (draws[:, 0] > 0).any()
