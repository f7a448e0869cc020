"""A budget from an experiment file: the command, and curvature from the run's own weeks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution import build_journeys, load_sources, read_experiment
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.history import weekly_history
from attribution.errors import InputError
from attribution.pipeline.output import write_table
from attribution.pipeline.pipeline import run_experiment
from attribution.pipeline.planning import plan_budget
from attribution.production.output_tables import output_tables
from attribution.schema.experiment import Period, ReturnsOptions
from attribution.tracking.tracked_runs import track_outcome
from tests.cli.test_cli import call

EXPERIMENT = """
[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "costs.csv"

[[models]]
model = "LastTouch"

[[models]]
model = "Linear"

[tracking]
enabled = false

[budget]
floors = { email = 250 }

[[budget.groups]]
name = "品牌"
channels = ["search", "social"]
ceiling_share = 0.9
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Four channels, three of them with spend, over sixty days."""
    rng = np.random.default_rng(0)
    n = 1600
    hours = np.timedelta64(1, "h")
    pd.DataFrame(
        {
            "customer_id": rng.integers(0, 400, n),
            "touched_at": np.datetime64("2024-01-01", "us") + rng.integers(0, 60 * 24, n) * hours,
            "channel": rng.choice(["email", "search", "social", "微信"], n, p=[0.2, 0.4, 0.3, 0.1]),
        }
    ).to_parquet(tmp_path / "touchpoints.parquet", index=False)
    pd.DataFrame(
        {
            "customer_id": rng.integers(0, 400, 100),
            "converted_at": np.datetime64("2024-01-20", "us") + rng.integers(0, 40 * 24, 100) * hours,
            "value": rng.gamma(2, 40, 100).round(2),
        }
    ).to_parquet(tmp_path / "conversions.parquet", index=False)
    costs = pd.DataFrame({"channel": ["email", "search", "social"], "amount": [300.0, 1200.0, 900.1]})
    costs.to_csv(tmp_path / "costs.csv", index=False)
    (tmp_path / "shop.toml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path / "shop.toml"


def test_the_command_writes_tables_and_says_what_credit_is_not(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shop.parent / "out"
    assert call(monkeypatch, "budget", shop, "--total", 2500, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "Credit is allocated, not incremental" in printed
    assert "Not planned, because they have no spend today: 微信." in printed
    assert "valid until 2024-05-2" in printed
    for name in ("budget", "budget_limits", "budget_scenarios"):
        assert tuple(pd.read_parquet(out / f"{name}.parquet").columns) == output_tables()[name].column_names
    table = pd.read_parquet(out / "budget.parquet").query("scenario == 'plan'")
    assert set(table["model"]) == {"last_touch", "linear"}
    np.testing.assert_array_less(table.groupby("model")["spend"].sum(), 2500 * (1 + 1e-9))
    assert table.loc[table["channel"] == "email", "spend"].min() >= 250 * (1 - 1e-9)
    assert "--set budget.total=2500.0" in (out / "experiment.toml").read_text(encoding="utf-8")


def test_two_plans_are_the_same_bytes_and_json_is_json(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--total", "2500", "--set", "budget.risk_aversion=1", "--set", "resampling.draws=60")
    written = []
    for name in ("a", "b"):
        assert call(monkeypatch, "budget", shop, *asked, "--out", shop.parent / name, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        # The manifest is what changes from run to run.
        files = [path for path in (shop.parent / name).iterdir() if path.is_file() and path.name != "manifest.json"]
        written.append({path.name: path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert document["left_out"] == ["微信"]
    rows = [row for row in document["budget_scenarios"] if row["scenario"] == "plan"]
    assert all(row["return_sd"] > 0 for row in rows)
    assert all(row["gain_low"] < row["gain"] < row["gain_high"] for row in rows)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (["--total=-5"], "budget.total: must be greater than 0"),
        ([], "budget has no total"),
        (["--total", "100"], "less than the sum of floors"),
        (["--total", "2500", "--set", "budget.ceilings.tv=5"], "'tv' is not a channel with spend"),
        (["--total", "2500", "--set", "budget.history=nowhere.csv"], "nowhere.csv does not exist"),
        (["--total", "2500", "--set", "budget.history=own"], "needs costs with days"),
        (["--total", "2500", "--set", "budget.risk_aversion=1"], "needs resampling"),
    ],
)
def test_what_cannot_be_planned_leaves_nothing_behind(
    shop: Path, asked: list[str], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shop.parent / "out"
    assert call(monkeypatch, "budget", shop, *asked, "--out", out) == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


def test_objectives_are_the_rows_of_the_same_run(shop: Path) -> None:
    settings = ["budget.total=2500", "returns.margin=0.3", "returns.ltv=200", "resampling.draws=60"]
    whole = run_experiment(read_experiment(shop, [*settings, "output.unit_economics=true"]))
    returns, economics = whole.tables["returns"].query("model == 'linear'"), whole.tables["unit_economics"]
    wanted = {basis: rows.set_index("channel")["value"] for basis, rows in returns.groupby("basis")}
    wanted["conversions"] = returns.query("basis == 'revenue'").set_index("channel")["conversions"]
    wanted["new_customers"] = economics.query("model == 'linear'").set_index("channel")["new_customers"]
    for objective, today in wanted.items():
        outcome, plan = plan_budget(read_experiment(shop, [*settings, f"budget.objective={objective}"]))
        pd.testing.assert_frame_equal(outcome.tables["returns"], whole.tables["returns"])
        rows = plan.tables["budget"].query("scenario == 'plan' and model == 'linear'").set_index("channel")
        np.testing.assert_allclose(rows["return_today"], today[rows.index])
        assert (rows["return_low"] <= rows["return_high"]).all()
        # Draws are in the unit of the objective too.
        np.testing.assert_allclose(rows["return_sd"] * 3 > (rows["return"] - rows["return_low"]).abs(), True)
        assert plan.tables["budget_scenarios"]["run"].nunique() == 1
    assert "unit_economics" in outcome.tables
    assert (wanted["new_customers"] <= wanted["conversions"][wanted["new_customers"].index] + 1e-9).all()


def test_the_objective_is_what_channels_are_ranked_by_unless_set(shop: Path) -> None:
    settings = ["budget.total=2500", "returns.margin=0.3", "returns.basis=margin"]
    (objective,) = plan_budget(read_experiment(shop, settings))[1].tables["budget_scenarios"]["objective"].unique()
    assert objective == "margin"


@pytest.mark.parametrize("objective", ["margin", "ltv"])
def test_what_returns_do_not_know_is_no_objective(shop: Path, objective: str) -> None:
    with pytest.raises(InputError, match=rf"budget.objective = '{objective}', which is unknown.*returns.margin"):
        plan_budget(read_experiment(shop, ["budget.total=2500", f"budget.objective={objective}"]))


def test_the_folder_holds_the_run_and_a_report_with_the_budget(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shop.parent / "out"
    settings = ("--set", "resampling.draws=60", "--set", 'budget.what_if=[{name="一半", shares={"品牌"=0.5}}]')
    assert call(monkeypatch, "budget", shop, "--total", 2500, *settings, "--out", out) == 0
    capsys.readouterr()
    assert {"returns.parquet", "credit.csv", "manifest.json", "report.html"} <= {path.name for path in out.iterdir()}
    assert not (out / "journey_credit.parquet").exists()
    report = (out / "report.html").read_text(encoding="utf-8")
    for part in ('id="budget"', 'id="budget_by_channel"', 'id="budget_gain"', "一半", "valid until 2024-05-2"):
        assert part in report
    assert 'id="response_curves"' not in report
    evidence = pd.read_parquet(out / "budget_scenarios.parquet")
    assert evidence["run"].str.fullmatch("[0-9a-f]{16}").all()
    assert evidence["data_end"].notna().all()
    assert set(evidence["draws"]) == {60}
    assert set(evidence["curves_assumed"]) == {3}


def test_a_fingerprint_is_of_the_question_and_the_data(shop: Path) -> None:
    settings = ["budget.total=2500"]
    first = plan_budget(read_experiment(shop, settings))[0].fingerprint
    assert run_experiment(read_experiment(shop)).fingerprint == first
    assert plan_budget(read_experiment(shop, [*settings, "journeys.lookback_days=3"]))[0].fingerprint != first
    costs = pd.read_csv(shop.parent / "costs.csv")
    costs.sample(frac=1, random_state=1).to_csv(shop.parent / "costs.csv", index=False)
    assert plan_budget(read_experiment(shop, settings))[0].fingerprint == first
    costs.assign(amount=costs["amount"] + 1).to_csv(shop.parent / "costs.csv", index=False)
    assert plan_budget(read_experiment(shop, settings))[0].fingerprint != first


def test_an_earlier_proposal_is_held_against_what_is_known_now(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("--total", 2500, "--set", "resampling.draws=60")
    assert call(monkeypatch, "budget", shop, *settings, "--out", shop.parent / "earlier") == 0
    again = (*settings, "--set", "budget.previous=earlier")
    assert call(monkeypatch, "budget", shop, *again, "--out", shop.parent / "now") == 0
    drift = pd.read_parquet(shop.parent / "now" / "drift.parquet")
    assert set(drift["status"]) == {"as expected"}
    np.testing.assert_allclose(drift["recent"], drift["training"])
    assert "no longer holds" not in capsys.readouterr().out
    conversions = pd.read_parquet(shop.parent / "conversions.parquet")
    conversions.assign(value=conversions["value"] * 3).to_parquet(shop.parent / "conversions.parquet", index=False)
    assert call(monkeypatch, "budget", shop, *again, "--out", shop.parent / "now") == 3
    moved = pd.read_parquet(shop.parent / "now" / "drift.parquet").query("status == 'above'")
    channels = ", ".join(dict.fromkeys(moved["channel"]))
    assert f"The earlier plan no longer holds: the returns of {channels} have changed." in capsys.readouterr().out
    assert (moved["p_adjusted"] <= 0.05).all()
    assert (
        call(monkeypatch, "budget", shop, *settings, "--set", "budget.previous=now", "--out", shop.parent / "now") == 2
    )
    assert "would be replaced, but it has files that this command reads" in capsys.readouterr().err
    assert call(monkeypatch, "budget", shop, *settings, "--set", "budget.previous=.") == 2
    assert "is not the folder of an earlier budget: it has no budget.parquet" in capsys.readouterr().err


def test_a_budget_is_tracked_below_the_run_it_comes_from(shop: Path, new_store: Callable[[Path], str]) -> None:
    from mlflow.tracking import MlflowClient

    experiment = read_experiment(shop, ["budget.total=2500", "resampling.draws=60"])
    outcome, plan = plan_budget(experiment)
    folder, uri = shop.parent / "run", new_store(shop.parent)
    folder.mkdir()
    for name, table in plan.tables.items():
        write_table(folder, output_tables()[name], table)
    parent_id = track_outcome(outcome, folder, uri=uri)
    client = MlflowClient(tracking_uri=uri)
    parent = client.get_run(parent_id)
    runs = client.search_runs([parent.info.experiment_id], "tags.`attribution.kind` = 'budget'")
    (run,) = runs
    assert run.data.tags["mlflow.parentRunId"] == parent_id
    prints = {run.data.tags["attribution.fingerprint"], parent.data.tags["attribution.fingerprint"]}
    assert prints == set(plan.tables["budget_scenarios"]["run"])
    row = plan.tables["budget_scenarios"].query("scenario == 'plan' and model == 'linear'").iloc[0]
    assert run.data.metrics["gain/linear"] == pytest.approx(row["gain"])
    assert run.data.metrics["gain_low/linear"] == pytest.approx(row["gain_low"])
    search = plan.tables["budget"].query("scenario == 'plan' and model == 'linear' and channel == 'search'").iloc[0]
    assert run.data.metrics["spend/linear_search"] == pytest.approx(search["spend"])
    assert run.data.params["budget.total"] == "2500.0"
    assert "budget.parquet" in {file.path for file in client.list_artifacts(parent_id)}


def test_weeks_of_a_run_by_hand(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=21)
    costs = pd.DataFrame({"channel": "mail", "day": days, "amount": np.repeat([1.0, 2.0, 3.0], 7)})
    lump = pd.DataFrame({"channel": ["tv"], "day": [pd.NaT], "amount": [50.0]})
    touched = pd.to_datetime(["2024-01-01 03:00", "2024-01-07 23:00", "2024-01-08 00:00", "2024-01-21 00:00"])
    touchpoints = pd.DataFrame({"customer_id": [1, 2, 3, 4], "touched_at": touched, "channel": "mail"})
    sources = load_sources(
        touchpoints=touchpoints,
        conversions=pd.DataFrame({"customer_id": [1], "converted_at": [touched[0]], "value": [1.0]}),
        costs=pd.concat([costs, lump]),
    )
    credit = pd.DataFrame(
        {
            "model": "linear",
            "channel": "mail",
            "touched_at": touched,
            "credit": [0.5, 1.0, 0.25, 1.0],
            "credited_value": [5.0, 10.0, 2.5, 10.0],
        }
    )
    found = weekly_history(sources, credit, BudgetOptions(total=1), lookback_days=6)
    assert found.drop(columns=["model", "channel"]).to_numpy().tolist() == [
        ["2024-01-01", 7.0, 15.0],
        ["2024-01-08", 14.0, 2.5],
    ]
    by_conversions = weekly_history(
        sources,
        credit,
        BudgetOptions(total=1, objective="conversions"),
        period=Period.model_validate({"start": "2024-01-08"}),
        lookback_days=1,
    )
    assert by_conversions[["spend", "return"]].to_numpy().tolist() == [[14.0, 0.25]]


@pytest.mark.parametrize(
    ("objective", "returns", "expected"),
    [
        ("conversions", {}, 2.5),
        ("new_customers", {}, 1.5),  # the second conversion of customer 1 is none of a new one
        ("ltv", {"margin": 0.5, "ltv": 100.0}, 1 * 100 + 0.5 * 70),  # customer 2 says 70
        ("margin", {"margin": 0.5}, 1 * 8 + 1 * 2 + 0.5 * 20),  # the last says nothing: half of its value
        ("revenue", {}, 1 * 10 + 1 * 20 + 0.5 * 40),
    ],
)
def test_weeks_are_of_what_is_divided(objective: str, returns: dict[str, float], expected: float) -> None:
    """Mail is credited with both conversions of customer 1 and half of that of customer 2."""
    day = pd.Timestamp("2024-01-01")
    touched = [day, day + pd.Timedelta(days=3), day + pd.Timedelta(days=6)]
    conversions = pd.DataFrame(
        {
            "customer_id": ["一", "一", "b"],
            "converted_at": touched,
            "value": [10.0, 20.0, 40.0],
            "margin": [8.0, 2.0, None],
            "ltv": [None, 500.0, 70.0],
            "conversion_id": ["x", "y", "订单"],
        }
    )
    costs = pd.DataFrame(
        {"channel": ["mail"], "amount": [7.0], "period_start": [touched[0]], "period_end": touched[2:]}
    )
    touchpoints = pd.DataFrame({"customer_id": ["一", "一", "b"], "touched_at": touched, "channel": "mail"})
    sources = load_sources(touchpoints, conversions.sample(frac=1, random_state=1), costs=costs)
    credit = pd.DataFrame({"model": "linear", "channel": "mail", "touched_at": touched, "credit": [1.0, 1.0, 0.5]})
    credit = credit.assign(conversion_id=["x", "y", "订单"], credited_value=credit["credit"] * conversions["value"])
    build_journeys(sources)
    options = BudgetOptions(total=1, objective=objective)
    found = weekly_history(sources, credit, options, returns=ReturnsOptions(**returns), lookback_days=0)
    assert found[["spend", "return"]].to_numpy().tolist() == [[7.0, pytest.approx(expected)]]


def test_a_budget_makes_no_grid_of_specifications(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = plan_budget(read_experiment(shop, ["budget.total=2500"]))
    monkeypatch.setattr(
        "attribution.uncertainty.sensitivity.sensitivity_section.draw_grid", None
    )  # whoever asks for it fails
    varied, _ = plan_budget(read_experiment(shop, ["budget.total=2500", "sensitivity.draws=60"]))
    assert "verdicts" not in varied.tables
    assert (
        "sensitivity" not in varied.experiment.further
    )  # so that a run with sensitivity is not taken to be there already
    assert varied.fingerprint == plain.fingerprint == varied.tables["budget_scenarios"]["run"].iloc[0]
    for name, table in plain.tables.items():
        pd.testing.assert_frame_equal(table, varied.tables[name], check_exact=True)


def test_weeks_hold_the_costs_that_are_divided() -> None:
    """Media alone, or all that is a channel's own; in one currency, and never what channels share."""
    day = pd.Timestamp("2024-01-01")
    rows = [("mail", "media", "EUR", 7.0), ("mail", None, "cny", 10.0), ("mail", "tools", "EUR", 5.0)]
    rows += [(None, "labour", "EUR", 90.0)]
    costs = pd.DataFrame(rows, columns=["channel", "cost_type", "currency", "amount"]).assign(
        period_start=day, period_end=day + pd.Timedelta(days=6)
    )
    touched = [day, day + pd.Timedelta(days=6)]
    sources = load_sources(
        pd.DataFrame({"customer_id": [1, 2], "touched_at": touched, "channel": "mail", "cost": [1.0, 2.0]}),
        pd.DataFrame({"customer_id": [1], "converted_at": [touched[0]], "value": [1.0]}),
        costs=costs,
    )
    credit = pd.DataFrame(
        {"model": "linear", "channel": "mail", "touched_at": touched, "credit": 1.0, "credited_value": 1.0}
    )
    found = {}
    for spend_from in ("costs", "touchpoints"):
        for cost_basis in ("media", "loaded"):
            asked = ReturnsOptions(cost_basis=cost_basis, spend_from=spend_from, currency="EUR", rates={"CNY": 0.1})
            history = weekly_history(sources, credit, BudgetOptions(total=1), returns=asked, lookback_days=0)
            found[spend_from, cost_basis] = dict(zip(history["channel"], history["spend"], strict=True))
    assert found == {
        ("costs", "media"): {"mail": pytest.approx(8.0)},
        ("costs", "loaded"): {"mail": pytest.approx(13.0)},
        ("touchpoints", "media"): {"mail": pytest.approx(3.0)},
        ("touchpoints", "loaded"): {"mail": pytest.approx(8.0)},
    }


def test_curvature_is_fitted_to_own_weeks_where_spend_has_varied(shop: Path) -> None:
    rng = np.random.default_rng(5)
    weeks, today = 20, np.datetime64("2023-01-02", "us")
    spend = np.linspace(10, 400, weeks)[rng.permutation(weeks)]
    sold = np.round(12 * spend**0.5).astype(int)
    week = np.repeat(np.arange(weeks), sold)
    at = today + (week * 7 * 24 + rng.integers(0, 7 * 24, len(week))) * np.timedelta64(1, "h")
    people = np.arange(len(week))
    pd.DataFrame({"customer_id": people, "touched_at": at, "channel": "email"}).to_parquet(
        shop.parent / "touchpoints.parquet", index=False
    )
    pd.DataFrame({"customer_id": people, "converted_at": at + np.timedelta64(1, "h"), "value": 1.0}).to_parquet(
        shop.parent / "conversions.parquet", index=False
    )
    days = today + np.arange(weeks * 7) * np.timedelta64(1, "D")
    pd.DataFrame({"channel": "email", "day": days, "amount": np.repeat(spend / 7, 7)}).to_csv(
        shop.parent / "costs.csv", index=False
    )
    settings = ["budget.total=5000", "budget.history=own", "budget.groups=[]", "journeys.lookback_days=7"]
    # What was caused has no weeks of its own, and so no curve that is fitted to them.
    settings.append("incrementality.enabled=false")
    _, plan = plan_budget(read_experiment(shop, settings))
    table = plan.tables["budget"].query("scenario == 'plan'")
    assert table["curvature"].to_numpy() == pytest.approx(0.5, abs=0.02)
    assert table["curvature_from"].str.startswith("fitted to 19 periods").all()
    # Of new customers each week brings fewer, and their course is another one.
    is_new = pd.Series(week).groupby(week).cumcount().to_numpy() < np.round(8 * spend**0.25)[week]
    conversions = pd.read_parquet(shop.parent / "conversions.parquet").assign(is_new_customer=is_new)
    conversions.to_parquet(shop.parent / "conversions.parquet", index=False)
    _, plan = plan_budget(read_experiment(shop, [*settings, "budget.objective=new_customers"]))
    of_new = plan.tables["budget"].query("scenario == 'plan'")
    assert of_new["curvature"].to_numpy() == pytest.approx(0.25, abs=0.02)


def test_own_history_needs_channels_as_they_are(shop: Path) -> None:
    settings = ["budget.total=2500", "budget.history=own", "journeys.transform=frequency"]
    with pytest.raises(InputError, match="transform = 'frequency'"):
        plan_budget(read_experiment(shop, settings))


def test_a_budget_of_aggregated_paths_has_no_days(tmp_path: Path) -> None:
    paths = pd.DataFrame(
        {"path": ["mail > 微信", "mail", "微信"], "conversions": [5, 2, 9], "value": [50.0, 10.0, 70.0]}
    )
    paths.to_csv(tmp_path / "paths.csv", index=False)
    pd.DataFrame({"channel": ["mail", "微信"], "amount": [20.0, 30.0]}).to_csv(tmp_path / "costs.csv", index=False)
    (tmp_path / "paths.toml").write_text(
        '[tables.paths]\nsource = "paths.csv"\n[tables.costs]\nsource = "costs.csv"\n[[models]]\nmodel = "Linear"\n'
        "[resampling]\ndraws = 60\n[budget]\ntotal = 55\n",
        encoding="utf-8",
    )
    _, plan = plan_budget(read_experiment(tmp_path / "paths.toml"))
    assert plan.tables["budget_scenarios"][["data_start", "data_end", "valid_until"]].isna().all(axis=None)
    assert plan.notes[-1].startswith("The data have no dates, so the plan has no end date")
    spend = plan.tables["budget"].query("scenario == 'plan'").set_index("channel")["spend"]
    # With exponents of one half spend is in proportion to R² ÷ x0: of 35 and 95.
    shares = pd.Series({"mail": 35**2 / 20, "微信": 95**2 / 30})
    wanted = np.clip(55 * shares / shares.sum(), [14.0, 21.0], [26.0, 39.0])
    assert spend["微信"] == pytest.approx(min(39.0, 55 - wanted["mail"]), rel=1e-6)
    with pytest.raises(InputError, match=r"budget\.history: 'own' needs touchpoints"):
        plan_budget(read_experiment(tmp_path / "paths.toml", ["budget.history=own"]))
    with pytest.raises(InputError, match="aggregated paths have no new customers"):
        plan_budget(read_experiment(tmp_path / "paths.toml", ["budget.objective=new_customers"]))
