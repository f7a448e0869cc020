"""The chain of a Markov model, from what it summed up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.journeys import Buckets, Summary
from attribution.kernels.chains import Chain, Frame, chain_of, frame
from attribution.kernels.sums import regrouped, to_float
from attribution.models.order import Shortened, shorten


class BucketSteps(NamedTuple):
    """The states, and what each bucket adds: ``steps`` (steps, buckets), ``value`` (rows of value, buckets)."""

    joined: Frame
    steps: sparse.csr_array
    value: sparse.csr_array


class Counting(NamedTuple):
    """What a model counted: steps of its ``order``, or, where ``is_dealt``, those of the highest order by fold."""

    channels: int
    order: int
    is_dealt: bool

    def chain(self, summary: Summary) -> Chain:
        """The chain of all journeys."""
        found = []
        for name in ("steps", "value"):
            table = summary.tables[name]
            keys, position = self._rows(name, table.keys)
            found.append((keys, to_float(regrouped(table.sums, position, len(keys)))))
        (steps, counts), (paid, value) = found
        return chain_of(frame(steps, paid, channels=self.channels, order=self.order), counts, value)

    def by_bucket(self, own: Buckets) -> BucketSteps:
        """The states of all journeys, and the counts of each bucket."""
        found = []
        for name in ("steps", "value"):
            table = own.tables[name]
            keys, position = self._rows(name, table.keys)
            rows = len(position)
            added = sparse.csr_array((np.ones(rows), (position, np.arange(rows))), shape=(len(keys), rows))
            found.append((keys, sparse.csr_array(added @ table.sums)))
        (steps, counts), (paid, value) = found
        return BucketSteps(frame(steps, paid, channels=self.channels, order=self.order), counts, value)

    def _rows(self, name: str, keys: NDArray[np.int64]) -> Shortened:
        """The steps of the order, and which of them each row of a table belongs to."""
        if not self.is_dealt:
            return Shortened(keys, np.arange(len(keys)))
        return shorten(keys[:, 1:] if name == "steps" else keys, channels=self.channels, order=self.order)
