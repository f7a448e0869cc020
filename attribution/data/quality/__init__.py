"""Data quality: checks of the canonical tables for what real logs get wrong and no reader can refuse."""

from attribution.data.quality.quality import quality_findings

__all__ = ["quality_findings"]
