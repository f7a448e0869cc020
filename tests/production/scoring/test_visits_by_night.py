"""Nights that are given page views: every one makes the visits that the whole log has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models.saved.definition import Definition, Training
from attribution.production.scoring.in_effect import digest_reading
from attribution.production.scoring.job import ScoringOptions, score_days
from attribution.production.sql import SqlTables, build_select
from attribution.schema.experiment import JourneyOptions

DAYS, LOOKBACK = 14, 2
START = pd.Timestamp("2024-03-01")


def page_views(seed: int) -> pd.DataFrame:
    """Visits all through the night, so that many are under way at midnight."""
    rng = np.random.default_rng(seed)
    n = 1_500
    minutes = rng.integers(0, DAYS * 24 * 60, n)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:02d}" for number in rng.integers(0, 25, n)],
            "touched_at": START + pd.to_timedelta(minutes, unit="min"),
            "channel": rng.choice(np.array(["ads", "mail", "Direct", None], dtype=object), n, p=[0.2, 0.2, 0.3, 0.3]),
        }
    ).drop_duplicates(["customer_id", "touched_at"])


def orders(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    at_minute = rng.permutation(DAYS * 24 * 60)[:120]
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:02d}" for number in rng.integers(0, 25, 120)],
            "converted_at": START + pd.to_timedelta(at_minute, unit="min") + pd.Timedelta(seconds=1),
            "value": 1.0,
            "conversion_id": [f"o{number}" for number in range(120)],
        }
    )


def scorer_of(options: dict) -> at.Scorer:
    log, sales = page_views(1), orders(2)
    definition = Definition(JourneyOptions.model_validate(options))
    sources = at.load_sources(log, sales, visits=definition.journeys.visits)
    journeys = at.build_journeys(sources, **definition.journeys.of_building)
    definition = Definition(definition.journeys, training=Training.of(sources, journeys))
    return at.Scorer.of(at.Linear().fit(journeys), name="shop", definition=definition)


@pytest.mark.parametrize(
    ("further", "history"),
    [
        ({}, LOOKBACK + 2),
        ({"visit_breaks": ["midnight"]}, LOOKBACK + 2),
        ({"visit_source": "last_non_direct", "visit_lookback_days": 2}, LOOKBACK + 4),
    ],
)
def test_nights_score_what_the_whole_log_does(tmp_path: Path, further: dict, history: int) -> None:
    options = {"lookback_days": LOOKBACK, "visit_gap_minutes": 90, "conversions": "cumulative", **further}
    scorer = scorer_of(options).save(tmp_path / "model")
    log, sales = page_views(1), orders(2)
    whole = scorer.score(log, sales).sort_values(["conversion_id", "touched_at"]).reset_index(drop=True)
    for day in range(8, DAYS):
        since, until = START + pd.Timedelta(days=day - history), START + pd.Timedelta(days=day + 1)
        touched = log[(log["touched_at"] >= since) & (log["touched_at"] < until)]
        # A visit that goes on after midnight may change the day before, whose conversions are given again.
        sold = sales[(sales["converted_at"] >= until - pd.Timedelta(days=2)) & (sales["converted_at"] < until)]
        tables = {"touchpoints": touched, "conversions": sold}
        scored = score_days(scorer, ScoringOptions(tables, tmp_path / "out", canonical=True), at.DuckDBEngine())
        assert (scored.outdated, scored.without_history, scored.deferred) == ({}, (), ())
    files = sorted((tmp_path / "out" / "journey_credit").glob("day=*/*.parquet"))
    written = pd.concat([pd.read_parquet(file) for file in files]).sort_values(["conversion_id", "touched_at"])
    expected = whole[whole["conversion_id"].isin(written["conversion_id"])]
    assert written["conversion_id"].nunique() > 30
    columns = ["conversion_id", "touched_at", "channel", "credit"]
    pd.testing.assert_frame_equal(
        written[columns].reset_index(drop=True), expected[columns].reset_index(drop=True), check_dtype=False
    )


def test_a_night_without_the_day_before_its_window_says_so(tmp_path: Path) -> None:
    scorer = scorer_of({"lookback_days": LOOKBACK, "visit_gap_minutes": 90}).save(tmp_path / "model")
    log, sales = page_views(1), orders(2)
    whole = {"touchpoints": log[log["touched_at"] < START + pd.Timedelta(days=9)],
             "conversions": sales[sales["converted_at"] < START + pd.Timedelta(days=9)]}  # fmt: skip
    score_days(scorer, ScoringOptions(whole, tmp_path / "out", canonical=True), at.DuckDBEngine())
    recent = log["touched_at"] >= START + pd.Timedelta(days=9 - LOOKBACK)
    short = {"touchpoints": log[recent & (log["touched_at"] < START + pd.Timedelta(days=10))],
             "conversions": sales[(sales["converted_at"] >= START + pd.Timedelta(days=9 - LOOKBACK))
                                  & (sales["converted_at"] < START + pd.Timedelta(days=10))]}  # fmt: skip
    scored = score_days(scorer, ScoringOptions(short, tmp_path / "out", canonical=True), at.DuckDBEngine())
    assert scored.written == ()
    says = " ".join(guard.says or "" for guard in scored.guards)
    assert "need those of 3 days before" in says


def test_visits_are_part_of_how_a_model_reads_and_of_no_select(tmp_path: Path) -> None:
    plain, visiting = scorer_of({}), scorer_of({"visit_gap_minutes": 90})
    assert digest_reading(plain) != digest_reading(visiting)
    loaded = at.Scorer.load(visiting.save(tmp_path / "model") and tmp_path / "model")
    assert loaded.definition.journeys.visit_gap_minutes == 90
    assert digest_reading(loaded) == digest_reading(visiting)
    with pytest.raises(InputError, match="visits of model 'linear' cannot be exported to SQL") as refusal:
        build_select(visiting, "duckdb", SqlTables(canonical=True))
    assert "attribution score" in str(refusal.value)
