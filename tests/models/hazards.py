"""Hazard models that were fitted on nothing: what they learned is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import attribution as at
from attribution.models.credit import ChannelTotals


def hazard(
    channels: Sequence[str],
    added_rate: Sequence[float],
    baseline_rate: float,
    *,
    half_lives: Sequence[float] = (7.0,),
    weights: Sequence[float] = (1.0,),
) -> at.AdditiveHazard:
    """A model for which a touchpoint of each channel adds so many conversions per day, beside those of the baseline."""
    model = at.AdditiveHazard(half_lives_days=list(half_lives), adjust="none", name="hazard")
    model.channels_ = tuple(channels)
    conversions = np.append(np.asarray(added_rate, dtype=float) * 100, 0.0)
    model.credit_ = ChannelTotals(model.channels_, conversions, conversions, (baseline_rate * 100, baseline_rate))
    model.restore(
        {
            "added_rate_": np.asarray(added_rate, dtype=float),
            "baseline_rate_": baseline_rate,
            "half_lives_": list(half_lives),
            "half_life_weights_": list(weights),
        }
    )
    return model
