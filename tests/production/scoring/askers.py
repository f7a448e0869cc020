"""Scorers that know only what a row is read by: no model is fitted for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from attribution.models.saved import Definition, Scorer, Training
from attribution.schema.experiment import JourneyOptions


def asker(
    channels: tuple[str, ...] = ("mail", "search", "tv"),
    dimensions: tuple[str, ...] = ("channel",),
    *,
    has_times: bool = True,
    zoned: bool | None = False,
    is_trained: bool = True,
    policy: str = "pool",
    estimand: str = "allocated",
    **options: Any,
) -> Scorer:
    """A scorer of a model that was fitted on these channels, columns and times."""
    training = Training(("touchpoints", "conversions"), dimensions, has_times, zoned, None, None, 1.0, 1.0, 1.0)
    definition = Definition(journeys=JourneyOptions(**options), training=training if is_trained else None)
    state = SimpleNamespace(channels=channels, estimand=estimand, model=lambda: None)
    known = {"definition": definition, "state": state, "unknown_channels": policy, "name": "shop", "version": "s3"}
    return cast(Scorer, SimpleNamespace(**known))
