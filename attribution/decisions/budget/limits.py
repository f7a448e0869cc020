"""The limits of a budget as bounds and rows: floors, ceilings, steps, groups, reserve, brand; contradictions named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attribution.decisions.budget.budget_options import BudgetOptions, GroupOptions
from attribution.errors import InputError, did_you_mean
from attribution.kernels.budget.problem import TOLERANCE, Problem, contradiction

Floats = NDArray[np.float64]

FLOOR, CEILING, STEP, NOTHING = "floor", "ceiling", "step limit", "nothing left"
NOT_KNOWN = "effect not known"


@dataclass(frozen=True)
class Limits:
    """What spend must keep to.

    Attributes
    ----------
    available : total less what is reserved
    low, high : (channels,) least and most spend
    low_names, high_names : what sets them: floor, ceiling, step limit; None where a high has no limit
    groups : names of the rows after the first, which is the total
    rows : (1 + groups, channels) 1 where a channel belongs
    row_low, row_high : (1 + groups,)
    share_low, share_high : (1 + groups,) by how much these move with one unit of what there is to divide
    """

    available: float
    low: Floats
    high: Floats
    low_names: tuple[str, ...]
    high_names: tuple[str | None, ...]
    groups: tuple[str, ...]
    rows: Floats
    row_low: Floats
    row_high: Floats
    share_low: Floats
    share_high: Floats


def read_limits(channels: Sequence[str], today: Floats, options: BudgetOptions) -> Limits:
    """The limits of channels whose spend today is ``today`` (channels,).

    Raises
    ------
    InputError
        If a channel is unknown, or nothing is left after the reserve.
    """
    total = options.total
    if total is None:
        raise InputError("the budget has no total to divide", hint="set budget.total, such as 100000")
    _check_known(channels, options)
    reserved = sum(options.reserve.values())
    if reserved >= total:
        raise InputError(f"budget: the reserve of {reserved:,.2f} uses up the whole total", given=f"{total:,.2f}")
    available = total - reserved
    low, low_names = _lows(channels, today, options)
    high, high_names = _highs(channels, today, options, available)
    groups = list(options.groups)
    if options.brand_channels:
        groups.append(GroupOptions(name="brand", channels=options.brand_channels, floor_share=options.brand_floor))
    ends = [_ends(group, available) for group in groups]
    return Limits(
        available,
        low,
        high,
        low_names,
        high_names,
        tuple(group.name for group in groups),
        np.array([[1.0] * len(channels), *([float(name in group.channels) for name in channels] for group in groups)]),
        np.array([-np.inf, *(least for least, _ in ends)]),
        np.array([available, *(most for _, most in ends)]),
        np.array([0.0, *(group.floor_share or 0.0 for group in groups)]),
        np.array([1.0, *(group.ceiling_share or 0.0 for group in groups)]),
    )


def hold_unknown(limits: Limits, today: Floats, is_known: NDArray[np.bool_]) -> Limits:
    """The limits, with channels whose effect is not known left at the spend of ``today`` (channels,)."""
    return replace(
        limits,
        low=np.where(is_known, limits.low, today),
        high=np.where(is_known, limits.high, today),
        low_names=tuple(np.where(is_known, np.array(limits.low_names, dtype=object), NOT_KNOWN)),
        high_names=tuple(np.where(is_known, np.array(limits.high_names, dtype=object), NOT_KNOWN)),
    )


def _check_known(channels: Sequence[str], options: BudgetOptions) -> None:
    names_by_key = {
        "floors": list(options.floors),
        "ceilings": list(options.ceilings),
        "curves": list(options.curves),
        "brand_channels": list(options.brand_channels),
        **{f"groups {group.name!r}": list(group.channels) for group in options.groups},
    }
    for key, names in names_by_key.items():
        for name in names:
            if name not in channels:
                raise InputError(
                    f"budget.{key}: {name!r} is not a channel with spend",
                    allowed=list(channels),
                    hint=did_you_mean(name, channels),
                )


def _lows(channels: Sequence[str], today: Floats, options: BudgetOptions) -> tuple[Floats, tuple[str, ...]]:
    floors = np.array([options.floors.get(name, 0.0) for name in channels])
    step = options.step_limit
    steps = np.zeros(len(channels)) if step == "none" else today * max(1 - step, 0.0)
    least = np.maximum(floors, steps)
    names = [
        NOTHING if end == 0 else FLOOR if floor >= by_step else STEP
        for end, floor, by_step in zip(least, floors, steps, strict=True)
    ]
    return least, tuple(names)


def _highs(
    channels: Sequence[str], today: Floats, options: BudgetOptions, available: float
) -> tuple[Floats, tuple[str | None, ...]]:
    ceilings = np.array([options.ceilings.get(name, np.inf) for name in channels])
    step = options.step_limit
    steps = np.full(len(channels), np.inf) if step == "none" else today * (1 + step)
    most = np.minimum(ceilings, steps)
    names = [
        None if np.isinf(end) else CEILING if ceiling <= by_step else STEP
        for end, ceiling, by_step in zip(most, ceilings, steps, strict=True)
    ]
    # Where nothing limits a channel, the total does.
    return np.where(np.isinf(most), available, most), tuple(names)


def _ends(group: GroupOptions, available: float) -> tuple[float, float]:
    shares = [None if share is None else share * available for share in (group.floor_share, group.ceiling_share)]
    least, most = group.floor if shares[0] is None else shares[0], group.ceiling if shares[1] is None else shares[1]
    return -np.inf if least is None else least, np.inf if most is None else most


def check_possible(channels: Sequence[str], limits: Limits, problem: Problem) -> None:
    """Refuse limits that no spend can keep, naming those that contradict each other.

    Raises
    ------
    InputError
        If there are such limits.
    """
    names = _names(channels, limits)
    blamed = contradiction(problem, names)
    if not blamed:
        return
    floors = float(limits.low.sum())
    is_total = floors > limits.available and (limits.low <= limits.high).all()
    if is_total:
        largest = np.argsort(-limits.low, kind="stable")[:5]
        raise InputError(
            f"budget: the {limits.available:,.2f} to divide are less than the sum of floors, {floors:,.2f}",
            given="; ".join(names["low", int(position)] for position in largest if limits.low[position] > 0),
            hint='raise the total, lower floors, or allow larger steps (step_limit = "none")',
        )
    raise InputError("budget: limits contradict each other", given="; ".join(blamed), hint="remove one of them")


def violated_limits(channels: Sequence[str], limits: Limits, problem: Problem, spend: Floats) -> list[str]:
    """Names of the limits that a spend (channels,) does not keep."""
    names, sums, slack = _names(channels, limits), limits.rows @ spend, TOLERANCE * limits.available
    exceeds = {
        "low": spend < limits.low - slack,
        "high": spend > limits.high + slack,
        "row_low": sums < limits.row_low - slack,
        "row_high": sums > limits.row_high + slack,
    }
    violations = [name for (which, position), name in names.items() if exceeds[which][position]]
    if problem.use(spend) > problem.capacity * (1 + TOLERANCE):
        violations.append(f"capacity: at most {problem.capacity:,.2f}")
    return violations


def _names(channels: Sequence[str], limits: Limits) -> dict[tuple[str, int], str]:
    """What each limit is called in messages."""
    names = {}
    for position, channel in enumerate(channels):
        least, most = limits.low_names[position], limits.high_names[position]
        if least != NOTHING:
            names["low", position] = f"{least} of {channel!r}: at least {limits.low[position]:,.2f}"
        if most is not None:
            names["high", position] = f"{most} of {channel!r}: at most {limits.high[position]:,.2f}"
    for row, group in enumerate(limits.groups, start=1):
        names["row_low", row] = f"floor of group {group!r}: at least {limits.row_low[row]:,.2f}"
        names["row_high", row] = f"ceiling of group {group!r}: at most {limits.row_high[row]:,.2f}"
    names["row_high", 0] = f"total less reserve: at most {limits.available:,.2f}"
    return names
