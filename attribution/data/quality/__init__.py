"""The quality gate: checks of the canonical tables for what real logs get wrong and no reader can refuse."""

from attribution.data.quality.gate import gate_findings

__all__ = ["gate_findings"]
