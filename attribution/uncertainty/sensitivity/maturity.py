"""How much of what touchpoints will bring has come by the end of the data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from attribution.journeys import DAY, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.lookback import time_lag
from attribution.journeys.structure import tally
from attribution.kernels.statistics.sums import sum_by_pair, to_float


def maturity_reader(journeys: Journeys | None) -> Reader:
    """What counts touchpoints by age and days to conversion, for `estimate_maturity`; nothing without windows."""
    if journeys is None or not journeys.has_times or journeys.span is None or journeys.lookback_days is None:
        return _nothing
    return partial(_count, journeys.span[1], round(journeys.lookback_days * DAY))


def estimate_maturity(summary: Summary, journeys: Journeys) -> Mapping[str, float]:
    """Per channel, the share of the conversions after its touchpoints that have come by the end of the data.

    Of all conversions within the window after a touchpoint, the share within d days is a Kaplan–Meier estimate of all
    channels together, touchpoints whose window was still open counted for as long as they were seen. A channel's
    touchpoints are as mature as their ages say. Empty where there are no windows, or nothing converted.
    """
    lag = time_lag(summary)
    if not len(lag.converted) or not lag.converted[-1] > 0:
        return {}
    share = np.minimum(lag.converted / lag.converted[-1], 1.0)
    table = summary.tables["ages"]
    channel, age = table.keys.T
    count = to_float(table.sums)
    size = len(journeys.channels)
    mature = np.bincount(channel, count * share[np.minimum(age, len(share) - 1)], size)
    total = np.bincount(channel, count, size)
    return {name: mature[k] / total[k] for k, name in enumerate(journeys.channels) if total[k] > 0}


def touched_reader(chunk: JourneyChunk) -> Summary:
    """What counts conversions by the channels that touched them, for `count_touched`."""
    flattened = chunk.allocated
    journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
    size = int(flattened.channel.max(initial=0)) + 1
    in_journey, channel = np.divmod(np.unique(journey * size + flattened.channel), size)
    return Summary({"touched": tally(channel, np.asarray(flattened.conversions, np.float64)[in_journey])})


def count_touched(summary: Summary, journeys: Journeys, earlier: Mapping[str, float]) -> dict[str, float]:
    """Per channel of ``journeys`` the conversions that it touched, or ``earlier`` ones where these were more."""
    counts = summary.dense("touched", len(journeys.channels))
    return {name: max(float(counts[k]), earlier.get(name, 0.0)) for k, name in enumerate(journeys.channels)}


def _nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def _count(end: int, window: int, chunk: JourneyChunk) -> Summary:
    """Touchpoints by days to the conversion, or to when they were last seen without one; and by channel and age."""
    touched = chunk.flatten(chunk.lengths > 0)
    assert touched.touched_at is not None
    assert touched.ended_at is not None
    journey = np.repeat(np.arange(len(touched)), touched.lengths)
    at = touched.touched_at
    age = np.minimum(end - at, window) // DAY
    converted = touched.conversions[journey] > 0
    lag = np.where(converted, (touched.ended_at[journey] - at) // DAY, age)
    ages = sum_by_pair(touched.channel.astype(np.int64), age, np.ones(len(at)))
    return Summary({"converted": tally(lag, converted), "censored": tally(lag, ~converted), "ages": ages})
