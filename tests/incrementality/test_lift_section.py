"""Lift tests in a run: from the table and the experiment file to readings, warnings, power and sentences."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.incrementality.lift_power import DAYS
from attribution.pipeline.pipeline import Outcome
from attribution.schema.tables import LIFT_TESTS
from tests.incrementality.lift_rows import Row, changed, holdout, reported, variants

MARCH = {"first_day": "2024-03-01", "last_day": "2024-03-14"}


@cache
def log() -> dict[str, pd.DataFrame]:
    """Four weeks of 300 customers: video reaches two thirds of them, search half; one in five buys for 50."""
    draw = np.random.default_rng(2)
    start = pd.Timestamp("2024-03-01")
    touches = [
        (f"c{n:03}", start + pd.Timedelta(hours=float(draw.uniform(0, 24 * 26))), channel)
        for n in range(300)
        for channel, share in (("video", 2 / 3), ("search", 1 / 2), ("direct", 1 / 4))
        if n % 12 < 12 * share
    ]
    orders = [(f"c{n:03}", start + pd.Timedelta(days=27, hours=n % 20), 50.0) for n in range(0, 300, 5)]
    days = [str(day.date()) for day in pd.date_range(start, periods=28)]
    return {
        "touchpoints": pd.DataFrame(touches, columns=["customer_id", "touched_at", "channel"]),
        "conversions": pd.DataFrame(orders, columns=["customer_id", "converted_at", "value"]),
        "costs": pd.DataFrame(
            {"channel": ["video", "search"] * 28, "day": np.repeat(days, 2), "amount": [20.0, 5.0] * 28}
        ),
    }


def experiment(rows: list[Row] | None = None, table: Any = None, **options: Any) -> at.Experiment:
    tables = dict(log()) | ({} if table is None else {"lift_tests": table})
    settings: dict[str, Any] = {"name": "shop", "models": [{"model": "LastTouch"}], "tracking": {"enabled": False}}
    return at.Experiment(**(settings | {"tables": tables, "lift_tests": rows or []} | options))


@cache
def outcome() -> Outcome:
    """A run with tests in both places."""
    table = pd.DataFrame([*holdout(), *variants()])
    return at.run_experiment(experiment(reported(channel="search"), at.TableSpec(source=table)))


def test_both_places_make_one_table_of_readings() -> None:
    readings = outcome().tables["lift_readings"]
    assert list(dict.fromkeys(readings["test"])) == ["checkout", "spring", "study"]
    spring, study = (readings[readings["test"] == name].iloc[0] for name in ("spring", "study"))
    # Half of the days of the log.
    assert [spring["scale"], spring["period_effect"]] == pytest.approx([2.0, 600.0])
    assert [study["scaled_by"], study["period_standard_error"]] == ["none", 120.0]
    values = readings[readings["measure"] == "value"].set_index("test")["effect"]
    assert values.to_dict() == pytest.approx({"spring": 15_000.0, "study": 15_000.0})


def test_what_the_run_says_of_them() -> None:
    quality = outcome().tables["quality"]
    rows = quality[quality["table"] == LIFT_TESTS.name].set_index("check")
    assert rows.loc["lift_window", ["status", "count", "total", "example"]].tolist() == ["warn", 1.0, 3.0, "spring"]
    assert "less than the lookback window of 30 days" in rows.loc["lift_window", "message"]
    (part,) = (part for part in outcome().parts if ("lift", "Lift tests") in part.contents)
    assert part.headlines[1].startswith("video caused about 300 conversions (69 to 531), says test spring.")
    assert outcome().sections.metrics(outcome().tables)["lift_effect/spring"] == pytest.approx(300.0)


def test_what_a_test_of_each_channel_could_tell() -> None:
    power = outcome().tables["lift_power"]
    assert list(dict.fromkeys(power["channel"])) == ["video", "search"]
    row = power[(power["channel"] == "video") & (power["design"] == "ghost_ads") & (power["days"] == 28)].iloc[0]
    # Of those who left a trace: 200 who saw it, and 20 more who bought.
    assert [row["customers"], row["exposed_share"]] == pytest.approx([220.0, 200 / 220])
    # Everybody buys after all touchpoints: as many of those who saw it as of all others.
    assert row["rate"] == pytest.approx(0.2)
    # 560 of spend, 50 for each conversion.
    assert row["needed_effect"] == pytest.approx(560 / 50)
    credit = outcome().tables["credit"].set_index(["model", "channel"])["conversions"]
    assert row["credited_effect"] == pytest.approx(credit["last_touch", "video"])
    (part,) = (part for part in outcome().parts if part.contents and part.contents[0][0] == "lift_power")
    assert part.values["says"][-1].startswith(f"No test of up to {DAYS[-1]} days can tell whether video and search pay")


def test_without_customers_or_when_turned_off_there_is_no_power() -> None:
    assert "lift_power" not in at.run_experiment(experiment(incrementality={"enabled": False})).tables
    paths = pd.DataFrame({"path": ["video > search", "search"], "conversions": [30, 20], "nulls": [5, 6]})
    costs = pd.DataFrame({"channel": ["video"], "amount": [5.0]})
    of_paths = at.Experiment(
        name="paths",
        tables={"paths": paths, "costs": costs},
        models=[{"model": "LastTouch"}],
        tracking={"enabled": False},
        lift_tests=reported(channel="video"),
    )
    tables = at.run_experiment(of_paths).tables
    assert "lift_power" not in tables
    assert tables["lift_readings"]["period_effect"].tolist() == [300.0]


def test_a_log_of_buyers_alone_does_not_say_whom_channels_reached() -> None:
    tables = dict(log())
    buyers = set(tables["conversions"]["customer_id"])
    tables["touchpoints"] = tables["touchpoints"][tables["touchpoints"]["customer_id"].isin(buyers)]
    rows = changed(changed(holdout(), 0, exposed=60_000), 1, exposed=0)
    result = at.run_experiment(experiment(rows, tables=tables)).tables
    assert "lift_power" not in result
    assert result["lift_readings"]["scaled_by"].iloc[0] == "days"


def test_exposure_and_listed_customers() -> None:
    rows = changed(changed(holdout(), 0, exposed=60_000), 1, exposed=0)
    listed = pd.DataFrame({"customer_id": [f"c{n:03}" for n in range(400)]})
    tables = at.run_experiment(experiment(rows, tables=log() | {"customers": listed})).tables
    assert tables["lift_readings"]["scale"].iloc[0] == pytest.approx(200 / 75_000)
    assert tables["lift_power"].query("days == 28")["customers"].unique() == 400


REFUSED: dict[str, tuple[list[Row], dict[str, Any], str]] = {
    "an unknown channel": (holdout(channel="vidoe"), {}, "'vidoe', which the log does not have.*did you mean 'video'"),
    "other days and no way to scale": (
        holdout(first_day="2023-03-01", last_day="2023-03-14"),
        {},
        "lies outside the log.*Given: 2023-03-01 to 2023-03-14, beside a log of 2024-03-01 to 2024-03-28",
    ),
    "partly other days": (
        holdout(outcome_until="2024-03-29"),
        {},
        "lies outside the log.*set scale",
    ),
    "days outside the period": (
        holdout(),
        {"period": {"start": "2024-03-08"}},
        "beside a log of 2024-03-08 to 2024-03-28",
    ),
    "a test that is none": (holdout()[:1], {}, "one arm only"),
    "an unknown key": ([{"test": "a", "chanel": "video"}], {}, "unknown key.*chanel.*did you mean 'channel'"),
    "an old key": ([{"test": "a", "incremental_conversions": 3}], {}, "it is called effect now"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_refuses_what_its_check_refuses(case: str) -> None:
    rows, options, says = REFUSED[case]
    for ask in (at.run_experiment, at.check_quality):
        with pytest.raises(InputError, match=says):
            ask(experiment(rows, **options))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(holdout(first_day="2023-03-01", last_day="2023-03-14", scale=2.0), id="scale"),
        pytest.param(
            changed(changed(holdout(first_day="2023-03-01", last_day="2023-03-14"), 0, exposed=50), 1, exposed=0),
            id="exposed",
        ),
        pytest.param(reported(channel="video", first_day="2023-03-01", last_day="2023-03-14", spend=70), id="spend"),
        pytest.param(
            reported(channel="video", design="on_off", first_day="2023-03-01", last_day="2023-03-14"), id="on_off"
        ),
        pytest.param(variants(first_day="2023-03-01"), id="ab"),
    ],
)
def test_what_lies_outside_the_log_is_read_where_something_brings_it_there(rows: list[Row]) -> None:
    quality = at.check_quality(experiment(rows))
    assert (quality["table"] == LIFT_TESTS.name).any()


def test_the_old_key_of_an_experiment_file_is_refused_with_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text('[[lift_test]]\ntest = "a"\n[tables.paths]\nsource = "p.csv"\n[[models]]\nmodel = "Linear"\n')
    with pytest.raises(InputError, match=r"lift_test.*did you mean 'lift_tests'"):
        at.read_experiment(path)


def test_input_table_of_a_library_call() -> None:
    sources = at.load_sources(log()["touchpoints"], log()["conversions"], lift_tests=pd.DataFrame(holdout()))
    assert sources.tables["lift_tests"].rows == 2
    with pytest.raises(InputError, match="table 'lift_tests': column 'test' is missing"):
        at.load_sources(log()["touchpoints"], log()["conversions"], lift_tests=pd.DataFrame({"arm": ["test"]}))
