"""Whether scores can be right and are like those before: history, unattributed conversions, baseline, restated days."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attribution.amounts import pluralise
from attribution.kernels.statistics.usual_counts import FEWEST_DAYS
from attribution.production.guards.log import REFERENCE_DAYS, judge_share
from attribution.production.guards.results import GuardResult
from attribution.production.guards.thresholds import Thresholds
from attribution.production.scoring.days import day_name, day_number

if TYPE_CHECKING:
    import pandas as pd

_MOVED = 0.1
"""A day on which less of the credit has changed is as good as it was."""


class History(NamedTuple):
    """How far touchpoints reach back.

    Attributes
    ----------
    begins : first day that the input tells of
    window : days of touchpoints that a conversion needs before it
    slack : days that may lie before the first touchpoint, because touchpoints are rare
    """

    begins: int
    window: float
    slack: int = 0

    @classmethod
    def of(cls, touched: Collection[int], window: float, *, covers: int | None = None) -> History:
        """From the days with touchpoints, and the first day that was said to be covered."""
        days = sorted(touched)
        slack = int(np.diff(days).max(initial=1)) - 1
        return cls(min(days[0], days[0] if covers is None else covers), window, slack)

    def reaches(self, day: int) -> bool:
        """Whether it has what may have led to conversions of ``day``."""
        return self.begins - self.slack <= day - math.ceil(self.window)


def judge_history(
    days_without: Sequence[int], history: History, *, is_kept: bool = False, remedy: str = ""
) -> GuardResult:
    """Whether touchpoints reach back one lookback window before every day that needs them.

    Parameters
    ----------
    days_without : days that need more than there is, ascending
    history : how far touchpoints reach back
    is_kept : whether these days were written before, and stay as they were
    remedy : what to do if there are no earlier touchpoints
    """
    window = f"{history.window:g}"
    first, last = days_without[0], days_without[-1]
    reach = first - history.begins
    stretch = f"{day_name(first)} to {day_name(last)}" if len(days_without) > 1 else day_name(first)
    outcome = "stay as they were" if is_kept else "were not written"
    if len(days_without) == 1:
        outcome = "stays as it was" if is_kept else "was not written"
    says = (
        f"Touchpoints begin on {day_name(history.begins)}, but conversions of {day_name(first)} need those of "
        f"{window} days before. {pluralise(len(days_without), 'day')} {outcome}: {stretch}. Give touchpoints from "
        f"{day_name(first - math.ceil(history.window))} on. {remedy}"
    ).rstrip()
    return GuardResult(
        "history",
        "touchpoints",
        None,
        day_name(last),
        len(days_without),
        float(reach),
        None,
        history.window,
        False,
        says,
    )


def judge_unattributed(
    days: Collection[int],
    published: Mapping[str, Mapping[str, Any]],
    trained: float | None,
    thresholds: Thresholds,
) -> list[GuardResult]:
    """Whether conversions of ``days`` lack touchpoints more often than those before.

    Parameters
    ----------
    days : that are judged
    published : by the name of the day, how many ``conversions`` there are, and how many of them are ``unattributed``
    trained : share of conversions without a touchpoint where the model was fitted; None if it is not known
    """
    shares = {
        day_number(name): (entry["unattributed"], entry["conversions"])
        for name, entry in published.items()
        if "unattributed" in entry
    }
    remedy = "Check that touchpoints came whole and carry the same customer ids as conversions."
    return _judge_rise("unattributed", days, shares, trained, thresholds.unattributed_rise, thresholds, remedy)


def judge_baseline(
    days: Collection[int],
    published: Mapping[str, Mapping[str, Any]],
    trained: float | None,
    thresholds: Thresholds,
) -> list[GuardResult]:
    """Whether the baseline has a larger part of the conversions of ``days`` that have touchpoints than of those before.

    Parameters
    ----------
    days : that are judged
    published : by the name of the day, how many ``conversions`` there are, how many of them are ``unattributed``, and
        what of the others is the ``baseline``'s, where the model has one
    trained : share of the baseline where the model was fitted; None if it is not known
    """
    shares = {
        day_number(name): (entry["baseline"], entry["conversions"] - entry["unattributed"])
        for name, entry in published.items()
        if "baseline" in entry
    }
    remedy = "Check that touchpoints of all paid channels came whole, and refit the model if channels are new or gone."
    return _judge_rise("baseline", days, shares, trained, thresholds.baseline_rise, thresholds, remedy)


def _judge_rise(
    guard: str,
    days: Collection[int],
    shares: Mapping[int, tuple[float, float]],
    trained: float | None,
    rise: float,
    thresholds: Thresholds,
    remedy: str,
) -> list[GuardResult]:
    """Whether a share, of so many conversions on each day, is higher than on the days before."""
    judged = sorted(day for day in days if day in shares)
    if not judged:
        return []
    before = [share for day, share in shares.items() if judged[0] - REFERENCE_DAYS <= day < judged[0]]
    expected = trained
    if len(before) >= FEWEST_DAYS:
        expected = sum(count for count, _ in before) / sum(total for _, total in before)
    if expected is None:
        says = f"it needs {FEWEST_DAYS} scored days before, or a model that an experiment fitted."
        return [GuardResult(guard, "conversions", None, day_name(judged[-1]), len(judged), says=says)]
    return [
        judge_share(
            guard,
            *shares[day],
            expected,
            expected + rise,
            level=thresholds.significance / len(judged),
            table="conversions",
            day=day,
            remedy=remedy,
        )
        for day in judged
    ]


def judge_unknown_channels(
    days: Collection[int], published: Mapping[str, Mapping[str, Any]], names: Collection[str], thresholds: Thresholds
) -> list[GuardResult]:
    """Whether touchpoints that led to conversions of ``days`` are of channels that the model was fitted on.

    Parameters
    ----------
    days : that are judged
    published : by the name of the day, how many ``rows``, ``conversions`` and ``unattributed`` ones there are, and how
        many touchpoints of channels that are ``unknown``
    names : of the channels that the model does not know
    """
    entries = {
        # Beside a row per touchpoint, some conversions have one of their own, and all where there is a baseline.
        day_number(name): (
            entry["unknown"],
            entry["rows"] - entry["conversions" if "baseline" in entry else "unattributed"],
        )
        for name, entry in published.items()
        if "unknown" in entry
    }
    judged = sorted(day for day in days if day in entries and entries[day][1])
    examples = f"Such as {', '.join(sorted(names)[:3])}: check" if names else "Check"
    return [
        judge_share(
            "unknown_channels",
            *entries[day],
            0.0,
            thresholds.unknown_channels,
            level=thresholds.significance / len(judged),
            table="touchpoints",
            day=day,
            remedy=f"{examples} how channels are spelled, and refit the model if they are new.",
        )
        for day in judged
    ]


def judge_restated(moved: Mapping[str, float], thresholds: Thresholds, *, where: str) -> GuardResult:
    """Whether what was published stays.

    Parameters
    ----------
    moved : share of the credit that changed, by the name of the day
    where : what says by how much
    """
    days = sorted(day for day, share in moved.items() if share >= _MOVED)
    most = thresholds.restated_days
    if len(days) <= most:
        return GuardResult("restated", days=len(days), value=float(len(days)), bound=float(most), holds=True)
    says = (
        f"A tenth of the credit or more has changed on {pluralise(len(days), 'day')} that had been published, "
        f"{days[0]} to {days[-1]}; at most {most} are expected. Check whether the tables were made anew or channels "
        f"were renamed; {where} says what changed."
    )
    return GuardResult("restated", None, None, days[-1], len(days), float(len(days)), None, float(most), False, says)


def share_moved(restatement: pd.DataFrame, conversions: Mapping[str, float]) -> dict[str, float]:
    """Share of the credit of each day that is another now, of the days in ``conversions``.

    Parameters
    ----------
    restatement : the ``restatement`` rows of a job
    conversions : how many each day had before

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"day": "2024-05-01", "channel": ["mail", "search"], "conversions_before": [3.0, 1.0],
    ...                      "conversions_after": [2.0, 2.0]})
    >>> share_moved(rows, {"2024-05-01": 4.0})
    {'2024-05-01': 0.25}
    """
    rows = restatement[restatement["channel"].notna() & restatement["day"].isin(list(conversions))]
    change = rows["conversions_after"] - rows["conversions_before"]
    sums = change.abs().groupby(rows["day"]).sum(), change.groupby(rows["day"]).sum().abs()
    # What came to some channels left others, but for conversions that are new or gone.
    sides = (sums[0] + sums[1]) / 2
    return {str(day): float(moved / conversions[str(day)]) for day, moved in sides.items()}
