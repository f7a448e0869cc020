"""How far models can disagree on these journeys, seen before any of them is fitted.

A model that divides each converting journey among its own channels gives a channel at least what it converted alone and
at most what it took part in. Between the two the choice of a model decides, and partly by the order of touchpoints:
that order is held against touchpoints in random order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.journeys.graph import graph_reader
from attribution.journeys.structure import JourneyChunk, Journeys, Reader, Summary, number, tally
from attribution.kernels.markov.absorption import removal_effects
from attribution.kernels.markov.chains import build_chain, frame
from attribution.kernels.markov.random_order import expected_steps, journey_words, shuffle_order
from attribution.kernels.markov.step_counts import Slices, count_steps, distinct_members, unpack
from attribution.kernels.statistics.dealing import path_words
from attribution.kernels.statistics.draws import draw_words, id_words
from attribution.kernels.statistics.sums import KeyedSums, merge_keyed, to_float

Floats = NDArray[np.float64]

SHUFFLES = 5
"""How often orders are drawn, to see how far chance alone moves credit."""

_STREAM = 0x6F72646572
"""Orders have nothing to do with other numbers that are drawn from the same customer."""


class OrderEffect(NamedTuple):
    """Share of conversions that a model credits to other channels than it would with touchpoints in random order.

    ``by_chance`` (shuffles,) is the same of orders that were drawn: what is not larger is no sign of anything.
    """

    share: float
    by_chance: Floats

    @property
    def is_information(self) -> bool:
        """Whether order says more than chance does: twice the largest share of all draws is hardly ever reached."""
        return self.share > 2.0 * float(self.by_chance.max(initial=0.0)) + 1e-9


@dataclass(frozen=True)
class CreditBounds:
    """What any model that divides each converting journey among its channels can credit to them.

    Attributes
    ----------
    channels : names
    alone, took_part : (channels,) conversions of journeys that touched no other channel, and of those it is in: the
        least and the most that such a model can credit to it
    alone_value, took_part_value : (channels,) the same of value
    conversions : of journeys with a touchpoint
    one_touchpoint, one_channel : those of journeys with a single touchpoint, and with a single channel
    repeated : those of journeys with several channels of which one touches more than once
    orders : how much the order of touchpoints matters, by ``first_touch``, ``last_touch`` and ``markov``; nothing where
        no converting journey has several channels
    """

    channels: tuple[str, ...]
    alone: Floats
    took_part: Floats
    alone_value: Floats
    took_part_value: Floats
    conversions: float
    one_touchpoint: float
    one_channel: float
    repeated: float
    orders: Mapping[str, OrderEffect]

    @property
    def disputed(self) -> float:
        """Conversions of journeys with several channels: two such models differ on no more than these."""
        return self.conversions - self.one_channel

    @property
    def disputed_share(self) -> float:
        """The same as a share of all conversions with a touchpoint; 0 where there are none."""
        return self.disputed / self.conversions if self.conversions > 0 else 0.0


def bounds_reader(journeys: Journeys) -> Reader:
    """What `assemble_bounds` needs of journeys."""
    return partial(_count, len(journeys.channels))


def assemble_bounds(summary: Summary, steps: Summary, channels: tuple[str, ...]) -> CreditBounds:
    """The bounds of what a `bounds_reader` has counted in journeys of ``channels``.

    Parameters
    ----------
    summary : of `bounds_reader`
    steps : of `attribution.journeys.graph.graph_reader`, of the same journeys
    """
    size = len(channels)
    alone, took_part, alone_value, took_part_value = (
        summary.dense(name, size) for name in ("alone", "took_part", "alone_value", "took_part_value")
    )
    return CreditBounds(
        channels,
        alone=alone,
        took_part=took_part,
        alone_value=alone_value,
        took_part_value=took_part_value,
        conversions=summary.number("conversions"),
        one_touchpoint=summary.number("one_touchpoint"),
        one_channel=summary.number("one_channel"),
        repeated=summary.number("repeated"),
        orders=_order_effects(summary, steps.tables["steps"], size) if "expected" in summary.tables else {},
    )


def credit_bounds(journeys: Journeys) -> CreditBounds:
    """How far models can disagree on ``journeys``.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> bounds = credit_bounds(at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search", "search"], "conversions": [3, 2]}))))
    >>> bounds.channels, bounds.alone.tolist(), bounds.took_part.tolist(), bounds.disputed_share
    (('mail', 'search'), [0.0, 2.0], [3.0, 5.0], 0.6)
    """
    summary, steps = journeys.read(bounds_reader(journeys), graph_reader(journeys))
    return assemble_bounds(summary, steps, journeys.channels)


# ---------------------------------------------------------------- reading


def _count(channels: int, chunk: JourneyChunk) -> Summary:
    touched = chunk.touched
    journeys = _slices(touched, channels)
    journey, member = distinct_members(journeys)
    distinct = np.bincount(journey, minlength=len(touched))
    is_single, has_several = distinct == 1, distinct > 1
    own = is_single[journey]
    conversions, value = touched.conversions, touched.value
    tables = {
        "took_part": tally(member, conversions[journey]),
        "took_part_value": tally(member, value[journey]),
        "alone": tally(member[own], conversions[journey[own]]),
        "alone_value": tally(member[own], value[journey[own]]),
        "conversions": number(conversions),
        "one_touchpoint": number(conversions[touched.lengths == 1]),
        "one_channel": number(conversions[is_single]),
        "repeated": number(conversions[has_several & (touched.lengths > distinct)]),
        "first": tally(touched.channel[touched.start], conversions),
    }
    single = touched.subset(is_single)
    tables["single"] = count_steps(_slices(single, channels), single.conversions, single.nulls, order=1)
    if not has_several.any():
        return Summary(tables)
    return Summary({**tables, **_steps_in_random_order(touched.subset(has_several), channels)})


def _steps_in_random_order(chunk: JourneyChunk, channels: int) -> dict[str, KeyedSums]:
    """Steps of journeys with several channels: ``expected``, and as each ``shuffle`` draws them.

    A path that stands for n journeys is drawn once and counts √n; what is left of n counts as expected. Mean and
    variance are then those of n journeys each drawn by itself.
    """
    converts, fails = np.flatnonzero(chunk.conversions > 0), np.flatnonzero(chunk.nulls > 0)
    words = _words(chunk, converts, fails)
    rows = np.concatenate([converts, fails])
    is_conversion = np.arange(len(rows)) < len(converts)
    journeys = _slices(chunk.subset(rows), channels)
    conversions, nulls = chunk.conversions[rows] * is_conversion, chunk.nulls[rows] * ~is_conversion
    whole = [np.asarray(each, np.float64) for each in (conversions, nulls)]
    tables = {"expected": expected_steps(journeys, *whole)}
    if chunk.customer_ids is None:
        conversions, nulls = (each / np.sqrt(np.maximum(each, 1.0)) for each in whole)
        tables["rest"] = expected_steps(journeys, whole[0] - conversions, whole[1] - nulls)
    for shuffle in range(SHUFFLES):
        shuffled = shuffle_order(journeys, words, shuffle)
        tables[f"shuffle/{shuffle}"] = count_steps(shuffled, conversions, nulls, order=1)
    return tables


def _words(chunk: JourneyChunk, converts: NDArray[np.intp], fails: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Random bits of what converts, and then of what fails; they depend on nothing but customer and time, or path."""
    rows = np.concatenate([converts, fails])
    if chunk.customer_ids is None or chunk.ended_at is None:
        counts = (np.asarray(each, np.float64) for each in (chunk.conversions, chunk.nulls, chunk.value))
        paths = draw_words(path_words((chunk.start, chunk.stop, chunk.channel), *counts), _STREAM)
        return np.asarray(journey_words(paths[rows], (np.arange(len(rows)) < len(converts)).astype(np.int64)))
    customers = draw_words(id_words(chunk.customer_ids), _STREAM)
    return np.asarray(journey_words(customers[chunk.customer[rows]], chunk.ended_at[rows]))


def _slices(chunk: JourneyChunk, channels: int) -> Slices:
    return Slices(chunk.start, chunk.stop, chunk.channel, channels)


# ---------------------------------------------------------------- credit of orders


def _order_effects(summary: Summary, steps: KeyedSums, size: int) -> dict[str, OrderEffect]:
    """How much of the credit of first touch, last touch and a chain of order 1 lies in the order of touchpoints."""
    conversions = summary.number("conversions")
    if not summary.number("one_channel") < conversions:
        return {}
    tables = summary.tables
    fixed = tables["single"] if "rest" not in tables else merge_keyed(tables["single"], tables["rest"])
    expected = merge_keyed(tables["single"], tables["expected"])
    shuffles = [merge_keyed(fixed, tables[f"shuffle/{shuffle}"]) for shuffle in range(SHUFFLES)]
    last = _last_touch(expected, size) / conversions
    chain = _removal_shares(expected, size)
    by_chance = np.array([_moved(_last_touch(each, size) / conversions, last) for each in shuffles])
    of_chain = np.array([_moved(_removal_shares(each, size), chain) for each in shuffles])
    # In random order the first touchpoint is drawn as the last one is.
    first_touch = summary.dense("first", size) / conversions
    return {
        "first_touch": OrderEffect(_moved(first_touch, last), by_chance),
        "last_touch": OrderEffect(_moved(_last_touch(steps, size) / conversions, last), by_chance),
        "markov": OrderEffect(_moved(_removal_shares(steps, size), chain), of_chain),
    }


def _moved(shares: Floats, from_shares: Floats) -> float:
    """Total variation: the share that lies elsewhere."""
    return float(np.abs(shares - from_shares).sum() / 2.0)


def _last_touch(steps: KeyedSums, size: int) -> Floats:
    """(channels,) conversions by the channel that they follow."""
    digits = unpack(steps.keys, channels=size, order=1)
    converts = digits[:, 1] == size
    return np.bincount(digits[converts, 0], to_float(steps.sums)[converts], size).astype(np.float64)


def _removal_shares(steps: KeyedSums, size: int) -> Floats:
    """(channels,) shares of the removal effects of the chain with these steps."""
    chain = build_chain(frame(steps.keys, steps.keys[:0], channels=size, order=1), to_float(steps.sums), np.zeros(0))
    effects = removal_effects(chain, size).effects[:, 0]
    whole = effects.sum()
    return effects / whole if whole > 0 else effects
