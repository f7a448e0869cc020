r"""What each channel caused, given what models credit it with and what tests measured.

The effect of channel c is θ_c = 0 with a fixed chance. Else ln θ_c = ln base_c + log_share + a + channel_spread · z_c,
with z_c ~ N(0, 1), a ~ N(0, client_spread²) the same for all channels, and θ_c ≤ cap_c. A reading is N(θ_c, error²).
Several bases are averaged by how well they foretell the readings.

ln θ and a have cells of one width, and those of ln θ end at ln cap_c whatever the base. So what a base says of a
channel is one row of normal masses, read from another column on for every a: sums over cells are correlations. Bases
share their cells: a mixture is a sum of rows. And all that the readings of other channels say of a channel is one row,
too, which any readings of its own multiply: all of them, or all but one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP = 0.01
"""Width of a cell: one per cent."""

FINEST = STEP
"""Readings are never taken for more exact than this share of themselves: one cell, or they would fall between two."""

_REACH, _SHIFT_REACH = 6.0, 5.0
_BELOW_CAP = 4.0
_FINEST_OF_ALL = 1e-6
_LEAST = 1e-290
"""Stands for masses that are too small for a float: whatever is impossible before a reading yields to the reading."""


class Assumed(NamedTuple):
    """What is assumed of each base before any test, (bases,) each.

    Attributes
    ----------
    log_share : ln of the share of its credit that a channel typically causes
    client_spread : standard deviation of what is the same for all channels
    channel_spread : standard deviation of what is a channel's own
    nothing : probability that a channel causes nothing
    """

    log_share: Floats
    client_spread: Floats
    channel_spread: Floats
    nothing: Floats


class Readings(NamedTuple):
    """Tests, (readings,) each: position of the channel, effect, and its standard error."""

    channel: Ints
    effect: Floats
    error: Floats


class Combined(NamedTuple):
    """What several readings of one channel say together, (rows,) each.

    Attributes
    ----------
    effect, error : of the one reading that says the same; an infinite error where there is none
    disagreement : logarithm of how likely it is that they lie as far apart as they do
    """

    effect: Floats
    error: Floats
    disagreement: Floats


class Base(NamedTuple):
    """One base after the readings.

    Attributes
    ----------
    masses : (channels, cells + shifts − 1) of the prior; those at shift k begin at column k
    nothing : (channels,) prior probability of no effect
    log_shifts : (shifts,) logarithm of prior times likelihood of each shift
    log_channels : (channels, shifts) logarithm of the likelihood of each channel's readings
    """

    masses: Floats
    nothing: Floats
    log_shifts: Floats
    log_channels: Floats


@dataclass(frozen=True)
class Posterior:
    """What each channel caused, as masses of cells; the first cell of a row is no effect at all.

    Attributes
    ----------
    support : (channels, 1 + cells) effect in each cell, ascending
    edges : (channels, 1 + cells) ln of the effect between the cells
    carried : (channels, 1 + cells) what all but a channel's own readings say, up to a factor
    likelihood : (channels, 1 + cells) of a channel's own readings, at most 1
    readings : in the order in which they are summed
    bases : each of them
    log_evidence : (bases,) ln of the likelihood of all readings
    weights : (bases,) probability of each
    """

    support: Floats
    edges: Floats
    carried: Floats
    likelihood: Floats
    readings: Readings
    bases: tuple[Base, ...]
    log_evidence: Floats
    weights: Floats

    @cached_property
    def masses(self) -> Floats:
        """(channels, 1 + cells) probability of each cell."""
        return _normalise(self.carried * self.likelihood)

    @property
    def nothing(self) -> Floats:
        """(channels,) probability of no effect."""
        return self.masses[:, 0]

    @property
    def means(self) -> Floats:
        """(channels,)"""
        return np.asarray((self.masses * self.support).sum(axis=1))

    @cached_property
    def _cumulated(self) -> Floats:
        sums = np.cumsum(self.masses, axis=1)
        return np.asarray(sums / sums[:, -1:])

    def quantiles(self, level: float) -> Floats:
        """(channels,) the least effect with a probability of ``level`` that it is not exceeded."""
        rows = zip(self._cumulated, self.edges, strict=True)
        return np.array([0.0 if level <= row[0] else np.exp(np.interp(level, row, edges)) for row, edges in rows])

    def exceeding(self, thresholds: Floats) -> Floats:
        """(channels,) probability that the effect is above the threshold (channels,) of its channel, null for null."""
        logs = np.full(len(thresholds), -np.inf)
        np.log(thresholds, out=logs, where=~(thresholds <= 0))
        rows = zip(logs, self.edges, self._cumulated, strict=True)
        above = np.array([1.0 - np.interp(*row) for row in rows])
        return np.where(thresholds < 0, 1.0, above)


def calibrate(base: Floats, cap: Floats, assumed: Assumed, readings: Readings) -> Posterior:
    """Bring credit and readings together.

    Parameters
    ----------
    base : (bases, channels) > 0, what each of them credits
    cap : (channels,) ≥ 0, the most that each channel can have caused; with 0 it has caused nothing
    assumed : of each base
    readings : in any order

    Examples
    --------
    >>> one = Assumed(*(np.array([number]) for number in (-1.0, 0.45, 0.8, 0.15)))
    >>> test = Readings(np.array([0]), np.array([40.0]), np.array([15.0]))
    >>> posterior = calibrate(np.array([[100.0, 200.0, 50.0]]), np.array([300.0, 500.0, 120.0]), one, test)
    >>> posterior.means.round(2).tolist(), float(posterior.nothing[0].round(4))
    ([35.17, 82.3, 20.43], 0.012)
    """
    can_act = cap > 0
    top = np.log(np.where(can_act, cap, 1.0))
    location = np.log(np.where(can_act, base, 1.0)) + assumed.log_share[:, None]
    reach = _REACH * np.hypot(assumed.channel_spread, assumed.client_spread)
    lowest = np.minimum((location - reach[:, None]).min(axis=0), top - _BELOW_CAP)
    cells = int(np.ceil((top - lowest).max() / STEP))
    edges = top[:, None] - STEP * np.arange(cells, -1, -1)
    support = np.column_stack([np.zeros(len(cap)), np.diff(np.exp(edges), axis=1) / STEP])
    readings = _sort(readings, cap)
    own = combine(readings.channel == np.arange(len(cap))[:, None], readings)
    likelihood, log_scale = _likelihood(support, own, can_act)
    bases = tuple(
        _weigh_base(edges, likelihood, each, Assumed(*terms), np.where(can_act, terms[3], 1.0))
        for each, terms in zip(location, zip(*assumed, strict=True), strict=True)
    )
    evidence = np.array([logsumexp(each.log_shifts) for each in bases])
    return Posterior(
        support,
        edges,
        _carry(bases),
        likelihood,
        readings,
        bases,
        evidence + float(log_scale.sum() + own.disagreement.sum()),
        np.exp(evidence - logsumexp(evidence)),
    )


def combine(belongs: NDArray[np.bool_], readings: Readings) -> Combined:
    """Readings of one channel as one.

    Parameters
    ----------
    belongs : (rows, readings) whether a reading is of the row

    Examples
    --------
    >>> readings = Readings(np.zeros(2, int), np.array([40.0, 60.0]), np.array([15.0, 20.0]))
    >>> both = combine(np.ones((1, 2), bool), readings)
    >>> both.effect.round(3).tolist(), both.error.round(3).tolist()
    ([47.2], [12.0])
    """
    precision = np.where(belongs, readings.error**-2.0, 0.0)
    total = precision.sum(axis=1)
    is_read = total > 0
    effect = np.divide(precision @ readings.effect, total, out=np.zeros(len(total)), where=is_read)
    error = np.divide(1.0, np.sqrt(total), out=np.full(len(total), np.inf), where=is_read)
    apart = np.where(belongs, (readings.effect - effect[:, None]) / readings.error, 0.0)
    return Combined(effect, np.maximum(error, FINEST * np.abs(effect)), -0.5 * (apart**2).sum(axis=1))


def hold_against_rest(posterior: Posterior) -> tuple[Floats, Floats]:
    """What the other readings, of all channels, foretell of each reading, in the order of ``posterior.readings``.

    Returns
    -------
    expected : (readings,) mean
    lower : (readings,) probability of a reading that is as low or lower
    """
    channel, effect, error = posterior.readings
    rest = (channel == channel[:, None]) & ~np.eye(len(channel), dtype=bool)
    support = posterior.support[channel]
    likelihood, _ = _likelihood(support, combine(rest, posterior.readings), support[:, 1] > 0)
    masses = _normalise(posterior.carried[channel] * likelihood)
    below = ndtr((effect[:, None] - support) / error[:, None])
    return (masses * support).sum(axis=1), (masses * below).sum(axis=1)


def _sort(readings: Readings, cap: Floats) -> Readings:
    """In an order of their own, so that sums do not depend on that of rows; none with an error that is next to none."""
    channel, effect, error = readings
    error = np.maximum(error, _FINEST_OF_ALL * np.maximum(np.maximum(cap[channel], np.abs(effect)), 1.0))
    order = np.lexsort((error, effect, channel))
    return Readings(channel[order], effect[order], error[order])


def _likelihood(support: Floats, own: Combined, can_act: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(rows, 1 + cells) likelihood over its largest value, and (rows,) the logarithm of that."""
    log = -0.5 * ((own.effect[:, None] - support) / own.error[:, None]) ** 2
    log[~can_act, 1:] = -np.inf
    scale = log.max(axis=1)
    return np.exp(log - scale[:, None]), scale


def _weigh_base(edges: Floats, likelihood: Floats, location: Floats, assumed: Assumed, nothing: Floats) -> Base:
    """One base, with what its shifts are worth by the readings.

    ``location`` (channels,) typical ln of an effect; ``assumed`` of this base alone, numbers.
    """
    side = int(np.ceil(_SHIFT_REACH * assumed.client_spread / STEP))
    ends = (np.arange(-side, side + 2) - 0.5) * STEP / assumed.client_spread
    prior = np.maximum(np.diff(ndtr(ends)), _LEAST)
    beyond = STEP * np.arange(1, side + 1)
    every = np.concatenate([edges[:, :1] - beyond[::-1], edges, edges[:, -1:] + beyond], axis=1) - location[:, None]
    masses = np.maximum(_between(every[:, :-1], every[:, 1:], assumed.channel_spread), _LEAST)
    effects = [np.correlate(row, of, "valid") for row, of in zip(masses, likelihood[:, 1:], strict=True)]
    log_channels = np.log(
        np.maximum((1.0 - nothing[:, None]) * np.array(effects) + (nothing * likelihood[:, 0])[:, None], _LEAST)
    )
    return Base(masses, nothing, np.log(prior / prior.sum()) + log_channels.sum(axis=0), log_channels)


def _between(low: Floats, high: Floats, spread: Floats) -> Floats:
    """Normal mass between two bounds, taken from the side where it does not vanish."""
    is_above = low + high > 0
    return np.asarray(ndtr(np.where(is_above, -low, high) / spread) - ndtr(np.where(is_above, -high, low) / spread))


def _carry(bases: tuple[Base, ...]) -> Floats:
    """(channels, 1 + cells) what bases and the readings of other channels say, scaled for each channel."""
    rows = []
    for channel in range(len(bases[0].masses)):
        logs = [base.log_shifts - base.log_channels[channel] for base in bases]
        scale = max(each.max() for each in logs)
        parts = []
        for base, log in zip(bases, logs, strict=True):
            shifts, nothing = np.exp(log - scale), base.nothing[channel]
            effects = (1.0 - nothing) * np.correlate(base.masses[channel], shifts, "valid")
            parts.append(np.append(nothing * shifts.sum(), effects))
        rows.append(np.sum(parts, axis=0))
    return np.array(rows)


def _normalise(masses: Floats) -> Floats:
    return np.asarray(masses / masses.sum(axis=1, keepdims=True))
