"""The whole line: an experiment becomes an outcome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from attribution.arguments import check_arguments
from attribution.data.engine import Engine
from attribution.data.loading import content_digest, quality_table
from attribution.incrementality.calibrated_run import (
    CALIBRATION,
    calibrate_run,
    extend_resamples,
    extend_worth,
    fill_calibrated_returns,
)
from attribution.incrementality.lift_section import readings_of_run
from attribution.journeys import journeys_of
from attribution.models.chance import with_chance
from attribution.models.credit import Credit
from attribution.models.saved import Training
from attribution.models.segments import read_segments
from attribution.pipeline.builders import caused_trial, check_channel_count, make_models, open_sources, terms_of
from attribution.pipeline.outcome import Outcome, Stage, span_of
from attribution.pipeline.run_checks import Overview, check_journeys, read_journeys
from attribution.pipeline.sections import Sections, load_sections, read_experiment
from attribution.returns import check_worth, credit_of_channels, read_worth, returns_table, whole_channels, with_worth
from attribution.returns.ranking import Ranking, compare_rankings
from attribution.schema.experiment import Experiment
from attribution.sections import RunContext
from attribution.uncertainty.intervals import fill_credit, fill_returns, sample_measures

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
    sections = load_sections()
    context = _prepare(sections, experiment, engine, say)
    trial = caused_trial(context.experiment, context.models)
    beside = [] if trial is None else [trial.model]
    say(f"fitting {', '.join(model.label for model in [*context.models, *beside])}")
    overview = read_journeys(
        context.journeys,
        context.models,
        context.segments,
        experiment.resampling,
        with_chance=context.experiment.incrementality.enabled,
        trial=trial,
    )
    say("comparing models")
    context, ranking = _with_returns(_with_overview(context, overview), overview)
    return _outcome(sections, context, ranking)


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
        If the experiment or its data are wrong: whatever a run would refuse, but for what only fitted models show.

    Examples
    --------
    >>> import attribution as at
    >>> paths = pd.DataFrame({"path": ["mail > search", "mail > search"], "conversions": [2, 1]})
    >>> experiment = at.Experiment(name="shop", tables={"paths": paths}, models=[{"model": "Linear"}])
    >>> quality = at.check_quality(experiment).set_index("check")
    >>> int(quality.loc["repeated_path", "count"])
    1
    """
    sections = load_sections()
    context = _prepare(sections, experiment, engine, lambda _: None)
    trial = caused_trial(context.experiment, context.models)
    overview = check_journeys(context.journeys, context.models, context.experiment.resampling, trial=trial)
    return quality_table(sections.findings(_with_overview(context, overview)))


def _prepare(sections: Sections, experiment: Experiment, engine: Engine | None, say: Stage) -> RunContext:
    """All that there is before a model is fitted: a run and a check of its data refuse the same, and here."""
    experiment = sections.check_options(experiment)
    models = make_models(experiment)
    say("reading tables")
    context = RunContext(experiment, open_sources(experiment, engine), tuple(models))
    sections.check(context)
    terms = terms_of(experiment, context.sources)
    say("building journeys")
    journeys = journeys_of(experiment, context.sources)
    check_channel_count(experiment, journeys)
    check_worth(context.sources, terms)
    terms.costs.check_drivers(journeys.dimensions.channels)
    column = experiment.journeys.segment
    segments = None if column is None else read_segments(context.sources, column)
    context = replace(context, terms=terms, journeys=journeys, segments=segments)
    sections.check_journeys(context)
    return context


def _with_overview(context: RunContext, overview: Overview) -> RunContext:
    return replace(
        context,
        models=overview.models or context.models,
        findings=tuple(overview.findings),
        graph=overview.graph,
        profile=overview.profile,
        credit_bounds=overview.credit_bounds,
        segment_credit=overview.segments,
    )


def _with_returns(context: RunContext, overview: Overview) -> tuple[RunContext, Ranking]:
    """With credit and returns, and their intervals where there are draws."""
    journeys, models, terms = context.journeys, context.models, context.terms
    credit = Credit.of(models).table
    if overview.chance is not None:
        credit = with_chance(credit, overview.chance)
    resamples = overview.resamples
    worth = read_worth(journeys, models, context.sources, terms, resamples=resamples)
    calibrated = calibrate_run(context, credit, worth=worth, resamples=resamples, readings=readings_of_run(context))
    if calibrated is not None:
        context.memory[CALIBRATION] = calibrated
        resamples = None if resamples is None else extend_resamples(resamples, calibrated)
        worth = None if worth is None else extend_worth(worth, credit, calibrated, resamples)
        credit = pd.concat([credit, calibrated.credit], ignore_index=True)
    with_all_worth = credit_of_channels(with_worth(credit, worth), journeys, terms)
    returns = returns_table(with_all_worth, terms)
    ranking = compare_rankings(returns)
    draws = None
    if resamples is not None:
        draws = sample_measures(resamples, returns, whole_channels(journeys), terms=terms, worth=worth)
        credit = fill_credit(credit, draws, models, overview.chance)
        returns = fill_returns(returns, draws)
    if calibrated is not None:
        returns = fill_calibrated_returns(returns, with_all_worth, terms)
    made = replace(
        context,
        credit=credit,
        credit_with_worth=with_all_worth,
        returns=returns,
        agreement=ranking.agreement,
        draws=draws,
    )
    return made, ranking


def _outcome(sections: Sections, context: RunContext, ranking: Ranking) -> Outcome:
    """What all sections give."""
    experiment, sources, journeys = context.experiment, context.sources, context.journeys
    digests = {name: content_digest(sources, name) for name in sources.tables}
    return Outcome(
        experiment,
        span_of(journeys),
        context.models,
        sections.tables(context),
        ranking,
        context.graph,
        digests,
        context.draws,
        Training.of(sources, journeys, digests, period=experiment.period),
        sections=sections,
    )
