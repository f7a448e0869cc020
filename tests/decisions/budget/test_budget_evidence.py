"""What stands beside a proposal: divisions of one's own, a second horizon, evidence, drift, notes, pictures."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from attribution.decisions.budget import BudgetPlan, budget_metrics, ground_has_moved, propose_budget
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.budget_section import budget_grids
from attribution.decisions.budget.cases import Case
from attribution.decisions.budget.evidence import SIGNIFICANCE, Earlier, Ground, compare, drift_rows, read_earlier
from attribution.errors import InputError
from attribution.production.output_tables import output_tables
from attribution.reporting.charts import (
    budget_by_channel,
    budget_gain,
    budget_horizons,
    response_curves,
    to_svg,
)
from attribution.schema.experiment import checked
from tests.reporting.drawn import all_figures

CHANNELS = ["mail", "search", "微信"]
RETURNS = pd.DataFrame(
    {
        "model": ["linear"] * 3 + ["markov"] * 3,
        "estimand": "allocated",
        "basis": "revenue",
        "cost_basis": "media",
        "channel": CHANNELS * 2,
        "spend": [50.0, 100.0, 150.0] * 2,
        "conversions": [5.0, 20.0, 10.0, 8.0, 12.0, 15.0],
        "value": [100.0, 400.0, 200.0, 160.0, 240.0, 300.0],
        "roi": [1.0, 3.0, 1 / 3, 2.2, 1.4, 1.0],
    }
)
ON_BOTH = pd.concat([RETURNS, RETURNS.assign(basis="ltv", value=[900.0, 300, 300] * 2)], ignore_index=True)


def options(**asked: object) -> BudgetOptions:
    return checked(BudgetOptions, {"total": 330, "step_limit": "none"} | asked, origin="[budget]")


def drawn(size: int = 400, *, share: float = 0.1) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    return {
        label: pd.DataFrame(
            rows["value"].to_numpy() * (1 + share * rng.normal(size=(size, 3))), columns=list(rows["channel"])
        )
        for label, rows in RETURNS.groupby("model")
    }


def what_if(plan: BudgetPlan) -> pd.DataFrame:
    own = plan.tables["budget_scenarios"].query("model == 'linear' and kind != 'bend'")
    return own.set_index("scenario")


def test_divisions_of_ones_own_are_held_against_the_plan() -> None:
    groups = [{"name": "brand new", "channels": ["mail", "search"], "ceiling_share": 0.9}]
    asked = [
        {"name": "half of mail", "spend": {"mail": 25}},
        {"name": "by group", "shares": {"brand new": 0.6}},
        {"name": "one channel", "shares": {"微信": 0.02}},
    ]
    plan = propose_budget(RETURNS, options(groups=groups, what_if=asked, floors={"微信": 10}))
    table = what_if(plan)
    assert list(table.index) == ["plan", "today", "half of mail", "by group", "one channel"]
    # Exponents are one half: R √(x ÷ x0).
    assert table.loc["today", "return"] == pytest.approx(700)
    assert table.loc["half of mail", "return"] == pytest.approx(100 * np.sqrt(0.5) + 600)
    assert table.loc["half of mail", "spend"] == pytest.approx(275)
    grown = np.sqrt(0.6 * 330 / 150), np.sqrt(0.4 * 330 / 150)
    assert table.loc["by group", "return"] == pytest.approx(500 * grown[0] + 200 * grown[1])
    best = plan.tables["budget_scenarios"].query("model == 'linear' and scenario == 'plan'")["return"].iloc[0]
    np.testing.assert_allclose(table["short_of_plan"], best - table["return"])
    assert (table.query("scenario != 'one channel'")["short_of_plan"] >= 0).all()
    breaks = table["breaks"]
    assert breaks[["today", "plan", "by group"]].isna().all()
    assert breaks["one channel"] == ("floor of '微信': at least 10.00; ceiling of group 'brand new': at most 297.00")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"spend": {"mial": 3}}, "'mial' is not a channel with spend.*did you mean 'mail'"),
        ({"spend": {"g": 3}}, "'g' is not a channel with spend"),
        ({"shares": {"tv": 0.3}}, "'tv' is not a channel with spend or group"),
        ({"shares": {"g": 0.3, "mail": 0.1}}, "channel 'mail' is in two of the shares"),
    ],
)
def test_a_division_of_what_is_not_there_is_refused(asked: dict[str, object], reason: str) -> None:
    groups = [{"name": "g", "channels": ["mail", "search"], "floor": 1}]
    with pytest.raises(InputError, match=f"what_if 'mine': {reason}"):
        propose_budget(RETURNS, options(groups=groups, what_if=[{"name": "mine", **asked}]))


def test_no_spend_returns_more_in_both_horizons() -> None:
    plan = propose_budget(ON_BOTH, options(long_run={"objective": "ltv", "points": 5}))
    table = plan.tables["budget"]
    assert tuple(table.columns) == output_tables()["budget"].column_names
    one = table.query("model == 'linear' and weight == weight")
    assert one["scenario"].unique().tolist() == [f"long run {weight}" for weight in ("0", "0.25", "0.5", "0.75", "1")]
    assert set(one["long_objective"]) == {"ltv"}
    assert table.query("scenario == 'plan'")[["weight", "long_objective", "long_return"]].isna().all(axis=None)
    ends = one.groupby("weight")[["spend", "return", "long_return"]].sum()
    np.testing.assert_allclose(ends["spend"], 330)
    assert ends["return"].is_monotonic_decreasing
    assert ends["long_return"].is_monotonic_increasing
    # At the ends each run has what is best for it: spend in proportion to R² ÷ x0.
    for weight, returns in ((0.0, [100, 400, 200]), (1.0, [900, 300, 300])):
        shares = np.square(returns) / [50, 100, 150]
        np.testing.assert_allclose(one.loc[one["weight"] == weight, "spend"], 330 * shares / shares.sum(), rtol=1e-6)
    rng = np.random.default_rng(1)
    others = rng.dirichlet(np.ones(3), size=20_000) * 330
    grown = np.sqrt(others / [50, 100, 150])
    short, long = grown @ [100, 400, 200], grown @ [900, 300, 300]
    for _, row in ends.iterrows():
        assert not ((short > row["return"] * (1 + 1e-9)) & (long > row["long_return"] * (1 + 1e-9))).any()


def test_factors_of_the_long_run_are_told_to_be_assumed() -> None:
    plan = propose_budget(RETURNS, options(long_run={"factors": {"微信": 3}, "points": 2}))
    rows = plan.tables["budget"].query("model == 'linear' and weight == weight")
    assert rows["long_factor"].tolist() == [1, 1, 3, 1, 1, 3]
    np.testing.assert_allclose(rows["long_return"] / rows["return"], [1, 1, 3, 1, 1, 3])
    assert any("long_run.factors" in note for note in plan.notes)
    assert rows.query("weight == 1")["spend"].iloc[2] > rows.query("weight == 0")["spend"].iloc[2]
    with pytest.raises(InputError, match="factors: 'tv' is not a channel with spend"):
        propose_budget(RETURNS, options(long_run={"factors": {"tv": 3}}))
    with pytest.raises(InputError, match=r"'margin', which is unknown.*returns.margin"):
        propose_budget(RETURNS, options(long_run={"objective": "margin"}))


def test_intervals_are_percentiles_of_what_draws_return() -> None:
    draws = drawn()
    plan = propose_budget(RETURNS, options(), draws=draws, ground=Ground(level=0.8))
    row = plan.tables["budget_scenarios"].query("model == 'linear' and scenario == 'plan'").iloc[0]
    spend = plan.tables["budget"].query("model == 'linear' and scenario == 'plan'")
    earned = draws["linear"].to_numpy() * np.sqrt(spend["spend"] / spend["spend_today"]).to_numpy()
    np.testing.assert_allclose(row[["return_low", "return_high"]].astype(float), np.quantile(earned.sum(1), [0.1, 0.9]))
    gain = earned.sum(1) - draws["linear"].sum(axis=1)
    np.testing.assert_allclose(row[["gain_low", "gain_high"]].astype(float), np.quantile(gain, [0.1, 0.9]))
    np.testing.assert_allclose(
        spend[["return_low", "return_high"]].to_numpy().T, np.quantile(earned, [0.1, 0.9], axis=0)
    )
    assert row["gain"] == pytest.approx(row["return"] - 700)
    evidence = plan.tables["budget_scenarios"].query("model == 'linear' and scenario == 'today'").iloc[0]
    assert evidence["level"] == 0.8
    assert evidence["draws"] == 400
    today = np.quantile(draws["linear"].sum(axis=1), [0.1, 0.9])
    np.testing.assert_allclose(evidence[["return_low", "return_high"]].astype(float), today)


def test_evidence_says_what_a_plan_rests_on() -> None:
    ground = Ground("abc", dt.date(2024, 1, 1), dt.date(2024, 3, 31))
    plan = propose_budget(RETURNS, options(valid_days=10, objective="conversions"), ground=ground)
    table = plan.tables["budget_scenarios"]
    assert tuple(table.columns) == output_tables()["budget_scenarios"].column_names
    row = table.iloc[0]
    assert row[["run", "objective", "cost_basis"]].tolist() == ["abc", "conversions", "media"]
    assert row[["data_start", "data_end", "valid_until"]].tolist() == ["2024-01-01", "2024-03-31", "2024-04-10"]
    assert row[["return_today", "draws", "curves_fitted", "curves_assumed"]].tolist() == [35.0, 0, 0, 3]
    assert any("no intervals" in note for note in plan.notes)


def earlier_plan(**asked: object) -> Earlier:
    ground = Ground("abc", dt.date(2024, 1, 1), dt.date(2024, 3, 31))
    tables = propose_budget(RETURNS, options(**asked), draws=drawn(), ground=ground).tables
    return Earlier.of(tables)


def test_drift_is_what_curves_do_not_explain() -> None:
    # Twice as many days; mail at four times its daily spend as its curve says, search and 微信 off it.
    now = RETURNS.assign(spend=RETURNS["spend"] * ([8.0, 2, 2] * 2), value=RETURNS["value"] * ([4.0, 3, 0.2] * 2))
    ground = Ground("def", dt.date(2024, 4, 1), dt.date(2024, 9, 29))
    plan = propose_budget(now, options(), draws=drawn(), ground=ground, earlier=earlier_plan())
    table = plan.tables["drift"].query("model == 'linear'").set_index("channel")
    assert tuple(plan.tables["drift"].columns) == output_tables()["drift"].column_names
    assert table["status"].tolist() == ["as expected", "above", "below"]
    np.testing.assert_allclose(table["training"], [200, 400, 200])
    np.testing.assert_allclose(table["recent"], [200, 600, 20])
    assert set(table["valid_until"]) == {"2024-06-29"}
    assert table["expired"].all()
    assert plan.notes[1] == "The earlier plan expired on 2024-06-29: use this one."
    assert plan.notes[2] == "The earlier plan no longer holds: the returns of search, 微信 have changed. Use this one."
    found = budget_metrics(plan.tables)
    assert (found["drift_channels"], found["drift_expired"]) == (2.0, 1.0)
    assert ground_has_moved(plan.tables["drift"])
    assert not ground_has_moved(None)


def repeated(seed: int, channels: int, *, models: int = 1, draws: int = 200, grown: float = 1.0) -> pd.DataFrame:
    """``drift`` of two months of one law, 100 conversions of 20 a channel; the first channel grows by ``grown``."""
    rng = np.random.default_rng(seed)
    names = tuple(f"channel {number}" for number in range(channels))
    plans, cases, spend = [], [], np.full(channels, 1000.0)
    factor = np.where(np.arange(channels) == 0, grown, 1.0)
    for model in range(models):
        was, now = rng.poisson(100, channels), rng.poisson(100 * factor)
        deviation = 20.0 * rng.poisson(was, (draws, channels)).std(axis=0, ddof=1)
        plans.append(
            pd.DataFrame({"model": str(model), "channel": names, "return": 20.0 * was, "return_sd": deviation})
        )
        drawn_now = 20.0 * rng.poisson(now, (draws, channels))
        cases.append(Case(str(model), "allocated", names, spend, 20.0 * now, 0.0 * now, drawn_now, 0.9, now == now))
    plan = pd.concat(plans).assign(curve="power", curvature=0.5, steepness=1.0, spend_today=1000.0)
    plan["return_today"] = plan["return"]
    evidence = pd.DataFrame({"model": [str(model) for model in range(models)], "draws": draws})
    evidence = evidence.assign(
        objective="revenue", cost_basis="media", data_start=None, data_end=None, valid_until=None
    )
    return pd.DataFrame(drift_rows(cases, Earlier(plan, evidence), Ground(), options(), "media"))


@pytest.mark.parametrize(
    ("channels", "models", "draws", "times"),
    [(1, 1, 200, 200), (4, 1, 200, 100), (8, 2, 20, 100), (50, 3, 200, 40), (1000, 1, 20, 10)],
)
def test_of_twenty_proposals_in_an_unchanged_market_one_is_said_to_have_moved(
    channels: int, models: int, draws: int, times: int
) -> None:
    tables = [repeated(seed, channels, models=models, draws=draws) for seed in range(times)]
    assert sum(map(ground_has_moved, tables)) <= binom.ppf(0.999, times, SIGNIFICANCE)
    # Each test alone, at the same level, would raise alarm in most of these markets.
    alone = sum(bool((table["p_value"] <= SIGNIFICANCE).any()) for table in tables)
    assert alone > times / 4 or channels < 8


@pytest.mark.parametrize(("channels", "grown"), [(1, 2.0), (8, 2.0), (50, 2.0), (1000, 3.0)])
def test_a_channel_that_returns_twice_as_much_is_found_among_many(channels: int, grown: float) -> None:
    found = [repeated(seed, channels, grown=grown).iloc[0] for seed in range(10)]
    assert [row["status"] for row in found] == ["above"] * 10
    assert all(row["drifted"] and row["p_value"] <= row["p_adjusted"] <= SIGNIFICANCE for row in found)


def test_a_difference_is_judged_by_hand() -> None:
    """Student's t of 2 degrees of freedom has 4.3027 at 97.5 %; equal errors of 3 draws each have 4, and 2.7764."""
    few = np.array([3, 3])
    assert compare(4.3027, np.array([1.0, 0.0]), few) == pytest.approx(0.05, abs=1e-5)
    assert compare(-2.7764 * np.sqrt(2), np.array([1.0, 1.0]), few) == pytest.approx(0.05, abs=1e-5)
    assert [compare(0.0, np.zeros(2), few), compare(1.0, np.zeros(2), few)] == [1.0, 0.0]
    assert np.isnan(compare(1.0, np.array([1.0, np.nan]), few))
    assert np.isnan(compare(1.0, np.array([1.0, 1.0]), np.array([200, 0])))


def test_drift_names_new_and_lost_channels_and_what_it_cannot_know() -> None:
    now = RETURNS.assign(channel=RETURNS["channel"].replace("mail", "tv"))
    ground = Ground("def", dt.date(2024, 1, 1), dt.date(2024, 3, 31))
    plan = propose_budget(now, options(), ground=ground, earlier=earlier_plan())
    table = plan.tables["drift"].query("model == 'linear'").set_index("channel")
    assert table["status"].to_dict() == {"tv": "new", "search": "unknown", "微信": "unknown", "mail": "gone"}
    assert not table["expired"].any()
    assert any("unknown for 2 channels, because there are no intervals" in note for note in plan.notes)


def test_an_earlier_proposal_must_be_one_of_the_same(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"another objective.*Given: conversions"):
        propose_budget(RETURNS, options(), earlier=replace(earlier_plan(), evidence=_of("conversions")))
    with pytest.raises(InputError, match=r"previous has another cost basis\. Given: media\. Allowed: loaded"):
        propose_budget(RETURNS.assign(cost_basis="loaded"), options(), earlier=earlier_plan())
    with pytest.raises(InputError, match="has other models"):
        propose_budget(RETURNS[:3].assign(model="other"), options(), earlier=earlier_plan())
    (tmp_path / "budget.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"budget\.parquet cannot be read"):
        read_earlier(tmp_path)
    for name in ("budget", "budget_scenarios"):
        pd.DataFrame({"model": ["linear"]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"budget\.parquet has no column 'estimand'"):
        read_earlier(tmp_path)


def _of(objective: str) -> pd.DataFrame:
    return earlier_plan().evidence.assign(objective=objective)


def test_a_plan_that_loses_money_says_so() -> None:
    on_margin = RETURNS.assign(basis="margin", value=RETURNS["value"] * 0.2)
    notes = propose_budget(on_margin, options(total=600, objective="margin")).notes
    assert any(note.startswith("The additional spend does not pay back under linear, markov") for note in notes)
    assert any("the last unit of spend does not pay back" in note for note in notes)
    notes = propose_budget(RETURNS, options(total=600)).notes
    assert not any("less than it costs" in note for note in notes)


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(InputError, match=r"not a finite number.*'search' under linear"):
        propose_budget(RETURNS.assign(value=[100.0, np.nan, 200, 160, 240, 300]), options())


def fitted_plan() -> BudgetPlan:
    spend = np.linspace(1, 9, 20)
    history = pd.DataFrame({"channel": "微信", "period": range(20), "spend": spend})
    history["return"] = 9 * spend**0.7 + np.tile([0.5, -0.5], 10)
    asked = options(long_run={"factors": {"mail": 2}, "points": 3})
    return propose_budget(RETURNS, asked, draws=drawn(), history=history)


def test_pictures_hold_the_numbers_of_the_tables() -> None:
    plan = fitted_plan()
    budget, scenarios = plan.tables["budget"], plan.tables["budget_scenarios"]
    bars = budget_by_channel(budget).table
    wanted = budget.query("scenario == 'plan'").set_index(["channel", "model"])["spend"]
    assert bars.set_index(["channel", "model"])["spend"].to_dict() == wanted.to_dict()
    gain = budget_gain(scenarios)
    np.testing.assert_allclose(gain.table["gain"], scenarios.loc[scenarios["kind"].isin(["plan", "bend"]), "gain"])
    assert "cover sampling only" in gain.caption
    bare = propose_budget(RETURNS, options()).tables
    assert "no intervals" in budget_gain(bare["budget_scenarios"]).caption
    runs = budget_horizons(budget).table
    assert len(runs) == 6
    curves = response_curves(budget)
    assert set(curves.table["channel"]) == {"微信"}
    assert "mail and search" in curves.caption
    at_today = curves.table.query("spend_multiple == 1").iloc[0]
    assert at_today[["spend", "return", "return_low", "return_high"]].tolist() == pytest.approx([150, 200, 200, 200])
    assert (curves.table["return_low"] <= curves.table["return"] + 1e-9).all()
    with pytest.raises(InputError, match="every response curve is assumed"):
        response_curves(bare["budget"])
    names = ["budget_by_channel", "budget_gain", "budget_horizons", "response_curves"]
    figures = all_figures(plan.tables)
    assert [figure.name for figure in figures] == names
    assert all("<svg" in to_svg(figure) for figure in figures)


def test_the_report_shows_a_budget_where_there_is_one() -> None:
    assert budget_grids({}) is None
    plan = fitted_plan()
    section = budget_grids(plan.tables)
    assert section is not None
    grid = section["plan"]
    assert isinstance(grid, pd.DataFrame)
    assert grid.columns.tolist() == ["channel", "today", "linear", "markov"]
    assert section["notes"] == list(plan.notes)


def test_metrics_are_those_of_the_plan() -> None:
    plan = fitted_plan()
    found = budget_metrics(plan.tables)
    row = plan.tables["budget_scenarios"].query("scenario == 'plan' and model == 'markov'").iloc[0]
    assert found["gain_high/markov"] == row["gain_high"]
    assert found["regret/markov"] == plan.tables["budget_scenarios"].query("model == 'markov'")["regret"].max()
    assert {"spend/linear_微信", "marginal/markov_mail", "probability_more/linear_search"} <= set(found)
