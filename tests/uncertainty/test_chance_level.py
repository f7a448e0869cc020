"""The chance level of a run: in its tables, report, figures and metrics, and turned off."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.pipeline.standing_sections import data_facts
from attribution.reporting import charts
from attribution.reporting.report import render_report
from attribution.schema.tables import NO_CHANNELS
from attribution.uncertainty.chance_level import chance_rows, chance_sentence

PATHS = pd.DataFrame(
    {
        "path": ["mail > search", "mail", "search", "ads > mail", ""],
        "conversions": [40, 10, 30, 20, 5],
        "value": [800.0, 100.0, 600.0, 200.0, 50.0],
        "nulls": [100, 300, 100, 400, 50],
    }
)
COSTS = pd.DataFrame({"channel": ["ads", "mail", "tv"], "amount": [50.0, 400.0, 20.0]})


@cache
def outcome(**settings: Any) -> at.Outcome:
    more = {name: dict(value) for name, value in settings.items()}
    models = [{"model": "LastTouch"}, {"model": "Linear"}, {"model": "Markov"}]
    return at.run_experiment(at.Experiment(name="shop", tables={"paths": PATHS, "costs": COSTS}, models=models, **more))


def figures_of(outcome: at.Outcome) -> list[str]:
    return [figure.draw for figure in outcome.sections.figures(outcome.tables)]


def report_of(outcome: at.Outcome) -> str:
    parts = outcome.sections.parts(outcome.tables)
    return render_report("shop", outcome.tables, [], outcome.settings, parts=parts)


def off() -> at.Outcome:
    return outcome(incrementality=(("enabled", False),))


def test_roi_beyond_chance_is_that_of_the_value_beyond_chance() -> None:
    tables = outcome(returns=(("margin", 0.25),)).tables
    credit = tables["credit"].set_index(["model", "channel"])
    returns = tables["returns"]
    for row in returns[returns["spend"].notna()].itertuples():
        rate = {"revenue": 1.0, "margin": 0.25}[row.basis]
        chance = 0.0 if row.channel == "tv" else credit["chance_value"].at[row.model, row.channel]
        assert row.roi_beyond_chance == pytest.approx((row.value - rate * chance - row.spend) / row.spend, rel=1e-12)
    linear = returns[(returns["model"] == "linear") & (returns["basis"] == "revenue")].set_index("channel")
    # Of 1,880 touchpoints 400 + 20 are ads, 870 mail and 270 search; linear credits ads with half of 200.
    touched = {"ads": 420, "mail": 140 + 310 + 420, "search": 140 + 130}
    chance = 1_700 * touched["ads"] / sum(touched.values())
    assert linear["roi_beyond_chance"]["ads"] == pytest.approx((100 - chance - 50) / 50, rel=1e-12)
    assert linear["roi_beyond_chance"]["tv"] == -1
    assert np.isnan(linear["roi_beyond_chance"]["search"])


def test_a_measured_margin_by_chance_is_in_proportion_to_value() -> None:
    touchpoints = pd.DataFrame(
        {
            "customer_id": list("aab"),
            "touched_at": ["2024-01-01", "2024-01-02", "2024-01-01"],
            "channel": ["x", "y", "x"],
        }
    )
    conversions = pd.DataFrame(
        {"customer_id": ["a", "b"], "converted_at": "2024-01-03", "value": [60.0, 40.0], "margin": [40.0, 10.0]}
    )
    costs = pd.DataFrame({"channel": ["x", "y"], "amount": [10.0, 10.0]})
    experiment = at.Experiment(
        name="margins",
        tables={"touchpoints": touchpoints, "conversions": conversions, "costs": costs},
        models=[{"model": "LastTouch"}],
        returns={"basis": "margin"},
    )
    returns = at.run_experiment(experiment).tables["returns"]
    on_margin = returns[returns["basis"] == "margin"].set_index("channel")
    # x has two of three touchpoints and the margin of b; by chance two thirds of 50.
    assert on_margin["roi_beyond_chance"]["x"] == pytest.approx((10 - 50 * 2 / 3 - 10) / 10, rel=1e-12)
    assert on_margin["roi_beyond_chance"]["y"] == pytest.approx((40 - 50 / 3 - 10) / 10, rel=1e-12)


def test_the_report_says_how_much_chance_alone_gives() -> None:
    tables = outcome().tables
    explained = {
        model: float(np.minimum(part["conversions"], part["chance_conversions"]).sum())
        for model, part in chance_rows(tables).groupby("model")
    }
    least, most = min(explained, key=explained.__getitem__), max(explained, key=explained.__getitem__)
    expected = (
        f"of 100 conversions credited, chance alone gives {explained[least]:.0f} ({least}) to "
        f"{explained[most]:.0f} ({most})"
    )
    assert chance_sentence(tables) == expected
    assert data_facts(tables)["credit by chance"] == expected
    assert expected in report_of(outcome())


def test_metrics_are_those_of_the_credit_table() -> None:
    tables = outcome().tables
    metrics = outcome().sections.metrics(tables, "markov")
    rows = chance_rows(tables)
    rows = rows[rows["model"] == "markov"].set_index("channel")
    for channel in ("ads", "mail", "search"):
        assert metrics[f"chance_conversions/{channel}"] == rows["chance_conversions"][channel]
        assert metrics[f"beyond_conversions/{channel}"] == rows["beyond_conversions"][channel]
        assert f"beyond_conversions_low/{channel}" not in metrics
    overlap = np.minimum(rows["conversions"], rows["chance_conversions"]).sum()
    assert metrics["chance_share"] == pytest.approx(overlap / 100, rel=1e-12)
    assert 0.7 < metrics["chance_share"] < 1
    drawn = outcome(resampling=(("draws", 50),))
    with_ends = drawn.sections.metrics(drawn.tables, "markov")
    low = drawn.tables["credit"].set_index(["model", "channel"])["beyond_conversions_low"]
    assert with_ends["beyond_conversions_low/mail"] == low["markov", "mail"]


def test_the_figure_holds_credit_and_its_level() -> None:
    credit = chance_rows(outcome().tables)
    figure = charts.credit_and_chance(credit)
    assert set(figure.table["channel"]) == {"ads", "mail", "search"}
    largest = credit.loc[credit["beyond_conversions"].idxmax()]
    assert str(largest["channel"]) in figure.alt_text
    assert "chance_conversions" in str(figure.spec())
    assert "credit_and_chance" in figures_of(outcome())


def test_turned_off_nothing_is_there_and_nothing_else_changes() -> None:
    on, without = outcome(), off()
    names = ["chance_conversions", "chance_value", "beyond_conversions"]
    assert without.tables["credit"][names].isna().all(axis=None)
    assert without.tables["returns"]["roi_beyond_chance"].isna().all()
    for table, columns in (("credit", names), ("returns", ["roi_beyond_chance"])):
        a, b = (each.tables[table].drop(columns=columns) for each in (on, without))
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert chance_sentence(without.tables) is None
    assert "credit by chance" not in data_facts(without.tables)
    assert not any(key.startswith(("chance", "beyond")) for key in without.sections.metrics(without.tables, "markov"))
    assert "credit_and_chance" not in figures_of(without)
    assert without.settings["incrementality.enabled"] is False
    assert "incrementality.enabled" not in on.settings
    assert on.fingerprint != without.fingerprint


def test_tables_of_runs_from_before_have_no_level() -> None:
    credit = outcome().tables["credit"].drop(columns=["chance_conversions", "chance_value", "beyond_conversions"])
    assert chance_sentence({"credit": credit}) is None
    assert chance_rows({"credit": credit}).empty
    assert chance_rows({}).empty


def test_channels_that_are_split_are_added_up_for_returns() -> None:
    touchpoints = pd.DataFrame(
        {
            "customer_id": list("aaabbc"),
            "touched_at": [f"2024-01-0{day}" for day in (1, 2, 3, 1, 2, 1)],
            "channel": ["mail", "mail", "ads", "mail", "ads", "mail"],
        }
    )
    conversions = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": "2024-01-05", "value": [30.0, 10.0]})
    experiment = at.Experiment(
        name="split",
        tables={
            "touchpoints": touchpoints,
            "conversions": conversions,
            "costs": pd.DataFrame({"channel": ["mail"], "amount": [8.0]}),
        },
        models=[{"model": "Linear"}],
        journeys={"transform": "frequency"},
    )
    tables = at.run_experiment(experiment).tables
    credit = chance_rows(tables)
    parts = credit[credit["channel"].str.startswith("mail")]
    assert len(parts) == 10
    mail = tables["returns"].set_index("channel").loc["mail"]
    assert mail["roi_beyond_chance"] == pytest.approx(
        (parts["value"].sum() - parts["chance_value"].sum() - 8) / 8, rel=1e-12
    )
    assert not set(credit["channel"]) & set(NO_CHANNELS)
