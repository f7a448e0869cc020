"""Draws of what all channels caused together: inverse distribution functions on Sobol points."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import softmax

from attribution.kernels.calibration.posterior import STEP, Posterior

Floats = NDArray[np.float64]


def draw_effects(posterior: Posterior, size: int) -> Floats:
    """(size, channels) effects, no more random than their number.

    The first coordinate of a point says which base holds and by how much all channels are shifted together, every
    further one what its channel caused given that.

    Parameters
    ----------
    posterior : as `attribution.kernels.calibration.posterior.calibrate` gives it
    size : a power of two covers the unit cube best
    """
    from scipy.stats import qmc  # takes long to load

    points = qmc.Sobol(1 + len(posterior.support), scramble=False).fast_forward(1).random(size)
    shares = [
        weight * softmax(base.log_shifts) for weight, base in zip(posterior.weights, posterior.bases, strict=True)
    ]
    cumulated = np.cumsum(np.concatenate(shares))
    state = np.minimum(np.searchsorted(cumulated, points[:, 0] * cumulated[-1]), len(cumulated) - 1)
    effects = np.empty((size, len(posterior.support)))
    first = 0
    for share, base in zip(shares, posterior.bases, strict=True):
        rows = np.flatnonzero((state >= first) & (state < first + len(share)))
        _invert(
            effects,
            rows,
            state[rows] - first,
            points[:, 1:],
            base.masses,
            base.nothing,
            np.exp(base.log_channels),
            posterior.likelihood,
            posterior.edges,
        )
        first += len(share)
    return effects


@njit(cache=True, nogil=True)
def _invert(effects, rows, shifts, points, masses, nothing, totals, likelihood, edges):
    cells = edges.shape[1] - 1
    for channel in range(len(masses)):
        can_act = 1.0 - nothing[channel]
        for at in range(len(rows)):
            row, shift = rows[at], shifts[at]
            left = points[row, channel] * totals[channel, shift] - nothing[channel] * likelihood[channel, 0]
            effects[row, channel] = 0.0
            if left <= 0 or can_act == 0:
                continue
            cell, mass = 0, 0.0
            while cell < cells:
                mass = can_act * masses[channel, shift + cell] * likelihood[channel, 1 + cell]
                if left <= mass:
                    break
                left -= mass
                cell += 1
            # Rounding may leave a little beyond the last cell.
            inside = STEP * left / mass if cell < cells else 0.0
            effects[row, channel] = np.exp(edges[channel, cell] + inside)
