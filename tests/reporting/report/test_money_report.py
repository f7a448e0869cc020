"""Returns and costs in the report, as pictures and as metrics: the numbers are those of the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.reporting import charts
from attribution.returns.returns_section import money_grids, money_sentences, returns_metrics
from attribution.schema.experiment import Experiment
from tests.reporting.drawn import all_figures, page_of

FAIR = "展会 🎪 <b>"
COSTS = pd.DataFrame(
    {
        "channel": ["mail", "mail", "search", FAIR, None],
        "cost_type": ["media", "labour", "media", "venue", "tools"],
        "amount": [100.0, 290.0, None, 40.0, 10.0],
        "cost_low": [None, None, 40.0, None, None],
        "cost_high": [None, None, 900.0, None, None],
    }
)


def run(costs: pd.DataFrame = COSTS, **parts: Any) -> at.Outcome:
    ids = np.arange(90)
    names = np.array(["mail", "search", FAIR], dtype=object)
    touched = pd.DataFrame({"customer_id": ids, "touched_at": pd.Timestamp("2024-01-01"), "channel": names[ids % 3]})
    converted = pd.DataFrame({"customer_id": ids, "converted_at": pd.Timestamp("2024-01-04"), "value": 10.0})
    document = {
        "name": "money",
        "tables": {
            "touchpoints": {"source": touched},
            "conversions": {"source": converted},
            "costs": {"source": costs},
        },
        "models": [{"model": "Linear"}, {"model": "LastTouch"}],
        **parts,
    }
    return at.run_experiment(Experiment.model_validate(document))


ASKED = {
    "returns": {"margin": 0.4, "ltv": 50.0},
    "output": {"unit_economics": True},
    "resampling": {"draws": 50},
}


@pytest.fixture(scope="module")
def outcome() -> at.Outcome:
    return run(**ASKED)


def test_media_and_loaded_roi_stand_side_by_side(outcome: at.Outcome) -> None:
    section = money_grids(outcome.tables)
    assert section is not None
    grid = section["roi"]
    assert isinstance(grid, pd.DataFrame)
    assert list(grid.columns) == [
        *("model", "channel", "revenue, media cost", "revenue, loaded cost", "margin, media cost"),
        *("margin, loaded cost", "ltv, media cost", "ltv, loaded cost"),
    ]
    row = grid[(grid["model"] == "linear") & (grid["channel"] == "mail")].iloc[0]
    # 300 of value on 100 of media: ROI 2; all costs are 390, and of 10 for tools 100 ÷ 570 at the middle of search.
    assert row["revenue, media cost"].startswith("2.00 [")
    assert row["revenue, loaded cost"].startswith(f"{300 / (390 + 10 * 100 / 570) - 1:.2f} [")


def test_what_full_costs_and_unknown_costs_do_is_said(outcome: at.Outcome) -> None:
    lost, unsure = money_sentences(outcome.tables)
    assert lost == (
        "On revenue, these channels pay back their media cost but not all their costs: mail (under 2 of 2 models)."
    )
    assert unsure.startswith("Because costs are uncertain, mail and search may have the same ROI")
    plain = run(COSTS[["channel", "cost_type"]].assign(amount=1.0))
    assert money_sentences(plain.tables) == []


def test_the_section_is_in_the_report_and_escaped(outcome: at.Outcome) -> None:
    figures = all_figures(outcome.tables)
    page = page_of("money", outcome.tables, figures, outcome.settings)
    assert '<h2 id="money">' in page
    assert "What a customer costs and brings" in page
    assert "<b>" not in page
    assert {"costs_by_type", "roi_within_bounds"} <= {figure.name for figure in figures}


def test_a_run_on_revenue_and_media_alone_has_no_such_section() -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [10.0]})
    tables = run(costs).tables
    assert money_grids(tables) is None
    assert '<h2 id="money">' not in page_of("plain", tables, [], {})
    names = {figure.name for figure in all_figures(tables)}
    assert not {"costs_by_type", "roi_within_bounds"} & names
    assert {name.partition("/")[0] for name in returns_metrics(tables, "linear")} == {"roi", "rank", "conversions"}


def test_the_cost_picture_holds_every_known_cost(outcome: at.Outcome) -> None:
    figure = charts.costs_by_type(outcome.tables["cost_sensitivity"])
    drawn = figure.table.set_index(["channel", "cost_type"])["amount"].to_dict()
    assert drawn == {
        ("search", "media"): 470.0,
        ("mail", "media"): 100.0,
        ("mail", "labour"): 290.0,
        (FAIR, "venue"): 40.0,
        ("(shared)", "tools"): 10.0,
    }
    assert list(dict.fromkeys(figure.table["channel"])) == ["search", "mail", FAIR, "(shared)"]
    assert len(charts.to_svg(figure)) > 1000
    with pytest.raises(InputError, match="no channel has a cost"):
        charts.costs_by_type(outcome.tables["cost_sensitivity"].assign(own=np.nan))


def test_the_picture_of_bounds_is_the_table(outcome: at.Outcome) -> None:
    costs = outcome.tables["cost_sensitivity"]
    figure = charts.roi_within_bounds(costs)
    first = costs.query("cost_type == '(all)' and basis == 'revenue' and cost_basis == 'media'")
    keys = ["model", "channel"]
    pd.testing.assert_frame_equal(
        figure.table.set_index(keys)[["roi_low", "roi", "roi_high"]].sort_index(),
        first.set_index(keys)[["roi_low", "roi", "roi_high"]].sort_index(),
    )
    assert "mail and search" in figure.caption


def test_metrics_are_those_of_the_tables(outcome: at.Outcome) -> None:
    metrics = outcome.sections.metrics(outcome.tables, "linear")
    returns = outcome.tables["returns"].query("model == 'linear'").set_index(["basis", "cost_basis", "channel"])
    assert metrics["roi_ltv_loaded/mail"] == returns.loc[("ltv", "loaded", "mail"), "roi"]
    assert metrics["roi_ltv_loaded_low/mail"] == returns.loc[("ltv", "loaded", "mail"), "roi_low"]
    assert not any(name.startswith("roi_revenue_media") for name in metrics)
    unit = outcome.tables["unit_economics"].query("model == 'linear'").set_index(["cost_basis", "channel"])
    assert metrics[f"cac_loaded/{FAIR}"] == unit.loc[("loaded", FAIR), "cac"]
    assert metrics["roi_at_highest_cost/search"] == pytest.approx(300 / 900 - 1)
    assert metrics["roi_at_lowest_cost/search"] == pytest.approx(300 / 40 - 1)
