"""What a journey brings that goes on without one of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError, did_you_mean
from attribution.kernels.markov.influence import Lost

Floats = NDArray[np.float64]
Continuation = float | Mapping[str, float] | None
"""Probability of converting without a channel: for all, by channel, or None where it leads to null."""


def check_continuation(given: Continuation) -> None:
    """Raise `InputError` unless all probabilities are from 0 to 1."""
    if given is None:
        return
    for channel, probability in given.items() if isinstance(given, Mapping) else [("all", given)]:
        if not _is_probability(probability):
            raise InputError(
                f"Markov: continuation is the probability of converting without a channel ({channel})",
                given=repr(probability),
                allowed="numbers from 0 to 1, one for all channels or one for each",
            )


def check_known(given: Continuation, channels: tuple[str, ...]) -> None:
    """Raise `InputError` if a channel is named that is none of ``channels``."""
    unknown = [name for name in given if name not in channels] if isinstance(given, Mapping) else []
    if unknown:
        raise InputError(
            f"Markov: continuation names the channel {unknown[0]!r}, which no journey has",
            allowed=list(channels),
            hint=did_you_mean(str(unknown[0]), channels),
        )


def brought_instead(given: Continuation, channels: tuple[str, ...], brought: Floats) -> Floats | None:
    """(channels, 2) conversions and value of a journey without each channel; None for nothing.

    A conversion is worth as much as the mean of those that were ``brought`` (2,).
    """
    if given is None:
        return None
    return np.outer(_probabilities(given, channels), [1.0, _mean_value(brought)])


def less_continuation(given: Continuation, channels: tuple[str, ...], found: Lost) -> Floats:
    """(draws, channels, 2) what is ``found`` to be lost, less what the same journeys bring without the channel."""
    if given is None:
        return found.lost[..., :2]
    each = np.stack([np.ones(len(found.brought)), _mean_value(found.brought.T)], axis=1)
    brought_anyway = _probabilities(given, channels)[:, None] * found.lost[..., 2:] * each[:, None, :]
    result: Floats = found.lost[..., :2] - brought_anyway
    return result


def _probabilities(given: Continuation, channels: tuple[str, ...]) -> Floats:
    if isinstance(given, Mapping):
        return np.array([float(given.get(channel, 0.0)) for channel in channels])
    return np.full(len(channels), given, dtype=np.float64)


def _is_probability(given: object) -> bool:
    if isinstance(given, bool) or not isinstance(given, int | float | np.integer):
        return False
    return bool(0 <= given <= 1)


def _mean_value(brought: Floats) -> Any:
    """Mean value of a conversion; 0 without conversions. Conversions and value are the first two rows."""
    return np.divide(brought[1], brought[0], out=np.zeros(brought[1].shape), where=brought[0] > 0)
