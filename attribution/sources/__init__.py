"""Raw exports become canonical tables: files, columns, times, values, and what was found in them."""

from attribution.sources.checks import check_channels_known, check_sources, repeated_costs
from attribution.sources.digest import content_digest
from attribution.sources.gate import gate_findings
from attribution.sources.load import LoadedTable, Sources, as_spec, load_sources
from attribution.sources.quality import Finding, count_finding, quality_table

__all__ = [
    "Finding",
    "LoadedTable",
    "Sources",
    "as_spec",
    "check_channels_known",
    "check_sources",
    "content_digest",
    "count_finding",
    "gate_findings",
    "load_sources",
    "quality_table",
    "repeated_costs",
]
