"""Models: each says what a chunk of journeys contributes, and what follows from the sum."""

from attribution.models.base import AttributionModel
from attribution.models.fitting import attribute, fit_models
from attribution.models.markov import Markov
from attribution.models.rules import FirstTouch, LastNonDirect, LastTouch, Linear, PositionBased, TimeDecay
from attribution.models.shapley import Shapley

__all__ = [
    "AttributionModel",
    "FirstTouch",
    "LastNonDirect",
    "LastTouch",
    "Linear",
    "Markov",
    "PositionBased",
    "Shapley",
    "TimeDecay",
    "attribute",
    "fit_models",
]
