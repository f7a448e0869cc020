"""Scorers: fitted models as portable folders, and the job that attributes new conversions day by day."""

from attribution.models.saved.applied import POLICIES, AppliedModel
from attribution.models.saved.definition import Definition, PastTraining, Training
from attribution.models.saved.scorer import Scorer, load_saved_scorer, save_in_run, save_scorers

__all__ = [
    "POLICIES",
    "AppliedModel",
    "Definition",
    "PastTraining",
    "Scorer",
    "Training",
    "load_saved_scorer",
    "save_in_run",
    "save_scorers",
]
