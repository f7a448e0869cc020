"""Guards of daily summaries: what a log says before days are written, and the days that were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from attribution.kernels.statistics.sums import to_float
from attribution.production.guards import (
    RECENT_DAYS,
    GuardResult,
    History,
    Log,
    Thresholds,
    Timing,
    judge_clock,
    judge_freshness,
    judge_history,
    judge_restated,
    judge_unattributed,
    judge_volume,
)
from attribution.production.refit.days import OBSERVED, PROFILE, DayTables, day_name
from attribution.production.refit.nights import Tonight
from attribution.production.refit.store import DayFile, LogState
from attribution.production.scoring.days import Input, day_number

_UNATTRIBUTED_DAYS = 28
"""So many days before are read to tell how many conversions have no touchpoint."""


@dataclass(frozen=True)
class SummaryGuards:
    """What guards look at.

    Attributes
    ----------
    rows : the log day by day
    before : what was known of it before
    tonight : what the log means for the days that are there
    held : numbers of the days that are there
    timing : when the job runs, and which day is due
    thresholds : of the guards
    through : last day that the log tells all of, where that was said
    """

    rows: Input
    before: LogState
    tonight: Tonight
    held: Sequence[int]
    timing: Timing
    thresholds: Thresholds
    through: int | None = None

    def judge_log(self) -> list[GuardResult]:
        """What can be said before anything is written."""
        log = self._log
        return [
            *judge_clock(log, self.timing),
            *judge_freshness(log, self.timing, self.thresholds),
            *self._judge_history(),
            *judge_volume(log.volumes, log.last_complete_day(self.timing), self._days, self.thresholds),
        ]

    def judge_days(
        self, days: Mapping[int, DayTables], moved: Mapping[int, float], read: Callable[[int], DayFile | None]
    ) -> list[GuardResult]:
        """What can be said of what was written.

        Parameters
        ----------
        days : the days that were summarised
        moved : share of touchpoints of conversions that changed, of days that were there before
        read : reads a day that is there
        """
        last = self._log.last_complete_day(self.timing)
        judged = sorted(day for day in days if day in self._days or day == last)
        counts = {day: _count_conversions(tables) for day, tables in days.items()}
        if judged:
            before = range(judged[0] - _UNATTRIBUTED_DAYS, judged[0])
            files = (read(day) for day in before if day in self.held and day not in days)
            counts |= {file.day: _count_conversions(file.tables) for file in files if file is not None}
        published = {day_name(day): entry for day, entry in counts.items() if entry["conversions"]}
        results = judge_unattributed(judged, published, None, self.thresholds)
        if self.held:
            results.append(self._judge_restated({day_name(day): share for day, share in moved.items()}))
        return results

    def _judge_restated(self, moved: Mapping[str, float]) -> GuardResult:
        """Days that changed; the same if the log is the same."""
        for row in self.before.guards:
            if row["guard"] == "restated" and self._is_repeated and not moved:
                return replace(GuardResult(**row), holds=row["value"] <= self.thresholds.restated_days)
        return judge_restated(moved, self.thresholds, where="restatement/ of `attribution score`")

    @cached_property
    def _log(self) -> Log:
        state = self.tonight.log_state
        return Log.of(state.inputs, state.volumes, self.through)

    @cached_property
    def _is_repeated(self) -> bool:
        """Whether the job before was given the same."""
        return bool(self.before.inputs) and self.before.inputs == self.tonight.log_state.inputs

    @cached_property
    def _days(self) -> set[int]:
        """Complete days that are not what they were when the job before judged them."""
        last = self._log.last_complete_day(self.timing)
        if last is None:
            return set()
        then, now = (state.inputs.get("touchpoints", {}) for state in (self.before, self.tonight.log_state))
        days = {day_number(name) for name in {*then, *now} if then.get(name) != now.get(name)}
        if self._is_repeated:
            rows = [row for row in self.before.guards if row["guard"] in ("volume", "unattributed")]
            days |= {day_number(row["day"]) for row in rows if row["days"] == 1}
        return {day for day in days if last - RECENT_DAYS < day <= last}

    def _judge_history(self) -> Iterator[GuardResult]:
        """Whether the log has what the days that it tells of need, where more is known to exist."""
        known_days = list(map(day_number, self.before.inputs.get("touchpoints", {})))
        if not known_days or not self.rows.touchpoints or not self.rows.conversions:
            return
        covers = None if self.rows.covers is None else self.rows.covers[0]
        demanded = self.thresholds.history_days
        window = self.rows.reach.days + self.rows.unsure_days if demanded is None else demanded
        history = History.of(self.rows.touchpoints, window, covers=covers)
        newest = max(self.rows.conversions)
        if min(known_days) >= history.begins or history.reaches(newest):
            return
        days_without = range(history.begins, min(newest, self.tonight.last) + 1)
        held = set(self.held)
        if new := [day for day in days_without if day not in held]:
            yield judge_history(new, history)
        if old := [day for day in days_without if day in held]:
            yield judge_history(old, history, is_kept=True)


def moved_share(old: DayFile, tables: DayTables, channels: Sequence[str]) -> float:
    """Share of the touchpoints of a day's conversions that are of other channels now, are new, or are gone."""
    before = _touchpoints(old.tables, old.channels)
    now = _touchpoints(tables, channels)
    changes = np.array([now.get(name, 0.0) - before.get(name, 0.0) for name in {*before, *now}])
    total = sum(before.values())
    moved = float(max(changes[changes > 0].sum(), -changes[changes < 0].sum()))
    return moved / total if total > 0 else float(moved > 0)


def _touchpoints(tables: DayTables, channels: Sequence[str]) -> dict[str, float]:
    table = tables.get(f"{PROFILE}/touchpoints/converted")
    if table is None:
        return {}
    sums = to_float(table.sums).tolist()
    return {channels[key]: count for key, count in zip(table.keys[:, 0].tolist(), sums, strict=True)}


def _count_conversions(tables: DayTables) -> dict[str, Any]:
    names = {"conversions": "conversions", "unattributed": "unattributed_conversions"}
    return {
        what: float(to_float(tables[f"{OBSERVED}/{name}"].sums).sum()) if f"{OBSERVED}/{name}" in tables else 0.0
        for what, name in names.items()
    }
