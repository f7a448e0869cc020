"""How far models can disagree: the table, what it recommends, and where a run says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.journeys.credit_bounds import CreditBounds, OrderEffect, credit_bounds
from attribution.reporting.report import render_report
from attribution.uncertainty.disagreement import disagreement_sentence, disagreement_table, recommend

PATHS = pd.DataFrame(
    {
        "path": ["mail > search", "mail", "search", "search > mail > search", "tv", "ads", ""],
        "conversions": [30, 60, 5, 5, 0, 20, 9],
        "value": [300.0, 900.0, 50.0, 50.0, 0.0, 100.0, 90.0],
        "nulls": [100, 300, 100, 20, 8, 40, 50],
    }
)
SILENT = OrderEffect(0.02, np.array([0.01, 0.02]))
LOUD = OrderEffect(0.3, np.array([0.01, 0.02]))


def bounds_of(**more: Any) -> CreditBounds:
    """Of a log of 100 conversions, 60 of them of journeys with several channels."""
    bounds = CreditBounds(
        ("mail", "search", "tv"),
        *(np.array(numbers) for numbers in ([38.0, 2.0, 0.0], [40.0, 60.0, 0.0], [0.0] * 3, [0.0] * 3)),
        conversions=100.0,
        one_touchpoint=30.0,
        one_channel=40.0,
        repeated=0.0,
        orders={"first_touch": SILENT, "last_touch": SILENT, "markov": SILENT},
    )
    return replace(bounds, **more)


def run(**settings: Any) -> at.Outcome:
    models = [{"model": "Linear"}, {"model": "Markov"}]
    return at.run_experiment(at.Experiment(name="shop", tables={"paths": PATHS}, models=models, **settings))


def test_a_run_has_the_table_and_says_so() -> None:
    outcome = run()
    table = outcome.tables["disagreement"]
    by_channel = table[table["measure"] == "bounds"].set_index("channel")
    columns = ["conversions", "alone", "took_part", "alone_value", "took_part_value"]
    assert by_channel[columns].T.to_dict("list") == {
        "ads": [0, 20, 20, 100, 100],
        "mail": [35, 60, 95, 900, 1250],
        "search": [35, 5, 40, 50, 400],
        "tv": [0, 0, 0, 0, 0],
    }
    assert by_channel["share"].tolist() == [0, 35 / 120, 35 / 120, 0]
    assert by_channel["says"].tolist() == [
        "It always converts alone: every model that divides journeys credits it 20.",
        "Credit lies between 60 and 95 conversions, whichever model.",
        "Credit lies between 5 and 40 conversions, whichever model.",
        "It is in no converting journey: every model that divides journeys credits it nothing.",
    ]
    log = table[table["channel"].isna() & table["model"].isna() & table["share"].notna()].set_index("measure")
    assert log["conversions"].loc[["one_touchpoint", "one_channel", "repeats"]].tolist() == [85, 85, 5]
    assert log.index.tolist()[3:] == ["order_first_touch", "order_last_touch", "order_markov"]
    assert log["by_chance"].notna().tolist() == [False] * 3 + [True] * 3
    models = table[table["measure"] == "assumption"].set_index("model")["says"]
    assert models.index.tolist() == ["linear", "markov"]
    premise, bias, _ = at.Linear().assumptions
    assert models["linear"] == f"{premise} {bias}"


def test_the_report_has_a_page_of_it_and_tracking_a_number() -> None:
    outcome = run()
    parts = outcome.sections.parts(outcome.tables)
    page = render_report("shop", outcome.tables, [], outcome.settings, parts=parts)
    shown = page[page.index('<h2 id="disagreement">') : page.index('<h2 id="figures">')]
    assert "whichever model divides each journey" in shown
    assert "the model decides how much is credited" in shown
    assert "Every touchpoint of a journey does as much as any other." in shown
    assert outcome.sections.metrics(outcome.tables)["models_can_differ_share"] == pytest.approx(35 / 120)
    assert "models_can_differ_share" not in outcome.sections.metrics(outcome.tables, "linear")
    without = {name: table for name, table in outcome.tables.items() if name != "disagreement"}
    assert "disagreement" not in [anchor for part in outcome.sections.parts(without) for anchor, _ in part.contents]


def test_the_data_alone_say_it_before_a_model_is_fitted() -> None:
    quality = at.check_quality(at.Experiment(name="shop", tables={"paths": PATHS}, models=[{"model": "Linear"}]))
    row = quality.set_index("check").loc["models_can_differ"]
    assert (row["status"], row["count"], row["total"]) == ("pass", 0, 120)
    assert "can differ on 35 conversions" in row["message"]


def test_the_terminal_has_one_line() -> None:
    assert (
        disagreement_sentence(run().tables)
        == "Models can differ on at most 29.2 % of the conversions, those of journeys with several channels."
    )
    assert disagreement_sentence({}) is None
    untouched = bounds_of(conversions=0.0, one_channel=0.0, orders={})
    assert disagreement_sentence({"disagreement": disagreement_table(untouched, [])}) is None


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["Report one number for mail", "Report a range over several models for search:"]),
        ({"one_channel": 97.0}, ["Report one model: those that divide each journey can differ on no more than 3 %"]),
    ],
)
def test_what_to_report_follows_the_bounds(more: dict[str, Any], expected: list[str]) -> None:
    advice = recommend(bounds_of(orders={}, **more))
    assert len(advice) == len(expected) + 1
    assert all(sentence.startswith(start) for sentence, start in zip(advice, expected, strict=False))
    assert advice[-1].startswith("Report either of Linear and Shapley")


@pytest.mark.parametrize(
    ("loud", "starts"),
    [
        ((), ["Report Linear or Shapley: FirstTouch, LastTouch and Markov credit what they would"]),
        (("markov",), ["Report Markov beside Linear: it makes something of order, 30 %"]),
        (
            ("last_touch",),
            [
                "Report FirstTouch and LastTouch side by side: with touchpoints in random order up to 30 %",
                "Markov makes",
            ],
        ),
        (("first_touch", "markov"), ["Report FirstTouch and LastTouch side by side"]),
    ],
)
def test_what_to_report_follows_order(loud: tuple[str, ...], starts: list[str]) -> None:
    orders = {name: LOUD if name in loud else SILENT for name in ("first_touch", "last_touch", "markov")}
    advice = recommend(bounds_of(orders=orders, repeated=50.0))
    assert len(advice) == 2 + len(starts) + 1
    assert all(sentence.startswith(start) for sentence, start in zip(advice[2:], starts, strict=False))
    assert "in journeys with 50 % of the conversions" in advice[-1]


def test_where_models_cannot_disagree_any_will_do() -> None:
    assert recommend(bounds_of(one_channel=100.0, orders={})) == [
        "Report any one model: every converting journey has a single channel, so that models agree."
    ]
    assert recommend(bounds_of(conversions=0.0, one_channel=0.0, orders={})) == [
        "No conversion has a touchpoint, so models have nothing to divide."
    ]


def test_channels_that_never_come_alone_and_narrow_ones_are_named() -> None:
    table = disagreement_table(bounds_of(alone=np.array([0.0, 56.0, 0.0])), [])
    says = table.loc[table["measure"] == "bounds", "says"].tolist()
    assert says[0].endswith("It never converts alone: a model may give it nothing.")
    assert says[1].endswith("The choice of a model hardly matters.")


def log_in_memory(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    log = at.simulate("default", customers=200, seed=seed, truth=False)
    return log.touchpoints, log.conversions


def test_segments_change_nothing_of_how_it_is_read() -> None:
    touchpoints, conversions = log_in_memory(3)
    customers = pd.DataFrame({"customer_id": touchpoints["customer_id"].unique()}).assign(country="DE")
    tables = {"touchpoints": touchpoints, "conversions": conversions, "customers": customers}
    journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
    expected = disagreement_table(credit_bounds(journeys), [])
    experiment = at.Experiment(
        name="shop", tables=tables, models=[{"model": "Linear"}], journeys={"segment": "country", "lookback_days": 30}
    )
    made = at.run_experiment(experiment).tables["disagreement"]
    pd.testing.assert_frame_equal(made[made["measure"] != "assumption"], expected)
