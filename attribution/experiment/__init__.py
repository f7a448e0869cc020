"""What one run asks for."""

from attribution.experiment.file import Experiment, checked, read_experiment, read_setting, read_toml
from attribution.experiment.settings import (
    DEFAULT_LOOKBACK_DAYS,
    JourneyOptions,
    ModelSpec,
    OutputOptions,
    Period,
    PlaceboOptions,
    ResamplingOptions,
    ReturnsOptions,
    TableSpec,
    TrackingOptions,
)

__all__ = [
    "DEFAULT_LOOKBACK_DAYS",
    "Experiment",
    "JourneyOptions",
    "ModelSpec",
    "OutputOptions",
    "Period",
    "PlaceboOptions",
    "ResamplingOptions",
    "ReturnsOptions",
    "TableSpec",
    "TrackingOptions",
    "checked",
    "read_experiment",
    "read_setting",
    "read_toml",
]
