"""New ids right before a conversion: by hand, and against the twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.kernels.journeys.ids import fresh_ids, searched_since
from tests.twins.identities import fresh
from tests.twins.journeys import Conv, History, Touch
from tests.twins.strategies import histories


def counted(data: dict[str, History], limit: int, since: int, until: int) -> tuple[int, int]:
    """Lay the events out as the journey pass does: by customer and time, touchpoints first."""
    starts, at, ref = [0], [], []
    for touches, conversions in data.values():
        events = [(touch.at, 0) for touch in touches] + [(conversion.at, 1) for conversion in conversions]
        for moment, is_conversion in sorted(events):
            at.append(moment)
            ref.append(-1 if is_conversion else 0)
        starts.append(len(at))
    found = fresh_ids(np.array(starts), np.array(at, np.int64), np.array(ref, np.int32), limit, since, until)
    return int(found[0]), int(found[1])


def test_by_hand() -> None:
    data: dict[str, History] = {
        "at once": ([], [Conv(50)]),
        "exactly the limit": ([Touch(40, "a")], [Conv(50)]),
        "one more": ([Touch(39, "a")], [Conv(50)]),
        "has a history, and a visit just before": ([Touch(5, "a"), Touch(49, "a")], [Conv(50)]),
        "the second conversion has the first as history": ([Touch(20, "a")], [Conv(45), Conv(50)]),
        "seen only afterwards": ([Touch(60, "a")], [Conv(50), Conv(70)]),
        "did not convert": ([Touch(50, "a")], []),
        "first instant": ([Touch(1, "a")], [Conv(31)]),
        "last instant": ([Touch(80, "a")], [Conv(80)]),
        "converted too early to tell": ([], [Conv(30)]),
        "converted after the period": ([], [Conv(81)]),
        "nothing": ([], []),
    }
    assert counted(data, limit=10, since=31, until=80) == (2, 6)
    # The later conversion of someone who converted before the period does not count as the first.
    assert counted({"anna": ([Touch(30, "a")], [Conv(30), Conv(50)])}, limit=10, since=31, until=80) == (0, 0)


@given(histories(), st.integers(0, 6), st.integers(0, 12), st.integers(0, 12))
def test_as_the_twin_counts(data: dict[str, History], limit: int, since: int, until: int) -> None:
    assert counted(data, limit, since, until) == fresh(data, limit, since, until)


@pytest.mark.parametrize(
    ("first", "last", "lookback", "limit", "since"),
    [
        (100, 1100, 30, 5, 130),  # one window into the data
        (100, 160, 30, 5, 130),
        (100, 140, 30, 5, 120),  # less than two windows of data: half of them
        (100, 1100, -1, 5, 600),  # no window
        (100, 1100, 3, 5, 106),  # never so early that every id is new
        (100, 100, 30, 0, 101),
    ],
)
def test_how_far_the_data_reach_back(first: int, last: int, lookback: int, limit: int, since: int) -> None:
    assert searched_since(first, last, lookback=lookback, limit=limit) == since


@given(histories(), st.integers(0, 3))
def test_an_id_that_is_new_because_the_data_are_is_not_counted(data: dict[str, History], limit: int) -> None:
    times = [event.at for mine in data.values() for events in mine for event in events]
    if times:
        since = searched_since(min(times), max(times), lookback=-1, limit=limit)
        early: dict[str, History] = {"early": ([Touch(min(times), "a")], [Conv(min(times) + limit)])}
        assert counted(early, limit, since, max(times)) == (0, 0)
