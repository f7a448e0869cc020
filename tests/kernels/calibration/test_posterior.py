"""What channels caused: known answers, integrals and brute force, limits, and what must not matter."""

from __future__ import annotations

import time
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from attribution.kernels.calibration.posterior import (
    Posterior,
    Readings,
    calibrate,
    combine,
    hold_against_rest,
)
from tests.kernels.calibration.slow_posterior import assumed, draw, integrate, reads

BASE, CAP = np.array([100.0, 200.0, 50.0]), np.array([300.0, 500.0, 120.0])
TERMS = (-1.0, 0.45, 0.8, 0.15)
ONE = reads((0, 40, 15))


def of_one(readings: Readings, base=BASE, cap=CAP, terms=TERMS) -> Posterior:
    return calibrate(np.asarray(base)[None], np.asarray(cap), assumed(terms), readings)


@pytest.mark.parametrize(
    ("readings", "means"),
    [
        (reads(), [43.28, 84.06, 20.85]),
        (ONE, [35.17, 82.30, 20.43]),
        (reads((0, 40, 15), (2, -5, 10)), [34.31, 75.55, 4.32]),
        (reads((0, 40, 15), (0, 60, 20)), [43.41, 86.11, 21.36]),
        (reads((0, 250, 30)), [236.02, 116.33, 28.72]),
    ],
)
def test_means_are_those_worked_out_by_hand(readings: Readings, means: list[float]) -> None:
    np.testing.assert_allclose(of_one(readings).means, means, rtol=1e-4, atol=5e-3)


def test_quantiles_and_nothing_are_those_worked_out_by_hand() -> None:
    before, after = of_one(reads()), of_one(ONE)
    assert [round(float(before.quantiles(level)[0]), 1) for level in (0.05, 0.5, 0.95)] == [0.0, 29.2, 140.5]
    assert [round(float(after.quantiles(level)[0]), 1) for level in (0.05, 0.5, 0.95)] == [13.0, 34.8, 58.9]
    assert round(float(after.nothing[0]), 4) == 0.0120
    assert round(float(after.quantiles(0.95)[1]), 1) == 261.9
    assert round(float(of_one(reads((0, 40, 15), (2, -5, 10))).nothing[2]), 4) == 0.4526


def two_bases() -> Posterior:
    return calibrate(np.array([BASE, [30.0, 260.0, 20.0]]), CAP, assumed(TERMS, (-0.4, 0.55, 0.95, 0.15)), ONE)


def test_two_bases_are_averaged_by_how_well_they_foretell_the_reading() -> None:
    posterior = two_bases()
    np.testing.assert_allclose(posterior.log_evidence, [-1.05987, -1.39859], atol=1e-5)
    np.testing.assert_allclose(posterior.weights, [0.58388, 0.41612], atol=1e-5)
    np.testing.assert_allclose(posterior.means, [33.274, 108.852, 19.169], atol=5e-4)


def test_two_bases_are_as_integrals_say() -> None:
    above, posterior = np.array([30.0, 80.0, 20.0]), two_bases()
    one = integrate(BASE, CAP, TERMS, ONE, above)
    other = integrate(np.array([30.0, 260.0, 20.0]), CAP, (-0.4, 0.55, 0.95, 0.15), ONE, above)
    weight = one[3] / (one[3] + other[3])
    for which, result in enumerate((posterior.means, posterior.nothing, posterior.exceeding(above))):
        expected = weight * one[which] + (1 - weight) * other[which]
        np.testing.assert_allclose(result, expected, rtol=3e-5, atol=3e-5)
    np.testing.assert_allclose(posterior.weights[0], weight, rtol=1e-5)


def test_brute_force_agrees() -> None:
    readings = reads((0, 40, 15), (2, -5, 10))
    effects, weight = draw(BASE, CAP, TERMS, readings, 400_000)
    posterior = of_one(readings)
    np.testing.assert_allclose(posterior.means, weight @ effects / weight.sum(), rtol=0.015)
    np.testing.assert_allclose(posterior.nothing, weight @ (effects == 0) / weight.sum(), atol=0.004)
    above = np.array([35.0, 60.0, 5.0])
    np.testing.assert_allclose(posterior.exceeding(above), weight @ (effects > above) / weight.sum(), atol=0.006)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("error", [0.3, 0.05, 1e-6, 1e-200])
def test_an_exact_reading_is_believed(error: float) -> None:
    posterior = of_one(reads((0, 40, error)))
    assert abs(posterior.means[0] - 40) < 0.02
    assert posterior.nothing[0] < 1e-20


def test_a_reading_with_a_huge_error_says_nothing() -> None:
    for error in (1e9, 1e300):
        np.testing.assert_allclose(of_one(reads((0, 40, error))).masses, of_one(reads()).masses, rtol=1e-12, atol=1e-15)


def test_a_reading_of_nothing_without_error_is_nothing() -> None:
    assert of_one(reads((0, 0, 2.0))).nothing[0] < of_one(reads((0, 0, 0.2))).nothing[0]
    assert of_one(reads((0, 0, 1e-9))).nothing[0] == 1.0
    assert of_one(reads((0, -1000, 1.0))).nothing[0] > 0.99999


def test_a_scaled_base_is_a_moved_assumption() -> None:
    moved = of_one(ONE, base=3 * BASE, terms=(-1.0 - np.log(3), 0.45, 0.8, 0.15))
    np.testing.assert_allclose(moved.means, of_one(ONE).means, rtol=1e-12)


@pytest.mark.parametrize(
    "terms", [(-1, 1e-9, 0.8, 0.15), (-1, 0.45, 1e-9, 0.15), (-1, 1e-9, 1e-9, 0.0), (-1, 3, 3, 0.9)]
)
def test_spreads_narrower_and_wider_than_cells_are_safe(terms: tuple[float, float, float, float]) -> None:
    posterior = of_one(ONE, terms=terms)
    assert np.isfinite(posterior.masses).all()
    np.testing.assert_allclose(posterior.masses.sum(axis=1), 1.0)


def test_without_spread_an_effect_is_the_assumed_share() -> None:
    posterior = of_one(reads(), terms=(-1, 1e-9, 1e-9, 0.0))
    np.testing.assert_allclose(posterior.means, BASE * np.exp(-1), rtol=0.005)  # half a cell


def test_only_what_channels_have_in_common_is_carried_over() -> None:
    alone, together = ((-1, spread, 0.8, 0.15) for spread in (1e-9, 0.45))
    np.testing.assert_allclose(of_one(ONE, terms=alone).means[1:], of_one(reads(), terms=alone).means[1:], rtol=1e-12)
    assert of_one(reads((0, 90, 5)), terms=together).means[1] > of_one(reads(), terms=together).means[1] + 1


def test_an_impossible_reading_yields_the_nearest_that_is_possible() -> None:
    posterior = of_one(reads((0, 40, 0.5)), terms=(-5, 0.01, 0.01, 0.0))
    np.testing.assert_allclose(posterior.means[0], 40, rtol=0.01)
    above_cap = of_one(reads((0, 5000, 1.0)))
    assert 297 < above_cap.means[0] < 300


def test_no_effect_is_above_the_cap() -> None:
    posterior = of_one(reads((0, 290, 30)))
    np.testing.assert_allclose(np.exp(posterior.edges[:, -1]), CAP)
    assert (posterior.quantiles(1.0) <= CAP * (1 + 1e-12)).all()
    assert (posterior.exceeding(CAP) == 0).all()


def test_a_channel_that_touched_no_converter_caused_nothing() -> None:
    cap, readings = np.array([300.0, 0.0, 120.0]), reads((0, 40, 15), (1, 30, 5))
    posterior = of_one(readings, base=np.array([100.0, 0.0, 50.0]), cap=cap)
    assert posterior.nothing[1] == 1
    assert posterior.means[1] == posterior.quantiles(0.95)[1] == 0
    without = of_one(ONE, base=BASE[[0, 2]], cap=CAP[[0, 2]])
    np.testing.assert_allclose(posterior.means[[0, 2]], without.means, rtol=1e-12)
    assert hold_against_rest(posterior)[1][1] > 0.999


def test_without_credit_a_channel_has_the_least() -> None:
    assert np.isfinite(of_one(ONE, base=np.array([100.0, 200.0, 1.2])).masses).all()


def test_thresholds() -> None:
    posterior = of_one(ONE)
    np.testing.assert_array_equal(posterior.exceeding(np.array([-1.0, 0.0, np.nan]))[:1], [1.0])
    np.testing.assert_allclose(posterior.exceeding(np.zeros(3)), 1 - posterior.nothing, rtol=1e-12)
    assert np.isnan(posterior.exceeding(np.full(3, np.nan))).all()
    for level in (0.3, 0.5, 0.95):
        np.testing.assert_allclose(posterior.exceeding(posterior.quantiles(level)), 1 - level, rtol=1e-9)


# ---------------------------------------------------------------- one reading of several, and each against the rest


def test_two_readings_are_one_that_weighs_both() -> None:
    both = combine(np.ones((1, 2), bool), reads((0, 40, 15), (0, 60, 20)))
    np.testing.assert_allclose([both.effect[0], both.error[0]], [47.2, 12.0])
    np.testing.assert_allclose(both.disagreement[0], -0.5 * (20**2 / (15**2 + 20**2)))
    none = combine(np.zeros((1, 2), bool), reads((0, 40, 15), (0, 60, 20)))
    assert (none.effect[0], none.error[0], none.disagreement[0]) == (0, np.inf, 0)


def test_a_reading_against_the_rest_is_one_that_was_left_out() -> None:
    rows = [(0, 40.0, 15.0), (0, 90.0, 20.0), (1, 10.0, 8.0)]
    expected, lower = hold_against_rest(of_one(reads(*rows)))
    for position, (channel, effect, error) in enumerate(rows):
        rest = of_one(reads(*(rows[:position] + rows[position + 1 :])))
        np.testing.assert_allclose(expected[position], rest.means[channel], rtol=1e-9)
        below = rest.masses[channel] @ ndtr((effect - rest.support[channel]) / error)
        np.testing.assert_allclose(lower[position], below, rtol=1e-9)


def test_contradicting_bases_are_weighed_again_without_the_reading() -> None:
    terms = assumed(TERMS, (-0.4, 0.55, 0.95, 0.15))
    bases = np.array([BASE, [10.0, 260.0, 20.0]])
    posterior = calibrate(bases, CAP, terms, reads((0, 200, 10), (1, 60, 20)))
    rest = calibrate(bases, CAP, terms, reads((1, 60, 20)))
    np.testing.assert_allclose(hold_against_rest(posterior)[0][0], rest.means[0], rtol=1e-9)


# ---------------------------------------------------------------- what must not matter

readings_drawn = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-50, 300).map(float), st.integers(1, 80).map(float)), max_size=6
)


@given(readings_drawn, st.randoms(use_true_random=False))
def test_the_order_of_readings_does_not_matter(rows: list[tuple[int, float, float]], random) -> None:
    shuffled = random.sample(rows, len(rows))
    posterior, other = of_one(reads(*rows)), of_one(reads(*shuffled))
    assert posterior.masses.tobytes() == other.masses.tobytes()
    assert posterior.log_evidence.tobytes() == other.log_evidence.tobytes()
    assert [each.tobytes() for each in hold_against_rest(posterior)] == [
        each.tobytes() for each in hold_against_rest(other)
    ]


@given(readings_drawn, st.floats(0.01, 1e4))
def test_everything_in_another_unit_is_the_same(rows: list[tuple[int, float, float]], unit: float) -> None:
    scaled = of_one(
        reads(*((channel, unit * effect, unit * error) for channel, effect, error in rows)),
        base=unit * BASE,
        cap=unit * CAP,
    )
    np.testing.assert_allclose(scaled.means, unit * of_one(reads(*rows)).means, rtol=1e-6)


@given(readings_drawn)
def test_a_reading_is_two_of_half_its_information(rows: list[tuple[int, float, float]]) -> None:
    halves = [(channel, effect, error * 2**0.5) for channel, effect, error in rows for _ in range(2)]
    np.testing.assert_allclose(of_one(reads(*halves)).means, of_one(reads(*rows)).means, rtol=1e-9)


@given(readings_drawn)
def test_a_base_that_is_there_twice_is_there_once(rows: list[tuple[int, float, float]]) -> None:
    twice = calibrate(np.array([BASE, BASE]), CAP, assumed(TERMS, TERMS), reads(*rows))
    np.testing.assert_allclose(twice.weights, 0.5, rtol=1e-12)
    np.testing.assert_allclose(twice.masses, of_one(reads(*rows)).masses, rtol=1e-9, atol=1e-300)


def test_readings_are_read_only() -> None:
    readings = reads((1, 60, 20), (0, 40, 15))
    before = [each.copy() for each in readings]
    of_one(readings)
    assert all((now == then).all() for now, then in zip(readings, before, strict=True))
    assert len(astuple(of_one(readings))) == 8


@pytest.mark.nightly
def test_thirty_channels_with_ten_tests_take_fifty_milliseconds() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(10, 1000, (3, 30))
    cap = base.max(axis=0) * rng.uniform(1, 50, 30)
    readings = Readings(np.arange(10), rng.uniform(0, 100, 10), np.full(10, 20.0))
    terms = assumed((-1.1, 0.45, 0.85, 0.15), (-0.8, 0.55, 0.95, 0.15), (-0.4, 0.55, 0.95, 0.15))
    taken = []
    for _ in range(9):
        begun = time.perf_counter()
        calibrate(base, cap, terms, readings).quantiles(0.95)
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.05
