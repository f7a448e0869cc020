"""Models that must never be promoted: each breaks one thing that the gate looks at, and nothing easier to see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution.journeys import JourneyChunk
from attribution.models import AttributionModel

_DAY = 86_400_000_000


def _ends(chunk: JourneyChunk, last: NDArray[np.bool_]) -> NDArray[np.float64]:
    """All to the last touchpoint of journeys where ``last`` is true, all to the first of the others."""
    weights = np.zeros(len(chunk.channel))
    first, final = chunk.offsets[:-1], chunk.offsets[1:] - 1
    weights[np.where(last, final, first)] = 1.0
    return weights


class Leaky(AttributionModel):
    """Looks at what the conversion was worth, which is known only afterwards."""

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return _ends(chunk, chunk.value > 50)


class Unstable(AttributionModel):
    """One rule in one month, another in the next."""

    needs_times = True

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        assert chunk.ended_at is not None
        return _ends(chunk, (chunk.ended_at // _DAY + 17) % 60 < 30)


class Scrambled(AttributionModel):
    """Goes by the place at which a journey happens to lie."""

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return _ends(chunk, np.arange(len(chunk)) % 2 == 0)
