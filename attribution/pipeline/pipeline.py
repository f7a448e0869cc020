"""The whole line: an experiment becomes an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from attribution.arguments import check_arguments
from attribution.data.engine import Engine
from attribution.data.loading import Sources, content_digest, quality_table
from attribution.decisions.diagnosis import check_dimensions, diagnosis_tables
from attribution.decisions.funnel import funnel_tables
from attribution.decisions.kpis import draws_table
from attribution.errors import InputError
from attribution.journeys import Journeys, journeys_of
from attribution.models import AttributionModel
from attribution.models.credit import Credit, journey_credit
from attribution.models.model_tables import model_findings, model_tables, without_interactions
from attribution.models.saved import Training
from attribution.models.segments import Segments, read_segments
from attribution.pipeline.facts import Facts, data_findings, read_journeys
from attribution.pipeline.outcome import Outcome, Stage, span_of
from attribution.pipeline.request import make_models, open_sources, placebo_of, terms_of
from attribution.returns import (
    Terms,
    bounds_findings,
    cost_bounds,
    cost_coverage,
    credit_of_channels,
    platform_claims,
    read_worth,
    returns_table,
    whole_channels,
    with_worth,
)
from attribution.returns.ranking import compare_rankings
from attribution.schema.experiment import Experiment, read_experiment
from attribution.uncertainty.economics import sampled_economics
from attribution.uncertainty.intervals import Sampled, fill_credit, fill_returns, sample_measures, sampling_tables
from attribution.uncertainty.sensitivity import doubt_tables
from attribution.uncertainty.stability import stability_tables

__all__ = ["Outcome", "Stage", "check_quality", "journeys_of", "open_sources", "run_experiment"]


@check_arguments
def run_experiment(
    experiment: Experiment | str | Path, *, engine: Engine | None = None, on_stage: Stage | None = None
) -> Outcome:
    """Run an experiment in memory: nothing is written or tracked.

    Parameters
    ----------
    experiment : an `Experiment` or the path of its TOML file
    engine : DuckDB in this process unless given
    on_stage : told what is being done, for progress

    Returns
    -------
    Outcome
        The fitted models, every table by its name, and the ranking of channels.

    Raises
    ------
    InputError
        If the experiment or its data are wrong.

    Examples
    --------
    >>> import attribution as at
    >>> paths = pd.DataFrame({"path": ["mail > search", "search"], "conversions": [2, 1]})
    >>> experiment = at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}])
    >>> credit = at.run_experiment(experiment).tables["credit"]
    >>> credit[["channel", "conversions"]].values.tolist()
    [['mail', 1.0], ['search', 2.0], ['(unattributed)', 0.0]]
    """
    say = on_stage or (lambda _: None)
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(experiment)
    models = make_models(experiment)
    say("reading tables")
    sources = open_sources(experiment, engine)
    _check_request(experiment, models, sources)
    terms = terms_of(experiment, sources)
    say("building journeys")
    journeys = journeys_of(experiment, sources)
    say(f"fitting {', '.join(model.label for model in models)}")
    column = experiment.journeys.segment
    segments = None if column is None else read_segments(sources, column)
    facts = read_journeys(journeys, models, segments, experiment.resampling)
    say("comparing models")
    return _outcome(experiment, sources, journeys, models, facts, terms, segments=segments)


@check_arguments
def check_quality(experiment: Experiment, *, engine: Engine | None = None) -> pd.DataFrame:
    """The ``quality`` table alone: what the data of an experiment look like, before any model is fitted.

    Parameters
    ----------
    experiment : what a run would ask for
    engine : DuckDB in this process unless given

    Returns
    -------
    DataFrame
        One row per check: ``check``, ``table``, ``status`` (pass, warning, …), ``count`` of ``total`` rows that it
        found, an ``example`` and a ``message``.

    Raises
    ------
    InputError
        If the experiment or its data are wrong.

    Examples
    --------
    >>> import attribution as at
    >>> paths = pd.DataFrame({"path": ["mail > search", "mail > search"], "conversions": [2, 1]})
    >>> experiment = at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}])
    >>> quality = at.check_quality(experiment).set_index("check")
    >>> int(quality.loc["repeated_path", "count"])
    1
    """
    models = make_models(experiment)
    sources = open_sources(experiment, engine)
    _check_request(experiment, models, sources)
    terms = terms_of(experiment, sources)
    journeys = journeys_of(experiment, sources)
    return quality_table(data_findings(experiment, sources, journeys, read_journeys(journeys), terms))


def _check_request(experiment: Experiment, models: Sequence[AttributionModel], sources: Sources) -> None:
    """Refuse what these data cannot answer, before any work is done on them."""
    if experiment.output.journey_credit and sources.has("paths"):
        raise InputError("output.journey_credit: aggregated paths have no customers, so no credit per journey")
    if experiment.output.draws and experiment.resampling is None:
        raise InputError("output.draws: there are no draws without resampling", hint="add a part [resampling]")
    if experiment.output.slices:
        check_dimensions(sources, experiment.output.slices, grain=experiment.grain)
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
    experiment: Experiment,
    sources: Sources,
    journeys: Journeys,
    models: list[AttributionModel],
    facts: Facts,
    terms: Terms,
    *,
    segments: Segments | None,
) -> Outcome:
    credit = Credit.of(models)
    worth = read_worth(journeys, models, sources, terms, resamples=facts.resamples)
    of_channels = credit_of_channels(with_worth(credit.table, worth), journeys, terms)
    returns = returns_table(of_channels, terms)
    ranking = compare_rankings(returns)
    findings = data_findings(experiment, sources, journeys, facts, terms)
    sampled: dict[str, pd.DataFrame] = {}
    measures: Sampled | None = None
    if facts.resamples is not None:
        measures = sample_measures(facts.resamples, returns, whole_channels(journeys), terms=terms, worth=worth)
        credit, returns = replace(credit, table=fill_credit(credit.table, measures)), fill_returns(returns, measures)
        sampled = sampling_tables(measures)
        if experiment.output.draws:
            sampled["draws"] = draws_table(measures)
        findings += facts.resamples.findings()
    bounds = cost_bounds(of_channels, terms)
    findings += bounds_findings(bounds)
    funnel, lacking = funnel_tables(experiment, sources, models, terms)
    findings += [
        *lacking,
        *model_findings(models),
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
        **funnel,
    }
    tables |= _asked_tables(experiment, sources, journeys, models, terms)
    claims = platform_claims(sources, credit.table, experiment.period)
    where_known = {"platform_claims": claims, "cost_bounds": bounds, "segment_credit": facts.segments}
    tables |= {name: table for name, table in where_known.items() if table is not None}
    if experiment.output.unit_economics:
        tables["unit_economics"] = sampled_economics(of_channels, terms, measures)
    tables |= diagnosis_tables(experiment, sources, journeys, models, terms=terms, tables=tables, segments=segments)
    digests = {name: content_digest(sources, name) for name in sources.tables}
    training = Training.of(sources, journeys, digests, period=experiment.period)
    span = span_of(journeys)
    return Outcome(experiment, span, tuple(models), tables, ranking, facts.graph, digests, measures, training)


def _asked_tables(
    experiment: Experiment, sources: Sources, journeys: Journeys, models: Sequence[AttributionModel], terms: Terms
) -> dict[str, pd.DataFrame]:
    """Tables that are there only if they were asked for, or if the data have something to fill them."""
    tables: dict[str, pd.DataFrame] = {}
    if experiment.output.journey_credit:
        tables["journey_credit"] = journey_credit(journeys, models)
    if terms.costs.is_ledger:
        tables["cost_coverage"] = cost_coverage(terms.costs, journeys.dimensions.channels)
    placebo = placebo_of(experiment, sources, models)
    if placebo is not None:
        tables["placebo"] = placebo
    if sources.channel_lint is not None:
        tables["channel_lint"] = sources.channel_lint.to_pandas()
    if sources.has("truth"):
        tables["truth"] = sources.engine.query("select * from truth order by channel").to_pandas()
    tables |= stability_tables(experiment, sources, journeys, models)
    return tables | doubt_tables(experiment, sources, journeys, models, terms)
