"""What a run refuses before or without a fitted model, a check of its data refuses with the same words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")

DAYS = pd.date_range("2024-03-01", periods=12, freq="D")
CHANNELS = ["letter", "radio", "web"]


def touchpoints(**more: Any) -> pd.DataFrame:
    table = pd.DataFrame({"customer_id": np.arange(12) % 8, "touched_at": DAYS, "channel": CHANNELS * 4})
    return table.assign(**more)


def orders(**more: Any) -> pd.DataFrame:
    table = pd.DataFrame({"customer_id": [0, 1, 2, 3], "converted_at": DAYS[-4:], "value": [5.0, 7.0, 9.0, 4.0]})
    return table.assign(**more)


def costs(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"channel": CHANNELS, "amount": [3.0, 2.0, 1.0]}).assign(**more)


def mapped(table: pd.DataFrame) -> at.TableSpec:
    """With every column read, those that no contract knows too."""
    return at.TableSpec(source=table, columns={str(name): str(name) for name in table})


def people(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": np.arange(10)}).assign(**more)


def stages(**more: Any) -> pd.DataFrame:
    table = pd.DataFrame({"customer_id": [0, 1, 0], "stage": ["lead", "lead", "won"], "stage_time": DAYS[-3:]})
    return table.assign(**more)


FUNNEL = {"stages": ["lead", "won"]}
LOG = {"touchpoints": touchpoints(), "conversions": orders()}
PAID = {**LOG, "costs": costs()}
PATHS = {"paths": pd.DataFrame({"path": ["letter > web", "radio"], "conversions": [3, 2], "value": [30.0, 10.0]})}
NULLS = {"paths": PATHS["paths"].assign(nulls=[0, 5])}
ORDER_ONLY = {
    "touchpoints": touchpoints(touched_at=np.arange(12)),
    "conversions": orders(converted_at=[8, 9, 10, 11]),
}
NOBODY = {"touchpoints": touchpoints(), "conversions": orders().iloc[:0]}
SHARED = {
    **LOG,
    "costs": pd.DataFrame({"channel": ["letter", None], "amount": [3.0, 2.0], "cost_type": ["media", "pay"]}),
}
MANY = {
    "paths": pd.DataFrame({"path": [" > ".join(f"c{n}" for n in range(26)), ""], "conversions": [9, 1], "nulls": 9})
}
BEFORE = {"end": "2024-03-05"}
SHAPLEY: dict[str, Any] = {"model": "Shapley"}

WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # settings of models
    "a model that does not exist": (LOG, {"models": [{"model": "Lats"}]}),
    "a setting that a model has not": (LOG, {"models": [{"model": "Linear", "half_life": 3}]}),
    "an impossible half-life": (LOG, {"models": [{"model": "TimeDecay", "half_life_days": -1}]}),
    "an impossible order": (LOG, {"models": [{"model": "Markov", "order": 0}]}),
    "shares above one": (LOG, {"models": [{"model": "PositionBased", "first": 0.8, "last": 0.8}]}),
    "two models of one name": (LOG, {"models": [{"model": "Linear"}, {"model": "Linear"}]}),
    "an unknown game": (LOG, {"models": [SHAPLEY | {"game": "chess"}]}),
    "a tolerance of nothing": (LOG, {"models": [SHAPLEY | {"tolerance": 0}]}),
    "a classifier that cannot be loaded": (LOG, {"models": [SHAPLEY | {"game": "classifier", "classifier": "no:No"}]}),
    "weights that are no list": (LOG, {"models": [{"model": "CustomWeights", "weights": 3}]}),
    "a module that is not there": (LOG, {"models": [{"model": "no_such_module:Mine"}]}),
    # models and data
    "a time-based model without times": (ORDER_ONLY, {"models": [{"model": "TimeDecay"}]}),
    "a time-based model of paths": (PATHS, {"models": [{"model": "TimeDecay"}]}),
    "stages that no column marks": (LOG, {"models": [{"model": "WShaped"}]}),
    "a stage that no touchpoint has": (
        {**LOG, "touchpoints": mapped(touchpoints(stage="seen"))},
        {"models": [{"model": "WShaped", "lead": "lead"}]},
    ),
    "a continuation without journeys that failed": (PATHS, {"models": [{"model": "Markov", "continuation": 0.1}]}),
    "a continuation of no channel": (NULLS, {"models": [{"model": "Markov", "continuation": {"tv": 0.1}}]}),
    "a rate without untouched customers": (LOG, {"models": [SHAPLEY | {"game": "rate"}]}),
    "a rate of paths without nulls": (PATHS, {"models": [SHAPLEY | {"game": "path_incremental"}]}),
    "a classifier without failures": (PATHS, {"models": [SHAPLEY | {"game": "classifier"}]}),
    "an exact game of too many": (MANY, {"models": [SHAPLEY | {"game": "rate", "method": "exact"}]}),
    "an exact path of too many": (MANY, {"models": [SHAPLEY | {"game": "path_incremental", "method": "exact"}]}),
    "an exact classifier of too many": (MANY, {"models": [SHAPLEY | {"game": "classifier", "method": "exact"}]}),
    # journeys
    "a window on positions": (ORDER_ONLY, {"journeys": {"lookback_days": 3}}),
    "a period of paths": (PATHS, {"period": {"start": "2024-01-01"}}),
    "a window of no channel": (LOG, {"journeys": {"lookback_by_channel": {"tv": 3}}}),
    "a segment that is no column": ({**LOG, "customers": people()}, {"journeys": {"segment": "country"}}),
    "a customer of two segments": (
        {**LOG, "customers": pd.concat([people(country="x"), people(country="y")])},
        {"journeys": {"segment": "country"}},
    ),
    "more channels than asked for": (LOG, {"most_channels": 2}),
    "direct channels that are nowhere": (LOG, {"journeys": {"lookback_by_kind": {"click": 2}}}),
    # returns
    "a margin that is not known": (PAID, {"returns": {"basis": "margin"}}),
    "a conversion without margin": (
        {**PAID, "conversions": orders(margin=[1.0, None, 2.0, 3.0])},
        {"returns": {"basis": "margin"}},
    ),
    "loaded costs without types": (PAID, {"returns": {"cost_basis": "loaded"}}),
    "spend from where there is none": (LOG, {"returns": {"spend_from": "costs"}}),
    "spend that is told twice": ({**PAID, "touchpoints": touchpoints(cost=1.0)}, {}),
    "currencies without a rate": ({**LOG, "costs": costs(currency=["EUR", "USD", "USD"])}, {}),
    "fees of no channel": (PAID, {"returns": {"fee_rate": {"tv": 0.1}}}),
    "days of no type of cost": (PAID, {"returns": {"amortise_days": {"tools": 30}}}),
    "shared by no channel": (SHARED, {"returns": {"shared_by": {"tv": 1.0}}}),
    "new customers of paths": (PATHS, {"output": {"unit_economics": True}}),
    "a lifetime without an amount": (
        PAID,
        {"returns": {"margin": 0.5, "lifetime": {"retention": 0.5, "periods": 3}}},
    ),
    # sections
    "an option that no section has": (LOG, {"stabilty": {}}),
    "a key that a section has not": (LOG, {"stability": {"prats": 3}}),
    "draws without resampling": (LOG, {"output": {"draws": True}}),
    "resampling without conversions": (LOG, {"resampling": {"draws": 60}, "period": BEFORE}),
    "credit of journeys that are paths": (PATHS, {"output": {"journey_credit": True}}),
    "a placebo without times": (PATHS, {"placebo": {}}),
    "a placebo that is everywhere": (LOG, {"placebo": {"rate": 5000}}),
    "parts of no time": (ORDER_ONLY, {"stability": {}}),
    "sensitivity without costs": (LOG, {"sensitivity": {}}),
    "sensitivity of a window on paths": ({**PATHS, "costs": costs()}, {"sensitivity": {"lookback_days": [3, 9]}}),
    "sensitivity to costs without types": (PAID, {"sensitivity": {"cost_bases": ["media", "loaded"]}}),
    "sensitivity to direct traffic that is none": (PAID, {"sensitivity": {"direct": ["keep", "drop"]}}),
    "sensitivity where nothing converts": (PAID, {"sensitivity": {}, "period": BEFORE}),
    "a table without a row": (NOBODY, {}),
    "sensitivity where nothing is worth anything": (
        {**PAID, "conversions": orders(value=0.0)},
        {"sensitivity": {}},
    ),
    "stages without a funnel": ({**LOG, "stages": stages()}, {}),
    "a funnel without stages": (LOG, {"funnel": FUNNEL}),
    "a stage that the funnel has not": ({**LOG, "stages": stages(stage="seen")}, {"funnel": FUNNEL}),
    "loaded costs of a funnel": (
        {**PAID, "stages": stages()},
        {"funnel": FUNNEL | {"cost_basis": "loaded"}},
    ),
    "slices that are no column": (LOG, {"output": {"slices": ["creative"]}}),
    "slices that are ids": (
        {**LOG, "touchpoints": mapped(pd.concat([touchpoints()] * 100).assign(page=np.arange(1200).astype(str)))},
        {"output": {"slices": ["page"]}},
    ),
    # tables
    "a column that is missing": ({**LOG, "conversions": orders().drop(columns="converted_at")}, {}),
    "a date that is none": ({**LOG, "conversions": orders(converted_at="the day after")}, {}),
    "an amount that is none": ({**LOG, "conversions": orders(value="much")}, {}),
    "rules without raw columns": (LOG, {"channels": {"own_sites": ["shop.example"]}}),
}


def shop(tables: dict[str, Any], more: dict[str, Any]) -> at.Experiment:
    asked: dict[str, Any] = {"name": "shop", "tables": tables, "models": [{"model": "Linear"}]}
    return at.Experiment(**asked | more)


def refusal(tables: dict[str, Any], more: dict[str, Any], *, run: bool) -> str:
    ask = at.run_experiment if run else at.check_quality
    with pytest.raises(InputError) as caught:
        ask(shop(tables, more))
    return str(caught.value)


@pytest.mark.parametrize("what", WRONG)
def test_a_check_of_the_data_refuses_what_a_run_refuses(what: str) -> None:
    tables, more = WRONG[what]
    assert refusal(tables, more, run=False) == refusal(tables, more, run=True)


def test_there_are_many_of_them() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize(
    ("tables", "more"),
    [
        (PAID, {"models": [{"model": "Markov"}, SHAPLEY], "stability": {"parts": 2}, "placebo": {}}),
        (NULLS, {"models": [{"model": "Markov", "continuation": 0.1}]}),
        ({**LOG, "customers": people()}, {"models": [SHAPLEY | {"game": "rate"}, SHAPLEY | {"game": "classifier"}]}),
        ({**PAID, "stages": stages()}, {"funnel": FUNNEL, "journeys": {"conversions": "cumulative"}}),
    ],
)
def test_what_a_run_takes_is_not_refused(tables: dict[str, Any], more: dict[str, Any]) -> None:
    experiment = shop(tables, more)
    checked = at.check_quality(experiment)
    assert set(checked["check"]) <= set(at.run_experiment(experiment).tables["quality"]["check"])
