"""Solving the additive hazard: worked numbers, limits, and what screening sees."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.incremental.additive_hazard import (
    DailyTotals,
    Design,
    Moments,
    Screening,
    Thresholds,
    _traits,
    centre,
    conditional,
    correct,
    estimate,
    inseparable,
    invert,
    publish,
    screen,
    unscreened,
    weigh_half_lives,
)
from tests.kernels.incremental.test_risk_sums import FOUR, PLAIN

ALONE = Design(np.array([0]), np.array([1, 2]), 1, False, np.zeros(1))


def moments(information, conversions, arrivals, **others) -> Moments:
    information, conversions = np.array(information, float), np.array(conversions, float)
    columns = len(information)
    given = {
        "value": 10 * conversions,
        "counts": np.ones(len(arrivals)),
        "exposure": np.ones(columns),
        "at_risk": 100.0,
        "rate": 0.02,
        "is_flat": np.diag(information) <= 0,
        **others,
    }
    return Moments(information, conversions, arrivals=np.array(arrivals, float), **given)


def paid_and_two_unpaid() -> Moments:
    nothing = [0.0, 0.0, 0.0]
    return moments(
        [[4, 1, 1], [1, 3, 1], [1, 1, 3]], [1, 0.8, 0.7], [nothing, [0.5, 0.0, 0.6], [0.4, 0.55, 0.0]]
    )  # fmt: skip


def flags(intent: list[bool], traits: list[bool]) -> Screening:
    no = np.zeros(len(intent))
    return Screening(no, no, no, no, no, no, np.array(intent), np.array(traits))


# ---------------------------------------------------------------- worked numbers


def test_worked_example_of_four_customers() -> None:
    slow = PLAIN.sums(FOUR)
    mean = slow["stocks"] / slow["at_risk"][:, None]
    information = slow["raw"] - slow["stocks"].T @ mean
    conversions = slow["at_conversions"] - slow["conversions"] @ mean
    np.testing.assert_allclose(
        information[[0, 0, 1], [0, 1, 1]], [0.7671956192738955, -0.5698950093685824, 1.075904671799399], rtol=1e-12
    )
    np.testing.assert_allclose(conversions, [-0.3864939365206993, 0.35541301689218774], rtol=1e-12)
    made = moments(information, conversions, np.zeros((2, 2)), exposure=slow["stocks"].sum(axis=0))
    design = Design(np.array([0, 1]), np.zeros(0, int), 1, False, np.zeros(1))
    slopes = invert(made, np.array([0, 1])) @ made.conversions
    np.testing.assert_allclose(slopes, [-0.42601206607659337, 0.10468480103908151], rtol=1e-12)
    plain = estimate(made, design, unscreened(2)).plain
    np.testing.assert_allclose(plain[0, 0], [-0.9614934199017215, 0.3058944533325505], rtol=1e-12)
    np.testing.assert_allclose(2 - plain[0, 0].sum(), 2.655598966569171, rtol=1e-12)
    np.testing.assert_allclose(plain[1], 10 * plain[0], rtol=1e-12)


def test_the_correction_takes_out_what_unpaid_channels_say() -> None:
    made = paid_and_two_unpaid()
    slopes, ratio = correct(made, ALONE, np.array([0]))
    assert slopes[0, 0] == pytest.approx((5 / 38 + 23 / 180) / 2, abs=1e-12)
    assert slopes[0, 0] == pytest.approx(0.1296783625730994, abs=1e-12)
    assert slopes[1, 0] == pytest.approx(1.296783625730994, abs=1e-11)
    assert ratio == pytest.approx((18 / 19 + 11 / 9) / 2, abs=1e-12)
    effects = estimate(made, ALONE, flags([True], [False]))
    assert effects.plain[0, 0, 0] == pytest.approx(0.25, abs=1e-12)
    assert effects.corrected[0, 0, 0] == pytest.approx(0.1296783625730994, abs=1e-12)
    assert effects.within[0, 0, 0] == effects.plain[0, 0, 0]


# ---------------------------------------------------------------- how touchpoints arrive


def test_traits_are_read_off_the_memories_of_a_channel_and_of_others() -> None:
    """The memory of the first channel is the same for everybody, that of the second is not."""
    two = Design(np.array([0, 1]), np.zeros(0, int), 1, True, np.zeros(1))
    information = np.diag([1.0, 1.0, 0.0, 4.0])
    made = moments(information, [0] * 4, [[0, 0, 3, 2], [0, 0, 9, 1]], counts=np.array([25.0, 25.0]))
    assert _traits(made, two, 0) == pytest.approx((0.0, 0.0, 0.12, 3 / np.sqrt(2)), rel=1e-9)
    assert _traits(made, two, 1) == pytest.approx((0.2, 1.0, -0.04, -1 / np.sqrt(2)), rel=1e-9)
    assert _traits(made._replace(counts=np.zeros(2)), two, 1) == (0.0, 0.0, 0.0, 0.0)
    one = Design(np.array([0]), np.zeros(0, int), 1, True, np.zeros(1))
    alone = moments(np.diag([1.0, 4.0]), [0, 0], [[0, 1]], counts=np.array([25.0]))
    assert _traits(alone, one, 0) == pytest.approx((0.2, 1.0, 0.0, 0.0), rel=1e-9)


@pytest.mark.parametrize(
    ("thresholds", "follows"),
    [
        (Thresholds(trait=0.19, spread=1.0, z=0.9), [False, True]),
        (Thresholds(trait=0.21, spread=1.0, z=0.9), [False, False]),
        (Thresholds(trait=0.19, spread=1.0, z=1.1), [False, False]),
        (Thresholds(trait=1.0, spread=0.11, z=2.1), [True, False]),
        (Thresholds(trait=1.0, spread=0.13, z=2.1), [False, False]),
        (Thresholds(trait=1.0, spread=0.11, z=2.2), [False, False]),
    ],
)
def test_a_channel_is_flagged_where_a_slope_is_large_and_sure(thresholds: Thresholds, follows: list[bool]) -> None:
    two = Design(np.array([0, 1]), np.zeros(0, int), 1, True, np.zeros(1))
    information = np.diag([1.0, 1.0, 0.0, 4.0])
    made = moments(information, [0] * 4, [[0, 0, 3, 2], [0, 0, 9, 1]], counts=np.array([25.0, 25.0]))
    screening = screen(made, two, thresholds)
    assert screening.follows_traits.tolist() == follows
    assert screening.follows_intent.tolist() == [False, False]
    assert screening.intent.tolist() == screening.intent_z.tolist() == [0.0, 0.0]


# ---------------------------------------------------------------- small matrices


def test_inverse_and_conditional_information() -> None:
    made = moments([[4, 1, 0], [1, 3, 0], [0, 0, 0]], [1, 1, 5], np.zeros((3, 3)))
    inverse = invert(made, np.array([0, 1, 2]))
    np.testing.assert_allclose(inverse, np.array([[3, -1, 0], [-1, 4, 0], [0, 0, 0]]) / 11, rtol=1e-9)
    np.testing.assert_allclose(conditional(inverse, slice(0, 1)), [[4 - 1 / 3]], rtol=1e-9)
    np.testing.assert_allclose(conditional(inverse, slice(1, 3)), [[3 - 1 / 4, 0], [0, 0]], rtol=1e-9)
    assert invert(made, np.array([2])).tolist() == [[0.0]]


def test_channels_that_cannot_be_told_apart_are_named() -> None:
    apart = moments([[2, 1.9, 0], [1.9, 2, 0], [0, 0, 3]], [0, 0, 0], np.zeros((3, 3)))
    assert inseparable(apart, np.arange(3)).tolist() == []
    together = moments([[3, 0, 0, 0], [0, 2, 4, 0], [0, 4, 8, 0], [0, 0, 0, 0]], [0] * 4, np.zeros((4, 4)))
    assert inseparable(together, np.arange(4)).tolist() == [1, 2]
    assert inseparable(together, np.array([0, 3])).tolist() == []


def test_a_stock_that_is_the_same_for_all_on_every_day_says_nothing() -> None:
    totals = DailyTotals(
        products=np.array([[2.0, 0.5], [0.5, 1.0]]),
        stocks=np.array([[1.0, 1.0]]),
        at_risk=np.array([1.0]),
        conversions=np.array([2.0]),
        value=np.array([3.0]),
        at_conversions=np.array([2.0, 5.0]),
        at_value=np.zeros(2),
        at_arrivals=np.zeros((2, 2)),
        arrivals=np.zeros((2, 1)),
    )
    made = centre(totals)
    assert made.is_flat.tolist() == [False, True]
    assert made.rate == 2.0
    assert made.conversions.tolist() == [0.0, 3.0]
    # Customers of whom nothing is known but their number move the mean, and nothing else.
    more = centre(totals, untouched=np.array([3.0]))
    assert more.at_risk == 4.0
    np.testing.assert_allclose(more.information, [[1.75, 0.25], [0.25, 0.75]])


# ---------------------------------------------------------------- half-lives


def test_half_lives_count_by_how_well_they_explain() -> None:
    design = Design(np.array([0, 1]), np.zeros(0, int), 2, False, np.log([0.3, 0.7]))
    made = moments(np.eye(4), [0.2, 0.0, 0.1, 0.1], np.zeros((2, 4)), rate=0.02)
    # ln p: ln .3 + (.2² + 0²) / .04 and ln .7 + (.1² + .1²) / .04
    odds = 0.3 * np.exp(1.0) / (0.7 * np.exp(0.5))
    never = np.zeros(2, bool)
    np.testing.assert_allclose(weigh_half_lives(made, design, never), [odds / (1 + odds), 1 / (1 + odds)], rtol=1e-9)
    np.testing.assert_allclose(weigh_half_lives(made, design, np.array([True, False])), [0.3, 0.7], rtol=1e-12)
    sure = made._replace(conversions=np.array([1.0, 1.0, 0, 0]))
    assert weigh_half_lives(sure, design, never).tolist() == [1.0, 0.0]


# ---------------------------------------------------------------- screening


def screened(arrivals: float, own: float, other: float) -> Screening:
    """Two credited channels and an unpaid one, half-life and memory each, all stocks independent."""
    design = Design(np.array([0, 1]), np.array([2]), 1, True, np.zeros(1))
    by = np.zeros((3, 6))
    by[0, [2, 3, 4]] = arrivals, own, other  # on the unpaid stock, its own memory and the other's
    by[2, 2] = 50.0
    made = moments(np.diag([400.0] * 6), np.zeros(6), by, counts=np.array([1000.0, 0, 500]), at_risk=10_000.0)
    return screen(made, design, Thresholds())


def test_arrivals_after_unpaid_history_are_intent() -> None:
    # Slopes are arrivals ÷ 400 ÷ rate: of the channel 60 ÷ 40, of the unpaid one 50 ÷ 20.
    made = screened(60.0, 0.0, 0.0)
    assert made.intent.tolist() == [pytest.approx((60 / 40) / (50 / 20)), 0.0]
    assert made.intent_z[0] == pytest.approx(0.6 * np.sqrt(400 * 2.5**2 * 0.1), rel=1e-9)
    assert made.follows_intent.tolist() == [True, False]
    assert made.follows_traits.tolist() == [False, False]
    assert not screened(9.0, 0.0, 0.0).follows_intent.any()  # a slope of .09
    assert not screened(-60.0, 0.0, 0.0).is_flagged.any()


def test_arrivals_that_memories_predict_are_traits() -> None:
    made = screened(0.0, 30.0, 0.0)
    assert made.trait[0] == pytest.approx(30 / 40 * np.sqrt(400 / 10_000), rel=1e-9)
    assert made.trait_z[0] == pytest.approx(30 / 40 * np.sqrt(400 * 0.1), rel=1e-9)
    assert made.follows_traits.tolist() == [True, False]
    assert made.is_flagged.tolist() == [True, False]
    by_other = screened(0.0, 0.0, 30.0)
    squared = (30 / 40) ** 2 * 400 / 10_000
    assert by_other.spread[0] == pytest.approx(squared - 1 / 1000, rel=1e-9)
    assert by_other.spread_z[0] == pytest.approx((1000 * squared - 1) / np.sqrt(2), rel=1e-9)
    assert by_other.follows_traits.tolist() == [True, False]


def test_what_is_published() -> None:
    made = moments(
        np.eye(6) * 4 + 1, [1, 1, 0.3, 0.5, 0.5, 0.2], np.ones((3, 6)), exposure=np.full(6, 2.0)
    )  # fmt: skip
    design = Design(np.array([0, 1]), np.array([2]), 1, True, np.zeros(1))
    screening = flags([False, False], [True, False])
    effects = estimate(made, design, screening)
    assert (effects.within != effects.plain).all()
    assert (effects.added_variance > 0).all()
    # Of one unpaid channel nothing can be taken out.
    np.testing.assert_array_equal(effects.corrected, effects.within)
    assert np.isnan(effects.ratio).all()
    chosen = publish(effects, screening, np.array([True, False]))
    np.testing.assert_array_equal(chosen[..., 0], effects.within[..., 0])
    np.testing.assert_array_equal(chosen[..., 1], effects.plain[..., 1])
    own = np.array([0, 1])
    slopes = np.linalg.solve(made.information[np.ix_(own, own)], made.conversions[own])
    np.testing.assert_allclose(effects.plain[0, 0], 2.0 * slopes, rtol=1e-9)


# ---------------------------------------------------------------- many draws at once


def test_draws_are_solved_together_as_they_are_alone() -> None:
    rng = np.random.default_rng(5)
    draws, days, columns, channels = 3, 4, 8, 4
    roots = rng.normal(size=(draws, columns, columns))
    some = {name: rng.uniform(1, 2, (draws, *shape)) for name, shape in {
        "stocks": (days, columns), "at_risk": (days,), "conversions": (days,), "value": (days,),
        "at_conversions": (columns,), "at_value": (columns,), "at_arrivals": (channels, columns),
        "arrivals": (channels, days),
    }.items()}  # fmt: skip
    products = roots @ np.swapaxes(roots, 1, 2) + 30 * np.eye(columns)
    # In one draw nobody converts, and in another a channel never varies.
    some["conversions"][0] = 0.0
    for name, rows in (("stocks", (1, slice(None), 0)), ("at_arrivals", (1, slice(None), 0))):
        some[name][rows] = 0.0
    products[1, 0], products[1, :, 0] = 0.0, 0.0
    totals = DailyTotals(products=products, **some)
    design = Design(np.array([0, 1]), np.array([2, 3]), 1, True, np.zeros(1))
    screening = flags([True, False], [False, True])
    together = centre(totals)
    assert together.is_flat[1].tolist() == [True] + [False] * 7
    effects, weights = estimate(together, design, screening), weigh_half_lives(together, design, np.zeros(2, bool))
    for draw in range(draws):
        alone = centre(DailyTotals(*(array[draw] for array in totals)))
        for made, expected in zip(effects, estimate(alone, design, screening), strict=True):
            np.testing.assert_allclose(made[draw], expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(weights[draw], weigh_half_lives(alone, design, np.zeros(2, bool)), rtol=1e-12)
    assert (effects.plain[1, :, 0, 0] == 0).all()
