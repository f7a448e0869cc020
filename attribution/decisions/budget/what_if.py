"""Divisions of one's own beside the proposal: what each returns, and which limits it breaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.decisions.budget.budget_options import BudgetOptions, WhatIf
from attribution.decisions.budget.cases import Case, Row
from attribution.decisions.budget.limits import Limits, broken
from attribution.errors import InputError, did_you_mean
from attribution.kernels.budget.problem import Problem

Floats = NDArray[np.float64]

TODAY, PLAN = "today", "plan"


def what_if_rows(case: Case, problem: Problem, plan: Floats, limits: Limits, options: BudgetOptions) -> list[Row]:
    """Rows of ``budget_what_if``: today's spend, the plan, and what was asked for."""
    divisions = {TODAY: case.spend, PLAN: plan}
    divisions |= {asked.name: divide(asked, case.channels, case.spend, limits) for asked in options.what_if}
    best = float(problem.returns @ problem.curves.growth(plan))
    rows: list[Row] = []
    for name, spend in divisions.items():
        growth = problem.curves.growth(spend)
        returned = float(problem.returns @ growth)
        low, high = case.ends(growth)
        rows.append(
            {
                "model": case.label,
                "estimand": case.estimand,
                "what_if": name,
                "objective": options.objective,
                "spend": float(spend.sum()),
                "return": returned,
                "return_low": low,
                "return_high": high,
                "short_of_plan": best - returned,
                "breaks": "; ".join(broken(case.channels, limits, problem, spend)) or None,
            }
        )
    return rows


def divide(asked: WhatIf, channels: Sequence[str], today: Floats, limits: Limits) -> Floats:
    """(channels,) the spend that a what-if asks for.

    Raises
    ------
    InputError
        If it names what is no channel with spend and no group, or a channel twice.
    """
    names, place = list(channels), {name: position for position, name in enumerate(channels)}
    if asked.spend:
        spend = today.copy()
        for name, money in asked.spend.items():
            _check_known(asked, name, names)
            spend[place[name]] = money
        return spend
    groups = {name: row > 0 for name, row in zip(limits.groups, limits.rows[1:], strict=True)}
    spend, named = np.zeros(len(names)), np.zeros(len(names), bool)
    for name, share in asked.shares.items():
        _check_known(asked, name, [*groups, *names])
        members = groups[name] if name in groups else np.arange(len(names)) == place[name]
        if (named & members).any():
            twice = names[int(np.flatnonzero(named & members)[0])]
            raise InputError(f"budget.what_if {asked.name!r}: channel {twice!r} is in two of the shares")
        spend += limits.available * share * _mix(today, members)
        named |= members
    if not named.all():
        spend += limits.available * (1 - sum(asked.shares.values())) * _mix(today, ~named)
    return np.maximum(spend, 0.0)


def _mix(today: Floats, members: NDArray[np.bool_]) -> Floats:
    own = np.where(members, today, 0.0)
    result: Floats = own / own.sum()
    return result


def _check_known(asked: WhatIf, name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise InputError(
            f"budget.what_if {asked.name!r}: {name!r} is no channel with spend" + (" or group" if asked.shares else ""),
            allowed=list(allowed),
            hint=did_you_mean(name, allowed),
        )
