"""Whether a metric in another run can be set beside that of the run of today: currency, terms, model and days."""

from __future__ import annotations

import numpy as np

from attribution.decisions.kpis.metrics import METRICS, Answer, measure
from attribution.decisions.kpis.runs import Run
from attribution.decisions.kpis.stages import stage_cost_basis
from attribution.decisions.kpis.targets import Scoped, Targets
from attribution.errors import InputError


def answer_like(scoped: Scoped, targets: Targets, run: Run, now: Run) -> Answer:
    """What another run says of a target on the terms of ``now``; unknown, with a sentence, where it cannot.

    What a target leaves open is what ``now`` has: its model, its basis of return and its costs.
    """
    sentence = _currency_differs(scoped, run, now) or _stage_costs_differ(scoped, run, now)
    if sentence is not None:
        return Answer(np.nan, why=sentence)
    definition, channels = METRICS[scoped.metric], targets.channels_of(scoped)
    is_counted = definition.of_all or (definition.adds_up and channels is None and not definition.of_stage)
    basis, cost_basis = now.terms
    try:
        return measure(
            run,
            scoped.metric,
            channels,
            model=scoped.model or targets.model or (None if is_counted else now.models[0]),
            basis=scoped.basis or (basis if "paid_return" in definition.needs else None),
            cost_basis=scoped.cost_basis or (cost_basis if {"spend", "booked"} & set(definition.needs) else None),
            stage=scoped.funnel_stage,
        )
    except InputError as error:
        return Answer(np.nan, why=str(error))


def day_ratio(scoped: Scoped, run: Run, now: Run) -> tuple[float, str]:
    """What a metric of ``run`` is multiplied with to be of as many days as ``now`` has, and a sentence where not 1.

    Only what adds up over days depends on them. NaN where one run has days and the other none.
    """
    if not METRICS[scoped.metric].adds_up or run.days == now.days:
        return 1.0, ""
    if run.days is None or now.days is None:
        dated, undated = (now, run) if run.days is None else (run, now)
        return np.nan, f"run {undated.name!r} has no dates and {dated.name!r} has: sums over days are not compared"
    return now.days / run.days, f"run {run.name!r} covers {run.days} days and {now.name!r} {now.days}"


def currency_of(run: Run) -> str | None:
    """The currency that a run counts money in, in capitals; None where it does not say."""
    currency = run.experiment.returns.currency
    return None if currency is None else currency.strip().upper()


def _currency_differs(scoped: Scoped, run: Run, now: Run) -> str | None:
    theirs, ours = currency_of(run), currency_of(now)
    if not METRICS[scoped.metric].is_money or theirs is None or ours is None or theirs == ours:
        return None
    return f"run {run.name!r} counts money in {theirs} and {now.name!r} in {ours}: its money is not compared"


def _stage_costs_differ(scoped: Scoped, run: Run, now: Run) -> str | None:
    definition = METRICS[scoped.metric]
    if not definition.of_stage or not definition.is_money:
        return None
    theirs, ours = stage_cost_basis(run), stage_cost_basis(now)
    if theirs == ours:
        return None
    return f"run {run.name!r} counts {theirs} costs in its funnel and {now.name!r} {ours} costs: they are not compared"
