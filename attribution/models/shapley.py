"""Shapley values: what a channel adds, averaged over the orders in which channels could join."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution.journeys import JourneyChunk
from attribution.kernels import weights as kernel
from attribution.models.base import AttributionModel


class Shapley(AttributionModel):
    """Shapley value of the set game, in closed form.

    The game's characteristic function gives a coalition of channels the conversions of all journeys that
    touched no channel outside it. Its Shapley value divides every conversion equally among the *distinct*
    channels of its journey: **this model is linear over distinct channels.** Journeys that did not convert
    have no influence on it. Within a channel the share is spread evenly over its touchpoints.

    References
    ----------
    .. [1] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II, 1953.
    .. [2] K. Zhao, S. H. Mahboobi, S. R. Bagheri, "Shapley value methods for attribution modeling in online
       advertising", arXiv:1804.05327, 2018 (the "simplified" method).

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > mail"], "conversions": [2]})))
    >>> at.Shapley().fit(journeys).credit_.conversions.tolist()
    [1.0, 1.0, 0.0]
    """

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.asarray(kernel.distinct_channels(chunk.offsets, chunk.channel, len(self.channels_)))
