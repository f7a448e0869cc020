"""What one run asks for."""

from attribution.schema.experiment.budget import (
    BudgetOptions,
    CurveOptions,
    GroupOptions,
    LongRunOptions,
    Objective,
    WhatIf,
)
from attribution.schema.experiment.doubt import DirectPolicy, DoubtOptions
from attribution.schema.experiment.file import Experiment, checked, read_experiment, read_setting, read_toml
from attribution.schema.experiment.funnel import FunnelOptions
from attribution.schema.experiment.returns import LifetimeOptions, ReturnsOptions
from attribution.schema.experiment.settings import (
    DEFAULT_LOOKBACK_DAYS,
    JourneyOptions,
    ModelSpec,
    OutputOptions,
    Period,
    PlaceboOptions,
    ResamplingOptions,
    StabilityOptions,
    TableSpec,
    TrackingOptions,
)

__all__ = [
    "DEFAULT_LOOKBACK_DAYS",
    "BudgetOptions",
    "CurveOptions",
    "DirectPolicy",
    "DoubtOptions",
    "Experiment",
    "FunnelOptions",
    "GroupOptions",
    "JourneyOptions",
    "LifetimeOptions",
    "LongRunOptions",
    "ModelSpec",
    "Objective",
    "OutputOptions",
    "Period",
    "PlaceboOptions",
    "ResamplingOptions",
    "ReturnsOptions",
    "StabilityOptions",
    "TableSpec",
    "TrackingOptions",
    "WhatIf",
    "checked",
    "read_experiment",
    "read_setting",
    "read_toml",
]
