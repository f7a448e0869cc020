"""Tables that only some models have."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attribution.data.loading import Finding, count_finding
from attribution.models.base import AttributionModel
from attribution.models.machinery import get_machinery
from attribution.schema.tables import PUBLISHED_CREDIT


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


def with_allocated(
    published: pd.DataFrame | None, journey_credit: pd.DataFrame, models: Sequence[AttributionModel]
) -> pd.DataFrame | None:
    """The ``published_credit`` table with what journeys give the channels of models that have a baseline.

    Parameters
    ----------
    published : the table so far; None if there is none
    journey_credit : the table of this name, of ``models``
    models : fitted
    """
    tables = [] if published is None else [published]
    for model in models:
        if model.credit_.baseline is None:
            continue
        rows = journey_credit[journey_credit["model"] == model.label]
        sums = rows.groupby("channel")["credit"].sum()
        own = pd.DataFrame({"model": model.label, "channel": model.channels_})
        own["published"] = model.credit_.conversions[:-1]
        own["allocated"] = own["channel"].map(sums).fillna(0.0).astype(float)
        own["gap"] = own["allocated"] - own["published"]
        if published is not None and (published["model"] == model.label).any():
            before = published[published["model"] == model.label].drop(columns=["published", "allocated", "gap"])
            tables[0] = tables[0][tables[0]["model"] != model.label]
            own = own.merge(before, on=["model", "channel"], how="left")
        tables.append(own.reindex(columns=list(PUBLISHED_CREDIT.column_names)).astype({"group": "Int64"}))
    parts = [table.dropna(axis="columns", how="all") for table in tables if len(table)]
    if not parts:
        return published
    whole = pd.concat(parts, ignore_index=True).reindex(columns=list(PUBLISHED_CREDIT.column_names))
    return whole.astype({"group": "Int64"})


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
