"""Whether a model may take the place of another: evidence on data that neither was fitted on, against stated bounds."""

from attribution.production.promotion.bounds import Bounds, LiftTest, read_bounds
from attribution.production.promotion.gate import CHECKS, Decision, decide, evidence

__all__ = ["CHECKS", "Bounds", "Decision", "LiftTest", "decide", "evidence", "read_bounds"]
