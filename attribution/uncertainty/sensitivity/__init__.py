"""How far the ranking can be trusted: every specification, verdicts, and the regret of acting on one model."""

from attribution.uncertainty.sensitivity.fits import draw_grid
from attribution.uncertainty.sensitivity.grid import Grid
from attribution.uncertainty.sensitivity.sensitivity_section import (
    SensitivitySection,
    sensitivity_metrics,
    sensitivity_tables,
)

__all__ = ["Grid", "SensitivitySection", "draw_grid", "sensitivity_metrics", "sensitivity_tables"]
