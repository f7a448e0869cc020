"""Raw exports become canonical tables: files, columns, times, values, and what was found in them."""

from attribution.data.loading.checks import check_channels_known, check_sources, repeated_costs
from attribution.data.loading.digest import content_digest
from attribution.data.loading.load import LoadedTable, Sources, load_sources
from attribution.data.loading.opening import as_spec
from attribution.data.loading.quality import Finding, count_finding, quality_table
from attribution.data.quality import gate_findings

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
