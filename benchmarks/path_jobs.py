"""The measured process on paths: strings in memory to journeys, and any models on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import attribution as at
from attribution.tables import UNATTRIBUTED
from benchmarks.clock import Clock, arguments
from benchmarks.data import TINY, paths_folder

MODELS = {
    "first_touch": at.FirstTouch(),
    "last_touch": at.LastTouch(),
    "last_non_direct": at.LastNonDirect(),
    "linear": at.Linear(),
    "position_based": at.PositionBased(),
    "shapley": at.Shapley(),
    "markov_1": at.Markov(),
    "markov_2": at.Markov(order=2),
    "markov_3": at.Markov(order=3),
}


def fit(frame: pd.DataFrame, names: Sequence[str], clock: Clock) -> dict[str, dict[str, float]]:
    """Build journeys of ``frame``, fit the named models, return their channel shares."""
    with clock.step("parse"):
        journeys = at.build_journeys(at.load_sources(paths=frame))
    for name in names:
        with clock.step(name):
            MODELS[name].fit(journeys)
    return {name: _shares(MODELS[name]) for name in names}


def read(folder: Path, kind: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{kind}.parquet")


def _shares(model: at.AttributionModel) -> dict[str, float]:
    totals = model.credit_.to_frame().set_index("channel")["conversions"].drop(UNATTRIBUTED)
    return (totals / totals.sum()).to_dict()


if __name__ == "__main__":
    asked = arguments()
    frame = read(paths_folder(asked["journeys"]), asked["kind"])
    fit(read(paths_folder(TINY), asked["kind"]), asked["models"], Clock())
    clock = Clock()
    shares = fit(frame, asked["models"], clock)
    clock.report(shares=shares, notes={"rows": len(frame)})
