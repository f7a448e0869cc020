"""Tables that only some models have."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attribution.data.loading import Finding, count_finding
from attribution.models.base import AttributionModel
from attribution.models.machinery import machinery_of
from attribution.schema.tables import REMOVAL_EFFECTS


def model_tables(models: Sequence[AttributionModel], *, interactions: bool) -> dict[str, pd.DataFrame]:
    """``removal_effects``, and what else there is of ``reconciliation``, ``order_selection``,
    ``credit_by_position`` and ``interactions``, whose pairs of channels are only worked out on request.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for machinery in map(machinery_of, models):
        for name, table in machinery.tables().items():
            parts.setdefault(name, []).append(table)
        pairs = machinery.interactions() if interactions else None
        if pairs is not None:
            parts.setdefault("interactions", []).append(pairs)
    tables = {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}
    return {"removal_effects": pd.DataFrame(columns=list(REMOVAL_EFFECTS.column_names)), **tables}


def without_interactions(models: Sequence[AttributionModel]) -> list[Finding]:
    """One finding for each model that the table ``interactions`` has no rows of, though its kind has some."""
    return [
        count_finding("no_interactions", "interactions", 1, f"{model.label} gives no interactions: {reason}")
        for model in models
        if (reason := machinery_of(model).lacks_interactions)
    ]


def model_findings(models: Sequence[AttributionModel]) -> list[Finding]:
    """What to know before believing these fitted models, as rows of the quality table."""
    return [finding for model in models for finding in machinery_of(model).findings()]
