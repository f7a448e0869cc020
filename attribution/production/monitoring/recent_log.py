"""Guards of recent days: what came on them, whatever becomes of it in journeys."""

from __future__ import annotations

from dataclasses import dataclass

from attribution.data.loading import Sources
from attribution.production.guards import (
    GuardResult,
    Log,
    Thresholds,
    Timing,
    judge_clock,
    judge_costs,
    judge_freshness,
    judge_new_channels,
    judge_share,
    judge_volume,
)
from attribution.production.monitoring.windows import Windows
from attribution.production.refit import Window
from attribution.production.scoring.days import daily_digests, daily_touchpoints


@dataclass(frozen=True)
class RecentLog:
    """What is known of the log of recent days.

    Attributes
    ----------
    log : its rows by day
    timing : when it is judged, and which day is due
    grain : ``channel`` or ``campaign``: new campaigns are no news
    costs_through : last day that costs tell of; None if there are none
    """

    log: Log
    timing: Timing
    grain: str = "channel"
    costs_through: int | None = None


def read_log(sources: Sources, through: int | None = None) -> Log:
    """The log in ``sources``, whose last complete day may be said."""
    touched, volumes = daily_touchpoints(sources)
    converted = daily_digests(sources, "conversions", "converted_at", sources.conversions_view)
    return Log(touched, converted, volumes, through)


def judge_recent(recent: RecentLog, windows: Windows, thresholds: Thresholds) -> list[GuardResult]:
    """What guards say of the recent days of ``windows``, and of the complete days after them.

    Touchpoints are judged on the day that they came: journeys without a conversion close one lookback window later.
    """
    log, timing = recent.log, recent.timing
    last = log.last_complete_day(timing)
    days = set() if last is None else set(range(last - windows.recent.days + 1, last + 1))
    results = [
        *judge_clock(log, timing),
        *judge_freshness(log, timing, thresholds),
        *judge_volume(log.volumes, last, days, thresholds),
        *_judge_unattributed(windows, thresholds),
    ]
    if recent.grain == "channel" or "unknown_channels" in thresholds.model_fields_set:
        results += judge_new_channels(log.volumes, last, days, thresholds)
    if recent.costs_through is not None:
        results.append(judge_costs(recent.costs_through, windows.recent.last, thresholds))
    return results


def _judge_unattributed(windows: Windows, thresholds: Thresholds) -> list[GuardResult]:
    (before, all_before), (count, total) = map(_conversions, (windows.training, windows.recent))
    if not all_before or not total:
        return []
    expected = before / all_before
    return [
        judge_share(
            "unattributed",
            count,
            total,
            expected,
            expected + thresholds.unattributed_rise,
            level=thresholds.significance,
            table="conversions",
            day=windows.recent.last,
            days=windows.recent.days,
            remedy="Check that touchpoints came whole and carry the same customer ids as conversions.",
        )
    ]


def _conversions(window: Window) -> tuple[float, float]:
    """How many conversions have no touchpoint, and how many there are."""
    observed = window.observed[0]
    return observed.number("unattributed_conversions"), observed.number("conversions")
