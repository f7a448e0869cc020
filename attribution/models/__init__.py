"""Models: each says what a chunk of journeys contributes, and what follows from the sum."""

from attribution.models.additive_hazard import AdditiveHazard
from attribution.models.base import AttributionModel
from attribution.models.custom import CustomWeights
from attribution.models.fitting import attribute, fit_models
from attribution.models.markov import Markov
from attribution.models.rules import (
    FirstTouch,
    LastNonDirect,
    LastTouch,
    Linear,
    LinearDistinct,
    PositionBased,
    TimeDecay,
)
from attribution.models.shapley import Shapley
from attribution.models.staged import FullPath, WShaped

__all__ = [
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
    "fit_models",
    "shipped_models",
]


def shipped_models() -> dict[str, type[AttributionModel]]:
    """Models of this package by the names that files give them."""
    exports = {name: globals()[name] for name in __all__}
    return {
        name: kind
        for name, kind in exports.items()
        if isinstance(kind, type) and issubclass(kind, AttributionModel) and kind is not AttributionModel
    }
