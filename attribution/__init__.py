"""Multi-touch attribution: journeys, credit, ROI, and how far the ranking depends on the model.

Public names load when they are first used, so that ``import attribution`` is quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# Before anything can import mlflow: it would look up an outside address when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

_HOMES = {
    "attribution.production.conversion_export": ("credited_conversions",),
    "attribution.decisions.budget": ("BudgetPlan", "propose_budget"),
    "attribution.models.credit": ("Credit", "journey_credit"),
    "attribution.decisions.diagnosis": ("diagnose_roi",),
    "attribution.data.engine": ("DuckDBEngine",),
    "attribution.data.engine.spark": ("SparkEngine",),
    "attribution.errors": ("AttributionError", "InputError", "LawError", "TrackingError"),
    "attribution.schema.experiment": (
        "BudgetOptions",
        "Experiment",
        "FunnelOptions",
        "Period",
        "TableSpec",
        "read_experiment",
    ),
    "attribution.decisions.funnel": ("follow_stages",),
    "attribution.journeys.graph": ("JourneyGraph", "build_graph"),
    "attribution.journeys": ("JourneyChunk", "Journeys", "Summary", "build_journeys", "tally"),
    "attribution.decisions.kpis": (
        "before_after",
        "check_targets",
        "read_run",
        "read_targets",
        "review_runs",
        "split_roi_change",
    ),
    "attribution.models.base": ("Assumptions",),
    "attribution.models": (
        "AttributionModel",
        "CustomWeights",
        "FirstTouch",
        "FullPath",
        "LastNonDirect",
        "LastTouch",
        "Linear",
        "LinearDistinct",
        "Markov",
        "PositionBased",
        "Shapley",
        "TimeDecay",
        "WShaped",
        "attribute",
    ),
    "attribution.pipeline.outcome": ("Outcome", "run_of"),
    "attribution.pipeline.pipeline": ("check_quality", "run_experiment"),
    "attribution.pipeline.planning": ("plan_budget",),
    "attribution.uncertainty.placebo": ("placebo_test",),
    "attribution.returns.ranking": ("Ranking", "compare_rankings"),
    "attribution.returns": ("compute_returns", "lifetime_value", "payback_period"),
    "attribution.models.saved": ("Scorer",),
    "attribution.data.loading": ("Sources", "load_sources"),
    "attribution.testing": ("check_model",),
    "attribution.tracking.tracked_runs": ("track_outcome",),
    "attribution.simulation": ("World", "load_world", "simulate"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'attribution' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
