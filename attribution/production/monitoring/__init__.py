"""Whether recent days still look like those that a model was fitted on."""

from __future__ import annotations

from attribution.production.monitoring.drift import DriftOptions, drift_metrics, drift_sentences, find_drift
from attribution.production.monitoring.spend import read_spend
from attribution.production.monitoring.windows import Windows, read_windows, windows_of

__all__ = [
    "DriftOptions",
    "Windows",
    "drift_metrics",
    "drift_sentences",
    "find_drift",
    "read_spend",
    "read_windows",
    "windows_of",
]
