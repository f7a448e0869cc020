"""Journeys: touchpoints and conversions of a customer, cut where a journey begins and ends."""

from __future__ import annotations

from typing import Literal

from attribution.experiment import JourneyOptions, Period, checked
from attribution.journeys.events import DAY, journeys_from_events
from attribution.journeys.paths import journeys_from_paths
from attribution.journeys.structure import JourneyChunk, Journeys, Reader, observe
from attribution.journeys.summary import Summary
from attribution.sources import Sources

__all__ = ["DAY", "JourneyChunk", "Journeys", "Reader", "Summary", "build_journeys", "observe"]


def build_journeys(
    sources: Sources,
    *,
    lookback_days: float | None = None,
    conversions: Literal["reset", "cumulative", "first_only"] = "reset",
    period: Period | None = None,
) -> Journeys:
    """Build journeys from touchpoints and conversions, or from aggregated paths.

    Parameters
    ----------
    sources : the input tables
    lookback_days : window before a conversion, inclusive at both ends; 30 unless set, refused on integer times
    conversions : ``reset``: a conversion closes the journey; ``cumulative``: every conversion looks back over
        its own window; ``first_only``: only the first conversion of a customer counts
    period : conversions in it count, and non-converting journeys that close in it

    Raises
    ------
    InputError
        If an option does not fit the data.

    Examples
    --------
    >>> import pandas as pd
    >>> from attribution.sources import load_sources
    >>> journeys = build_journeys(load_sources(
    ...     pd.DataFrame({"customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-05"],
    ...                   "channel": ["mail", "search"]}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-06"]}),
    ... ))
    >>> len(journeys), journeys.channels, journeys.total("conversions")
    (1, ('mail', 'search'), 1.0)
    """
    asked = {"lookback_days": lookback_days, "conversions": conversions}
    options = checked(JourneyOptions, asked, origin="build_journeys")
    build = journeys_from_paths if sources.has("paths") else journeys_from_events
    return build(sources, options, period or Period())
