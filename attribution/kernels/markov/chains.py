"""From counted steps to an absorbing chain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.kernels.markov.step_counts import digit_bits, pack, unpack
from attribution.kernels.statistics.sums import distinct_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONVERSION, NULL = -1, -2
"""Where a step leads that does not lead to a state."""


class Chain(NamedTuple):
    """An absorbing chain with n transient states, state 0 the start.

    ``steps`` (n, n) sparse counts between transient states; ``exits`` (n,) steps out of the chain, to conversion or
    null; ``rewards`` (n, m): what leaving to conversion brings, summed (column 0 conversions, column 1 value);
    ``member`` (n,) which channel a state belongs to, −1 for the start.
    """

    steps: sparse.csr_array
    exits: Floats
    rewards: Floats
    member: Ints


class Frame(NamedTuple):
    """Which states there are and which of them each counted step joins.

    ``origin``, ``target`` (steps,) states; `CONVERSION` or `NULL` where a step leads out of the chain; ``paid_at``
    (rows of value,) the last state of journeys with value; ``member`` (states,) the channel a state belongs to, −1
    for the start, which is state 0.
    """

    origin: Ints
    target: Ints
    paid_at: Ints
    member: Ints


def frame(steps: Ints, paid: Ints, *, channels: int, order: int) -> Frame:
    """States of packed ``steps`` and of the packed last steps ``paid`` of journeys with value.

    Examples
    --------
    >>> from attribution.kernels.markov.step_counts import Slices, count_steps
    >>> journeys = Slices(np.array([0]), np.array([2]), np.array([0, 1], np.int32), 2)
    >>> steps = count_steps(journeys, np.array([True]), np.array([False]), order=1)
    >>> joined = frame(steps.keys, steps.keys[:0], channels=2, order=1)
    >>> joined.origin.tolist(), joined.target.tolist(), joined.member.tolist()
    ([1, 2, 0], [2, -1, 1], [-1, 0, 1])
    """
    state, follows = _split(steps, channels=channels, order=order)
    inner = follows < channels
    start = np.full((1, order), channels, dtype=np.int64)
    if steps.shape[1] == 1:
        start = pack(start, channels=channels)
        successor = steps[inner] & (1 << digit_bits(channels) * order) - 1
    else:
        successor = np.column_stack([state[inner, 1:], follows[inner]])
    paid_state, _ = _split(paid, channels=channels, order=order)
    states, position = distinct_rows(np.concatenate([start, state, successor, paid_state]))
    # The start, all "before the start", is the largest row; the solver wants it first.
    n = len(states)
    position = (position + 1) % n
    target = np.where(follows == channels, CONVERSION, NULL)
    origin, target[inner], paid_at = np.split(position[1:], [len(state), len(state) + len(successor)])
    last = states[:, -1] & (1 << digit_bits(channels)) - 1 if steps.shape[1] == 1 else states[:, -1]
    member = np.roll(last, 1)
    member[0] = -1
    return Frame(origin, target, paid_at, member)


def build_chain(joined: Frame, counts: Floats, value: Floats) -> Chain:
    """The chain in which steps were taken ``counts`` (steps,) times and ``value`` (rows of value,) was paid."""
    n = len(joined.member)
    origin, target = joined.origin, joined.target
    inner = target >= 0
    steps = sparse.csr_array((counts[inner], (origin[inner], target[inner])), shape=(n, n))
    exits = np.bincount(origin[~inner], counts[~inner], minlength=n).astype(np.float64)
    # A state that is only known from value was never left: it leads nowhere.
    exits[np.bincount(origin, counts, minlength=n) == 0] = 1.0
    converts = target == CONVERSION
    conversions = np.bincount(origin[converts], counts[converts], minlength=n)
    paid = np.bincount(joined.paid_at, value, minlength=n)
    return Chain(steps, exits, np.stack([conversions, paid], axis=1), joined.member)


def _split(steps: Ints, *, channels: int, order: int) -> tuple[Ints, Ints]:
    """Rows that stand for the state of each packed step, and the digit that follows it."""
    if steps.shape[1] == 1:
        bits = digit_bits(channels)
        return steps >> bits, steps[:, 0] & (1 << bits) - 1
    digits = unpack(steps, channels=channels, order=order)
    return digits[:, :order], digits[:, order]
