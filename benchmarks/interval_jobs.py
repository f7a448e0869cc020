"""The measured process of intervals: ten models fitted once, and fitted with draws of all they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

import attribution as at
from attribution.models import resampling
from attribution.schema.experiment import ResamplingOptions
from attribution.uncertainty.intervals import fill_credit, fill_returns, sample_measures, sampling_tables
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
    time_draws(clock)
    with clock.step("fit and draw"):
        _, resamples = resampling.fit_and_resample(models, journeys, ResamplingOptions(draws=draws))
    with clock.step("tables"):
        credit = at.Credit.of(models)
        returns = at.compute_returns(credit, sources)
        sampled = sample_measures(resamples, returns)
        fill_credit(credit.table, sampled, models)
        fill_returns(returns, sampled)
        sampling_tables(sampled)
    return notes | {"by": resamples.by, "linearised": dict(resamples.linearisation)}


def time_draws(clock: Clock) -> None:
    """Time every model's draws, and the exact draws that check them, as steps of their own."""
    solve_draws, names = resampling.solve_draws, {"redraw": "draw", "solve_again": "check"}

    def timed(solve: Callable[..., Any], label: str, *given: Any) -> Any:
        with clock.step(f"{names[solve.__name__]} {label}"):
            return solve_draws(solve, label, *given)

    resampling.solve_draws = timed


if __name__ == "__main__":
    asked = arguments()
    frame = read(paths_folder(asked["journeys"]), "journeys")
    intervals(read(paths_folder(TINY), "journeys"), asked["draws"], Clock())
    clock = Clock()
    clock.report(notes=intervals(frame, asked["draws"], clock))
