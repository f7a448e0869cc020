"""Parts of scores: which journeys a writer takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds

import attribution as at
from attribution.journeys import journeys_by_day
from attribution.models.saved import Scorer
from attribution.production.scoring.parts import PartWriter


def test_the_first_conversion_is_written_and_journeys_without_one_are_not(tmp_path: Path) -> None:
    """Three customers of one day: the first and the last of the file convert."""
    touchpoints = pd.DataFrame(
        {"customer_id": ["a", "b", "c"], "touched_at": "2024-03-01 10:00", "channel": ["mail", "search", "mail"]}
    )
    conversions = pd.DataFrame(
        {"customer_id": ["a", "c"], "converted_at": "2024-03-01 12:00", "conversion_id": ["one", "two"], "value": 2.0}
    )
    journeys = journeys_by_day(at.load_sources(touchpoints, conversions), lookback_days=1)
    scorer = Scorer.of(at.Linear().fit(journeys), name="shop")
    days = np.array([np.datetime64("2024-03-01", "D").astype(np.int64)])
    journeys.read(PartWriter(tmp_path, scorer.apply(journeys), days))
    parts = ds.dataset(tmp_path, format="ipc").to_table().to_pandas()
    assert sorted(parts["row"]) == [0, 1]
    elsewhere = tmp_path / "another day"
    elsewhere.mkdir()
    journeys.read(PartWriter(elsewhere, scorer.apply(journeys), days + 1))
    assert not list(elsewhere.iterdir())
