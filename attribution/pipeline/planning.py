"""From an experiment to a budget: run it, and divide a sum of money by what it found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from attribution.arguments import check_arguments
from attribution.decisions.budget import BudgetPlan, budget_metrics, propose_budget
from attribution.decisions.budget.budget_options import BudgetOptions, budget_options
from attribution.decisions.budget.evidence import Ground, read_earlier
from attribution.decisions.budget.history import weekly_history
from attribution.decisions.budget.response import read_history
from attribution.errors import InputError
from attribution.journeys import journeys_of
from attribution.pipeline.builders import open_sources
from attribution.pipeline.outcome import Numbers, Outcome, Stage
from attribution.pipeline.pipeline import run_experiment
from attribution.pipeline.sections import beside_a_budget, load_sections
from attribution.pipeline.tracking_record import as_texts, finite
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, Experiment

OWN_HISTORY = "own"
"""``budget.history`` that means the spend and the credit of the run itself, week by week."""


@check_arguments
def plan_budget(experiment: Experiment, *, on_stage: Stage | None = None) -> tuple[Outcome, BudgetPlan]:
    """Run an experiment and divide a budget by it; nothing is written or tracked.

    Parameters
    ----------
    experiment : what to run, with a part ``budget``
    on_stage : told what is being done, for progress

    Returns
    -------
    The outcome, the tables of the plan among its own, and the plan.

    Raises
    ------
    InputError
        If there is no total, the experiment or its data are wrong, or no budget keeps all limits.

    Examples
    --------
    >>> import attribution as at
    >>> experiment = at.Experiment(
    ...     name="shop",
    ...     tables={"paths": pd.DataFrame({"path": ["mail", "search"], "conversions": [10, 20], "value": [100, 200]}),
    ...             "costs": pd.DataFrame({"channel": ["mail", "search"], "amount": [50.0, 50.0]})},
    ...     models=[{"model": "Linear"}],
    ...     budget={"total": 100, "step_limit": "none"},
    ... )
    >>> outcome, plan = at.plan_budget(experiment)
    >>> plan.tables["budget"].query("scenario == 'plan'")["spend"].round(3).tolist()
    [20.0, 80.0]
    """
    experiment = load_sections().check_options(experiment)
    options = budget_options(experiment) or BudgetOptions()
    if "objective" not in options.model_fields_set:
        # What channels are ranked by is what money is for, unless told otherwise.
        options = options.model_copy(update={"objective": experiment.returns.basis})
    if options.total is None:
        raise InputError("the budget has no total to divide", hint="set budget.total, such as 100000")
    history = None if options.history in (None, OWN_HISTORY) else read_history(experiment.folder / str(options.history))
    earlier = None if options.previous is None else read_earlier(experiment.folder / options.previous)
    outcome = run_experiment(_prepare_experiment(experiment, options), on_stage=on_stage)
    (on_stage or (lambda _: None))("dividing the budget")
    plan = propose_budget(
        outcome.tables["returns"],
        options,
        unit_economics=outcome.tables.get("unit_economics"),
        stage_credit=outcome.tables.get("funnel_credit"),
        draws=_draws(outcome, options),
        history=_own_history(outcome, options) if options.history == OWN_HISTORY else history,
        ground=_evidence_base(outcome),
        earlier=earlier,
        run_tables=outcome.tables,
    )
    planned, tables = beside_a_budget(experiment), {**outcome.tables, **plan.tables}
    if not planned.output.journey_credit:
        # It is large, and only the history has needed it.
        tables.pop("journey_credit", None)
    return replace(outcome, experiment=planned, tables=tables, plan=_numbers(planned, tables)), plan


def _numbers(experiment: Experiment, tables: Mapping[str, pd.DataFrame]) -> Numbers:
    """What is tracked of a plan: the options that were given, and what they led to."""
    budget = budget_options(experiment)
    options = {} if budget is None else budget.model_dump(mode="json")
    params = as_texts({f"budget.{key}": value for key, value in options.items()})
    return Numbers("budget", params, finite(budget_metrics(tables)))


def _prepare_experiment(experiment: Experiment, options: BudgetOptions) -> Experiment:
    """The experiment, with what the objective and the history need, and no more."""
    experiment = beside_a_budget(experiment)
    output = experiment.output
    if "new_customers" in options.objectives:
        output = output.model_copy(update={"unit_economics": True})
    if options.history == OWN_HISTORY:
        if "paths" in experiment.tables:
            raise InputError("budget.history: 'own' needs touchpoints with days, but aggregated paths have none")
        if experiment.journeys.transform == "frequency":
            raise InputError(
                "budget.history: 'own' cannot be used with a transform of the channels", given="transform = 'frequency'"
            )
        output = output.model_copy(update={"journey_credit": True})
    return experiment.model_copy(update={"output": output})


def _draws(outcome: Outcome, options: BudgetOptions) -> dict[str, pd.DataFrame] | None:
    """Of today's return in the unit of the objective, per model."""
    sampled, objective = outcome.draws, options.objective
    if sampled is None:
        return None
    draws = {}
    for label, (amounts, _, _) in sampled.amounts.items():
        if objective == "conversions" or objective == "new_customers":
            earned = amounts[objective]
        elif objective in set(outcome.tables["returns"]["basis"]):
            earned = sampled.terms.earned(objective, amounts)
        else:
            return None  # refused where its rows are looked for
        draws[label] = pd.DataFrame(earned, columns=list(sampled.channels))
    return draws


def _evidence_base(outcome: Outcome) -> Ground:
    resampling = outcome.experiment.resampling
    start, end = _days(outcome)
    return Ground(outcome.fingerprint, start, end, 0.9 if resampling is None else resampling.level)


def _own_history(outcome: Outcome, options: BudgetOptions) -> pd.DataFrame:
    experiment = outcome.experiment
    sources = open_sources(experiment)
    if options.objective not in ("conversions", "revenue"):
        journeys_of(experiment, sources)  # which conversions there are, and who of them is new
    return weekly_history(
        sources,
        outcome.tables["journey_credit"],
        options,
        returns=experiment.returns,
        period=experiment.period,
        lookback_days=experiment.journeys.lookback_days or DEFAULT_LOOKBACK_DAYS,
    )


def _days(outcome: Outcome) -> tuple[dt.date | None, dt.date | None]:
    """First and last day of the analysis, or of the data; None where they have no dates."""
    if outcome.span is None or outcome.span[1].startswith("position"):
        return None, None
    start, end = (dt.date.fromisoformat(text[:10]) for text in outcome.span)
    bounds = [
        None if at is None else (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=at)).date()
        for at in outcome.experiment.period.bounds()
    ]
    return max(start, bounds[0] or start), min(end, bounds[1] or end)
