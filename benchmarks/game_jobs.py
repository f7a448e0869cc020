"""The measured processes of what grows with the number of channels: rate games, and a chain of order 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import attribution as at
from benchmarks.clock import Clock, arguments
from benchmarks.data import TINY, game_file
from benchmarks.path_jobs import build

TOLERANCE = 0.01


def rate(frame: pd.DataFrame, clock: Clock) -> dict[str, Any]:
    """The Shapley value of the rate game, whole, and once more from its summary."""
    with clock.step("parse"):
        journeys = build(frame)
    model = at.Shapley(game="rate", tolerance=TOLERANCE)
    with clock.step("fit"):
        model.fit(journeys)
    with clock.step("solve"):
        model.solve(model.summary_)
    credit = model.credit_.conversions[:-1]
    error = float(model.standard_error_.max() / np.abs(credit).mean())
    return {"sets": len(model.summary_.tables["set_journeys"].keys), "pairs": model.pairs_, "error": error}


def markov_4(frame: pd.DataFrame, clock: Clock) -> dict[str, Any]:
    """A Markov chain that remembers four channels, from paths in memory to credit."""
    with clock.step("parse"):
        journeys = build(frame)
    model = at.Markov(order=4)
    with clock.step("fit"):
        model.fit(journeys)
    return {"states": model.states_}


JOBS: dict[str, Callable[[pd.DataFrame, Clock], dict[str, Any]]] = {"rate": rate, "markov_4": markov_4}

if __name__ == "__main__":
    asked = arguments()
    job, channels = JOBS[asked["job"]], asked["channels"]
    frame = pd.read_parquet(game_file(asked["journeys"], channels))
    job(pd.read_parquet(game_file(TINY, channels)), Clock())
    clock = Clock()
    clock.report(notes=job(frame, clock))
