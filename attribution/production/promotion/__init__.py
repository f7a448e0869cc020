"""Whether a model may take the place of another: evidence on data that neither was fitted on, against criteria."""

from attribution.production.promotion.criteria import Criteria, read_criteria
from attribution.production.promotion.decision import CHECKS, Decision, decide, evidence

__all__ = ["CHECKS", "Criteria", "Decision", "decide", "evidence", "read_criteria"]
