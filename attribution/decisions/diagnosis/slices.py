"""What slices of the business touched, returned and cost: by channel, by segment, by dimensions of touchpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.data.loading.events import Dimensions
from attribution.decisions.diagnosis.gaps import NEEDED
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk, Journeys, Summary
from attribution.journeys.profile import touchpoints_by_channel
from attribution.journeys.structure import tally
from attribution.kernels.statistics.sums import KeyedSums, sum_by_key
from attribution.models import AttributionModel
from attribution.models.credit import allocate
from attribution.models.segments import NO_SEGMENT, Segments
from attribution.returns import Terms, main_basis
from attribution.returns.worth import read_measure
from attribution.schema.tables import NO_CHANNELS

Floats = NDArray[np.float64]

MOST_SLICES = 1_000
"""Of one dimension of touchpoints; more would be addresses or ids, not slices."""


def channel_slices(
    returns: pd.DataFrame,
    profile: pd.DataFrame,
    credit: pd.DataFrame | None = None,
    *,
    whole: Mapping[str, str] | None = None,
    dimension: str = "channel",
) -> pd.DataFrame:
    """Slices by channel under every model, as `diagnose_roi` takes them, on the terms that channels are ranked by.

    Parameters
    ----------
    returns : the ``returns`` table
    profile : the ``journey_profile`` table, for the touchpoints of each channel
    credit : the ``credit`` table, for what chance gives each channel; that is null without it
    whole : for channels that a path transform has split, the channel each is a part of
    dimension : what channels are called; campaigns may be in their place
    """
    rows = main_basis(returns)
    rows = rows[~rows["channel"].isin(NO_CHANNELS)]
    parts = dict(whole or {})
    touchpoints = touchpoints_by_channel(profile)
    reach = touchpoints.groupby(touchpoints.index.to_series().replace(parts)).sum()
    table = pd.DataFrame(
        {
            "dimension": dimension,
            "model": rows["model"],
            "slice": rows["channel"],
            "reach": rows["channel"].map(reach).astype(float).fillna(0.0),
            "conversions": rows["conversions"],
            "expected": _by_chance(rows, credit, parts),
            "value": rows["value"],
            # Without a cost of its own a channel has no ROI, even where it shares in others.
            "spend": rows["spend"].where(rows["roi"].notna()),
        }
    )
    return table.reset_index(drop=True)


def _by_chance(rows: pd.DataFrame, credit: pd.DataFrame | None, parts: Mapping[str, str]) -> Floats:
    """What chance gives each row; null for models of what channels caused, whose credit is no division."""
    if credit is None or "chance_conversions" not in credit:
        return np.full(len(rows), np.nan)
    divided = credit[credit["estimand"] == "allocated"]
    key = [divided["model"], divided["channel"].replace(dict(parts))]
    expected = divided["chance_conversions"].groupby(key).sum(min_count=1)
    return np.asarray(expected.reindex(pd.MultiIndex.from_frame(rows[["model", "channel"]])), np.float64)


def check_dimensions(sources: Sources, names: Sequence[str], *, grain: str) -> None:
    """Raise `InputError` unless touchpoints can be sliced by these dimensions."""
    dimensions = [name for name in sources.dimensions if name != "channel" and name != grain]
    for name in names:
        if name not in dimensions:
            raise InputError(
                f"output.slices: touchpoints have no dimension {name!r} besides their {grain}",
                allowed=dimensions or "none, because touchpoints have no other dimension",
                hint=did_you_mean(name, dimensions)
                or f'add it to the columns of touchpoints: columns = {{ …, {name} = "column" }}',
            )


def check_slices(dimensions: Dimensions, name: str) -> Sequence[str]:
    """The values of a dimension; `InputError` if there are too many to be slices."""
    values = dimensions.values[dimensions.names.index(name)]
    if len(values) > MOST_SLICES:
        raise InputError(
            f"output.slices: dimension {name!r} has too many values",
            given=f"{len(values):,} values",
            allowed=f"up to {MOST_SLICES:,}",
            hint="group them into a column of their own, or leave the dimension out of output.slices",
        )
    return values


@dataclass(frozen=True)
class SliceReader:
    """Adds up reach and what every model allocates, by the values of dimensions and by segment.

    Attributes
    ----------
    models : fitted, allocated
    dimensions : names of dimensions of touchpoints
    segments : of customers
    returned : return of each journey of a chunk, on the basis that channels are ranked by
    """

    models: tuple[AttributionModel, ...]
    dimensions: tuple[str, ...]
    segments: Segments | None
    returned: Callable[[JourneyChunk], Floats]

    def __call__(self, chunk: JourneyChunk) -> Summary:
        tables: dict[str, KeyedSums] = {}
        if self.segments is not None:
            touched = chunk.touched
            of = self.segments.of(touched).astype(np.int64)[:, None]
            tables |= _sums("segment//", of, self._terms(touched))
        for position, model in enumerate(self.models if self.dimensions else ()):
            allocated, shares = allocate(model, chunk)[:2]
            journey = np.repeat(np.arange(len(allocated)), allocated.lengths)
            terms = {what: shares * of[journey] for what, of in self._terms(allocated).items()}
            for name in self.dimensions:
                digit = allocated.dimensions.digit(allocated.code.astype(np.int64), name)
                tables |= _sums(f"{name}/{position}/", digit[:, None], terms)
        return sum(map(self._reach, chunk.by_last_touch), start=Summary(tables))

    def _reach(self, chunk: JourneyChunk) -> Summary:
        """Touchpoints by slice, journeys by segment; one that failed counts when it was last touched, as its spend."""
        touched = chunk.touched
        tables = {f"{name}/reach": _touchpoints(touched, name) for name in self.dimensions}
        if self.segments is not None:
            of = self.segments.of(touched).astype(np.int64)[:, None]
            tables["segment/reach"] = sum_by_key(of, _weight(touched))
        return Summary(tables)

    def _terms(self, chunk: JourneyChunk) -> dict[str, Floats]:
        """(journeys,) conversions, gains and losses: exact sums are of numbers ≥ 0."""
        returned = self.returned(chunk)
        conversions = np.asarray(chunk.conversions, dtype=np.float64)
        return {"conversions": conversions, "gains": np.maximum(returned, 0.0), "losses": np.maximum(-returned, 0.0)}


def further_slices(
    sources: Sources,
    journeys: Journeys,
    models: Sequence[AttributionModel],
    terms: Terms,
    *,
    dimensions: Sequence[str] = (),
    segments: tuple[str, Segments] | None = None,
) -> pd.DataFrame:
    """Slices by dimensions of touchpoints and by segments of customers, as `diagnose_roi` takes them.

    They carry no costs: spend is of channels. All allocated models agree on what a segment's journeys brought.

    Parameters
    ----------
    sources : where conversions say what they are worth
    journeys : read once more
    models : fitted on them; those that are not allocated have no part
    terms : what counts as return
    dimensions : names of dimensions of touchpoints
    segments : column of the customers table, and what it says
    """
    allocated = tuple(model for model in models if model.estimand == "allocated")
    reader = SliceReader(
        allocated, tuple(dimensions), segments[1] if segments else None, _journey_return(sources, terms)
    )
    summary = journeys.read(reader)[0]
    parts = []
    if segments is not None:
        names = np.array(segments[1].names, dtype=object)
        parts.append(_rows(summary, ("segment", ""), f"customers.{segments[0]}", None, names))
        parts[-1]["expected"] = _by_reach(parts[-1])
    for name in dimensions:
        values = check_slices(journeys.dimensions, name)
        names = np.array([NO_SEGMENT, *values], dtype=object)
        for position, model in enumerate(allocated):
            rows = _rows(summary, (name, f"{position}"), name, model.label, names)
            # Weights that look at channels favour some of them whatever the labels of touchpoints.
            parts.append(rows.assign(expected=_by_reach(rows) if model.ignores_channels else np.nan))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(NEEDED))


def _rows(
    summary: Summary, key: tuple[str, str], dimension: str, model: str | None, names: NDArray[np.object_]
) -> pd.DataFrame:
    """One row per value that was touched."""
    name, position = key
    sums = {what: summary.dense(f"{name}/{position}/{what}", len(names)) for what in ("conversions", "gains", "losses")}
    table = pd.DataFrame(
        {
            "dimension": dimension,
            "model": model,
            "slice": names,
            "reach": summary.dense(f"{name}/reach", len(names)),
            "conversions": sums["conversions"],
            "value": sums["gains"] - sums["losses"],
            "spend": np.nan,
        }
    )
    return table[(table["reach"] > 0) | (table["conversions"] != 0)]


def _by_reach(rows: pd.DataFrame) -> pd.Series:
    """Conversions of all slices in proportion to their reach."""
    total = rows["reach"].sum()
    return rows["reach"] / total * rows["conversions"].sum() if total > 0 else rows["reach"] * np.nan


def _sums(prefix: str, keys: NDArray[np.int64], terms: Mapping[str, Floats]) -> dict[str, KeyedSums]:
    return {prefix + what: sum_by_key(keys, of) for what, of in terms.items()}


def _weight(chunk: JourneyChunk) -> Floats:
    """(journeys,) how many there are of each: aggregated paths count."""
    return np.asarray(chunk.conversions, np.float64) + np.asarray(chunk.nulls, np.float64)


def _touchpoints(touched: JourneyChunk, name: str) -> KeyedSums:
    flat = touched.flatten(touched.lengths > 0)
    digit = flat.dimensions.digit(flat.code.astype(np.int64), name)
    return tally(digit, np.repeat(_weight(flat), flat.lengths))


def _journey_return(sources: Sources, terms: Terms) -> Callable[[JourneyChunk], Floats]:
    """Return of each journey, on the basis that channels are ranked by."""
    basis = terms.options.basis
    if basis not in terms.measures:
        return _OfValue(terms)
    return _OfConversion(terms.earned(basis, {basis: read_measure(sources, basis, terms.options)}))


@dataclass(frozen=True)
class _OfValue:
    terms: Terms

    def __call__(self, chunk: JourneyChunk) -> Floats:
        value = np.asarray(chunk.value, np.float64)
        return self.terms.earned(self.terms.options.basis, {"value": value})


@dataclass(frozen=True)
class _OfConversion:
    """``returned`` (conversions + 1,), by row; 0 where row −1 points."""

    returned: Floats

    def __call__(self, chunk: JourneyChunk) -> Floats:
        return np.asarray(self.returned[chunk.conversion])
