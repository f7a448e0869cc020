"""When it is evidence enough: what decides between grow, keep, cut and neither, and how little would change that.

All of it goes by two numbers of a channel: the lowest and the highest return per unit of money that any specification
leaves possible, as ends of intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions

GROW, KEEP, CUT, UNCLEAR = "grow", "keep", "cut", "not enough evidence"


class Range(NamedTuple):
    """The lowest and the highest return ÷ spend that is possible; the latter once touchpoints have matured."""

    low: float
    high: float


@dataclass(frozen=True)
class Rule:
    """Bounds of return ÷ spend that decide.

    Attributes
    ----------
    grows : above it one more unit of money pays back, even at the lowest incremental share
    pays : above it the spend pays back on average, even at the lowest incremental share
    fails : below it the spend does not pay back, even at the highest incremental share
    """

    grows: float
    pays: float
    fails: float

    @classmethod
    def of(cls, options: SensitivityOptions, estimand: str) -> Rule:
        """The rule of an experiment; incremental credit was caused, all of it.

        Examples
        --------
        >>> Rule.of(SensitivityOptions(), "allocated")
        Rule(grows=10.0, pays=5.0, fails=1.0)
        """
        least, most = options.incremental_share if estimand == "allocated" else (1.0, 1.0)
        needed = 1.0 + options.hurdle_roi
        return cls(needed / (least * options.elasticity), needed / least, needed / most)

    def verdict(self, returns: Range) -> str:
        """The verdict that the range of a channel supports.

        Examples
        --------
        >>> rule = Rule(6.0, 3.0, 1.0)
        >>> [rule.verdict(Range(*ends)) for ends in ((7, 9), (4, 9), (0.2, 0.8), (0.5, 9))]
        ['grow', 'keep', 'cut', 'not enough evidence']
        """
        if returns.low > self.grows:
            return GROW
        if returns.low > self.pays:
            return KEEP
        return CUT if returns.high < self.fails else UNCLEAR

    def factors(self, returns: Range) -> tuple[float | None, float | None]:
        """By how much all returns must be smaller, and how much larger, for another verdict; None where nothing would.

        Examples
        --------
        >>> rule = Rule(6.0, 3.0, 1.0)
        >>> rule.factors(Range(4, 9)), rule.factors(Range(0.2, 0.8))
        ((0.75, 1.5), (None, 1.25))
        """
        return {
            GROW: (_ratio(self.grows, returns.low), None),
            KEEP: (_ratio(self.pays, returns.low), _ratio(self.grows, returns.low)),
            CUT: (None, _ratio(self.fails, returns.high)),
            UNCLEAR: (_ratio(self.fails, returns.high), _ratio(self.pays, returns.low)),
        }[self.verdict(returns)]

    def crossing(self, near: Range, far: Range) -> float | None:
        """How far along the straight way from ``near`` to ``far``, 0 to 1, the verdict changes; None where it stays.

        Examples
        --------
        >>> Rule(6.0, 3.0, 1.0).crossing(Range(4, 9), Range(2, 9))
        0.5
        """
        before = self.verdict(near)
        ends = [(near.low, far.low, self.grows), (near.low, far.low, self.pays), (near.high, far.high, self.fails)]
        positions = sorted((bound - a) / (b - a) for a, b, bound in ends if min(a, b) <= bound <= max(a, b) and a != b)
        for position, after in pairwise([*positions, 1.0]):
            beyond = (position + after) / 2
            if self.verdict(Range(*(a + beyond * (b - a) for a, b in zip(near, far, strict=True)))) != before:
                return position
        return 1.0 if self.verdict(far) != before else None


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None
