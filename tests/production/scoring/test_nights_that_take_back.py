"""Nights that take back, where a conversion closes the journey: five hundred and more on DuckDB, a tenth on Spark."""

from __future__ import annotations

import pytest

from attribution.data.engine import Engine
from tests.production.nights import run_nights
from tests.production.scoring.scored_nights import ScoredNights


@pytest.mark.slow
def test_five_hundred_nights_end_where_a_score_from_scratch_does() -> None:
    assert run_nights(ScoredNights, 45) >= 500


@pytest.mark.slow
@pytest.mark.parametrize("conversions", ["reset", "cumulative"])
def test_fifty_nights_end_there_on_spark(conversions: str) -> None:
    pytest.importorskip("pyspark")
    from attribution.data.engine.spark import SparkEngine

    class OnSpark(ScoredNights):
        def engine(self) -> Engine:
            return SparkEngine()

    OnSpark.conversions = conversions
    assert run_nights(OnSpark, 5) >= 50
