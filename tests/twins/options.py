"""What journey options make of journeys, in loops over lists.

Options have the names and units of `JourneyOptions`: windows in days, gaps in minutes; times are microseconds.
Their order is: conversion kinds, windows, new customers, open journeys, view-through, dedupe, direct traffic,
transform, length.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, Literal

from .journeys import Conv, History, Touch, TwinJourney, TwinResult, build, conversion_order

DAY = 24 * 60 * 60 * 1_000_000
MINUTE = 60 * 1_000_000

REMOVED = ("removed_expired", "removed_views", "removed_repeats", "removed_direct", "removed_transform")


@dataclass(frozen=True)
class Sale(Conv):
    """A conversion with its kind, and what the log says of the customer: new, not new, or nothing."""

    kind: str | None = None
    is_new: bool | None = None


def build_with(
    histories: Mapping[str, History], *, period: tuple[int, int] | None = None, **options: Any
) -> TwinResult:
    """Journeys of all customers under options; to the counts of `build` come those of what options leave out.

    >>> touches = [Touch(1 * DAY, "mail"), Touch(2 * DAY, "mail"), Touch(3 * DAY, "search")]
    >>> result = build_with({"anna": (touches, [Sale(4 * DAY)])}, dedupe="consecutive", transform="frequency")
    >>> [touch.channel for journey in result.journeys for touch in journey.touches]
    ['mail (1)', 'search (1)']
    """
    counts = Counter(dict.fromkeys((*REMOVED, "other_kinds", "not_new", "dropped_open"), 0))
    sold = {}
    for customer, (touches, conversions) in histories.items():
        kinds = options.get("conversion_kinds")
        counted = [sale for sale in conversions if kinds is None or sale.kind in kinds]
        counts["other_kinds"] += len(conversions) - len(counted)
        sold[customer] = (touches, with_new_customers_told(counted))

    default = days(options.get("lookback_days", 30.0))
    mode = options.get("conversions", "reset")
    result = build(sold, lookback=lambda touch: window(touch, options, default), mode=mode, period=period)
    longest = longest_window([touch for touches, _ in sold.values() for touch in touches], options, default)

    journeys = []
    for journey in result.journeys:
        if journey.conversion is not None and options.get("customers") == "new" and not journey.conversion.is_new:
            counts["not_new"] += 1
            continue
        if journey.open and options.get("open_journeys") == "drop":
            counts["dropped_open"] += 1
            continue
        if journey.conversion is not None and mode == "cumulative":
            counts["removed_expired"] += too_old(sold[journey.customer][0], journey, longest)
        touches = refined(list(journey.touches), options, counts)
        if touches or journey.conversion is not None:
            journeys.append(replace(journey, touches=tuple(touches)))
    counts["without_touchpoint"] = sum(not journey.touches for journey in journeys)
    counts["open"] = sum(journey.open for journey in journeys)
    return TwinResult(journeys, {**result.counts, **counts})


def with_new_customers_told(conversions: list[Sale]) -> list[Sale]:
    """A customer's conversions in order; where the log does not say, the first is that of a new customer."""
    ordered = sorted(conversions, key=lambda sale: (*conversion_order(sale), flag_order(sale.is_new)))
    return [
        replace(sale, is_new=number == 0 if sale.is_new is None else sale.is_new) for number, sale in enumerate(ordered)
    ]


def flag_order(flag: bool | None) -> int:
    """False before true before nothing: the last of the columns that order conversions at one instant."""
    return {False: 0, True: 1, None: 2}[flag]


def days(length: float) -> int | None:
    """A window in microseconds; None for one without end."""
    return None if math.isinf(length) else round(length * DAY)


def window(touch: Touch, options: Mapping[str, Any], default: int | None) -> int | None:
    """The touchpoint's own window, the shorter one if it has two, the default one if it has none."""
    own = []
    if touch.kind in options.get("lookback_by_kind", {}):
        own.append(options["lookback_by_kind"][touch.kind])
    if touch.channel in options.get("lookback_by_channel", {}):
        own.append(options["lookback_by_channel"][touch.channel])
    return days(min(own)) if own else default


def longest_window(touches: list[Touch], options: Mapping[str, Any], default: int | None) -> float:
    """The longest window of any kind, or none, with any channel."""
    channels = {touch.channel for touch in touches}
    kinds = {touch.kind for touch in touches} | {None}
    pairs = [Touch(0, channel, kind=kind) for channel, kind in product(channels, kinds)]
    windows = [window(touch, options, default) for touch in pairs]
    return max((math.inf if length is None else length for length in windows), default=0)


def too_old(touches: list[Touch], journey: TwinJourney, longest: float) -> int:
    """How many touchpoints lie in the longest window before the conversion and not in their own."""
    assert journey.conversion is not None
    in_longest = [touch for touch in touches if 0 <= journey.conversion.at - touch.at <= longest]
    return len(in_longest) - len(journey.touches)


def refined(touches: list[Touch], options: Mapping[str, Any], counts: Counter[str]) -> list[Touch]:
    """What is left of a journey's touchpoints."""
    steps = (
        ("removed_views", lambda: without_views(touches, options.get("view_through", "equal"))),
        ("removed_repeats", lambda: merged(touches, options.get("dedupe", "none"), gap(options))),
        ("removed_direct", lambda: without_direct(touches, options)),
        ("removed_transform", lambda: transformed(touches, options.get("transform", "unique"))),
        ("removed_transform", lambda: touches[-options.get("max_touchpoints", 10**9) :]),
    )
    for count, step in steps:
        before, touches = touches, step()
        counts[count] += len(before) - len(touches)
    return touches


def without_views(touches: list[Touch], policy: Literal["equal", "clicks_only", "clicks_dominate"]) -> list[Touch]:
    """Impressions go, always or where the journey has anything else."""
    others = [touch for touch in touches if touch.kind != "impression"]
    if policy == "equal" or (policy == "clicks_dominate" and not others):
        return touches
    return others


def gap(options: Mapping[str, Any]) -> int:
    """Within how many microseconds a touchpoint repeats the one before."""
    return round(options.get("dedupe_gap_minutes", 30.0) * MINUTE)


def merged(touches: list[Touch], dedupe: Literal["none", "consecutive", "gap", "unique"], within: int) -> list[Touch]:
    """Runs of touchpoints that repeat the one before become their first, which takes over what they cost."""
    if dedupe == "unique":
        return list(dict.fromkeys(touches))
    runs: list[list[Touch]] = []
    for touch in touches:
        before = runs[-1][-1] if runs else None
        alike = before is not None and replace(touch, at=0, cost=0) == replace(before, at=0, cost=0)
        if before is not None and (
            (dedupe == "consecutive" and alike) or (dedupe == "gap" and alike and touch.at - before.at <= within)
        ):
            runs[-1].append(touch)
        else:
            runs.append([touch])
    return [replace(run[0], cost=sum(touch.cost for touch in run)) for run in runs]


def without_direct(touches: list[Touch], options: Mapping[str, Any]) -> list[Touch]:
    """Direct traffic goes, always or where the journey has anything else; case does not matter."""
    names = [name.casefold() for name in options.get("direct_channels", ["direct"])]
    others = [touch for touch in touches if touch.channel.casefold() not in names]
    policy = options.get("direct", "keep")
    if policy == "keep" or (policy == "drop_if_other" and not others):
        return touches
    return others


def transformed(touches: list[Touch], transform: Literal["unique", "exposure", "first", "frequency"]) -> list[Touch]:
    """The path transform."""
    if transform == "unique":
        return touches
    if transform == "exposure":
        return [touch for before, touch in pairwise([None, *touches]) if touch and not same_channel(before, touch)]
    times = Counter(touch.channel for touch in touches)
    firsts = [touch for place, touch in enumerate(touches) if touch.channel not in channels(touches[:place])]
    if transform == "first":
        return firsts
    return [replace(touch, channel=numbered(touch.channel, times[touch.channel])) for touch in firsts]


def same_channel(before: Touch | None, touch: Touch) -> bool:
    """Whether the channel goes on."""
    return before is not None and before.channel == touch.channel


def channels(touches: list[Touch]) -> list[str]:
    """The channel of each touchpoint."""
    return [touch.channel for touch in touches]


def numbered(channel: str, times: int) -> str:
    """The channel's name with how often it was there; ten or more are not told apart.

    >>> numbered("mail", 2), numbered("mail", 10), numbered("mail", 11)
    ('mail (2)', 'mail (10+)', 'mail (10+)')
    """
    return f"{channel} ({times})" if times < 10 else f"{channel} (10+)"
