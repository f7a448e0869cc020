"""The ``regret`` table: what it costs to act on one model if another is right.

Acting on a model: the money that is spent today is divided anew, so that the last unit of it returns the same
wherever no limit binds, the return of a channel being taken as credit × (spend ÷ spend today) ^ elasticity. No
channel's spend changes by more than a step. Nothing is moved on average returns.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.kernels.budget.allocation import fill
from attribution.kernels.budget.curves import Curves, build_curves
from attribution.kernels.statistics.intervals import percentile
from attribution.uncertainty.sensitivity.grid import Grid
from attribution.uncertainty.sensitivity.sensitivity_declared import AVERAGE, NO_CHANGE, REGRET
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions

Floats = NDArray[np.float64]


def regret_table(grid: Grid, options: SensitivityOptions) -> pd.DataFrame:
    """The ``regret`` table of models that estimate the same, in the run's own window, policy and cost basis.

    Models that fail a check are left out, and those that give a channel with spend no credit whatever it does: the
    largest regret would always be that of being wrong about what such a model cannot say.
    """
    with_spend = set(grid.channels)
    blind = {model for model, ignored in grid.ignored.items() if ignored & with_spend}
    columns = list(REGRET.column_names)
    if set(grid.models) <= set(grid.failed):
        return pd.DataFrame(columns=columns)
    grid = grid.reliable.without(blind)
    window, policy, cost_basis = grid.own
    returned, today = grid.returned[:, window, policy, 0], grid.spend[0, window, policy, cost_basis, 0]
    # Nobody moves the money of a channel whose effect cannot be told.
    spent = np.flatnonzero(np.isfinite(today) & np.isfinite(returned).all(axis=(0, 1)))
    if not len(spent):
        return pd.DataFrame(columns=columns)
    # What costs more than nothing brings is not worth a unit, and no less than that.
    credit, today = np.maximum(returned[..., spent], 0.0), today[spent]
    estimates = np.vstack([credit[:, 0], credit[:, 0].mean(axis=0)])
    names = [*grid.models, AVERAGE, NO_CHANGE]
    actions = np.vstack([act_on(estimates, today, options), today])
    parts = []
    for position, model in enumerate(grid.models):
        lost = regrets(actions, credit[position, 1:], today, options)
        low, high = percentile(lost, options.level)
        parts.append(
            pd.DataFrame(
                {
                    "acting_on": names,
                    "if_right": model,
                    "regret": lost.mean(axis=0),
                    "regret_low": low,
                    "regret_high": high,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    moved = dict(zip(names, np.abs(actions - today).sum(axis=1) / 2, strict=True))
    worst = table.groupby("acting_on", sort=False)["regret"].max()
    table["estimand"] = grid.estimands[0]
    table["moved"], table["worst"] = table["acting_on"].map(moved), table["acting_on"].map(worst)
    table["is_minimax"] = table["acting_on"] == worst.reindex(names).idxmin()
    order = {name: position for position, name in enumerate(names)}
    table = table.sort_values("acting_on", key=lambda column: column.map(order), kind="stable")
    return table[columns].reset_index(drop=True)


def act_on(credit: Floats, today: Floats, options: SensitivityOptions) -> Floats:
    """(n, channels) spend that credit (n, channels) proposes, none further than a step from ``today`` (channels,)."""
    low, high = today * (1 - options.step), today * (1 + options.step)
    return fill(_curves(today, options), credit, low, high, float(today.sum()))


def regrets(actions: Floats, credit: Floats, today: Floats, options: SensitivityOptions) -> Floats:
    """(draws, actions) return lost by each action (actions, channels), were credit (draws, channels) right."""
    best = act_on(credit, today, options)
    power = (actions / today) ** options.elasticity
    most = (credit * (best / today) ** options.elasticity).sum(axis=1, keepdims=True)
    result: Floats = np.maximum(most - credit @ power.T, 0.0)
    return result


def _curves(today: Floats, options: SensitivityOptions) -> Curves:
    return build_curves(["power"] * len(today), [options.elasticity] * len(today), list(today))
