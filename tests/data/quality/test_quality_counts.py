"""Input that is counted in the quality table, and what is then done with it. Every number is counted by hand."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.pipeline.pipeline import check_quality
from attribution.schema.experiment import Experiment, Period

Counts = dict[tuple[str, str], float]


def day(n: int, *, hour: int = 0) -> pd.Timestamp:
    return pd.Timestamp(2024, 1, 1) + pd.Timedelta(days=n - 1, hours=hour)


def touches(*rows: tuple[Any, ...], names: tuple[str, ...] = ("customer_id", "touched_at", "channel")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names))


def orders(*rows: tuple[Any, ...], names: tuple[str, ...] = ("customer_id", "converted_at", "value")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names))


def experiment(options: dict[str, Any] | None = None, **tables: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "counted",
            "tables": {name: {"source": table} for name, table in tables.items()},
            "models": [{"model": "Linear"}],
            **(options or {}),
        }
    )


def counted(options: dict[str, Any] | None = None, **tables: Any) -> Counts:
    """What the gate counts, and that a run counts the same."""
    asked = experiment(options, **tables)
    gate = check_quality(asked)
    outcome = at.run_experiment(asked)
    pd.testing.assert_frame_equal(gate, outcome.tables["quality"])
    return {(row.table, row.check): row.count for row in gate.itertuples()}


def credited(options: dict[str, Any] | None = None, **tables: Any) -> dict[str, tuple[float, float]]:
    rows = at.run_experiment(experiment(options, **tables)).tables["credit"]
    return {row.channel: (row.conversions, row.value) for row in rows.itertuples()}


GOOD = (("a", day(1), "mail"), ("a", day(2), "search"))
ORDER = (("a", day(3), 10.0),)


def test_good_data_warn_of_nothing_but_missing_costs() -> None:
    quality = check_quality(experiment(touchpoints=touches(*GOOD), conversions=orders(*ORDER)))
    warned = quality[quality["status"] != "pass"]
    assert set(warned["check"]) == {"cost_known", "few_conversions"}


@pytest.mark.parametrize(
    ("row", "check"),
    [
        ((None, day(1), "radio"), "null_customer"),
        (("", day(1), "radio"), "null_customer"),
        (("a", None, "radio"), "null_time"),
        (("a", day(1), None), "null_channel"),
        (("a", day(1), ""), "null_channel"),
        (("a", day(1), "  "), "null_channel"),
    ],
)
def test_touchpoints_without_customer_time_or_channel_are_dropped(row: tuple[Any, ...], check: str) -> None:
    tables = {"touchpoints": touches(*GOOD, row), "conversions": orders(*ORDER)}
    counts = counted(**tables)
    assert counts["touchpoints", check] == 1
    assert sum(counts["touchpoints", f"null_{name}"] for name in ("customer", "time", "channel")) == 1
    credit = credited(**tables)
    assert credit["mail"] == credit["search"] == (0.5, 5.0)
    assert credit.get("radio", (0.0, 0.0)) == (0.0, 0.0)


def test_a_customer_of_blanks_is_no_customer() -> None:
    """As with a channel of blanks, and like CSV and JSON written by hand."""
    tables = {
        "touchpoints": touches(*GOOD, (" ", day(1), "mail")),
        "conversions": orders(*ORDER, (" ", day(3), 1.0)),
    }
    counts = counted(**tables)
    assert (counts["touchpoints", "null_customer"], counts["conversions", "null_customer"]) == (1, 1)


def test_one_touchpoint_may_lack_several_things() -> None:
    counts = counted(touchpoints=touches(*GOOD, (None, None, None)), conversions=orders(*ORDER))
    assert [counts["touchpoints", f"null_{name}"] for name in ("customer", "time", "channel")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("row", "check"),
    [
        ((None, day(3), 5.0), "null_customer"),
        (("", day(3), 5.0), "null_customer"),
        (("a", None, 5.0), "null_time"),
    ],
)
def test_conversions_without_customer_or_time_are_dropped(row: tuple[Any, ...], check: str) -> None:
    tables = {"touchpoints": touches(*GOOD), "conversions": orders(*ORDER, row)}
    counts = counted(**tables)
    assert counts["conversions", check] == 1
    assert sum(value for value, _ in credited(**tables).values()) == 1.0


def test_times_that_are_all_null_beside_integer_times() -> None:
    """A column of nulls has no kind of its own."""
    table = pa.table({"customer_id": ["a"], "touched_at": pa.nulls(1), "channel": ["mail"]})
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": [5], "value": [1.0]})
    counts = counted(touchpoints=table, conversions=conversions)
    assert counts["touchpoints", "null_time"] == 1
    assert counts["conversions", "without_touchpoint"] == 1


@pytest.mark.parametrize("values", [[10.0, None], [10.0, float("nan")], ["10", ""], ["10", "  "], ["10", "nan"]])
def test_a_null_value_is_zero(values: list[Any]) -> None:
    conversions = orders(("a", day(3), values[0]), ("b", day(3), values[1]))
    tables = {"touchpoints": touches(*GOOD, ("b", day(1), "radio")), "conversions": conversions}
    assert counted(**tables)["conversions", "null_value"] == 1
    assert credited(**tables)["radio"] == (1.0, 0.0)
    assert credited(**tables)["mail"] == (0.5, 5.0)


def test_a_value_column_of_nulls_only() -> None:
    conversions = pa.table({"customer_id": ["a"], "converted_at": [day(3)], "value": pa.nulls(1)})
    counts = counted(touchpoints=touches(*GOOD), conversions=conversions)
    assert counts["conversions", "null_value"] == 1


def test_no_value_column_is_warned_of() -> None:
    counts = counted(touchpoints=touches(*GOOD), conversions=orders(*ORDER).drop(columns="value"))
    assert counts["conversions", "value_known"] == 1


def test_of_conversions_with_one_id_the_earliest_then_smallest_is_kept() -> None:
    names = ("customer_id", "converted_at", "value", "conversion_id")
    conversions = orders(
        ("a", day(4), 1.0, "x"),
        ("a", day(3), 7.0, "x"),
        ("a", day(3), 5.0, "x"),
        ("b", day(3), 1.0, "x"),
        ("a", day(3, hour=1), 9.0, "y"),
        ("a", day(5), 2.0, None),
        ("a", day(6), 2.0, None),
        ("a", day(7), 2.0, ""),
        names=names,
    )
    tables = {"touchpoints": touches(*GOOD), "conversions": conversions}
    options = {"journeys": {"conversions": "cumulative"}}
    assert counted(options, **tables)["conversions", "duplicate_id"] == 3
    # kept: x of (a, day 3, 5.0); y; three without id
    assert credited(options, **tables)["mail"] == (2.5, (5 + 9 + 2 + 2 + 2) / 2)


def test_an_id_of_a_conversion_that_is_dropped_anyway_is_no_duplicate() -> None:
    names = ("customer_id", "converted_at", "value", "conversion_id")
    conversions = orders((None, day(2), 1.0, 5), ("a", day(3), 7.0, 5), names=names)
    tables = {"touchpoints": touches(*GOOD), "conversions": conversions}
    counts = counted(**tables)
    assert (counts["conversions", "duplicate_id"], counts["conversions", "null_customer"]) == (0, 1)
    assert credited(**tables)["search"] == (0.5, 3.5)


def test_rows_that_repeat_are_kept_and_counted() -> None:
    tables = {
        "touchpoints": touches(*GOOD, GOOD[0], GOOD[0]),
        "conversions": orders(*ORDER, ("b", day(3), 1.0), ("b", day(3), 1.0)),
    }
    counts = counted(**tables)
    assert counts["touchpoints", "duplicates"] == 2
    assert counts["conversions", "duplicates"] == 1
    assert credited(**tables)["mail"] == (0.75, 7.5)


@pytest.mark.parametrize("reverse", [False, True])
def test_ties_are_counted_and_ordered_by_kind_then_channel(reverse: bool) -> None:
    rows = [
        ("a", day(1), "zeta", "impression"),
        ("a", day(2), "beta", "impression"),
        ("a", day(2), "omega", "click"),
        ("a", day(2), "alpha", "impression"),
    ]
    names = ("customer_id", "touched_at", "channel", "kind")
    tables = {
        "touchpoints": touches(*(reversed(rows) if reverse else rows), names=names),
        "conversions": orders(*ORDER),
    }
    assert counted(**tables)["touchpoints", "ties"] == 3
    outcome = at.run_experiment(experiment({"output": {"journey_credit": True}}, **tables))
    assert outcome.tables["journey_credit"]["channel"].tolist() == ["zeta", "omega", "alpha", "beta"]


def test_conversions_without_a_touchpoint() -> None:
    tables = {
        "touchpoints": touches(*GOOD, ("c", day(5), "late"), ("d", day(1), "early")),
        "conversions": orders(*ORDER, ("b", day(3), 1.0), ("c", day(4), 2.0), ("d", day(32), 4.0), ("a", day(3), 8.0)),
    }
    counts = counted(**tables)
    # b never touched, c only afterwards, d 31 days before, a's second order at one instant
    assert counts["conversions", "without_touchpoint"] == 4
    assert counts["conversions", "time_order"] == 1
    credit = credited(**tables)
    assert credit["(unattributed)"][0] == 4.0
    assert sum(n for n, _ in credit.values()) == 5.0
    assert sum(value for _, value in credit.values()) == 25.0


def test_open_journeys_are_those_that_may_still_convert() -> None:
    """The data end on day 40; a journey closes 30 days after its last touchpoint."""
    tables = {
        "touchpoints": touches(*GOOD, ("b", day(9), "mail"), ("c", day(10), "mail"), ("d", day(11), "mail")),
        "conversions": orders(*ORDER, ("e", day(40), 1.0)),
    }
    # c closes at the very end of the data, and cannot convert any more
    assert counted(**tables)["journeys", "open_journeys"] == 1


@pytest.mark.parametrize(
    ("still_open", "options", "status", "count"),
    [
        (1, {}, "pass", 1),
        (2, {}, "warn", 2),
        (2, {"open_journeys": "drop"}, "pass", 0),
        (2, {"lookback_days": 9}, "pass", 0),
    ],
)
def test_open_journeys_matter_if_they_are_many(
    still_open: int, options: dict[str, Any], status: str, count: int
) -> None:
    """Of five journeys without a conversion one is open or two are: 20 % are borne, 40 % are warned of."""
    silent = [(f"n{i}", day(1) if i < 5 - still_open else day(31), "mail") for i in range(5)]
    tables = {"touchpoints": touches(*GOOD, *silent), "conversions": orders(*ORDER, ("e", day(41), 1.0))}
    quality = check_quality(experiment({"journeys": options}, **tables)).set_index("check")
    found = quality.loc["open_journeys"]
    assert (found["status"], found["count"]) == (status, count)
    assert found["total"] == (3 if options.get("open_journeys") else 5)
    if status == "warn":
        assert found["message"].startswith("40 % of journeys without a conversion are open")
        assert "A lookback window of 30 days is long for 40 days of data" in found["message"]


def test_ids_that_appear_half_an_hour_before_they_convert() -> None:
    """Looked at are first conversions from day 21 on: the data span 40 days, of which the window needs half."""
    noon, minute = day(30, hour=12), pd.Timedelta(minutes=1)
    touched = [
        ("new", noon - 30 * minute, "mail"),
        ("newer", noon, "mail"),
        ("not so new", noon - 31 * minute, "mail"),
        ("old", day(5), "mail"),
        ("old", noon - minute, "mail"),
        ("too early to tell", day(2), "mail"),
        ("silent", day(1), "mail"),
        ("silent", day(41), "mail"),
    ]
    bought = [(name, noon, 1.0) for name in ("new", "newer", "not so new", "old", "never touched")]
    bought += [("too early to tell", day(2) + minute, 1.0), ("new", noon + minute, 1.0)]
    quality = check_quality(experiment(touchpoints=touches(*touched), conversions=orders(*bought)))
    row = quality.set_index("check").loc["new_id_before_conversion"]
    assert (row["count"], row["total"], row["status"]) == (2, 4, "warn")


def test_conversions_outside_the_period() -> None:
    tables = {
        "touchpoints": touches(*GOOD, ("a", day(4), "radio"), ("b", day(1), "mail")),
        "conversions": orders(*ORDER, ("a", day(5), 1.0), ("a", day(20), 2.0)),
    }
    options = {"period": {"start": dt.date(2024, 1, 4), "end": dt.date(2024, 1, 5)}}
    counts = counted(options, **tables)
    assert counts["conversions", "outside_period"] == 2
    assert counts["journeys", "outside_period"] == 1  # b's journey closes on day 31
    # the order of day 3 is outside but still closes the journey of mail and search
    assert credited(options, **tables) == {
        "mail": (0, 0), "radio": (1, 1), "search": (0, 0), "(unattributed)": (0, 0),
    }  # fmt: skip


def test_a_period_in_which_nothing_happened() -> None:
    """Nothing to credit is a result, of zeros."""
    tables = {"touchpoints": touches(*GOOD), "conversions": orders(*ORDER)}
    options: dict[str, Any] = {
        "period": {"start": dt.date(2030, 1, 1)},
        "models": [{"model": name} for name in ("Linear", "LastTouch", "TimeDecay", "Markov", "Shapley")],
    }
    asked = experiment(options, **tables)
    outcome = at.run_experiment(asked)
    assert (outcome.tables["credit"]["conversions"] == 0).all()
    quality = outcome.tables["quality"].set_index(["table", "check"])["count"]
    assert quality["conversions", "outside_period"] == 1


@pytest.mark.parametrize(("end", "inside"), [("2024-01-03", 1), ("2024-01-02", 0)])
def test_the_last_day_of_the_period_counts_to_its_end(end: str, inside: int) -> None:
    tables = {
        "touchpoints": touches(*GOOD, ("a", day(4), "mail")),
        "conversions": orders(("a", pd.Timestamp("2024-01-03T23:59:59.999999"), 1.0), ("a", day(4), 1.0)),
    }
    sources = at.load_sources(**tables)
    journeys = at.build_journeys(sources, period=Period(end=dt.date.fromisoformat(end)))
    assert journeys.total("conversions") == inside


def test_after_the_first_conversion_rows_are_dropped_on_request() -> None:
    tables = {
        "touchpoints": touches(*GOOD, ("a", day(4), "radio"), ("a", day(6), "radio")),
        "conversions": orders(*ORDER, ("a", day(5), 1.0)),
    }
    counts = counted({"journeys": {"conversions": "first_only"}}, **tables)
    assert counts["touchpoints", "after_first_conversion"] == 2
    assert counts["conversions", "after_first_conversion"] == 1


# ------------------------------------------------------------------- channels and costs


def test_channels_in_costs_without_touchpoints_and_the_reverse() -> None:
    costs = pd.DataFrame({"channel": ["mail", "Search", "radio"], "amount": [1.0, 2.0, 4.0]})
    tables = {"touchpoints": touches(*GOOD), "conversions": orders(*ORDER), "costs": costs}
    counts = counted(**tables)
    assert counts["costs", "channels_not_in_touchpoints"] == 2  # Search is not search
    assert counts["touchpoints", "channels_not_in_costs"] == 1
    assert counts["costs", "spend_without_conversion"] == 2
    returns = at.run_experiment(experiment(**tables)).tables["returns"].set_index("channel")
    assert returns["spend"].dropna().to_dict() == {"mail": 1.0, "Search": 2.0, "radio": 4.0}
    assert returns["roi"].dropna().to_dict() == {"mail": 4.0, "Search": -1.0, "radio": -1.0}


def test_channels_of_paths_and_of_costs() -> None:
    paths = pd.DataFrame({"path": ["mail > search"], "conversions": [2]})
    costs = pd.DataFrame({"channel": ["mail", "radio"], "amount": [1.0, 2.0]})
    counts = counted(paths=paths, costs=costs)
    assert counts["costs", "channels_not_in_paths"] == 1
    assert counts["paths", "channels_not_in_costs"] == 1


def test_channels_in_costs_where_no_touchpoints_are_given() -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [1.0]})
    assert counted(conversions=orders(*ORDER), costs=costs)["costs", "spend_without_conversion"] == 1


def test_touchpoints_without_cost_are_taken_as_zero() -> None:
    names = ("customer_id", "touched_at", "channel", "cost")
    rows = (("a", day(1), "mail", 3.0), ("a", day(2), "mail", None), ("a", day(2), "search", None))
    tables = {"touchpoints": touches(*rows, names=names), "conversions": orders(*ORDER)}
    assert counted(**tables)["touchpoints", "null_cost"] == 2
    returns = at.run_experiment(experiment(**tables)).tables["returns"].set_index("channel")
    assert returns["spend"].dropna().to_dict() == {"mail": 3.0}


def test_the_cost_of_a_touchpoint_without_channel_makes_no_channel() -> None:
    names = ("customer_id", "touched_at", "channel", "cost")
    rows = (("a", day(1), "mail", 3.0), ("a", day(2), " ", 5.0))
    outcome = at.run_experiment(experiment(touchpoints=touches(*rows, names=names), conversions=orders(*ORDER)))
    assert outcome.tables["returns"]["channel"].tolist() == ["mail", "(unattributed)"]


# ------------------------------------------------------------------- paths


def test_empty_and_null_paths_are_unattributed() -> None:
    paths = pd.DataFrame(
        {
            "path": [None, "", "  ", " > ", "a"],
            "conversions": [1, 2, 4, 8, 16],
            "value": [1.0, 1.0, 1.0, 1.0, 3.0],
        }
    )
    assert counted(paths=paths)["paths", "empty_path"] == 4
    assert credited(paths=paths) == {"a": (16.0, 3.0), "(unattributed)": (15.0, 4.0)}


def test_empty_lists_and_empty_steps() -> None:
    table = pa.table({"path": [["a", None, "", " ", "b"], [], None, [None]], "conversions": [2, 1, 1, 1]})
    assert counted(paths=table)["paths", "empty_path"] == 3
    assert credited(paths=table) == {"a": (1, 0), "b": (1, 0), "(unattributed)": (3, 0)}


@pytest.mark.parametrize(
    ("column", "repeated"),
    [
        (["a > b", "a > b", "a>b", "c"], 2),
        ([None, "a", "b", "c"], 0),
        ([None, None, "b", "c"], 1),
        ([["a"], ["a"], ["b"], ["a", "b"]], 1),
    ],
)
def test_paths_that_come_again_are_summed(column: list[Any], repeated: int) -> None:
    """A path is its steps: blanks around the separator make no other path."""
    table = pa.table({"path": column, "conversions": [1, 1, 1, 1]})
    assert counted(paths=table)["paths", "repeated_path"] == repeated


def test_value_on_a_path_that_never_converted() -> None:
    paths = pd.DataFrame({"path": ["a > b", "c"], "conversions": [0, 1], "value": [5.0, 1.0]})
    assert counted(paths=paths)["paths", "value_without_conversion"] == 1
    assert credited(paths=paths) == {"a": (0, 2.5), "b": (0, 2.5), "c": (1, 1), "(unattributed)": (0, 0)}


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_null_values_and_nulls_of_paths(missing: float | None) -> None:
    table = pa.table(
        {
            "path": ["a", "b"],
            "conversions": [1.0, 1.0],
            "value": pa.array([missing, 2.0], pa.float64(), from_pandas=False),
            "nulls": pa.array([missing, 2.0], pa.float64(), from_pandas=False),
        }
    )
    counts = counted(paths=table)
    assert (counts["paths", "null_value"], counts["paths", "null_nulls"]) == (1, 1)


# ------------------------------------------------------------------- the form of the table


def test_every_finding_is_a_full_row() -> None:
    table = check_quality(
        experiment(
            touchpoints=touches(*GOOD, (None, None, None)),
            conversions=orders(*ORDER, ("b", day(1), np.nan)),
            costs=pd.DataFrame({"channel": ["radio"], "amount": [1.0]}),
        )
    )
    assert set(table["status"]) <= {"pass", "warn", "fail"}
    assert not table.duplicated(["check", "table"]).any()
    assert ((table["count"] > 0) == (table["status"] != "pass")).all()
    assert (table["count"] <= table["total"].fillna(np.inf)).all()
    assert table["message"].str.len().gt(0).all()


def test_integer_times_that_look_like_moments_are_warned_of() -> None:
    def suspect(unit: int) -> float:
        frame = touches(("a", unit, "mail"))
        return counted(touchpoints=frame, conversions=orders(("a", unit + 1, 1.0)))["conversions", "integer_times"]

    assert suspect(1) == 0
    assert suspect(1_704_067_200) == 1
    assert suspect(1_704_067_200_000) == 1
    assert suspect(20240101) == 1  # a day written as a number


def test_validate_says_how_bad_it_is(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from attribution.cli.main import app

    touches(*GOOD).to_csv(tmp_path / "t.csv", index=False)
    orders(*ORDER, ("b", day(3), 1.0)).to_csv(tmp_path / "c.csv", index=False)
    (tmp_path / "e.toml").write_text(
        '[tables.touchpoints]\nsource = "t.csv"\n[tables.conversions]\nsource = "c.csv"\n[[models]]\nmodel = "Linear"\n'
    )
    runner = CliRunner()
    assert runner.invoke(app, ["validate", str(tmp_path / "e.toml")]).exit_code == 0
    assert runner.invoke(app, ["validate", str(tmp_path / "e.toml"), "--strict"]).exit_code == 3


@pytest.mark.parametrize(("customer", "verdict", "code"), [("a", "pass", 0), ("A-1", "fail", 2)])
def test_strict_has_nothing_against_good_data_and_failures_exit_with_two(
    tmp_path: Path, customer: str, verdict: str, code: int
) -> None:
    from typer.testing import CliRunner

    from attribution.cli.main import app

    many = [(f"{name} {n}", *rest) for n in range(30) for name, *rest in GOOD]
    touches(*many, ("b", day(1), "mail"), ("b", day(50), "mail")).to_csv(tmp_path / "t.csv", index=False)
    orders(*((f"{customer} {n}", day(3), 10.0) for n in range(30))).to_csv(tmp_path / "c.csv", index=False)
    pd.DataFrame({"channel": ["mail", "search"], "amount": [1, 2]}).to_csv(tmp_path / "s.csv", index=False)
    (tmp_path / "e.toml").write_text(
        "".join(
            f'[tables.{name}]\nsource = "{name[0] if name != "costs" else "s"}.csv"\n'
            for name in ("touchpoints", "conversions", "costs")
        )
        + '[journeys]\nopen_journeys = "drop"\n[[models]]\nmodel = "Linear"\n'
    )
    for strictly in ([], ["--strict"]):
        result = CliRunner().invoke(app, ["validate", str(tmp_path / "e.toml"), "--json", *strictly])
        assert json.loads(result.stdout)["status"] == verdict
        assert result.exit_code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.csv", "e.toml", "s.csv", "t.csv"]


@pytest.mark.parametrize("customers", [1_500, 12_000])  # with few conversions every customer is drawn, else buckets
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_drawing_customers_changes_no_count_and_no_status(customers: int, method: str) -> None:
    shop = at.simulate("default", customers=customers, seed=1)
    tables = {"touchpoints": shop.touchpoints, "conversions": shop.conversions, "costs": shop.costs}
    plain = {
        "period": Period(start=dt.date(2024, 1, 1), end=dt.date(2024, 2, 15)),
        "journeys": {"lookback_days": 30, "direct": "drop_if_other"},
    }
    drawn = {**plain, "resampling": {"draws": 50, "method": method}}
    one, two = (at.run_experiment(experiment(options, **tables)).tables["quality"] for options in (plain, drawn))
    keys = ["check", "table", "status", "count", "total"]
    both = one[keys].merge(two[keys], on=["check", "table"], suffixes=("", "_drawn"), validate="one_to_one")
    assert len(both) == len(one) > 30
    assert (both["count"] > 0).sum() > 5
    pd.testing.assert_series_equal(both["status"], both["status_drawn"], check_names=False)
    pd.testing.assert_series_equal(both["count"], both["count_drawn"], check_names=False)
    pd.testing.assert_series_equal(both["total"], both["total_drawn"], check_names=False)
