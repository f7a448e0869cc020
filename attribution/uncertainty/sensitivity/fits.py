"""Every model fitted under every specification, and drawn again in the same customers.

Journeys are built and read once per lookback window: policies for direct traffic share that pass, and everything else
comes from summaries by bucket of customers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import Journeys, Reader, Summary, journeys_of, observe
from attribution.journeys.buckets import Buckets, Dealing
from attribution.journeys.refine import Policy, before_policies
from attribution.models import AttributionModel
from attribution.models.machinery import Draws, get_machinery
from attribution.models.resampling import (
    FEW_CONVERSIONS,
    Resamples,
    Sample,
    draw_weights,
    models_by_bucket,
    single_customer_dealing,
    solve_draws,
    split_models,
)
from attribution.returns import Terms, read_worth
from attribution.schema.experiment import Experiment, JourneyOptions, ResamplingOptions
from attribution.uncertainty.sensitivity.choices import Choices, choices_of
from attribution.uncertainty.sensitivity.grid import Grid, check_returned, grid_of
from attribution.uncertainty.sensitivity.maturity import (
    count_touched,
    estimate_maturity,
    maturity_reader,
    touched_reader,
)
from attribution.uncertainty.sensitivity.sensitivity_options import sensitivity_options

Floats = NDArray[np.float64]


class Besides(NamedTuple):
    """What is read beside the models.

    ``maturity`` is the share of the conversions of each channel that have come, see `estimate_maturity`; ``touched``
    the conversions that each channel touched, in the widest window.
    """

    maturity: Mapping[str, float]
    touched: Mapping[str, float]


class Fitted(NamedTuple):
    """One window and policy: its journeys, its models fitted on them, and what was observed and needed by bucket."""

    journeys: Journeys
    models: list[AttributionModel]
    parts: list[Buckets]


def draw_grid(
    experiment: Experiment,
    sources: Sources,
    journeys: Journeys,
    models: Sequence[AttributionModel],
    terms: Terms,
) -> tuple[Grid, Besides]:
    """Fit every model under every window and policy, and draw customers again, the same ones everywhere.

    Parameters
    ----------
    experiment : its ``[sensitivity]`` says what to try
    sources : the input tables
    journeys : the run's own
    models : fitted on them; they stay as they are
    terms : what counts as return and as cost

    Returns
    -------
    grid : returns and spend under every specification
    read : what else was read of the journeys

    Raises
    ------
    InputError
        If no channel has an ROI, nothing converted, or a choice is named that these data do not allow.
    """
    options = sensitivity_options(experiment)
    choices = choices_of(experiment, sources, journeys, terms)
    maturity: Mapping[str, float] = {}
    touched: Mapping[str, float] = {}
    dealing = _dealing(journeys, models[0].observed_.number("conversions"))
    fitted: list[list[Fitted]] = []
    for days in choices.lookback_days:
        tried = _journeys(experiment, sources, days)
        ages = maturity_reader(tried if days == choices.own[0] else None)
        also = (ages, touched_reader)
        row, (read, counted) = _fit(
            tried, experiment.journeys, choices, (models, dealing), needed=_needed_measures(terms), also=also
        )
        touched = count_touched(counted, tried, touched)
        fitted.append(row)
        if days == choices.own[0]:
            maturity = estimate_maturity(read, tried)
    labels = np.unique(np.concatenate([each.parts[0].labels for row in fitted for each in row]))
    weights = draw_weights(labels, options.draws, options.seed)
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        amounts = [[_amounts(each, (labels, weights), dealing, (sources, terms)) for each in row] for row in fitted]
    return grid_of(models, choices, amounts, fitted[0][0].journeys, terms), Besides(maturity, touched)


def check_sensitivity(experiment: Experiment, sources: Sources, journeys: Journeys, terms: Terms) -> None:
    """Raise `InputError`, before any model is fitted, if there is nothing to try or to depend on it."""
    choices_of(experiment, sources, journeys, terms)
    observed = journeys.read(observe)[0]
    _check_converted(observed.number("conversions"))
    if terms.options.basis == "revenue":
        check_returned(observed.number("value") - observed.number("unattributed_value"))


def _check_converted(conversions: float) -> None:
    if conversions == 0:
        raise InputError("nothing converted, so no channel has an ROI", hint="leave sensitivity out of the experiment")


def _journeys(experiment: Experiment, sources: Sources, days: float | None) -> Journeys:
    """Journeys with another window, on which any policy can be put; those of paths as they are."""
    if sources.has("paths"):
        return journeys_of(experiment, sources)
    options = before_policies(experiment.journeys).model_dump(exclude_unset=True)
    options |= {} if days is None else {"lookback_days": days}
    variant = experiment.model_copy(update={"journeys": JourneyOptions.model_validate(options)})
    return journeys_of(variant, sources)


def _dealing(journeys: Journeys, conversions: float) -> Dealing:
    _check_converted(conversions)
    return Dealing() if conversions >= FEW_CONVERSIONS else single_customer_dealing(journeys)


def _needed_measures(terms: Terms) -> frozenset[str]:
    """What has to be known of conversions beside their value."""
    return terms.measures & {terms.options.basis}


def _fit(
    journeys: Journeys,
    options: JourneyOptions,
    choices: Choices,
    how: tuple[Sequence[AttributionModel], Dealing],
    *,
    needed: frozenset[str],
    also: tuple[Reader, Reader],
) -> tuple[list[Fitted], tuple[Summary, Summary]]:
    """Copies of the models, fitted under every policy in one pass over the journeys of a window.

    ``also`` are read in the same pass; ``needed`` is what has to be allocated besides conversions and value.
    """
    originals, dealing = how
    variants: list[tuple[Journeys, list[AttributionModel]]] = []
    readers: list[Reader] = []
    for direct in choices.direct:
        models = [copy.copy(model) for model in originals]
        is_paths = journeys.integer_times is None
        policy = None if is_paths else Policy.of(journeys, options, direct, choices.direct_channels)
        under = journeys if policy is None else policy.journeys(journeys)
        for model in models:
            get_machinery(model).prepare(under)
        # What journeys are allocated by is no part of a draw.
        own = [
            models_by_bucket(models, dealing),
            *(get_machinery(model).summarise_undrawn for model in models if needed),
        ]
        variants.append((under, models))
        readers += own if policy is None else [policy.reader(read) for read in own]
    ages, touched, *read = journeys.read(*also, *readers)
    summaries = iter(read)
    fitted = []
    for under, models in variants:
        parts = split_models(next(summaries), models, under, dealing)
        for model, (whole, _) in zip(models, parts[1:], strict=True):
            get_machinery(model).finish_fit(whole + next(summaries) if needed else whole, parts[0][0])
        fitted.append(Fitted(under, models, [buckets for _, buckets in parts]))
    return fitted, (ages, touched)


def _amounts(
    fitted: Fitted, labelled_weights: tuple[NDArray[np.int64], Floats], dealing: Dealing, inputs: tuple[Sources, Terms]
) -> list[dict[str, Floats]]:
    """For each model (draws + 1, channels of its journeys) of what channels are credited with; first of all data."""
    labels, weights = labelled_weights
    observed, *own = fitted.parts
    mine = weights[:, np.searchsorted(labels, observed.labels)]
    every = np.concatenate([np.ones((1, observed.size)), mine])
    draws = [
        solve_draws(get_machinery(model).redraw, model.label, buckets, observed, every)
        for model, buckets in zip(fitted.models, own, strict=True)
    ]
    amounts = [{"conversions": of.conversions, "value": of.value} for of in draws]
    sources, terms = inputs
    needed = _needed_measures(terms)
    if needed:
        resamples = _resamples(fitted, draws, dealing, mine)
        worth = read_worth(
            fitted.journeys, fitted.models, sources, replace(terms, measures=needed), resamples=resamples
        )
        assert worth is not None
        for model, of in zip(fitted.models, amounts, strict=True):
            for name in needed:
                of[name] = np.concatenate([worth.estimates[model.label][name], worth.draws[model.label][name]])
    return amounts


def _resamples(fitted: Fitted, draws: Sequence[Draws], dealing: Dealing, weights: Floats) -> Resamples:
    """The draws in the form in which `read_worth` asks for them."""
    samples = {model.label: Sample(of, {}) for model, of in zip(fitted.models, draws, strict=True)}
    ends = {"estimates": slice(0, 1), "draws": slice(1, None), "jackknife": slice(0, 0)}
    cut = {name: {label: sample.rows(rows) for label, sample in samples.items()} for name, rows in ends.items()}
    return Resamples(
        tuple(samples),
        fitted.journeys.channels,
        ResamplingOptions(draws=len(weights)),
        by="buckets" if dealing.singles is None else "customers",
        linearisation={},
        dealing=dealing,
        buckets=fitted.parts[0].labels,
        weights=weights,
        left_out=weights[:0],
        **cut,
    )
