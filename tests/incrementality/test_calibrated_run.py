"""A run that calibrates: its experts, its rows beside those of models, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.incrementality.calibration_section import calibration_sentences
from attribution.pipeline.sections import load_sections

PATHS = pd.DataFrame(
    {
        "path": ["mail > search", "search", "display > mail"],
        "conversions": [40, 60, 100],
        "value": [400.0, 900.0, 700.0],
    }
)
COSTS = pd.DataFrame({"channel": ["mail", "display"], "amount": [200.0, 100.0]})
TABLES = {"paths": PATHS, "costs": COSTS}


def run(**further: Any) -> at.Outcome:
    asked = {"models": [{"model": "Linear"}], "calibration": {}} | further
    return at.run_experiment(at.Experiment(name="shop", tables=TABLES, **asked))


@pytest.fixture(scope="module")
def shop() -> at.Outcome:
    return run()


def rows_of(outcome: at.Outcome, table: str) -> pd.DataFrame:
    rows = outcome.tables[table]
    return rows[rows["model"] == "calibrated"].set_index("channel")


def test_a_run_calibrates_last_touch_where_the_log_cannot_tell_what_was_caused(shop: at.Outcome) -> None:
    expected = at.calibrate(
        pd.DataFrame(
            {
                "model": "last_touch",
                "channel": ["display", "mail"],
                "conversions": [0.0, 100.0],
                "participants": [100, 140],
                "mean_value": [7.0, 1100 / 140],
                "spend": [100.0, 200.0],
            }
        )
    )
    for name in ("incremental", "models", "tests"):
        table = shop.tables["incremental" if name == "incremental" else f"calibration_{name}"]
        pd.testing.assert_frame_equal(table, getattr(expected, name), check_dtype=False)


def test_without_calibration_nothing_is_calibrated() -> None:
    tables = run(calibration=None).tables
    assert not {"incremental", "calibration_models", "calibration_tests"} & set(tables)
    assert set(tables["credit"]["model"]) == {"linear"}


def test_its_rows_add_up_with_a_baseline(shop: at.Outcome) -> None:
    credit, table = rows_of(shop, "credit"), shop.tables["incremental"].set_index("channel")
    assert set(credit["estimand"]) == {"incremental"}
    np.testing.assert_allclose(credit.loc[["display", "mail"], "conversions"], table["mean"])
    np.testing.assert_allclose(credit.loc[["display", "mail"], "value_high"], table["value_high"])
    np.testing.assert_allclose([credit["conversions"].sum(), credit["value"].sum()], [200.0, 2000.0])
    # No money is spent on search, so nothing is said of it.
    assert list(credit.index[~credit["is_known"].astype(bool)]) == ["search"]
    assert credit.loc["search", "conversions"] == 0


def test_returns_have_intervals_without_resampling(shop: at.Outcome) -> None:
    returns, table = rows_of(shop, "returns"), shop.tables["incremental"].set_index("channel")
    spend = np.array([100.0, 200.0])
    for end, column in (("", "value"), ("_low", "value_low"), ("_high", "value_high")):
        roi = returns.loc[["display", "mail"], f"roi{end}"]
        np.testing.assert_allclose(roi, table[column] / spend - 1)
    assert sorted(returns["rank"].dropna()) == [1, 2]


def test_lift_tests_calibrate_a_run() -> None:
    """Without a word on calibration; the reported effect is that of the period, since it has no days."""
    spring = {"test": "spring", "channel": "mail", "design": "reported", "effect": 20.0, "standard_error": 4.0}
    tested = run(calibration=None, lift_tests=[spring])
    table = tested.tables["incremental"].set_index("channel")
    assert table["basis"].to_dict() == {"display": "carried over", "mail": "tested"}
    assert 18 < table.loc["mail", "mean"] < 21
    assert list(tested.tables["calibration_tests"]["test"]) == ["spring"]


def test_tests_that_are_no_evidence_or_of_channels_without_spend_do_not_calibrate() -> None:
    reported = {"test": "on and off", "channel": "mail", "effect": 20.0, "standard_error": 4.0}
    assert "incremental" not in run(calibration=None, lift_tests=[{**reported, "design": "on_off"}]).tables
    unpaid = [{**reported, "test": "free", "design": "reported", "channel": "search"}]
    tables = run(calibration=None, lift_tests=unpaid).tables
    assert set(tables["incremental"]["basis"]) == {"assumption"}
    quality = tables["quality"].set_index("check")
    assert quality.loc["tests_without_spend", ["status", "count", "example"]].tolist() == ["warn", 1, "free"]


def test_with_draws_all_that_is_drawn_knows_of_it() -> None:
    asked = {
        "models": [{"model": "Linear"}],
        "calibration": {},
        "resampling": {"draws": 64},
        "returns": {"margin": 0.5},
    }
    further = {"budget": {"total": 300.0}, "output": {"draws": True}}
    tables = at.plan_budget(at.Experiment(name="shop", tables=TABLES, **asked, **further))[0].tables
    draws = tables["draws"]
    own = draws[draws["model"] == "calibrated"]
    mean = own.groupby("channel")["conversions"].mean()
    expected = tables["incremental"].set_index("channel")["mean"]
    np.testing.assert_allclose(mean[expected.index], expected, rtol=0.15)
    assert "calibrated" in set(tables["budget"]["model"])
    assert "calibrated" in set(tables["rank_probability"]["model"])
    returns = tables["returns"]
    ends = returns[(returns["model"] == "calibrated") & (returns["channel"] == "mail") & (returns["basis"] == "margin")]
    high = tables["incremental"].set_index("channel").loc["mail", "value_high"]
    np.testing.assert_allclose(ends["roi_high"], [0.5 * high / 200 - 1])


def test_margins_of_conversions_go_along_with_value() -> None:
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    touches = pd.DataFrame({"customer_id": range(60), "touched_at": days, "channel": ["mail", "search"] * 30})
    orders = pd.DataFrame(
        {"customer_id": range(40), "converted_at": days[:40] + pd.Timedelta(hours=5), "value": 50.0, "margin": 20.0}
    )
    costs = pd.DataFrame({"channel": ["mail"], "amount": [300.0]})
    tables = {"touchpoints": touches, "conversions": orders, "costs": costs}
    outcome = at.run_experiment(
        at.Experiment(
            name="shop",
            tables=tables,
            models=[{"model": "LastTouch"}],
            returns={"basis": "margin"},
            resampling={"draws": 50},
            calibration={},
        )
    )
    table = outcome.tables["incremental"].set_index("channel")
    assert list(table.index) == ["mail"]
    np.testing.assert_allclose(table.loc["mail", "needed"], 300 / 20)
    returns = rows_of(outcome, "returns").query("basis == 'margin'")
    np.testing.assert_allclose(returns.loc["mail", "value"], 20 * table.loc["mail", "mean"])
    np.testing.assert_allclose(returns.loc["mail", "roi_high"], 20 * table.loc["mail", "high"] / 300 - 1)


@pytest.mark.slow
def test_a_hazard_and_its_correction_are_experts() -> None:
    shop = at.simulate(at.load_world("default"), customers=20_000, seed=3)
    tables = {name: getattr(shop, name) for name in ("touchpoints", "conversions", "costs")}
    asked = {"models": [{"model": "Linear"}], "resampling": {"draws": 50}, "calibration": {}}
    outcome = at.run_experiment(at.Experiment(name="shop", tables=tables, **asked))
    models = outcome.tables["calibration_models"]
    assert list(models["model"]) == ["additive_hazard", "additive_hazard_corrected", "last_touch"]
    np.testing.assert_allclose(models["weight"].sum(), 1)
    credit = outcome.tables["credit"]
    hazard = credit[credit["model"] == "additive_hazard"].set_index("channel")
    table, assignment = (outcome.tables[name].set_index("channel") for name in ("incremental", "assignment"))
    assert set(table.index) == set(assignment.index)
    most = table["at_most"]
    assert most.notna().to_dict() == assignment["is_known"].astype(bool).reindex(most.index).to_dict()
    assert (most.dropna() >= hazard["conversions"].reindex(most.dropna().index)).all()
    truth = shop.truth.set_index("channel")["incremental_conversions"].reindex(table.index)
    assert (truth <= table["high"]).all()


def test_what_it_says_is_in_report_metrics_and_findings(shop: at.Outcome) -> None:
    sections = load_sections()
    metrics = sections.metrics(shop.tables)
    assert metrics["calibrating_tests"] == 0
    assert metrics["calibration_weight/last_touch"] == 1
    assert metrics["incremental_mean/mail"] == shop.tables["incremental"].set_index("channel").loc["mail", "mean"]
    contents = [heading for part in sections.parts(shop.tables) for heading, _ in part.contents]
    assert "calibration" in contents
    quality = shop.tables["quality"].set_index("check")
    assert "without a lift test" in quality.loc["calibration", "message"]
    assert quality.loc["contradicting_tests", "status"] == "pass"


def test_contradicting_tests_are_named() -> None:
    credit = pd.DataFrame({"model": "linear", "channel": ["mail"], "conversions": [100.0], "participants": [300]})
    tests = pd.DataFrame(
        {"test": ["spring", "summer"], "channel": "mail", "effect": [20.0, 200.0], "standard_error": 4.0}
    )
    calibration = at.calibrate(credit, tests)
    tables = {"incremental": calibration.incremental, "calibration_tests": calibration.tests}
    assert calibration_sentences(tables)[1:] == [
        "Lift tests measured mail; all else is carried over from them and from credit.",
        "Credit and the other tests make the results of spring and summer very unlikely: check how these tests were "
        "run.",
    ]


@pytest.mark.parametrize(
    ("further", "says"),
    [
        ({"calibration": {"assumptions": {"markov": {"nothing": 0.2}}}}, "names 'markov'"),
        ({"calibration": {"assumptions": {"last_tuch": {"nothing": 0.2}}}}, "log_share"),
        ({"calibration": {"levle": 0.5}}, "level"),
        ({"journeys": {"transform": "frequency"}}, "channels as they are"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(further: dict[str, Any], says: str) -> None:
    with pytest.raises(at.InputError, match=says):
        run(**further)
