"""Which models fail a check, and that nothing rests on them: verdicts, budget, tasks, report, terminal, tracking."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.cli.console import print_ranking
from attribution.decisions.budget import propose_budget
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.diagnosis import tasks_table
from attribution.errors import InputError
from attribution.pipeline.tracking_record import record_of
from attribution.reporting.report import render_report
from attribution.schema.experiment import Experiment
from attribution.uncertainty.model_checks import failed_checks, failure_sentences, model_checks, reliable

RATE = {"model": "Shapley", "game": "rate", "name": "rate"}
GOES_ON = {"model": "Markov", "continuation": 0.1, "name": "goes_on"}


@cache
def outcome() -> at.Outcome:
    """A third of the customers is never touched by a channel, but may be by the placebo."""
    world = replace(at.load_world("default"), reach=0.6)
    shop = at.simulate(world, customers=4_000, seed=2, truth=False)
    tables = {name: {"source": getattr(shop, name)} for name in ("touchpoints", "conversions", "costs", "customers")}
    asked = {
        "name": "shop",
        "tables": tables,
        "models": [{"model": "LastTouch"}, RATE, GOES_ON],
        "placebo": {},
        "resampling": {"draws": 50},
        "sensitivity": {"draws": 50, "lookback_days": [7]},
    }
    return at.run_experiment(Experiment.model_validate(asked))


def quality(label: str) -> pd.DataFrame:
    columns = {"check": "immortal_time", "table": "journeys", "status": "warn", "count": 3.0, "total": np.nan}
    return pd.DataFrame([{**columns, "example": label, "message": "too low"}])


def credit(chance: float, half: float) -> pd.DataFrame:
    """Two channels with 10 conversions each, give or take ``half``, and together ``chance`` with labels at random."""
    columns = {"conversions": 10.0, "conversions_low": 10.0 - half, "chance_conversions": chance / 2}
    return pd.DataFrame({"model": "effects", "estimand": "incremental", "channel": ["mail", "tv"], **columns})


@pytest.mark.parametrize(
    ("chance", "half", "passes"),
    [(-11.0, 5.0, False), (-9.0, 5.0, True), (30.0, 5.0, True), (-11.0, np.nan, None)],
)
def test_channels_at_random_do_no_harm(chance: float, half: float, passes: bool | None) -> None:
    (row,) = model_checks({"credit": credit(chance, half)}).to_dict("records")
    assert row["check"] == "chance"
    assert (None if pd.isna(row["passes"]) else row["passes"]) is passes
    assert set(failed_checks({"credit": credit(chance, half)})) == ({"effects"} if passes is False else set())


def test_credit_that_is_divided_is_put_to_no_check_of_effects() -> None:
    assert model_checks({"credit": credit(-50.0, 1.0).assign(estimand="allocated")}).empty


@pytest.mark.parametrize(("passes", "failed"), [(False, {"effects"}), (True, set()), (pd.NA, set())])
def test_the_placebo_is_a_check_of_effects(passes: object, failed: set[str]) -> None:
    columns = {"conversions": 9.0, "conversions_low": 7.0, "conversions_high": 11.0, "chance_conversions": 3.0}
    placebo = pd.DataFrame(
        {"model": ["effects", "linear"], "estimand": ["incremental", "allocated"], "passes": [passes, False], **columns}
    )
    assert set(failed_checks({"placebo": placebo})) == failed
    assert reliable(placebo, {"placebo": placebo})["model"].tolist() == [
        label for label in ("effects", "linear") if label not in failed
    ]


def test_rates_and_continuations_of_whole_journeys_fail() -> None:
    checks = outcome().tables["model_checks"].set_index(["model", "check"])["passes"]
    assert not checks["rate", "whole_journeys"]
    assert not checks["goes_on", "whole_journeys"]
    # Converters have fewer touchpoints, so that the placebo seems to do harm.
    assert not checks["rate", "placebo"]
    placebo = outcome().tables["placebo"].set_index("model")
    assert placebo.at["rate", "conversions_high"] < 0
    assert placebo.at["rate", "beyond"] < -3
    assert set(failed_checks(outcome().tables)) == {"rate", "goes_on"}


def test_the_placebo_stands_beside_its_chance_level() -> None:
    tables = outcome().tables
    row = tables["placebo"].set_index("model").loc["last_touch"]
    assert row["conversions_low"] <= row["conversions"] <= row["conversions_high"]
    # Of labels at random the placebo gets its share of all touchpoints.
    total = row["conversions"] / row["share"]
    assert row["chance_conversions"] == pytest.approx(row["touchpoint_share"] * total, rel=1e-9)
    expected = row["chance_conversions"]
    assert row["beyond"] == pytest.approx((row["conversions"] - expected) / np.sqrt(expected * (1 - expected / total)))
    metrics = outcome().sections.metrics(tables, "last_touch")
    for name in ("conversions", "conversions_low", "conversions_high", "chance_conversions", "beyond", "share"):
        assert metrics[f"placebo_{name}"] == row[name]


def test_no_verdict_regret_or_task_rests_on_them() -> None:
    tables = outcome().tables
    verdicts = tables["verdicts"].query("estimand == 'incremental'")
    assert len(verdicts) == 8
    assert set(verdicts["verdict"]) == {"unknown"}
    assert verdicts["says"].str.endswith("All models that it could rest on fail a check.").all()
    assert set(tables["regret"]["estimand"]) == {"allocated"}
    assert not set(tables["tasks"]["model"].dropna()) & {"rate", "goes_on"}
    returns = tables["returns"]
    lost = returns.assign(roi=-0.9, roi_low=-0.95, roi_high=-0.8, value=1.0)
    loud = tasks_table({"returns": lost[lost["model"] == "rate"], "quality": quality("rate")})
    assert "wasted_spend" not in set(loud["kind"])
    assert "wasted_spend" in set(tasks_table({"returns": lost[lost["model"] == "rate"]})["kind"])


def test_no_budget_rests_on_them() -> None:
    tables = outcome().tables
    options = BudgetOptions(total=1000, step_limit="none")
    plan = propose_budget(tables["returns"], options, run_tables=tables)
    assert set(plan.tables["budget"]["model"]) == {"last_touch"}
    assert any(note.startswith("Nothing is planned by rate, because it fails a check. ") for note in plan.notes)
    returns = tables["returns"]
    with pytest.raises(InputError, match=r"every model fails a check.*add a model that divides conversions"):
        propose_budget(returns[returns["model"] == "rate"], options, run_tables=tables)


def test_report_terminal_and_tracking_show_the_failure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = outcome()
    page = render_report("shop", made.tables, [], made.settings, parts=made.parts)
    (sentence, _) = failure_sentences(made.tables)
    assert sentence.startswith("rate fails a check, so no verdict, budget or task rests on it. rate estimates effects")
    assert f"<p>{sentence}</p>" in page
    placebo = "last_touch credits a channel that does nothing with "
    assert placebo in page
    print_ranking(made.experiment, made.tables, made.ranking)
    printed = capsys.readouterr().out
    assert "(fails a" in printed
    assert f"Warning: {sentence}" in printed
    assert placebo in printed
    record = record_of(made, tmp_path)
    tags = {model.name: model.tags.get("attribution.failed_check") for model in record.models}
    assert tags == {"last_touch": None, **failed_checks(made.tables)}
    assert record.run.metrics["models_failing"] == 2


def test_a_run_without_models_of_effects_has_no_checks() -> None:
    paths = pd.DataFrame({"path": ["mail > search", "search"], "conversions": [2, 1]})
    tables = at.run_experiment(at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}])).tables
    assert "model_checks" not in tables
    assert failure_sentences(tables) == ()
