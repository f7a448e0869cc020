"""Budgets that chance moved between regions in a run: readings where that is declared, and none where it is not."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.pipeline.pipeline import Outcome
from tests.incrementality.lift_rows import reported

REGIONS, HEADS, DAYS = 14, 400, 30
DECLARED = {"budgets": "randomised", "region": "state"}


@cache
def log() -> dict[str, pd.DataFrame]:
    """Radio makes one customer in 25 buy on the day that it reaches them; video is bought for the whole country."""
    draw = np.random.default_rng(6)
    start = pd.Timestamp("2024-03-01")
    states = np.repeat([f"state {n:02}" for n in range(REGIONS)], HEADS)
    levels = np.exp(draw.normal(0, 0.8, (REGIONS, DAYS // 3))).repeat(3, axis=1).repeat(HEADS, axis=0)
    is_shown = {
        "radio": draw.random((REGIONS * HEADS, DAYS)) < 0.04 * levels,
        "video": draw.random((REGIONS * HEADS, DAYS)) < 0.05,
    }
    buys = draw.random((REGIONS * HEADS, DAYS)) < 0.001 + 0.04 * is_shown["radio"]
    touches = pd.concat(
        [
            pd.DataFrame(
                {"customer_id": who, "touched_at": start + pd.to_timedelta(day * 24 + 9, "h"), "channel": name}
            )
            for name, shown in is_shown.items()
            for who, day in [np.nonzero(shown)]
        ]
    )
    who = np.flatnonzero(buys.any(axis=1))
    bought = start + pd.to_timedelta(buys[who].argmax(axis=1) * 24 + 12, "h")
    return {
        "touchpoints": touches,
        "conversions": pd.DataFrame({"customer_id": who, "converted_at": bought, "value": 50.0}),
        "costs": pd.DataFrame({"channel": ["radio", "video"], "day": "2024-03-02", "amount": [4_000.0, 900.0]}),
        "customers": pd.DataFrame({"customer_id": np.arange(REGIONS * HEADS), "state": states}),
    }


def caused() -> float:
    """By radio: what all its touches of customers who had not bought before made, but for those who bought anyway."""
    tables = log()
    touches = tables["touchpoints"].query("channel == 'radio'")
    first = touches["customer_id"].map(tables["conversions"].set_index("customer_id")["converted_at"])
    return 0.04 * float((~(first < touches["touched_at"])).sum())


def experiment(incrementality: Any, **options: Any) -> at.Experiment:
    settings = {"name": "shop", "models": [{"model": "LastTouch"}], "tracking": {"enabled": False}, "tables": log()}
    return at.Experiment.model_validate(settings | {"incrementality": incrementality} | options)


@cache
def outcome() -> Outcome:
    return at.run_experiment(experiment(DECLARED, lift_tests=reported(channel="video")))


def test_a_declared_channel_is_a_reading_that_calibrates() -> None:
    readings = outcome().tables["lift_readings"]
    rows = readings[readings["design"] == "regional_variation"].set_index("measure")
    assert rows["test"].tolist() == ["regional budgets of radio"] * 2
    row = rows.loc["conversions"]
    assert row["low"] < caused() < row["high"]
    assert row["low"] > caused() / 2
    # 14 regions, 2 channels.
    assert "t with 11 degrees of freedom; first conversions of customers" in row["note"]
    assert (row["high"] - row["effect"]) / row["standard_error"] == pytest.approx(1.7959, abs=1e-4)
    assert rows.loc["value", "effect"] == pytest.approx(50 * row["effect"])
    assert row["cost_per_incremental"] == pytest.approx(4_000 / row["effect"])
    assert [row["calibrates"], row["scaled_by"], row["period_effect"]] == [True, "none", row["effect"]]
    tests = outcome().tables["calibration_tests"]
    assert set(tests["test"]) == {"regional budgets of radio", "study"}
    assert outcome().tables["incremental"].set_index("channel").loc["radio", "basis"] == "tested"


def test_a_national_channel_is_none_and_the_run_says_so() -> None:
    quality = outcome().tables["quality"].set_index("check")
    row = quality.loc["regional_budgets"]
    assert [row["status"], row["count"], row["total"], row["example"]] == ["warn", 1.0, 2.0, "video"]
    assert quality.loc["customers_without_region", "status"] == "pass"


def test_without_the_key_nothing_is_read_from_the_same_log() -> None:
    assert "lift_readings" not in at.run_experiment(experiment({})).tables


@pytest.mark.parametrize(
    ("incrementality", "message"),
    [
        ({"budgets": "randomised"}, "budgets needs region"),
        ({"region": "state"}, "region needs budgets"),
    ],
)
def test_both_keys_or_neither(incrementality: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        experiment(incrementality)


def test_a_region_needs_customers() -> None:
    tables = {name: table for name, table in log().items() if name != "customers"}
    with pytest.raises(InputError, match=r"incrementality\.region names a column of the customers table"):
        experiment(DECLARED, tables=tables)


def changed(name: str, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {**log(), name: table}


@pytest.mark.parametrize(
    ("tables", "incrementality", "message"),
    [
        (lambda: log(), {**DECLARED, "region": "stat"}, "the region column 'stat' is not in the customers table"),
        (
            lambda: changed("customers", log()["customers"].query("state < 'state 11'")),
            DECLARED,
            "too few regions to read.*11 regions, 2 channels",
        ),
        (
            lambda: (
                changed("touchpoints", log()["touchpoints"].query("touched_at < '2024-03-10'"))
                | {"conversions": log()["conversions"].query("converted_at < '2024-03-10'")}
            ),
            DECLARED,
            "the log has too few.*9 days",
        ),
        (lambda: changed("costs", log()["costs"].assign(amount=0.0)), DECLARED, "of which the log lacks one"),
    ],
)
def test_what_cannot_be_read_is_refused(tables: Any, incrementality: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        at.run_experiment(experiment(incrementality, tables=tables()))


def test_customers_without_a_region_are_left_out_and_said() -> None:
    """And with them their conversions: those of the regions that are left are the same."""
    customers = log()["customers"]
    in_last = customers["state"] == f"state {REGIONS - 1:02}"
    nowhere = customers.assign(state=customers["state"].mask(in_last, None))
    left = at.run_experiment(experiment(DECLARED, tables=changed("customers", nowhere))).tables
    row = left["quality"].set_index("check").loc["customers_without_region"]
    assert [row["status"], row["count"], row["total"]] == ["warn", HEADS, REGIONS * HEADS]
    without = at.run_experiment(experiment(DECLARED, tables=changed("customers", customers[~in_last]))).tables
    assert left["lift_readings"]["effect"].tolist() == without["lift_readings"]["effect"].tolist()
    assert left["lift_readings"]["customers"].tolist() == [(REGIONS - 1) * HEADS] * 2
