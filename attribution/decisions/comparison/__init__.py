"""Runs side by side: which experiments there are, and how much their answers depend on model and settings."""

from attribution.decisions.comparison.specifications import Specification, read_sweep, specifications_of
from attribution.decisions.comparison.tables import Comparison, compare_runs

__all__ = ["Comparison", "Specification", "compare_runs", "read_sweep", "specifications_of"]
