"""Published channel totals made into weights of touchpoints that hand out exactly those totals, or the nearest.

A model may publish totals that no way of handing out conversions journey by journey can reach: a channel cannot get
fewer conversions than it alone touched, nor more than it took part in, and the same holds for groups of channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.data.loading.findings import listed
from attribution.journeys import JourneyChunk
from attribution.kernels.credit.raking import Raked, rake, spread
from attribution.kernels.shapley.coalitions import coalitions, members
from attribution.kernels.statistics.sums import KeyedSums, sum_by_key, to_float
from attribution.schema.tables import RECONCILIATION

Floats = NDArray[np.float64]

IMPOSSIBLE = 1e-9
"""Relative; a group that must have this much more than it was given counts as impossible."""


@dataclass(frozen=True)
class Reconciliation:
    """What channels were given, what journeys can hand out to them, and how.

    Attributes
    ----------
    channels : names
    published : (channels,) conversions that the model credits
    handed_out : (channels,) conversions that journeys hand out with these weights: what was published where that
        is possible and the journeys' conversions are all published, else the nearest totals that are possible
    alone : (channels,) conversions of journeys that touched no other channel, of which it gets all
    took_part : (channels,) conversions of journeys that it is in
    log_weights : (channels,) logarithm of the channel's weight in any journey, see `weights`
    groups : positions of the channels of each group that must have more than it was given; journeys that touched
        only channels of this group and of those before it leave it no less
    """

    channels: tuple[str, ...]
    published: Floats
    handed_out: Floats
    alone: Floats
    took_part: Floats
    log_weights: Floats
    groups: tuple[tuple[int, ...], ...]

    def to_frame(self) -> pd.DataFrame:
        """The ``reconciliation`` table without its first column, the model: one row per channel."""
        number = {place: group for group, places in enumerate(self.groups, start=1) for place in places}
        columns = {
            "channel": list(self.channels),
            "published": self.published,
            "handed_out": self.handed_out,
            "alone": self.alone,
            "took_part": self.took_part,
            "gap": self.handed_out - self.published,
            "group": pd.array([number.get(place, pd.NA) for place in range(len(self.channels))], dtype="Int64"),
        }
        return pd.DataFrame(columns)[list(RECONCILIATION.column_names[1:])]

    def findings(self, label: str) -> list[Finding]:
        """One finding if the totals of the model ``label`` are impossible, else none."""
        if not self.groups:
            return []
        total = float(self.handed_out.sum())
        given = _to_hand_out(self.published, total)
        moved = float(np.abs(self.handed_out - given).sum() / 2)
        among = np.zeros(len(self.channels), dtype=bool)
        among[[place for places in self.groups for place in places]] = True
        message = (
            f"{label} credits {self._broken(among, given)}: no hand-out of whole journeys adds up to that. The credit "
            f"of journeys adds up to the nearest totals that are possible, {_shown(moved)} of {_shown(total)} "
            f"conversions away (see reconciliation)"
        )
        example = self.channels[int(np.argmax(self.handed_out - given))]
        return [count_finding("impossible_totals", "journeys", moved, message, total=total, example=example)]

    def _broken(self, among: NDArray[np.bool_], given: Floats) -> str:
        """The bound that is broken, said of the channels ``among`` or of the others, whichever are fewer."""
        others = ~among & (given > 0)
        too_little = 2 * among.sum() <= len(among) or not others.any()
        chosen = among if too_little else others
        worst = np.argsort(-np.abs(self.handed_out - given), kind="stable")
        names = listed([self.channels[place] for place in worst if chosen[place]])
        bound = float(self.handed_out[chosen].sum())
        credited = f"{_shown(float(given[chosen].sum()))} conversions to {names}"
        if too_little:
            return f"{credited}, and {_shown(bound)} came from journeys that touched no other channel"
        return f"{credited}, and only {_shown(bound)} came from journeys that touched any of these"


def state_of(found: Reconciliation) -> dict[str, Any]:
    """A reconciliation as what JSON and Parquet can hold; see `reconciliation_of`."""
    arrays = {name: getattr(found, name) for name in _PER_CHANNEL}
    return {**arrays, "groups": [list(group) for group in found.groups]}


def reconciliation_of(channels: tuple[str, ...], state: Mapping[str, Any]) -> Reconciliation:
    """The reconciliation that `state_of` was given."""
    arrays = {name: np.asarray(state[name], dtype=np.float64) for name in _PER_CHANNEL}
    return Reconciliation(channels, groups=tuple(tuple(group) for group in state["groups"]), **arrays)


_PER_CHANNEL = ("published", "handed_out", "alone", "took_part", "log_weights")


def coalition_table(chunk: JourneyChunk, channels: int) -> KeyedSums:
    """Conversions by the set of channels that were touched, for use in `AttributionModel.summarise`.

    Parameters
    ----------
    chunk : journeys
    channels : how many there are

    Returns
    -------
    KeyedSums
        Conversions of journeys that have touchpoints, by packed coalition, see
        `attribution.kernels.shapley.coalitions`.
    """
    handed_out = chunk.only((chunk.conversions > 0) & (chunk.lengths > 0))
    keys = coalitions(handed_out.start, handed_out.stop, handed_out.channel, channels)
    return sum_by_key(keys, handed_out.conversions.astype(np.float64))


def reconcile(table: KeyedSums, totals: Floats, channels: tuple[str, ...]) -> Reconciliation:
    """Weights of channels with which journeys hand out ``totals``, or the nearest totals that are possible.

    The nearest totals are those of least Kullback-Leibler divergence. A total below zero counts as zero, and totals
    that do not add up to the conversions of ``table`` stand for their proportions: every conversion is handed out.

    Parameters
    ----------
    table : conversions by coalition, from `coalition_table`
    totals : (channels,) conversions credited to each channel
    channels : names

    Examples
    --------
    Of 10 conversions 4 came from journeys that touched a alone.

    >>> table = sum_by_key(np.array([[0b01], [0b11]]), np.array([4.0, 6.0]))
    >>> reconcile(table, np.array([7.0, 3.0]), ("a", "b")).handed_out.round(9).tolist()
    [7.0, 3.0]
    >>> impossible = reconcile(table, np.array([3.0, 7.0]), ("a", "b"))
    >>> impossible.handed_out.round(9).tolist(), impossible.groups
    ([4.0, 6.0], ((0,),))
    """
    offsets, channel = members(table.keys, len(channels))
    amounts = to_float(table.sums)
    sizes = np.diff(offsets)
    each = np.repeat(amounts, sizes)
    is_alone = np.repeat(sizes == 1, sizes)
    raked = rake(offsets, channel, amounts, np.maximum(totals, 0.0))
    return Reconciliation(
        channels=channels,
        published=totals,
        handed_out=raked.totals,
        alone=np.bincount(channel[is_alone], each[is_alone], len(channels)).astype(np.float64),
        took_part=np.bincount(channel, each, len(channels)).astype(np.float64),
        log_weights=raked.log_weights,
        groups=_impossible(raked, _to_hand_out(totals, float(raked.totals.sum()))),
    )


def weights(chunk: JourneyChunk, log_weights: Floats) -> Floats:
    """(touchpoints,) weights for `AttributionModel.weigh`: journeys share among channels as ``log_weights`` say.

    The share of a channel is split evenly over its touchpoints, or in proportion to ``chunk.factor`` where there is
    one. Weights are relative to the largest of the journey, so that they never vanish all together.
    """
    factor = np.ones(len(chunk.channel)) if chunk.factor is None else chunk.factor
    return np.asarray(spread(chunk.offsets, chunk.channel, log_weights, factor))


def _to_hand_out(published: Floats, total: float) -> Floats:
    """What channels are to get if all conversions are handed out in the proportions published."""
    wanted = np.maximum(published, 0.0)
    whole = wanted.sum()
    return wanted * (total / whole) if whole > 0 else wanted


def _impossible(raked: Raked, wanted: Floats) -> tuple[tuple[int, ...], ...]:
    """Blocks that get more than ``wanted``, leaving out channels that neither want nor get anything."""
    groups = []
    for block in range(int(raked.block.max(initial=-1)) + 1):
        places = np.flatnonzero((raked.block == block) & ((wanted > 0) | (raked.totals > 0)))
        least = raked.totals[places].sum()
        if least - wanted[places].sum() > IMPOSSIBLE * least:
            groups.append(tuple(places.tolist()))
    return tuple(groups)


def _shown(conversions: float) -> str:
    return f"{conversions:,.1f}" if conversions >= 0.1 else f"{conversions:.2g}"
