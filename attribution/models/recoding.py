"""Keys of summaries in terms of other channels, for sums of days that had fewer of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.markov.step_counts import pack, unpack
from attribution.kernels.shapley.coalitions import coalitions, members, pack_counts, unpack_counts

Keys = NDArray[np.int64]


class Move(NamedTuple):
    """``places`` (old,) of the old channels among ``new``."""

    places: Keys
    new: int

    @property
    def old(self) -> int:
        """How many channels there were."""
        return len(self.places)


Recoding = Callable[[Keys, Move], Keys]


def unchanged(keys: Keys, _: Move) -> Keys:
    """Keys that name no channel."""
    return keys


def by_channel(keys: Keys, move: Move) -> Keys:
    """Keys that are channels."""
    return move.places[keys]


def by_coalition(keys: Keys, move: Move) -> Keys:
    """Keys that are packed sets of channels."""
    offsets, channel = members(keys, move.old)
    return coalitions(offsets[:-1], offsets[1:], move.places[channel].astype(np.int32), move.new)


def by_count(keys: Keys, move: Move) -> Keys:
    """Keys that are packed numbers of touchpoints per channel."""
    counts = np.zeros((len(keys), move.new), np.int64)
    counts[:, move.places] = unpack_counts(keys, move.old)
    return pack_counts(counts)


def by_position(keys: Keys, move: Move) -> Keys:
    """Keys that are a position and a channel."""
    position, channel = np.divmod(keys, max(move.old, 1))
    return np.asarray(position * move.new + move.places[channel])


def by_step(order: int, leading: int) -> Recoding:
    """Keys that are packed steps of a chain, after ``leading`` columns that are something else."""

    def rewrite(keys: Keys, move: Move) -> Keys:
        # The states that are not channels come after them.
        places = np.append(move.places, [move.new, move.new + 1])
        digits = places[unpack(keys[:, leading:], channels=move.old, order=order)]
        return np.column_stack([keys[:, :leading], pack(digits, channels=move.new)])

    return rewrite


SHARES: Mapping[str, Recoding] = {"conversions": by_channel, "value": by_channel, "zero_weights": unchanged}
"""Tables of a rule."""
