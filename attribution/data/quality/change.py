"""Channels and raw columns that appear, vanish or jump, by their share of touchpoints day by day."""

from __future__ import annotations

import numpy as np

from attribution.amounts import percent
from attribution.data.loading.findings import Finding, listed
from attribution.data.loading.load import Sources
from attribution.data.quality.timeline import Counts, Timeline
from attribution.data.quality.values import Jump, find_jump, slices

_LEAST_DAYS = 3
"""On each side of a change: two days may be a weekend."""

_LEAST_SHARE = 0.01
"""A channel that was never more is not missed."""

_LARGE = 0.05
"""A channel that neither appears nor vanishes changes by at least so much."""

_MOST_CHANNELS = 100
"""The largest; with campaigns as channels there may be thousands."""


def check_channel_changes(sources: Sources) -> list[Finding]:
    """Whether the share of a channel changes for good, or falls to nothing for a while.

    A channel that is strong for some days and then as before is a campaign, and no finding.
    """
    table = sources.channel_days
    if table is None or not table.num_rows:
        return []
    days, places = np.unique(table["day"].to_numpy(), return_inverse=True)
    names = table["channel"].to_pylist()
    touches = table["touchpoints"].to_numpy().astype(np.int64)
    by_channel: dict[str, Counts] = {}
    for name, index, n in zip(names, places.tolist(), touches.tolist(), strict=True):
        by_channel.setdefault(name, np.zeros(len(days), dtype=np.int64))[index] += n
    largest = sorted(by_channel, key=lambda name: (-int(by_channel[name].sum()), name))[:_MOST_CHANNELS]
    rows = np.zeros(len(days), dtype=np.int64)
    np.add.at(rows, places, touches)
    timeline = slices(Timeline("touchpoints", days.astype(np.int64), rows, {n: by_channel[n] for n in largest}, False))
    changes = {name: text for name in largest if (text := _describe(timeline, name)) is not None}
    check, total = "channel_jump", len(by_channel)
    if not changes:
        return [Finding(check, "touchpoints", "pass", 0, total, None, "no channel appears, vanishes or jumps")]
    message = (
        f"share of touchpoints: {listed([*changes.values()])}; check tags, channel rules and exports of these days, or "
        "end the period before them (table channel_days)"
    )
    return [Finding(check, "touchpoints", "warn", len(changes), total, next(iter(changes)), message)]


def _describe(timeline: Timeline, name: str) -> str | None:
    counts, label = timeline.nulls[name], timeline.label
    jump = find_jump(timeline.rows, counts, least=_LEAST_SHARE)
    if jump is None or not _is_change(jump, len(counts)):
        return None
    last = len(counts) - 1
    if jump.first == 0:
        # Told from the later side, which is the news.
        jump = Jump(jump.last + 1, last, jump.outside, jump.inside)
    stretch = f"from {label(jump.first)} on" if jump.last == last else f"from {label(jump.first)} to {label(jump.last)}"
    if jump.inside == 0:
        return f"{name!r} vanishes {stretch} ({percent(jump.outside)} otherwise)"
    if jump.outside == 0:
        return f"{name!r} appears {stretch} ({percent(jump.inside)})"
    return f"{name!r} is {percent(jump.inside)} {stretch}, {percent(jump.outside)} otherwise"


def _is_change(jump: Jump, bins: int) -> bool:
    length = jump.last - jump.first + 1
    if min(length, bins - length) < _LEAST_DAYS:
        return False
    lower, upper = sorted((jump.inside, jump.outside))
    if jump.first > 0 and jump.last < bins - 1:
        # Shares add up: where one channel has a campaign, the others fall, but none falls to nothing.
        return jump.inside == 0
    return lower == 0 or upper - lower >= _LARGE


def raw_timeline(sources: Sources) -> Timeline | None:
    """Rows without each raw marketing column by day; None where no channel rules read any."""
    if sources.marketing is None or sources.integer_times is not False or not sources.marketing.days.num_rows:
        return None
    days = sources.marketing.days
    rows = days["n"].to_numpy().astype(np.int64)
    names = [name for name in days.column_names if name not in ("start", "n")]
    nulls = {name: rows - days[name].to_numpy().astype(np.int64) for name in names}
    return Timeline("touchpoints", days["start"].to_numpy().astype(np.int64), rows, nulls, False)
