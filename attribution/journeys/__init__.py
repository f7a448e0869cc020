"""Journeys: touchpoints and conversions of a customer, cut where a journey begins and ends."""

from __future__ import annotations

from typing import Any

from attribution.arguments import check_arguments
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys.buckets import Buckets
from attribution.journeys.from_events import journeys_from_events
from attribution.journeys.from_paths import journeys_from_paths
from attribution.journeys.placebo_channel import Placebo
from attribution.journeys.refine import DAY
from attribution.journeys.structure import JourneyChunk, Journeys, Reader, Summary, observe, tally
from attribution.schema.experiment import VISIT_OPTIONS, Experiment, JourneyOptions, Period, checked

__all__ = [
    "DAY",
    "Buckets",
    "JourneyChunk",
    "Journeys",
    "Placebo",
    "Reader",
    "Summary",
    "build_journeys",
    "journey_options",
    "journeys_by_day",
    "journeys_of",
    "observe",
    "tally",
]


@check_arguments
def build_journeys(
    sources: Sources, *, period: Period | None = None, placebo: Placebo | None = None, **options: Any
) -> Journeys:
    """Build journeys from touchpoints and conversions, or from aggregated paths.

    Parameters
    ----------
    sources : the input tables
    period : only conversions and non-converting journeys that end in it count
    placebo : a channel without any effect, inserted into the events; see `attribution.placebo_test`
    **options : the fields of `attribution.schema.experiment.JourneyOptions`: ``lookback_days``, ``conversions``, …

    Raises
    ------
    InputError
        If an option does not fit the data.

    Examples
    --------
    >>> import pandas as pd
    >>> from attribution.data.loading import load_sources
    >>> journeys = build_journeys(load_sources(
    ...     pd.DataFrame({"customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-05"],
    ...                   "channel": ["mail", "search"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-06"]}),
    ... ))
    >>> len(journeys), journeys.channels, journeys.total("conversions")
    (1, ('mail', 'search'), 1.0)
    """
    elsewhere = {"account": "load_sources", "segment": "an experiment"}
    elsewhere |= dict.fromkeys(VISIT_OPTIONS, "load_sources: visits = {'visit_gap_minutes': 30}")
    for name, where in elsewhere.items():
        if options.get(name) is not None:
            raise InputError(f"build_journeys: {name} is an option of {where}", given=repr(options[name]))
    settings = checked(JourneyOptions, options, origin="build_journeys")
    if not sources.has("paths"):
        return journeys_from_events(sources, settings, period or Period(), placebo)
    if placebo is not None:
        raise InputError(
            "a placebo cannot be inserted into aggregated paths: they have no customers and no times",
            hint="pass touchpoints and conversions",
        )
    return journeys_from_paths(sources, settings, period or Period())


def journeys_by_day(sources: Sources, **options: Any) -> Journeys:
    """Build journeys whose ``bucket`` is the day they are booked on, counted from 1970-01-01 in UTC.

    A conversion is booked on its own day. A journey without one is booked on the day it closes, one lookback window
    after its last touchpoint, because only then is it certain that it did not convert. Days therefore add up, and a
    day that is over does not change. Journeys that close after the end of the data are included, on later days.

    Parameters
    ----------
    sources : touchpoints and conversions, including the history before the days of interest
    **options : as for `build_journeys`; ``open_journeys`` has no effect here

    Raises
    ------
    InputError
        If there are no days: aggregated paths, times that are positions, or no lookback window.

    Examples
    --------
    >>> import pandas as pd
    >>> from attribution.data.loading import load_sources
    >>> journeys = journeys_by_day(load_sources(
    ...     pd.DataFrame({"customer_id": ["a", "b"], "touched_at": ["1970-01-02", "1970-01-03"],
    ...                   "channel": ["mail", "search"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["1970-01-05"]}),
    ... ), lookback_days=7)
    >>> sorted(day for chunk in journeys for day in chunk.bucket.tolist())
    [4, 9]
    """
    settings = checked(JourneyOptions, {**options, "open_journeys": "keep"}, origin="journeys_by_day")
    if sources.has("paths") or sources.integer_times:
        lack = "aggregated paths have no times" if sources.has("paths") else "the times of this log are integers"
        raise InputError(
            f"journeys_by_day needs timestamps: {lack}", hint="pass touchpoints and conversions with times"
        )
    journeys = journeys_from_events(sources, settings, Period(), by_day=True)
    if journeys.lookback_days is None:
        raise InputError(
            "journeys_by_day needs a lookback window: without one a journey never closes and belongs to no day",
            given=f"lookback_days = {settings.lookback_days}",
            hint="set lookback_days to a number of days",
        )
    return journeys


def journeys_of(experiment: Experiment, sources: Sources) -> Journeys:
    """The journeys that an experiment asks for."""
    return build_journeys(sources, period=experiment.period, **journey_options(experiment))


def journey_options(experiment: Experiment) -> dict[str, Any]:
    """What an experiment asks of `build_journeys`: the options that are set, without those of reading tables."""
    return experiment.journeys.of_building
