"""What one run asks for."""

from attribution.schema.experiment.file import Experiment, checked, core_keys, parse_experiment, read_setting, read_toml
from attribution.schema.experiment.returns import LifetimeOptions, ReturnsOptions
from attribution.schema.experiment.settings import (
    DEFAULT_LOOKBACK_DAYS,
    IncrementalityOptions,
    JourneyOptions,
    ModelSpec,
    OutputOptions,
    Period,
    ResamplingOptions,
    TableSpec,
    TrackingOptions,
)

__all__ = [
    "DEFAULT_LOOKBACK_DAYS",
    "Experiment",
    "IncrementalityOptions",
    "JourneyOptions",
    "LifetimeOptions",
    "ModelSpec",
    "OutputOptions",
    "Period",
    "ResamplingOptions",
    "ReturnsOptions",
    "TableSpec",
    "TrackingOptions",
    "checked",
    "core_keys",
    "parse_experiment",
    "read_setting",
    "read_toml",
]
