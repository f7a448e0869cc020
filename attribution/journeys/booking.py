"""On which day a journey is booked, so that days add up and what is booked on a day that is over stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from attribution.journeys.refine import DAY
from attribution.journeys.structure import JourneyChunk
from attribution.kernels.journeys.batches import gather_slices
from attribution.kernels.journeys.cut import Windows


def booked(chunk: JourneyChunk, windows: Windows) -> JourneyChunk:
    """Journeys as they were cut, dealt to their days: that of the conversion, or the one on which they close.

    Where windows vary, a journey closes when the last of those of its touchpoints does.
    """
    assert chunk.ended_at is not None
    moment = chunk.ended_at.copy()
    waiting = np.flatnonzero(chunk.conversion < 0)
    moment[waiting] = _closing(chunk.only(waiting), windows)
    return replace(chunk, bucket=moment // DAY)


def _closing(chunk: JourneyChunk, windows: Windows) -> NDArray[np.int64]:
    """(journeys,) when journeys without a conversion close; none of them is empty."""
    assert chunk.touched_at is not None
    assert chunk.ended_at is not None
    if not windows.vary or len(chunk) == 0:
        return chunk.ended_at + int(windows.length.max())
    code, touched_at = (gather_slices(of, chunk.start, chunk.stop) for of in (chunk.code, chunk.touched_at))
    return np.maximum.reduceat(touched_at + windows.of(code), chunk.offsets[:-1])
