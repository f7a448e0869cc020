"""A training window and the days after it, in terms of the same channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attribution.errors import InputError
from attribution.journeys import Journeys
from attribution.models import AttributionModel
from attribution.production.refit import SummaryStore, Window, add_up, day_name, read_window, summarise_days


@dataclass(frozen=True)
class Windows:
    """What is compared.

    Attributes
    ----------
    training, recent : windows of the same channels
    spend : (training, recent) spend by channel; channels without are not asked for ROI
    """

    training: Window
    recent: Window
    spend: tuple[Mapping[str, float], Mapping[str, float]] = field(default=({}, {}))


def read_windows(
    store: SummaryStore, models: Sequence[AttributionModel], *, training: tuple[int, int], recent: tuple[int, int]
) -> Windows:
    """Two windows, given by the numbers of their first and last days.

    Raises
    ------
    InputError
        If they overlap, or a day is missing.
    """
    _check_apart(training, recent)
    before = read_window(store, models, *training)
    after = read_window(store, models, *recent, channels=before.channels)
    if after.channels != before.channels:
        before = read_window(store, models, *training, channels=after.channels)
    return Windows(before, after)


def windows_of(
    journeys: Journeys, models: Sequence[AttributionModel], *, training: tuple[int, int], recent: tuple[int, int]
) -> Windows:
    """Two windows of the same journeys, from `attribution.journeys.journeys_by_day`.

    Raises
    ------
    InputError
        If they overlap.
    """
    _check_apart(training, recent)
    days = summarise_days(journeys, models, training[0], recent[1])
    before, after = (
        add_up({day: days[day] for day in range(first, last + 1)}, journeys.channels, models=len(models))
        for first, last in (training, recent)
    )
    return Windows(before, after)


def _check_apart(training: tuple[int, int], recent: tuple[int, int]) -> None:
    if recent[0] <= training[1]:
        raise InputError(
            "the recent days overlap the training window",
            given=f"training to {day_name(training[1])}, recent from {day_name(recent[0])}",
            hint="choose recent days after the training window",
        )
