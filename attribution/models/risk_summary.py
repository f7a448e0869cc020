"""What chunks of journeys contribute to sums over customers at risk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attribution.journeys import JourneyChunk, Summary
from attribution.journeys.buckets import are_single
from attribution.kernels.incremental.risk_sums import risk_of_untouched, sum_risk
from attribution.kernels.incremental.risk_tables import CustomerEvents, Rules
from attribution.kernels.statistics.sums import KeyedSums, sums_of_limbs

RISK_TABLE = "risk"
"""Its keys are places in `attribution.kernels.incremental.risk_tables.Layout`."""

_GROUPS = 256


def summarise_risk(chunk: JourneyChunk, rules: Rules) -> Summary:
    """Sums over all customers of a chunk."""
    customers = _count_untouched(chunk) if chunk.histories is None else len(chunk.histories)
    limbs = _sum_groups(chunk, rules, np.zeros(customers, np.int64), 1)[0]
    return Summary({RISK_TABLE: KeyedSums(np.arange(len(limbs))[:, None], sums_of_limbs(limbs, -1))})


def summarise_bucket_risk(chunk: JourneyChunk, rules: Rules) -> Summary:
    """`summarise_risk` for each bucket, at once; see `attribution.journeys.buckets.Bucketwise`."""
    if chunk.histories is None and not _count_untouched(chunk):
        return Summary({})
    labels, group = np.unique(_labels(chunk), return_inverse=True)
    if not len(labels):
        return Summary({})
    places, limbs = np.arange(rules.layout.size), np.empty((len(labels), rules.layout.size, 2), np.int64)
    for low in range(0, len(labels), _GROUPS):
        some = limbs[low : low + _GROUPS]
        some[:] = _sum_groups(chunk, rules, np.where(group < low + len(some), group - low, -1), len(some))
    keys = np.empty(limbs.shape, np.int64)
    keys[..., 0], keys[..., 1] = labels[:, None], places
    rows, sums, is_alone = keys.reshape(-1, 2), limbs.reshape(-1, 2), are_single(labels)
    if is_alone.any():
        # Of a customer alone most sums are 0; tables of the same keys are quicker to add up.
        is_used = ~np.repeat(is_alone, len(places)) | sums.any(axis=1)
        rows, sums = rows[is_used], sums[is_used]
    return Summary({RISK_TABLE: KeyedSums(rows, sums_of_limbs(sums, -1))})


def _sum_groups(chunk: JourneyChunk, rules: Rules, group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """(groups, size, 2) limbs of the customers in each group; below 0 is none."""
    of = chunk.histories
    if of is None:
        counts = np.bincount(group[group >= 0], minlength=groups)
        return np.stack([risk_of_untouched(rules, int(count)) for count in counts])
    events = CustomerEvents(of.touch_start, of.touched_at, of.channel, of.end_start, of.ended_at, of.counts, of.value)
    return sum_risk(events, rules, group, groups)


def _count_untouched(chunk: JourneyChunk) -> int:
    """Customers of a chunk of those who were never touched; in others what happened belongs to another chunk."""
    return 0 if len(chunk.channel) else len(chunk)


def _labels(chunk: JourneyChunk) -> NDArray[np.int64]:
    """(customers,) labels of buckets."""
    labels = chunk.bucket if chunk.histories is None else chunk.histories.bucket
    assert labels is not None
    return labels
