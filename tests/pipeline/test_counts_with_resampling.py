"""Resampling draws customers again: what was counted in the data, and what is said of it, stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at

pytestmark = pytest.mark.filterwarnings("ignore")

OF_DRAWS = ("resampling", "linearisation")
"""Checks that there are only with draws."""


def quality(customers: int, **more: Any) -> pd.DataFrame:
    """A shop with rows that every count of the pass over journeys is of: ties, copies, direct traffic, late orders."""
    rng = np.random.default_rng(3)
    rows = customers * 4
    hours = rng.integers(0, 60 * 24, rows)
    touchpoints = pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, rows),
            "touched_at": np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h"),
            "channel": rng.choice(["letter", "direct", "web"], rows),
            "kind": rng.choice(["click", "impression"], rows),
        }
    )
    touchpoints = pd.concat([touchpoints, touchpoints.iloc[:25], touchpoints.iloc[:25].assign(channel="web")])
    bought = rng.integers(0, customers + 9, customers // 2)
    orders = pd.DataFrame(
        {
            "customer_id": bought,
            "converted_at": np.datetime64("2024-01-05", "us")
            + rng.integers(0, 56 * 24 * 60, len(bought)) * np.timedelta64(1, "m"),
            "value": 5.0,
        }
    )
    asked: dict[str, Any] = {
        "name": "shop",
        "tables": {"touchpoints": touchpoints, "conversions": orders},
        "models": [{"model": "Linear"}, {"model": "Markov"}],
        "period": {"start": "2024-01-10", "end": "2024-02-20"},
    }
    table = at.run_experiment(at.Experiment(**asked | more)).tables["quality"]
    return table[~table["check"].isin(OF_DRAWS)].reset_index(drop=True)


@pytest.mark.parametrize(
    "journeys",
    [
        {"direct": "drop_if_other", "dedupe": "consecutive", "view_through": "clicks_dominate", "lookback_days": 9},
        {"conversions": "first_only", "direct": "drop", "dedupe": "unique", "open_journeys": "drop"},
        {"conversions": "cumulative", "customers": "new", "lookback_by_kind": {"impression": 2}, "lookback_days": 20},
    ],
)
@pytest.mark.parametrize("customers", [300, 3_000])
def test_resampling_changes_no_count_and_no_status(customers: int, journeys: dict[str, Any]) -> None:
    """With few conversions customers are drawn one by one, with many in buckets: both leave the counts alone."""
    plain = quality(customers, journeys=journeys)
    drawn = quality(customers, journeys=journeys, resampling={"draws": 50})
    pd.testing.assert_frame_equal(drawn, plain)
    assert (plain["count"] > 0).sum() > 5
