"""Summaries of disjoint groups of customers: re-weighting them is the bootstrap.

Customers are dealt to buckets by a hash of their ids. A bootstrap sample counts each bucket as often as it was
drawn, so that whatever follows from a summary can be had for a sample without reading a journey again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attribution.journeys.structure import JourneyChunk, Reader
from attribution.journeys.summary import Summary
from attribution.kernels.draws import Words, deal, id_words, mixed, occurrence, row_words
from attribution.kernels.sums import (
    KeyedSums,
    distinct_rows,
    exact_sums,
    regrouped,
    stacked,
    sum_by_key,
    sum_by_pair,
    to_float,
)

BUCKETS = 256
"""A power of two."""

_SINGLE = 1 << 62
"""Labels from here on are of customers who are a bucket of their own."""


class BucketTable(NamedTuple):
    """``keys`` (k, m) sorted and distinct; ``sums`` (k, buckets) sparse."""

    keys: NDArray[np.int64]
    sums: sparse.csr_array

    def weighted(self, weights: NDArray[np.float64]) -> KeyedSums:
        """Sums over buckets, bucket b taken ``weights[b]`` times."""
        rows = len(self.keys)
        return KeyedSums(self.keys, exact_sums(np.arange(rows), self.sums @ weights, rows))


@dataclass(frozen=True)
class Buckets:
    """What each bucket contributes, table by table.

    ``labels`` (buckets,) ascending; ``tables`` as `Summary` names them.
    """

    labels: NDArray[np.int64]
    tables: Mapping[str, BucketTable]

    @property
    def size(self) -> int:
        """Number of buckets."""
        return len(self.labels)

    @property
    def is_single(self) -> NDArray[np.bool_]:
        """(buckets,) whether a bucket is one customer."""
        return self.labels >= _SINGLE

    def weighted(self, weights: NDArray[np.float64]) -> Summary:
        """What all customers contribute, bucket b counted ``weights[b]`` times."""
        return Summary({name: table.weighted(weights) for name, table in self.tables.items()})

    def totals(self, name: str, rows: int) -> NDArray[np.float64]:
        """(rows, buckets) sums of a table whose keys are 0 … rows − 1; 0 where a key, or the table, is absent."""
        result = np.zeros((rows, self.size))
        if name in self.tables:
            table = self.tables[name]
            result[table.keys[:, 0]] = table.sums.toarray()
        return result


class Bucketwise(NamedTuple):
    """A reader that sums up all buckets at once: the label ``chunk.bucket`` leads the keys of its tables."""

    read: Reader


@dataclass(frozen=True)
class Dealing:
    """How customers are dealt: to ``size`` buckets, those in ``singles`` (sorted words of their ids) to none.

    Aggregated paths have no customers: each of their journeys is dealt by itself, and ``singles`` that are not None
    say that every conversion is a bucket of its own.
    """

    size: int = BUCKETS
    singles: Words | None = None

    def deal(self, chunk: JourneyChunk) -> tuple[JourneyChunk, NDArray[np.int64]]:
        """The journeys of ``chunk``, perhaps in more rows, and the label (journeys,) of each one's bucket.

        Journeys that have been dealt already stay where they are.
        """
        if chunk.bucket is not None:
            return chunk, chunk.bucket
        if chunk.customer_ids is None:
            return self._deal_paths(chunk)
        words = id_words(chunk.customer_ids)
        labels = (words % np.uint64(self.size)).astype(np.int64)
        if self.singles is not None:
            alone = np.isin(words, self.singles)
            labels[alone] = _single_labels(words[alone])
        return chunk, labels[chunk.customer]

    def _deal_paths(self, chunk: JourneyChunk) -> tuple[JourneyChunk, NDArray[np.int64]]:
        counts = np.stack([chunk.conversions, chunk.nulls], axis=1).astype(np.float64)
        whole = np.floor(counts)
        words = _path_words(chunk)
        row, bucket, dealt = deal(words, whole.astype(np.int64), self.size)
        labels = bucket.astype(np.int64)
        if self.singles is not None:
            row, labels, dealt = _singly(words, row, labels, dealt)
        # A fraction of a journey, or value without a conversion, goes to one bucket whole.
        rest = np.flatnonzero((counts > whole).any(axis=1) | ((chunk.value > 0) & (whole[:, 0] == 0)))
        taken = np.concatenate([row, rest])
        labels = np.concatenate([labels, (mixed(words[rest], 3) % np.uint64(self.size)).astype(np.int64)])
        portion = np.concatenate([dealt.astype(np.float64), counts[rest] - whole[rest]])
        per_conversion = np.divide(chunk.value, counts[:, 0], out=np.zeros(len(chunk)), where=counts[:, 0] > 0)
        value = portion[:, 0] * per_conversion[taken]
        bare = np.concatenate([np.zeros(len(row), dtype=bool), counts[rest, 0] == 0])
        value[bare] = chunk.value[taken[bare]]
        more = replace(chunk.only(taken), conversions=portion[:, 0], nulls=portion[:, 1], value=value)
        return more, labels


def bucket_reader(readers: Sequence[Reader | Bucketwise], dealing: Dealing) -> Reader:
    """What sums up every reader's contributions bucket by bucket, for `split_buckets`.

    A plain reader is asked for every bucket by itself.
    """
    return partial(_by_bucket, tuple(readers), dealing)


def split_buckets(summary: Summary, readers: int) -> list[tuple[Summary, Buckets]]:
    """For each reader of `bucket_reader`: all buckets added up, and each by itself."""
    labels = np.unique(np.concatenate([np.zeros(0, np.int64), *(t.keys[:, 0] for t in summary.tables.values())]))
    wholes: list[dict[str, KeyedSums]] = [{} for _ in range(readers)]
    parts: list[dict[str, BucketTable]] = [{} for _ in range(readers)]
    for name, table in summary.tables.items():
        place, _, inner = name.partition("/")
        keys, position = distinct_rows(table.keys[:, 1:])
        column = np.searchsorted(labels, table.keys[:, 0])
        sums = sparse.csr_array((to_float(table.sums), (position, column)), shape=(len(keys), len(labels)))
        wholes[int(place)][inner] = KeyedSums(keys, regrouped(table.sums, position, len(keys)))
        parts[int(place)][inner] = BucketTable(keys, sums)
    return [(Summary(whole), Buckets(labels, part)) for whole, part in zip(wholes, parts, strict=True)]


def converting_customers(chunk: JourneyChunk) -> Summary:
    """The words of the ids of customers with a conversion, as the keys of a table ``words``."""
    assert chunk.customer_ids is not None
    rows = np.unique(chunk.customer[chunk.converting])
    words = id_words(chunk.customer_ids.take(rows)) if len(rows) else np.zeros(0, np.uint64)
    return Summary({"words": sum_by_key(words.view(np.int64)[:, None], np.ones(len(words)))})


def observe_buckets(chunk: JourneyChunk) -> Summary:
    """What `attribution.journeys.observe` sums up, all buckets at once."""
    assert chunk.bucket is not None
    nowhere, bare = np.zeros(len(chunk), np.int64), chunk.lengths == 0
    sums = {what: np.asarray(getattr(chunk, what), dtype=np.float64) for what in ("conversions", "nulls", "value")}
    sums |= {f"unattributed_{what}": sums[what] * bare for what in ("conversions", "value")}
    counts = {**chunk.counted, "journeys": len(chunk), "open": int(chunk.is_open.sum())}
    return Summary(
        {
            **{name: sum_by_pair(chunk.bucket, nowhere, terms) for name, terms in sums.items()},
            **{name: of_whole(chunk, count) for name, count in counts.items()},
        }
    )


def of_whole(chunk: JourneyChunk, count: float) -> KeyedSums:
    """A number that belongs to no bucket: the first one carries it."""
    assert chunk.bucket is not None
    return sum_by_pair(
        chunk.bucket[:1], np.zeros(len(chunk.bucket[:1]), np.int64), np.full(len(chunk.bucket[:1]), count)
    )


def _by_bucket(readers: Sequence[Reader | Bucketwise], dealing: Dealing, chunk: JourneyChunk) -> Summary:
    ordered = _in_order(*dealing.deal(chunk))
    tables: dict[str, KeyedSums] = {}
    plain = {place: reader for place, reader in enumerate(readers) if not isinstance(reader, Bucketwise)}
    for place, reader in enumerate(readers):
        if isinstance(reader, Bucketwise):
            tables |= {f"{place}/{name}": table for name, table in reader.read(ordered).tables.items()}
    found: dict[str, list[tuple[int, KeyedSums]]] = {}
    for label, part in _parts(ordered) if plain else ():
        for place, reader in plain.items():
            for name, table in reader(part).tables.items():
                found.setdefault(f"{place}/{name}", []).append((label, table))
    return Summary({**tables, **{name: stacked(parts) for name, parts in found.items()}})


def _in_order(chunk: JourneyChunk, labels: NDArray[np.int64]) -> JourneyChunk:
    """The journeys bucket by bucket."""
    # Sixteen bits are sorted by counting.
    narrow = labels.astype(np.uint16) if len(labels) and labels.max() < 1 << 16 else labels
    order = np.argsort(narrow, kind="stable")
    return replace(chunk.only(order), bucket=labels[order])


def _parts(chunk: JourneyChunk) -> Iterator[tuple[int, JourneyChunk]]:
    assert chunk.bucket is not None
    edges = np.flatnonzero(np.diff(chunk.bucket)) + 1
    counted = chunk.counted
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(chunk)], strict=True):
        if high > low:
            yield int(chunk.bucket[low]), replace(chunk.only(slice(low, high)), counted=counted)
            # What was counted belongs to the whole; the first bucket carries it.
            counted = {}


def _path_words(chunk: JourneyChunk) -> Words:
    """(rows,) random bits for each row: from what is in it, and from how many equal rows come before it."""
    words = row_words(chunk.start, chunk.stop, chunk.channel)
    for column in (chunk.conversions, chunk.nulls, chunk.value):
        words = mixed(words ^ np.asarray(column, dtype=np.float64).view(np.uint64), 4)
    return np.asarray(mixed(words + occurrence(words).astype(np.uint64), 5))


def _singly(
    words: Words, row: NDArray[np.int64], labels: NDArray[np.int64], dealt: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every conversion dealt a bucket of its own; what did not convert stays where it is."""
    own = np.repeat(np.arange(len(row)), dealt[:, 0])
    unit = np.arange(len(own)) - np.repeat(np.cumsum(dealt[:, 0]) - dealt[:, 0], dealt[:, 0])
    # Units of one row are told apart by the bucket they were dealt to and their place in it.
    own_words = mixed(mixed(words[row[own]] + labels[own].astype(np.uint64), 5) + unit.astype(np.uint64), 6)
    nulls = np.flatnonzero(dealt[:, 1])
    kept = np.stack([np.zeros(len(nulls), np.int64), dealt[nulls, 1]], axis=1)
    single = np.tile(np.array([1, 0], np.int64), (len(own), 1))
    return (
        np.concatenate([row[own], row[nulls]]),
        np.concatenate([_single_labels(own_words), labels[nulls]]),
        np.concatenate([single, kept]),
    )


def _single_labels(words: Words) -> NDArray[np.int64]:
    return (words >> np.uint64(2)).astype(np.int64) | _SINGLE
