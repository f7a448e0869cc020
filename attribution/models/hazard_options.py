"""What may be asked of a hazard model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from attribution.errors import InputError, did_you_mean
from attribution.kernels.incremental.additive_hazard import Thresholds

ADJUST = {
    "auto": "screen how touchpoints arrive, and correct channels that follow customers who would convert anyway",
    "none": "take touchpoints as if they came by chance",
}
LONGEST_GUARD_DAYS = 365.0
SHORTEST_HALF_LIFE_DAYS, LONGEST_HALF_LIFE_DAYS = 0.01, 10_000.0


class HazardOptions(Protocol):
    """The parameters of a hazard model."""

    half_lives_days: float | Sequence[float] | None
    credited: Sequence[str] | None
    unpaid: Sequence[str] | None
    guard_days: float
    customers: int | None
    adjust: str
    screening: Mapping[str, float] | None

    @property
    def label(self) -> str: ...


def check_options(options: HazardOptions) -> None:
    """Raise `InputError` for an option that is none."""
    chosen: Any = [1.0] if options.half_lives_days is None else options.half_lives_days
    lengths = list(chosen) if isinstance(chosen, list | tuple) else [chosen]
    if not lengths or not all(_is_half_life(each) for each in lengths):
        raise InputError(
            "AdditiveHazard: half_lives_days must be days, one number or several",
            given=repr(options.half_lives_days),
            allowed=f"numbers from {SHORTEST_HALF_LIFE_DAYS} to {LONGEST_HALF_LIFE_DAYS:,.0f}",
        )
    if not is_number(options.guard_days) or not 0 <= options.guard_days <= LONGEST_GUARD_DAYS:
        raise InputError(
            "AdditiveHazard: guard_days must be a number of days",
            given=repr(options.guard_days),
            allowed=f"from 0 to {LONGEST_GUARD_DAYS:g}",
        )
    if options.customers is not None and not (_is_whole(options.customers) and 0 < options.customers < 1 << 40):
        raise InputError(
            "AdditiveHazard: customers must be the number of customers who could be reached",
            given=repr(options.customers),
            allowed="a whole number above 0",
        )
    if options.adjust not in list(ADJUST):
        raise InputError(
            "AdditiveHazard: unknown adjust",
            given=repr(options.adjust),
            allowed=list(ADJUST),
            hint=did_you_mean(str(options.adjust), ADJUST),
        )
    for option in ("credited", "unpaid"):
        names = getattr(options, option)
        is_list = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
        if names is not None and not is_list:
            raise InputError(
                f"AdditiveHazard: {option} must be a list of channels",
                given=repr(names),
                allowed='such as ["mail"]',
            )
    _check_thresholds(options.screening)


def _check_thresholds(screening: Mapping[str, float] | None) -> None:
    allowed = list(Thresholds._fields)
    if screening is not None and not isinstance(screening, Mapping):
        raise InputError(
            "AdditiveHazard: screening must be thresholds by name", given=repr(screening), allowed='such as {"z": 3}'
        )
    for name, number in (screening or {}).items():
        if name not in allowed:
            raise InputError(
                "AdditiveHazard: unknown threshold in screening",
                given=repr(name),
                allowed=allowed,
                hint=did_you_mean(str(name), allowed),
            )
        if not is_number(number) or not 0 < number < np.inf:
            raise InputError(f"AdditiveHazard: the threshold {name} must be a number above 0", given=repr(number))


def is_number(value: object) -> bool:
    """Whether it is a number and no truth value."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_half_life(value: object) -> bool:
    return is_number(value) and SHORTEST_HALF_LIFE_DAYS <= value <= LONGEST_HALF_LIFE_DAYS  # type: ignore[operator]


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
