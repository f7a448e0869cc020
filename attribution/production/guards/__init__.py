"""Guards: whether tonight's log is whole, and its scores like those before; thresholds, and one table of results."""

from __future__ import annotations

from attribution.production.guards.log import (
    RECENT_DAYS,
    Log,
    Timing,
    judge_clock,
    judge_costs,
    judge_freshness,
    judge_new_channels,
    judge_share,
    judge_volume,
)
from attribution.production.guards.results import (
    GUARDS,
    GuardResult,
    failed_guards,
    guard_metrics,
    guard_records,
    guard_sentences,
    guard_table,
    guards_hold,
)
from attribution.production.guards.scores import (
    History,
    judge_baseline,
    judge_history,
    judge_restated,
    judge_unattributed,
    judge_unknown_channels,
    share_moved,
)
from attribution.production.guards.thresholds import Thresholds, read_thresholds

__all__ = [
    "GUARDS",
    "RECENT_DAYS",
    "GuardResult",
    "History",
    "Log",
    "Thresholds",
    "Timing",
    "failed_guards",
    "guard_metrics",
    "guard_records",
    "guard_sentences",
    "guard_table",
    "guards_hold",
    "judge_baseline",
    "judge_clock",
    "judge_costs",
    "judge_freshness",
    "judge_history",
    "judge_new_channels",
    "judge_restated",
    "judge_share",
    "judge_unattributed",
    "judge_unknown_channels",
    "judge_volume",
    "read_thresholds",
    "share_moved",
]
