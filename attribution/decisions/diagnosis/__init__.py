"""Why ROI is as it is: which slice explains the gap, spend that does not pay, what costs do, and what to look at."""

from attribution.decisions.diagnosis.diagnosis_section import DiagnosisSection, diagnosis_metrics
from attribution.decisions.diagnosis.gaps import diagnose_roi
from attribution.decisions.diagnosis.slices import channel_slices, check_dimensions, further_slices
from attribution.decisions.diagnosis.tasks import tasks_table
from attribution.decisions.diagnosis.waste import judge_spend

__all__ = [
    "DiagnosisSection",
    "channel_slices",
    "check_dimensions",
    "diagnose_roi",
    "diagnosis_metrics",
    "further_slices",
    "judge_spend",
    "tasks_table",
]
