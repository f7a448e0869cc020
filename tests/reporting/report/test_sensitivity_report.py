"""Sensitivity where it is read: pictures, report, MLflow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.cli.console import print_ranking
from attribution.errors import InputError
from attribution.pipeline.output import replaced_folder, write_outcome
from attribution.reporting import charts
from attribution.schema.experiment import ResamplingOptions
from attribution.tracking.tracked_runs import track_outcome
from attribution.uncertainty.placebo import PlaceboOptions
from attribution.uncertainty.sensitivity import sensitivity_metrics
from attribution.uncertainty.sensitivity.sensitivity_declared import SENSITIVITY_TABLES
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions
from attribution.uncertainty.sensitivity.sensitivity_section import curve_channels, notes_of
from attribution.uncertainty.sensitivity.verdicts import NOT_INCREMENTAL
from attribution.uncertainty.stability import StabilityOptions
from tests.journeys.test_buckets import log
from tests.reporting.charts.test_charts import assert_drawn
from tests.reporting.drawn import all_figures, page_of
from tests.uncertainty.sensitivity.test_sensitivity import asked


@pytest.fixture(scope="module")
def outcome() -> at.Outcome:
    return at.run_experiment(asked(log(200)))


def test_a_curve_holds_every_specification_of_its_channel_in_order(outcome: at.Outcome) -> None:
    table = outcome.tables["specifications"]
    figure = charts.specification_curve(table, "邮件")
    assert_drawn(figure)
    figure.chart.to_dict()  # Altair checks the whole specification against the schema
    assert len(figure.table) == (table["channel"] == "邮件").sum()
    assert figure.table["roi"].is_monotonic_increasing
    assert figure.table["place"].tolist() == list(range(1, len(figure.table) + 1))
    written = json.dumps(figure.spec(), ensure_ascii=False)
    for choice in ("days: 3", "days: 10", "direct: keep", "cost: loaded", "markov_2"):
        assert choice in written
    above = (figure.table["roi"] > 0).sum()
    assert f"{above} of {len(figure.table)} are above 0" in figure.caption
    assert "cover sampling only" in figure.caption


def test_what_was_never_chosen_has_no_ticks(outcome: at.Outcome) -> None:
    table = outcome.tables["specifications"]
    one = table[(table["cost_basis"] == "media") & (table["direct"] == "keep")]
    written = json.dumps(charts.specification_curve(one, "search").spec(), ensure_ascii=False)
    assert "cost: " not in written
    assert "direct: " not in written


def test_curves_are_of_the_channels_with_most_money_at_stake() -> None:
    rows = [("a", 10.0, 0.0), ("a", 10.0, 5.0), ("b", 100.0, 0.0), ("b", 100.0, 1.0), ("c", 1.0, 0.0), ("d", 9.0, None)]
    table = pd.DataFrame(rows, columns=["channel", "spend", "roi"])
    assert curve_channels(table) == ["b", "a", "c"]


def test_the_grid_of_regret_frames_the_minimax_choice(outcome: at.Outcome) -> None:
    figure = charts.regret_chart(outcome.tables["regret"])
    assert_drawn(figure)
    figure.chart.to_dict()
    safest = figure.table.loc[figure.table["is_minimax"], "acting_on"].unique()
    assert len(safest) == 1
    assert f"Framed: {safest[0]}" in figure.caption


@pytest.mark.parametrize("draw", [charts.regret_chart, lambda table: charts.specification_curve(table, "search")])
def test_nothing_to_draw_is_refused(draw: Any, outcome: at.Outcome) -> None:
    columns = {**outcome.tables["regret"].dtypes, **outcome.tables["specifications"].dtypes}
    with pytest.raises(InputError):
        draw(pd.DataFrame(columns=list(columns)))


def test_the_report_shows_verdicts_and_says_what_credit_is_not(outcome: at.Outcome) -> None:
    figures = all_figures(outcome.tables)
    assert [figure.name for figure in figures if "curve" in figure.name] == [
        "specification_curve",
        "specification_curve_2",
        "specification_curve_3",
    ]
    assert "regret" in [figure.name for figure in figures]
    page = page_of("春季", outcome.tables, figures, outcome.settings)
    section = page.partition('id="sensitivity"')[2].partition('id="figures"')[0]
    for sentence in outcome.tables["verdicts"]["says"].str.removesuffix(NOT_INCREMENTAL):
        assert sentence.replace("'", "&#39;") in section
    assert "Allocated credit is not incremental" in section
    for note in notes_of(outcome.tables):
        assert note.replace("'", "&#39;") in section
    without = {
        name: table for name, table in outcome.tables.items() if name not in {t.name for t in SENSITIVITY_TABLES}
    }
    assert 'id="sensitivity"' not in page_of("春季", without, all_figures(without), outcome.settings)


def test_what_is_varied_is_a_setting_of_the_run(outcome: at.Outcome) -> None:
    """Two runs that differ in [sensitivity] alone are two: in their settings, and in the fingerprint made of them."""
    asked = outcome.experiment
    options = asked.options("sensitivity", SensitivityOptions)
    assert options is not None
    assert outcome.settings["sensitivity.draws"] == options.draws
    assert outcome.settings["sensitivity.incremental_share"] == (0.0, 1.35)

    def changed(**parts: Any) -> at.Outcome:
        return dataclasses.replace(outcome, experiment=asked.model_copy(update=parts))

    others = [
        changed(sensitivity=options.model_copy(update={"hurdle_roi": 0.5})),
        changed(sensitivity=None),
        changed(sensitivity=None, stability=StabilityOptions(parts=3)),
        changed(sensitivity=None, placebo=PlaceboOptions(seed=1)),
        changed(sensitivity=None, resampling=ResamplingOptions(draws=60)),
    ]
    assert len({each.fingerprint for each in [outcome, *others]}) == 6
    assert not [
        key for key in others[1].settings if key.startswith(("sensitivity", "resampling", "placebo", "stability"))
    ]
    # MLflow takes at most 100 params at once.
    everything = changed(stability=StabilityOptions(), placebo=PlaceboOptions(), resampling=ResamplingOptions())
    assert len(everything.settings) < 90


def test_tables_and_metrics_land_in_mlflow(
    outcome: at.Outcome, tmp_path: Path, new_store: Callable[[Path], str]
) -> None:
    from mlflow.tracking import MlflowClient

    out, store = tmp_path / "run", new_store(tmp_path)
    with replaced_folder(out, kind="run") as folder:
        write_outcome(folder, outcome, report="<html></html>", seconds=1.0)
    run_id = track_outcome(outcome, out, uri=store)
    client = MlflowClient(tracking_uri=store)
    metrics = client.get_run(run_id).data.metrics
    verdicts = outcome.tables["verdicts"].set_index("channel")
    assert sum(metrics[f"verdicts_{name}"] for name in ("likely_pays", "does_not_pay", "unknown")) == len(verdicts)
    assert metrics["money_at_stake/邮件"] == verdicts.loc["邮件", "money_at_stake"]
    assert metrics["minimax_regret"] == outcome.tables["regret"]["worst"].min()
    variance = outcome.tables["roi_variance"].set_index(["channel", "source"])["share"]
    assert metrics["variance_share_model/search"] == variance["search", "model"]
    assert set(sensitivity_metrics(outcome.tables)) <= set(metrics)
    logged = {Path(artifact.path).name for artifact in client.list_artifacts(run_id)}
    assert {f"{table.name}.parquet" for table in SENSITIVITY_TABLES} <= logged


def test_the_terminal_says_every_verdict(outcome: at.Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    print_ranking(outcome.experiment, outcome.tables, outcome.ranking)
    shown = capsys.readouterr().out
    for sentence in outcome.tables["verdicts"]["says"].str.removesuffix(NOT_INCREMENTAL):
        assert f"- {sentence}\n" in shown
