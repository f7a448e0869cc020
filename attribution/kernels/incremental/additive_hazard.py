"""Solving an additive hazard: what each channel caused, and whether its touchpoints came by chance.

Everything is closed form on small matrices. Columns are stocks: that of channel c and half-life j is j · channels
+ c, and the longest half-life, if there is more than one kind of question to ask, is the memory that controls for
traits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_WEIGHT = 0.02
"""A half-life with less weight than this is left out."""

_RIDGE = 1e-10
_FLAT = 1e-7
"""A stock that varies less than this part of its square, within days, says nothing."""

_NOBODY = 1e-9
"""Customer-days at risk that are rounding."""

SINGULAR = 1e10
"""Condition number above which channels cannot be told apart."""


class Moments(NamedTuple):
    """What is left once days are taken out; P columns, C channels. Every array may have the same leading axes.

    Attributes
    ----------
    information : (P, P) ∫ x xᵀ
    conversions, value : (P,) Σ x at conversions
    arrivals : (C, P) Σ x at touchpoints of each channel
    counts : (C,) touchpoints at risk
    exposure : (P,) ∫ x, days
    at_risk : () customer-days at risk
    rate : () conversions per customer-day
    is_flat : (P,) columns without variation
    """

    information: Floats
    conversions: Floats
    value: Floats
    arrivals: Floats
    counts: Floats
    exposure: Floats
    at_risk: Floats
    rate: Floats
    is_flat: NDArray[np.bool_]


class Design(NamedTuple):
    """Which columns are what.

    Attributes
    ----------
    credited, unpaid : slots of channels whose effect is wanted, and of those that no money brings about
    halves : half-lives of stocks whose effect is wanted; the memory comes after them if ``has_memory``
    prior : (halves,) ln prior of each half-life
    """

    credited: Ints
    unpaid: Ints
    halves: int
    has_memory: bool
    prior: Floats

    def stocks(self, slots: Sequence[int] | Ints, half: int) -> Ints:
        """Columns of the stocks of these channels at one half-life."""
        return half * (len(self.credited) + len(self.unpaid)) + np.asarray(slots, dtype=np.int64)

    def memories(self, slots: Sequence[int] | Ints) -> Ints:
        """Columns of the memories of these channels."""
        return self.stocks(slots, self.halves)

    def histories(self, slots: Sequence[int] | Ints) -> Ints:
        """Columns of the stocks of these channels at the two shortest half-lives."""
        return np.concatenate([self.stocks(slots, half) for half in range(min(2, self.halves))])


class Thresholds(NamedTuple):
    """From where on arrivals are not by chance."""

    intent: float = 0.10
    trait: float = 0.05
    spread: float = 0.005
    z: float = 3.0


class Screening(NamedTuple):
    """How touchpoints of the credited channels arrive; (credited,) each.

    Attributes
    ----------
    intent, intent_z : slope of arrivals on the index of unpaid history
    trait, trait_z : slope on the channel's own memory, times its standard deviation
    spread, spread_z : squared CV of arrivals as other channels' memories predict them, beyond what chance gives
    follows_intent, follows_traits : flags
    """

    intent: Floats
    intent_z: Floats
    trait: Floats
    trait_z: Floats
    spread: Floats
    spread_z: Floats
    follows_intent: NDArray[np.bool_]
    follows_traits: NDArray[np.bool_]

    @property
    def is_flagged(self) -> NDArray[np.bool_]:
        """(credited,) whether touchpoints do not come by chance."""
        return self.follows_intent | self.follows_traits


class Effects(NamedTuple):
    """Credit of the credited channels; (…, 2, halves, credited) each: conversions and value for every half-life.

    ``corrected`` is that of channels which follow intent, ``ratio`` (…, halves) how much more unpaid history says of
    conversions than of unpaid touchpoints; ``variance`` (…, halves, credited) of plain credit for conversions, and
    ``added_variance`` what controlling for traits adds to it.
    """

    plain: Floats
    within: Floats
    corrected: Floats
    ratio: Floats
    variance: Floats
    added_variance: Floats


# ---------------------------------------------------------------- days out


class DailyTotals(NamedTuple):
    """What all customers add up to, before days are taken out; every array may have the same leading axes.

    Attributes
    ----------
    products : (P, P) ∫ x xᵀ
    stocks, at_risk : (D, P) and (D,) ∫ x and ∫ 1 over each day
    conversions, value : (D,)
    at_conversions, at_value : (P,) Σ x at conversions
    at_arrivals, arrivals : (C, P) and (C, D) Σ x at touchpoints of each channel, and their number
    """

    products: Floats
    stocks: Floats
    at_risk: Floats
    conversions: Floats
    value: Floats
    at_conversions: Floats
    at_value: Floats
    at_arrivals: Floats
    arrivals: Floats

    def weigh(self, weights: Floats) -> DailyTotals:
        """Totals of draws, from those of buckets along the first axis; ``weights`` (draws, buckets)."""
        return DailyTotals(*(np.tensordot(weights, array, 1) for array in self))


def total(tables: Mapping[str, Floats], rate: Floats) -> DailyTotals:
    """Totals from the sums of `attribution.kernels.incremental.risk_tables.Layout`.

    Parameters
    ----------
    tables : by name, all of them with the same leading axes or none
    rate : (fading,) per day
    """
    rates = np.repeat(rate, tables["additions"].shape[-1])
    return DailyTotals(
        _integrate_products(tables, rates),
        _integrate(tables["part"] - tables["stop_part"], _flow(tables, rates), rates),
        _integrate_risk(tables),
        *(tables[name] for name in DailyTotals._fields[3:]),
    )


def join_days(totals: DailyTotals) -> DailyTotals:
    """Totals of days from those of each by itself, along the first axis."""
    return DailyTotals(
        totals.products.sum(axis=0),
        totals.stocks[:, 0],
        totals.at_risk[:, 0],
        totals.conversions[:, 0],
        totals.value[:, 0],
        totals.at_conversions.sum(axis=0),
        totals.at_value.sum(axis=0),
        totals.at_arrivals.sum(axis=0),
        totals.arrivals[..., 0].T,
    )


def _flow(tables: Mapping[str, Floats], rate: Floats) -> Floats:
    """(…, days, columns) what is left, at the end of each day, of all that came and went on it."""
    additions = tables["additions"]
    added = np.tile(additions, len(rate) // additions.shape[-1])
    return np.asarray(added + tables["entered"] - tables["stopped"] - rate * (tables["part"] - tables["stop_part"]))


def _integrate(today: Floats, left: Floats, rate: Floats) -> Floats:
    """(…, days, columns) ∫ x over each day.

    Parameters
    ----------
    today : (…, days, columns) what comes on a day adds, and what goes takes, over the rest of it
    left : (…, days, columns) how much of it is left at the end of the day
    rate : (columns,) per day
    """
    fades = np.exp(-rate)
    whole = np.divide(-np.expm1(-rate), rate, out=np.ones_like(rate), where=rate > 0)
    daily = today.copy()
    state = np.zeros_like(daily[..., 0, :])
    for day in range(1, daily.shape[-2]):
        state = fades * state + left[..., day - 1, :]
        daily[..., day, :] += state * whole
    return daily


def _integrate_risk(tables: Mapping[str, Floats]) -> Floats:
    """(…, days) customer-days at risk."""
    there = np.cumsum(tables["risk_impulse"] - tables["risk_stop_impulse"], axis=-1)
    return np.maximum(there + tables["risk_part"] - tables["risk_stop_part"], 0.0)


def _integrate_products(tables: Mapping[str, Floats], rate: Floats) -> Floats:
    """(…, columns, columns) ∫ x xᵀ: what products of stocks gain by additions and lose at the end has faded meanwhile.

    ``rate`` (columns,) per day.
    """
    additions = tables["additions"].sum(axis=-2)
    slots = additions.shape[-1]
    slot = np.tile(np.arange(slots), len(rate) // slots)
    crossed = tables["at_additions"][..., slot, :]  # row p: stocks when something is added to the channel of p
    own = np.where(slot[:, None] == slot, additions[..., slot, None], 0.0)
    half = tables["entry_products"] - tables["stop_products"] + crossed
    return np.asarray((half + np.swapaxes(half, -1, -2) + own) / (rate[:, None] + rate))


def centre(totals: DailyTotals, untouched: Floats | float = 0.0) -> Moments:
    """What is left of totals with a free baseline every day.

    Parameters
    ----------
    totals : with any leading axes
    untouched : (days,) customer-days at risk beyond them
    """
    at_risk = totals.at_risk + untouched
    mean = np.divide(
        totals.stocks, at_risk[..., None], out=np.zeros_like(totals.stocks), where=at_risk[..., None] > _NOBODY
    )
    information = totals.products - np.swapaxes(totals.stocks, -1, -2) @ mean
    everybody = at_risk.sum(axis=-1)
    return Moments(
        information,
        totals.at_conversions - (totals.conversions[..., None, :] @ mean)[..., 0, :],
        totals.at_value - (totals.value[..., None, :] @ mean)[..., 0, :],
        totals.at_arrivals - totals.arrivals @ mean,
        totals.arrivals.sum(axis=-1),
        totals.stocks.sum(axis=-2),
        everybody,
        totals.conversions.sum(axis=-1) / np.maximum(everybody, _NOBODY),
        _diagonal(information) <= _FLAT * _diagonal(totals.products),
    )


# ---------------------------------------------------------------- least squares on small matrices


def _diagonal(matrices: Floats) -> Floats:
    return np.diagonal(matrices, axis1=-2, axis2=-1)


def _without(matrices: Floats, is_out: NDArray[np.bool_]) -> Floats:
    """Matrices whose rows and columns that are out are those of the unit matrix."""
    return np.where(_crossed(is_out), np.eye(is_out.shape[-1]), matrices)


def _crossed(is_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(…, columns, columns) whether the row or the column is out."""
    return np.asarray(is_out[..., :, None] | is_out[..., None, :])


def invert(moments: Moments, columns: Ints) -> Floats:
    """Inverse of the information of ``columns``, scaled and with a tiny ridge; 0 for columns without variation."""
    is_flat, one = moments.is_flat[..., columns], np.eye(len(columns))
    block = _without(moments.information[..., columns[:, None], columns], is_flat)
    scale = 1.0 / np.sqrt(_diagonal(block))
    scale = scale[..., :, None] * scale[..., None, :]
    scaled = block * scale
    tamed = np.linalg.inv(scaled + _RIDGE * one)
    # One step towards the inverse without the ridge, which leaves its square.
    refined = tamed @ (2 * one - scaled @ tamed)
    return np.where(_crossed(is_flat), 0.0, refined * scale)


def conditional(inverse: Floats, of: slice) -> Floats:
    """Information about some columns once the others are controlled for, from the inverse of all."""
    block = inverse[..., of, of]
    is_out = _diagonal(block) <= 0
    return np.where(_crossed(is_out), 0.0, np.linalg.inv(_without(block, is_out)))


def inseparable(moments: Moments, columns: Ints) -> Ints:
    """Positions among ``columns`` that cannot be told apart; none where all can."""
    used = np.flatnonzero(~moments.is_flat[columns])
    if len(used) < 2:
        return used[:0]
    block = moments.information[np.ix_(columns[used], columns[used])]
    scale = 1.0 / np.sqrt(np.diag(block))
    values, vectors = np.linalg.eigh(block * scale[:, None] * scale)
    if values[0] * SINGULAR > values[-1]:
        return used[:0]
    return np.asarray(used[np.abs(vectors[:, 0]) > 0.1])


# ---------------------------------------------------------------- do touchpoints come by chance


def screen(moments: Moments, design: Design, thresholds: Thresholds) -> Screening:
    """Which credited channels reach customers who were about to convert, or who are of a kind."""
    rows = [
        (*_intent(moments, design, slot), *_traits(moments, design, row)) for row, slot in enumerate(design.credited)
    ]
    intent, intent_z, trait, trait_z, spread, spread_z = np.array(rows).reshape(-1, 6).T
    follows_traits = (trait > thresholds.trait) & (trait_z > thresholds.z)
    follows_traits |= (spread > thresholds.spread) & (spread_z > thresholds.z)
    follows_intent = (intent > thresholds.intent) & (intent_z > thresholds.z)
    return Screening(intent, intent_z, trait, trait_z, spread, spread_z, follows_intent, follows_traits)


def unscreened(channels: int) -> Screening:
    """Where nothing tells how touchpoints arrive."""
    no, never = np.zeros(channels), np.zeros(channels, bool)
    return Screening(no, no, no, no, no, no, never, never)


def _intent(moments: Moments, design: Design, slot: int) -> tuple[float, float]:
    """Slope of the arrivals of a channel on the index of unpaid history, and its z."""
    history = design.histories(design.unpaid)
    paid = design.stocks(design.credited, min(1, design.halves - 1))
    columns = np.concatenate([history, paid, design.memories(design.credited)])
    rates = moments.counts / moments.at_risk
    rate, unpaid_rate = rates[slot], rates[design.unpaid].sum()
    if rate <= 0 or unpaid_rate <= 0:
        return 0.0, 0.0
    inverse, own = invert(moments, columns), slice(0, len(history))
    information = conditional(inverse, own)
    of_channel = (inverse @ moments.arrivals[slot][columns])[own] / rate
    of_unpaid = (inverse @ moments.arrivals[design.unpaid].sum(axis=0)[columns])[own] / unpaid_rate
    length = float(of_unpaid @ information @ of_unpaid)
    if length <= 0:
        return 0.0, 0.0
    slope = float(of_channel @ information @ of_unpaid) / length
    return slope, slope * np.sqrt(length * rate)


def _traits(moments: Moments, design: Design, row: int) -> tuple[float, float, float, float]:
    """Slope of the arrivals of a channel on its own memory, spread by the memories of others, and their z."""
    columns, count = design.memories(design.credited), moments.counts[design.credited[row]]
    if count <= 0:
        return 0.0, 0.0, 0.0, 0.0
    rate = count / moments.at_risk
    inverse = invert(moments, columns)
    slopes = inverse @ moments.arrivals[design.credited[row]][columns] / rate
    own = inverse[row, row]
    trait, trait_z = 0.0, 0.0
    if own > 0:
        trait = slopes[row] * np.sqrt(moments.information[columns[row], columns[row]] / moments.at_risk)
        trait_z = slopes[row] * np.sqrt(rate / own)
    other = np.delete(np.arange(len(columns)), row)
    freedom = len(other)
    if not freedom:
        return trait, trait_z, 0.0, 0.0
    block = moments.information[np.ix_(columns[other], columns[other])]
    squared = float(slopes[other] @ block @ slopes[other]) / moments.at_risk
    return trait, trait_z, squared - freedom / count, (count * squared - freedom) / np.sqrt(2 * freedom)


# ---------------------------------------------------------------- effects


def weigh_half_lives(moments: Moments, design: Design, is_flagged: NDArray[np.bool_]) -> Floats:
    """(…, halves) how much each half-life counts, by how well unflagged channels explain conversions with it."""
    channels, rate = design.credited[~is_flagged], moments.rate
    log = np.broadcast_to(design.prior, (*np.shape(rate), design.halves)).copy()
    if len(channels) >= 2:
        for half in range(design.halves):
            columns = design.stocks(channels, half)
            score = moments.conversions[..., columns]
            explained = (score * (score[..., None, :] @ invert(moments, columns))[..., 0, :]).sum(axis=-1)
            log[..., half] += np.divide(explained, 2 * rate, out=np.zeros_like(explained), where=rate > 0)
    weights = np.exp(log - log.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    weights[weights < LEAST_WEIGHT] = 0.0
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def estimate(moments: Moments, design: Design, screening: Screening) -> Effects:
    """Credit of every credited channel, for every half-life, in three ways."""
    lead, channels = moments.conversions.shape[:-1], len(design.credited)
    traits = design.memories(design.credited[screening.follows_traits & ~screening.follows_intent])
    plain, within, corrected = (np.zeros((*lead, 2, design.halves, channels)) for _ in range(3))
    ratio = np.full((*lead, design.halves), np.nan)
    variance, added = np.zeros((2, *lead, design.halves, channels))
    for half in range(design.halves):
        own = design.stocks(design.credited, half)
        exposure = moments.exposure[..., own]
        spread = np.asarray(moments.rate)[..., None] * exposure**2
        inverse = invert(moments, own)
        plain[..., half, :] = _slopes(moments, own, inverse) * exposure[..., None, :]
        variance[..., half, :] = spread * _diagonal(inverse)
        within[..., half, :] = plain[..., half, :]
        if len(traits):
            columns = np.concatenate([own, traits])
            inverse = invert(moments, columns)
            within[..., half, :] = _slopes(moments, columns, inverse)[..., :channels] * exposure[..., None, :]
            added[..., half, :] = spread * _diagonal(inverse)[..., :channels] - variance[..., half, :]
        corrected[..., half, :] = within[..., half, :]
        if screening.follows_intent.any() and len(design.unpaid) >= 2:
            slopes, ratio[..., half] = correct(moments, design, np.concatenate([own, traits]))
            corrected[..., half, :] = slopes[..., :channels] * exposure[..., None, :]
    return Effects(plain, within, corrected, ratio, variance, added)


def correct(moments: Moments, design: Design, columns: Ints) -> tuple[Floats, Floats]:
    """Slopes of ``columns`` less what the touchpoints of an unpaid channel, which cause nothing, say of them.

    Unpaid history tells how much more a change of intent moves conversions than it moves an unpaid channel.

    Returns
    -------
    slopes : (…, 2, columns) for conversions and value, averaged over unpaid channels
    ratio : (…) of conversions, averaged
    """
    slopes, ratios = [], []
    for channel in design.unpaid:
        history = design.histories(design.unpaid[design.unpaid != channel])
        every = np.concatenate([columns, history])
        inverse = invert(moments, every)
        effects = _slopes(moments, every, inverse)
        arrivals = inverse @ moments.arrivals[..., channel, every, None]  # a column
        rest = slice(len(columns), None)
        direction = conditional(inverse, rest) @ arrivals[..., rest, :]
        length = (direction * arrivals[..., rest, :]).sum(axis=-2, keepdims=True)
        along = effects[..., rest] @ direction
        ratio = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
        before = slice(len(columns))
        slopes.append(effects[..., before] - ratio * np.swapaxes(arrivals[..., before, :], -1, -2))
        ratios.append(ratio[..., 0, 0])
    return np.mean(slopes, axis=0), np.mean(ratios, axis=0)


def _slopes(moments: Moments, columns: Ints, inverse: Floats) -> Floats:
    """(…, 2, columns) regression of conversions and of value on ``columns``."""
    return np.stack([moments.conversions[..., columns], moments.value[..., columns]], axis=-2) @ inverse


def publish(effects: Effects, screening: Screening, takes_within: NDArray[np.bool_]) -> Floats:
    """(…, 2, halves, credited) the credit that is published: corrected, within or plain."""
    result = np.where(takes_within, effects.within, effects.plain)
    return np.where(screening.follows_intent, effects.corrected, result)


def average(by_half: Floats, half_lives: Floats) -> Floats:
    """(…, 2, credited) credit (…, 2, halves, credited) averaged by how much each half-life counts (…, halves)."""
    return np.asarray(np.einsum("...j,...wjc->...wc", half_lives, by_half))
