"""Whether recent days still look like those that a model was fitted on."""

from __future__ import annotations

from attribution.production.monitoring.drift import (
    DriftOptions,
    check_days,
    comparable_models,
    drift_metrics,
    drift_sentences,
    find_drift,
)
from attribution.production.monitoring.recent_log import RecentLog, judge_recent, read_log
from attribution.production.monitoring.spend import last_cost_day, read_spend
from attribution.production.monitoring.windows import Windows, read_windows, windows_of

__all__ = [
    "DriftOptions",
    "RecentLog",
    "Windows",
    "check_days",
    "comparable_models",
    "drift_metrics",
    "drift_sentences",
    "find_drift",
    "judge_recent",
    "last_cost_day",
    "read_log",
    "read_spend",
    "read_windows",
    "windows_of",
]
