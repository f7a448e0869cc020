"""Scorers: fitted models as portable folders, and the job that hands out new conversions day by day."""

from attribution.scoring.applied import POLICIES, AppliedModel
from attribution.scoring.definition import Definition, Training
from attribution.scoring.kept import keep_scorers, kept_scorer
from attribution.scoring.scorer import Scorer

__all__ = ["POLICIES", "AppliedModel", "Definition", "Scorer", "Training", "keep_scorers", "kept_scorer"]
