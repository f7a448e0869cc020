"""When it is evidence enough: what may be said of a channel's spend, and how little would change that.

All of it goes by two numbers of a channel: the lowest and the highest return per unit of money that any specification
leaves possible, as ends of intervals. Credit that is divided tells how much a channel may have caused at most, and
never how much it caused at least: on it alone, nothing is said to pay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions

PAYS, LIKELY_PAYS, DOES_NOT_PAY, UNKNOWN = "pays", "likely_pays", "does_not_pay", "unknown"

BOUND, ESTIMATE, TESTED = "bound", "estimate", "tested"
"""What a verdict rests on: that a channel caused at most so much of its credit, an estimate of what it caused, or lift
tests of the channel."""


class Range(NamedTuple):
    """The lowest and the highest return ÷ spend that is possible; the latter once touchpoints have matured."""

    low: float
    high: float


@dataclass(frozen=True)
class Rule:
    """Bounds of return ÷ spend that decide.

    Attributes
    ----------
    pays : above it the spend likely pays back; infinite where nothing tells how much of its credit a channel caused
    fails : below it the spend does not pay back, whatever share of its credit, up to the highest, a channel caused
    """

    pays: float
    fails: float

    @classmethod
    def of(cls, options: SensitivityOptions, basis: str) -> Rule:
        """The rule of an experiment, by what verdicts rest on; an estimate is of what was caused, all of it.

        Examples
        --------
        >>> Rule.of(SensitivityOptions(incremental_share=(0, 1.25)), BOUND)
        Rule(pays=inf, fails=0.8)
        >>> Rule.of(SensitivityOptions(hurdle_roi=0.5), ESTIMATE)
        Rule(pays=1.5, fails=1.5)
        """
        needed = 1.0 + options.hurdle_roi
        return cls(needed, needed) if basis == ESTIMATE else cls(math.inf, needed / options.incremental_share[1])

    def verdict(self, returns: Range) -> str:
        """The verdict that the range of a channel supports.

        Examples
        --------
        >>> rule = Rule(3.0, 1.0)
        >>> [rule.verdict(Range(*ends)) for ends in ((4, 9), (0.2, 0.8), (0.5, 9))]
        ['likely_pays', 'does_not_pay', 'unknown']
        """
        if returns.low > self.pays:
            return LIKELY_PAYS
        return DOES_NOT_PAY if returns.high < self.fails else UNKNOWN

    def factors(self, returns: Range) -> tuple[float | None, float | None]:
        """By how much all returns must be smaller, and how much larger, for another verdict; None where nothing would.

        Examples
        --------
        >>> rule = Rule(3.0, 1.0)
        >>> rule.factors(Range(4, 9)), rule.factors(Range(0.2, 0.8))
        ((0.75, None), (None, 1.25))
        """
        return {
            LIKELY_PAYS: (_ratio(self.pays, returns.low), None),
            DOES_NOT_PAY: (None, _ratio(self.fails, returns.high)),
            UNKNOWN: (_ratio(self.fails, returns.high), _ratio(self.pays, returns.low)),
        }[self.verdict(returns)]

    def crossing(self, near: Range, far: Range) -> float | None:
        """How far along the straight way from ``near`` to ``far``, 0 to 1, the verdict changes; None where it stays.

        Examples
        --------
        >>> Rule(3.0, 1.0).crossing(Range(4, 9), Range(2, 9))
        0.5
        """
        before = self.verdict(near)
        ends = [(near.low, far.low, self.pays), (near.high, far.high, self.fails)]
        positions = sorted((bound - a) / (b - a) for a, b, bound in ends if min(a, b) <= bound <= max(a, b) and a != b)
        for position, after in pairwise([*positions, 1.0]):
            beyond = (position + after) / 2
            if self.verdict(Range(*(a + beyond * (b - a) for a, b in zip(near, far, strict=True)))) != before:
                return position
        return 1.0 if self.verdict(far) != before else None


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 and math.isfinite(above) else None
