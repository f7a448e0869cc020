"""Why ROI is as it is: which slice explains the gap, spend that does not pay, what costs do, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from attribution.data.loading import Sources, repeated_costs
from attribution.decisions.diagnosis.gaps import diagnose_roi
from attribution.decisions.diagnosis.metrics import diagnosis_metrics
from attribution.decisions.diagnosis.slices import channel_slices, check_dimensions, further_slices
from attribution.decisions.diagnosis.tasks import tasks_table
from attribution.decisions.diagnosis.waste import cost_sensitivity, wasted_spend
from attribution.journeys import Journeys
from attribution.models import AttributionModel
from attribution.models.segments import Segments
from attribution.returns import Terms, whole_channels
from attribution.schema.experiment import Experiment

__all__ = [
    "channel_slices",
    "check_dimensions",
    "cost_sensitivity",
    "diagnose_roi",
    "diagnosis_metrics",
    "diagnosis_tables",
    "further_slices",
    "tasks_table",
    "wasted_spend",
]


def diagnosis_tables(
    experiment: Experiment,
    sources: Sources,
    journeys: Journeys,
    models: Sequence[AttributionModel],
    *,
    terms: Terms,
    tables: Mapping[str, pd.DataFrame],
    segments: Segments | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables of `attribution.schema.tables.diagnosis`, as far as there is something to fill them.

    Parameters
    ----------
    experiment : names the dimensions to slice by, and the column of segments
    sources : the input tables
    journeys : the run's own
    models : fitted on them
    terms : what counts as return and as cost
    tables : every other table of the run
    segments : of customers, where the run has them
    """
    returns = tables["returns"]
    found: dict[str, pd.DataFrame] = {}
    whole = whole_channels(journeys)
    slices = [channel_slices(returns, tables["journey_profile"], whole=whole, dimension=experiment.grain)]
    asked, column = experiment.output.slices, experiment.journeys.segment
    if asked or segments is not None:
        named = None if segments is None or column is None else (column, segments)
        slices.append(further_slices(sources, journeys, models, terms, dimensions=asked, segments=named))
    if returns["roi"].notna().any() or len(slices) > 1:
        # Without a cost a channel's gap is one of credit, which other tables tell.
        start = 0 if returns["roi"].notna().any() else 1
        found |= diagnose_roi(pd.concat(slices[start:], ignore_index=True))
    if returns["roi"].notna().any():
        found["wasted_spend"] = wasted_spend(returns)
    sensitivity = cost_sensitivity(returns, terms)
    if sensitivity is not None:
        found["cost_sensitivity"] = sensitivity
    repeated = repeated_costs(sources)[1] if sources.has("costs") else None
    found["tasks"] = tasks_table({**tables, **found}, repeated_costs=repeated)
    return found
