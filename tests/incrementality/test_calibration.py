"""Credit and lift tests together: what the tables say, what does not matter, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.incrementality.assumptions import shipped_assumptions
from attribution.incrementality.calibration_declared import (
    CALIBRATION_MODELS,
    CALIBRATION_TESTS,
    INCREMENTAL,
)
from attribution.kernels.calibration.posterior import Assumed

TERMS = {"log_share": -1.0, "client_spread": 0.45, "channel_spread": 0.8, "nothing": 0.15}
OTHER_TERMS = {"log_share": -0.4, "client_spread": 0.55, "channel_spread": 0.95, "nothing": 0.15}
CHANNELS = ("display", "mail", "push")


def credits_of(
    model: str = "last_touch", conversions: tuple[float, ...] = (200.0, 100.0, 50.0), **further: object
) -> pd.DataFrame:
    columns = {"model": model, "channel": CHANNELS, "conversions": conversions, "participants": (500, 300, 120)}
    return pd.DataFrame(columns | further)


def reading(
    test: str = "spring", channel: str = "mail", effect: float = 40.0, standard_error: float = 15.0
) -> pd.DataFrame:
    columns = {"test": [test], "channel": channel, "effect": effect, "standard_error": standard_error}
    return pd.DataFrame(columns)


def options_of(**models: dict[str, float]) -> at.CalibrationOptions:
    return at.CalibrationOptions(assumptions=models)


OWN = options_of(last_touch=TERMS)


def test_the_known_answer_in_tables() -> None:
    calibration = at.calibrate(credits_of(), reading(), OWN)
    table = calibration.incremental
    assert list(table.columns) == list(INCREMENTAL.column_names)
    assert list(table["channel"]) == list(CHANNELS)
    assert set(table["estimand"]) == {"incremental"}
    np.testing.assert_allclose(table["mean"], [82.30, 35.17, 20.43], atol=5e-3)
    mail = table.iloc[1]
    np.testing.assert_allclose([mail["low"], mail["median"], mail["high"]], [13.0, 34.8, 58.9], atol=0.05)
    assert round(mail["probability_nothing"], 4) == 0.0120
    np.testing.assert_allclose(mail["known_within"], (mail["high"] / mail["low"]) ** 0.5)
    assert np.isnan(table["known_within"][0])  # it may have caused nothing
    assert list(table["basis"]) == ["carried over", "tested", "carried over"]
    assert list(table["tests"]) == [0, 1, 0]
    assert table[["value", "needed", "probability_pays"]].isna().all(axis=None)


def test_models_are_weighed_and_say_what_is_assumed_of_them() -> None:
    both = pd.concat([credits_of(), credits_of("hazard", (260.0, 30.0, 20.0))])
    calibration = at.calibrate(both, reading(), options_of(last_touch=TERMS, hazard=OTHER_TERMS))
    models = calibration.models
    assert list(models.columns) == list(CALIBRATION_MODELS.column_names)
    assert list(models["model"]) == ["hazard", "last_touch"]
    np.testing.assert_allclose(models["weight"], [0.41612, 0.58388], atol=1e-5)
    np.testing.assert_allclose(models["log_evidence"], [-1.39859, -1.05987], atol=1e-5)
    assert list(models["log_share"]) == [-0.4, -1.0]
    np.testing.assert_allclose(calibration.incremental["mean"], [108.852, 33.274, 19.169], atol=1e-3)


def test_value_is_the_effect_at_the_value_of_converters_touched() -> None:
    worth = np.array([80.0, 50.0, np.nan])
    table = at.calibrate(credits_of(mean_value=worth, spend=(4000.0, 0.0, 10.0)), reading(), OWN).incremental
    np.testing.assert_allclose(table["value"][:2], table["mean"][:2] * worth[:2])
    np.testing.assert_allclose(table["value_high"][:2], table["high"][:2] * worth[:2])
    assert table["needed"][0] == 50.0
    assert table["needed"][1:].isna().all()  # without spend, and without value
    assert 0.5 < table["probability_pays"][0] < 0.6
    assert table["probability_pays"][1:].isna().all()


def test_margin_makes_more_conversions_needed() -> None:
    credit = credits_of(mean_value=80.0, spend=1000.0)
    whole, half = (at.calibrate(credit, reading(), OWN, margin=share).incremental for share in (1.0, 0.5))
    np.testing.assert_allclose(half["needed"], 2 * whole["needed"])
    assert (half["probability_pays"] < whole["probability_pays"]).all()


def test_without_tests_all_is_assumption() -> None:
    calibration = at.calibrate(credits_of(), options=OWN)
    assert set(calibration.incremental["basis"]) == {"assumption"}
    np.testing.assert_allclose(calibration.incremental["mean"], [84.06, 43.28, 20.85], atol=5e-3)
    assert calibration.tests.empty
    assert list(calibration.tests.columns) == list(CALIBRATION_TESTS.column_names)


def test_a_test_that_contradicts_the_rest_is_named() -> None:
    tests = pd.concat([reading(), reading("summer", effect=200.0, standard_error=10.0), reading("push", "push", 15, 9)])
    table = at.calibrate(credits_of(), tests, OWN).tests.set_index("test")
    assert table["contradicts"].to_dict() == {"spring": True, "summer": True, "push": False}
    assert table.loc["spring", "probability_lower"] < 0.01
    assert table.loc["summer", "probability_lower"] > 0.99
    assert table.loc["spring", "expected"] > 150


def test_at_most_needs_no_assumption() -> None:
    alone = at.calibrate(credits_of(), options=OWN).incremental
    np.testing.assert_allclose(alone["at_most"], [270, 135, 67.5])
    hazard = credits_of("additive_hazard", (20.0, 250.0, -5.0), conversions_high=(40.0, 400.0, np.nan))
    both = at.calibrate(pd.concat([credits_of(), hazard])).incremental
    np.testing.assert_allclose(both["at_most"], [200, 300, np.nan])  # last touch, participants, not known


def test_draws_hang_together_with_means() -> None:
    calibration = at.calibrate(credits_of(), reading())
    draws = calibration.draw(2048)
    assert list(draws.columns) == list(CHANNELS)
    assert (len(draws), len(calibration.draw())) == (2048, 1024)
    np.testing.assert_allclose(draws.mean(), calibration.incremental["mean"], rtol=5e-3)


def test_the_order_of_rows_does_not_matter() -> None:
    both = pd.concat([credits_of(), credits_of("markov", (260.0, 30.0, 20.0))], ignore_index=True)
    tests = pd.concat(
        [reading(), reading("again"), reading("push", "push", 15, 9), reading("late", effect=60)], ignore_index=True
    )
    one = at.calibrate(both, tests)
    for seed in range(3):
        shuffled = at.calibrate(both.sample(frac=1, random_state=seed), tests.sample(frac=1, random_state=seed))
        pd.testing.assert_frame_equal(one.draw(256), shuffled.draw(256), check_exact=True)
        for name in ("incremental", "models", "tests"):
            pd.testing.assert_frame_equal(getattr(one, name), getattr(shuffled, name), check_exact=True)


def test_rows_that_are_no_channel_are_left_out() -> None:
    rest = pd.DataFrame({"model": ["last_touch"], "channel": "(unattributed)", "conversions": 9.0, "participants": 0})
    table = at.calibrate(pd.concat([credits_of(), rest]), reading(), OWN).incremental
    assert list(table["channel"]) == list(CHANNELS)


def test_a_channel_without_credit_or_converters_has_numbers_all_the_same() -> None:
    credit = credits_of(conversions=(200.0, -30.0, 0.0)).assign(participants=(500, 300, 0))
    table = at.calibrate(credit, reading(), OWN).incremental
    assert table[["mean", "median", "low", "high"]].notna().all(axis=None)
    assert table["probability_nothing"][2] == 1
    assert table["mean"][2] == 0


def test_readings_of_lift_tests_are_taken_in_conversions_and_in_the_period_of_the_log() -> None:
    rows = {
        "test": ["spring", "spring", "pause"],
        "channel": "mail",
        "measure": ["conversions", "value", "conversions"],
        "calibrates": [True, True, False],
        "effect": [20.0, 900.0, 500.0],
        "standard_error": [5.0, 100.0, 1.0],
        "period_effect": [40.0, 1800.0, 500.0],
        "period_standard_error": [15.0, 200.0, 1.0],
    }
    table = at.calibrate(credits_of(), pd.DataFrame(rows), OWN).incremental
    pd.testing.assert_frame_equal(table, at.calibrate(credits_of(), reading(), OWN).incremental)


# ---------------------------------------------------------------- what is assumed, and what is refused


def test_some_of_what_is_assumed_may_be_changed() -> None:
    assumed = at.CalibrationOptions(assumptions={"markov": {"nothing": 0.5}}).assumed(["markov", "linear"])
    assert [each.tolist() for each in assumed] == [[-1.3, -1.1], [0.45, 0.45], [0.95, 0.85], [0.5, 0.15]]
    assert set(Assumed._fields) == set(TERMS)
    assert len(shipped_assumptions()) == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 1.0}, "level"),
        ({"assumptions": {"own": {"nothing": 0.5}}}, "own"),
        ({"assumptions": {"markov": {"nothing": 1.0}}}, "nothing"),
        ({"assumptions": {"markov": {"client_spread": 0}}}, "client_spread"),
        ({"assumptions": {"markov": {"spread": 1}}}, "spread"),
        ({"assumptions": 3}, "assumptions"),
        ({"assumptions": {"markov": 3}}, "markov"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(at.InputError, match=says):
        at.CalibrationOptions(**options)


@pytest.mark.parametrize(
    ("credit", "says"),
    [
        (credits_of().drop(columns="participants"), "credits has no column 'participants'"),
        (credits_of().iloc[:0], "credits has no channel"),
        (pd.concat([credits_of(), credits_of()]), "model 'last_touch' of channel 'display' twice"),
        (pd.concat([credits_of(), credits_of("linear").iloc[:2]]), "'linear' credits nothing to channel 'push'"),
        (pd.concat([credits_of(), credits_of("linear").assign(participants=7)]), "models differ in participants"),
        (credits_of().assign(participants=-1), "participants below 0"),
        (credits_of().assign(conversions=np.nan), "no number in conversions. Given: nan"),
        (credits_of().assign(conversions="many"), "no number in conversions. Given: 'many'"),
        (credits_of().assign(channel=None), "a row without channel"),
        (credits_of("last_tuch"), "did you mean 'last_touch'"),
        (credits_of("mine"), "nothing says how much of the credit of model 'mine' is caused"),
    ],
)
def test_credits_that_cannot_be_read_are_refused(credit: pd.DataFrame, says: str) -> None:
    with pytest.raises(at.InputError, match=says):
        at.calibrate(credit, reading())


@pytest.mark.parametrize(
    ("tests", "says"),
    [
        (reading().drop(columns="standard_error"), "readings has no column 'standard_error'"),
        (reading(channel="mial"), "test of channel 'mial', which credits does not have.*did you mean 'mail'"),
        (reading(standard_error=0.0), "test 'spring' has a standard error of 0. Allowed: a number above 0"),
        (reading(standard_error=-2.0), "a standard error of -2"),
        (reading(standard_error=np.inf), "no number in standard_error"),
        (reading(effect=np.nan), "no number in effect"),
        (pd.concat([reading(), reading(effect=3.0)]), "test 'spring' of channel 'mail' twice"),
        (reading(test=None), "a row without test"),
    ],
)
def test_readings_that_cannot_be_read_are_refused(tests: pd.DataFrame, says: str) -> None:
    with pytest.raises(at.InputError, match=says):
        at.calibrate(credits_of(), tests)


@pytest.mark.parametrize("size", [0, -1, 1 << 20, 1.5, "many"])
def test_draws_are_a_number_of_them(size: object) -> None:
    with pytest.raises(at.InputError, match="size"):
        at.calibrate(credits_of()).draw(size)


@pytest.mark.parametrize("margin", [0.0, -1.0, 1.5, float("nan")])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(at.InputError, match="margin must be a"):
        at.calibrate(credits_of(), reading(), margin=margin)
