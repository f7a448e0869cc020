"""Tables of what ROI and ranks do from specification to specification, and from draw to draw."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.kernels.statistics.decompositions import variances
from attribution.kernels.statistics.intervals import descending_ranks, percentile, rank_probabilities
from attribution.uncertainty.intervals_declared import ALL_MODELS, DIFFERENCES, RANK_PROBABILITY
from attribution.uncertainty.sensitivity.grid import AXES, Grid
from attribution.uncertainty.sensitivity.sensitivity_declared import (
    ROI_VARIANCE,
    SPECIFICATIONS,
)

Floats = NDArray[np.float64]

SAMPLING = "sampling"
INTERACTIONS = "interactions"
ORDER = "order"
"""What ``differences`` says of two channels between two models."""

_LARGE = 400
"""Numbers beyond 2 to this power are made smaller before they are squared, and squares added up."""


def specification_table(grid: Grid, level: float) -> pd.DataFrame:
    """The ``specifications`` table: every model, window, policy, cost basis and channel."""
    roi = grid.roi
    low, high = percentile(np.moveaxis(roi[..., 1:, :], -2, 0), level)
    estimate, spend = roi[..., 0, :], grid.spend[..., 0, :]
    value = np.broadcast_to(grid.returned[..., 0, :], estimate.shape)
    size = len(grid.channels)
    positions = np.indices(estimate.shape[:-1]).reshape(len(AXES), -1)
    chosen = {
        name: np.array(levels, dtype=object)[position]
        for name, levels, position in zip(AXES, grid.levels, positions, strict=True)
    }
    rows = pd.DataFrame(chosen).assign(
        estimand=np.array(grid.estimands, dtype=object)[positions[0]],
        lookback_days=chosen["lookback_days"].astype(float),
        basis=grid.basis,
        is_own=np.equal(positions[1:].T, grid.own).all(axis=1),
    )
    table = rows.loc[rows.index.repeat(size)].reset_index(drop=True)
    table["channel"] = np.tile(np.array(grid.channels, dtype=object), len(rows))
    columns = {"spend": spend, "value": value, "roi": estimate, "roi_low": low, "roi_high": high}
    table = table.assign(**{name: of.ravel() for name, of in columns.items()}, rank=_ranks(estimate).ravel())
    return table[list(SPECIFICATIONS.column_names)]


def joint_ranks(grid: Grid) -> pd.DataFrame:
    """Rows of ``rank_probability`` over all specifications and draws of ``grid``."""
    ranked = grid.ranked
    if not len(ranked):
        return pd.DataFrame(columns=list(RANK_PROBABILITY.column_names))
    scores = grid.roi[..., 1:, :][..., ranked]
    each = np.stack([rank_probabilities(of) for of in scores.reshape(-1, *scores.shape[-2:])])
    names = np.array(grid.channels, dtype=object)[ranked]
    size = len(names)
    columns = {
        "model": ALL_MODELS,
        "estimand": grid.estimands[0],
        "channel": np.repeat(names, size),
        "rank": np.tile(np.arange(1, size + 1), size),
        # Every specification has as many draws, so that the whole is the mean of its parts.
        "probability": each.mean(axis=0).ravel(),
        "least": each.min(axis=0).ravel(),
        "most": each.max(axis=0).ravel(),
    }
    return pd.DataFrame(columns)[list(RANK_PROBABILITY.column_names)]


def rank_swaps(grid: Grid) -> pd.DataFrame:
    """Rows of ``differences``: both models in the same window, policy, cost basis and draw."""
    ranked = grid.ranked
    scores = grid.roi[..., 1:, :][..., ranked]
    first, second = np.triu_indices(len(ranked), 1)
    draws = int(np.prod(scores.shape[1:-1]))
    orders = [np.sign(of[..., first] - of[..., second]).astype(np.int8).reshape(draws, len(first)) for of in scores]
    names = np.array(grid.channels, dtype=object)[ranked]
    parts = []
    for a, b in combinations(range(len(grid.models)), 2):
        apart = np.abs(orders[a] - orders[b]).mean(axis=0) / 2
        trade = np.flatnonzero(apart > 0)
        above_a, above_b = ((orders[model][:, trade].mean(axis=0) + 1) / 2 for model in (a, b))
        columns = {
            "model_a": grid.models[a],
            "model_b": grid.models[b],
            "channel_a": names[first[trade]],
            "channel_b": names[second[trade]],
            "measure": ORDER,
            "difference": above_a - above_b,
            "low": np.nan,
            "high": np.nan,
            "probability": apart[trade],
        }
        parts.append(pd.DataFrame(columns))
    columns_of = list(DIFFERENCES.column_names)
    return pd.concat(parts, ignore_index=True)[columns_of] if parts else pd.DataFrame(columns=columns_of)


def roi_variance(grid: Grid) -> pd.DataFrame:
    """The ``roi_variance`` table."""
    ranked = grid.ranked
    names = np.array(grid.channels, dtype=object)[ranked]
    scaled, scale = _within_reach(grid.roi[..., 1:, :][..., ranked])
    components = variances(scaled, len(AXES))
    sources = [*AXES, INTERACTIONS, SAMPLING]
    parts = np.vstack([components.main, components.interactions, components.between_draws])
    # By the sum of the parts, so that rounding leaves shares that add up.
    total = parts.sum(axis=0)
    share = np.divide(parts, total, out=np.full_like(parts, np.nan), where=total > 0)
    with_others = np.vstack([components.any, np.full_like(components.between_draws, np.nan), components.between_draws])
    share_any = np.divide(with_others, total, out=np.full_like(parts, np.nan), where=total > 0)
    with np.errstate(over="ignore"):
        variance = np.ldexp(parts, 2 * scale)
    columns = {
        "estimand": grid.estimands[0],
        "channel": np.repeat(names, len(sources)),
        "source": np.tile(np.array(sources, dtype=object), len(names)),
        "variance": np.where(np.isfinite(variance), variance, np.nan).T.ravel(),
        "share": share.T.ravel(),
        "share_any": share_any.T.ravel(),
    }
    return pd.DataFrame(columns)[list(ROI_VARIANCE.column_names)]


def _within_reach(roi: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """(…, channels) ROI divided by 2 ** scale, which is exact, and (channels,) scale.

    Squares of numbers beyond 1e154 are no numbers any more; what their variance is made of can be told all the same.
    """
    _, exponent = np.frexp(np.abs(roi).max(axis=tuple(range(roi.ndim - 1)), initial=0.0))
    scale = np.where(exponent > _LARGE, exponent, 0).astype(np.int64)
    return np.ldexp(roi, -scale), scale


def _ranks(roi: Floats) -> Floats:
    """Ranks along the last axis, those that are no number left out; ties share their average."""
    is_finite = np.isfinite(roi)
    ranks = descending_ranks(np.where(is_finite, roi, -np.inf).reshape(-1, roi.shape[-1])).reshape(roi.shape)
    return np.where(is_finite, ranks, np.nan)
