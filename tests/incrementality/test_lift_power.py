"""What a test of a channel could tell before it is run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attribution.incrementality.lift_power import CAN_TELL, CANNOT_TELL, Channel, power_sentences, power_table
from attribution.incrementality.log_period import Reach
from attribution.kernels.incremental.lift_sample_size import detectable_effect

REACH = Reach(
    500_000.0,
    17_000.0,
    pd.DataFrame(
        {"exposed": [150_000.0, 400_000.0, 0.0], "converted": [7_500.0, 16_000.0, 0.0]}, index=["tv", "mail", "idle"]
    ),
)


def row(table: pd.DataFrame, channel: str, design: str, share: float, days: int) -> pd.Series:
    (index,) = table.index[
        (table["channel"] == channel)
        & (table["design"] == design)
        & (table["control_share"] == share)
        & (table["days"] == days)
    ]
    return table.loc[index]


def test_of_as_many_days_as_the_log() -> None:
    table = power_table(REACH, 28.0, {"tv": Channel(40_000.0, 1_600.0, 3_000.0)})
    assert len(table) == 2 * 3 * 3
    holdout, ghost = (row(table, "tv", design, 0.2, 28) for design in ("holdout", "ghost_ads"))
    assert [holdout["rate"], holdout["detectable_effect"]] == pytest.approx([0.034, 796.594], abs=1e-3)
    assert [ghost["exposed_share"], ghost["rate"], ghost["detectable_effect"]] == pytest.approx(
        [0.3, 0.05, 524.707], abs=1e-3
    )
    assert [holdout["needed_effect"], holdout["credited_effect"]] == [1_600.0, 3_000.0]
    # An effect of 1,600 in 500,000 customers is .0032 per customer, and .010667 per exposed one.
    assert holdout["customers_needed"] == pytest.approx(317_281.1 * (0.002 / 0.0032) ** 2, rel=1e-6)
    assert detectable_effect(ghost["customers_needed"], 0.05, 0.2, exposed_share=0.3) == pytest.approx(
        1_600 * ghost["customers_needed"] / 500_000, rel=1e-9
    )
    # Half of what is needed must be seen: 800 conversions.
    assert [holdout["verdict"], ghost["verdict"]] == [CAN_TELL, CAN_TELL]
    dear = power_table(REACH, 28.0, {"tv": Channel(39_000.0, 1_590.0, 3_000.0)})
    assert row(dear, "tv", "holdout", 0.2, 28)["verdict"] == CANNOT_TELL


def test_days_bring_customers_until_all_are_there() -> None:
    table = power_table(REACH, 28.0, {"tv": Channel(40_000.0, 1_600.0, 3_000.0)})
    half, twice = (row(table, "tv", "holdout", 0.2, days) for days in (14, 56))
    assert [half["customers"], half["rate"], half["needed_effect"]] == pytest.approx([250_000.0, 0.034, 800.0])
    assert [twice["customers"], twice["rate"], twice["credited_effect"]] == pytest.approx([500_000.0, 0.068, 6_000.0])
    often = power_table(REACH._replace(converted=400_000.0), 28.0, {"tv": Channel(4e4, 1_600.0, 3_000.0)})
    assert row(often, "tv", "holdout", 0.2, 56)["rate"] == 0.99


def test_what_is_known_of_an_effect_says_what_must_be_told_and_what_it_costs() -> None:
    unsure = Channel(20_000.0, 800.0, 3_000.0)
    table = power_table(REACH, 28.0, {"tv": unsure})
    assert row(table, "tv", "holdout", 0.2, 28)["verdict"] == CANNOT_TELL
    assert table[["calibrated_median", "calibrated_low", "calibrated_high", "sales_forgone"]].isna().all(axis=None)
    calibrated = unsure._replace(mean=1_700.0, median=1_600.0, low=100.0, high=4_000.0)
    known = row(power_table(REACH, 28.0, {"tv": calibrated}), "tv", "holdout", 0.2, 56)
    assert known[["calibrated_median", "calibrated_low", "calibrated_high"]].tolist() == [3_200.0, 200.0, 8_000.0]
    assert known["sales_forgone"] == pytest.approx(0.2 * 3_400.0)
    assert known["verdict"] == CAN_TELL


def test_without_worth_nothing_is_said_of_paying() -> None:
    table = power_table(REACH, 28.0, {"tv": Channel(40_000.0, np.nan, 3_000.0), "idle": Channel(9.0, 1.0, 0.0)})
    assert set(table["channel"]) == {"tv"}
    assert table[["needed_effect", "customers_needed", "verdict"]].isna().all(axis=None)
    assert power_sentences(table) == []


def test_a_channel_after_which_nobody_converts_needs_no_number_of_customers() -> None:
    reach = Reach(500.0, 0.0, pd.DataFrame({"exposed": [400.0], "converted": [0.0]}, index=["tv"]))
    table = power_table(reach, 28.0, {"tv": Channel(400.0, 4.0, 0.0)})
    assert table["customers_needed"].isna().all()


def test_sentences() -> None:
    channels = {
        "tv": Channel(40_000.0, 1_600.0, 3_000.0),
        "mail": Channel(900.0, 90.0, 3_000.0),
        "idle": Channel(9.0, 1.0, 0.0),
    }
    table = power_table(REACH, 28.0, channels)
    fewest = 4 * table.loc[table["channel"] == "mail", "customers_needed"].min()
    assert power_sentences(table) == [
        "A ghost_ads test of 14 days with 20 % of customers in control can tell whether tv pays: it shows 371 "
        "conversions, and 800 are needed.",
        "No test of up to 56 days can tell whether mail pays: 500,000 customers can be reached, and about so many are "
        f"needed: mail {fewest:,.0f}.",
    ]
