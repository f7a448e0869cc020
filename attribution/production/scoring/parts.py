"""Credit on its way to disk: parts as journeys are read, then one table for each day."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.loading.events import Dimensions
from attribution.errors import LawError
from attribution.journeys import DAY, JourneyChunk, Summary
from attribution.journeys.structure import number
from attribution.kernels.statistics.sums import sum_by_key
from attribution.models.credit import allocate
from attribution.models.saved.applied import AppliedModel
from attribution.schema.tables import BASELINE, UNATTRIBUTED

_ROUNDING = 1e-9
_NONE = -1
_UNTOUCHED, _OF_BASELINE = -1, -2
"""In the place of a channel: conversions without touchpoints, and what is the baseline's of those with some."""


@dataclass(frozen=True)
class PartWriter:
    """A reader of journeys that writes the credit of each chunk into a file of its own, day after day.

    Its summary names the files, so that a file of a task that was started twice is not read twice.

    Attributes
    ----------
    folder : where parts go
    model : allocates credit
    days : (days,) sorted numbers of the chosen days, counted from 1970-01-01
    """

    folder: Path
    model: AppliedModel
    days: NDArray[np.int64]

    def __call__(self, chunk: JourneyChunk) -> Summary:
        assert chunk.ended_at is not None
        subset = chunk.subset((chunk.conversion >= 0) & np.isin(chunk.ended_at // DAY, self.days))
        flattened, shares, baseline, without = allocate(self.model, subset)
        untouched = subset.flatten(subset.conversions & (subset.lengths == 0))
        # A conversion that is worth nothing is one all the same.
        summary = {"zero_weights": number(np.array([float(without)]))}
        if len(flattened) or len(untouched):
            part = int.from_bytes(os.urandom(7), "big")
            tables = [_touched(flattened, shares), _whole(untouched, _UNTOUCHED, np.ones(len(untouched)))]
            if baseline is not None:
                tables.append(_whole(flattened, _OF_BASELINE, baseline))
            self._write(part, tables)
            summary["parts"] = sum_by_key(np.array([[part]]), np.ones(1))
        return Summary(summary)

    def _write(self, part: int, tables: list[pa.Table]) -> None:
        table = pa.concat_tables(tables)
        day, row, position = (table[name].to_numpy() for name in ("day", "row", "position"))
        order = np.lexsort((position, row, day))
        table = table.take(pa.array(order)).combine_chunks()
        day = day[order]
        edges = np.concatenate([[0], np.flatnonzero(np.diff(day)) + 1, [len(day)]])
        days = day[edges[:-1]].tolist()
        schema = table.schema.with_metadata({"days": json.dumps(days)})
        path = part_path(self.folder, part)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for low, high in pairwise(edges.tolist()):
                for batch in table.slice(low, high - low).to_batches():
                    writer.write_batch(batch)


def part_path(folder: Path, part: int) -> Path:
    """Where a part is."""
    return folder / f"part-{part:x}.arrow"


def _touched(chunk: JourneyChunk, shares: NDArray[np.float64]) -> pa.Table:
    journey = np.repeat(np.arange(len(chunk)), chunk.lengths)
    starts = np.repeat(np.cumsum(chunk.lengths) - chunk.lengths, chunk.lengths)
    touched_at = chunk.touched_at if chunk.touched_at is not None else np.zeros(len(journey), np.int64)
    return _rows(
        chunk,
        journey,
        touched_at=touched_at,
        channel=chunk.channel.astype(np.int32),
        code=chunk.code.astype(np.int64),
        position=(np.arange(len(journey)) - starts + 1).astype(np.int64),
        credit=shares,
    )


def _whole(chunk: JourneyChunk, channel: int, credit: NDArray[np.float64]) -> pa.Table:
    """A row per journey, of no touchpoint, after those of its touchpoints."""
    size = len(chunk)
    return _rows(
        chunk,
        np.arange(size),
        touched_at=np.zeros(size, np.int64),
        channel=np.full(size, channel, np.int32),
        code=np.full(size, _NONE, np.int64),
        position=(chunk.lengths + 1).astype(np.int64),
        credit=credit,
    )


def _rows(chunk: JourneyChunk, journey: NDArray[np.int64], **columns: NDArray[np.generic]) -> pa.Table:
    assert chunk.ended_at is not None
    assert chunk.customer_ids is not None
    return pa.table(
        {
            "day": chunk.ended_at[journey] // DAY,
            "row": chunk.conversion[journey],
            "customer_id": chunk.customer_ids.take(pa.array(chunk.customer[journey])),
            **columns,
            "value": chunk.value[journey],
        }
    )


@dataclass(frozen=True)
class Names:
    """What the numbers in parts stand for.

    Attributes
    ----------
    model, version : of the scorer
    channels : names, by position
    dimensions : what codes of touchpoints mean
    conversion_ids : (conversions,) by row
    """

    model: str
    version: str
    channels: tuple[str, ...]
    dimensions: Dimensions
    conversion_ids: NDArray[np.object_]


class Parts:
    """Parts that were written, as one table for each day."""

    def __init__(self, folder: Path, parts: Iterable[int]) -> None:
        self._files = [pa.ipc.open_file(pa.memory_map(str(part_path(folder, part)))) for part in parts]
        self._batches: dict[int, list[tuple[int, int]]] = {}
        for index, file in enumerate(self._files):
            for batch, day in enumerate(json.loads(file.schema.metadata[b"days"])):
                self._batches.setdefault(day, []).append((index, batch))

    @property
    def days(self) -> list[int]:
        """Days with a conversion, in order."""
        return sorted(self._batches)

    def table(self, day: int, names: Names) -> pa.Table:
        """The rows of one day, in the columns of `attribution.schema.tables.scoring.SCORED`, ordered by the data alone.

        Raises
        ------
        LawError
            If the credit of a conversion does not add up to 1.
        """
        batches = [self._files[index].get_batch(batch) for index, batch in self._batches[day]]
        table = pa.Table.from_batches(batches)
        row, position = table["row"].to_numpy(), table["position"].to_numpy()
        order = np.lexsort((position, row))
        table, row = table.take(pa.array(order)), row[order]
        _check(row, table["credit"].to_numpy())
        return _name_columns(table, row, names)

    def unknown(self, day: int, unknown: Mapping[int, str]) -> dict[str, int]:
        """How many touchpoints of the day's conversions are of each channel in ``unknown``, by position."""
        batches = [self._files[index].get_batch(batch) for index, batch in self._batches[day]]
        channel = np.concatenate([batch.column("channel").to_numpy() for batch in batches])
        counts = {name: int((channel == index).sum()) for index, name in unknown.items()}
        return {name: count for name, count in counts.items() if count}


def _check(row: NDArray[np.int64], credit: NDArray[np.float64]) -> None:
    starts = np.flatnonzero(np.diff(row, prepend=_NONE))
    sums = np.add.reduceat(credit, starts)
    if not (np.abs(sums - 1.0) <= _ROUNDING).all():
        raise LawError(f"credit of a conversion adds up to {float(sums[np.argmax(np.abs(sums - 1.0))])!r}, not 1")


def _name_columns(table: pa.Table, row: NDArray[np.int64], names: Names) -> pa.Table:
    rows = len(row)
    channel, code = table["channel"].to_numpy(), table["code"].to_numpy()
    is_whole = channel < 0
    channel_names = pa.array([*names.channels, BASELINE, UNATTRIBUTED], pa.string())
    channel = np.where(is_whole, len(channel_names) + channel, channel)
    starts = np.flatnonzero(np.diff(row, prepend=_NONE))
    ids = pa.array(names.conversion_ids[row[starts]], pa.string())
    conversion = np.repeat(np.arange(len(starts)), np.diff(starts, append=rows))
    return pa.table(
        {
            "model": pa.repeat(pa.scalar(names.model), rows),
            "model_version": pa.repeat(pa.scalar(names.version), rows),
            "conversion_id": ids.take(pa.array(conversion)),
            "customer_id": table["customer_id"].combine_chunks(),
            "touched_at": pa.array(table["touched_at"].to_numpy(), mask=is_whole).cast(pa.timestamp("us")),
            "channel": channel_names.take(pa.array(channel)),
            "campaign": _campaigns(names.dimensions, code, is_whole),
            "position": pa.array(table["position"].to_numpy(), mask=is_whole),
            "credit": table["credit"].combine_chunks(),
            "credited_value": pa.array(table["credit"].to_numpy() * table["value"].to_numpy()),
        }
    )


def _campaigns(dimensions: Dimensions, code: NDArray[np.int64], is_whole: NDArray[np.bool_]) -> pa.Array:
    if "campaign" not in dimensions.names:
        return pa.nulls(len(code), pa.string())
    values = pa.array([None, *dimensions.values[dimensions.names.index("campaign")]], pa.string())
    return values.take(pa.array(np.where(is_whole, 0, dimensions.digit(code, "campaign"))))
