"""Nights that take back on Spark; by `make nights` a hundred and more."""

from __future__ import annotations

import pytest

from attribution.data.engine import Engine
from tests.production.nights import run_nights
from tests.production.scoring.scored_nights import ScoredNights
from tests.scale import TIMES

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


@pytest.mark.nightly
@pytest.mark.parametrize("conversions", ["reset", "cumulative"])
def test_nights_end_where_a_score_from_scratch_does(conversions: str) -> None:
    pytest.importorskip("pyspark")
    from attribution.data.engine.spark import SparkEngine

    # A few rows do not need many tasks; engines share a session.
    first = SparkEngine(master="local[1]", config={"spark.sql.shuffle.partitions": "1"})

    class OnSpark(ScoredNights):
        def engine(self) -> Engine:
            return SparkEngine()

    OnSpark.conversions = conversions
    # By `make nights`, a third as many shops as elsewhere, and longer ones.
    assert run_nights(OnSpark, 1, steps=2) >= 2 if TIMES == 1 else run_nights(OnSpark, 1 / 3, steps=6) >= 2 * TIMES
    first.close()
