"""The twin of `build_journeys` against journeys cut by hand, and against what must hold for any history."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scale import examples

from .journeys import Conv, History, Mode, Touch, TwinResult, build, in_window
from .strategies import histories, lookbacks, periods

modes: st.SearchStrategy[Mode] = st.sampled_from(("reset", "cumulative", "first_only"))


def _shape(result: TwinResult) -> list[tuple[str, int | None, int, bool]]:
    """Per journey: its channels, when it converted, when it closes, whether it is open."""
    return [
        (
            "".join(touch.channel for touch in journey.touches),
            journey.conversion.at if journey.conversion else None,
            journey.closes_at,
            journey.open,
        )
        for journey in result.journeys
    ]


# Lookback 3: a is too old for the conversion at 7, b exactly old enough, d comes at the very instant, e and f
# are exactly one window apart, f and g one instant more; x sets the end of the data.
HISTORY: History = (
    [Touch(at, name) for at, name in [(1, "a"), (4, "b"), (6, "c"), (7, "d"), (9, "e"), (12, "f"), (16, "g")]],
    [Conv(7, "1", value=1.0), Conv(8, "2"), Conv(7, "0", value=2.0)],
)
DATA: dict[str, History] = {"anna": HISTORY, "bo": ([Touch(18, "x")], [])}


@pytest.mark.parametrize(
    ("mode", "annas"),
    [
        ("reset", [("a", None, 4, False), ("bcd", 7, 7, False), ("", 7, 7, False), ("", 8, 8, False)]),
        (
            "cumulative",
            [("a", None, 4, False), ("bcd", 7, 7, False), ("bcd", 7, 7, False), ("cd", 8, 8, False)],
        ),
        ("first_only", [("a", None, 4, False), ("bcd", 7, 7, False)]),
    ],
)
def test_journeys_by_hand(mode: Mode, annas: list[tuple[str, int | None, int, bool]]) -> None:
    result = build(DATA, lookback=3, mode=mode)
    after = [] if mode == "first_only" else [("ef", None, 15, False), ("g", None, 19, True)]
    assert _shape(result) == [*annas, *after, ("x", None, 21, True)]
    converting = [journey.conversion.conversion_id for journey in result.journeys if journey.conversion]
    assert converting == ["0", "1", "2"][: len(converting)]
    assert result.counts == {
        "ties": 0,
        "dropped_touchpoints_after_first": 3 if mode == "first_only" else 0,
        "dropped_conversions_after_first": 2 if mode == "first_only" else 0,
        "conversions_outside_period": 0,
        "journeys_outside_period": 0,
        "without_touchpoint": 2 if mode == "reset" else 0,
        "open": 1 if mode == "first_only" else 2,
    }


def test_without_a_window_everything_before_counts_and_nothing_stays_open() -> None:
    result = build(DATA, lookback=None, mode="reset")
    assert _shape(result) == [
        ("abcd", 7, 7, False),
        ("", 7, 7, False),
        ("", 8, 8, False),
        ("efg", None, 18, False),
        ("x", None, 18, False),
    ]


def test_a_period_keeps_what_converts_or_closes_in_it() -> None:
    result = build(DATA, lookback=3, mode="reset", period=(8, 15))
    # The conversions at 7 are left out, yet they have used a, b, c and d; "ef" closes on the last instant.
    assert _shape(result) == [("", 8, 8, False), ("ef", None, 15, False)]
    assert result.counts["conversions_outside_period"] == 2
    assert result.counts["journeys_outside_period"] == 3
    assert (result.counts["without_touchpoint"], result.counts["open"]) == (1, 0)


def test_touchpoints_at_one_instant_have_one_order() -> None:
    ordered = [
        Touch(1, "z", kind="impression"),
        Touch(2, "a", None, "click", 1.0),
        Touch(2, "a", "brand", None, 0.0),
        Touch(2, "a", "sale", None, 0.0),
        Touch(2, "a", "sale", None, 2.0),
        Touch(2, "b", kind="click"),
        Touch(2, "a", kind="impression"),
        Touch(2, "b", kind="email"),
        Touch(2, "a", kind="open"),
        Touch(3, "a"),
    ]
    result = build({"anna": (ordered[::-1], [Conv(3)])}, lookback=3, mode="reset")
    assert list(result.journeys[0].touches) == ordered
    assert result.counts["ties"] == 8


def test_conversions_at_one_instant_without_an_id_go_by_value() -> None:
    result = build({"anna": ([Touch(1, "a")], [Conv(1, value=2.0), Conv(1, value=1.0)])}, lookback=3, mode="reset")
    assert [(journey.conversion, len(journey.touches)) for journey in result.journeys] == [
        (Conv(1, value=1.0), 1),
        (Conv(1, value=2.0), 0),
    ]


def test_the_data_may_end_with_a_conversion_of_another_customer() -> None:
    data: dict[str, History] = {"anna": ([Touch(1, "a"), Touch(1, "a")], []), "bo": ([], [Conv(4)])}
    result = build(data, lookback=3, mode="reset")
    assert _shape(result) == [("aa", None, 4, False), ("", 4, 4, False)]
    assert (result.counts["ties"], result.counts["open"]) == (2, 0)


@examples(34)
@given(histories(), lookbacks(), modes)
def test_every_touchpoint_and_every_conversion_is_somewhere(
    data: dict[str, History], lookback: int | None, mode: Mode
) -> None:
    result = build(data, lookback=lookback, mode=mode)
    given_touches = Counter((name, touch) for name, (touches, _) in data.items() for touch in touches)
    found = Counter((journey.customer, touch) for journey in result.journeys for touch in journey.touches)
    if mode == "cumulative":
        assert set(found) == set(given_touches)
    else:
        assert found.total() + result.counts["dropped_touchpoints_after_first"] == given_touches.total()
        assert found <= given_touches
    converted = sum(journey.conversion is not None for journey in result.journeys)
    dropped = result.counts["dropped_conversions_after_first"]
    assert converted + dropped == sum(len(conversions) for _, conversions in data.values())


@examples(34)
@given(histories(), lookbacks(), modes)
def test_no_conversion_lies_within_a_journey_that_did_not_convert(
    data: dict[str, History], lookback: int | None, mode: Mode
) -> None:
    # So it makes no difference whether such journeys are also cut where a conversion lies between two
    # touchpoints.
    for journey in build(data, lookback=lookback, mode=mode).journeys:
        if journey.conversion is None:
            for conversion in data[journey.customer][1]:
                assert not journey.touches[0].at <= conversion.at <= journey.closes_at


@examples(34)
@given(histories(), lookbacks())
def test_reset_takes_from_cumulative_what_an_earlier_conversion_has_used(
    data: dict[str, History], lookback: int | None
) -> None:
    def converting(mode: Mode) -> dict[str, list[list[Touch]]]:
        kept = [journey for journey in build(data, lookback=lookback, mode=mode).journeys if journey.conversion]
        return {
            name: [list(journey.touches) for journey in group]
            for name, group in groupby(kept, key=lambda journey: journey.customer)
        }

    reset, cumulative = converting("reset"), converting("cumulative")
    assert reset.keys() == cumulative.keys()
    for name, windows in cumulative.items():
        assert reset[name][0] == windows[0]
        for (before, window), left in zip(pairwise(windows), reset[name][1:], strict=True):
            assert left == [touch for touch in window if touch not in before]


@examples(34)
@given(histories(), lookbacks(), modes, periods())
def test_a_period_only_leaves_journeys_out(
    data: dict[str, History], lookback: int | None, mode: Mode, period: tuple[int, int] | None
) -> None:
    everything = build(data, lookback=lookback, mode=mode).journeys
    result = build(data, lookback=lookback, mode=mode, period=period)
    start, end = period or (-1, 100)
    assert result.journeys == [journey for journey in everything if start <= journey.closes_at <= end]
    left_out = result.counts["conversions_outside_period"] + result.counts["journeys_outside_period"]
    assert len(result.journeys) + left_out == len(everything)


def test_the_window_is_closed_at_both_ends() -> None:
    assert [in_window(Touch(at, "a"), Conv(10), 4) for at in (5, 6, 10, 11)] == [False, True, True, False]
