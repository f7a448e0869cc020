"""Divisions of one's own beside the proposal: what each returns, and which limits it breaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.decisions.budget.budget_declared import TODAY
from attribution.decisions.budget.budget_options import BudgetOptions, WhatIf
from attribution.decisions.budget.cases import Case, Row
from attribution.decisions.budget.limits import Limits, violated_limits
from attribution.decisions.budget.rows import Solved
from attribution.errors import InputError, did_you_mean

Floats = NDArray[np.float64]


def what_if_rows(case: Case, solved: Solved, options: BudgetOptions) -> list[Row]:
    """Rows of ``budget_scenarios`` where nothing is optimised: today's spend, and divisions of one's own."""
    problem, limits = solved.problem, solved.limits
    divisions = {TODAY: case.spend}
    divisions |= {division.name: divide(division, case.channels, case.spend, limits) for division in options.what_if}
    today, best = float(problem.returns.sum()), float(problem.returns @ problem.curves.growth(solved.best.spend))
    rows: list[Row] = []
    for name, spend in divisions.items():
        growth = problem.curves.growth(spend)
        returned = float(problem.returns @ growth)
        low, high = case.ends(growth)
        gain_low, gain_high = case.ends(growth - 1)
        rows.append(
            {
                "scenario": name,
                "kind": "today" if name == TODAY else "what_if",
                "spend_today": float(case.spend.sum()),
                "spend": float(spend.sum()),
                "return_today": today,
                "return": returned,
                "return_sd": np.nan if case.draws is None else problem.deviation(spend),
                "return_low": low,
                "return_high": high,
                "gain": returned - today,
                "gain_low": gain_low,
                "gain_high": gain_high,
                "return_of_plan": best,
                "short_of_plan": best - returned,
                "breaks": "; ".join(violated_limits(case.channels, limits, problem, spend)) or None,
            }
        )
    return rows


def divide(division: WhatIf, channels: Sequence[str], today: Floats, limits: Limits) -> Floats:
    """(channels,) the spend that a what-if asks for.

    Raises
    ------
    InputError
        If it names what is not a channel with spend and no group, or a channel twice.
    """
    names, index = list(channels), {name: position for position, name in enumerate(channels)}
    if division.spend:
        spend = today.copy()
        for name, money in division.spend.items():
            _check_known(division, name, names)
            spend[index[name]] = money
        return spend
    groups = {name: row > 0 for name, row in zip(limits.groups, limits.rows[1:], strict=True)}
    spend, covered = np.zeros(len(names)), np.zeros(len(names), bool)
    for name, share in division.shares.items():
        _check_known(division, name, [*groups, *names])
        members = groups[name] if name in groups else np.arange(len(names)) == index[name]
        if (covered & members).any():
            twice = names[int(np.flatnonzero(covered & members)[0])]
            raise InputError(f"budget.what_if {division.name!r}: channel {twice!r} is in two of the shares")
        spend += limits.available * share * _mix(today, members)
        covered |= members
    if not covered.all():
        spend += limits.available * (1 - sum(division.shares.values())) * _mix(today, ~covered)
    return np.maximum(spend, 0.0)


def _mix(today: Floats, members: NDArray[np.bool_]) -> Floats:
    own = np.where(members, today, 0.0)
    result: Floats = own / own.sum()
    return result


def _check_known(division: WhatIf, name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise InputError(
            f"budget.what_if {division.name!r}: {name!r} is not a channel with spend"
            + (" or group" if division.shares else ""),
            allowed=list(allowed),
            hint=did_you_mean(name, allowed),
        )
