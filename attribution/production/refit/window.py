"""Days added up, and models fitted on their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attribution.errors import InputError
from attribution.journeys import Buckets, Summary
from attribution.journeys.buckets import join_buckets, split_buckets
from attribution.kernels.statistics.sums import KeyedSums, stack_labelled
from attribution.models import AttributionModel
from attribution.models.credit import Credit, check_labels
from attribution.models.machinery import get_machinery
from attribution.production.refit.days import MODELS, DayTables, day_name
from attribution.production.refit.recode import recode_tables
from attribution.production.refit.store import SummaryStore

Part = tuple[Summary, Buckets]
"""The sum of all days, and each day by itself: its number is the label of its bucket."""


@dataclass(frozen=True)
class Window:
    """Days that follow each other.

    Attributes
    ----------
    first, last : their numbers, both included
    channels : all that any of the days knows, sorted
    observed, profile : what was observed, and how journeys look
    models : what each model needs, in the order of the definition
    """

    first: int
    last: int
    channels: tuple[str, ...]
    observed: Part
    profile: Part
    models: tuple[Part, ...]

    @property
    def days(self) -> int:
        """How many."""
        return self.last - self.first + 1


def read_window(
    store: SummaryStore,
    models: Sequence[AttributionModel],
    first: int,
    last: int,
    *,
    channels: tuple[str, ...] = (),
) -> Window:
    """The days from ``first`` to ``last``, read from ``store``.

    Parameters
    ----------
    models : those of the store's definition
    channels : that the window is to know beside those of its days

    Raises
    ------
    InputError
        If a day is missing or damaged.
    """
    missing = [day for day in range(first, last + 1) if day not in set(store.days)]
    if missing or last < first:
        held = store.days
        raise InputError(
            f"{store.folder}: days are missing" if missing else "a window needs at least one day",
            given=f"{day_name(first)} to {day_name(last)}",
            allowed=f"{day_name(held[0])} to {day_name(held[-1])}" if held else "there are no days yet",
            hint=f"missing: {', '.join(map(day_name, missing[:5]))}{' …' if len(missing) > 5 else ''}",
        )
    files = [store.read(day) for day in range(first, last + 1)]
    all_channels = _together(store, [channels, *(file.channels for file in files)])
    days = {file.day: recode_tables(file.tables, file.channels, all_channels, models) for file in files}
    return add_up(days, all_channels, models=len(models))


def add_up(days: Mapping[int, DayTables], channels: tuple[str, ...], *, models: int) -> Window:
    """Days that follow each other, know the same ``channels`` and are of so many ``models``, added up."""
    by_name: dict[str, list[tuple[int, KeyedSums]]] = {}
    for day, tables in sorted(days.items()):
        for name, table in tables.items():
            by_name.setdefault(name, []).append((day, table))
    summary = Summary({name: stack_labelled(parts) for name, parts in by_name.items()})
    observed, profile, *own = split_buckets(summary, MODELS + models)
    return Window(min(days), max(days), channels, observed, profile, tuple(own))


def join_windows(before: Window, after: Window) -> Window:
    """The days of two windows that know the same channels, ``after`` the later one; there may be days between them."""

    def join(first: Part, second: Part) -> Part:
        return first[0] + second[0], join_buckets(first[1], second[1])

    models = tuple(join(*pair) for pair in zip(before.models, after.models, strict=True))
    observed, profile = join(before.observed, after.observed), join(before.profile, after.profile)
    return Window(before.first, after.last, before.channels, observed, profile, models)


def refit(window: Window, models: Sequence[AttributionModel]) -> Credit:
    """Fit ``models`` in place on the days of ``window``, as if on their journeys.

    Raises
    ------
    LawError
        If a model's credit does not add up to the conversions and value observed.
    """
    check_labels(models)
    for model, (summary, _) in zip(models, window.models, strict=True):
        model.validate()
        model.channels_ = window.channels
        get_machinery(model).finish_fit(summary, window.observed[0])
    return Credit.of(models)


def _together(store: SummaryStore, lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All channels, in the order in which journeys have them."""
    names = set().union(*lists)
    if store.definition.journeys.get("transform") != "frequency":
        return tuple(sorted(names))
    # "search (2)" comes before "search (10+)".
    parts = {name: name.rstrip("+)").rpartition(" (") for name in names}
    return tuple(sorted(names, key=lambda name: (parts[name][0], int(parts[name][2]))))
