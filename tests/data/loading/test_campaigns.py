"""Campaigns in place of channels: credit and costs of each, and costs that name no campaign."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.returns import own_costs, read_costs
from attribution.schema.experiment import Experiment

TOUCHPOINTS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "b", "c", "d"],
        "touched_at": pd.to_datetime(
            ["2024-01-01", "2024-01-03", "2024-01-02", "2024-01-04", "2024-01-05", "2024-01-05"]
        ),
        "channel": ["search", "search", "search", "mail", "search", "展会 🎪"],
        "campaign": ["brand", "generic", "brand", None, None, "春季"],
    }
)
CONVERSIONS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "converted_at": pd.to_datetime("2024-01-06"),
        "value": [100.0, 40.0, 8.0, 5.0],
    }
)
COSTS = pd.DataFrame(
    {
        "channel": ["search", "search", "search", "mail", "search", None],
        "campaign": ["brand", "generic", "old", None, None, None],
        "amount": [10.0, 20.0, 7.0, 3.0, 8.0, 6.0],
        "cost_type": ["media", "media", "media", "media", "labour", "tools"],
    }
)
PARTS = ["search / brand", "search / generic", "search"]


def run(touchpoints: pd.DataFrame = TOUCHPOINTS, costs: pd.DataFrame = COSTS, **parts: Any) -> at.Outcome:
    tables = {"touchpoints": touchpoints, "conversions": CONVERSIONS, "costs": costs}
    document = {
        "name": "campaigns",
        "tables": {name: {"source": table} for name, table in tables.items()},
        "models": [{"model": "Linear"}, {"model": "Markov"}],
        **parts,
    }
    return at.run_experiment(Experiment.model_validate(document))


def test_every_campaign_has_its_credit_its_cost_and_its_rank() -> None:
    """Labour of search (8, no campaign) goes by touchpoints: 2 of brand, 1 of generic, 1 without a campaign."""
    outcome = run(grain="campaign", returns={"cost_basis": "loaded"})
    table = outcome.tables["returns"].query("model == 'linear'").set_index(["cost_basis", "channel"])
    media = table.loc["media"]
    assert media["value"].drop("(unattributed)").to_dict() == {
        "search / brand": 70.0,
        "search / generic": 50.0,
        "search / old": 0.0,
        "search": 8.0,
        "mail": 20.0,
        "展会 🎪 / 春季": 5.0,
    }
    assert media["spend"].dropna().to_dict() == {
        "search / brand": 10.0,
        "search / generic": 20.0,
        "search / old": 7.0,
        "mail": 3.0,
    }
    assert media.loc["search / brand", "roi"] == 6.0
    labour = own_costs(outcome.tables["cost_sensitivity"]).query("cost_type == 'labour' and is_known")
    assert labour.set_index("channel")["amount"].to_dict() == {
        "search / brand": 4.0,
        "search / generic": 2.0,
        "search": 2.0,
    }
    finding = outcome.tables["quality"].set_index("check").loc["cost_without_campaign"]
    assert (finding["status"], finding["count"], finding["example"]) == ("warn", 1.0, "search")
    assert outcome.settings["grain"] == "campaign"


def test_campaigns_of_a_channel_add_up_to_it() -> None:
    by_channel, by_campaign = (run(grain=grain).tables for grain in ("channel", "campaign"))
    whole, parts = (
        tables["credit"].query("model == 'linear'").set_index("channel")["value"]
        for tables in (by_channel, by_campaign)
    )
    assert parts[PARTS].sum() == pytest.approx(whole["search"])
    loaded = [
        tables["returns"].query("cost_basis == 'loaded' and model == 'linear'")["spend"].sum()
        for tables in (by_channel, by_campaign)
    ]
    assert loaded == [pytest.approx(54.0), pytest.approx(54.0)]


def test_without_campaigns_in_the_costs_table_every_cost_is_shared() -> None:
    costs = pd.DataFrame({"channel": ["search", "mail", "tv"], "amount": [8.0, 3.0, 2.0], "day": ["2024-01-01"] * 3})
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs, grain="campaign")
    expected = {"search / brand": 4.0, "search / generic": 2.0, "search": 2.0, "mail": 3.0, "tv": 2.0}
    assert read_costs(sources).media == expected
    assert sources.tables["costs"].rows == 5


def test_what_touchpoints_cost_is_that_of_their_campaign() -> None:
    sources = at.load_sources(TOUCHPOINTS.assign(cost=1.0), CONVERSIONS, grain="campaign")
    assert read_costs(sources).media["search / brand"] == 2.0


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = run(TOUCHPOINTS.sample(frac=1, random_state=2), COSTS.sample(frac=1, random_state=3), grain="campaign")
    plain = run(grain="campaign")
    for name in ("credit", "returns", "quality", "cost_sensitivity"):
        pd.testing.assert_frame_equal(shuffled.tables[name], plain.tables[name], check_exact=True)
    assert shuffled.digests == plain.digests


def test_campaigns_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"grain is 'campaign', but touchpoints have no column 'campaign'"):
        run(TOUCHPOINTS.drop(columns="campaign"), grain="campaign")
    clash = TOUCHPOINTS.assign(
        channel=["search / brand", *TOUCHPOINTS["channel"][1:]], campaign=[None, "x", "brand", None, None, "y"]
    )
    with pytest.raises(InputError, match="would share the name 'search / brand'"):
        run(clash, grain="campaign")
    with pytest.raises(InputError, match=r"grain must be 'channel' or 'campaign'.*'keyword'"):
        at.load_sources(TOUCHPOINTS, CONVERSIONS, grain="keyword")  # type: ignore[arg-type]
    paths = {"name": "p", "tables": {"paths": {"source": pd.DataFrame({"path": ["a"], "conversions": [1]})}}}
    with pytest.raises(InputError, match="grain"):
        at.run_experiment(Experiment.model_validate({**paths, "models": [{"model": "Linear"}], "grain": "campaign"}))
