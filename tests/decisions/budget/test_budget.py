"""From returns to a budget: limits, objectives, curves, risk, and the command."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from attribution.decisions.budget import propose_budget
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.evidence import Ground
from attribution.decisions.budget.response import check_history
from attribution.errors import InputError
from attribution.production.output_tables import output_tables
from attribution.schema.experiment import checked

RETURNS = pd.DataFrame(
    {
        "model": ["linear"] * 4 + ["markov"] * 4,
        "estimand": "allocated",
        "basis": "revenue",
        "cost_basis": "media",
        "channel": ["mail", "search", "微信", "direct"] * 2,
        "spend": [50.0, 100.0, 150.0, np.nan] * 2,
        "conversions": [5.0, 20.0, 10.0, 3.0, 8.0, 12.0, 15.0, 3.0],
        "value": [100.0, 400.0, 200.0, 60.0, 160.0, 240.0, 300.0, 60.0],
        "roi": [1.0, 3.0, 1 / 3, np.nan, 2.2, 1.4, 1.0, np.nan],
    }
)
ON_ALL = pd.concat(
    [
        RETURNS,
        RETURNS.assign(basis="margin", value=RETURNS["value"] * 0.4),
        RETURNS.assign(basis="ltv", value=RETURNS["conversions"] * 30.0),
    ],
    ignore_index=True,
)
ECONOMICS = RETURNS[["model", "channel"]].assign(new_customers=[2.0, 8, 9, 1, 4, 6, 10, 1])


def options(**asked: object) -> BudgetOptions:
    return checked(BudgetOptions, {"total": 330, "step_limit": "none"} | asked, origin="[budget]")


def plan_of(table: pd.DataFrame, model: str = "linear", scenario: str = "plan") -> pd.DataFrame:
    key = "limit" if "limit" in table else "channel" if "channel" in table else "model"
    rows = table[(table["model"] == model) & (table["scenario"] == scenario)]
    return rows.set_index(key)


def test_money_goes_by_marginal_return() -> None:
    tables = propose_budget(RETURNS, options()).tables
    spend = plan_of(tables["budget"])["spend"]
    # With exponents of one half spend is in proportion to R² ÷ x0.
    shares = np.array([100**2 / 50, 400**2 / 100, 200**2 / 150])
    np.testing.assert_allclose(spend, 330 * shares / shares.sum(), rtol=1e-9)
    marginal = plan_of(tables["budget"])["marginal"]
    np.testing.assert_allclose(marginal, marginal.iloc[0], rtol=1e-9)
    assert plan_of(tables["budget_limits"]).loc["total", "shadow_price"] == pytest.approx(marginal.iloc[0])
    assert plan_of(tables["budget"], "markov")["spend"]["微信"] > spend["微信"]


def test_tables_are_as_declared_and_channels_without_spend_are_named() -> None:
    plan = propose_budget(RETURNS, options(), ground=Ground(end=dt.date(2024, 3, 31)))
    for name, table in plan.tables.items():
        assert tuple(table.columns) == output_tables()[name].column_names
    assert plan.left_out == ("direct",)
    assert set(plan.tables["budget"]["valid_until"]) == {"2024-06-29"}
    assert set(plan.tables["budget"]["estimand"]) == {"allocated"}
    assert "allocated, not incremental" in plan.notes[0]


def test_a_step_is_at_most_thirty_per_cent_unless_said() -> None:
    table = plan_of(propose_budget(RETURNS, BudgetOptions(total=310)).tables["budget"])
    assert table["change"].abs().max() <= 0.3 + 1e-9
    assert table.loc["search", "binding"] == "step limit"


def test_floors_ceilings_reserve_and_groups_bind_by_name() -> None:
    asked = options(
        floors={"mail": 60},
        ceilings={"search": 150},
        reserve={"tools": 30},
        groups=[{"name": "paid", "channels": ["mail", "微信"], "ceiling_share": 0.4}],
    )
    tables = propose_budget(RETURNS, asked).tables
    table, limits = plan_of(tables["budget"]), plan_of(tables["budget_limits"])
    assert table.loc["mail", "binding"] == "floor"
    assert table.loc["search", "spend"] == pytest.approx(150)
    assert table.loc["search", "binding"] == "ceiling"
    assert limits.loc["ceiling of group 'paid'", "used"] == pytest.approx(0.4 * 300)
    assert limits.loc["ceiling of group 'paid'", "binds"]
    assert not limits.loc["total", "binds"]
    scenario = plan_of(tables["budget_scenarios"]).loc["linear"]
    assert scenario["unspent"] == pytest.approx(30)


def test_a_brand_floor_is_a_share_of_what_channels_get() -> None:
    tables = propose_budget(RETURNS, options(brand_channels=["mail"], brand_floor=0.5)).tables
    assert plan_of(tables["budget"]).loc["mail", "spend"] == pytest.approx(165, rel=1e-6)
    assert plan_of(tables["budget_limits"]).loc["floor of group 'brand'", "shadow_price"] > 0


def test_a_return_of_nothing_divides_no_money() -> None:
    with pytest.raises(InputError, match=r"returns any revenue under any model.*objective = 'conversions'"):
        propose_budget(RETURNS.assign(value=0.0), options())
    assert propose_budget(RETURNS.assign(value=0.0), options(objective="conversions")).tables


def test_a_unit_of_total_more_moves_limits_that_are_shares_of_it() -> None:
    """Against what another total brings; the ceiling leaves money unspent, so that the total itself does not bind."""
    group = {"name": "paid", "channels": ["mail", "微信"], "ceiling_share": 0.4}
    for asked in (
        {"groups": [group], "ceilings": {"search": 150}},
        {"groups": [group]},
        {"brand_channels": ["mail"], "brand_floor": 0.5, "reserve": {"tools": 30}},
    ):
        found = [propose_budget(RETURNS, options(**asked, total=330 + more)).tables for more in (-0.5, 0, 0.5)]
        less, now, more = (plan_of(tables["budget_scenarios"]).loc["linear"] for tables in found)
        assert now["shadow_price"] == pytest.approx(more["return"] - less["return"], rel=1e-3)
        assert now["shadow_price"] > 0
        limits = plan_of(found[1]["budget_limits"])
        assert limits.loc["total", "shadow_price"] == now["shadow_price"]
        assert limits.loc["total", "binds"] == (now["unspent"] < 1e-6)


def test_capacity_holds_conversions_back() -> None:
    tables = propose_budget(RETURNS, options(total=600, capacity=38)).tables
    limits = plan_of(tables["budget_limits"])
    assert limits.loc["capacity", "used"] == pytest.approx(38, rel=1e-6)
    assert limits.loc["capacity", "shadow_price"] > 0
    table = plan_of(tables["budget"])
    leads = (np.array([5.0, 20, 10]) * np.sqrt(table["spend"] / table["spend_today"])).sum()
    assert leads <= 38 * (1 + 1e-6)


@pytest.mark.parametrize(
    ("asked", "today"),
    [
        ({"objective": "conversions"}, [5.0, 20, 10]),
        ({"objective": "revenue"}, [100.0, 400, 200]),
        ({"objective": "margin"}, [40.0, 160, 80]),
        ({"objective": "new_customers"}, [2.0, 8, 9]),
        ({"objective": "ltv"}, [150.0, 600, 300]),
    ],
)
def test_objectives(asked: dict[str, object], today: list[float]) -> None:
    table = plan_of(propose_budget(ON_ALL, options(**asked), unit_economics=ECONOMICS).tables["budget"])
    np.testing.assert_allclose(table["return_today"], today)


def test_an_objective_that_returns_do_not_know_is_refused() -> None:
    for objective, hint in (
        ("margin", r"returns.margin"),
        ("ltv", "column 'ltv'"),
        ("new_customers", "unit_economics"),
    ):
        with pytest.raises(InputError, match=hint):
            propose_budget(RETURNS, options(objective=objective))


def test_spend_is_that_of_the_costs_that_channels_are_ranked_by() -> None:
    loaded = RETURNS.assign(cost_basis="loaded", spend=RETURNS["spend"] * [2.0, 2, 2, 1, 3, 2, 2, 1])
    table = propose_budget(pd.concat([loaded, RETURNS]), options(total=660)).tables["budget"]
    assert plan_of(table)["spend_today"].tolist() == [100, 200, 300]
    # Shared costs that go by credit differ between models.
    assert plan_of(table, "markov")["spend_today"].tolist() == [150, 200, 300]
    plan = propose_budget(loaded.assign(roi=RETURNS["roi"].mask(RETURNS["channel"] == "mail")), options(total=500))
    # What a channel was only given of others' costs is no spend to move.
    assert set(plan.tables["budget"]["channel"]) == {"search", "微信"}
    assert set(plan.left_out) == {"mail", "direct"}


def test_capacity_may_count_arrivals_in_a_stage() -> None:
    stages = pd.concat(
        [RETURNS.assign(stage="lead", credit=100.0), RETURNS.assign(stage="SQL", credit=[9.0, 1, 0, 2] * 2)]
    ).assign(grain="channel")
    # Campaigns are in their channels.
    stages = pd.concat([stages, stages.assign(grain="campaign")])
    asked = options(total=600, capacity=11, capacity_stage="SQL")
    tables = propose_budget(
        RETURNS, asked, stage_credit=stages[["model", "stage", "grain", "channel", "credit"]]
    ).tables
    limits = plan_of(tables["budget_limits"])
    assert limits.loc["capacity of SQL", "binds"]
    grown = np.sqrt(plan_of(tables["budget"])["spend"] / plan_of(tables["budget"])["spend_today"])
    assert (grown * [9, 1, 0]).sum() == pytest.approx(11, rel=1e-6)
    with pytest.raises(InputError, match=r"'SLQ' is not a stage of the funnel.*did you mean 'SQL'"):
        propose_budget(RETURNS, options(capacity=11, capacity_stage="SLQ"), stage_credit=stages)
    with pytest.raises(InputError, match="needs a funnel with that stage"):
        propose_budget(RETURNS, asked)


def test_aversion_to_risk_lowers_it_and_needs_draws() -> None:
    with pytest.raises(InputError, match=r"risk_aversion needs resampling.*set resampling"):
        propose_budget(RETURNS, options(risk_aversion=1))
    rng = np.random.default_rng(0)
    names = ["mail", "search", "微信"]
    drawn = pd.DataFrame(rng.normal([100, 400, 200], [5, 200, 10], size=(400, 3)), columns=names)
    draws = {"linear": drawn, "markov": drawn}
    plain, averse = (
        plan_of(propose_budget(RETURNS, options(risk_aversion=aversion), draws=draws).tables["budget_scenarios"])
        for aversion in (0, 1)
    )
    assert averse.loc["linear", "return_sd"] < plain.loc["linear", "return_sd"]
    assert averse.loc["linear", "return"] < plain.loc["linear", "return"]
    table = plan_of(propose_budget(RETURNS, options(), draws=draws).tables["budget"])
    assert table.loc["微信", "probability_more"] < 0.05
    assert table.loc["search", "probability_more"] > 0.5


def test_sensitivity_says_what_a_wrong_bend_costs() -> None:
    plan = propose_budget(RETURNS, options(curvature=0.5, curvature_range=[0.2, 0.9]))
    scenarios = plan.tables["budget_scenarios"].query("model == 'linear'").set_index("scenario")
    assert list(scenarios.index) == ["plan", "more bend", "less bend", "today"]
    scenarios = scenarios.drop(index="today")
    assert scenarios.loc["plan", "regret"] == 0
    assert (scenarios.loc[["more bend", "less bend"], "regret"] > 0).all()
    gap = scenarios["return"] - scenarios["return_of_plan"]
    np.testing.assert_allclose(scenarios["regret"], gap, atol=1e-6)
    assert any("3 of 3 channels are assumed" in note for note in plan.notes)
    assert set(plan_of(plan.tables["budget"], scenario="more bend")["curvature"]) == {0.2}


def history(**spends: np.ndarray) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"channel": name, "period": range(len(x)), "spend": x, "return": 9 * x**0.7})
        for name, x in spends.items()
    ]
    return check_history(pd.concat(parts))


def test_curvature_comes_from_a_history_where_spend_has_varied() -> None:
    told = history(mail=np.linspace(1, 9, 20), search=np.full(20, 5.0))
    table = plan_of(propose_budget(RETURNS, options(), history=told).tables["budget"])
    assert table.loc["mail", "curvature"] == pytest.approx(0.7, abs=1e-4)
    assert table.loc["mail", "curvature_from"].startswith("fitted to 20 periods")
    assert table.loc["search", "curvature_from"].startswith("assumed; spend history is too flat for a curve")
    assert "no complete period of this channel" in table.loc["微信", "curvature_from"]
    told = history(mail=np.linspace(1, 9, 20), search=np.full(20, 5.0))
    with pytest.raises(InputError, match=r"channel 'search'.*too flat"):
        propose_budget(RETURNS, options(curves={"search": {"curvature": "history"}}), history=told)
    with pytest.raises(InputError, match="'mail' has no spend history"):
        propose_budget(RETURNS, options(curvature="history"))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"total": -5}, "total: must be greater than 0. Given: -5"),
        ({"total": float("nan")}, "total: must be a number"),
        ({"margin": 0.4}, "unknown key 'margin'"),
        ({"what_if": [{"name": "a"}]}, "needs either spend or shares"),
        ({"what_if": [{"name": "a", "shares": {"x": 0.7, "y": 0.4}}]}, "more than 1"),
        ({"what_if": [{"name": "a", "spend": {"x": float("nan")}}]}, "must be a number"),
        ({"what_if": [{"name": "a", "spend": {"x": 1}}] * 2}, "two what_if have one name"),
        ({"what_if": [{"name": "plan", "spend": {"x": 1}}]}, "this name is reserved"),
        ({"long_run": {}}, "long_run needs its own objective, or factors"),
        ({"long_run": {"factors": {"x": -1}}}, "greater than 0"),
        ({"objective": "clicks"}, "objective"),
        ({"floors": {"mail": -1}}, "greater than or equal to 0"),
        ({"ceilings": {"mail": float("nan")}}, "must be a number"),
        ({"capacity": float("inf")}, "finite"),
        ({"capacity_stage": "SQL"}, "no effect without capacity"),
        ({"brand_floor": 0.3}, "brand_floor and brand_channels go together"),
        ({"groups": [{"name": "a", "channels": ["x"]}] * 2}, "two groups have one name"),
        ({"groups": [{"name": "a", "channels": ["x"], "floor": 1, "floor_share": 0.1}]}, "floor or floor_share"),
        ({"curvature": 1.5}, "at most 1"),
        ({"curvature": 0.5, "curvature_range": [0.6, 0.7]}, "above the curvature"),
        ({"flors": {}}, "unknown key 'flors'.*did you mean 'floors'"),
    ],
)
def test_impossible_options_are_refused(asked: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        options(**asked)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"total": None}, "no total"),
        ({"floors": {"mial": 3}}, "'mial' is not a channel with spend.*did you mean 'mail'"),
        ({"floors": {"direct": 3}}, "'direct' is not a channel with spend"),
        ({"groups": [{"name": "g", "channels": ["tv"], "floor": 1}]}, "groups 'g': 'tv' is not a channel"),
        ({"reserve": {"tools": 400}}, "reserve of 400.00 uses up"),
        ({"floors": {"mail": 200, "search": 150}}, "330.00 to divide are less than the sum of floors, 350.00.*'mail'"),
        ({"step_limit": 0.3, "total": 100}, "less than the sum of floors, 210.00.*step limit of '微信'"),
        ({"floors": {"mail": 60}, "ceilings": {"mail": 50}}, "contradict.*floor of 'mail'.*ceiling of 'mail'"),
        ({"floors": {"mail": 80}, "step_limit": 0.3}, "contradict.*floor of 'mail'.*step limit of 'mail'"),
        (
            {
                "groups": [
                    {"name": "g", "channels": ["mail"], "floor": 70},
                    {"name": "h", "channels": ["mail", "search"], "ceiling": 60},
                ]
            },
            "contradict.*floor of group 'g': at least 70.00; ceiling of group 'h': at most 60.00",
        ),
        ({"floors": {"search": 100}, "capacity": 10}, "floors alone use more than the capacity"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused_by_name(asked: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        propose_budget(RETURNS, options(**asked))


def test_without_spend_there_is_nothing_to_start_from() -> None:
    with pytest.raises(InputError, match="no channel has spend"):
        propose_budget(RETURNS.assign(spend=np.nan), options())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"spend": -1.0}, r"spend is impossible in 20 rows\. Given: -1\.0"),
        ({"return": "many"}, "return is impossible"),
        ({"period": 1}, "the same period appears twice"),
    ],
)
def test_a_history_of_another_shape_is_refused(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_history(history(mail=np.linspace(1, 9, 20)).assign(**changed))
    with pytest.raises(InputError, match="no column 'return'"):
        check_history(history(mail=np.linspace(1, 9, 20)).drop(columns="return"))
