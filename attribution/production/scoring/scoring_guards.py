"""Guards of a scoring job: what its input says before anything is written, and what is published then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from attribution.models.saved.scorer import Scorer
from attribution.production.guards import (
    RECENT_DAYS,
    GuardResult,
    History,
    Log,
    Thresholds,
    Timing,
    judge_baseline,
    judge_clock,
    judge_freshness,
    judge_history,
    judge_restated,
    judge_unattributed,
    judge_unknown_channels,
    judge_volume,
    share_moved,
)
from attribution.production.scoring.days import Choice, News, day_name, day_number, longest_window, unsure_days
from attribution.production.scoring.in_effect import VersionsInEffect
from attribution.production.scoring.ledger import RESTATEMENT
from attribution.production.scoring.publication import Scored
from attribution.schema.tables import BASELINE, UNATTRIBUTED

_OF_DAYS = ("volume", "unattributed", "baseline", "unknown_channels")
"""Guards that judge single days."""


_NONE_BEFORE = "If there are none, set history_days in the file of --thresholds."


@dataclass(frozen=True)
class ScoringGuards:
    """What guards look at.

    Attributes
    ----------
    versions : allocate credit, each on its days
    news : the input against what was known
    manifest : of what was scored before; empty if nothing was
    timing : when the job runs, and which day is due
    thresholds : of the guards
    is_chosen : whether days were named that are to be scored
    """

    versions: VersionsInEffect
    news: News
    manifest: Mapping[str, Any]
    timing: Timing
    thresholds: Thresholds
    is_chosen: bool = False

    @property
    def scorer(self) -> Scorer:
        """The newest version, as which the input is read."""
        return self.versions.newest

    @cached_property
    def cut_days(self) -> frozenset[int]:
        """Days that were never scored, and before which touchpoints are known to exist that nobody has given.

        They exist if the model was fitted on a log that begins earlier, or if the thresholds ask for them.
        """
        history = self._history()
        if history is None:
            return frozenset()
        # What was given in earlier nights is looked after day by day.
        begins = min(history.begins, min(self.news.earlier["touchpoints"], default=history.begins))
        if self.thresholds.history_days is None:
            trained = self.scorer.definition.training
            since = None if trained is None else trained.touched_first
            if since is None or day_number(since[:10]) >= begins:
                return frozenset()
        published = set(map(day_number, self.manifest.get("days", {})))
        reach = history._replace(begins=begins)
        days = (day for day in self.news.current.conversions if day in self.news.conversions and day not in published)
        return frozenset(day for day in days if not reach.reaches(day))

    def judge_input(self, choice: Choice) -> list[GuardResult]:
        """What can be said before anything is written."""
        current, merged = self.news.current, self.news.merge_inputs()
        everything = Log.of(merged, current.volumes)
        log = self._log()
        return [
            *judge_clock(everything, self.timing),
            *judge_freshness(everything, self.timing, self.thresholds),
            *self._judge_history(choice),
            *judge_volume(current.volumes, log.last_complete_day(self.timing), self._days(log), self.thresholds),
        ]

    def judge_scores(
        self,
        of_input: Sequence[GuardResult],
        scored: Scored,
        before: Mapping[str, Mapping[str, Any]],
        days: Mapping[str, Mapping[str, Any]],
    ) -> list[GuardResult]:
        """What was said ``of_input``, and can be said of the ``days`` that are published, which were ``before``."""
        log = self._log()
        last = log.last_complete_day(self.timing)
        judged = self._days(log) | (set() if last is None else {last})
        unattributed, baseline = self._trained_shares()
        results = judge_unattributed(judged, days, unattributed, self.thresholds)
        results += judge_baseline(judged, days, baseline, self.thresholds)
        if self.scorer.definition.grain == "channel" or "unknown_channels" in self.thresholds.model_fields_set:
            results += judge_unknown_channels(judged, days, scored.unknown_channels, self.thresholds)
        if before and not self.is_chosen:
            results.append(self._judge_restated(scored, before))
        return [*of_input, *results]

    def _judge_restated(self, scored: Scored, before: Mapping[str, Mapping[str, Any]]) -> GuardResult:
        """Days that changed, but for those that another model has scored again; the same if the input is the same."""
        rescored = self.versions.made_otherwise(before)
        same = {name: entry["conversions"] for name, entry in before.items() if name not in rescored}
        moved = share_moved(scored.restatement, same) if len(scored.restatement) else {}
        for row in self.manifest.get("guards", ()):
            if row["guard"] == "restated" and self._is_repeated and not scored.written and not scored.removed:
                return replace(GuardResult(**row), holds=row["value"] <= self.thresholds.restated_days)
        return judge_restated(moved, self.thresholds, where=f"{RESTATEMENT}/revision={scored.revision:06d}")

    def _log(self) -> Log:
        current = self.news.current
        through = None if current.covers is None else current.covers[1]
        return Log(current.touchpoints, current.conversions, current.volumes, through)

    @cached_property
    def _is_repeated(self) -> bool:
        """Whether the job before was given the same."""
        return bool(self.manifest) and self.news.merge_inputs() == self.manifest.get("inputs")

    def _days(self, log: Log) -> set[int]:
        """Complete days that are not what they were when the job before judged them.

        A job that is run again says the same of the same days, unless the thresholds are others.
        """
        last = log.last_complete_day(self.timing)
        if last is None:
            return set()
        days = set(self.news.changed("touchpoints"))
        if self._is_repeated:
            rows = [row for row in self.manifest.get("guards", ()) if row["guard"] in _OF_DAYS]
            days |= {day_number(row["day"]) for row in rows if row["days"] == 1}
        return {day for day in days if last - RECENT_DAYS < day <= last}

    def _history(self) -> History | None:
        """How far the touchpoints of the input reach back; None where no history is needed, or there are none."""
        options = self.scorer.definition.journeys
        window = longest_window(options)
        window = None if window is None else window + unsure_days(options)
        window = window if self.thresholds.history_days is None else self.thresholds.history_days
        current = self.news.current
        if not window or not current.touchpoints:
            return None
        return History.of(current.touchpoints, window, covers=None if current.covers is None else current.covers[0])

    def _judge_history(self, choice: Choice) -> Iterator[GuardResult]:
        history = self._history()
        if history is None:
            return
        news, published = self.news, set(map(day_number, self.manifest.get("days", {})))
        untold = {day for day in news.lacks_history() if day in news.conversions and not history.reaches(day)}
        needed = {day for day in choice.without_history if day in self.cut_days or (self.is_chosen and day in untold)}
        needed |= {day for day in choice.outdated if day in untold}
        was_cut = any(row["guard"] == "history" for row in self.manifest.get("guards", ()))
        if self._is_repeated and was_cut and not self.is_chosen:
            needed |= self.cut_days
        is_useless = bool(untold) and max(news.current.conversions) in untold
        if not needed and is_useless:
            needed = untold & published
        if new := sorted(needed - published):
            yield judge_history(new, history, remedy=_NONE_BEFORE)
        if old := sorted(needed & published):
            yield judge_history(old, history, is_kept=True)
        if not needed and choice.score:
            first = choice.score[0]
            reach, bound = float(first - history.begins), float(history.window)
            row = GuardResult("history", "touchpoints", None, day_name(first), 1, reach, None, bound, True)
            if not history.reaches(first):
                says = f"no touchpoints before {day_name(history.begins)} are known to exist."
                row = replace(row, holds=None, says=says)
            yield row

    def _trained_shares(self) -> tuple[float | None, float | None]:
        """Where the model was fitted: share of conversions without a touchpoint, and of the baseline in the others."""
        credit = self.scorer.reference.get("credit")
        if credit is None:
            return None, None
        totals = credit.set_index("channel")["conversions"]
        total, none = float(totals.sum()), float(totals.get(UNATTRIBUTED, 0.0))
        touched, of_baseline = total - none, max(float(totals.get(BASELINE, 0.0)), 0.0)
        return none / total if total > 0 else None, min(of_baseline / touched, 1.0) if touched > 0 else None
