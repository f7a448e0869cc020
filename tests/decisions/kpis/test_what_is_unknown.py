"""What targets say of the model that judges them, and of a metric that a run does not know."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

import attribution as at
from attribution.decisions.kpis import Run, check_targets, measure, read_targets, target_findings
from attribution.decisions.kpis.attainment import model_note

pytestmark = pytest.mark.filterwarnings("ignore")


def shop(*, costs: bool = True, **more: object) -> Run:
    tables: dict[str, object] = {
        "touchpoints": pd.DataFrame({"customer_id": [1, 2], "touched_at": "2024-03-01", "channel": ["letter", "web"]}),
        "conversions": pd.DataFrame({"customer_id": [1, 2], "converted_at": "2024-03-02", "value": [30.0, 20.0]}),
    }
    if costs:
        tables["costs"] = pd.DataFrame({"channel": ["letter", "web"], "amount": [4.0, 6.0]})
    models = [{"model": "Linear"}, {"model": "FirstTouch"}]
    return at.run_of(at.run_experiment(at.Experiment(**{"name": "shop", "tables": tables, "models": models} | more)))


@pytest.fixture(scope="module")
def plain() -> Run:
    return shop()


def sentence(folder: Path, run: Run, **target: object) -> tuple[str, str | None]:
    keys = {"metric": "roi", "unit": "1", "target": 1, "period": "2024", "owner": "Bo"} | target
    lines = [f"{key} = {value!r}" for key, value in keys.items()]
    path = folder / "targets.toml"
    path.write_text("\n".join(['experiment = "shop.toml"', "[[targets]]", *lines]), encoding="utf-8")
    targets = read_targets(path)
    return target_findings(check_targets(targets, run))[0], model_note(targets, run)


@pytest.mark.parametrize(
    ("metric", "needs"),
    [
        ("cac", "it needs `[output] unit_economics = true`"),
        ("new_customers", "it needs `[output] unit_economics = true`"),
        ("ltv_to_cac", "`[output] unit_economics = true` and `[returns] margin` with `ltv` or `lifetime`"),
    ],
)
def test_a_metric_that_is_unknown_names_the_setting_that_it_needs(plain: Run, metric: str, needs: str) -> None:
    assert needs in measure(plain, metric).why


def test_all_that_is_missing_is_named() -> None:
    why = measure(shop(costs=False), "cac").why
    assert why == "it needs costs of these channels (`[tables.costs]`) and `[output] unit_economics = true`"
    known = shop(output={"unit_economics": True})
    assert measure(known, "ltv_to_cac").why.endswith("it needs `[returns] margin` with `ltv` or `lifetime`")
    assert measure(known, "cac").value == pytest.approx(5.0)


def test_what_is_divided_by_nothing_says_so(plain: Run) -> None:
    returns = plain.tables["returns"].assign(conversions=0.0)
    without = dataclasses.replace(plain, tables={**plain.tables, "returns": returns})
    assert measure(without, "cpa").why == "what it is divided by is 0 in this run"


def test_a_sentence_names_the_model_that_judges(plain: Run, tmp_path: Path) -> None:
    said, note = sentence(tmp_path, plain, channel="web")
    assert said.startswith("ROI of web under linear is ")
    assert note is not None
    assert "judged by linear, the first of the run. The run has first_touch too" in note
    said, note = sentence(tmp_path, plain, channel="web", model="first_touch")
    assert said.startswith("ROI of web under first_touch is ")
    assert note is None


def test_what_is_counted_is_of_no_model(plain: Run, tmp_path: Path) -> None:
    assert sentence(tmp_path, plain, metric="value")[0].startswith("Value is 50. ")


def test_a_sentence_says_why_nothing_is_known(plain: Run, tmp_path: Path) -> None:
    said, _ = sentence(tmp_path, plain, metric="cac", unit="EUR")
    assert said.startswith(
        "CAC under linear is unknown: it needs `[output] unit_economics = true`. The target, at most 1"
    )
