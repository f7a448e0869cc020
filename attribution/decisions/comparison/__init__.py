"""Runs side by side: which experiments there are, and how much their answers depend on model and settings."""

from attribution.decisions.comparison.specifications import Specification, list_specifications, read_sweep
from attribution.decisions.comparison.tables import Comparison, compare_runs

__all__ = ["Comparison", "Specification", "compare_runs", "list_specifications", "read_sweep"]
