"""From lead to money: stages with dates, credit to any of them, and what is worth improving."""

from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.funnel_section import FunnelSection, follow_stages, funnel_metrics

__all__ = ["FunnelOptions", "FunnelSection", "follow_stages", "funnel_metrics"]
