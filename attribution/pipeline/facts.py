"""What one pass over the journeys tells besides credit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from attribution.data.loading import Finding
from attribution.journeys import Journeys
from attribution.journeys.graph import JourneyGraph, assemble_graph, graph_reader
from attribution.journeys.lookback import lag_reader, lookback_finding
from attribution.journeys.profile import assemble_profile, profile_reader
from attribution.models import AttributionModel, fit_models
from attribution.models.machinery import get_machinery
from attribution.models.resampling import Resamples, fit_and_resample
from attribution.models.segments import Segments, segment_credit, segment_reader
from attribution.schema.experiment import ResamplingOptions

FEW_CONVERSIONS = 30
"""With fewer, no model has anything to go by."""


@dataclass(frozen=True)
class Overview:
    """What one pass over the journeys tells besides what models need."""

    findings: list[Finding]
    graph: JourneyGraph
    profile: pd.DataFrame
    segments: pd.DataFrame | None = None
    resamples: Resamples | None = None


def read_journeys(
    journeys: Journeys,
    models: Sequence[AttributionModel] = (),
    segments: Segments | None = None,
    resampling: ResamplingOptions | None = None,
) -> Overview:
    """Fit all models and learn everything else in one pass."""
    readers = [graph_reader(journeys), profile_reader(journeys), lag_reader(journeys)]
    if segments is not None:
        for model in models:
            get_machinery(model).prepare(journeys)
        readers.append(segment_reader(models, segments))
    resamples = None
    if resampling is None:
        summaries = fit_models(models, journeys, *readers)
    else:
        summaries, resamples = fit_and_resample(models, journeys, resampling, *readers)
    overview, steps, profile, lags, *by_segment = summaries
    few = _few_conversions(overview.number("conversions"))
    findings = [*journeys.describe(overview), *lookback_finding(lags, journeys), few]
    credit = None
    if segments is not None:
        credit, segment_findings = segment_credit(by_segment[0], journeys, models, segments)
        findings += segment_findings
    return Overview(findings, assemble_graph(steps, journeys), assemble_profile(profile, journeys), credit, resamples)


def _few_conversions(conversions: float) -> Finding:
    """Too few to tell channels apart, whatever the model."""
    few = f"fewer than {FEW_CONVERSIONS} conversions: results are mostly chance; use a longer period"
    enough = f"at least {FEW_CONVERSIONS} conversions"
    status: Literal["pass", "warn"] = "warn" if conversions < FEW_CONVERSIONS else "pass"
    message = few if status == "warn" else enough
    return Finding("few_conversions", "conversions", status, conversions, None, None, message)
