"""What one pass over the journeys tells besides credit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from attribution.data.loading import Finding
from attribution.journeys import Journeys, Reader, Summary
from attribution.journeys.credit_bounds import CreditBounds, assemble_bounds, bounds_reader
from attribution.journeys.graph import JourneyGraph, assemble_graph, graph_reader
from attribution.journeys.lookback import lag_reader, lookback_finding
from attribution.journeys.profile import assemble_profile, profile_reader
from attribution.models import AttributionModel, fit_models
from attribution.models.chance import Chance, Shuffling
from attribution.models.fitting import check_models
from attribution.models.machinery import get_machinery
from attribution.models.resampling import Resamples, check_drawable, fit_and_resample
from attribution.models.segments import Segments, segment_credit, segment_reader
from attribution.models.trial import Trial, is_left_out
from attribution.schema.experiment import ResamplingOptions

FEW_CONVERSIONS = 30
"""With fewer, no model has anything to go by."""


@dataclass(frozen=True)
class Overview:
    """What one pass over the journeys tells besides what models need, and which ``models`` were fitted in it."""

    findings: list[Finding]
    graph: JourneyGraph
    profile: pd.DataFrame
    credit_bounds: CreditBounds
    segments: pd.DataFrame | None = None
    resamples: Resamples | None = None
    chance: Chance | None = None
    models: tuple[AttributionModel, ...] = ()


def read_journeys(
    journeys: Journeys,
    models: Sequence[AttributionModel] = (),
    segments: Segments | None = None,
    resampling: ResamplingOptions | None = None,
    *,
    with_chance: bool = False,
    trial: Trial | None = None,
) -> Overview:
    """Fit all models, and that of ``trial`` beside them, and learn everything else in one pass."""
    for model in models:
        get_machinery(model).prepare(journeys)
    every = _with_trial(models, journeys, trial)
    readers = _readers(journeys)
    shuffling = Shuffling(journeys, tuple(models)) if with_chance else None
    if segments is not None:
        readers.append(segment_reader(models, segments))
    if shuffling is not None:
        readers.append(shuffling.read)
    resamples = None
    if resampling is None:
        summaries = fit_models(every, journeys, *readers, trial=trial)
    else:
        summaries, resamples = fit_and_resample(every, journeys, resampling, *readers, trial=trial)
    fitted = tuple(model for model in every if not is_left_out(model, trial))
    overview = replace(_overview(journeys, summaries[:5], trial), resamples=resamples, models=fitted)
    if segments is not None:
        credit, notes = segment_credit(summaries[5], journeys, models, segments)
        overview = replace(overview, findings=[*overview.findings, *notes], segments=credit)
    if shuffling is not None:
        chance = shuffling.solve(summaries[-1], summaries[0])
        overview = replace(overview, findings=[*overview.findings, *chance.findings], chance=chance)
    return overview


def check_journeys(
    journeys: Journeys,
    models: Sequence[AttributionModel],
    resampling: ResamplingOptions | None = None,
    *,
    trial: Trial | None = None,
) -> Overview:
    """What `read_journeys` would refuse, and what it would tell that needs no fitted model, in one pass."""
    summaries = check_models(_with_trial(models, journeys, trial), journeys, *_readers(journeys), trial=trial)
    if resampling is not None:
        check_drawable(summaries[0].number("conversions"))
    return _overview(journeys, summaries, trial)


def _with_trial(
    models: Sequence[AttributionModel], journeys: Journeys, trial: Trial | None
) -> tuple[AttributionModel, ...]:
    """The models, and last that of ``trial`` where it can be prepared."""
    return (*models, *((trial.model,) if trial is not None and trial.prepare(journeys) else ()))


def _readers(journeys: Journeys) -> list[Reader]:
    return [graph_reader(journeys), profile_reader(journeys), lag_reader(journeys), bounds_reader(journeys)]


def _overview(journeys: Journeys, summaries: Sequence[Summary], trial: Trial | None) -> Overview:
    """Of what was observed and what `_readers` sum up."""
    overview, steps, profile, lags, bounds = summaries
    few = _few_conversions(overview.number("conversions"))
    findings = [*journeys.describe(overview), *lookback_finding(lags, journeys), few]
    findings += [] if trial is None else trial.findings()
    return Overview(
        findings,
        assemble_graph(steps, journeys),
        assemble_profile(profile, journeys.channels),
        assemble_bounds(bounds, steps, journeys.channels),
    )


def _few_conversions(conversions: float) -> Finding:
    """Too few to tell channels apart, whatever the model."""
    few = f"fewer than {FEW_CONVERSIONS} conversions: results are mostly chance; use a longer period"
    enough = f"at least {FEW_CONVERSIONS} conversions"
    status: Literal["pass", "warn"] = "warn" if conversions < FEW_CONVERSIONS else "pass"
    message = few if status == "warn" else enough
    return Finding("few_conversions", "conversions", status, conversions, None, None, message)
