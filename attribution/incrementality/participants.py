"""How many conversions each channel took part in, however long before: it cannot have caused more."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.journeys import JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.histories import Histories
from attribution.kernels.markov.step_counts import Slices, distinct_members
from attribution.kernels.statistics.sums import sum_by_key

Floats = NDArray[np.float64]

_VALUE = "value_of_participants"


def participants_reader(journeys: Journeys) -> Reader:
    """What counts conversions by the channels that were touched before them, for `assemble_participants`.

    Touchpoints count however old they are; only where nothing tells what came before a journey, as of aggregated paths,
    those of the journey do.
    """
    return partial(_count, journeys.has_times and not journeys.overlap, len(journeys.channels))


def assemble_participants(summary: Summary, journeys: Journeys) -> pd.DataFrame:
    """``participants`` and ``mean_value`` of each channel, by ``channel``."""
    size = len(journeys.channels)
    participants, value = (summary.dense(name, size) for name in ("participants", _VALUE))
    mean = np.divide(value, participants, out=np.full(size, np.nan), where=participants > 0)
    columns = {"participants": participants, "mean_value": mean}
    return pd.DataFrame(columns, index=pd.Index(journeys.channels, name="channel"))


def _count(has_histories: bool, channels: int, chunk: JourneyChunk) -> Summary:
    if not has_histories:
        converting = chunk.subset(chunk.converting)
        journey, channel = distinct_members(Slices(converting.start, converting.stop, converting.channel, channels))
        times = converting.conversions.astype(np.float64)
        return _tables(channel, times[journey], converting.value[journey])
    if chunk.histories is None:
        return Summary({})
    of = chunk.histories.of(_has_counting(chunk.histories))
    conversion, channel = touched_before(of, channels)
    return _tables(channel, np.ones(len(channel)), of.value[conversion])


def _tables(channel: NDArray[np.integer], times: Floats, value: Floats) -> Summary:
    keys = channel.astype(np.int64)[:, None]
    return Summary({"participants": sum_by_key(keys, times), _VALUE: sum_by_key(keys, value)})


def _has_counting(of: Histories) -> NDArray[np.bool_]:
    """(customers,) whether a conversion of the customer counts."""
    customer = np.repeat(np.arange(len(of)), np.diff(of.end_start))
    return np.bincount(customer[of.counts], minlength=len(of)) > 0


def touched_before(of: Histories, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each conversion that counts with each channel touched before it, or at its very instant.

    Parameters
    ----------
    of : histories
    channels : how many there are

    Returns
    -------
    conversion, channel : (pairs,) positions
    """
    customer = np.repeat(np.arange(len(of)), np.diff(of.touch_start))
    # Touchpoints of a customer are in the order of time, so the first of a channel is its earliest.
    key, first = np.unique(customer * channels + of.channel, return_index=True)
    start = np.searchsorted(key, np.arange(len(of) + 1) * channels)
    converting = np.repeat(np.arange(len(of)), np.diff(of.end_start))
    many = np.diff(start)[converting]
    conversion = np.repeat(np.arange(len(converting)), many)
    pair = np.arange(many.sum()) + np.repeat(start[converting] - np.cumsum(many) + many, many)
    is_before = of.counts[conversion] & (of.touched_at[first[pair]] <= of.ended_at[conversion])
    return conversion[is_before], (key % channels)[pair[is_before]]
