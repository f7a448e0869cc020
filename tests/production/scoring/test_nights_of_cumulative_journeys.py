"""Nights that take back, where every conversion looks back over its own window: eighty and more."""

from __future__ import annotations

import pytest

from tests.production.nights import run_nights
from tests.production.scoring.scored_nights import ScoredNights


class CumulativeNights(ScoredNights):
    conversions = "cumulative"


@pytest.mark.slow
@pytest.mark.drawn
def test_nights_end_where_a_score_from_scratch_does() -> None:
    assert run_nights(CumulativeNights, 8) >= 80
