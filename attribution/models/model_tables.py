"""Tables that only some models have."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attribution.data.loading import Finding, count_finding
from attribution.models.base import AttributionModel
from attribution.models.machinery import get_machinery


def model_tables(models: Sequence[AttributionModel], *, interactions: bool) -> dict[str, pd.DataFrame]:
    """Where models have them ``published_credit``, ``held_out``, ``credit_by_position`` and ``interactions``; the last
    is only computed on request.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for machinery in map(get_machinery, models):
        for name, table in machinery.tables().items():
            parts.setdefault(name, []).append(table)
        pairs = machinery.interactions() if interactions else None
        if pairs is not None:
            parts.setdefault("interactions", []).append(pairs)
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}


def without_interactions(models: Sequence[AttributionModel]) -> list[Finding]:
    """One finding for each model without rows in ``interactions`` though others of its kind have some."""
    return [
        count_finding(
            "no_interactions",
            "interactions",
            1,
            f"{model.label} has no interactions; read those of other models: {reason}",
        )
        for model in models
        if (reason := get_machinery(model).lacks_interactions)
    ]


def model_findings(models: Sequence[AttributionModel]) -> list[Finding]:
    """Findings about these fitted models, as rows of the quality table."""
    return [finding for model in models for finding in get_machinery(model).findings()]
