"""Costs for each of something in draws that have none of it: infinite there, and the interval stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at

pytestmark = pytest.mark.filterwarnings("ignore")

DRAWS = 400


def unit_economics(*, mail: int, method: str = "percentile", **more: Any) -> pd.DataFrame:
    """Unit economics by channel of a shop with 40 customers of web and a few of mail, who bought once each."""
    ids = np.arange(40 + mail)
    channel = np.where(ids < mail, "mail", "web")
    tables = {
        "touchpoints": pd.DataFrame({"customer_id": ids, "touched_at": "2024-01-02", "channel": channel}),
        "conversions": pd.DataFrame({"customer_id": ids, "converted_at": "2024-01-03", "value": 30.0}),
        "costs": pd.DataFrame({"channel": ["mail", "web"], "amount": [60.0, 600.0]}),
    }
    settings = {
        "tables": tables,
        "models": [{"model": "LastTouch"}],
        "resampling": {"draws": DRAWS, "method": method},
        "output": {"unit_economics": True, "draws": True},
        "returns": {"margin": 0.5, "ltv": 100.0},
    }
    outcome = at.run_experiment(at.Experiment.model_validate({"name": "shop", **settings, **more}))
    drawn = outcome.tables["draws"].pivot(index="draw", columns="channel", values="conversions")
    table = outcome.tables["unit_economics"].set_index("channel")
    return table.assign(share=(drawn == 0).mean(), least=drawn.quantile(0.05), most=drawn.quantile(0.95))


def test_a_few_draws_without_a_customer_leave_both_ends() -> None:
    """Five customers: e⁻⁵, so that about 3 of 400 draws have none of them."""
    found = unit_economics(mail=5).loc["mail"]
    assert 0 < found["cac_empty_draws"] < 0.03
    assert found["cac_empty_draws"] == found["cpa_empty_draws"] == found["share"]
    for name in ("cpa", "cac"):
        assert found[f"{name}_low"] == pytest.approx(60 / found["most"])
        assert found[f"{name}_high"] == pytest.approx(60 / found["least"])
    assert found["ltv_to_cac_low"] == pytest.approx(50 * found["least"] / 60)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_many_draws_without_a_customer_leave_the_lower_end(method: str) -> None:
    """Two customers: e⁻², so that about 54 of 400 draws have neither."""
    table = unit_economics(mail=2, method=method)
    found = table.loc["mail"]
    assert 0.08 < found["cac_empty_draws"] < 0.2
    for name in ("cpa", "cac"):
        assert 0 < found[f"{name}_low"] < found[name] == 30.0
        assert np.isnan(found[f"{name}_high"])
    assert found["ltv_to_cac_low"] == 0.0
    web = table.loc["web"]
    assert web["cac_empty_draws"] == 0.0
    assert web["cac_low"] < web["cac"] == 15.0 < web["cac_high"]


def test_without_draws_there_is_no_share_of_them() -> None:
    tables = {
        "touchpoints": pd.DataFrame({"customer_id": [1], "touched_at": "2024-01-02", "channel": "mail"}),
        "conversions": pd.DataFrame({"customer_id": [1], "converted_at": "2024-01-03"}),
        "costs": pd.DataFrame({"channel": ["mail"], "amount": [60.0]}),
    }
    settings = {"tables": tables, "models": [{"model": "LastTouch"}], "output": {"unit_economics": True}}
    outcome = at.run_experiment(at.Experiment.model_validate({"name": "shop", **settings}))
    assert outcome.tables["unit_economics"][["cpa_empty_draws", "cac_empty_draws"]].isna().all(axis=None)


@pytest.mark.parametrize(("mail", "web"), [(3, 20), (2, 2)])
def test_costs_shared_by_credit_are_unknown_in_draws_without_credit(mail: int, web: int) -> None:
    """Mail costs nothing but its part of labour: where it has no credit 0 ÷ 0, and where nobody has any nothing."""
    ids = np.arange(mail + web)
    tables = {
        "touchpoints": pd.DataFrame(
            {"customer_id": ids, "touched_at": "2024-01-02", "channel": np.where(ids < mail, "mail", "web")}
        ),
        "conversions": pd.DataFrame({"customer_id": ids, "converted_at": "2024-01-03", "value": 30.0}),
        "costs": pd.DataFrame(
            {
                "channel": ["mail", "web", None],
                "cost_type": ["media", "media", "labour"],
                "amount": [0.0, 20.0, 50.0],
            }
        ),
    }
    settings = {
        "tables": tables,
        "models": [{"model": "LastTouch"}],
        "resampling": {"draws": DRAWS},
        "output": {"draws": True},
        "returns": {"cost_basis": "loaded", "shared_by": "credit"},
    }
    found = at.run_experiment(at.Experiment.model_validate({"name": "shop", **settings})).tables
    ranks = found["rank_probability"]
    assert ranks.groupby("channel")["probability"].sum().tolist() == pytest.approx([1.0, 1.0])
    between = found["differences"].query("measure == 'roi' and channel_a != channel_b")
    assert between["probability"].between(0.5, 1.0).all()
    spend = found["draws"].pivot(index="draw", columns="channel", values="spend")
    credit = found["draws"].pivot(index="draw", columns="channel", values="conversions")
    assert spend.isna().all(axis=1).equals(credit.sum(axis=1) == 0)
    assert spend.dropna().sum(axis=1).to_numpy() == pytest.approx(70.0)
