"""What a run cannot know because its log begins and ends: said of both runs of a review."""

from __future__ import annotations

import datetime as dt
import math

from attribution.decisions.kpis import Run
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, JourneyOptions


def say_log_ends(run: Run) -> list[str]:
    """Sentences on the days of a run that lie within a lookback window of the first or last event of its log."""
    log, period = run.log, run.period
    if log is None or period is None:
        return []
    (first, last), (start, end) = log, period
    window = _longest_window(run.experiment.journeys)
    sentences = []
    cut_until = _shift(first, window - 1)
    if start <= cut_until:
        whom = "all conversions" if end <= cut_until else f"conversions until {cut_until}"
        sentences.append(
            f"The log of run {run.name!r} begins on {first}, so {whom} may lack earlier touchpoints, and credit and "
            "volume may be too low."
        )
    open_from = max(_shift(last, 1 - window), start)
    if open_from <= end:
        whom = "all journeys" if open_from == start else f"journeys last touched from {open_from} on"
        drops = run.experiment.journeys.open_journeys == "drop"
        outcome = (
            "are left out until they close, and volume may be too low and the rate too high"
            if drops
            else "count as not converted until they do, and the rate may be too low"
        )
        sentences.append(
            f"The log of run {run.name!r} ends on {last}, so {whom} may still convert; those without a conversion "
            f"{outcome}."
        )
    return sentences


def _longest_window(options: JourneyOptions) -> float:
    """Whole days; infinite where journeys have no window."""
    default = DEFAULT_LOOKBACK_DAYS if options.lookback_days is None else options.lookback_days
    own = [*options.lookback_by_kind.values(), *options.lookback_by_channel.values()]
    longest = max(default, *own) if own else default
    return longest if math.isinf(longest) else math.ceil(longest)


def _shift(day: dt.date, days: float) -> dt.date:
    """``days`` later; the first or the last day that there is where none is so far away."""
    ends = dt.date.min.toordinal(), dt.date.max.toordinal()
    return dt.date.fromordinal(int(min(max(day.toordinal() + days, ends[0]), ends[1])))
