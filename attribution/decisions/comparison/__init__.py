"""Runs side by side: what differs between them and why, and how much answers depend on model and settings."""

from attribution.decisions.comparison.alerts import Thresholds, find_alerts, without_substitutes
from attribution.decisions.comparison.review import Review, review_runs
from attribution.decisions.comparison.roi_change import split_roi_change
from attribution.decisions.comparison.specifications import Specification, list_specifications, read_sweep
from attribution.decisions.comparison.tables import Comparison, compare_runs, verdicts_of

__all__ = [
    "Comparison",
    "Review",
    "Specification",
    "Thresholds",
    "compare_runs",
    "find_alerts",
    "list_specifications",
    "read_sweep",
    "review_runs",
    "split_roi_change",
    "verdicts_of",
    "without_substitutes",
]
