"""What journeys look like: how long, over how many days, and which channels take part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from attribution.journeys import DAY, JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.structure import number, tally
from attribution.kernels.markov.step_counts import Slices, distinct_members
from attribution.kernels.statistics.sums import KeyedSums, to_float
from attribution.schema.tables import JOURNEY_PROFILE

LAST_TOUCHED = "last_touched"
"""The measure that counts failed journeys of a period when they were last touched, not when they close."""

TOUCHPOINTS_LAST_TOUCHED = "touchpoints_last_touched"
"""The same of touchpoints: those of journeys that converted or were last touched in the period."""

_MEASURES = ("path_length", "time_lag_days", "touchpoints", "participation")
_OUTCOMES = {"converted": "conversions", "not_converted": "nulls"}
_ALL_LAST_TOUCHED = "all_last_touched"
_SEPARATE = (LAST_TOUCHED, _ALL_LAST_TOUCHED, TOUCHPOINTS_LAST_TOUCHED)


def profile_journeys(journeys: Journeys) -> pd.DataFrame:
    """The ``journey_profile`` table.

    Measures: ``path_length`` (journeys by number of touchpoints), ``time_lag_days`` (journeys by whole days
    from first touchpoint to their end), ``touchpoints`` and ``participation`` (touchpoints, and journeys that
    a channel is in, by channel). With a period also ``last_touched`` and ``touchpoints_last_touched``: as
    ``participation`` and ``touchpoints``, but a journey without a conversion counts when it was last touched, see
    `JourneyChunk.by_last_touch`.
    """
    return assemble_profile(journeys.read(profile_reader(journeys))[0], journeys.channels)


def profile_reader(journeys: Journeys) -> Reader:
    """What counts journeys by their measures, for `assemble_profile`."""
    return partial(_count, len(journeys.channels), journeys.has_times)


def assemble_profile(summary: Summary, channels: Sequence[str]) -> pd.DataFrame:
    """The ``journey_profile`` table of what a `profile_reader` has counted in journeys of ``channels``."""
    counted = {name: table for name, table in summary.tables.items() if not name.startswith(_SEPARATE)}
    parts = [_rows(name, table, channels) for name, table in sorted(counted.items(), key=_sort_key)]
    parts = [part for part in (*parts, *_rows_last_touched(summary, channels)) if len(part)]
    if not parts:
        return pd.DataFrame(columns=list(JOURNEY_PROFILE.column_names))
    table = pd.concat(parts, ignore_index=True)
    lengths = table[table["measure"] == "path_length"]
    journeys_by_outcome = lengths.groupby("outcome")["count"].sum()
    whole = table["outcome"].map(journeys_by_outcome)
    for measure in ("touchpoints", TOUCHPOINTS_LAST_TOUCHED):
        touched = table["measure"] == measure
        whole[touched] = table[touched].groupby("outcome")["count"].transform("sum")
    last_touched = table["measure"] == LAST_TOUCHED
    all_last_touched = {outcome: summary.number(f"{_ALL_LAST_TOUCHED}/{outcome}") for outcome in _OUTCOMES}
    whole[last_touched] = table[last_touched]["outcome"].map(all_last_touched)
    is_none = table["measure"].isin([LAST_TOUCHED, TOUCHPOINTS_LAST_TOUCHED]) & (table["count"] == 0)
    table["share"] = (table["count"] / whole.where(whole > 0)).mask(is_none, 0.0)
    return table[list(JOURNEY_PROFILE.column_names)]


def journeys_by_channel(profile: pd.DataFrame) -> pd.Series:
    """Journeys that touched each channel, to hold spend and credited conversions of the same days against.

    Parameters
    ----------
    profile : the ``journey_profile`` table
    """
    return _by_channel(profile, LAST_TOUCHED, "participation")


def touchpoints_by_channel(profile: pd.DataFrame) -> pd.Series:
    """Touchpoints of each channel, to hold spend and credited conversions of the same days against.

    Parameters
    ----------
    profile : the ``journey_profile`` table
    """
    return _by_channel(profile, TOUCHPOINTS_LAST_TOUCHED, "touchpoints")


def _by_channel(profile: pd.DataFrame, of_period: str, otherwise: str) -> pd.Series:
    measures = profile["measure"]
    measure = of_period if (measures == of_period).any() else otherwise
    return profile[measures == measure].groupby("channel")["count"].sum()


def _sort_key(table: tuple[str, KeyedSums]) -> tuple[int, str]:
    measure, _, outcome = table[0].partition("/")
    return _MEASURES.index(measure), outcome


def _count(channels: int, has_times: bool, chunk: JourneyChunk) -> Summary:
    """Tables named measure/outcome, by bin or channel."""
    touched = chunk.touched
    journey, member = distinct_members(Slices(touched.start, touched.stop, touched.channel, channels))
    tables = {}
    for outcome, counts in _OUTCOMES.items():
        times = getattr(touched, counts)
        tables[f"path_length/{outcome}"] = tally(chunk.lengths, getattr(chunk, counts))
        if has_times and touched.touched_at is not None and touched.ended_at is not None:
            lag = touched.ended_at - touched.touched_at[touched.start]
            tables[f"time_lag_days/{outcome}"] = tally(lag // DAY, times)
        flat = touched.flatten(times > 0)
        tables[f"touchpoints/{outcome}"] = tally(flat.channel, np.repeat(getattr(flat, counts), flat.lengths))
        tables[f"participation/{outcome}"] = tally(member, times[journey])
    counted = Summary(tables)
    if chunk.since is not None:
        for part in chunk.by_last_touch:
            counted += _count_last_touched(channels, part.touched)
    return counted


def _count_last_touched(channels: int, touched: JourneyChunk) -> Summary:
    journey, member = distinct_members(Slices(touched.start, touched.stop, touched.channel, channels))
    tables = {}
    for outcome, counts in _OUTCOMES.items():
        times = getattr(touched, counts)
        tables[f"{LAST_TOUCHED}/{outcome}"] = tally(member, times[journey])
        flat = touched.flatten(times > 0)
        repeated = np.repeat(getattr(flat, counts), flat.lengths)
        tables[f"{TOUCHPOINTS_LAST_TOUCHED}/{outcome}"] = tally(flat.channel, repeated)
        tables[f"{_ALL_LAST_TOUCHED}/{outcome}"] = number(times)
    return Summary(tables)


def _rows_last_touched(summary: Summary, channels: Sequence[str]) -> list[pd.DataFrame]:
    """A row for every channel, so that a count of 0 is told from none at all; no rows without a period."""
    return [
        pd.DataFrame(
            {
                "measure": measure,
                "channel": np.array(channels, dtype=object),
                "bin": np.full(len(channels), np.nan),
                "outcome": outcome,
                "count": summary.dense(f"{measure}/{outcome}", len(channels)),
            }
        )
        for measure in (LAST_TOUCHED, TOUCHPOINTS_LAST_TOUCHED)
        for outcome in _OUTCOMES
        if f"{measure}/{outcome}" in summary.tables
    ]


def _rows(name: str, table: KeyedSums, channels: Sequence[str]) -> pd.DataFrame:
    measure, _, outcome = name.partition("/")
    keys = table.keys[:, 0]
    by_channel = measure in ("touchpoints", "participation")
    names = np.array(channels, dtype=object)
    return pd.DataFrame(
        {
            "measure": measure,
            "channel": names[keys] if by_channel else np.full(len(keys), None, dtype=object),
            "bin": np.full(len(keys), np.nan) if by_channel else keys.astype(float),
            "outcome": outcome,
            "count": to_float(table.sums),
        }
    )
