"""Nights on which versions are promoted and rolled back: each day is by the version in effect on it, or is named."""

from __future__ import annotations

import pytest

from attribution.models.saved import Scorer
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.versions import Timeline
from tests.production.nights import DAY, LOOKBACK, Order, Touch, VersionRecord, run_nights
from tests.production.scoring.scored_nights import ScoredNights, Version, scorer

VERSIONS = {
    "1": Version(),
    "2": Version(rule="LastTouch"),
    "3": Version(lookback=LOOKBACK - 2),
    "4": Version(conversions="cumulative", lookback=LOOKBACK + 1),
}


class PromotedNights(ScoredNights):
    """Before a night, a version is promoted from today or an earlier day on, or the last promotion is taken back."""

    promotions = 0
    rollbacks = 0
    several = 0

    def learns(self) -> VersionRecord:
        self.timeline = Timeline.of("1")
        return super().learns()

    def model(self) -> VersionsInEffect:
        return VersionsInEffect(self.timeline, lambda version: Scorer.load(scorer(VERSIONS[version])[0]))

    def version_on(self, day: int) -> Version:
        return VERSIONS[self.timeline.version_on(day)]

    def something_is_corrected(self) -> None:
        kind = self.random.random()
        if kind < 0.2:
            since = self.now // DAY - int(self.random.choice([0, 0, 1, 3, 6]))
            self.timeline = self.timeline.promote(str(self.random.choice(list(VERSIONS))), since=since)
            type(self).promotions += 1
        elif kind < 0.3 and len(self.timeline.promotions) > 1:
            self.timeline = self.timeline.roll_back()
            type(self).rollbacks += 1
        else:
            super().something_is_corrected()

    def job(self, touches: tuple[Touch, ...], orders: tuple[Order, ...], covers: tuple[int, int] | None = None) -> None:
        super().job(touches, orders, covers)
        type(self).several += len({self.timeline.version_on(order.at // DAY) for order in orders}) > 1


@pytest.mark.slow
@pytest.mark.drawn
def test_nights_end_where_a_score_from_scratch_by_the_same_promotions_does() -> None:
    assert run_nights(PromotedNights, 3) >= 18
    # They did what they are for.
    assert PromotedNights.promotions >= 4
    assert PromotedNights.rollbacks >= 1
    assert PromotedNights.several >= 3
