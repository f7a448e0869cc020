"""The small inputs beside the project that are about money, formats and clocks, run where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from tests.test_cases import case

REFUSED = {
    "14_currency_orders": "amounts are in several currencies",
    "14c_cost_currency_one_but_orders_other": "no rate is known for currency 'JPY'",
    "92_google_ads_two_currencies": "amounts are in several currencies",
    "12_total_row_total": "seem to sum up other rows",
    "13_german_thousands_mixed": "thousands = '.'",
    "07_refund_negative_row": "negative = 'net'",
}
WARNED = {
    "06_duplicate_order_ids": ("duplicate_id", "215.00 in total is left out"),
    "93c_line_items_split_value": ("duplicate_id", "the values of 1 id differ"),
    "08b_day_only_many": ("day_times", "200 customers have touchpoints later that day"),
    "42b_coupon_seconds_before": ("last_seconds", "touchpoints of coupon come 100 % of the time"),
    "41_3000_-8": ("time_zone", "8 hours too late"),
}
TOLD = {
    "93c_line_items_split_value": {"same_id": "sum"},
    "07_refund_negative_row": {"negative": "net"},
    "08b_day_only_many": {"same_day": "counts"},
}
SPEND = {
    "a": {"thousands": ","}, "b": {"decimal": ","}, "c": {"where": "channel <> 'Total'"}, "e": {"skip_rows": 2},
    "d": {"where": "channel is not null"}, "h": {"where": "amount <> ' --'"}, "p": {"encoding": "utf-16"},
    "q": {"encoding": "latin-1"}, "r": {"thousands": "."}, "s": {"negative": "net"},
    "k": {"skip_rows": 2, "thousands": ",", "where": "Day not like 'Total%'"},
    "l": {"where": '"Campaign name" is not null'},
}  # fmt: skip
SPENT = {"h": 1234.5, "r": 2184.0, "s": 3134.5}


def ran(file: Path, table: str = "conversions", **keys: Any) -> dict[str, pd.DataFrame]:
    """The tables of an experiment, one of its input tables with further keys."""
    experiment = at.read_experiment(file)
    spec = experiment.tables[table].model_copy(update=keys)
    return dict(at.run_experiment(experiment.model_copy(update={"tables": {**experiment.tables, table: spec}})).tables)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_summed_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        ran(case(name, tmp_path) / "experiment.toml")
    assert REFUSED[name] in str(refused.value)


@pytest.mark.parametrize("name", WARNED)
def test_what_is_odd_is_said(name: str, tmp_path: Path) -> None:
    quality = ran(case(name, tmp_path) / "experiment.toml")["quality"].set_index("check")
    check, said = WARNED[name]
    assert quality.loc[check, "status"] == "warn"
    assert said in quality.loc[check, "message"]


def test_what_is_told_is_done(tmp_path: Path) -> None:
    credit = {}
    for name, keys in TOLD.items():
        rows = ran(case(name, tmp_path) / "experiment.toml", **keys)["credit"]
        first = rows[rows["model"] == rows["model"].iloc[0]]
        credit[name] = {row["channel"]: (row["conversions"], row["value"]) for row in first.to_dict("records")}
    assert credit["93c_line_items_split_value"]["Paid Search"] == (1, 500)
    assert credit["07_refund_negative_row"]["ppc"] == (1, 0)
    assert credit["08b_day_only_many"]["search"] == (200, 2000)


@pytest.mark.parametrize("name", ["20_parquet_binary", "60b_bigquery_utc_plain"])
def test_what_warehouses_write_is_read(name: str, tmp_path: Path) -> None:
    credit = ran(case(name, tmp_path) / "experiment.toml")["credit"]
    assert credit.loc[credit["channel"] != "(unattributed)", "conversions"].min() == 1


def test_clock_times_that_never_were_are_said(tmp_path: Path) -> None:
    quality = ran(case("dst", tmp_path) / "e.toml")["quality"].set_index(["check", "table"])
    assert quality.loc[("times_that_never_were", "touchpoints"), "count"] == 1
    assert quality.loc[("times_that_came_twice", "touchpoints"), "count"] == 2
    assert quality.loc[("times_that_came_twice", "conversions"), "count"] == 1


@pytest.mark.parametrize("name", SPEND)
def test_spend_is_refused_with_the_way_and_read_where_told(name: str, tmp_path: Path) -> None:
    file = case("03_spend_formats", tmp_path) / f"{name}.toml"
    with pytest.raises(InputError, match=r"thousands|decimal|where|skip_rows|encoding|negative"):
        ran(file)
    returns = ran(file, "costs", **SPEND[name])["returns"]
    assert returns["spend"].sum() == pytest.approx(SPENT.get(name, 3234.5))
