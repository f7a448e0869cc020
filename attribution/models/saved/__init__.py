"""Scorers: fitted models as portable folders, and the job that hands out new conversions day by day."""

from attribution.models.saved.applied import POLICIES, AppliedModel
from attribution.models.saved.definition import Definition, Training
from attribution.models.saved.scorer import Scorer, keep_scorers, kept_scorer

__all__ = ["POLICIES", "AppliedModel", "Definition", "Scorer", "Training", "keep_scorers", "kept_scorer"]
