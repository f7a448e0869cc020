"""Credit per segment of customers: every model fitted on each segment's journeys alone, in the same pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.engine import quote
from attribution.data.loading import Finding, Sources, count_finding
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Journeys, Reader, Summary, observe
from attribution.kernels.statistics.sums import KeyedSums
from attribution.models import AttributionModel
from attribution.models.credit import Credit
from attribution.models.machinery import machinery_of
from attribution.schema.tables import SEGMENT_CREDIT

NO_SEGMENT = "(none)"
"""Customers whom the customers table does not know, or gives no value."""

_MOST = 100
"""Segments; more would be ids, not segments."""


class Segments(NamedTuple):
    """``ids`` of customers and the position of each one's segment in ``names``, which ends with `NO_SEGMENT`."""

    ids: pa.Array
    code: NDArray[np.int32]
    names: tuple[str, ...]

    def of(self, chunk: JourneyChunk) -> NDArray[np.int32]:
        """(journeys,) segment of each journey's customer."""
        assert chunk.customer_ids is not None
        found = pc.fill_null(pc.index_in(chunk.customer_ids.cast(self.ids.type), value_set=self.ids), len(self.ids))
        codes = np.append(self.code, np.int32(len(self.names) - 1))
        return np.asarray(codes[found.to_numpy()[chunk.customer]])


def read_segments(sources: Sources, column: str) -> Segments:
    """The segment of every customer.

    Raises
    ------
    InputError
        If the customers table has no such column, too many values, or two values for one customer.
    """
    if not sources.has("customers", column):
        known = list(sources.tables["customers"].columns) if sources.has("customers") else []
        raise InputError(f"journeys.segment names column {column!r}, which the customers table lacks", given=known)
    name = quote(column)
    rows = sources.engine.query(
        f"select customer_id, min({name}) as low, max({name}) as high from customers "
        "where customer_id is not null group by customer_id order by customer_id"
    )
    torn = rows.filter(pc.not_equal(rows["low"], rows["high"]))
    if torn.num_rows:
        first = torn.slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{torn.num_rows} customers are in two segments of {column!r}",
            given=f"{first['customer_id']}: {first['low']}, {first['high']}",
            hint="give every customer one value",
        )
    names = sorted(value for value in pc.unique(rows["low"]).to_pylist() if value is not None)
    if len(names) > _MOST:
        raise InputError(f"journeys.segment: column {column!r} has {len(names):,} values", allowed=f"up to {_MOST}")
    place = pc.fill_null(pc.index_in(rows["low"], value_set=pa.array(names, rows["low"].type)), len(names))
    return Segments(
        rows["customer_id"].combine_chunks(),
        np.asarray(place.to_numpy(), dtype=np.int32),
        (*names, NO_SEGMENT),
    )


def segment_reader(models: Sequence[AttributionModel], segments: Segments) -> Reader:
    """What sums up every model's contributions segment by segment, for `segment_credit`."""
    return partial(_by_segment, [observe, *(model.summarise for model in models)], segments)


def segment_credit(
    summary: Summary, journeys: Journeys, models: Sequence[AttributionModel], segments: Segments
) -> tuple[pd.DataFrame, list[Finding]]:
    """The ``segment_credit`` table, and what it lacks: models that a segment alone has not enough for.

    Segments without a journey are left out.
    """
    summary = summary + _untouched(journeys, models, segments)
    parts, findings = [], []
    for code, segment in enumerate(segments.names):
        observed, *own = (_part(summary, code, place) for place in range(len(models) + 1))
        if not observed.number("journeys"):
            continue
        fitted = []
        for model, contributions in zip(models, own, strict=True):
            alone = type(model)(**model.get_params())
            machinery = machinery_of(alone)
            machinery.prepare(journeys)
            try:
                machinery.finish_fit(contributions, observed)
            except InputError as error:
                message = f"{model.label} is left out of the segment: {error}"
                findings.append(count_finding("segment_left_out", "customers", 1, message, example=segment))
            else:
                fitted.append(alone)
        if fitted:
            rows = Credit.of(fitted).table
            rows.insert(0, "segment", segment)
            parts.append(rows)
    columns = list(SEGMENT_CREDIT.column_names)
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    return table, findings


def _untouched(journeys: Journeys, models: Sequence[AttributionModel], segments: Segments) -> Summary:
    """What customers contribute who were never touched, segment by segment, to the models that they matter to."""
    chunk = journeys.untouched() if any(machinery_of(model).needs_untouched for model in models) else None
    if chunk is None:
        return Summary({})
    own = [model.summarise if machinery_of(model).needs_untouched else _nothing for model in models]
    return _by_segment([_nothing, *own], segments, chunk)


def _nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def _by_segment(readers: Sequence[Reader], segments: Segments, chunk: JourneyChunk) -> Summary:
    of = segments.of(chunk)
    tables: dict[str, KeyedSums] = {}
    for code in np.unique(of).tolist():
        part = chunk.only(of == code)
        for place, reader in enumerate(readers):
            tables |= {f"{code}/{place}/{name}": table for name, table in reader(part).tables.items()}
    return Summary(tables)


def _part(summary: Summary, code: int, place: int) -> Summary:
    start = f"{code}/{place}/"
    return Summary(
        {name.removeprefix(start): table for name, table in summary.tables.items() if name.startswith(start)}
    )
