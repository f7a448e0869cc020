"""What tests of every design measured, and what that is in the period of the log."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.incrementality.lift_declared import LIFT_READINGS
from attribution.incrementality.lift_readings import LogPeriod, readings_table
from attribution.incrementality.lift_sentences import lift_grid, lift_sentences
from attribution.incrementality.lift_tests import read_lift_tests
from attribution.incrementality.lift_warnings import lift_findings
from tests.incrementality.lift_rows import Row, changed, geo, ghost, holdout, reported, two_arms, variants

MARCH = LogPeriod(dt.date(2024, 3, 1), dt.date(2024, 3, 28))
APRIL = LogPeriod(dt.date(2024, 4, 1), dt.date(2024, 4, 28), {"video": 60_000.0, "display": 45_000.0}, {"video": 36e3})
ENDS = ["effect", "standard_error", "low", "high"]
IN_PERIOD = ["scale", "period_effect", "period_standard_error"]


def measured(rows: list[Row], log: LogPeriod | None = None, **options: Any) -> pd.DataFrame:
    return readings_table(read_lift_tests(pd.DataFrame(rows)), log, **options)


def one(rows: list[Row], log: LogPeriod | None = None, measure: str = "conversions", **options: Any) -> pd.Series:
    table = measured(rows, log, **options)
    return table[(table["measure"] == measure) & table["segment"].isna()].iloc[0]


# ---------------------------------------------------------------- in the days of the test


def test_every_design() -> None:
    rows = [*holdout(), *ghost(), *geo(), *reported(), *variants()]
    table = measured(rows).query("measure == 'conversions' and segment.isnull()").set_index("test")
    expected = {
        "cities": [258.9573, 19.3324, 220.0017, 297.9130],
        "ghosts": [300.0, 86.8404, 157.1603, 442.8397],
        "spring": [300.0, 140.3919, 69.0759, 530.9241],
        "study": [300.0, 120.0, 102.6176, 497.3824],
    }
    for name, numbers in expected.items():
        assert table.loc[name, ENDS].astype(float).tolist() == pytest.approx(numbers, abs=1e-4), name
    assert table["customers"].to_dict() == pytest.approx(
        {"checkout": 16_010, "cities": 80_000, "ghosts": 30_000, "spring": 100_000, "study": np.nan}, nan_ok=True
    )
    assert table.index[table["calibrates"]].tolist() == ["cities", "ghosts", "spring", "study"]
    assert table.loc["spring", "effect_per_day"] == pytest.approx(300 / 14)
    assert list(measured(rows).columns) == list(LIFT_READINGS.column_names)


def test_the_order_of_rows_changes_nothing() -> None:
    rows = [*holdout(), *geo(), *variants(), *reported()]
    pd.testing.assert_frame_equal(measured(rows[::-1]), measured(rows), check_exact=True)


def test_the_level_is_that_of_all_intervals() -> None:
    row = one(holdout(), level=0.5)
    assert [row["level"], row["low"]] == pytest.approx([0.5, 300 - 0.6744898 * 140.3919], abs=1e-3)
    # The interval of a report keeps its own coverage, and so has no place beside others.
    lift = reported(effect=None, standard_error=None, lift=0.12, lift_low=0.04, lift_high=0.21, conversions=5_600)
    assert one(lift)[["effect", "standard_error"]].tolist() == pytest.approx([600, 230.1111], abs=1e-4)
    assert one(lift)["lift_low"] == 0.04
    assert np.isnan(one(lift, level=0.5)["lift_low"])
    half = reported(standard_error=None, low=200, high=400, level=0.5)
    assert one(half)["standard_error"] == pytest.approx(100 / 0.6744898, rel=1e-6)


def test_a_control_that_was_exposed_in_part() -> None:
    """All of the effect shows in the part of the difference in exposure: 60 % against 10 %."""
    rows = changed(changed(holdout(), 0, exposed=48_000), 1, exposed=2_000)
    row = one(rows)
    assert row[["effect", "standard_error"]].tolist() == pytest.approx([300 * 1.2, 140.3919 * 1.2], abs=1e-3)
    assert row["note"].startswith("control was exposed, too: the difference is multiplied with 1.2")
    value = one(changed(changed(rows, 0, value=280e3, value_sd=18.0), 1, value=64e3, value_sd=17.0), measure="value")
    assert value["effect"] == pytest.approx(30_000 * 1.2)
    assert "control" not in str(one(changed(changed(holdout(), 0, exposed=48_000), 1, exposed=0))["note"])


def test_value_by_customers_and_by_the_mean() -> None:
    rows = changed(changed(holdout(), 0, value=280_000.0, spend=7_200), 1, value=64_000.0)
    mean = one(rows, measure="value")
    assert mean[ENDS].astype(float).tolist() == pytest.approx(
        np.multiply([300, 140.3919, 69.0759, 530.9241], 100), abs=0.1
    )
    assert "value is conversions × their mean value" in mean["note"]
    own = one(changed(rows, value_sd=20.0), measure="value")
    assert own[["effect", "standard_error"]].tolist() == pytest.approx(
        [30_000.0, 1e5 * 20 * np.sqrt(1 / 8e4 + 1 / 2e4)]
    )
    assert own["note"] is None
    # Spend of four fifths of the customers, for the effect on all.
    assert own[["spend", "iroas"]].tolist() == pytest.approx([9_000.0, 30_000 / 9_000])
    cost = one(rows)[["cost_per_incremental", "cost_per_incremental_low", "cost_per_incremental_high"]]
    assert cost.tolist() == pytest.approx([30.0, 9_000 / 530.9241, 9_000 / 69.0759], rel=1e-6)


def test_a_channel_that_may_have_done_nothing_has_no_upper_cost() -> None:
    row = one(reported(effect=100, standard_error=90, spend=9_000, value=8_000, conversions=100))
    assert row[["cost_per_incremental", "cost_per_incremental_low"]].tolist() == pytest.approx(
        [90.0, 36.2849], abs=1e-4
    )
    assert np.isposinf(row["cost_per_incremental_high"])
    value = one(reported(effect=300, spend=9_000, value=8_000, conversions=100), measure="value")
    assert value[["iroas", "iroas_low", "iroas_high"]].tolist() == pytest.approx([2.6667, 0.9122, 4.4212], abs=1e-4)


def test_an_ab_test_by_segment() -> None:
    table = measured(variants())
    assert table["segment"].tolist() == [None, "desktop", "mobile"]
    whole, _, mobile = table.itertuples(index=False)
    assert [whole.rate_test, whole.rate_control] == pytest.approx([460 / 8_000, 398 / 8_010])
    assert [mobile.lift, mobile.effect] == pytest.approx([0.25, 120.0])
    assert whole.sample_ratio_p == pytest.approx(0.9370, abs=1e-4)
    assert not table["calibrates"].any()
    assert "no more than by chance (p = 0.13): act on that of all together" in whole.note
    apart = changed(variants(), 0, conversions=420)
    assert "differs between segments by more than chance (p < 0.001)" in one(apart)["note"]
    empty = changed(variants(), 3, conversions=0)
    assert "without conversions, so segments are not compared" in one(empty)["note"]
    assert "sizes of the arms are not checked" in one(variants(planned_share=None))["note"]


def test_a_segment_with_too_few_conversions_has_no_interval() -> None:
    rows = changed(changed(variants(), 2, conversions=5), 3, conversions=4)
    table = measured(changed(rows, 2, spend=50))
    small = table[table["segment"] == "desktop"].iloc[0]
    assert small["effect"] == pytest.approx(6_010 * (5 / 3_000 - 4 / 3_010))
    assert small[["standard_error", "low", "high", "lift", "cost_per_incremental"]].isna().all()
    assert small["note"].startswith("too few conversions in this segment to read")
    assert lift_grid(table).iloc[1]["caused"] == "2"
    assert "too few" not in measured(changed(rows, 3, conversions=5)).iloc[1]["note"]


@pytest.mark.parametrize(
    "rows",
    [
        two_arms({"customers": 50, "conversions": 50}, {"customers": 50, "conversions": 50}),
        [{**row, "conversions": 300} for row in geo()],
    ],
)
def test_a_test_without_variation_is_refused(rows: list[Row]) -> None:
    with pytest.raises(InputError, match="shows no variation"):
        measured(rows)


def test_segments_of_a_holdout_add_up() -> None:
    rows = two_arms(
        {"customers": 30_000, "conversions": 1_000, "value": 50_000.0, "value_sd": 12.0},
        {"customers": 10_000, "conversions": 240, "value": 12_000.0, "value_sd": 9.0},
        segment="north",
    )
    rows += two_arms(
        {"customers": 50_000, "conversions": 1_800, "value": 90_000.0, "value_sd": 15.0},
        {"customers": 10_000, "conversions": 400, "value": 20_000.0, "value_sd": 11.0},
        segment="south",
    )
    assert one(rows)[ENDS].tolist() == pytest.approx(one(holdout())[ENDS].tolist())
    # Of all customers together the deviation is that within segments and between them.
    deviations = [
        np.sqrt(sum(w * (s**2 + m**2) for w, m, s in parts) - sum(w * m for w, m, _ in parts) ** 2)
        for parts in (
            [(3 / 8, 50 / 30, 12.0), (5 / 8, 90 / 50, 15.0)],
            [(1 / 2, 12 / 10, 9.0), (1 / 2, 20 / 10, 11.0)],
        )
    ]
    error = 100_000 * np.sqrt(deviations[0] ** 2 / 80_000 + deviations[1] ** 2 / 20_000)
    assert one(rows, measure="value")["standard_error"] == pytest.approx(error, rel=1e-12)


# ---------------------------------------------------------------- in the period of the log


def test_a_test_of_the_log_is_scaled_by_what_is_known() -> None:
    by_days = one(holdout(), MARCH)
    assert by_days[IN_PERIOD].tolist() == pytest.approx([2.0, 600.0, 280.7837], abs=1e-4)
    assert by_days["scaled_by"] == "days"
    spent = LogPeriod(MARCH.first, MARCH.last, spend={"video": 27_000.0})
    by_spend = one(changed(holdout(), 0, spend=7_200), spent)
    # 9,000 in 14 days were 643 a day; 964 a day are half as much again.
    error = np.hypot(3 * 140.3919, np.log(1.5) * 0.2 * 900)
    assert by_spend[IN_PERIOD].tolist() == pytest.approx([3.0, 900.0, error], abs=1e-3)
    seen = LogPeriod(MARCH.first, MARCH.last, {"video": 90_000.0}, {"video": 27_000.0})
    by_exposure = one(changed(changed(holdout(), 0, exposed=48_000, spend=7_200), 1, exposed=0), seen)
    error = np.hypot(1.5 * 140.3919, np.log(2) * 0.2 * 450)
    assert by_exposure[IN_PERIOD].tolist() == pytest.approx([1.5, 450.0, error], abs=1e-3)
    given = one(changed(holdout(scale=1.25), 0, spend=7_200), spent)
    assert given[IN_PERIOD].tolist()[:2] == pytest.approx([1.25, 375.0])
    assert given["scaled_by"] == "given"


def test_a_test_of_other_days_is_less_sure() -> None:
    row = one(ghost(), APRIL)
    assert row[IN_PERIOD].tolist() == pytest.approx([1.5, 450.0, np.hypot(1.5 * 86.8404, 0.3 * 450)], abs=1e-3)
    sure = LogPeriod(APRIL.first, APRIL.last, APRIL.exposed, drift=0.0)
    assert one(ghost(), sure)["period_standard_error"] == pytest.approx(1.5 * 86.8404, abs=1e-3)
    late = one(ghost(outcome_until="2024-03-29"), LogPeriod(MARCH.first, MARCH.last, APRIL.exposed))
    assert late["period_standard_error"] == row["period_standard_error"]


def test_a_test_of_a_part_stands_for_the_whole_with_less_certainty() -> None:
    row = one(holdout(campaign="summer"), MARCH)
    assert row["scope"] == "part"
    north = one(holdout(segment="north"), MARCH)
    assert north[["scope", *IN_PERIOD]].tolist() == row[["scope", *IN_PERIOD]].tolist()
    assert north["note"].startswith("of customers of segment north alone")
    assert one(holdout(), MARCH)["scope"] == "whole"
    assert row["period_standard_error"] == pytest.approx(np.hypot(280.7837, 0.3 * 600), abs=1e-3)


def test_a_report_without_days_is_of_the_log() -> None:
    row = one(reported(), MARCH)
    assert [*row[IN_PERIOD], row["scaled_by"]] == [1.0, 300.0, 120.0, "none"]


def test_few_regions_are_less_sure_in_the_log() -> None:
    row = one(geo(), MARCH)
    assert row["period_standard_error"] == pytest.approx(2 * 19.3324 * 2.015048 / 1.644854, abs=1e-3)
    assert row[["period_low", "period_high"]].tolist() == pytest.approx([2 * 220.0017, 2 * 297.9130], abs=1e-3)


def test_the_log_says_what_a_conversion_is_worth_where_the_test_does_not() -> None:
    log = LogPeriod(MARCH.first, MARCH.last, mean_value=80.0)
    row = one(reported(), log, "value")
    assert row[["effect", "period_effect"]].tolist() == [24_000.0, 24_000.0]
    assert "that of the log" in row["note"]
    assert set(measured(reported())["measure"]) == {"conversions"}


@pytest.mark.parametrize("rows", [holdout(), reported(first_day="2024-02-01", last_day="2024-02-10")])
def test_nothing_brings_it_to_the_log(rows: list[Row]) -> None:
    row = one(rows, LogPeriod(dt.date(2025, 3, 1), dt.date(2025, 3, 28)))
    assert row[[*IN_PERIOD, "scaled_by"]].isna().all()
    assert one(rows, LogPeriod(None, None))[IN_PERIOD].isna().all()


# ---------------------------------------------------------------- warnings and sentences


def warnings(rows: list[Row], log: LogPeriod | None = None, lookback_days: float | None = None) -> dict[str, Any]:
    tests = read_lift_tests(pd.DataFrame(rows))
    findings = lift_findings(tests, readings_table(tests, log), log, lookback_days)
    return {finding.check: finding.example for finding in findings if finding.status == "warn"}


def test_clean_tests_have_no_warning() -> None:
    rows = [*holdout(), *ghost(), *geo(), *reported(), *variants()]
    assert warnings(rows, MARCH, 14.0) == {}


def test_what_there_is_to_know_is_said() -> None:
    exposed = changed(changed(holdout(), 0, exposed=48_000), 1, exposed=2_000)
    assert warnings(exposed) == {"lift_contamination": "spring"}
    assert warnings(ghost(design="psa")) == {}
    assert warnings(changed(ghost(design="psa"), 1, exposed=6_190)) == {"lift_placement": "ghosts"}
    assert warnings([*holdout(), *variants(), *reported()], MARCH, 15.0) == {"lift_window": "spring"}
    assert warnings(holdout(outcome_until="2024-03-15"), MARCH, 15.0) == {}
    dear = LogPeriod(MARCH.first, MARCH.last, spend={"video": 28_000.0})
    assert warnings(changed(holdout(), 0, spend=7_200), dear) == {"lift_spend": "spring"}
    assert warnings(changed(holdout(), 0, spend=7_500), dear) == {}


def test_tests_that_contradict_each_other_are_named() -> None:
    two = [*reported(), *reported(test="other", effect=-200)]
    assert warnings(two, MARCH) == {"lift_contradiction": "tv: other says -200, study 300"}
    assert warnings([*reported(), *reported(test="other", effect=-100)], MARCH) == {}
    assert warnings([*reported(), *reported(test="other", effect=-200, channel="radio")], MARCH) == {}


def test_sentences_say_no_more_than_the_interval_allows() -> None:
    days = {"first_day": "2024-01-01", "last_day": "2024-01-31"}
    said = lift_sentences(
        measured(
            [
                *holdout(),
                *reported(test="weak", effect=100, standard_error=90),
                *reported(test="worse", effect=-300),
                *reported(test="weekends", design="on_off", **days),
                *variants(),
                *changed(variants(test="worse form"), 0, conversions=180),
                *changed(variants(test="same form"), 0, conversions=245),
            ],
            MARCH,
        )
    )
    assert said == [
        "The new form converts better, says test checkout: 5.8 % of customers convert with the new form and 5 % with "
        "the present one, +15.7 % (+3.7 % to +29.2 %).",
        "Test same form cannot tell which form converts better: 5.1 % of customers convert with the new form and 5 % "
        "with the present one, +1.9 % (-9.0 % to +14.1 %).",
        "video caused about 300 conversions (69 to 531), says test spring. In the period of the log that is about 600 "
        "(138 to 1,062).",
        "Test weak cannot tell whether tv caused any conversions: 100 (-48 to 248).",
        "On days with tv there were about 300 conversions more (103 to 497), says test weekends. Days on and off were "
        "not assigned by chance, so something else may have made the difference.",
        "There were fewer conversions with tv than without (-497 to -103), says test worse.",
        "The new form converts worse, says test worse form: 4.2 % of customers convert with the new form and 5 % with "
        "the present one, -14.5 % (-24.1 % to -3.7 %).",
    ]


def test_what_was_written_says_the_same_when_it_is_read(tmp_path: Path) -> None:
    table = measured([*holdout(), *variants(what=None), *reported(campaign="summer")], MARCH)
    table.to_csv(tmp_path / "readings.csv", index=False)
    table.to_parquet(tmp_path / "readings.parquet")
    for again in (pd.read_csv(tmp_path / "readings.csv"), pd.read_parquet(tmp_path / "readings.parquet")):
        assert lift_sentences(again) == lift_sentences(table)
        assert lift_grid(again).values.tolist() == lift_grid(table).values.tolist()
    assert lift_sentences(table)[0].startswith("The new variant converts better")
    assert "tv / summer caused" in lift_sentences(table)[2]


def test_the_table_to_read_has_one_cell_per_interval() -> None:
    rows = [*variants(), *reported(effect=100, standard_error=90, spend=9_000)]
    grid = lift_grid(measured(rows))
    assert list(grid.columns) == ["test", "of", "design", "measure", "caused", "lift", "cost per conversion"]
    assert grid.iloc[2].tolist()[1:] == [
        "form / mobile",
        "ab",
        "conversions",
        "120 [46, 194]",
        "+25.0 % [+8.9 %, +43.8 %]",
        "",
    ]
    assert grid.iloc[-1]["cost per conversion"] == "90 [36.28, ∞]"
    assert "in the log's period" in lift_grid(measured(rows, MARCH))
