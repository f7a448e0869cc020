"""Lifetime value: from a helper, from a file of a model of its own, how soon it comes in, and its intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.returns import lifetime_value, payback_period
from attribution.schema.experiment import Experiment


def shop(customers: int, **columns: Any) -> dict[str, pd.DataFrame]:
    """One conversion of 80 each, after one touch of mail; it cost 25 a customer."""
    ids = np.arange(customers)
    touched = pd.DataFrame({"customer_id": ids, "touched_at": pd.Timestamp("2024-01-01"), "channel": "mail"})
    converted = pd.DataFrame({"customer_id": ids, "converted_at": pd.Timestamp("2024-01-04"), "value": 80.0, **columns})
    costs = pd.DataFrame({"channel": ["mail"], "amount": [25.0 * customers]})
    return {"touchpoints": touched, "conversions": converted, "costs": costs}


def run(tables: dict[str, pd.DataFrame], **parts: Any) -> at.Outcome:
    document = {
        "name": "lifetimes",
        "tables": {name: {"source": table} for name, table in tables.items()},
        "models": [{"model": "LastTouch"}],
        "output": {"unit_economics": True},
        **parts,
    }
    return at.run_experiment(Experiment.model_validate(document))


def unit(outcome: at.Outcome) -> pd.Series:
    return outcome.tables["unit_economics"].iloc[0]


def ltv_value(outcome: at.Outcome) -> float:
    returns = outcome.tables["returns"]
    return float(returns.loc[(returns["basis"] == "ltv") & (returns["channel"] == "mail"), "value"].iloc[0])


# ------------------------------------------------------------ by hand


def test_lifetime_value_is_a_sum_over_periods() -> None:
    by_hand = sum(0.4 * 30.0 * 0.9**t / 1.02**t for t in range(24))
    assert lifetime_value(30.0, retention=0.9, discount=0.02, periods=24, margin=0.4) == pytest.approx(by_hand)
    forever = 30.0 / (1 - 0.9 / 1.02)
    assert lifetime_value(30.0, retention=0.9, discount=0.02, periods=5000) == pytest.approx(forever)


@settings(max_examples=80, deadline=None)
@given(
    cac=st.floats(0, 500),
    retention=st.floats(0, 1),
    discount=st.floats(0, 0.3),
    periods=st.integers(1, 40),
    margin=st.floats(0.05, 1),
)
def test_payback_is_the_first_period_that_a_sum_reaches(
    cac: float, retention: float, discount: float, periods: int, margin: float
) -> None:
    earned, expected = 0.0, None
    for t in range(periods):
        earned += margin * 30.0 * (retention / (1 + discount)) ** t
        if earned >= cac * (1 - 1e-12):
            expected = t
            break
    found = payback_period(cac, 30.0, retention=retention, discount=discount, periods=periods, margin=margin)
    assert found == expected or (expected is not None and earned == pytest.approx(cac))


@pytest.mark.parametrize(
    "wrong",
    [{"cac": -1.0}, {"retention": 1.1}, {"discount": -0.1}, {"periods": 0}, {"periods": 1.5}, {"margin": 0.0}],
)
def test_what_has_no_payback(wrong: dict[str, float]) -> None:
    asked = {"cac": 10.0, "revenue": 5.0, "retention": 0.5, "discount": 0.0, "periods": 3} | wrong
    with pytest.raises(InputError, match=f"{next(iter(wrong))} (is out of its range|must be a whole number)"):
        payback_period(**asked)  # type: ignore[arg-type]


# ------------------------------------------------------------ in a run


def test_the_helper_in_a_run_and_when_it_pays_back() -> None:
    """25 spent on each; margin 0.4 × 30 × (1, 0.5, 0.25 …): 12, 18, 21, 22.5 … never reach it, at 0.6 in period 2."""
    course = {"revenue": 30.0, "retention": 0.5, "periods": 10}
    total = lifetime_value(30.0, retention=0.5, discount=0.0, periods=10)
    slow = run(shop(20), returns={"margin": 0.4, "lifetime": course})
    assert ltv_value(slow) == pytest.approx(20 * 0.4 * total)
    assert unit(slow)["lifetime_margin"] == pytest.approx(0.4 * total)
    assert np.isnan(unit(slow)["payback"])
    fast = run(shop(20), returns={"margin": 0.6, "lifetime": course})
    assert unit(fast)["payback"] == 1.0  # 18, 27
    assert payback_period(25.0, 30.0, retention=0.5, discount=0.0, periods=10, margin=0.6) == 1
    assert unit(fast)["ltv_to_cac"] == pytest.approx(0.6 * total / 25.0)


def test_an_ltv_of_ones_own_comes_in_along_the_course() -> None:
    """LTV 100 in four equal parts, margin 0.5: 12.5 a period, so that 25 are back in the second."""
    course = {"retention": 1.0, "periods": 4}
    found = unit(run(shop(20, ltv=100.0), returns={"margin": 0.5, "lifetime": course}))
    assert (found["lifetime_margin"], found["payback"]) == (50.0, 1.0)
    without = unit(run(shop(20, ltv=100.0), returns={"margin": 0.5}))
    assert np.isnan(without["payback"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"margin": 0.5, "lifetime": {"retention": 0.5, "periods": 3}}, "needs an amount of lifetime revenue"),
        ({"margin": 0.5, "lifetime": {"retention": 1.5, "periods": 3}}, "lifetime.retention"),
        ({"margin": 0.5, "lifetime": {"retention": 0.5, "periods": 0}}, "lifetime.periods"),
        ({"margin": 0.5, "lifetime": {"retention": 0.5}}, "lifetime.periods"),
        ({"lifetime": {"revenue": 9.0, "retention": 0.5, "periods": 3}}, "needs margin"),
        (
            {"margin": 0.5, "ltv": 9.0, "lifetime": {"revenue": 9.0, "retention": 0.5, "periods": 3}},
            "both say what a customer is worth",
        ),
    ],
)
def test_lifetimes_that_cannot_be(options: dict[str, Any], said: str) -> None:
    sources = at.load_sources(**shop(2))
    journeys = at.build_journeys(sources)
    credit = at.attribute(journeys, [at.LastTouch()])
    with pytest.raises(InputError, match=said):
        at.compute_returns(credit, sources, journeys=journeys, **options)


# ------------------------------------------------------------ a file of a model of its own


def test_a_file_of_expected_values_is_taken_as_ltv() -> None:
    tables = shop(4)
    # As a buy-till-you-die model gives it: customers in any order, some of them never seen here.
    tables["lifetimes"] = pd.DataFrame({"customer_id": [3, 9, 0, 1], "ltv": [10.0, 99.0, 20.0, 40.0]})
    outcome = run(tables, returns={"margin": 0.5, "ltv": 100.0})
    assert ltv_value(outcome) == 0.5 * (20 + 40 + 100 + 10)
    finding = outcome.tables["quality"].set_index("check").loc["no_lifetime"]
    assert (finding["count"], finding["total"], finding["example"]) == (1.0, 4.0, "2")
    with pytest.raises(InputError, match="1 conversion without ltv"):
        run(tables, returns={"margin": 0.5})


def test_what_a_conversion_says_goes_before_the_file_and_columns_are_mapped() -> None:
    tables = shop(3, ltv=[None, 7.0, None])
    values = pd.DataFrame({"id": ["0", "1", "2"], "predicted_clv": [10.0, 20.0, 30.0]})
    document = {
        "name": "lifetimes",
        "tables": {name: {"source": table} for name, table in tables.items()}
        | {"lifetimes": {"source": values, "columns": {"customer_id": "id", "ltv": "predicted_clv"}}},
        "models": [{"model": "LastTouch"}],
        "returns": {"margin": 1.0, "basis": "ltv"},
    }
    outcome = at.run_experiment(Experiment.model_validate(document))
    assert ltv_value(outcome) == 10.0 + 7.0 + 30.0


def test_ids_of_one_person_have_their_parts_added_up() -> None:
    tables = shop(2)
    tables["touchpoints"] = tables["touchpoints"].assign(customer_id=["é1", "cookie"])
    tables["conversions"] = tables["conversions"].assign(customer_id=["é1", "zoë"])
    tables["identities"] = pd.DataFrame({"visitor_id": ["cookie"], "customer_id": ["zoë"]})
    tables["lifetimes"] = pd.DataFrame({"customer_id": ["é1", "zoë", "cookie"], "ltv": [5.0, 10.0, 1.0]})
    assert ltv_value(run(tables, returns={"margin": 1.0})) == 16.0


@pytest.mark.parametrize(
    ("lifetimes", "said"),
    [
        ({"customer_id": [1, 1], "ltv": [1.0, 2.0]}, "table 'lifetimes': 1 customer with more than one row"),
        ({"customer_id": [1], "ltv": [-1.0]}, "column 'ltv': values are negative in 1 of 1 rows"),
        ({"customer_id": [1]}, "column 'ltv' is missing"),
    ],
)
def test_files_of_lifetimes_that_cannot_be(lifetimes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        at.load_sources(**shop(2), lifetimes=pd.DataFrame(lifetimes))


def test_paths_have_no_customers() -> None:
    paths = pd.DataFrame({"path": ["mail"], "conversions": [1]})
    with pytest.raises(InputError, match="'lifetimes' needs customers, and aggregated paths have none"):
        at.load_sources(paths=paths, lifetimes=pd.DataFrame({"customer_id": [1], "ltv": [1.0]}))
    with pytest.raises(InputError, match="aggregated paths have no new customers"):
        run({"paths": paths}, output={}, returns={"margin": 1, "lifetime": {"retention": 0.5, "periods": 2}})


# ------------------------------------------------------------ intervals


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_of_what_a_customer_costs(method: str) -> None:
    """Spend is fixed, so that the ends of CPA are spend over the ends of conversions, turned round."""
    tables = shop(400, is_new_customer=np.arange(400) % 2 == 0)
    outcome = run(tables, returns={"margin": 0.5, "ltv": 100.0}, resampling={"draws": 200, "method": method})
    found = unit(outcome)
    credited = outcome.tables["credit"].iloc[0]
    assert found["cpa_high"] == pytest.approx(10_000 / credited["conversions_low"], rel=2e-3)
    assert found["cpa_low"] == pytest.approx(10_000 / credited["conversions_high"], rel=2e-3)
    assert found["cac_low"] < found["cac"] == 50.0 < found["cac_high"]
    # All LTV are alike: the ratio is 0.5 × 100 ÷ CAC in every draw.
    assert found["ltv_to_cac_low"] == pytest.approx(50 / found["cac_high"], rel=2e-3)
    assert found["ltv_to_cac_high"] == pytest.approx(50 / found["cac_low"], rel=2e-3)


def test_without_draws_there_are_no_ends() -> None:
    found = unit(run(shop(5), returns={"margin": 0.5, "ltv": 100.0}))
    assert found[[name for name in found.index if name.endswith(("_low", "_high"))]].isna().all()
