"""What one run asks for."""

from attribution.experiment.file import Experiment, checked, read_experiment, read_toml
from attribution.experiment.settings import (
    DEFAULT_LOOKBACK_DAYS,
    JourneyOptions,
    ModelSpec,
    OutputOptions,
    Period,
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
    "ReturnsOptions",
    "TableSpec",
    "TrackingOptions",
    "checked",
    "read_experiment",
    "read_toml",
]
