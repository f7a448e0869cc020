"""How far two distributions lie apart, and how far stretches of one time series do by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution.kernels.statistics.draws import draw_words, uniform

Floats = NDArray[np.float64]

SMALLEST = 1e-4
"""A share below this counts as this: what was never seen is rare, and not impossible."""


def psi_terms(amounts: Floats, standard: Floats) -> Floats:
    """(…, bins) what each bin adds to the population stability index of ``amounts`` (…, bins) and ``standard`` (bins,).

    Amounts are made shares; where there are none at all, nothing is known to have moved.

    References
    ----------
    .. [1] B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", Journal of Risk Model
       Validation 14(4), 2020.

    Examples
    --------
    >>> psi_terms(np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([1.0, 1.0])).sum(axis=-1).round(6).tolist()
    [0.274653, 0.0]
    """
    shares, expected = to_shares(amounts), to_shares(standard)
    has_amounts = (shares.sum(axis=-1, keepdims=True) > 0) & (expected.sum() > 0)
    shares, expected = np.maximum(shares, SMALLEST), np.maximum(expected, SMALLEST)
    return np.where(has_amounts, (shares - expected) * np.log(shares / expected), 0.0)


def to_shares(amounts: Floats) -> Floats:
    """(…, bins) amounts ÷ their sum; all 0 where that is 0."""
    whole = amounts.sum(axis=-1, keepdims=True)
    result: Floats = np.divide(amounts, whole, out=np.zeros_like(amounts), where=whole > 0)
    return result


def stretch_weights(draws: int, days: int, length: int, *, block: int, seed: int) -> Floats:
    """(draws, days) how often each day counts in stretches of ``length`` days, put together of blocks of days.

    Blocks of ``block`` days follow each other in time, and the last day is followed by the first: what ties days
    together stays, and weekdays stay in proportion where a block is a week. Weights of a draw add up to ``days``.

    References
    ----------
    .. [1] D. N. Politis, J. P. Romano, "A circular block-resampling procedure for stationary data", in "Exploring the
       Limits of Bootstrap", Wiley 1992.

    Examples
    --------
    >>> stretch_weights(1, 14, 7, block=7, seed=1).sum().tolist()
    14.0
    """
    block = min(block, length)
    blocks = -(-length // block)
    words = draw_words(np.arange(draws * blocks, dtype=np.uint64), seed)
    begins = (uniform(words, 1) * days).astype(np.int64).reshape(draws, blocks)
    taken = ((begins[:, :, None] + np.arange(block)) % days).reshape(draws, -1)[:, :length]
    weights = np.zeros((draws, days))
    np.add.at(weights, (np.repeat(np.arange(draws), length), taken.ravel()), days / length)
    return weights
