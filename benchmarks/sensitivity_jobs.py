"""The measured process of sensitivity: every specification of 1 M journeys, all tables made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attribution.journeys import journeys_of
from attribution.models import fit_models
from attribution.pipeline.builders import make_models, open_sources, terms_of
from attribution.schema.experiment import Experiment
from attribution.uncertainty.sensitivity import sensitivity_tables
from benchmarks.clock import Clock, arguments, peak_mb
from benchmarks.data import TINY, sensitivity_folder

WINDOWS = [7, 14, 30, 60]
MODELS = ["FirstTouch", "LastTouch", "Linear", "TimeDecay", "PositionBased", "Shapley", "Markov"]


def asked_for(folder: Path, draws: int) -> Experiment:
    """Eight models under four windows, two policies and two cost bases."""
    document: dict[str, Any] = {
        "name": "sensitivity",
        "tables": {name: {"source": f"{name}.parquet"} for name in ("touchpoints", "conversions", "costs")},
        "models": [*({"model": name} for name in MODELS), {"model": "Markov", "order": 2}],
        "sensitivity": {"lookback_days": WINDOWS, "draws": draws},
        "folder": folder,
    }
    return Experiment.model_validate(document)


def run(folder: Path, draws: int, clock: Clock) -> dict[str, Any]:
    """Fit once, as a run does; then every specification."""
    experiment = asked_for(folder, draws)
    with clock.step("fit once"):
        sources = open_sources(experiment)
        models, journeys, terms = (
            make_models(experiment),
            journeys_of(experiment, sources),
            terms_of(experiment, sources),
        )
        fit_models(models, journeys)
    notes: dict[str, Any] = {"journeys": len(journeys), "fit_peak_mb": peak_mb()}
    with clock.step("sensitivity"):
        tables = sensitivity_tables(experiment, sources, journeys, models, terms)
    return notes | {"channels": len(journeys.channels), "specifications": len(tables["specifications"])}


if __name__ == "__main__":
    asked = arguments()
    run(sensitivity_folder(TINY), 50, Clock())
    clock = Clock()
    clock.report(notes=run(sensitivity_folder(asked["journeys"]), asked["draws"], clock))
