"""The measured processes of what channels caused: the hazard, credit by chance, and simulated worlds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attribution as at
from attribution.models import resampling
from attribution.schema.experiment import ResamplingOptions
from attribution.simulation import simulate
from benchmarks.clock import Clock, arguments
from benchmarks.data import EVENT_CHANNELS, WARM, customers_of, event_files
from benchmarks.event_jobs import ten_models

UNPAID = 2
"""Channels of the log that nobody pays for, so that arrivals are screened."""


def ratios(asked: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """Journeys, and on them the hazard without and with draws, and ten models without and with chance.

    Journeys remember what was laid out for one reader, so that each has its own.
    """
    touchpoints = asked["touchpoints"]
    with clock.step("journeys"):
        journeys = _build(touchpoints)
    with clock.step("hazard"):
        hazard(touchpoints).fit(journeys)
    journeys = _build(touchpoints)
    with clock.step("hazard and draws"):
        resampling.fit_and_resample([hazard(touchpoints)], journeys, ResamplingOptions(draws=asked["draws"]))
    journeys = _build(touchpoints)
    with clock.step("ten models"):
        at.attribute(journeys, ten_models())
    journeys = _build(touchpoints)
    with clock.step("ten models and chance"):
        at.attribute(journeys, ten_models(), chance=True)
    return {"journeys": len(journeys)}


def large(asked: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """From files to what channels caused, the process within ``limit`` bytes."""
    engine = at.DuckDBEngine(memory_limit=asked["limit"])
    with clock.step("files to hazard"):
        journeys = at.build_journeys(at.load_sources(*event_files(asked["touchpoints"], "integer"), engine=engine))
        model = hazard(asked["touchpoints"]).fit(journeys)
    return {"flagged": int((~model.is_known_).sum())}


def worlds(asked: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """A log of each world, with its truth."""
    touchpoints = {}
    for world in asked["worlds"]:
        with clock.step(world):
            touchpoints[world] = len(simulate(world, customers=asked["customers"]).touchpoints)
    return touchpoints


def hazard(touchpoints: int) -> at.AdditiveHazard:
    """The hazard with all that it does by itself: half-lives are weighed, arrivals screened."""
    paid = [f"channel {number:02d}" for number in range(1, EVENT_CHANNELS + 1 - UNPAID)]
    return at.AdditiveHazard(credited=paid, customers=customers_of(touchpoints))


def _build(touchpoints: int) -> at.Journeys:
    return at.build_journeys(at.load_sources(*event_files(touchpoints, "integer")))


JOBS: dict[str, Callable[[Mapping[str, Any], Clock], dict[str, Any]]] = {
    "ratios": ratios,
    "large": large,
    "worlds": worlds,
}

if __name__ == "__main__":
    asked = arguments()
    job = JOBS[asked["job"]]
    job({**asked, "touchpoints": WARM, "customers": 1_000, "draws": 50}, Clock())
    clock = Clock()
    clock.report(notes=job(asked, clock))
