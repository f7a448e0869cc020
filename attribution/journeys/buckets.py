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

from attribution.errors import InputError
from attribution.journeys.structure import JourneyChunk, Reader, Summary
from attribution.kernels.statistics.dealing import Dealt, deal, path_words
from attribution.kernels.statistics.draws import Words, draw_words, id_words
from attribution.kernels.statistics.sums import (
    KeyedSums,
    distinct_rows,
    exact_sums,
    regroup,
    stack_labelled,
    sum_by_key,
    sum_by_pair,
    sums_by_pair,
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
        return are_single(self.labels)

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


def are_single(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(buckets,) whether the bucket with each label is one customer."""
    return labels >= _SINGLE


class Bucketwise(NamedTuple):
    """A reader that sums up all buckets at once: the label ``chunk.bucket`` leads the keys of its tables.

    Journeys come in any order of their buckets.
    """

    read: Reader


@dataclass(frozen=True)
class Dealing:
    """How customers are dealt: to ``size`` buckets, those in ``singles`` (sorted words of their ids) to none.

    Aggregated paths have no customers: each of their journeys is dealt by itself, and ``singles`` that are not None
    say that every conversion is a bucket of its own.
    """

    size: int = BUCKETS
    singles: Words | None = None

    def deal(self, chunk: JourneyChunk) -> JourneyChunk:
        """The journeys of ``chunk``, perhaps in more rows, with the labels of their buckets.

        Journeys that have been dealt already stay where they are.
        """
        if chunk.bucket is not None:
            return chunk
        if chunk.customer_ids is None:
            return self._deal_paths(chunk)
        words = id_words(chunk.customer_ids)
        labels = (words % np.uint64(self.size)).astype(np.int64)
        if self.singles is not None:
            alone = np.isin(words, self.singles)
            labels[alone] = _single_labels(words[alone])
        histories = None if chunk.histories is None else replace(chunk.histories, bucket=labels)
        return replace(chunk, bucket=labels[chunk.customer], histories=histories)

    def _deal_paths(self, chunk: JourneyChunk) -> JourneyChunk:
        conversions, nulls = (np.asarray(counts, dtype=np.float64) for counts in (chunk.conversions, chunk.nulls))
        _check_countable(conversions, nulls)
        words = path_words((chunk.start, chunk.stop, chunk.channel), conversions, nulls, chunk.value)
        dealt = deal(words, conversions, nulls, chunk.value, self.size)
        if self.singles is not None:
            dealt = _deal_singly(words, dealt)
        is_one_each = len(dealt.row) == len(chunk) and bool((np.diff(dealt.row) == 1).all())
        rows = chunk if is_one_each else chunk.subset(dealt.row)
        return replace(rows, conversions=dealt.conversions, nulls=dealt.nulls, value=dealt.value, bucket=dealt.part)


def _check_countable(conversions: NDArray[np.float64], nulls: NDArray[np.float64]) -> None:
    most = max(float(conversions.max(initial=0.0)), float(nulls.max(initial=0.0)))
    if most >= _SINGLE:
        raise InputError(
            "a path stands for more journeys than can be dealt to resamples",
            given=f"{most:g} journeys",
            allowed=f"fewer than {_SINGLE:.1e}",
            hint="check the columns conversions and nulls of the paths table, or leave resampling out",
        )


def bucket_reader(readers: Sequence[Reader | Bucketwise], dealing: Dealing) -> Reader:
    """What sums up every reader's contributions bucket by bucket, for `split_buckets`.

    A plain reader is asked for every bucket by itself.
    """
    return partial(_by_bucket, tuple(readers), dealing)


def split_buckets(summary: Summary, readers: int) -> list[tuple[Summary, Buckets]]:
    """For each reader of `bucket_reader`: all buckets added up, and each by itself."""
    # Labels ascend in every table.
    edges = {name: np.flatnonzero(np.diff(t.keys[:, 0], prepend=-1)) for name, t in summary.tables.items()}
    leading = [summary.tables[name].keys[edge, 0] for name, edge in edges.items()]
    labels = np.unique(np.concatenate([np.zeros(0, np.int64), *leading]))
    wholes: list[dict[str, KeyedSums]] = [{} for _ in range(readers)]
    parts: list[dict[str, BucketTable]] = [{} for _ in range(readers)]
    for name, table in summary.tables.items():
        reader, _, inner = name.partition("/")
        keys, position = distinct_rows(table.keys[:, 1:])
        wholes[int(reader)][inner] = KeyedSums(keys, regroup(table.sums, position, len(keys)))
        ends = np.zeros(len(labels), np.int64)
        ends[np.searchsorted(labels, table.keys[edges[name], 0])] = np.diff(edges[name], append=len(table.keys))
        columns = to_float(table.sums), position, np.concatenate([[0], np.cumsum(ends)])
        by_bucket = sparse.csc_array(columns, shape=(len(keys), len(labels)))
        parts[int(reader)][inner] = BucketTable(keys, by_bucket.tocsr())
    return [(Summary(whole), Buckets(labels, part)) for whole, part in zip(wholes, parts, strict=True)]


def join_buckets(first: Buckets, second: Buckets) -> Buckets:
    """The buckets of both; every label of ``second`` is above those of ``first``."""
    tables = {}
    for name in {**first.tables, **second.tables}:
        parts = [(of.tables.get(name), of.size) for of in (first, second)]
        keys, position = distinct_rows(np.concatenate([table.keys for table, _ in parts if table is not None]))
        columns, read = [], 0
        for table, size in parts:
            if table is None:
                columns.append(sparse.csr_array((len(keys), size)))
                continue
            rows = position[read : read + len(table.keys)]
            read += len(rows)
            sums = table.sums.tocoo()
            columns.append(sparse.csr_array((sums.data, (rows[sums.row], sums.col)), shape=(len(keys), size)))
        tables[name] = BucketTable(keys, sparse.hstack(columns, format="csr"))
    return Buckets(np.concatenate([first.labels, second.labels]), tables)


def converting_customers(chunk: JourneyChunk) -> Summary:
    """The words of the ids of customers with a conversion, as the keys of a table ``words``."""
    assert chunk.customer_ids is not None
    rows = np.unique(chunk.customer[chunk.converting])
    words = id_words(chunk.customer_ids.take(rows)) if len(rows) else np.zeros(0, np.uint64)
    return Summary({"words": sum_by_key(words.view(np.int64)[:, None], np.ones(len(words)))})


def observe_buckets(chunk: JourneyChunk) -> Summary:
    """What `attribution.journeys.observe` sums up, all buckets at once."""
    assert chunk.bucket is not None
    nowhere, is_untouched = np.zeros(len(chunk), np.int64), chunk.lengths == 0
    sums = {what: np.asarray(getattr(chunk, what), dtype=np.float64) for what in ("conversions", "nulls", "value")}
    sums |= {f"unattributed_{what}": sums[what] * is_untouched for what in ("conversions", "value")}
    counts = {**chunk.counted, "journeys": len(chunk), "open": int(chunk.is_open.sum())}
    return Summary(
        {
            **sums_by_pair(chunk.bucket, nowhere, sums),
            **{name: of_whole(chunk, count) for name, count in counts.items()},
        }
    )


def of_whole(chunk: JourneyChunk, count: float) -> KeyedSums:
    """A number that belongs to no bucket: the lowest one carries it."""
    assert chunk.bucket is not None
    lowest = np.array([chunk.bucket.min()] if len(chunk) else [], dtype=np.int64)
    return sum_by_pair(lowest, np.zeros(len(lowest), np.int64), np.full(len(lowest), count))


def _by_bucket(readers: Sequence[Reader | Bucketwise], dealing: Dealing, chunk: JourneyChunk) -> Summary:
    dealt = dealing.deal(chunk)
    tables: dict[str, KeyedSums] = {}
    plain = {index: reader for index, reader in enumerate(readers) if not isinstance(reader, Bucketwise)}
    for index, reader in enumerate(readers):
        if isinstance(reader, Bucketwise):
            tables |= {f"{index}/{name}": table for name, table in reader.read(dealt).tables.items()}
    by_bucket: dict[str, list[tuple[int, KeyedSums]]] = {}
    for label, part in _parts(dealt) if plain else ():
        for index, reader in plain.items():
            for name, table in reader(part).tables.items():
                by_bucket.setdefault(f"{index}/{name}", []).append((label, table))
    return Summary({**tables, **{name: stack_labelled(parts) for name, parts in by_bucket.items()}})


def _parts(chunk: JourneyChunk) -> Iterator[tuple[int, JourneyChunk]]:
    ordered = chunk.subset(chunk.bucket_order)
    assert ordered.bucket is not None
    edges = np.flatnonzero(np.diff(ordered.bucket)) + 1
    counted = chunk.counted
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(chunk)], strict=True):
        if high > low:
            yield int(ordered.bucket[low]), replace(ordered.subset(slice(low, high)), counted=counted)
            # What was counted belongs to the whole; the first bucket carries it.
            counted = {}


def _deal_singly(words: Words, dealt: Dealt) -> Dealt:
    """Every whole conversion dealt a bucket of its own; what is left stays where it is."""
    units = dealt.conversions.astype(np.int64)
    own = np.repeat(np.arange(len(units)), units)
    unit = np.arange(len(own)) - np.repeat(np.cumsum(units) - units, units)
    # Units of one row are told apart by the bucket they were dealt to and their place in it.
    own_words = draw_words(
        draw_words(words[dealt.row[own]] + dealt.part[own].astype(np.uint64), 5) + unit.astype(np.uint64), 6
    )
    left = np.flatnonzero((units == 0) | (dealt.nulls > 0))
    return Dealt(
        row=dealt.row[np.concatenate([own, left])],
        part=np.concatenate([_single_labels(own_words), dealt.part[left]]),
        conversions=np.concatenate([np.ones(len(own)), (dealt.conversions - units)[left]]),
        nulls=np.concatenate([np.zeros(len(own)), dealt.nulls[left]]),
        value=np.concatenate([(dealt.value / np.maximum(units, 1))[own], np.where(units > 0, 0.0, dealt.value)[left]]),
    )


def _single_labels(words: Words) -> NDArray[np.int64]:
    return (words >> np.uint64(2)).astype(np.int64) | _SINGLE
