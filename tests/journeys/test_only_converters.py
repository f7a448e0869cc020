"""A period that leaves no journey that did not convert: said loudly, with what keeps them."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.cli.console import print_ranking

pytestmark = pytest.mark.filterwarnings("ignore")

VISITS = pd.DataFrame(
    {
        "customer_id": [1, 2, 3, 4, 1],
        "touched_at": pd.to_datetime(["2024-05-02", "2024-05-03", "2024-05-04", "2024-05-05", "2024-05-20"]),
        "channel": ["letter", "web", "letter", "web", "web"],
    }
)
ORDERS = pd.DataFrame({"customer_id": [1], "converted_at": pd.to_datetime(["2024-05-06"])})


def outcome(**more: Any) -> Any:
    asked = {"name": "shop", "tables": {"touchpoints": VISITS, "conversions": ORDERS}, "models": [{"model": "Markov"}]}
    return at.run_experiment(at.Experiment(**asked | more))


def said(made: Any) -> pd.DataFrame:
    quality = made.tables["quality"]
    return quality[quality["check"] == "period_leaves_converters"]


def test_a_period_that_leaves_only_converters_says_so_and_what_keeps_the_others() -> None:
    made = outcome(period={"end": "2024-05-10"})
    row = said(made).iloc[0]
    assert (row["status"], row["count"]) == ("warn", 4)
    assert "shorten lookback_days" in row["message"]
    printed = io.StringIO()
    with redirect_stdout(printed):
        print_ranking(made.experiment, made.tables, made.ranking)
    assert f"Warning: {row['message']}." in printed.getvalue()
    assert f"{row['message']}." in made.parts[0].headlines
    assert len(said(at.run_experiment(made.experiment)))


@pytest.mark.parametrize(
    "more",
    [
        {"period": {"end": "2024-05-10"}, "journeys": {"lookback_days": 2}},
        {"period": {"start": "2024-05-01"}},
        {"period": {"end": "2024-06-10"}},
        {"period": {}},
    ],
)
def test_what_it_says_keeps_them(more: dict[str, Any]) -> None:
    made = outcome(**more)
    assert said(made).empty
    profile = made.tables["journey_profile"]
    assert (profile["outcome"] != "converted").any()


def test_it_is_said_before_anything_is_fitted() -> None:
    made = outcome(period={"end": "2024-05-10"})
    assert "period_leaves_converters" in set(at.check_quality(made.experiment)["check"])
