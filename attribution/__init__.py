"""Multi-touch attribution: journeys, credit, ROI, and how far the ranking depends on the model.

Public names load when they are first used, so that ``import attribution`` is quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For editors and type checkers, which do not see the names that load when they are used; a test compares both.
    from attribution.data.channels import ChannelRules as ChannelRules
    from attribution.data.channels import Rule as Rule
    from attribution.data.engine import DuckDBEngine as DuckDBEngine
    from attribution.data.engine.spark import SparkEngine as SparkEngine
    from attribution.data.loading import Sources as Sources
    from attribution.data.loading import load_sources as load_sources
    from attribution.decisions.budget import BudgetOptions as BudgetOptions
    from attribution.decisions.budget import BudgetPlan as BudgetPlan
    from attribution.decisions.budget import propose_budget as propose_budget
    from attribution.decisions.comparison import review_runs as review_runs
    from attribution.decisions.comparison import split_roi_change as split_roi_change
    from attribution.decisions.diagnosis import diagnose_roi as diagnose_roi
    from attribution.decisions.funnel import FunnelOptions as FunnelOptions
    from attribution.decisions.funnel import follow_stages as follow_stages
    from attribution.decisions.kpis import before_after as before_after
    from attribution.decisions.kpis import check_targets as check_targets
    from attribution.decisions.kpis import read_run as read_run
    from attribution.decisions.kpis import read_targets as read_targets
    from attribution.errors import AttributionError as AttributionError
    from attribution.errors import InputError as InputError
    from attribution.errors import LawError as LawError
    from attribution.errors import TrackingError as TrackingError
    from attribution.errors import UnavailableError as UnavailableError
    from attribution.incrementality.assumptions import CalibrationOptions as CalibrationOptions
    from attribution.incrementality.calibration import Calibration as Calibration
    from attribution.incrementality.calibration import calibrate as calibrate
    from attribution.incrementality.lift_readings import measure_lift as measure_lift
    from attribution.journeys import JourneyChunk as JourneyChunk
    from attribution.journeys import Journeys as Journeys
    from attribution.journeys import Summary as Summary
    from attribution.journeys import build_journeys as build_journeys
    from attribution.journeys import tally as tally
    from attribution.journeys.graph import JourneyGraph as JourneyGraph
    from attribution.journeys.graph import build_graph as build_graph
    from attribution.models import AdditiveHazard as AdditiveHazard
    from attribution.models import AttributionModel as AttributionModel
    from attribution.models import CustomWeights as CustomWeights
    from attribution.models import FirstTouch as FirstTouch
    from attribution.models import FullPath as FullPath
    from attribution.models import LastNonDirect as LastNonDirect
    from attribution.models import LastTouch as LastTouch
    from attribution.models import Linear as Linear
    from attribution.models import LinearDistinct as LinearDistinct
    from attribution.models import Markov as Markov
    from attribution.models import PositionBased as PositionBased
    from attribution.models import Shapley as Shapley
    from attribution.models import TimeDecay as TimeDecay
    from attribution.models import WShaped as WShaped
    from attribution.models import attribute as attribute
    from attribution.models.base import Assumptions as Assumptions
    from attribution.models.credit import Credit as Credit
    from attribution.models.credit import journey_credit as journey_credit
    from attribution.models.saved import Scorer as Scorer
    from attribution.pipeline.outcome import Outcome as Outcome
    from attribution.pipeline.outcome import run_of as run_of
    from attribution.pipeline.pipeline import check_quality as check_quality
    from attribution.pipeline.pipeline import run_experiment as run_experiment
    from attribution.pipeline.planning import plan_budget as plan_budget
    from attribution.pipeline.sections import read_experiment as read_experiment
    from attribution.production.conversion_export import credited_conversions as credited_conversions
    from attribution.returns import compute_returns as compute_returns
    from attribution.returns import lifetime_value as lifetime_value
    from attribution.returns import payback_period as payback_period
    from attribution.returns.ranking import Ranking as Ranking
    from attribution.returns.ranking import compare_rankings as compare_rankings
    from attribution.schema.experiment import Experiment as Experiment
    from attribution.schema.experiment import Period as Period
    from attribution.schema.experiment import TableSpec as TableSpec
    from attribution.simulation import World as World
    from attribution.simulation import load_world as load_world
    from attribution.simulation import simulate as simulate
    from attribution.testing import check_model as check_model
    from attribution.tracking.tracked_runs import track_outcome as track_outcome
    from attribution.uncertainty.placebo import placebo_test as placebo_test

# Before anything can import mlflow: it would look up an outside address when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

_HOMES = {
    "attribution.production.conversion_export": ("credited_conversions",),
    "attribution.decisions.budget": ("BudgetOptions", "BudgetPlan", "propose_budget"),
    "attribution.models.credit": ("Credit", "journey_credit"),
    "attribution.decisions.comparison": ("review_runs", "split_roi_change"),
    "attribution.decisions.diagnosis": ("diagnose_roi",),
    "attribution.data.channels": ("ChannelRules", "Rule"),
    "attribution.data.engine": ("DuckDBEngine",),
    "attribution.data.engine.spark": ("SparkEngine",),
    "attribution.errors": ("AttributionError", "InputError", "LawError", "TrackingError", "UnavailableError"),
    "attribution.incrementality.assumptions": ("CalibrationOptions",),
    "attribution.incrementality.calibration": ("Calibration", "calibrate"),
    "attribution.schema.experiment": ("Experiment", "Period", "TableSpec"),
    "attribution.decisions.funnel": ("FunnelOptions", "follow_stages"),
    "attribution.incrementality.lift_readings": ("measure_lift",),
    "attribution.journeys.graph": ("JourneyGraph", "build_graph"),
    "attribution.journeys": ("JourneyChunk", "Journeys", "Summary", "build_journeys", "tally"),
    "attribution.decisions.kpis": (
        "before_after",
        "check_targets",
        "read_run",
        "read_targets",
    ),
    "attribution.models.base": ("Assumptions",),
    "attribution.models": (
        "AdditiveHazard",
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
    "attribution.pipeline.sections": ("read_experiment",),
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


if not TYPE_CHECKING:  # or every name would be known to a checker, and of any type

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            from attribution.errors import did_you_mean

            hint = did_you_mean(name, __all__)
            raise AttributeError(f"module 'attribution' has no attribute {name!r}" + (f"; {hint}" if hint else ""))
        value = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
