"""What one run asks for."""

from attribution.schema.experiment.file import Experiment, checked, core_keys, parse_experiment, read_setting, read_toml
from attribution.schema.experiment.lift_tests import LiftTest
from attribution.schema.experiment.returns import LifetimeOptions, ReturnsOptions
from attribution.schema.experiment.settings import (
    DEFAULT_LOOKBACK_DAYS,
    VISIT_OPTIONS,
    IncrementalityOptions,
    JourneyOptions,
    ModelSpec,
    OutputOptions,
    Period,
    ResamplingOptions,
    TrackingOptions,
    VisitOptions,
)
from attribution.schema.experiment.table_spec import NullTexts, TableSpec

__all__ = [
    "DEFAULT_LOOKBACK_DAYS",
    "VISIT_OPTIONS",
    "Experiment",
    "IncrementalityOptions",
    "JourneyOptions",
    "LifetimeOptions",
    "LiftTest",
    "ModelSpec",
    "NullTexts",
    "OutputOptions",
    "Period",
    "ResamplingOptions",
    "ReturnsOptions",
    "TableSpec",
    "TrackingOptions",
    "VisitOptions",
    "checked",
    "core_keys",
    "parse_experiment",
    "read_setting",
    "read_toml",
]
