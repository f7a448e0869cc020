"""What credited conversions are worth beside their value: margin, new customers, lifetime revenue.

A model publishes conversions and value. Anything else a conversion carries goes where the model hands the
conversion out, journey by journey, in proportion to what it published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.data.loading import Sources
from attribution.data.loading.events import is_new_customer
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import Bucketwise, bucket_reader, split_buckets
from attribution.kernels.statistics.sums import sum_by_key, sum_by_pair
from attribution.models import AttributionModel
from attribution.models.credit import allocate
from attribution.models.resampling import Resamples
from attribution.returns.lifetime import default_lifetime
from attribution.returns.terms import Terms
from attribution.schema.experiment import ReturnsOptions
from attribution.schema.tables import BASELINE, UNATTRIBUTED

Floats = NDArray[np.float64]

_BASES = {"margin": "value", "ltv": "conversions", "new_customers": "conversions"}
"""What a measure goes along with, where what is published cannot be handed out journey by journey."""


_LOST = "lost_"
"""Before the name of a measure: what conversions took away of it, such as the margin of one sold at a loss."""


@dataclass(frozen=True)
class Worth:
    """Measures of credited conversions.

    Attributes
    ----------
    table : ``model``, ``channel`` and a column for each measure
    estimates, draws, jackknife : per model and measure (draws, channels); the last two empty without resampling
    """

    table: pd.DataFrame
    estimates: Mapping[str, Mapping[str, Floats]]
    draws: Mapping[str, Mapping[str, Floats]]
    jackknife: Mapping[str, Mapping[str, Floats]]


def read_worth(
    journeys: Journeys,
    models: Sequence[AttributionModel],
    sources: Sources,
    terms: Terms,
    *,
    resamples: Resamples | None = None,
) -> Worth | None:
    """Read journeys once more, now that models are fitted, and add up what they hand out.

    Parameters
    ----------
    journeys, models : fitted on them
    sources : where conversions say what they are worth
    terms : which measures count, and what of conversions that do not say
    resamples : the draws of the models' credit, for draws of the measures

    Returns
    -------
    Worth, or None where only conversions and value count.

    Raises
    ------
    InputError
        If a conversion does not say what it is worth, and the options do not either.
    """
    measures = terms.measures
    if not measures:
        return None
    of_conversion = {name: measured(sources, name, terms.options) for name in sorted(measures)}
    lost = frozenset(name for name, of in of_conversion.items() if (of < 0).any())
    reader = partial(_handed_out, list(models), _apart(of_conversion, lost))
    whole = journeys.read(reader)[0]
    size = len(journeys.channels)
    rows, estimates = [], {}
    for place, model in enumerate(models):

        def total(name: str, place: int = place) -> Floats:
            return np.asarray(whole.dense(f"{place}_{name}", size + 1))[None]

        def of_all(name: str, place: int = place) -> float:
            return whole.number(f"{place}_all_{name}")

        totals = {name: _net(total, name, lost) for name in ("conversions", "value", *measures)}
        credit = {"conversions": model.credit_.conversions[None, :-1], "value": model.credit_.value[None, :-1]}
        allocated = model.estimand == "allocated"
        found = {name: _in_proportion(totals, credit, name, is_allocated=allocated) for name in of_conversion}
        estimates[model.label] = found
        everything = {name: float(_net(of_all, name, lost)) for name in of_conversion}
        rows.append(_rows(model, found, {name: totals[name][0, -1] for name in of_conversion}, everything))
    drawn, left_out = _drawn(journeys, models, reader, (measures, lost), resamples)
    return Worth(pd.concat(rows, ignore_index=True), estimates, drawn, left_out)


def check_worth(sources: Sources, terms: Terms) -> None:
    """Raise `InputError`, before any model is fitted, if a conversion does not say what it is worth."""
    for name in sorted(terms.measures):
        measured(sources, name, terms.options)


def _apart(measures: Mapping[str, Floats], lost: frozenset[str]) -> dict[str, Floats]:
    """Gains and losses of those in ``lost``: exact sums are of numbers ≥ 0."""
    gains = {name: np.maximum(of, 0.0) for name, of in measures.items()}
    return gains | {_LOST + name: np.maximum(-measures[name], 0.0) for name in sorted(lost)}


def _net(read: Callable[[str], Floats | float], name: str, lost: frozenset[str]) -> Floats:
    return np.asarray(read(name) - read(_LOST + name) if name in lost else read(name))


def measured(sources: Sources, name: str, options: ReturnsOptions) -> Floats:
    """(conversions + 1,) a measure of each conversion, by row; 0 where row −1 points.

    Raises
    ------
    InputError
        If a conversion does not say what it is worth, and the options do not either.
    """
    if name == "new_customers":
        return is_new_customer(sources).astype(np.float64)
    is_new = is_new_customer(sources) if name == "ltv" else None
    columns = "value, " + (name if sources.has("conversions", name) else f"null::double as {name}")
    table = sources.engine.query(f"select {columns} from numbered_conversions order by row").to_pandas()
    given = np.append(table[name].to_numpy(np.float64), 0.0)
    if name == "ltv":
        lifetime = default_lifetime(options)
        default = np.full(len(given), np.nan if lifetime is None else lifetime)
    else:
        default = np.append(table["value"].to_numpy(np.float64), 0.0)
        default *= np.nan if options.margin is None else options.margin
    filled = np.where(np.isnan(given), default, given)
    if is_new is not None:
        # A customer's lifetime counts once.
        filled = np.where(is_new, filled, 0.0)
    lacking = int(np.isnan(filled).sum())
    if lacking:
        raise InputError(
            f"table 'conversions': {pluralise(lacking, 'conversion')} without {name}",
            hint=f"set returns.{name} for those without it",
        )
    return filled


def _handed_out(models: list[AttributionModel], measures: Mapping[str, Floats], chunk: JourneyChunk) -> Summary:
    """Tables named by the model's place and what is summed, by channel; bare conversions come after the channels."""
    tables = {}
    bare = chunk.subset((chunk.lengths == 0) & chunk.converting)
    converting = chunk.subset(chunk.converting)
    for place, model in enumerate(models):
        laid_out, shares, _ = allocate(model, chunk)
        journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
        for name in ("conversions", "value", *measures):
            terms = shares * _terms(laid_out, name, measures)[journey]
            channels = np.append(laid_out.channel.astype(np.int64), np.full(len(bare), len(model.channels_)))
            terms = np.append(terms, _terms(bare, name, measures))
            buckets = None
            if laid_out.bucket is not None and bare.bucket is not None:
                buckets = np.append(laid_out.bucket[journey], bare.bucket)
            by_channel = (
                sum_by_key(channels[:, None], terms) if buckets is None else sum_by_pair(buckets, channels, terms)
            )
            tables[f"{place}_{name}"] = by_channel
        if chunk.bucket is None:
            for name in measures:
                every = _terms(converting, name, measures)
                tables[f"{place}_all_{name}"] = sum_by_key(np.zeros((len(every), 1), np.int64), every)
    return Summary(tables)


def _terms(chunk: JourneyChunk, name: str, measures: Mapping[str, Floats]) -> Floats:
    """(journeys,) what each brings."""
    if name in measures:
        return np.asarray(measures[name][chunk.conversion])
    return np.asarray(getattr(chunk, name), dtype=np.float64)


def _in_proportion(
    totals: Mapping[str, Floats], credit: Mapping[str, Floats], name: str, *, is_allocated: bool
) -> Floats:
    """(draws, channels) what was handed out of a measure, scaled as what was published is to what was handed out.

    What an allocated model gives its channels adds up to what there is.
    """
    base = _BASES[name]
    handed, published, measure = totals[base][:, :-1], credit[base], totals[name][:, :-1]
    scaled = measure * np.divide(published, handed, out=np.ones_like(handed), where=handed > 0)
    if is_allocated:
        there, found = (of.sum(axis=1, keepdims=True) for of in (measure, scaled))
        scaled = scaled * np.divide(there, found, out=np.ones_like(found), where=found != 0)
    return np.asarray(scaled)


def _rows(
    model: AttributionModel, found: Mapping[str, Floats], bare: Mapping[str, float], everything: Mapping[str, float]
) -> pd.DataFrame:
    names = [*model.channels_, UNATTRIBUTED]
    columns = {name: np.append(found[name][0], bare[name]) for name in found}
    if model.credit_.baseline is not None:
        names.append(BASELINE)
        columns = {name: np.append(of, everything[name] - of.sum()) for name, of in columns.items()}
    return pd.DataFrame({"model": model.label, "channel": names, **columns})


Drawn = dict[str, dict[str, Floats]]


def _drawn(
    journeys: Journeys,
    models: Sequence[AttributionModel],
    reader: Reader,
    names: tuple[frozenset[str], frozenset[str]],
    resamples: Resamples | None,
) -> tuple[Drawn, Drawn]:
    """Draws and jackknife of the measures, of which some have losses: the same buckets, taken as often."""
    measures, lost = names
    if resamples is None:
        return {}, {}
    by_bucket = journeys.read(bucket_reader([Bucketwise(reader)], resamples.dealing))[0]
    ((_, buckets),) = split_buckets(by_bucket, 1)
    column = np.searchsorted(resamples.buckets, buckets.labels)
    size = len(journeys.channels)
    parts: tuple[Drawn, Drawn] = ({}, {})
    for place, model in enumerate(models):
        allocated = model.estimand == "allocated"

        def total(name: str, place: int = place) -> Floats:
            return np.asarray(buckets.totals(f"{place}_{name}", size + 1)).T

        totals = {name: _net(total, name, lost) for name in ("conversions", "value", *measures)}
        of_weights = (
            (resamples.weights, resamples.draws[model.label]),
            (resamples.left_out, resamples.jackknife[model.label]),
        )
        for part, (weights, sample) in zip(parts, of_weights, strict=True):
            again = {name: weights[:, column] @ total for name, total in totals.items()}
            credit = {"conversions": sample.channels.conversions, "value": sample.channels.value}
            part[model.label] = {
                name: _in_proportion(again, credit, name, is_allocated=allocated) for name in sorted(measures)
            }
    return parts
