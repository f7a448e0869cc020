"""The sums over customers at risk, slowly: every pair of touchpoints, every day, plain floats."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import exp, inf

import numpy as np

DAY = 86_400_000_000


@dataclass
class Customer:
    """Touchpoints (time in days, channel) and conversions (time, whether it counts, value)."""

    touches: list[tuple[float, int]]
    ends: list[tuple[float, bool, float]] = field(default_factory=list)


@dataclass
class Slow:
    """The rules, in days; ``roles`` by channel: None, "credited" or "unpaid"."""

    start: float
    end: float
    guard: float
    knows_all: bool
    is_last: bool
    roles: list[str | None]
    rate: list[float]

    def sums(self, customers: list[Customer]) -> dict[str, np.ndarray]:
        slots = [channel for channel, role in enumerate(self.roles) if role is not None]
        self.slot = {channel: place for place, channel in enumerate(slots)}
        fading = len(self.rate)
        columns, days = len(slots) * fading, int(np.ceil(self.end - self.start))
        made = {
            "raw": np.zeros((columns, columns)),
            "stocks": np.zeros((days, columns)),
            "at_risk": np.zeros(days),
            "conversions": np.zeros(days),
            "value": np.zeros(days),
            "at_conversions": np.zeros(columns),
            "at_value": np.zeros(columns),
            "at_arrivals": np.zeros((len(slots), columns)),
            "arrivals": np.zeros((len(slots), days)),
        }
        for customer in customers:
            self._customer(customer, made)
        return made

    def _customer(self, customer: Customer, made: dict[str, np.ndarray]) -> None:
        ends = [*customer.ends, (inf, False, 0.0)]
        if self.is_last:
            ends = [*ends[:1], (inf, False, 0.0)][: 1 if customer.ends else 2]
        for before, (stop, counts, value) in pairwise([(-inf, False, 0.0), *ends]):
            # Simultaneous conversions take the touchpoints of their instant with the first of them.
            touches = [(at, c) for at, c in customer.touches if before[0] < at <= stop]
            entry = max(self.start, before[0])
            if not self.knows_all:
                entry = next((max(entry, at) for at, c in touches if self.roles[c] == "credited"), inf)
            close = min(stop, self.end)
            if entry < close:
                self._spell(touches, entry, close, (counts and stop <= self.end, value), made)

    def _spell(self, touches, entry, close, ended, made) -> None:
        days = len(made["at_risk"])
        stocks = [
            (at + (self.guard if self.roles[c] == "unpaid" else 0.0), j * len(self.slot) + self.slot[c], rate)
            for at, c in touches
            if c in self.slot
            for j, rate in enumerate(self.rate)
        ]
        stocks = [stock for stock in stocks if stock[0] < close]
        for at, p, rate in stocks:
            for other, q, faster in stocks:
                low = max(at, other, entry)
                height = exp(-rate * (low - at) - faster * (low - other))
                total = rate + faster
                made["raw"][p, q] += height * (1 - exp(-total * (close - low))) / total
        for day in range(days):
            low, high = max(entry, self.start + day), min(close, self.start + day + 1)
            made["at_risk"][day] += max(high - low, 0.0)
            for at, p, rate in stocks:
                if high > max(low, at):
                    made["stocks"][day, p] += (exp(-rate * (max(low, at) - at)) - exp(-rate * (high - at))) / rate

        def height(now: float) -> np.ndarray:
            result = np.zeros(len(made["at_conversions"]))
            for at, p, rate in stocks:
                if at < now:
                    result[p] += exp(-rate * (now - at))
            # What came in at entry itself is there from then on.
            return result

        for at, c in touches:
            if c in self.slot and entry < at <= close:
                made["arrivals"][self.slot[c], min(int(at - self.start), days - 1)] += 1
                made["at_arrivals"][self.slot[c]] += height(at)
        if ended[0]:
            day = min(int(close - self.start), days - 1)
            made["conversions"][day] += 1
            made["value"][day] += ended[1]
            made["at_conversions"] += height(close)
            made["at_value"] += ended[1] * height(close)
