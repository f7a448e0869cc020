"""What happened to whole customers, whatever becomes of it in journeys."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.journeys import DAY
from attribution.journeys.buckets import Dealing
from attribution.schema.experiment import Period

START = np.datetime64("2024-01-01", "us")
CHANNELS = ["mail", "search"]


def sources(integer_times: bool = False) -> at.Sources:
    """Mail and search reach a, who converts twice; search reaches b; c converts. Times are days, see `WHOLE`."""

    def times(numbers: list[int]) -> list[object]:
        return list(numbers) if integer_times else [START + np.timedelta64(day, "D") for day in numbers]

    touchpoints = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "b"],
            "touched_at": times([1, 3, 30, 2]),
            "channel": ["mail", "search", "mail", "search"],
        }
    )
    conversions = pd.DataFrame(
        {"customer_id": ["a", "a", "c"], "converted_at": times([4, 20, 5]), "value": [10.0, 20.0, 30.0]}
    )
    return at.load_sources(touchpoints, conversions)


def days(moments: np.ndarray) -> list[float]:
    return ((moments - START.astype(np.int64)) / DAY).tolist()


def by_customer(chunk: at.JourneyChunk) -> dict[str, tuple[list[object], ...]]:
    """Times and channels of touchpoints, times, counts and values of conversions."""
    of = chunk.histories
    assert of is not None
    assert chunk.customer_ids is not None
    rows: dict[str, tuple[list[object], ...]] = {}
    for number, name in enumerate(chunk.customer_ids.to_pylist()):
        touches = slice(of.touch_start[number], of.touch_start[number + 1])
        ends = slice(of.end_start[number], of.end_start[number + 1])
        names = [CHANNELS[code] for code in of.channel[touches]]
        conversions = days(of.ended_at[ends]), of.counts[ends].tolist(), of.value[ends].tolist()
        rows[name] = (days(of.touched_at[touches]), names, *conversions)
    return rows


def read(**options: object) -> dict[str, tuple[list[object], ...]]:
    (chunk,) = at.build_journeys(sources(), **options)
    return by_customer(chunk)


WHOLE = {
    "a": ([1, 3, 30], ["mail", "search", "mail"], [4, 20], [True, True], [10, 20]),
    "b": ([2], ["search"], [], [], []),
    "c": ([], [], [5], [True], [30]),
}


def test_all_that_happened_is_there() -> None:
    assert read() == WHOLE


@pytest.mark.parametrize(
    "options",
    [
        {"lookback_days": 1},
        {"lookback_days": 5, "lookback_by_channel": {"mail": 1}},
        {"max_touchpoints": 1},
        {"open_journeys": "drop"},
    ],
)
def test_options_of_journeys_leave_nothing_out(options: dict[str, object]) -> None:
    assert read(**options) == WHOLE


def test_a_period_says_which_conversions_count() -> None:
    made = read(period=Period(start=dt.date(2024, 1, 6), end=dt.date(2024, 1, 25)))
    assert made == {**WHOLE, "a": (*WHOLE["a"][:3], [False, True], [10, 20])}
    (chunk,) = at.build_journeys(sources(), period=Period(end=dt.date(2024, 1, 4)))
    assert chunk.later is not None
    assert chunk.later.histories is None


def test_first_only_ends_with_the_first_conversion() -> None:
    assert read(conversions="first_only") == {**WHOLE, "a": ([1, 3], ["mail", "search"], [4], [True], [10])}


def test_conversions_of_known_customers_end_and_do_not_count() -> None:
    assert read(customers="new") == {**WHOLE, "a": (*WHOLE["a"][:3], [True, False], [10, 20])}


def test_where_there_is_no_time_at_risk_there_are_none() -> None:
    (overlap,) = at.build_journeys(sources(), conversions="cumulative")
    (order,) = at.build_journeys(sources(integer_times=True))
    (paths,) = at.build_journeys(at.load_sources(paths=pd.DataFrame({"path": ["mail"], "conversions": [1]})))
    assert overlap.histories is order.histories is paths.histories is None


def test_some_customers_alone() -> None:
    (chunk,) = at.build_journeys(sources())
    assert chunk.customer_ids is not None
    is_a = np.array([name == "a" for name in chunk.customer_ids.to_pylist()])
    dealt = Dealing().deal(chunk)
    assert dealt.histories is not None
    assert dealt.histories.bucket is not None
    assert dealt.histories.bucket[dealt.customer].tolist() == dealt.bucket.tolist()
    part = dealt.of_customers(is_a)
    assert len(part) == 3
    assert part.histories is not None
    assert len(part.histories) == 1
    assert days(part.histories.touched_at) == WHOLE["a"][0]
    assert part.histories.channel.tolist() == [0, 1, 0]
    assert part.histories.touch_start.tolist() == [0, 3]
    assert days(part.histories.ended_at) == [4, 20]
    assert part.histories.end_start.tolist() == [0, 2]
    assert part.histories.value.tolist() == [10, 20]
    assert part.histories.bucket.tolist() == dealt.histories.bucket[is_a].tolist()
    assert chunk.of_customers(np.ones(3, bool)).histories is chunk.histories


def test_they_belong_to_the_first_of_several_batches() -> None:
    (chunk,) = at.build_journeys(sources())
    first, *others = chunk.batches(steps=1)
    assert first.histories is chunk.histories
    assert others
    assert all(batch.histories is None for batch in others)


def test_what_journeys_know_of_their_log() -> None:
    journeys = at.build_journeys(sources())
    assert (journeys.lists_customers, journeys.period, journeys.first_only) == (False, None, False)
    assert journeys.paid_channels() == ()
    listed = at.load_sources(
        pd.DataFrame({"customer_id": "a", "touched_at": START, "channel": CHANNELS, "cost": [0.0, 0.5]}),
        pd.DataFrame({"customer_id": ["a"], "converted_at": [START]}),
        costs=pd.DataFrame({"channel": ["radio", "tv"], "amount": [5.0, 0.0]}),
        customers=pd.DataFrame({"customer_id": ["a", "b"]}),
    )
    assert at.build_journeys(listed, conversions="first_only").first_only
    assert at.build_journeys(listed).lists_customers
    assert at.build_journeys(listed).paid_channels() == ("radio", "search")


def test_customers_in_another_order_take_their_events_along() -> None:
    (chunk,) = at.build_journeys(sources())
    chunk = Dealing().deal(chunk)
    assert chunk.histories is not None
    assert chunk.customer_ids is not None
    order = np.array([2, 0, 1])
    moved = dataclasses.replace(
        chunk, histories=chunk.histories.in_order(order), customer_ids=chunk.customer_ids.take(order)
    )
    assert list(by_customer(moved)) == [list(by_customer(chunk))[number] for number in order]
    assert by_customer(moved) == by_customer(chunk)
    assert moved.histories.bucket.tolist() == chunk.histories.bucket[order].tolist()
