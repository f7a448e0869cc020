"""The journeys that an experiment asks for."""

from __future__ import annotations

from typing import Any

from attribution.data.loading import Sources
from attribution.journeys import Journeys, build_journeys
from attribution.schema.experiment import Experiment


def journeys_of(experiment: Experiment, sources: Sources) -> Journeys:
    """The journeys that an experiment asks for."""
    return build_journeys(sources, period=experiment.period, **journey_options(experiment))


def journey_options(experiment: Experiment) -> dict[str, Any]:
    """Options of `build_journeys` that an experiment sets."""
    return experiment.journeys.model_dump(exclude_unset=True, exclude={"account", "segment"})
