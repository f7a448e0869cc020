"""How far the ranking can be trusted: every specification, verdicts, and the regret of acting on one model."""

from attribution.uncertainty.sensitivity.doubt_section import DoubtSection, doubt_metrics, doubt_tables
from attribution.uncertainty.sensitivity.fits import draw_grid
from attribution.uncertainty.sensitivity.grid import Grid

__all__ = ["DoubtSection", "Grid", "doubt_metrics", "doubt_tables", "draw_grid"]
