"""Summaries of days that know different channels, brought to the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attribution.errors import InputError
from attribution.kernels.statistics.sums import KeyedSums, distinct_rows, regroup
from attribution.models import AttributionModel
from attribution.models.machinery import get_machinery
from attribution.models.recoding import Move, Recoding, by_channel, unchanged
from attribution.production.refit.days import MODELS, OBSERVED, PROFILE, DayTables


def recode_tables(
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
    positions = {name: position for position, name in enumerate(new)}
    move = Move(np.array([positions[name] for name in old], dtype=np.int64), len(new))
    moved = {}
    for name, table in tables.items():
        number, _, inner = name.partition("/")
        rewrite = _rewriting(int(number), inner, models)
        keys, position = distinct_rows(rewrite(table.keys, move))
        moved[name] = KeyedSums(keys, regroup(table.sums, position, len(keys)))
    return moved


def _rewriting(number: int, name: str, models: Sequence[AttributionModel]) -> Recoding:
    if number == OBSERVED:
        return unchanged
    if number == PROFILE:
        return by_channel if name.startswith(("touchpoints/", "participation/")) else unchanged
    model = models[number - MODELS]
    rewrite = get_machinery(model).recoding(name)
    if rewrite is None:
        raise InputError(
            f"model {model.label!r} keeps its own sums ({name!r}), but the days do not have the same channels",
            hint="write all days again in one run: attribution summarise … --from",
        )
    return rewrite
