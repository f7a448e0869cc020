"""The measured process on paths: strings in memory to journeys, and any models on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import attribution as at
from attribution.schema.tables import UNATTRIBUTED
from benchmarks.clock import Clock, arguments
from benchmarks.data import TINY, paths_folder

ALL_RULES = "all rules"


def rules() -> list[at.AttributionModel]:
    """Every rule that an order of channels is enough for."""
    return [
        at.FirstTouch(),
        at.LastTouch(),
        at.LastNonDirect(),
        at.Linear(),
        at.LinearDistinct(),
        at.PositionBased(),
        at.CustomWeights(weights=[0.5, 0.3, 0.2], name="custom_weights"),
    ]


def ten_models() -> list[at.AttributionModel]:
    """Models that need no times, three orders of Markov among them."""
    return [
        *rules()[:-1],
        at.Shapley(),
        at.Markov(name="markov_1"),
        at.Markov(order=2, name="markov_2"),
        at.Markov(order=3, name="markov_3"),
    ]


def fit(frame: pd.DataFrame, names: Sequence[str], clock: Clock) -> dict[str, dict[str, float]]:
    """Build journeys of ``frame``, fit the named models one by one, return their channel shares.

    ``all rules`` are fitted in one pass.
    """
    with clock.step("parse"):
        journeys = build(frame)
    models = {model.label: model for model in ten_models()}
    for name in names:
        if name == ALL_RULES:
            every = rules()
            with clock.step(name):
                at.attribute(journeys, every)
            models |= {model.label: model for model in every}
        else:
            with clock.step(name):
                models[name].fit(journeys)
    return {name: _shares(model) for name, model in models.items() if hasattr(model, "credit_")}


def build(frame: pd.DataFrame) -> at.Journeys:
    return at.build_journeys(at.load_sources(paths=frame))


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
