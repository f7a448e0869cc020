"""Runs against targets: which are met, and what came of changes and decisions."""

from attribution.decisions.kpis.attainment import (
    check_targets,
    history,
    score_decisions,
    target_findings,
    target_metrics,
    today,
)
from attribution.decisions.kpis.before_after import before_after
from attribution.decisions.kpis.metrics import METRICS, measure
from attribution.decisions.kpis.runs import Run, read_run
from attribution.decisions.kpis.setting_differences import SettingDifference, counterparts, settings_that_differ
from attribution.decisions.kpis.targets import Target, Targets, read_targets

__all__ = [
    "METRICS",
    "Run",
    "SettingDifference",
    "Target",
    "Targets",
    "before_after",
    "check_targets",
    "counterparts",
    "history",
    "measure",
    "read_run",
    "read_targets",
    "score_decisions",
    "settings_that_differ",
    "target_findings",
    "target_metrics",
    "today",
]
