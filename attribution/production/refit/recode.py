"""Summaries of days that know different channels, brought to the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.kernels.markov.step_counts import packed, unpack
from attribution.kernels.shapley.coalitions import coalitions, members, repacked, unpacked
from attribution.kernels.statistics.sums import KeyedSums
from attribution.models import AttributionModel, Markov
from attribution.models.order import HIGHEST
from attribution.production.refit.days import MODELS, OBSERVED, PROFILE, DayTables

Keys = NDArray[np.int64]


class Move(NamedTuple):
    """``places`` (old,) of the old channels among ``new``."""

    places: Keys
    new: int

    @property
    def old(self) -> int:
        """How many channels there were."""
        return len(self.places)


def recoded(
    tables: DayTables, old: tuple[str, ...], new: tuple[str, ...], models: Sequence[AttributionModel]
) -> DayTables:
    """``tables`` in terms of the channels ``new``, which hold all of ``old``; both are sorted.

    Raises
    ------
    InputError
        If a model keeps sums of its own, whose keys nobody else can read.
    """
    if old == new:
        return tables
    place = {name: position for position, name in enumerate(new)}
    move = Move(np.array([place[name] for name in old], dtype=np.int64), len(new))
    moved = {}
    for name, table in tables.items():
        number, _, inner = name.partition("/")
        rewrite = _rewriting(int(number), inner, models)
        moved[name] = KeyedSums(rewrite(table.keys, move), table.sums)
    return moved


def _rewriting(number: int, name: str, models: Sequence[AttributionModel]) -> Callable[[Keys, Move], Keys]:
    if number == OBSERVED:
        return _unchanged
    if number == PROFILE:
        return _channel if name.startswith(("touchpoints/", "participation/")) else _unchanged
    model = models[number - MODELS]
    known = {**_SHARED}
    if isinstance(model, Markov):
        order = HIGHEST if model.order == "auto" else int(model.order)
        known |= {"value": _steps(order, 0), "steps": _steps(order, int(model.order == "auto"))}
    elif type(model).summarise is AttributionModel.summarise or type(model).__module__.startswith(_SHIPPED):
        known |= {"conversions": _channel, "value": _channel}
    if name not in known:
        raise InputError(
            f"model {model.label!r} keeps sums of its own ({name!r}), and the days do not know the same channels",
            hint="write all days anew, in one go: attribution summarise … --since",
        )
    return known[name]


def _unchanged(keys: Keys, _: Move) -> Keys:
    return keys


def _channel(keys: Keys, move: Move) -> Keys:
    return move.places[keys]


def _coalition(keys: Keys, move: Move) -> Keys:
    offsets, channel = members(keys, move.old)
    return coalitions(offsets[:-1], offsets[1:], move.places[channel].astype(np.int32), move.new)


def _row(keys: Keys, move: Move) -> Keys:
    counts = np.zeros((len(keys), move.new), np.int64)
    counts[:, move.places] = unpacked(keys, move.old)
    return repacked(counts)


def _position(keys: Keys, move: Move) -> Keys:
    place, channel = np.divmod(keys, max(move.old, 1))
    return np.asarray(place * move.new + move.places[channel])


def _steps(order: int, leading: int) -> Callable[[Keys, Move], Keys]:
    """Packed steps of a chain, after ``leading`` columns that are something else."""

    def rewrite(keys: Keys, move: Move) -> Keys:
        # After the channels come the states that are none.
        places = np.append(move.places, [move.new, move.new + 1])
        digits = places[unpack(keys[:, leading:], channels=move.old, order=order)]
        return np.column_stack([keys[:, :leading], packed(digits, channels=move.new)])

    return rewrite


_SHIPPED = "attribution.models."

_SHARED: dict[str, Callable[[Keys, Move], Keys]] = {
    "zero_weights": _unchanged,
    "missing_anchors": _unchanged,
    "coalitions": _coalition,
    "converted_sets": _coalition,
    "set_journeys": _coalition,
    "set_conversions": _coalition,
    "set_value": _coalition,
    "row_conversions": _row,
    "row_nulls": _row,
    "positions": _position,
}
