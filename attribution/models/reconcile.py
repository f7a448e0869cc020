"""Weights of touchpoints with which the credit of journeys adds up to published channel totals, or the nearest ones.

A model may publish totals that no allocation journey by journey can reach: a channel cannot get fewer conversions than
it alone touched, nor more than it took part in, and the same holds for groups of channels.
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

Floats = NDArray[np.float64]

IMPOSSIBLE = 1e-9
"""Relative; a group that must have this much more than it was given counts as impossible."""


@dataclass(frozen=True)
class Reconciliation:
    """Published credit of each channel, what journeys can allocate to it, and with which weights.

    Attributes
    ----------
    channels : names
    published : (channels,) conversions that the model credits
    allocated : (channels,) conversions that journeys allocate with these weights: what was published where that is
        possible and the journeys' conversions are all published, else the nearest totals that are possible
    alone : (channels,) conversions of journeys that touched no other channel, of which it gets all
    took_part : (channels,) conversions of journeys that it is in
    log_weights : (channels,) logarithm of the channel's weight in any journey, see `weights`
    groups : positions of the channels of each group that must have more than it was credited; journeys that touched
        only channels of this group and of those before it leave it no less
    baseline_log_weight : that of the baseline, in every journey; None for a model without
    """

    channels: tuple[str, ...]
    published: Floats
    allocated: Floats
    alone: Floats
    took_part: Floats
    log_weights: Floats
    groups: tuple[tuple[int, ...], ...]
    baseline_log_weight: float | None = None

    def to_frame(self) -> pd.DataFrame:
        """What the ``published_credit`` table says of published and allocated credit: one row per channel."""
        number = {index: group for group, members in enumerate(self.groups, start=1) for index in members}
        columns = {
            "channel": list(self.channels),
            "published": self.published,
            "allocated": self.allocated,
            "alone": self.alone,
            "took_part": self.took_part,
            "gap": self.allocated - self.published,
            "group": pd.array([number.get(index, pd.NA) for index in range(len(self.channels))], dtype="Int64"),
        }
        return pd.DataFrame(columns)

    def findings(self, label: str) -> list[Finding]:
        """One finding if the totals of the model ``label`` are impossible, else none."""
        if not self.groups:
            return []
        total = float(self.allocated.sum())
        targets = _target_totals(self.published, total)
        moved = float(np.abs(self.allocated - targets).sum() / 2)
        among = np.zeros(len(self.channels), dtype=bool)
        among[[index for members in self.groups for index in members]] = True
        message = (
            f"{label} credits {self._describe_bound(among, targets)}. Credit per journey cannot add up to that. It "
            f"adds up to the nearest possible totals, which moves {_format_conversions(moved)} of "
            f"{_format_conversions(total)} conversions to other channels: compare both totals in the table "
            "published_credit before you use credit per journey"
        )
        example = self.channels[int(np.argmax(self.allocated - targets))]
        return [count_finding("impossible_totals", "journeys", moved, message, total=total, example=example)]

    def _describe_bound(self, among: NDArray[np.bool_], targets: Floats) -> str:
        """The bound that is broken, for the channels ``among`` or for the others, whichever are fewer."""
        outside = ~among & (targets > 0)
        too_little = 2 * among.sum() <= len(among) or not outside.any()
        chosen = among if too_little else outside
        worst = np.argsort(-np.abs(self.allocated - targets), kind="stable")
        names = listed([self.channels[index] for index in worst if chosen[index]])
        bound = float(self.allocated[chosen].sum())
        credited = f"{_format_conversions(float(targets[chosen].sum()))} conversions to {names}"
        if too_little:
            return f"{credited}, but {_format_conversions(bound)} came from journeys that touched no other channel"
        return f"{credited}, but only {_format_conversions(bound)} came from journeys that touched any of these"


def reconciliation_state(reconciliation: Reconciliation) -> dict[str, Any]:
    """A reconciliation as what JSON and Parquet can hold; see `restore_reconciliation`."""
    arrays = {key: getattr(reconciliation, name) for key, name in _PER_CHANNEL.items()}
    own = reconciliation.baseline_log_weight
    baseline = {} if own is None else {"baseline_log_weight": own}
    return {**arrays, "groups": [list(group) for group in reconciliation.groups], **baseline}


def restore_reconciliation(channels: tuple[str, ...], state: Mapping[str, Any]) -> Reconciliation:
    """The reconciliation that `reconciliation_state` was given."""
    arrays = {name: np.asarray(state[key], dtype=np.float64) for key, name in _PER_CHANNEL.items()}
    groups = tuple(tuple(group) for group in state["groups"])
    return Reconciliation(channels, groups=groups, baseline_log_weight=state.get("baseline_log_weight"), **arrays)


_PER_CHANNEL = {
    "published": "published",
    "handed_out": "allocated",
    "alone": "alone",
    "took_part": "took_part",
    "log_weights": "log_weights",
}
"""Arrays of a saved reconciliation, and the attributes they are in."""


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
    converting = chunk.subset((chunk.conversions > 0) & (chunk.lengths > 0))
    keys = coalitions(converting.start, converting.stop, converting.channel, channels)
    return sum_by_key(keys, converting.conversions.astype(np.float64))


def reconcile(
    table: KeyedSums, totals: Floats, channels: tuple[str, ...], *, has_baseline: bool = False
) -> Reconciliation:
    """Weights of channels with which journeys allocate ``totals``, or the nearest totals that are possible.

    The nearest totals are those of least Kullback-Leibler divergence. A total below zero counts as zero, and totals
    that do not add up to the conversions of ``table`` stand for their proportions: every conversion is allocated.

    Parameters
    ----------
    table : conversions by coalition, from `coalition_table`
    totals : (channels,) conversions credited to each channel
    channels : names
    has_baseline : whether what the totals leave is that of a baseline, which has a part in every journey

    Examples
    --------
    Of 10 conversions 4 came from journeys that touched a alone.

    >>> table = sum_by_key(np.array([[0b01], [0b11]]), np.array([4.0, 6.0]))
    >>> reconcile(table, np.array([7.0, 3.0]), ("a", "b")).allocated.round(9).tolist()
    [7.0, 3.0]
    >>> impossible = reconcile(table, np.array([3.0, 7.0]), ("a", "b"))
    >>> impossible.allocated.round(9).tolist(), impossible.groups
    ([4.0, 6.0], ((0,),))
    """
    offsets, channel = members(table.keys, len(channels))
    amounts = to_float(table.sums)
    sizes = np.diff(offsets)
    each = np.repeat(amounts, sizes)
    is_alone = np.repeat(sizes == 1, sizes)
    targets, size = np.maximum(totals, 0.0), len(channels)
    if has_baseline:
        targets = np.append(targets, max(float(amounts.sum() - targets.sum()), 0.0))
        sets = offsets + np.arange(len(offsets)), np.insert(channel, offsets[1:], np.int32(size))
        raked = rake(*sets, amounts, targets)
    else:
        raked = rake(offsets, channel, amounts, targets)
    return Reconciliation(
        channels=channels,
        published=totals,
        allocated=raked.totals[:size],
        alone=np.bincount(channel[is_alone], each[is_alone], len(channels)).astype(np.float64),
        took_part=np.bincount(channel, each, len(channels)).astype(np.float64),
        log_weights=raked.log_weights[:size],
        # A baseline takes what channels cannot have.
        groups=() if has_baseline else _impossible_groups(raked, _target_totals(totals, float(raked.totals.sum()))),
        baseline_log_weight=float(raked.log_weights[size]) if has_baseline else None,
    )


def weights(chunk: JourneyChunk, log_weights: Floats) -> Floats:
    """(touchpoints,) weights for `AttributionModel.weigh`: journeys share among channels as ``log_weights`` say.

    The share of a channel is split evenly over its touchpoints, or in proportion to ``chunk.factor`` where there is
    one. Weights are relative to the largest of the journey, so that they never vanish all together.
    """
    factor = np.ones(len(chunk.channel)) if chunk.factor is None else chunk.factor
    return np.asarray(spread(chunk.offsets, chunk.channel, log_weights, factor))


def beside_baseline(chunk: JourneyChunk, log_weights: Floats, baseline: float) -> tuple[Floats, Floats]:
    """What to multiply `weights` of each journey with, (journeys,), and what the baseline weighs beside them."""
    ahead = np.maximum.reduceat(log_weights[chunk.channel], chunk.offsets[:-1]) - baseline
    return np.exp(np.minimum(ahead, 0.0)), np.exp(np.minimum(-ahead, 0.0))


def _target_totals(published: Floats, total: float) -> Floats:
    """What channels are to get if all conversions are allocated in the proportions published."""
    targets = np.maximum(published, 0.0)
    whole = targets.sum()
    return targets * (total / whole) if whole > 0 else targets


def _impossible_groups(raked: Raked, targets: Floats) -> tuple[tuple[int, ...], ...]:
    """Blocks that get more than ``targets``, leaving out channels with a target and a total of 0."""
    groups = []
    for block in np.unique(raked.block).tolist():
        indices = np.flatnonzero((raked.block == block) & ((targets > 0) | (raked.totals > 0)))
        least = raked.totals[indices].sum()
        if least - targets[indices].sum() > IMPOSSIBLE * least:
            groups.append(tuple(indices.tolist()))
    return tuple(groups)


def _format_conversions(conversions: float) -> str:
    return f"{conversions:,.1f}" if conversions >= 0.1 else f"{conversions:.2g}"
