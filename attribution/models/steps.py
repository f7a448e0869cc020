"""The chain of a Markov model, from its sums."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.journeys import Buckets, JourneyChunk, Summary
from attribution.kernels.markov.chains import Chain, Frame, build_chain, frame
from attribution.kernels.markov.step_counts import Slices, count_bucket_steps, count_steps, last_steps, shorten_steps
from attribution.kernels.statistics.sums import KeyedSums, distinct_rows, regroup, sum_by_key, sum_by_pair, to_float
from attribution.models.order import Shortened, shorten


def summarise_steps(chunk: JourneyChunk, *, channels: int, order: int) -> Summary:
    """``steps`` of the journeys, and ``value`` under the step that each ended with."""
    touched = chunk.touched
    counted = touched.conversions, touched.nulls
    paid = touched.subset(np.flatnonzero(touched.value > 0))
    return Summary(
        {
            "steps": count_steps(_slices(touched, channels), *counted, order=order),
            "value": sum_by_key(last_steps(_slices(paid, channels), order=order), paid.value),
        }
    )


def summarise_bucket_steps(chunk: JourneyChunk, *, channels: int, order: int) -> Summary:
    """`summarise_steps` of all buckets at once, see `attribution.journeys.buckets.Bucketwise`."""
    touched = chunk.touched_by_bucket
    journeys = Slices(touched.start, touched.stop, touched.channel, channels)
    steps = count_bucket_steps(journeys, touched.bucket, touched.conversions, touched.nulls, order=order)
    paid = chunk.subset((chunk.value > 0) & (chunk.lengths > 0))
    assert paid.bucket is not None
    ends = last_steps(_slices(paid, channels), order=order)
    if ends.shape[1] == 1:
        value = sum_by_pair(paid.bucket, ends[:, 0], paid.value)
    else:
        value = sum_by_key(np.column_stack([paid.bucket, ends]), paid.value)
    return Summary({"steps": steps, "value": value})


def shorten_summary(summary: Summary, *, channels: int, order: int, to: int) -> Summary:
    """`summarise_steps` of the order ``to``, from that of a higher ``order``."""
    tables = {}
    for name, table in summary.tables.items():
        keys, position = distinct_rows(shorten_steps(table.keys, channels=channels, order=order, to=to))
        tables[name] = KeyedSums(keys, regroup(table.sums, position, len(keys)))
    return Summary(tables)


def _slices(chunk: JourneyChunk, channels: int) -> Slices:
    return Slices(chunk.start, chunk.stop, chunk.channel, channels)


class BucketSteps(NamedTuple):
    """The states, and what each bucket adds: ``steps`` (steps, buckets), ``value`` (rows of value, buckets)."""

    joined: Frame
    steps: sparse.csr_array
    value: sparse.csr_array


class Counting(NamedTuple):
    """How steps were counted: of the ``order``, or, where ``is_dealt``, of the highest order by fold."""

    channels: int
    order: int
    is_dealt: bool

    def chain(self, summary: Summary) -> Chain:
        """The chain of all journeys."""
        tables = []
        for name in ("steps", "value"):
            table = summary.tables[name]
            keys, position = self._rows(name, table.keys)
            tables.append((keys, to_float(regroup(table.sums, position, len(keys)))))
        (steps, counts), (paid, value) = tables
        return build_chain(frame(steps, paid, channels=self.channels, order=self.order), counts, value)

    def by_bucket(self, own: Buckets) -> BucketSteps:
        """The states of all journeys, and the counts of each bucket."""
        tables = []
        for name in ("steps", "value"):
            table = own.tables[name]
            if not self.is_dealt:
                tables.append((table.keys, table.sums))
                continue
            keys, position = self._rows(name, table.keys)
            rows = len(position)
            added = sparse.csr_array((np.ones(rows), (position, np.arange(rows))), shape=(len(keys), rows))
            tables.append((keys, sparse.csr_array(added @ table.sums)))
        (steps, counts), (paid, value) = tables
        return BucketSteps(frame(steps, paid, channels=self.channels, order=self.order), counts, value)

    def _rows(self, name: str, keys: NDArray[np.int64]) -> Shortened:
        """The steps of the order, and which of them each row of a table belongs to."""
        if not self.is_dealt:
            return Shortened(keys, np.arange(len(keys)))
        return shorten(keys[:, 1:] if name == "steps" else keys, channels=self.channels, order=self.order)
