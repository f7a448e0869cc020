"""A proposal how to divide a budget: by marginal return under each model, within limits, with what it hangs on.

Credit that is allocated is not incremental. A plan moves money as if a channel had caused what it is credited with;
tests of spend tell whether it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from threadpoolctl import threadpool_limits

from attribution.arguments import check_arguments, check_columns
from attribution.decisions.budget.budget_declared import BUDGET_TABLES
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.cases import Case, Row, find_cases, without_spend
from attribution.decisions.budget.evidence import Earlier, Ground, drift_rows, evidence_columns
from attribution.decisions.budget.horizons import horizon_rows, long_returns
from attribution.decisions.budget.limits import Limits, check_possible, hold_unknown, read_limits
from attribution.decisions.budget.notes import plan_notes
from attribution.decisions.budget.response import HISTORY_COLUMNS, Response, choose_curves
from attribution.decisions.budget.rows import solve_case
from attribution.decisions.budget.what_if import what_if_rows
from attribution.errors import InputError
from attribution.schema.tables import CAUSED, Table
from attribution.uncertainty.model_checks import failed_checks


@dataclass(frozen=True)
class BudgetPlan:
    """A proposed budget: tables, and notes to read before acting on it.

    Attributes
    ----------
    options : what was asked for
    tables : ``budget``, ``budget_limits`` and ``budget_scenarios``; ``drift`` where an earlier proposal is given
    left_out : channels with credit and no spend today, for which there is no curve
    notes : what to know before acting on it

    Examples
    --------
    >>> import attribution as at
    >>> returns = pd.DataFrame({"model": "linear", "estimand": "allocated", "basis": "revenue", "cost_basis": "media",
    ...                         "channel": ["mail", "search"], "spend": [50.0, 50.0], "conversions": [10.0, 20.0],
    ...                         "value": [100.0, 200.0], "roi": [1.0, 3.0]})
    >>> plan = at.propose_budget(returns, at.BudgetOptions(total=100, step_limit="none"))
    >>> plan.options.total, plan.left_out
    (100.0, ())
    >>> sorted(plan.tables)
    ['budget', 'budget_limits', 'budget_scenarios']
    """

    options: BudgetOptions
    tables: Mapping[str, pd.DataFrame]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


@check_arguments
def propose_budget(
    returns: pd.DataFrame,
    options: BudgetOptions,
    *,
    unit_economics: pd.DataFrame | None = None,
    stage_credit: pd.DataFrame | None = None,
    draws: Mapping[str, pd.DataFrame] | None = None,
    history: pd.DataFrame | None = None,
    ground: Ground | None = None,
    earlier: Earlier | None = None,
    run_tables: Mapping[str, pd.DataFrame] | None = None,
) -> BudgetPlan:
    """Divide a budget so that it returns most, under every model.

    Parameters
    ----------
    returns : the ``returns`` table; spend is that of the costs that channels are ranked by
    options : how much there is, for what, within which limits
    unit_economics : that table, for the objective ``new_customers``
    stage_credit : the ``funnel_credit`` table, for a capacity that counts arrivals in a stage
    draws : per model, today's return in the unit of the objective (draws × channels)
    history : channel, period, spend and return, for curvature; with a column ``model``, of each model alone
    ground : the run that ``returns`` come from
    earlier : a proposal that is held against what is known now
    run_tables : of the run that ``returns`` come from: nothing is planned by models that fail a check, and where every
        channel is credited with what chance gives a note says so

    Raises
    ------
    InputError
        If a channel is unknown, limits contradict each other or cannot be paid, nothing has spend, ``returns`` do not
        know the objective, or every model fails a check.

    Examples
    --------
    >>> returns = pd.DataFrame({"model": "linear", "estimand": "allocated", "basis": "revenue", "cost_basis": "media",
    ...                         "channel": ["mail", "search"], "spend": [50.0, 50.0], "conversions": [10.0, 20.0],
    ...                         "value": [100.0, 200.0], "roi": [1.0, 3.0]})
    >>> plan = propose_budget(returns, BudgetOptions(total=100, step_limit="none"))
    >>> plan.tables["budget"].query("scenario == 'plan'")["spend"].round(3).tolist()
    [20.0, 80.0]
    """
    check_columns("propose_budget", "returns", returns, _NEEDED)
    if history is not None:
        check_columns("propose_budget", "history", history, HISTORY_COLUMNS)
    ground = ground or Ground()
    run_tables = run_tables or {}
    returns = _reliable_returns(returns, failed_checks(run_tables))
    cases = find_cases(
        returns, options, unit_economics=unit_economics, stage_credit=stage_credit, draws=draws, level=ground.level
    )
    tasks, without = _tasks(cases, options, history)
    cost_basis = str(returns["cost_basis"].iloc[0])
    rows: dict[str, list[Row]] = {table.name: [] for table in BUDGET_TABLES}
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        for case, limits, response in tasks:
            solved = solve_case(case, response, limits, options)
            in_long_run = None if options.long_run is None else long_returns(case, returns, options, unit_economics)
            own = dict(solved.rows)
            own["budget"] = own["budget"] + horizon_rows(case, solved, in_long_run, options)
            own["budget_scenarios"] = own["budget_scenarios"] + what_if_rows(case, solved, options)
            head: Row = {"model": case.label, "estimand": case.estimand, "objective": options.objective}
            head |= {"cost_basis": cost_basis} | evidence_columns(case, response, ground, options)
            for name, of_model in own.items():
                rows[name] += [head | row for row in of_model]
    if earlier is not None:
        rows["drift"] = drift_rows(cases, earlier, ground, options, cost_basis)
    tables = {table.name: _frame(table, rows[table.name]) for table in BUDGET_TABLES if rows[table.name]}
    left_out = without_spend(returns, cases[0].channels)
    return BudgetPlan(options, tables, left_out, (*plan_notes(tables, left_out, run_tables), *without))


def _reliable_returns(returns: pd.DataFrame, failed: Mapping[str, str]) -> pd.DataFrame:
    rows = returns[~returns["model"].isin(list(failed))]
    if len(returns) and rows.empty:
        raise InputError(
            f"budget: every model fails a check, so that no plan can rest on any: {next(iter(failed.values()))}",
            given=", ".join(failed),
            hint="add a model that divides conversions, such as Linear",
        )
    return rows


_NEEDED = ("model", "estimand", "basis", "cost_basis", "channel", "spend", "conversions", "value")


Task = tuple[Case, Limits, Response]


def _tasks(
    cases: Sequence[Case], options: BudgetOptions, history: pd.DataFrame | None
) -> tuple[list[Task], tuple[str, ...]]:
    """Every case with its limits and curves, and notes on models that no plan can be made of.

    What stands beside the models of a run refuses none of their plans, and neither does a model that leaves no way to
    keep the limits without moving money on effects that it cannot tell.
    """
    tasks, notes = [], []
    for case in cases:
        try:
            tasks.append(_task(case, options, history))
        except InputError as error:
            if (case.is_known.all() and case.label != CAUSED) or len(cases) == 1:
                raise
            notes.append(f"There is no plan under {case.label}: {_held(case)}{error.problem.removeprefix('budget: ')}.")
    return tasks, tuple(notes)


def _held(case: Case) -> str:
    """The channels whose spend stays as it is, as the first half of a sentence; nothing where there is none."""
    held = [name for name, has_effect in zip(case.channels, case.is_known, strict=True) if not has_effect]
    return f"the effect of {', '.join(held)} is not known, and with its spend as it is " if held else ""


def _task(case: Case, options: BudgetOptions, history: pd.DataFrame | None) -> Task:
    """A case with its limits, which can be kept, and its curves."""
    limits = hold_unknown(read_limits(case.channels, case.spend, options), case.spend, case.is_known)
    own = history if history is None or "model" not in history else history[history["model"] == case.label]
    response = choose_curves(case.channels, case.spend, options, own)
    check_possible(case.channels, limits, case.problem(response, limits, options))
    return case, limits, response


def _frame(table: Table, rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(table.column_names))
