"""Runs against targets, and against each other."""

from attribution.kpis.alerts import Thresholds, find_alerts, find_substitutes
from attribution.kpis.attainment import check_targets, kpi_history, score_decisions, target_findings, target_metrics
from attribution.kpis.before_after import before_after
from attribution.kpis.metrics import METRICS, measure
from attribution.kpis.review import Review, review_runs
from attribution.kpis.roi_change import split_roi_change
from attribution.kpis.runs import Run, draws_table, read_run, run_of
from attribution.kpis.targets import Target, Targets, read_targets

__all__ = [
    "METRICS",
    "Review",
    "Run",
    "Target",
    "Targets",
    "Thresholds",
    "before_after",
    "check_targets",
    "draws_table",
    "find_alerts",
    "find_substitutes",
    "kpi_history",
    "measure",
    "read_run",
    "read_targets",
    "review_runs",
    "run_of",
    "score_decisions",
    "split_roi_change",
    "target_findings",
    "target_metrics",
]
