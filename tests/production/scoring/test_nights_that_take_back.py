"""Nights that take back, where a conversion closes the journey: eighty and more."""

from __future__ import annotations

import pytest

from tests.production.nights import run_nights
from tests.production.scoring.scored_nights import ScoredNights


@pytest.mark.slow
@pytest.mark.drawn
def test_nights_end_where_a_score_from_scratch_does() -> None:
    assert run_nights(ScoredNights, 8) >= 80
