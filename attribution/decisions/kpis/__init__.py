"""Runs against targets, and against each other."""

from attribution.decisions.kpis.alerts import Thresholds, find_alerts, find_substitutes
from attribution.decisions.kpis.attainment import (
    check_targets,
    kpi_history,
    score_decisions,
    target_findings,
    target_metrics,
)
from attribution.decisions.kpis.before_after import before_after
from attribution.decisions.kpis.metrics import METRICS, measure
from attribution.decisions.kpis.review import Review, review_runs
from attribution.decisions.kpis.roi_change import split_roi_change
from attribution.decisions.kpis.runs import Run, read_run
from attribution.decisions.kpis.targets import Target, Targets, read_targets

__all__ = [
    "METRICS",
    "Review",
    "Run",
    "Target",
    "Targets",
    "Thresholds",
    "before_after",
    "check_targets",
    "find_alerts",
    "find_substitutes",
    "kpi_history",
    "measure",
    "read_run",
    "read_targets",
    "review_runs",
    "score_decisions",
    "split_roi_change",
    "target_findings",
    "target_metrics",
]
