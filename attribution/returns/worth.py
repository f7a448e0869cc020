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
"""What a measure goes along with, where what is published cannot be allocated journey by journey."""


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
    """Read journeys once more, now that models are fitted, and add up what they allocate.

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
    of_conversion = {name: read_measure(sources, name, terms.options) for name in sorted(measures)}
    lost = frozenset(name for name, of in of_conversion.items() if (of < 0).any())
    reader = partial(_allocate_measures, list(models), _apart(of_conversion, lost))
    whole = journeys.read(reader)[0]
    size = len(journeys.channels)
    rows, estimates = [], {}
    for index, model in enumerate(models):

        def total(name: str, index: int = index) -> Floats:
            return np.asarray(whole.dense(f"{index}_{name}", size + 1))[None]

        def of_all(name: str, index: int = index) -> float:
            return whole.number(f"{index}_all_{name}")

        totals = {name: _net(total, name, lost) for name in ("conversions", "value", *measures)}
        credit = {"conversions": model.credit_.conversions[None, :-1], "value": model.credit_.value[None, :-1]}
        allocated = model.estimand == "allocated"
        credited = {name: _in_proportion(totals, credit, name, is_allocated=allocated) for name in of_conversion}
        estimates[model.label] = credited
        everything = {name: float(_net(of_all, name, lost)) for name in of_conversion}
        rows.append(_rows(model, credited, {name: totals[name][0, -1] for name in of_conversion}, everything))
    draws, left_out = _draw_measures(journeys, models, reader, (measures, lost), resamples)
    return Worth(pd.concat(rows, ignore_index=True), estimates, draws, left_out)


def check_worth(sources: Sources, terms: Terms) -> None:
    """Raise `InputError`, before any model is fitted, if a conversion does not say what it is worth."""
    for name in sorted(terms.measures):
        read_measure(sources, name, terms.options)


def _apart(measures: Mapping[str, Floats], lost: frozenset[str]) -> dict[str, Floats]:
    """Gains and losses of those in ``lost``: exact sums are of numbers ≥ 0."""
    gains = {name: np.maximum(of, 0.0) for name, of in measures.items()}
    return gains | {_LOST + name: np.maximum(-measures[name], 0.0) for name in sorted(lost)}


def _net(read: Callable[[str], Floats | float], name: str, lost: frozenset[str]) -> Floats:
    return np.asarray(read(name) - read(_LOST + name) if name in lost else read(name))


def read_measure(sources: Sources, name: str, options: ReturnsOptions) -> Floats:
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
    values = np.append(table[name].to_numpy(np.float64), 0.0)
    if name == "ltv":
        lifetime = default_lifetime(options)
        default = np.full(len(values), np.nan if lifetime is None else lifetime)
    else:
        default = np.append(table["value"].to_numpy(np.float64), 0.0)
        default *= np.nan if options.margin is None else options.margin
    filled = np.where(np.isnan(values), default, values)
    if is_new is not None:
        # A customer's lifetime counts once.
        filled = np.where(is_new, filled, 0.0)
    missing = int(np.isnan(filled).sum())
    if missing:
        raise InputError(
            f"table 'conversions': {pluralise(missing, 'conversion')} without {name}",
            hint=f"set returns.{name} for those without it",
        )
    return filled


def _allocate_measures(models: list[AttributionModel], measures: Mapping[str, Floats], chunk: JourneyChunk) -> Summary:
    """Tables named by the model's index and what is summed, by channel; untouched conversions come last."""
    tables = {}
    untouched = chunk.subset((chunk.lengths == 0) & chunk.converting)
    converting = chunk.subset(chunk.converting)
    for index, model in enumerate(models):
        flattened, shares = allocate(model, chunk)[:2]
        journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
        for name in ("conversions", "value", *measures):
            terms = shares * _terms(flattened, name, measures)[journey]
            channels = np.append(flattened.channel.astype(np.int64), np.full(len(untouched), len(model.channels_)))
            terms = np.append(terms, _terms(untouched, name, measures))
            buckets = None
            if flattened.bucket is not None and untouched.bucket is not None:
                buckets = np.append(flattened.bucket[journey], untouched.bucket)
            by_channel = (
                sum_by_key(channels[:, None], terms) if buckets is None else sum_by_pair(buckets, channels, terms)
            )
            tables[f"{index}_{name}"] = by_channel
        if chunk.bucket is None:
            for name in measures:
                every = _terms(converting, name, measures)
                tables[f"{index}_all_{name}"] = sum_by_key(np.zeros((len(every), 1), np.int64), every)
    return Summary(tables)


def _terms(chunk: JourneyChunk, name: str, measures: Mapping[str, Floats]) -> Floats:
    """(journeys,) what each brings."""
    if name in measures:
        return np.asarray(measures[name][chunk.conversion])
    return np.asarray(getattr(chunk, name), dtype=np.float64)


def _in_proportion(
    totals: Mapping[str, Floats], credit: Mapping[str, Floats], name: str, *, is_allocated: bool
) -> Floats:
    """(draws, channels) what was allocated of a measure, scaled as what was published is to what was allocated.

    What an allocated model gives its channels adds up to what there is.
    """
    base = _BASES[name]
    handed, published, measure = totals[base][:, :-1], credit[base], totals[name][:, :-1]
    scaled = measure * np.divide(published, handed, out=np.ones_like(handed), where=handed > 0)
    if is_allocated:
        there, credited = (of.sum(axis=1, keepdims=True) for of in (measure, scaled))
        scaled = scaled * np.divide(there, credited, out=np.ones_like(credited), where=credited != 0)
    return np.asarray(scaled)


def _rows(
    model: AttributionModel,
    credited: Mapping[str, Floats],
    untouched: Mapping[str, float],
    everything: Mapping[str, float],
) -> pd.DataFrame:
    names = [*model.channels_, UNATTRIBUTED]
    columns = {name: np.append(credited[name][0], untouched[name]) for name in credited}
    if model.credit_.baseline is not None:
        names.append(BASELINE)
        columns = {name: np.append(of, everything[name] - of.sum()) for name, of in columns.items()}
    return pd.DataFrame({"model": model.label, "channel": names, **columns})


MeasureDraws = dict[str, dict[str, Floats]]


def _draw_measures(
    journeys: Journeys,
    models: Sequence[AttributionModel],
    reader: Reader,
    names: tuple[frozenset[str], frozenset[str]],
    resamples: Resamples | None,
) -> tuple[MeasureDraws, MeasureDraws]:
    """Draws and jackknife of the measures, of which some have losses: the same buckets, taken as often."""
    measures, lost = names
    if resamples is None:
        return {}, {}
    by_bucket = journeys.read(bucket_reader([Bucketwise(reader)], resamples.dealing))[0]
    ((_, buckets),) = split_buckets(by_bucket, 1)
    column = np.searchsorted(resamples.buckets, buckets.labels)
    size = len(journeys.channels)
    parts: tuple[MeasureDraws, MeasureDraws] = ({}, {})
    for index, model in enumerate(models):
        allocated = model.estimand == "allocated"

        def total(name: str, index: int = index) -> Floats:
            return np.asarray(buckets.totals(f"{index}_{name}", size + 1)).T

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
