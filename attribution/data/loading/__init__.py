"""Raw exports become canonical tables: files, columns, times, values, and what was found in them."""

from attribution.data.loading.checks import check_channels_known, check_sources, repeated_costs, spelling_findings
from attribution.data.loading.findings import Finding, count_finding, quality_table
from attribution.data.loading.load import Sources, content_digest, load_sources, read_table, without_customer
from attribution.data.loading.loaded_tables import LoadedTable
from attribution.data.loading.raw_tables import as_spec, is_expression
from attribution.data.quality import quality_findings

__all__ = [
    "Finding",
    "LoadedTable",
    "Sources",
    "as_spec",
    "check_channels_known",
    "check_sources",
    "content_digest",
    "count_finding",
    "is_expression",
    "load_sources",
    "quality_findings",
    "quality_table",
    "read_table",
    "repeated_costs",
    "spelling_findings",
    "without_customer",
]
