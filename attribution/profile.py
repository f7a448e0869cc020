"""What journeys look like: how long, over how many days, and which channels take part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.journeys import DAY, JourneyChunk, Journeys
from attribution.kernels.sums import KeyedSums, merge_keyed, sum_by_key, to_float
from attribution.tables import JOURNEY_PROFILE

_OUTCOMES = ("converted", "not_converted")


def profile_journeys(journeys: Journeys) -> pd.DataFrame:
    """The ``journey_profile`` table.

    Measures: ``path_length`` (journeys by number of touchpoints), ``time_lag_days`` (journeys by whole days
    from first touchpoint to their end), ``touchpoints`` and ``participation`` (touchpoints, and journeys that
    a channel is in, by channel).
    """
    sums: dict[str, KeyedSums] = {}
    for chunk in journeys:
        for piece in chunk.pieces():
            for measure, keys, terms in _contributions(piece, journeys):
                table = sum_by_key(keys, terms)
                sums[measure] = merge_keyed(sums[measure], table) if measure in sums else table
    totals = {"converted": journeys.total("conversions"), "not_converted": journeys.total("nulls")}
    parts = [_rows(measure, table, journeys, totals) for measure, table in sums.items() if len(table.keys)]
    if not parts:
        return pd.DataFrame(columns=list(JOURNEY_PROFILE.column_names))
    return pd.concat(parts, ignore_index=True)[list(JOURNEY_PROFILE.column_names)]


def _contributions(
    chunk: JourneyChunk, journeys: Journeys
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float64]]]:
    """(measure, keys (n, 2) of bin and outcome, terms (n,)) of one chunk."""
    for outcome, counts in enumerate((chunk.conversions, chunk.nulls)):
        laid_out = chunk.lay_out(counts > 0)
        taken = (laid_out.conversions, laid_out.nulls)[outcome].astype(np.float64)
        yield "path_length", _keys(laid_out.lengths, outcome), taken
        touched = laid_out.lay_out(laid_out.lengths > 0)
        taken = (touched.conversions, touched.nulls)[outcome].astype(np.float64)
        if journeys.has_times and touched.touched_at is not None and touched.ended_at is not None:
            lag = touched.ended_at - touched.touched_at[touched.offsets[:-1]]
            yield "time_lag_days", _keys(lag // DAY, outcome), taken
        journey = np.repeat(np.arange(len(touched)), touched.lengths)
        yield "touchpoints", _keys(touched.channel.astype(np.int64), outcome), taken[journey]
        pairs = np.unique(journey * max(1, len(journeys.channels)) + touched.channel)
        own, channel = np.divmod(pairs, max(1, len(journeys.channels)))
        yield "participation", _keys(channel, outcome), taken[own]


def _keys(bins: NDArray[np.int64], outcome: int) -> NDArray[np.int64]:
    return np.stack([bins, np.full(len(bins), outcome)], axis=1)


def _rows(measure: str, table: KeyedSums, journeys: Journeys, totals: dict[str, float]) -> pd.DataFrame:
    count = to_float(table.sums)
    outcome = np.array(_OUTCOMES, dtype=object)[table.keys[:, 1]]
    by_channel = measure in ("touchpoints", "participation")
    channels = np.array(journeys.channels, dtype=object)
    frame = pd.DataFrame(
        {
            "measure": measure,
            "channel": channels[table.keys[:, 0]] if by_channel else np.full(len(count), None, dtype=object),
            "bin": np.full(len(count), np.nan) if by_channel else table.keys[:, 0].astype(float),
            "outcome": outcome,
            "count": count,
        }
    )
    whole = (
        frame["outcome"].map(totals) if measure != "touchpoints" else frame.groupby("outcome")["count"].transform("sum")
    )
    frame["share"] = frame["count"] / whole.where(whole > 0)
    return frame
