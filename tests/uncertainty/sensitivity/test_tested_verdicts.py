"""Verdicts of tested channels: by tests and credit, before what a log alone can say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.uncertainty.sensitivity.verdicts import one_per_channel

PATHS = pd.DataFrame(
    {"path": ["mail > search", "mail", "display > mail", "display"], "conversions": 100, "value": 1000.0, "nulls": 300}
)
COSTS = pd.DataFrame({"channel": ["mail", "display"], "amount": [500.0, 400.0]})


def run(*tests: dict[str, Any], **further: Any) -> dict[str, pd.DataFrame]:
    asked = {
        "models": [{"model": "Linear"}],
        "sensitivity": {},
        "resampling": {"draws": 50},
        "lift_tests": [{"test": f"t{n}", "design": "reported", **test} for n, test in enumerate(tests)],
    } | further
    tables = {"paths": PATHS, "costs": COSTS}
    return dict(at.run_experiment(at.Experiment(name="shop", tables=tables, **asked)).tables)


def verdict_of(tables: dict[str, pd.DataFrame], channel: str) -> pd.Series:
    return one_per_channel(tables["verdicts"]).set_index("channel").loc[channel]


@pytest.mark.parametrize(
    ("effect", "verdict", "says"),
    [
        (90.0, "pays", "pays back with a probability of over 99.9 %"),
        (10.0, "does_not_pay", "does not pay back with a probability of over 99.9 %"),
        (50.0, "unknown", "pays back with a probability of "),
    ],
)
def test_a_test_decides(effect: float, verdict: str, says: str) -> None:
    """A conversion is worth 10, so that 50 of them pay for mail."""
    tables = run({"channel": "mail", "effect": effect, "standard_error": 5.0})
    row, known = verdict_of(tables, "mail"), tables["incremental"].set_index("channel").loc["mail"]
    assert (row["verdict"], row["basis"], row["estimand"]) == (verdict, "tested", "incremental")
    assert row["probability_pays_high"] == pytest.approx(known["probability_pays"])
    assert says in row["says"]
    assert f"between {known['low']:,.0f} and {known['high']:,.0f} conversions, and 50 would pay for it" in row["says"]
    roi = 10 * np.array([known["low"], known["mean"], known["high"]]) / 500 - 1
    np.testing.assert_allclose([row["roi_low"], row["roi"], row["roi_high"]], roi)
    stake = {"pays": roi[1], "does_not_pay": -roi[1], "unknown": max(roi[2], -roi[0])}[verdict]
    assert row["money_at_stake"] == pytest.approx(500 * stake)


def test_channels_without_a_test_keep_what_the_log_says() -> None:
    tested = run({"channel": "mail", "effect": 90.0, "standard_error": 5.0})
    alone = run()
    assert "tested" not in set(alone["verdicts"]["basis"])
    same = [verdict_of(tables, "display").dropna().to_dict() for tables in (tested, alone)]
    assert same[0] == same[1]
    # What is divided is still told beside it.
    assert list(tested["verdicts"].query("channel == 'mail'")["basis"]) == ["bound", "tested"]
    assert list(tested["verdicts"]["channel"]) == ["display", "mail", "mail"]


def test_a_hurdle_is_above_break_even() -> None:
    mail = {"channel": "mail", "effect": 65.0, "standard_error": 5.0}
    assert verdict_of(run(mail), "mail")["verdict"] == "pays"
    row = verdict_of(run(mail, sensitivity={"hurdle_roi": 0.6}), "mail")
    assert row["verdict"] == "does_not_pay"
    assert "80 would pay for it" in row["says"]


def test_with_a_margin_more_conversions_are_needed() -> None:
    mail = {"channel": "mail", "effect": 90.0, "standard_error": 5.0}
    tables = run(mail, returns={"basis": "margin", "margin": 0.5})
    assert tables["incremental"].set_index("channel").loc["mail", "needed"] == pytest.approx(100)
    assert "100 would pay for it" in verdict_of(tables, "mail")["says"]
    # A margin that channels are not ranked by changes nothing.
    revenue = run(mail, returns={"margin": 0.5})
    assert revenue["incremental"].set_index("channel").loc["mail", "needed"] == pytest.approx(50)


def test_the_task_follows_the_test() -> None:
    tables = run({"channel": "mail", "effect": 90.0, "standard_error": 5.0})
    tasks = tables["tasks"].set_index("slice")
    assert tasks.loc["mail", "kind"] == "pays"
    assert tasks.loc["mail", "evidence"] == verdict_of(tables, "mail")["says"]
