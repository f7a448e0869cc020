"""Response curves against formulas by hand, finite differences and histories whose bend is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import InputError
from attribution.kernels.budget.curves import KINDS, RANGES, build_curves, fit_bend

BENDS = {"power": 0.6, "log": 0.8, "hill": 1.3}


def test_values_by_hand() -> None:
    curves = build_curves(["power", "log", "hill", "hill"], [0.5, 2.0, 3.0, 2.0], [100.0] * 4, [1, 1, 1, 2])
    # √4; ln(1 + 4/2) ÷ ln(1 + 1/2); 4/(3 + 4) ÷ 1/(3 + 1); 16/(4 + 16) ÷ 1/(4 + 1).
    wanted = [2.0, np.log(3) / np.log(1.5), 16 / 7, 4.0]
    np.testing.assert_allclose(curves.growth(np.full(4, 400.0)), wanted, rtol=1e-14)
    # a/x0; 1 ÷ ((k + 1) ln(1 + 1/k)); k/(k + 1); n k^n ÷ (k^n + 1): per today's spend of 100.
    wanted = [0.5, 1 / (3 * np.log(1.5)), 0.75, 1.6]
    np.testing.assert_allclose(curves.slope(np.full(4, 100.0)) * 100, wanted, rtol=1e-14)


@given(
    kind=st.sampled_from(KINDS),
    bend=st.floats(0.1, 0.95),
    today=st.floats(1, 1e6),
    at=st.floats(0.01, 10),
    steepness=st.floats(0.3, 3),
)
def test_a_curve_is_anchored_and_its_slope_is_its_derivative(
    kind: str, bend: float, today: float, at: float, steepness: float
) -> None:
    curves = build_curves([kind], [bend], [today], [steepness])
    np.testing.assert_allclose(curves.growth(np.array([0.0, 1.0])[:, None] * today).ravel(), [0, 1], atol=1e-12)
    x, step = at * today, 1e-5 * at * today
    rise = curves.growth(np.array([[x + step], [x - step]])).ravel()
    np.testing.assert_allclose((rise[0] - rise[1]) / (2 * step), curves.slope(np.array([x]))[0], rtol=1e-5)


def test_an_s_turns_where_its_slope_is_steepest() -> None:
    curves = build_curves(["hill", "hill", "power"], [1.5, 1.5, 0.5], [10.0] * 3, [3.0, 0.9, 1.0])
    grid = np.linspace(0.01, 40, 200_001)
    steepest = grid[np.argmax(curves.slope(np.repeat(grid[:, None], 3, axis=1))[:, 0])]
    np.testing.assert_allclose(curves.concave_from(), [steepest, 0, 0], atol=1e-3)


def test_slopes_stay_finite_at_no_spend() -> None:
    curves = build_curves(["power", "log", "hill"], [0.5] * 3, [10.0] * 3, [1.0, 1.0, 0.5])
    assert np.isfinite(curves.slope(np.zeros(3))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bend_is_found_again(kind: str) -> None:
    spend = np.linspace(20, 300, 30)
    growth = build_curves([kind], [BENDS[kind]], [100.0]).growth(spend[:, None])[:, 0]
    fit = fit_bend(spend, 70 * growth, 100.0, kind=kind)
    assert fit.bend == pytest.approx(BENDS[kind], rel=1e-5)
    assert fit.low <= fit.bend <= fit.high
    assert fit.periods == 30


def test_intervals_of_bends_cover_at_their_level() -> None:
    rng = np.random.default_rng(3)
    spend = rng.uniform(20, 200, 25)
    truth = 50 * (spend / 100) ** 0.6
    fits = [fit_bend(spend, truth + rng.normal(0, 3, 25), 100.0, kind="power") for _ in range(200)]
    covered = np.mean([fit.low <= 0.6 <= fit.high for fit in fits])
    assert 0.84 <= covered <= 0.96
    assert np.mean([fit.bend for fit in fits]) == pytest.approx(0.6, abs=0.02)


def history(**changed: np.ndarray) -> dict[str, np.ndarray]:
    spend = np.linspace(10, 100, 12)
    return {"spend": spend, "returns": 5 * spend**0.5} | changed


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"spend": np.linspace(99, 101, 12)},
            r"too flat for a curve: the standard deviation of spend is 0\.\d+ % of its mean",
        ),
        ({"spend": np.full(12, 0.0)}, "too flat"),
        ({"spend": np.linspace(10, 100, 7), "returns": np.ones(7)}, "7 periods; a curve needs 8"),
        ({"returns": np.zeros(12)}, "no return"),
        ({"returns": np.linspace(10, 100, 12)}, "shows no saturation"),
        ({"returns": np.linspace(10, 100, 12) ** 2}, "shows no saturation"),
        ({"returns": np.array([1.0, np.nan] * 6)}, "finite"),
        ({"spend": np.linspace(-1, 100, 12)}, "no spend below 0"),
    ],
)
def test_a_history_that_says_nothing_is_refused_with_the_reason(changed: dict[str, np.ndarray], reason: str) -> None:
    given = history(**changed)
    with pytest.raises(InputError, match=reason):
        fit_bend(given["spend"], given["returns"], 50.0, kind="power")


def test_noise_that_any_bend_fits_is_refused() -> None:
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(20):
        spend = rng.uniform(80, 120, 10)
        try:
            fit = fit_bend(spend, 100 + rng.normal(0, 60, 10), 100.0, kind="power")
        except InputError:
            refused += 1
        else:
            assert fit.low == RANGES["power"][0] or fit.high == RANGES["power"][1]
    assert refused >= 10
