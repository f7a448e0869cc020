"""What a journey brings when it continues without one of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError, did_you_mean
from attribution.kernels.markov.influence import Lost

Floats = NDArray[np.float64]
Continuation = float | Mapping[str, float] | None
"""Probability of converting without a channel: one for all, one by channel, or None where the journey ends."""


def check_probabilities(continuation: Continuation) -> None:
    """Raise `InputError` unless all probabilities are from 0 to 1."""
    if continuation is None:
        return
    for channel, probability in continuation.items() if isinstance(continuation, Mapping) else [("all", continuation)]:
        if not _is_probability(probability):
            raise InputError(
                f"Markov: continuation must be the probability of converting without the channel ({channel})",
                given=repr(probability),
                allowed="numbers from 0 to 1, one for all channels or one for each",
            )


def check_named_channels(continuation: Continuation, channels: tuple[str, ...]) -> None:
    """Raise `InputError` if the continuation names a channel that is not among ``channels``."""
    unknown = [name for name in continuation if name not in channels] if isinstance(continuation, Mapping) else []
    if unknown:
        raise InputError(
            f"Markov: continuation names the channel {unknown[0]!r}, which no journey has",
            allowed=list(channels),
            hint=did_you_mean(str(unknown[0]), channels),
        )


def outcomes_without_channel(continuation: Continuation, channels: tuple[str, ...], brought: Floats) -> Floats | None:
    """(channels, 2) conversions and value of a journey without each channel; None for nothing.

    A conversion is worth as much as the mean of those that were ``brought`` (2,).
    """
    if continuation is None:
        return None
    return np.outer(_probabilities(continuation, channels), [1.0, _mean_value(brought)])


def subtract_continuation(continuation: Continuation, channels: tuple[str, ...], lost: Lost) -> Floats:
    """(draws, channels, 2) what is ``lost`` to be lost, less what the same journeys bring without the channel."""
    if continuation is None:
        return lost.lost[..., :2]
    each = np.stack([np.ones(len(lost.brought)), _mean_value(lost.brought.T)], axis=1)
    brought_anyway = _probabilities(continuation, channels)[:, None] * lost.lost[..., 2:] * each[:, None, :]
    result: Floats = lost.lost[..., :2] - brought_anyway
    return result


def _probabilities(continuation: Continuation, channels: tuple[str, ...]) -> Floats:
    if isinstance(continuation, Mapping):
        return np.array([float(continuation.get(channel, 0.0)) for channel in channels])
    return np.full(len(channels), continuation, dtype=np.float64)


def _is_probability(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer):
        return False
    return bool(0 <= value <= 1)


def _mean_value(brought: Floats) -> Any:
    """Mean value of a conversion; 0 without conversions. Conversions and value are the first two rows."""
    return np.divide(brought[1], brought[0], out=np.zeros(brought[1].shape), where=brought[0] > 0)
