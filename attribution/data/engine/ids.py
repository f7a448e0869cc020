"""Text ids of customers on their way through partitioning and sorting."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from attribution.kernels.journeys.batches import id_changes
from attribution.kernels.journeys.ids import uuid_words


class SharedKeyError(Exception):
    """Two customers have one key, so that their events may be mixed."""


class Packing:
    """The numbers of ids, as a function of an engine's SQL; ``refused`` tells that some id was no UUID."""

    def __init__(self) -> None:
        self.refused = False

    def __call__(self, ids: pa.ChunkedArray) -> pa.Array:
        words = uuid_words(ids.combine_chunks())
        if words is None:
            self.refused = True
            raise ValueError("not all ids are UUIDs")
        return words


def without_key(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches without their ``customer_key``.

    Raises
    ------
    SharedKeyError
        Where one key stands for two customers.
    """
    last: tuple[int, object] | None = None
    for batch in batches:
        if len(batch) == 0:
            continue
        key, ids = batch.column("customer_key").to_numpy(), batch.column("customer_id")
        goes_on = last is not None and last[0] == key[0]
        if (id_changes(ids) & (key[1:] == key[:-1])).any() or (goes_on and last != (key[0], ids[0].as_py())):
            raise SharedKeyError
        last = int(key[-1]), ids[-1].as_py()
        yield batch.drop_columns("customer_key")
