"""Every table that the package writes beside its reports, by name: of runs, and of the commands that read runs."""

from __future__ import annotations

from attribution.decisions.comparison.comparison_declared import COMPARISON_TABLES
from attribution.decisions.kpis.kpis_declared import KPI_TABLES
from attribution.pipeline.sections import load_sections
from attribution.production.guards import GUARDS
from attribution.production.promotion.decision import PROMOTION
from attribution.schema.tables import OUTPUTS, Table


def output_tables() -> dict[str, Table]:
    """Every output table by its name, those of sections of other packages among them."""
    further = (*KPI_TABLES, *COMPARISON_TABLES, PROMOTION, GUARDS)
    return {**OUTPUTS, **load_sections().declared, **{table.name: table for table in further}}
