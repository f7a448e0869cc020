"""What a journey is, in loops over lists.

Times and the lookback window are integers, in microseconds wherever the package has timestamps. ``None`` as a
lookback window means that every touchpoint at or before the conversion counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Mode = Literal["reset", "cumulative", "first_only"]


@dataclass(frozen=True)
class Touch:
    """One touchpoint."""

    at: int
    channel: str
    campaign: str | None = None
    kind: str | None = None
    cost: float = 0.0


@dataclass(frozen=True)
class Conv:
    """One conversion."""

    at: int
    conversion_id: str | None = None
    value: float = 0.0


History = tuple[list[Touch], list[Conv]]


@dataclass(frozen=True)
class TwinJourney:
    """The touchpoints of one customer that belong together, and the conversion they led to, if any."""

    customer: str
    touches: tuple[Touch, ...]
    conversion: Conv | None
    closes_at: int
    open: bool


@dataclass(frozen=True)
class TwinResult:
    """All journeys, ordered as `build` says, and what was counted on the way."""

    journeys: list[TwinJourney]
    counts: dict[str, int]


def touch_order(touch: Touch) -> tuple[object, ...]:
    """Sort key of touchpoints: time, click before impression before other kinds, channel, the rest.

    The last entry only orders touchpoints that differ in nothing but a missing kind or campaign, which
    sorts like a click or an empty name.

    >>> touches = [Touch(5, "b"), Touch(5, "a", kind="impression"), Touch(5, "c", kind="click")]
    >>> [touch.channel for touch in sorted(touches, key=touch_order)]
    ['b', 'c', 'a']
    """
    if touch.kind is None or touch.kind == "click":
        kind: tuple[int, str] = (0, "")
    elif touch.kind == "impression":
        kind = (1, "")
    else:
        kind = (2, touch.kind)
    campaign = "" if touch.campaign is None else touch.campaign
    missing = (touch.kind is not None, touch.campaign is not None)
    return (touch.at, kind, touch.channel, campaign, touch.cost, missing)


def conversion_order(conversion: Conv) -> tuple[object, ...]:
    """Sort key of a customer's conversions: time, then conversion_id, then value."""
    name = "" if conversion.conversion_id is None else conversion.conversion_id
    return (conversion.at, name, conversion.value)


Lookback = int | None | Callable[[Touch], int | None]
"""One window for all touchpoints, or each touchpoint's own."""


def window_of(touch: Touch, lookback: Lookback) -> int | None:
    """The touchpoint's lookback window."""
    return lookback(touch) if callable(lookback) else lookback


def in_window(touch: Touch, conversion: Conv, lookback: Lookback) -> bool:
    """Whether the touchpoint lies in the lookback window of the conversion, both ends included.

    >>> [in_window(Touch(at, "a"), Conv(at=10), lookback=3) for at in (6, 7, 10, 11)]
    [False, True, True, False]
    """
    age = conversion.at - touch.at
    window = window_of(touch, lookback)
    return age >= 0 and (window is None or age <= window)


def build(
    histories: Mapping[str, History],
    *,
    lookback: Lookback,
    mode: Mode,
    period: tuple[int, int] | None = None,
) -> TwinResult:
    """All journeys of all customers.

    Journeys are ordered by customer, then by time: the conversion's own time or, without a conversion, the
    time of the last touchpoint. Journeys of one customer at the same time are all converting and stand in
    `conversion_order`; under ``reset`` only the first of them can have touchpoints.

    The counts are ``ties`` (touchpoints that share their instant with another touchpoint of the customer,
    over all touchpoints given), ``dropped_touchpoints_after_first``, ``dropped_conversions_after_first``,
    ``conversions_outside_period``, ``journeys_outside_period``, and, among the journeys kept,
    ``without_touchpoint`` and ``open``.

    >>> history = ([Touch(1, "a"), Touch(5, "b")], [Conv(6), Conv(6)])
    >>> result = build({"anna": history}, lookback=2, mode="reset")
    >>> [([touch.channel for touch in journey.touches], journey.closes_at) for journey in result.journeys]
    [(['a'], 3), (['b'], 6), ([], 6)]
    """
    times = [touch.at for touches, _ in histories.values() for touch in touches]
    times += [conversion.at for _, conversions in histories.values() for conversion in conversions]
    end_of_data = max(times, default=0)
    counts = {
        "ties": 0,
        "dropped_touchpoints_after_first": 0,
        "dropped_conversions_after_first": 0,
        "conversions_outside_period": 0,
        "journeys_outside_period": 0,
        "without_touchpoint": 0,
        "open": 0,
    }
    journeys = []
    for customer in sorted(histories):
        touches = sorted(histories[customer][0], key=touch_order)
        conversions = sorted(histories[customer][1], key=conversion_order)
        counts["ties"] += _ties(touches)

        if mode == "first_only" and conversions:
            first = conversions[0]
            counts["dropped_touchpoints_after_first"] += sum(touch.at > first.at for touch in touches)
            counts["dropped_conversions_after_first"] += len(conversions) - 1
            touches = [touch for touch in touches if touch.at <= first.at]
            conversions = [first]

        mine = _converting(customer, touches, conversions, lookback, mode)
        mine += _non_converting(customer, touches, conversions, lookback, end_of_data)
        mine.sort(key=_journey_time)
        for journey in mine:
            if period is not None and not period[0] <= journey.closes_at <= period[1]:
                outside = "journeys_outside_period" if journey.conversion is None else "conversions_outside_period"
                counts[outside] += 1
                continue
            counts["without_touchpoint"] += len(journey.touches) == 0
            counts["open"] += journey.open
            journeys.append(journey)
    return TwinResult(journeys, counts)


def _converting(
    customer: str, touches: list[Touch], conversions: list[Conv], lookback: Lookback, mode: Mode
) -> list[TwinJourney]:
    """One journey per conversion, in the order of the conversions."""
    journeys = []
    gone: set[int] = set()
    for conversion in conversions:
        mine = [
            touch for index, touch in enumerate(touches) if index not in gone and in_window(touch, conversion, lookback)
        ]
        journeys.append(TwinJourney(customer, tuple(mine), conversion, conversion.at, open=False))
        if mode == "reset":
            gone |= {index for index, touch in enumerate(touches) if touch.at <= conversion.at}
    return journeys


def _non_converting(
    customer: str, touches: list[Touch], conversions: list[Conv], lookback: Lookback, end_of_data: int
) -> list[TwinJourney]:
    """The touchpoints that no conversion used, cut where the gap between two exceeds the lookback window.

    A touchpoint is used by some conversion exactly if it lies in the window of one: under ``reset`` a
    conversion takes away only touchpoints at or before itself, and for those every later conversion is
    farther off.

    To cut at conversions as well would change nothing. Had a conversion at T lain between two unused
    touchpoints t < u with u - t <= lookback, then T - t <= lookback and t would have been used. So no
    conversion lies between the first touchpoint of such a journey and the moment it closes.
    """
    unused = [
        touch for touch in touches if not any(in_window(touch, conversion, lookback) for conversion in conversions)
    ]

    def closing(run: list[Touch]) -> int:
        windows = [(touch.at, window_of(touch, lookback)) for touch in run]
        return max(end_of_data if window is None else at + window for at, window in windows)

    runs: list[list[Touch]] = []
    for touch in unused:
        if runs and touch.at <= closing(runs[-1]):
            runs[-1].append(touch)
        else:
            runs.append([touch])
    journeys = []
    for run in runs:
        closes_at = closing(run)
        journeys.append(TwinJourney(customer, tuple(run), None, closes_at, open=closes_at > end_of_data))
    return journeys


def _journey_time(journey: TwinJourney) -> int:
    return journey.touches[-1].at if journey.conversion is None else journey.conversion.at


def _ties(touches: list[Touch]) -> int:
    return sum(number for number in Counter(touch.at for touch in touches).values() if number > 1)
