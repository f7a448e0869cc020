"""Events of one customer at one instant: their order, and how many share it."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.journeys.cut import order_ties


@pytest.mark.parametrize("events", [2, 9, 33, 90])
@pytest.mark.parametrize("has_cost", [True, False])
def test_ties_are_ordered_alike_however_many_there_are(events: int, has_cost: bool) -> None:
    """Few are inserted one by one and many are sorted; sorting them as tuples is what both must give."""
    random = np.random.default_rng(events)
    ref = random.integers(-4, 5, events)
    ref[:2] = 3  # one is certainly repeated
    cost = np.where(ref >= 0, random.integers(0, 3, events), 0).astype(float) if has_cost else np.zeros(0)
    spent = cost if has_cost else np.zeros(events)
    # Touchpoints by code and cost, then conversions, which are −1 − row, by row.
    pairs = sorted(zip(ref.tolist(), spent.tolist(), strict=True), key=lambda pair: (pair[0] < 0, abs(pair[0]), pair))
    touchpoints = [pair for pair in pairs if pair[0] >= 0]
    ties, duplicates = order_ties(np.array([0, events]), np.zeros(events, np.int64), ref, cost)
    assert ref.tolist() == [pair[0] for pair in pairs]
    assert ties == len(touchpoints) > 1
    assert duplicates == len(touchpoints) - len(set(touchpoints))
    if has_cost:
        assert cost.tolist() == [pair[1] for pair in pairs]


def test_only_what_shares_an_instant_is_ordered() -> None:
    ref, cost = np.array([2, 1, 5, 0, 4]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    starts, at = np.array([0, 4, 5]), np.array([1, 1, 2, 3, 3])
    assert order_ties(starts, at, ref, cost) == (2, 0)
    assert (ref.tolist(), cost.tolist()) == ([1, 2, 5, 0, 4], [2.0, 1.0, 3.0, 4.0, 5.0])
