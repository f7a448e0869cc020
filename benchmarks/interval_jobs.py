"""The measured process of intervals: ten models fitted once, and fitted with draws of all they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

import attribution as at
from attribution.models.resampling import fit_and_resample
from attribution.schema.experiment import ResamplingOptions
from attribution.uncertainty.intervals import sample_measures, sampling_tables
from benchmarks.clock import Clock, arguments, peak_mb
from benchmarks.data import TINY, paths_folder
from benchmarks.path_jobs import build, read, ten_models


def intervals(frame: pd.DataFrame, draws: int, clock: Clock) -> dict[str, Any]:
    """Fit; then, on journeys built anew, fit and draw, and make tables of the draws."""
    journeys = build(frame)
    with clock.step("fit"):
        at.attribute(journeys, ten_models())
    notes: dict[str, Any] = {"journeys": len(journeys), "fit_peak_mb": peak_mb()}
    # Journeys remember what was laid out for one reader: nobody is to find what another has prepared.
    del journeys
    sources = at.load_sources(paths=frame)
    journeys, models = at.build_journeys(sources), ten_models()
    for model in models:
        time_draws(model, clock)
    with clock.step("fit and draw"):
        _, resamples = fit_and_resample(models, journeys, ResamplingOptions(draws=draws))
    with clock.step("tables"):
        returns = at.compute_returns(at.Credit.of(models), sources)
        sampling_tables(sample_measures(resamples, returns))
    return notes | {"by": resamples.by, "linearised": dict(resamples.linearisation)}


def time_draws(model: at.AttributionModel, clock: Clock) -> None:
    """Time every call of ``redraw`` as a step of its own, and the exact draws that check it."""

    def timed(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*given: Any) -> Any:
            with clock.step(step):
                return call(*given)

        return measured

    solve_again = model.solve_again
    redraw = timed(f"draw {model.label}", model.redraw)

    def redraw_then_check(*given: Any) -> Any:
        draws = redraw(*given)
        # Only from here on: a model may solve again to draw.
        vars(model)["solve_again"] = timed(f"check {model.label}", solve_again)
        return draws

    vars(model)["redraw"] = redraw_then_check


if __name__ == "__main__":
    asked = arguments()
    frame = read(paths_folder(asked["journeys"]), "journeys")
    intervals(read(paths_folder(TINY), "journeys"), asked["draws"], Clock())
    clock = Clock()
    clock.report(notes=intervals(frame, asked["draws"], clock))
