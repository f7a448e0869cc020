"""The whole line: an experiment becomes an outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from attribution.credit import Credit, journey_credit
from attribution.engine import Engine
from attribution.errors import InputError
from attribution.experiment import Experiment, ResamplingOptions, read_experiment
from attribution.graph import JourneyGraph, graph_of, graph_reader
from attribution.intervals import fill_credit, fill_returns, sample_measures, sampling_tables
from attribution.journeys import Journeys
from attribution.lookback import lag_reader, lookback_finding
from attribution.model_tables import model_tables, without_interactions
from attribution.models import AttributionModel, fit_models
from attribution.profile import profile_of, profile_reader
from attribution.ranking import Ranking, compare_rankings
from attribution.request import journeys_of, make_models, open_sources, placebo_of
from attribution.resampling import Resamples, fit_and_resample
from attribution.returns import compute_returns, spend_by_channel
from attribution.segments import Segments, read_segments, segment_credit, segment_reader
from attribution.sources import (
    Finding,
    Sources,
    check_channels_known,
    check_sources,
    content_digest,
    count_finding,
    gate_findings,
    quality_table,
)

FEW_CONVERSIONS = 30
"""With fewer, no model has anything to go by."""

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a run gave: what is written, reported and tracked.

    Attributes
    ----------
    experiment : what was asked for
    span : first and last event of the data; None for aggregated paths
    models : fitted, in the order of the experiment
    tables : the tables of `attribution.tables.OUTPUTS`, by name, and ``truth`` where it was given
    ranking : channels ranked under every model
    graph : the journey graph
    digests : fingerprint of the content of each input table
    """

    experiment: Experiment
    span: tuple[str, str] | None
    models: tuple[AttributionModel, ...]
    tables: Mapping[str, pd.DataFrame]
    ranking: Ranking
    graph: JourneyGraph
    digests: Mapping[str, str]

    @property
    def settings(self) -> dict[str, object]:
        """What was asked for and on which data, one line per setting, as report and tracking show it."""
        asked = self.experiment
        parts = {"journeys": asked.journeys, "period": asked.period, "returns": asked.returns}
        return {
            "engine": asked.engine,
            **{f"{name}.{key}": value for name, part in parts.items() for key, value in part.model_dump().items()},
            "ranked_by": self.ranking.by,
            "models": ", ".join(f"{model.label} = {model!r}" for model in self.models),
            "data": {} if self.span is None else dict(zip(("first event", "last event"), self.span, strict=True)),
        }


def run_experiment(
    experiment: Experiment | str | Path, *, engine: Engine | None = None, on_stage: Stage | None = None
) -> Outcome:
    """Run an experiment in memory: nothing is written or tracked.

    Parameters
    ----------
    experiment : an `Experiment` or the path of its TOML file
    engine : DuckDB in this process unless given
    on_stage : told what is being done, for progress

    Raises
    ------
    InputError
        If the experiment or its data are wrong.
    """
    say = on_stage or (lambda _: None)
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(experiment)
    models = make_models(experiment)
    say("reading tables")
    sources = open_sources(experiment, engine)
    _check_request(experiment, models, sources)
    say("building journeys")
    journeys = journeys_of(experiment, sources)
    say(f"fitting {', '.join(model.label for model in models)}")
    column = experiment.journeys.segment
    segments = None if column is None else read_segments(sources, column)
    facts = read_journeys(journeys, models, segments, experiment.resampling)
    say("comparing models")
    return _outcome(experiment, sources, journeys, models, facts)


@dataclass(frozen=True)
class Facts:
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
) -> Facts:
    """Fit all models and learn everything else in one pass."""
    readers = [graph_reader(journeys), profile_reader(journeys), lag_reader(journeys)]
    if segments is not None:
        for model in models:
            model.prepare(journeys)
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
        credit, lacking = segment_credit(by_segment[0], journeys, models, segments)
        findings += lacking
    return Facts(findings, graph_of(steps, journeys), profile_of(profile, journeys), credit, resamples)


def check_quality(experiment: Experiment, *, engine: Engine | None = None) -> pd.DataFrame:
    """The ``quality`` table alone: what the data of an experiment look like, before any model is fitted."""
    models = make_models(experiment)
    sources = open_sources(experiment, engine)
    _check_request(experiment, models, sources)
    journeys = journeys_of(experiment, sources)
    return quality_table(_findings(experiment, sources, journeys, read_journeys(journeys)))


def _check_request(experiment: Experiment, models: Sequence[AttributionModel], sources: Sources) -> None:
    """Refuse what these data cannot answer, before any work is done on them."""
    if experiment.output.journey_credit and sources.has("paths"):
        raise InputError("output.journey_credit: aggregated paths have no customers, so no credit per journey")
    if sources.integer_times is False:
        return
    if experiment.placebo is not None:
        raise InputError(
            "placebo: a channel is put among the events of customers, and these data have no times",
            hint="leave [placebo] out, or give touchpoints with timestamps",
        )
    for model in models:
        if model.needs_times:
            raise InputError(
                f"model {model.label!r} is time-based, and these data have only an order",
                hint="leave the model out, or give touchpoints with timestamps",
            )


def _outcome(
    experiment: Experiment, sources: Sources, journeys: Journeys, models: list[AttributionModel], facts: Facts
) -> Outcome:
    credit = Credit.of(models)
    returns = compute_returns(_of_channels(credit, journeys), sources, **_spending(experiment))
    ranking = compare_rankings(returns)
    findings = _findings(experiment, sources, journeys, facts)
    sampled: dict[str, pd.DataFrame] = {}
    if facts.resamples is not None:
        measures = sample_measures(facts.resamples, returns, _whole_channels(journeys))
        credit, returns = replace(credit, table=fill_credit(credit.table, measures)), fill_returns(returns, measures)
        sampled = sampling_tables(measures)
        findings += facts.resamples.findings()
    findings += [
        *(finding for model in models for finding in model.findings()),
        *(without_interactions(models) if experiment.output.interactions else []),
    ]
    tables = {
        "credit": credit.table,
        "returns": returns,
        "agreement": ranking.agreement,
        "transitions": facts.graph.to_frame(),
        "journey_profile": facts.profile,
        "quality": quality_table(findings),
        **model_tables(models, interactions=experiment.output.interactions),
        **sampled,
    }
    if experiment.output.journey_credit:
        tables["journey_credit"] = journey_credit(journeys, models)
    if facts.segments is not None:
        tables["segment_credit"] = facts.segments
    placebo = placebo_of(experiment, sources, models)
    if placebo is not None:
        tables["placebo"] = placebo
    if sources.channel_lint is not None:
        tables["channel_lint"] = sources.channel_lint.to_pandas()
    if sources.has("truth"):
        tables["truth"] = sources.engine.query("select * from truth order by channel").to_pandas()
    digests = {name: content_digest(sources, name) for name in sources.tables}
    return Outcome(experiment, _span(journeys), tuple(models), tables, ranking, facts.graph, digests)


def _spending(experiment: Experiment) -> dict[str, Any]:
    """Where spend comes from."""
    return {
        "spend_from": experiment.returns.spend_from,
        "period": experiment.period,
        "copies": experiment.journeys.dedupe != "unique",
    }


def _of_channels(credit: Credit, journeys: Journeys) -> Credit:
    """Credit by the channels that money is spent on, where a path transform has split them."""
    whole = _whole_channels(journeys)
    if not whole:
        return credit
    table = credit.table.assign(channel=credit.table["channel"].replace(whole))
    keys = ["model", "estimand", "channel"]
    summed = table.groupby(keys, sort=False)[["conversions", "value", "share"]].sum(min_count=1).reset_index()
    return Credit(credit.models, summed)


def _whole_channels(journeys: Journeys) -> dict[str, str]:
    """For every channel that a path transform has split off, the channel it is a part of."""
    names = journeys.dimensions.channels
    if journeys.channels == names:
        return {}
    split = len(journeys.channels) // len(names)
    return {part: names[place // split] for place, part in enumerate(journeys.channels)}


def _span(journeys: Journeys) -> tuple[str, str] | None:
    if journeys.span is None:
        return None
    first, last = journeys.span
    if journeys.integer_times:
        return f"position {first}", f"position {last}"
    return tuple(f"{np.datetime64(at, 'us').astype('datetime64[s]')} UTC" for at in journeys.span)  # type: ignore[return-value]


def _findings(experiment: Experiment, sources: Sources, journeys: Journeys, facts: Facts) -> list[Finding]:
    """Everything that was found in the data, table by table and then across them."""
    spend = spend_by_channel(sources, **_spending(experiment))
    return [
        *check_sources(sources),
        *sources.findings,
        *gate_findings(sources, period=experiment.period, lookback_days=experiment.journeys.lookback_days),
        *facts.findings,
        *check_channels_known(sources, journeys.channels),
        _idle_spend(spend, facts.graph),
    ]


def _few_conversions(conversions: float) -> Finding:
    """Too few to tell channels apart, whatever the model."""
    few = f"fewer than {FEW_CONVERSIONS} conversions: what models say of them is mostly chance"
    enough = f"at least {FEW_CONVERSIONS} conversions"
    status: Literal["pass", "warn"] = "warn" if conversions < FEW_CONVERSIONS else "pass"
    message = few if status == "warn" else enough
    return Finding("few_conversions", "conversions", status, conversions, None, None, message)


def _idle_spend(spend: Mapping[str, float], graph: JourneyGraph) -> Finding:
    """Spend on channels that are in no converting journey."""
    converting = {name for name, n in zip(graph.states[1:-2], graph.converting_touchpoints, strict=True) if n > 0}
    paid = {channel: amount for channel, amount in spend.items() if amount > 0}
    idle = {channel: amount for channel, amount in sorted(paid.items()) if channel not in converting}
    message = f"channels with spend in no converting journey, {sum(idle.values()):,.2f} in all"
    return count_finding(
        "spend_without_conversion", "costs", len(idle), message, total=len(paid), example=", ".join([*idle][:5])
    )
