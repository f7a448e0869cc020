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
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk, Journeys, Reader, Summary, observe
from attribution.kernels.statistics.sums import KeyedSums
from attribution.models import AttributionModel
from attribution.models.credit import Credit
from attribution.models.machinery import get_machinery
from attribution.schema.tables import SEGMENT_CREDIT

NO_SEGMENT = "(none)"
"""Customers who are not in the customers table, or have no value there."""

_MOST = 100
"""Most segments; a column with more values holds ids, not segments."""


class Segments(NamedTuple):
    """``ids`` of customers and the position of each one's segment in ``names``, which ends with `NO_SEGMENT`."""

    ids: pa.Array
    code: NDArray[np.int32]
    names: tuple[str, ...]

    def of(self, chunk: JourneyChunk) -> NDArray[np.int32]:
        """(journeys,) segment of each journey's customer."""
        return np.asarray(self.of_customers(chunk)[chunk.customer])

    def of_customers(self, chunk: JourneyChunk) -> NDArray[np.int32]:
        """(customers,) segment of each customer of a chunk."""
        assert chunk.customer_ids is not None
        index = pc.fill_null(pc.index_in(chunk.customer_ids.cast(self.ids.type), value_set=self.ids), len(self.ids))
        codes = np.append(self.code, np.int32(len(self.names) - 1))
        return np.asarray(codes[index.to_numpy()])


def read_segments(sources: Sources, column: str) -> Segments:
    """The segment of every customer.

    Raises
    ------
    InputError
        If the customers table has no such column, or the column has too many values, or two for one customer.
    """
    if not sources.has("customers", column):
        columns = list(sources.tables["customers"].columns) if sources.has("customers") else []
        raise InputError(
            f"the segment column {column!r} is not in the customers table",
            given=columns or "no customers table",
            hint=did_you_mean(column, columns)
            or "give a customers table with this column, or leave segment out of the journey options",
        )
    name = quote(column)
    rows = sources.engine.query(
        f"select customer_id, min({name}) as low, max({name}) as high from customers "
        "where customer_id is not null group by customer_id order by customer_id"
    )
    torn = rows.filter(pc.not_equal(rows["low"], rows["high"]))
    if torn.num_rows:
        first = torn.slice(0, 1).to_pylist()[0]
        who = "1 customer has" if torn.num_rows == 1 else f"{torn.num_rows:,} customers have"
        raise InputError(
            f"{who} two values in the segment column {column!r}",
            given=f"{first['customer_id']}: {first['low']}, {first['high']}",
            hint="give each customer one value",
        )
    names = sorted(value for value in pc.unique(rows["low"]).to_pylist() if value is not None)
    if len(names) > _MOST:
        raise InputError(f"the segment column {column!r} has {len(names):,} values", allowed=f"up to {_MOST} segments")
    index = pc.fill_null(pc.index_in(rows["low"], value_set=pa.array(names, rows["low"].type)), len(names))
    return Segments(
        rows["customer_id"].combine_chunks(),
        np.asarray(index.to_numpy(), dtype=np.int32),
        (*names, NO_SEGMENT),
    )


def segment_reader(models: Sequence[AttributionModel], segments: Segments) -> Reader:
    """A reader that sums the contributions of every model by segment, for `segment_credit`."""
    return partial(_summarise_by_segment, [observe, *(model.summarise for model in models)], segments)


def segment_credit(
    summary: Summary, journeys: Journeys, models: Sequence[AttributionModel], segments: Segments
) -> tuple[pd.DataFrame, list[Finding]]:
    """The ``segment_credit`` table, and findings on models for which a segment has too little data.

    Segments without a journey are left out.
    """
    summary = summary + _summarise_untouched(journeys, models, segments)
    parts, findings = [], []
    for code, segment in enumerate(segments.names):
        observed, *own = (_part(summary, code, index) for index in range(len(models) + 1))
        if not observed.number("journeys"):
            continue
        fitted = []
        for model, contributions in zip(models, own, strict=True):
            alone = type(model)(**model.get_params())
            machinery = get_machinery(alone)
            machinery.prepare(journeys)
            try:
                if machinery.lacks_segments is not None:
                    raise InputError(f"it {machinery.lacks_segments}")
                machinery.finish_fit(contributions, observed)
            except InputError as error:
                message = (
                    f"{model.label} is missing in segment_credit for this segment; use other models there: {error}"
                )
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


def _summarise_untouched(journeys: Journeys, models: Sequence[AttributionModel], segments: Segments) -> Summary:
    """Contributions of customers who were never touched, by segment, to the models that need them."""
    chunk = journeys.untouched() if any(get_machinery(model).needs_untouched for model in models) else None
    if chunk is None:
        return Summary({})
    own = [model.summarise if get_machinery(model).needs_untouched else _read_nothing for model in models]
    return _summarise_by_segment([_read_nothing, *own], segments, chunk)


def _read_nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def _summarise_by_segment(readers: Sequence[Reader], segments: Segments, chunk: JourneyChunk) -> Summary:
    of = segments.of_customers(chunk)
    tables: dict[str, KeyedSums] = {}
    for code in np.unique(of).tolist():
        part = chunk.of_customers(of == code)
        for index, reader in enumerate(readers):
            tables |= {f"{code}/{index}/{name}": table for name, table in reader(part).tables.items()}
    return Summary(tables)


def _part(summary: Summary, code: int, index: int) -> Summary:
    start = f"{code}/{index}/"
    return Summary(
        {name.removeprefix(start): table for name, table in summary.tables.items() if name.startswith(start)}
    )
