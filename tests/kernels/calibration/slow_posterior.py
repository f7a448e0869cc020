"""What channels caused, the slow way: plain integrals over fine grids, and brute force by drawing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from attribution.kernels.calibration.posterior import Assumed, Readings

Floats = NDArray[np.float64]


def assumed(*rows: tuple[float, float, float, float]) -> Assumed:
    return Assumed(*np.array(rows, dtype=float).T)


def reads(*rows: tuple[int, float, float]) -> Readings:
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return Readings(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])


def integrate(
    base: Floats, cap: Floats, terms: tuple[float, float, float, float], readings: Readings, above: Floats
) -> tuple[Floats, Floats, Floats, float]:
    """Of one base: means, probabilities of nothing, probabilities to exceed ``above``, and the likelihood of it all."""
    log_share, client, own, nothing = terms
    shift = np.linspace(-8 * client, 8 * client, 401)
    density = norm.pdf(shift, scale=client)
    parts = []
    for channel in range(len(cap)):
        centre, mine = np.log(base[channel]) + log_share, readings.channel == channel

        def weigh(log: Floats, power: int, centre=centre, mine=mine) -> Floats:
            """(shifts,) ∫ density · likelihood · effect^power over ``log``."""
            apart = (readings.effect[mine, None] - np.exp(log)) / readings.error[mine, None]
            says = np.exp(-0.5 * (apart**2).sum(axis=0) + power * log)
            return (1 - nothing) * np.trapezoid(norm.pdf(log, centre + shift[:, None], own) * says, log)

        top, bottom = np.log(cap[channel]), centre - 9 * np.hypot(client, own)
        zero = nothing * np.exp(-0.5 * ((readings.effect[mine] / readings.error[mine]) ** 2).sum())
        every, beyond = np.linspace(bottom, top, 6001), np.linspace(np.log(above[channel]), top, 3001)
        parts.append((weigh(every, 0) + zero, weigh(every, 1), np.full(len(shift), zero), weigh(beyond, 0)))
    together = density * np.prod([whole for whole, *_ in parts], axis=0)
    total = np.trapezoid(together, shift)
    shares = [[np.trapezoid(together * part[which] / part[0], shift) / total for part in parts] for which in (1, 2, 3)]
    return *np.array(shares), float(total)


def draw(
    base: Floats, cap: Floats, terms: tuple[float, float, float, float], readings: Readings, size: int
) -> tuple[Floats, Floats]:
    """Effects drawn from what is assumed, (size, channels), and how likely each draw makes the readings."""
    log_share, client, own, nothing = terms
    rng = np.random.default_rng(7)
    shift = rng.normal(0, client, (size, 1))
    effects = base * np.exp(log_share + shift + rng.normal(0, own, (size, len(base))))
    is_possible = effects <= cap
    is_nothing = rng.random((size, len(base))) < nothing
    effects = np.where(is_nothing, 0.0, effects)
    weight = (is_possible | is_nothing).all(axis=1).astype(float)
    for channel, effect, error in zip(*readings, strict=True):
        weight = weight * np.exp(-0.5 * ((effect - effects[:, channel]) / error) ** 2)
    return effects, weight
