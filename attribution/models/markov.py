"""Markov chains over channels: what conversions would be lost if a channel led nowhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Summary
from attribution.kernels.absorption import Chain, removal_effects
from attribution.kernels.sums import distinct_rows, sum_by_key, to_float
from attribution.kernels.windows import Slices, count_steps, last_steps, unpack
from attribution.models.base import AttributionModel

LONGEST_MEMORY = 1_000
"""A state of this many channels holds whole journeys; more would only cost memory."""


class Markov(AttributionModel):
    """Markov removal effect of any order, exact.

    The chain's state is the last ``order`` channels. A channel is removed by sending every step into it to
    null; its removal effect is the share of conversions then lost, computed in closed form, never simulated.
    Credit is the total times the channel's share in the sum of all removal effects; value has removal effects
    of its own.

    The removal effect is the model-implied *participation rate among converters*: the share of conversions
    that pass through the channel. It is not what would be lost in truth, and the division by the sum is a
    convention.

    Parameters
    ----------
    order : how many channels a state remembers; ≥ 1

    Attributes
    ----------
    removal_effects_ : (channels, 2) removal effect for conversions and for value
    conversion_probability_ : probability of converting from the start
    states_ : number of states of the chain

    References
    ----------
    .. [1] E. Anderl, I. Becker, F. von Wangenheim, J. H. Schumann, "Mapping the customer journey: Lessons
       learned from graph-based online attribution modeling", International Journal of Research in Marketing
       33(3), 2016.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> paths = pd.DataFrame({
    ...     "path": ["a > b", "a", "b > c", "c", "a > b > c"],
    ...     "conversions": [3, 1, 2, 0, 2],
    ...     "nulls": [1, 3, 2, 4, 2],
    ... })
    >>> at.Markov().fit(at.build_journeys(at.load_sources(paths=paths))).removal_effects_[:, 0].round(6).tolist()
    [0.597222, 0.708333, 0.5]
    """

    def __init__(self, *, order: int = 1, name: str | None = None) -> None:
        super().__init__(name=name)
        self.order = order

    def validate(self) -> None:
        is_whole = isinstance(self.order, int | np.integer) and not isinstance(self.order, bool)
        if not is_whole or not 1 <= self.order <= LONGEST_MEMORY:
            raise InputError(
                "Markov: order is how many channels a state remembers",
                given=repr(self.order),
                allowed=f"whole numbers from 1 to {LONGEST_MEMORY}",
                hint="beyond the longest path another order changes nothing",
            )

    def summarise(self, chunk: JourneyChunk) -> Summary:
        channels = len(self.channels_)
        touched = chunk.touched
        journeys = Slices(touched.start, touched.stop, touched.channel, channels)
        paid = touched.only(touched.value > 0)
        ends = last_steps(Slices(paid.start, paid.stop, paid.channel, channels), order=self.order)
        return Summary(
            {
                "steps": count_steps(journeys, touched.conversions, touched.nulls, order=self.order),
                "value": sum_by_key(ends, paid.value),
            }
        )

    def solve(self, summary: Summary) -> None:
        channels = len(self.channels_)
        chain = build_chain(summary, channels=channels, order=self.order)
        removal = removal_effects(chain, channels)
        self.states_ = len(chain.out)
        self.removal_effects_ = removal.effects
        self.conversion_probability_ = float(removal.expected[0])
        effects = removal.effects
        # Value on paths that never ran cannot be seen by the chain; it follows conversions.
        by_value = effects[:, 1] if effects[:, 1].any() else effects[:, 0]
        self.publish(
            _divide(self.attributable("conversions"), effects[:, 0]), _divide(self.attributable("value"), by_value)
        )

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return self.credit_.conversions[chunk.channel]


def build_chain(summary: Summary, *, channels: int, order: int) -> Chain:
    """The chain whose steps are counted in ``summary``."""
    table = summary.tables["steps"]
    digits = unpack(table.keys, channels=channels, order=order)
    counts = to_float(table.sums)
    state, follows = digits[:, :order], digits[:, order]
    inner = follows < channels
    successor = np.concatenate([state[inner, 1:], follows[inner, None]], axis=1)
    paid = summary.tables["value"]
    paid_state = unpack(paid.keys, channels=channels, order=order)[:, :order]
    start = np.full((1, order), channels, dtype=np.int64)
    states, position = distinct_rows(np.concatenate([start, state, successor, paid_state]))
    # The start, all "before the start", is the largest row; the solver wants it first.
    n = len(states)
    position = (position + 1) % n
    origin, target, paid_at = np.split(position[1:], [len(state), len(state) + len(successor)])
    steps = sparse.csr_array((counts[inner], (origin[inner], target)), shape=(n, n))
    rewards = np.zeros((n, 2))
    converts = follows == channels
    rewards[origin[converts], 0] = counts[converts]
    rewards[paid_at, 1] = to_float(paid.sums)
    out = np.bincount(origin, counts, minlength=n).astype(np.float64)
    # A state that is only known from value was never left: it leads nowhere.
    out[out == 0] = 1.0
    member = np.roll(states[:, -1], 1)
    member[0] = -1
    return Chain(steps, out, rewards, member)


def _divide(total: float, effects: NDArray[np.float64]) -> NDArray[np.float64]:
    if total == 0 or not len(effects):
        return np.zeros(len(effects))
    if not effects.any():
        return np.full(len(effects), total / len(effects))
    return total * (effects / effects.sum())
