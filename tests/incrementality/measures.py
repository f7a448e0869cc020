"""How good estimates of effects are where the truth is known: pure functions on arrays, a channel per element."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST, MOST = 0.25, 3.0
"""How far a budget may move the spend of a channel, as multiples of today's."""


def share_distance(credited: Floats, caused: Floats) -> float:
    """Half of all differences between the shares that channels have of credit, and those of what they caused."""
    return float(0.5 * np.abs(credited / credited.sum() - caused / caused.sum()).sum())


def level(credited: Floats, caused: Floats) -> float:
    """Credit of all channels ÷ what they caused."""
    return float(credited.sum() / caused.sum())


def best_split(returned: Floats, spend: Floats, is_fixed: Flags | None = None) -> Floats:
    """Spend ÷ spend today that returns most at the same total, where a channel returns ``returned`` · m^½.

    A channel with ``is_fixed`` stays as it is. What returns nothing gets the least, unless all of the others have most.
    """
    free = np.ones(len(spend), bool) if is_fixed is None else ~is_fixed
    result = np.ones(len(spend))
    if not free.any():
        return result
    pull = np.square(np.maximum(returned[free], 1e-9 * spend[free]) / spend[free])
    low, high = LEAST / pull.max(), MOST / pull.min()
    for _ in range(200):
        middle = np.sqrt(low * high)
        total = spend[free] @ np.clip(middle * pull, LEAST, MOST)
        low, high = (middle, high) if total < spend[free].sum() else (low, middle)
    result[free] = np.clip(high * pull, LEAST, MOST)
    return result


def budget_gain(returned: Floats, caused: Floats, spend: Floats, is_fixed: Flags | None = None) -> float:
    """Of what the best split of spend would return more than today's, the share that the split by ``returned`` does."""
    own, best = caused @ np.sqrt(best_split(returned, spend, is_fixed)), caused @ np.sqrt(best_split(caused, spend))
    today = caused.sum()
    return float((own - today) / (best - today))


def holds(low: Floats, high: Floats, caused: Floats) -> Flags:
    """Which intervals hold what was caused."""
    return (low <= caused) & (caused <= high)


class Count(NamedTuple):
    """Of how many something is true, and how many they are."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else float("nan")


def count(flags: Flags) -> Count:
    """How many are true, of how many."""
    return Count(int(np.sum(flags)), int(np.size(flags)))
