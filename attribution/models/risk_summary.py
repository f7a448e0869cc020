"""What chunks of journeys contribute to sums over customers at risk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from attribution.journeys import JourneyChunk, Summary
from attribution.journeys.histories import Histories
from attribution.kernels.incremental.risk_sums import risk_of_untouched, sum_risk
from attribution.kernels.incremental.risk_tables import CustomerEvents, Rules
from attribution.kernels.statistics.sums import KeyedSums, sums_of_limbs, used_limbs

RISK_TABLE = "risk"
"""Its keys are places in `attribution.kernels.incremental.risk_tables.Layout`."""


def summarise_risk(chunk: JourneyChunk, rules: Rules) -> Summary:
    """Sums over all customers of a chunk."""
    customers = _count_untouched(chunk) if chunk.histories is None else len(chunk.histories)
    (limbs,) = _sum_groups(chunk, rules, np.array([0, customers]))
    return Summary({RISK_TABLE: KeyedSums(np.arange(len(limbs))[:, None], sums_of_limbs(limbs, -1))})


def summarise_bucket_risk(chunk: JourneyChunk, rules: Rules) -> Summary:
    """`summarise_risk` for each bucket, at once; see `attribution.journeys.buckets.Bucketwise`.

    Most sums of a bucket are 0, and left out.
    """
    if chunk.histories is None and not _count_untouched(chunk):
        return Summary({})
    buckets = _labels(chunk)
    order = np.argsort(buckets, kind="stable")
    labels, first = np.unique(buckets[order], return_index=True)
    if not len(labels):
        return Summary({})
    if chunk.histories is not None:
        chunk = replace(chunk, histories=chunk.histories.in_order(order))
    places, sums = [], []
    for limbs in _sum_groups(chunk, rules, np.append(first, len(order))):
        used, limbs = used_limbs(limbs)
        places.append(used)
        sums.append(limbs)
    keys = np.column_stack([np.repeat(labels, [len(used) for used in places]), np.concatenate(places)])
    return Summary({RISK_TABLE: KeyedSums(keys, sums_of_limbs(np.concatenate(sums), -1))})


def _sum_groups(chunk: JourneyChunk, rules: Rules, edges: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """(size, 2) limbs of the customers between ``edges``, until the next is asked for."""
    of = chunk.histories
    if of is None:
        return (risk_of_untouched(rules, customers) for customers in np.diff(edges).tolist())
    return sum_risk(events_of(of), rules, edges)


def events_of(of: Histories) -> CustomerEvents:
    """The same for a kernel."""
    return CustomerEvents(of.touch_start, of.touched_at, of.channel, of.end_start, of.ended_at, of.counts, of.value)


def _count_untouched(chunk: JourneyChunk) -> int:
    """Customers of a chunk of those who were never touched; in others what happened belongs to another chunk."""
    return 0 if len(chunk.channel) else len(chunk)


def _labels(chunk: JourneyChunk) -> NDArray[np.int64]:
    """(customers,) labels of buckets."""
    labels = chunk.bucket if chunk.histories is None else chunk.histories.bucket
    assert labels is not None
    return labels
