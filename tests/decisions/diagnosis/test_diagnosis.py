"""Which slice explains the gap, spend that does not pay, and the tasks that come of it."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.decisions.diagnosis import (
    channel_slices,
    diagnose_roi,
    diagnosis_metrics,
    judge_spend,
    tasks_table,
)
from attribution.decisions.diagnosis.diagnosis_section import _say_wasted
from attribution.decisions.diagnosis.gaps import PARTS
from attribution.errors import InputError
from attribution.pipeline.pipeline import check_quality
from attribution.pipeline.tracking_record import record_of
from attribution.schema.experiment import Experiment
from tests.reporting.drawn import all_figures, page_of

FAIR = "展会 <b>"


def slices_of(**columns: list[Any]) -> pd.DataFrame:
    count = len(columns["reach"])
    return pd.DataFrame({"dimension": "channel", "model": "m", "slice": [f"s{i}" for i in range(count)], **columns})


# ---------------------------------------------------------------- which slice explains the gap


def test_parts_worked_by_hand() -> None:
    """Here 100 touchpoints, 0.2 · 30 ÷ 2 = 3; in the rest 200 touchpoints, 0.1 · 40 ÷ 4 = 1."""
    table = slices_of(reach=[100, 200], conversions=[20, 20], value=[600.0, 800.0], spend=[200.0, 800.0])
    found = diagnose_roi(table)
    row = found["roi_slices"].iloc[0]
    assert (row["roi"], row["roi_rest"], row["roi_gap"], row["money"]) == (2.0, 0.0, 2.0, 400.0)
    assert row["total_gap"] == pytest.approx(1400 / 1000 - 1 - 0.0)
    assert row["share"] == 0.0
    assert row["profit_gap"] == pytest.approx(400.0)
    parts = found["roi_parts"].iloc[:4].set_index("part")
    assert parts.loc["rate", ["here", "reference"]].tolist() == [0.2, 0.1]
    # Return a touchpoint goes from 4 to 6: rate adds 0.1 · 35, value −10 · 0.15; a unit of return is worth ½(¼ + ½).
    assert parts.loc["rate", "roi_gap"] == pytest.approx(3.5 * 0.375)
    assert parts.loc["value", "roi_gap"] == pytest.approx(-1.5 * 0.375)
    # Cost goes from 4 to 2, and a unit of it takes ½(4 + 6) ÷ (4 · 2).
    assert parts.loc["cost", "roi_gap"] == pytest.approx(2 * 0.625)
    assert parts.loc["reach", "roi_gap"] == 0
    assert parts["money"].tolist() == pytest.approx([0.0, 262.5, -112.5, 250.0])
    # Return 800 → 600 with reach 200 → 100; cost 800 → 200: reach at the mean of 4 and 2, cost at the mean reach.
    assert parts.loc["cost", "profit_gap"] == pytest.approx(2 * 150)
    assert parts["profit_gap"].sum() == pytest.approx(400.0)
    assert row["mostly"] == "rate"
    worse = found["roi_slices"].iloc[1]
    assert (worse["money"], worse["share"]) == (-1600.0, 1.0)


COUNTS = st.sampled_from([0, 1, 2, 7, 30, 1000])
MONEY = st.sampled_from([0.0, 0.01, 1.0, 3.5, 80.0, 12345.6, -20.0])


@settings(max_examples=30)
@given(
    st.lists(st.tuples(COUNTS, COUNTS, MONEY, st.sampled_from([0.0, np.nan, 0.5, 10.0, 999.0])), min_size=1, max_size=6)
)
def test_parts_add_up_exactly(rows: list[tuple[float, float, float, float]]) -> None:
    """Whatever is 0 or lacking: untouched slices, credit without conversions, spend without a journey."""
    journeys, conversions, value, spend = (list(column) for column in zip(*rows, strict=True))
    table = slices_of(reach=journeys, conversions=conversions, value=value, spend=spend)
    found = diagnose_roi(table)
    whole, parts = found["roi_slices"].set_index("slice"), found["roi_parts"]
    sums = parts.groupby("slice")[["roi_gap", "money", "profit_gap"]].sum(min_count=1)
    paid = table[table["spend"] > 0]
    compared = paid if len(paid) else table
    for row in compared.to_dict("records"):
        name, rest = row["slice"], compared[compared["slice"] != row["slice"]]
        if rest.empty:
            assert sums.loc[name].isna().all()
            continue
        close = pytest.approx
        if len(paid):
            roi, roi_rest = row["value"] / row["spend"] - 1, rest["value"].sum() / rest["spend"].sum() - 1
            size = max(1.0, abs(roi), abs(roi_rest))
            assert sums.loc[name, "roi_gap"] == close(roi - roi_rest, abs=1e-9 * size)
            assert sums.loc[name, "money"] == close(row["spend"] * (roi - roi_rest), abs=1e-9 * size * row["spend"])
            without = roi_rest + whole.loc[name, "total_gap"]
            assert without == close(compared["value"].sum() / compared["spend"].sum() - 1, abs=1e-9 * size)
            profit = (row["value"] - row["spend"]) - (rest["value"].sum() - rest["spend"].sum()) / len(rest)
        else:
            profit = row["value"] - rest["value"].sum() / len(rest)
        assert sums.loc[name, "profit_gap"] == close(profit, abs=1e-6)
        assert whole.loc[name, "profit_gap"] == close(profit, abs=1e-6)


def owen(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Parts of rate · value ÷ cost over all orders in which rate and value change next to each other."""
    orders = [order for order in permutations(before) if abs(order.index("rate") - order.index("value")) == 1]
    parts = dict.fromkeys(before, 0.0)
    for order in orders:
        now = dict(before)
        for name in order:
            start = now["rate"] * now["value"] / now["cost"]
            now[name] = after[name]
            parts[name] += (now["rate"] * now["value"] / now["cost"] - start) / len(orders)
    return parts


def test_parts_are_those_of_all_orders_of_change() -> None:
    table = slices_of(reach=[50, 70, 90], conversions=[5, 3, 4], value=[70.0, 90.0, 20.0], spend=[11.0, 13.0, 17.0])
    gaps = diagnose_roi(table)["roi_parts"].set_index(["slice", "part"])
    for name in table["slice"]:
        ends = {side: gaps.loc[name].loc[["rate", "value", "cost"], side].to_dict() for side in ("reference", "here")}
        for part, expected in owen(ends["reference"], ends["here"]).items():
            assert gaps.loc[(name, part), "roi_gap"] == pytest.approx(expected, rel=1e-12)


def test_reach_has_no_part_in_roi_and_one_in_profit() -> None:
    small = slices_of(reach=[10, 70], conversions=[1, 3], value=[14.0, 90.0], spend=[2.0, 13.0])
    large = slices_of(reach=[10_000, 70], conversions=[1_000, 3], value=[14_000.0, 90.0], spend=[2_000.0, 13.0])
    one, other = (diagnose_roi(table)["roi_parts"].query("slice == 's0'").set_index("part") for table in (small, large))
    pd.testing.assert_series_equal(one["roi_gap"], other["roi_gap"])
    assert one.loc["reach", "profit_gap"] < 0 < other.loc["reach", "profit_gap"]


def test_a_dimension_without_costs_has_no_roi_and_no_cost_part() -> None:
    table = slices_of(reach=[100, 300], conversions=[10, 60], value=[100.0, 900.0], spend=[np.nan] * 2)
    found = diagnose_roi(table)
    row = found["roi_slices"].iloc[0]
    assert row[["roi", "roi_rest", "roi_gap", "total_gap"]].isna().all()
    assert row["money"] == pytest.approx(100 - 100 * 3)
    assert (row["share"], row["mostly"]) == (1.0, "rate")
    cost = found["roi_parts"].query("part == 'cost'")
    assert cost[["here", "reference", "roi_gap", "money", "profit_gap"]].isna().all(axis=None)


def test_spend_without_a_touchpoint_is_a_gap_of_rate() -> None:
    table = slices_of(reach=[0, 100], conversions=[0, 10], value=[0.0, 300.0], spend=[50.0, 100.0])
    parts = diagnose_roi(table)["roi_parts"].query("slice == 's0'").set_index("part")
    assert parts["roi_gap"].tolist() == pytest.approx([0.0, -3.0, 0.0, 0.0])
    assert np.isnan(parts.loc["rate", "here"])


def test_slices_without_spend_are_not_held_against_those_with() -> None:
    table = slices_of(reach=[9, 9, 9], conversions=[3, 3, 3], value=[9.0, 9.0, 900.0], spend=[1.0, 2.0, np.nan])
    rows = diagnose_roi(table)["roi_slices"]
    assert rows["roi_rest"].tolist()[:2] == [3.5, 8.0]
    assert rows.loc[2, ["roi", "roi_rest", "money", "profit_gap", "mostly"]].isna().all()


@pytest.mark.parametrize("spend", [[5e-324, 2.0], [5e-324, 1e-310], [1e-13, 2.0]])
def test_spend_next_to_nothing_is_none(spend: list[float]) -> None:
    rows = diagnose_roi(slices_of(reach=[9, 9], conversions=[3, 3], value=[9.0, 9.0], spend=spend))["roi_slices"]
    assert np.isnan(rows.loc[0, "roi"])
    assert rows["roi_gap"].isna().all()


def test_the_order_of_slices_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    spend = rng.uniform(1, 9, 40)
    table = slices_of(
        reach=rng.integers(1, 99, 40).tolist(),
        conversions=rng.integers(0, 9, 40).tolist(),
        value=rng.uniform(0, 99, 40).tolist(),
        spend=spend.tolist(),
    )
    one, other = (
        diagnose_roi(rows)["roi_parts"].sort_values(["slice", "part"], ignore_index=True)
        for rows in (table, table.iloc[::-1])
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spend": None}, "'spend' is missing"),
        ({"slice": "same"}, "appears twice"),
        ({"reach": -1.0}, "reach must not be below 0"),
        ({"value": np.nan}, "finite numbers"),
    ],
)
def test_slices_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    table = slices_of(reach=[1, 2], conversions=[1, 1], value=[1.0, 1.0], spend=[1.0, 1.0])
    for name, value in change.items():
        table = table.drop(columns=name) if value is None else table.assign(**{name: value})
    with pytest.raises(InputError, match=said):
        at.diagnose_roi(table)


# ---------------------------------------------------------------- spend that does not pay


def returns_by_hand(**columns: Any) -> pd.DataFrame:
    rows = pd.DataFrame({"model": "m", "estimand": "allocated", "basis": "revenue", "cost_basis": "media", **columns})
    rows["roi"] = (rows["value"] - rows["spend"]) / rows["spend"]
    return rows.assign(conversions=1.0, rank=1.0)


def test_wasted_is_what_lies_wholly_below_break_even() -> None:
    returns = returns_by_hand(
        model=["a", "a", "b", "b"],
        channel=["mail", "tv"] * 2,
        spend=[10.0, 100.0] * 2,
        value=[30.0, 60.0, 8.0, 80.0],
        roi_low=[1.0, -0.7, -0.9, -0.5],
        roi_high=[3.0, -0.1, 0.2, -1e-9],
    )
    table = judge_spend(returns).set_index(["model", "channel"])
    assert table["wasted"].tolist() == [0.0, 100.0, 0.0, 100.0]
    assert table["loss"].tolist() == [-20.0, 40.0, 2.0, 20.0]
    assert table.loc[("a", "tv"), ["models_wasted", "models"]].tolist() == [2, 2]
    assert table.loc[("b", "mail"), ["status", "models_wasted"]].tolist() == ["not wasted", 0]


def test_break_even_is_that_of_margin_where_it_is_known() -> None:
    """At a margin of 30 % revenue of 2 on spend of 1 is a loss; so it is on margin, whatever channels are ranked by."""
    revenue = returns_by_hand(channel=["mail"], spend=[100.0], value=[200.0], roi_low=[0.5], roi_high=[1.5])
    margin = returns_by_hand(
        channel=["mail"], spend=[100.0], value=[60.0], basis="margin", roi_low=[-0.55], roi_high=[-0.25]
    )
    assert judge_spend(revenue).iloc[0]["status"] == "not wasted"
    row = judge_spend(pd.concat([revenue, margin])).iloc[0]
    assert (row["basis"], row["status"], row["wasted"], row["loss"]) == ("margin", "wasted", 100.0, 40.0)
    assert row["break_even_roas"] == pytest.approx(1 / 0.3)


def test_without_intervals_nothing_is_called_wasted() -> None:
    returns = returns_by_hand(channel=["tv"], spend=[100.0], value=[1.0], roi_low=[np.nan], roi_high=[np.nan])
    row = judge_spend(returns).iloc[0]
    assert (row["status"], row["loss"]) == ("not enough data", 99.0)
    assert np.isnan(row["wasted"])
    assert tasks_table({"returns": returns})["kind"].tolist() == ["spend_below_break_even"]


def test_wasted_spend_is_listed_with_what_it_rests_on() -> None:
    """Every channel that is wasted under most models is one task; one that pays, or may, is none."""
    returns = returns_by_hand(
        model=["a", "a", "a", "b", "b", "b"],
        channel=["mail", "tv", "fair"] * 2,
        spend=[10.0, 100.0, 50.0] * 2,
        value=[30.0, 60.0, 20.0, 8.0, 80.0, 60.0],
        roi_low=[1.0, -0.7, -0.9, -0.9, -0.5, -0.1],
        roi_high=[3.0, -0.1, -0.2, 0.2, -1e-9, 0.5],
    )
    tasks = tasks_table({"returns": returns})
    assert tasks["kind"].tolist() == ["wasted_spend"]
    row = tasks.iloc[0]
    assert (row["slice"], row["spend"], row["model"]) == ("tv", 100.0, "b")
    assert row[["size", "size_low", "size_high"]].tolist() == [20.0, 20.0, 40.0]
    assert row[["models_agreeing", "models"]].tolist() == [2, 2]
    assert row[["roi", "roi_low", "roi_high"]].tolist() == [-0.2, -0.5, -1e-9]
    assert row["break_even_roas"] == 1.0
    assert set(tasks["basis"] + tasks["cost_basis"] + tasks["estimand"]) == {"revenuemediaallocated"}


# ---------------------------------------------------------------- tasks


def lagging(conversions: list[float], *, reach: tuple[float, ...] = (100, 100), **columns: Any) -> pd.DataFrame:
    """Slices whose conversions are each worth 10, and by chance would be in proportion to their reach."""
    expected = [sum(conversions) * of / sum(reach) for of in reach]
    value = [10.0 * amount for amount in conversions]
    each = {"reach": list(reach), "conversions": conversions, "expected": expected, "value": value, "spend": 10.0}
    return slices_of(**each).assign(**columns)


def test_tasks_take_the_middle_size_of_models_that_agree() -> None:
    """Of 100 conversions 50 ± 5 are chance, and with two slices to look at that is far below 38."""
    each = (("a", [38.0, 62.0]), ("b", [10.0, 90.0]), ("c", [30.0, 70.0]), ("d", [70.0, 30.0]))
    slices = pd.concat([lagging(conversions, model=model) for model, conversions in each])
    tasks = tasks_table(diagnose_roi(slices))
    assert tasks["kind"].tolist() == ["lagging_slice"]
    row = tasks.iloc[0]
    sizes = row[["size", "size_low", "size_high"]].tolist()
    assert (row["slice"], row["model"], sizes) == ("s0", "c", pytest.approx([200.0, 120.0, 400.0]))
    assert (row["models_agreeing"], row["models"]) == (3, 4)
    assert row["evidence"] == ("its 100 touchpoints are credited with 30.0 conversions; by chance it would be 50.0")


@pytest.mark.parametrize(
    ("slices", "kinds"),
    [
        (lagging([40.0, 60.0]), ["lagging_slice"]),  # z = −2 of at least 1.96 for two slices
        (lagging([40.3, 59.7]), []),  # z = −1.94
        (lagging([25.0, 75.0], reach=(100, 300)), []),  # as many as its touchpoints
        (lagging([40.0, 60.0]).assign(expected=np.nan), []),  # nobody knows what chance gives
        (lagging([0.0, 60.0], reach=(1, 20)), []),  # 2.9 conversions of 60 may be missing by chance
        (lagging([40.0, 60.0], spend=[1.0, 10.0]), []),  # it returns more on its spend than the rest
    ],
)
def test_a_slice_lags_only_beyond_chance(slices: pd.DataFrame, kinds: list[str]) -> None:
    assert tasks_table(diagnose_roi(slices))["kind"].tolist() == kinds


def test_slices_of_the_same_journeys_do_not_lag() -> None:
    """Everybody meets one once and two three times; half convert. Per journey, one has a third of the credit."""
    customers = np.arange(300)
    touched = pd.concat(
        [
            pd.DataFrame(
                {"customer_id": customers, "touched_at": pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)}
            ).assign(channel="mail", creative=creative)
            for day, creative in enumerate(["two", "one", "two", "two"])
        ]
    )
    converted = pd.DataFrame({"customer_id": customers[::2], "converted_at": pd.Timestamp("2024-01-08"), "value": 5.0})
    tables = {
        "touchpoints": {"source": touched, "columns": {name: name for name in touched}},
        "conversions": {"source": converted},
    }
    models = [{"model": name} for name in ("LastTouch", "Linear", "TimeDecay")]
    asked = Experiment.model_validate(
        {"name": "same", "tables": tables, "models": models, "output": {"slices": ["creative"]}}
    )
    made = at.run_experiment(asked).tables
    rows = made["roi_slices"].query("model == 'linear'").set_index("slice")
    assert rows["reach"].to_dict() == {"one": 300.0, "two": 900.0}
    assert rows["conversions"].to_dict() == pytest.approx({"one": 37.5, "two": 112.5})
    assert rows["money"].tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    assert rows["expected"].to_dict() == pytest.approx({"one": 37.5, "two": 112.5})
    assert "lagging_slice" not in set(made["tasks"]["kind"])


def test_tasks_of_verdicts_and_bottlenecks_carry_what_is_known() -> None:
    verdicts = pd.DataFrame(
        {
            "channel": ["mail", "tv", "fair", "seo"],
            "verdict": ["unknown", "does_not_pay", "likely_pays", "unknown"],
            "basis": ["bound", "bound", "estimate", "bound"],
            "probability_pays_high": [0.9, 0.05, 0.97, 0.6],
            "money_at_stake": [5.0, 6.0, 7.0, 8.0],
            "says": ["k", "c", "g", "n"],
        }
    )
    funnel = pd.DataFrame(
        {
            "stage": ["lead", "mql"],
            "rate_to_next": [0.5, 0.1],
            "value_per_point": [1.0, 70.0],
            "is_bottleneck": [False, True],
        }
    )
    tasks = tasks_table({"verdicts": verdicts, "funnel": funnel})
    unknown = "unknown_whether_it_pays"
    assert tasks["kind"].tolist() == ["does_not_pay", "bottleneck", "likely_pays", unknown, unknown]
    assert tasks["about"].tolist() == ["loss", "gain", "gain", "unknown", "unknown"]
    assert tasks["size"].tolist() == [6.0, 70.0, 7.0, 8.0, 5.0]
    assert tasks["probability"].fillna(-1).tolist() == [0.95, -1, 0.97, -1, -1]
    assert tasks["rank"].tolist() == [1, 2, 3, 4, 5]


def test_a_channel_has_one_verdict_and_one_task_about_its_spend() -> None:
    """What its ROI says by itself stands aside, and an estimate that says something goes before a bound."""
    verdicts = pd.DataFrame(
        {
            "channel": ["mail", "tv", "mail"],
            "verdict": ["unknown", "unknown", "does_not_pay"],
            "basis": ["bound", "bound", "estimate"],
            "probability_pays_high": [0.4, 0.5, 0.02],
            "money_at_stake": [5.0, 6.0, 7.0],
            "says": ["of mail by credit", "of tv by credit", "of mail by its effect"],
        }
    )
    returns = pd.DataFrame(
        {
            "model": "linear",
            "estimand": "allocated",
            "basis": "revenue",
            "cost_basis": "media",
            "channel": ["mail", "tv", "radio"],
            "spend": 100.0,
            "value": 50.0,
            "conversions": 5.0,
            "roi": -0.5,
            "roi_low": -0.8,
            "roi_high": -0.2,
        }
    )
    tasks = tasks_table({"verdicts": verdicts, "returns": returns})
    assert dict(zip(tasks["slice"], tasks["kind"], strict=True)) == {
        "mail": "does_not_pay",
        "radio": "wasted_spend",
        "tv": "unknown_whether_it_pays",
    }
    assert tasks.set_index("slice").loc["mail", "evidence"] == "of mail by its effect"
    # One model of three is no majority.
    other = [returns.assign(model=name, roi=0.5, roi_low=0.1, roi_high=0.9) for name in ("first", "last")]
    assert tasks_table({"returns": pd.concat([returns, *other], ignore_index=True)})["kind"].tolist() == []


def test_no_tables_no_tasks() -> None:
    assert tasks_table({}).empty


# ---------------------------------------------------------------- a whole run


def experiment(costs: pd.DataFrame, **parts: Any) -> Experiment:
    rng = np.random.default_rng(5)
    ids = np.arange(400)
    names = np.array(["mail", "video", FAIR, "direct"], dtype=object)
    first, second = rng.integers(0, 4, 400), rng.integers(0, 4, 400)
    touched = pd.DataFrame(
        {
            "customer_id": np.tile(ids, 2),
            "touched_at": pd.to_datetime(["2024-01-01"] * 400 + ["2024-01-03"] * 400),
            "channel": names[np.append(first, second)],
            "creative": np.array(["红", "blue", None], dtype=object)[rng.integers(0, 3, 800)],
        }
    )
    bought = rng.random(400) < 0.2 + 0.2 * (second == 0)
    value = rng.uniform(5, 50, 400).round(2)
    converted = pd.DataFrame({"customer_id": ids, "converted_at": pd.Timestamp("2024-01-05"), "value": value})
    converted["margin"] = (value * rng.uniform(-0.2, 0.9, 400)).round(2)
    tables = {
        "touchpoints": {"source": touched, "columns": {name: name for name in touched}},
        "conversions": {"source": converted[bought]},
        "costs": {"source": costs},
        "customers": {"source": pd.DataFrame({"customer_id": ids, "region": np.where(ids % 3 > 0, "nord", "süd")})},
    }
    models = [{"model": "LastTouch"}, {"model": "Linear"}, {"model": "Markov", "order": 1}]
    return Experiment.model_validate({"name": "why", "tables": tables, "models": models, **parts})


LEDGER = pd.DataFrame(
    {
        "channel": ["mail", "mail", "Video", FAIR, FAIR, FAIR, "video", None],
        "cost_type": ["media", "labour", "media", "media", "venue", "media", "media", "tools"],
        "amount": [40.0, 20.0, 30.0, 300.0, 900.0, 300.0, 100.0, 10.0],
    }
)


@pytest.fixture(scope="module")
def outcome() -> at.Outcome:
    asked = experiment(
        LEDGER,
        returns={"basis": "margin"},
        journeys={"segment": "region"},
        output={"slices": ["creative"]},
        resampling={"draws": 60},
    )
    return at.run_experiment(asked)


def test_channels_of_a_run_are_those_of_its_returns(outcome: at.Outcome) -> None:
    slices = outcome.tables["roi_slices"]
    rows = slices[slices["dimension"] == "channel"].set_index(["model", "slice"])
    returns = outcome.tables["returns"]
    main = returns[(returns["basis"] == "margin") & (returns["cost_basis"] == "media")].set_index(["model", "channel"])
    main = main[main.index.get_level_values("channel") != "(unattributed)"]
    assert set(rows.index) == set(main.index)
    for name in ("conversions", "value", "roi"):
        pd.testing.assert_series_equal(
            rows[name], main.loc[rows.index, name], check_names=False, check_index_type=False
        )
    profile = outcome.tables["journey_profile"].query("measure == 'touchpoints'").groupby("channel")["count"].sum()
    assert rows.loc[("linear", "mail"), "reach"] == profile["mail"]
    assert rows.loc[("linear", "Video"), "reach"] == 0
    chance = outcome.tables["credit"].set_index(["model", "channel"])["chance_conversions"]
    assert rows.loc[("markov", "mail"), "expected"] == chance["markov", "mail"]
    assert np.isnan(rows.loc[("linear", "direct"), "roi_gap"])


def test_slices_of_touchpoints_add_up_to_the_credit_of_channels(outcome: at.Outcome) -> None:
    slices = outcome.tables["roi_slices"]
    sums = slices.groupby(["dimension", "model"], dropna=False)[["conversions", "value"]].sum()
    for model in ("last_touch", "linear", "markov"):
        of_channels, of_creatives = sums.loc[("channel", model)], sums.loc[("creative", model)]
        assert of_creatives.to_numpy() == pytest.approx(of_channels.to_numpy(), rel=1e-9)
    rows = slices[slices["dimension"] == "creative"]
    assert set(rows["slice"]) == {"红", "blue", "(none)"}
    assert rows["spend"].isna().all()


def test_creatives_counted_one_by_one(outcome: at.Outcome) -> None:
    """Last touch: each conversion and its margin are those of the creative of the last touchpoint."""
    tables = {name: spec.source for name, spec in outcome.experiment.tables.items()}
    touched, converted = tables["touchpoints"], tables["conversions"]
    last = touched[touched["touched_at"] == pd.Timestamp("2024-01-03")].set_index("customer_id")["creative"]
    of = converted["customer_id"].map(last).fillna("(none)")
    slices = outcome.tables["roi_slices"]
    rows = slices[(slices["dimension"] == "creative") & (slices["model"] == "last_touch")].set_index("slice")
    assert rows["conversions"].to_dict() == of.value_counts().to_dict()
    assert rows["value"].to_dict() == pytest.approx(converted["margin"].groupby(of).sum().to_dict())
    reach = touched["creative"].fillna("(none)").value_counts()
    assert rows["reach"].to_dict() == reach.to_dict()
    assert rows["expected"].to_dict() == pytest.approx((reach / 800 * len(converted)).to_dict())
    by_markov = slices[(slices["dimension"] == "creative") & (slices["model"] == "markov")]
    assert by_markov["expected"].isna().all()


def test_segments_are_counted_once_for_all_models(outcome: at.Outcome) -> None:
    slices = outcome.tables["roi_slices"]
    rows = slices[slices["dimension"] == "customers.region"].set_index("slice")
    assert rows["model"].isna().all()
    assert rows["reach"].to_dict() == {"nord": 266.0, "süd": 134.0}
    converted = outcome.experiment.tables["conversions"].source
    is_nord = converted["customer_id"] % 3 > 0
    assert rows.loc["nord", "conversions"] == is_nord.sum()
    assert rows.loc["nord", "value"] == pytest.approx(converted.loc[is_nord, "margin"].sum())


def test_a_run_finds_what_is_wrong_with_it(outcome: at.Outcome) -> None:
    """The fair costs far more than it brings; video's costs are booked under two names, one of a fair's twice."""
    tasks = outcome.tables["tasks"]
    worst = tasks.iloc[0]
    assert (worst["about"], worst["kind"], worst["slice"]) == ("loss", "wasted_spend", FAIR)
    wasted = judge_spend(outcome.tables["returns"]).query("channel == @FAIR")
    assert wasted["wasted"].tolist() == [600.0] * 3
    assert worst["size"] == pytest.approx(wasted["loss"].median())
    assert worst[["size_low", "size_high"]].tolist() == [wasted["loss"].min(), wasted["loss"].max()]
    assert worst[["models_agreeing", "models"]].tolist() == [3, 3]
    columns = ["basis", "cost_basis", "estimand", "spend", "roi", "roi_low", "roi_high", "break_even_roas"]
    (row,) = wasted.loc[wasted["model"] == worst["model"], columns].values.tolist()
    assert worst[columns].tolist() == row
    assert worst["roi_high"] < 0
    assert set(tasks.loc[tasks["kind"] == "credit_without_cost", "slice"]) == {"direct"}
    tracked = tasks[tasks["kind"] == "tracking"]["evidence"]
    assert tracked.str.contains("'Video': did you mean 'video'?", regex=False).sum() == 1
    assert tracked.str.startswith("duplicate_costs in costs, 1 time:").sum() == 1
    assert tasks[tasks["evidence"].str.startswith("duplicate_costs")]["size"].tolist() == [300.0]
    (unseen,) = tasks[(tasks["slice"] == "Video") & (tasks["kind"] != "media_cost_only")].to_dict("records")
    assert (unseen["kind"], unseen["about"], unseen["size"]) == ("spend_without_touchpoint", "unknown", 30.0)
    assert "another name" in unseen["check"]
    of_spend = tasks[tasks["dimension"] == "channel"]
    assert not of_spend[~of_spend["kind"].isin(["credit_without_cost", "media_cost_only"])]["slice"].duplicated().any()
    idle = tasks[tasks["evidence"].str.startswith("spend_without_conversion")].iloc[0]
    assert idle["size"] == 30.0
    assert (tasks["rank"] == np.arange(1, len(tasks) + 1)).all()
    for about, sizes in tasks.groupby("about")["size"]:
        assert sizes.dropna().is_monotonic_decreasing, about


def test_report_and_metrics_show_it(outcome: at.Outcome, tmp_path: Any) -> None:
    page = page_of("why", outcome.tables, [], {})
    assert '<h2 id="diagnosis">What to look at first</h2>' in page
    assert "展会 &lt;b&gt;" in page
    assert FAIR not in page
    assert "under every model, 6" in page
    record = record_of(outcome, tmp_path)
    tasks = outcome.tables["tasks"]
    assert record.run.metrics["tasks_loss"] == (tasks["about"] == "loss").sum()
    model = record.models[1]
    assert model.metrics["wasted_spend"] >= 600.0
    slices = outcome.tables["roi_slices"].query("model == 'linear' and slice == 'mail'")
    assert model.metrics["money_against_rest/mail"] == slices["money"].iloc[0]
    assert "cost_waterfall" in [figure.name for figure in all_figures(outcome.tables)]
    json.dumps(record.run.metrics, allow_nan=False)


def test_without_costs_there_are_tasks_and_no_slices() -> None:
    asked = experiment(LEDGER)
    tables = {name: spec for name, spec in asked.tables.items() if name != "costs"}
    bare = at.run_experiment(asked.model_copy(update={"tables": tables})).tables
    assert {"roi_slices", "cost_sensitivity"}.isdisjoint(bare)
    assert "tasks" in bare
    assert diagnosis_metrics(bare, "linear") == {}
    assert "No channel has an ROI" in page_of("bare", bare, [], {})


def test_without_a_model_that_divides_conversions_touchpoints_have_no_slices() -> None:
    asked = experiment(LEDGER, models=[{"model": "Markov", "continuation": 0.1}], output={"slices": ["creative"]})
    slices = at.run_experiment(asked).tables["roi_slices"]
    assert set(slices["dimension"]) == {"channel"}
    assert slices["expected"].isna().all()
    assert slices["roi_gap"].notna().sum() == 4  # all but direct, which costs nothing


def test_split_channels_are_put_together() -> None:
    profile = pd.DataFrame({"measure": "touchpoints", "channel": ["mail", "mail (2)", "tv"], "count": [5.0, 2.0, 1.0]})
    returns = returns_by_hand(channel=["mail", "tv"], spend=[1.0, 1.0], value=[1.0, 1.0])
    whole = {"mail": "mail", "mail (2)": "mail"}
    credit = pd.DataFrame(
        {
            "model": "m",
            "estimand": "allocated",
            "channel": ["mail", "mail (2)", "tv"],
            "chance_conversions": [3.0, 1.0, 2.0],
        }
    )
    slices = channel_slices(returns, profile, credit, whole=whole)
    assert slices["reach"].tolist() == [7.0, 1.0]
    assert slices["expected"].tolist() == [4.0, 2.0]


@pytest.mark.parametrize(
    ("slices", "said"), [(["creativ"], "did you mean 'creative'"), (["channel"], "no dimension 'channel'")]
)
def test_dimensions_that_are_not_there_are_refused(slices: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        at.run_experiment(experiment(LEDGER, output={"slices": slices}))


def test_a_dimension_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match="named twice"):
        experiment(LEDGER, output={"slices": ["creative", "creative"]})


# ---------------------------------------------------------------- checks of costs


@settings(max_examples=8)
@given(st.lists(st.sampled_from([("mail", 1.0), ("mail", 2.0), ("tv", 1.0), ("tv", 0.0)]), min_size=1, max_size=8))
def test_costs_that_repeat_are_counted(rows: list[tuple[str, float]]) -> None:
    from attribution.data.loading import check_sources

    paths = pd.DataFrame({"path": ["mail"], "conversions": [1]})
    costs = pd.DataFrame(rows, columns=["channel", "amount"])
    found = next(f for f in check_sources(at.load_sources(paths=paths, costs=costs)) if f.check == "duplicate_costs")
    paid = costs[costs["amount"] > 0]
    repeated = paid[paid.duplicated()]
    assert (found.count, found.status) == (len(repeated), "warn" if len(repeated) else "pass")
    assert f"{repeated['amount'].sum():,.2f} in total" in found.message or not len(repeated)


def test_channels_of_costs_in_another_case_are_hinted_at() -> None:
    costs = pd.DataFrame({"channel": ["mail", "VIDEO", "radio"], "amount": [1.0, 1.0, 1.0]})
    quality = check_quality(experiment(costs)).set_index("check")
    row = quality.loc["channels_not_in_touchpoints"]
    assert row["count"] == 2
    assert "'VIDEO': did you mean 'video'?" in row["message"]
    assert "radio" not in row["message"]


def test_parts_keep_their_order() -> None:
    table = slices_of(reach=[1, 2], conversions=[1, 1], value=[1.0, 1.0], spend=[1.0, 1.0])
    assert diagnose_roi(table)["roi_parts"]["part"].tolist() == [*PARTS, *PARTS]


def test_spend_that_two_kinds_of_models_call_wasted_counts_once() -> None:
    returns = pd.DataFrame(
        {
            "model": ["linear", "linear", "hazard", "hazard"],
            "estimand": ["allocated", "allocated", "incremental", "incremental"],
            "basis": "revenue",
            "cost_basis": "media",
            "channel": ["mail", "tv"] * 2,
            "spend": [10.0, 100.0] * 2,
            "value": [5.0, 60.0, 2.0, 150.0],
            "roi": [-0.5, -0.4, -0.8, 0.5],
            "roi_low": [-0.7, -0.7, -0.9, 0.1],
            "roi_high": [-0.1, -0.1, -0.7, 0.9],
        }
    )
    says = _say_wasted(judge_spend(returns), by_verdict=False)
    assert says.endswith(": 10 under every model, 110 under at least one.")
