"""Intervals for everything: re-weight buckets of customers, solve again.

An interval covers sampling: what another sample of customers from the same world would have given. It never covers
bias: touchpoints that were not seen, customers who would have bought anyway, or the choice of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from attribution.data.loading import Finding
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.buckets import (
    Buckets,
    Bucketwise,
    Dealing,
    are_single,
    bucket_reader,
    converting_customers,
    observe_buckets,
    split_buckets,
)
from attribution.kernels.statistics.draws import multinomial_weights, poisson_weights
from attribution.kernels.statistics.intervals import bca, percentile
from attribution.models import AttributionModel
from attribution.models.machinery import Draws, machinery_of
from attribution.schema.experiment import ResamplingOptions
from attribution.schema.tables import BASELINE, UNATTRIBUTED

FEW_CONVERSIONS = 1_024
"""Below this, four per bucket, converting customers are drawn one by one."""

EXACT_DRAWS = 3
"""Draws solved exactly to check those that go by influences."""

Floats = NDArray[np.float64]
By = Literal["buckets", "customers"]


@dataclass(frozen=True)
class Sample:
    """Credit of one model under some weights.

    ``channels`` as `Machinery.redraw` gives it; ``others`` the conversions (draws,) of rows of its credit that
    are no channels.
    """

    channels: Draws
    others: Mapping[str, Floats]

    def rows(self, rows: slice) -> Sample:
        """Some of the draws."""
        conversions, value, effects = self.channels
        kept = Draws(conversions[rows], value[rows], None if effects is None else effects[rows])
        return Sample(kept, {name: values[rows] for name, values in self.others.items()})


@dataclass(frozen=True)
class Resamples:
    """Credit of all models under the same draws, so that differences between models have draws of their own.

    Attributes
    ----------
    labels, channels : of the models, and of the columns
    estimates, draws, jackknife : per model, credit of all data, of each draw, and with one bucket left out at a
        time; the last is empty unless BCa was asked for
    by : ``buckets``, or ``customers`` where converting customers were drawn one by one
    linearisation : per model that goes by influences, the largest error of a share in some exact draws, in standard
        deviations of that share
    dealing, buckets : how customers were dealt, and the labels of the buckets
    weights, left_out : (draws, buckets) and (buckets, buckets) how often each bucket counts, in ``draws`` and in
        ``jackknife``
    """

    labels: tuple[str, ...]
    channels: tuple[str, ...]
    options: ResamplingOptions
    estimates: Mapping[str, Sample]
    draws: Mapping[str, Sample]
    jackknife: Mapping[str, Sample]
    by: By
    linearisation: Mapping[str, float]
    dealing: Dealing
    buckets: NDArray[np.int64]
    weights: Floats
    left_out: Floats

    def interval(self, draws: Floats, estimate: Floats, jackknife: Floats) -> Floats:
        """(2, …) ends of the interval of what has ``draws`` (draws, …), ``estimate`` (1, …) and ``jackknife``."""
        if self.options.method == "percentile":
            return percentile(draws, self.options.level)
        return bca(draws, estimate[0], jackknife, self.options.level)

    def findings(self) -> list[Finding]:
        """What to know of these intervals, as rows of the quality table."""
        covers = "intervals cover sampling of customers, never bias"
        how = {
            "buckets": "customers in buckets, re-weighted",
            "customers": f"fewer than {FEW_CONVERSIONS:,} conversions: converting customers are drawn one by one",
        }[self.by]
        drawn = Finding("resampling", "credit", "pass", self.options.draws, None, None, f"{how}; {covers}")
        found = [drawn]
        for label, error in self.linearisation.items():
            message = (
                f"largest error of a share of {label} by influences, in its standard deviations, found by solving "
                f"{EXACT_DRAWS} draws exactly"
            )
            status: Literal["pass", "warn"] = "warn" if error > 0.25 else "pass"
            found.append(Finding("linearisation", "credit", status, round(error, 4), None, None, message))
        return found


def fit_and_resample(
    models: Sequence[AttributionModel], journeys: Journeys, options: ResamplingOptions, *readers: Reader
) -> tuple[list[Summary], Resamples]:
    """Fit all models in one pass over the journeys, and draw their credit again and again.

    Parameters
    ----------
    models : fitted in place
    journeys : what to attribute
    options : how many draws, and of which kind
    readers : read in the same pass

    Returns
    -------
    summaries : what `observe` and then ``readers`` summed up
    resamples : the draws

    Raises
    ------
    InputError
        If nothing converted, so that there is nothing to draw.
    """
    for model in models:
        machinery_of(model).prepare(journeys)
    dealing = Dealing()
    undrawn = [machinery_of(model).summarise_undrawn for model in models]
    by_bucket, *summaries = journeys.read(models_by_bucket(models, dealing), *undrawn, *readers)
    parts = split_models(by_bucket, models, journeys, dealing)
    observed = parts[0][0]
    for model, (whole, _), more in zip(models, parts[1:], summaries, strict=False):
        machinery_of(model).finish_fit(whole + more, observed)
    conversions = observed.number("conversions")
    if conversions == 0:
        raise InputError("nothing converted, so there is nothing to resample", hint="leave [resampling] out")
    if conversions < FEW_CONVERSIONS:
        dealing = one_by_one(journeys)
        (by_bucket,) = journeys.read(models_by_bucket(models, dealing))
        parts = split_models(by_bucket, models, journeys, dealing)
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        resamples = _resamples(models, [buckets for _, buckets in parts], options, dealing)
    return [observed, *summaries[len(models) :]], resamples


def models_by_bucket(models: Sequence[AttributionModel], dealing: Dealing) -> Reader:
    """What sums up, bucket by bucket, what was observed and what each of ``models`` needs, for `split_models`."""
    return bucket_reader(
        [Bucketwise(observe_buckets), *(machinery_of(model).buckets_reader for model in models)], dealing
    )


def split_models(
    by_bucket: Summary, models: Sequence[AttributionModel], journeys: Journeys, dealing: Dealing
) -> list[tuple[Summary, Buckets]]:
    """What was observed, and then what each model needs: of all customers, and bucket by bucket."""
    return split_buckets(by_bucket + _untouched(models, journeys, dealing), 1 + len(models))


def _untouched(models: Sequence[AttributionModel], journeys: Journeys, dealing: Dealing) -> Summary:
    """What customers contribute who were never touched, bucket by bucket, to the models that they matter to."""
    chunk = journeys.untouched() if any(machinery_of(model).needs_untouched for model in models) else None
    if chunk is None:
        return Summary({})
    own = [each.buckets_reader if each.needs_untouched else _nothing for each in map(machinery_of, models)]
    return bucket_reader([_nothing, *own], dealing)(chunk)


def _nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def one_by_one(journeys: Journeys) -> Dealing:
    """Every converting customer a bucket of its own, the others as before."""
    if journeys.integer_times is None:
        return Dealing(singles=np.zeros(0, np.uint64))
    words = journeys.read(converting_customers)[0].tables
    keys = words["words"].keys[:, 0].copy() if "words" in words else np.zeros(0, np.int64)
    return Dealing(singles=np.sort(keys.view(np.uint64)))


def _resamples(
    models: Sequence[AttributionModel], parts: Sequence[Buckets], options: ResamplingOptions, dealing: Dealing
) -> Resamples:
    observed, *own = parts
    drawn = draw_weights(observed.labels, options.draws, options.seed)
    left_out = _without_each(observed) if options.method == "bca" else drawn[:0]
    weights = np.concatenate([np.ones((1, observed.size)), drawn, left_out])
    found, errors = {}, {}
    for model, buckets in zip(models, own, strict=True):
        machinery, asked = machinery_of(model), (model.label, buckets, observed)
        # What checks the draws and what makes them are two long computations that share nothing: one for each core.
        with ThreadPoolExecutor(max_workers=1) as beside:
            check = machinery.is_linearised and beside.submit(
                solved, machinery.solve_again, *asked, drawn[:EXACT_DRAWS]
            )
            draws = solved(machinery.redraw, *asked, weights)
        found[model.label] = Sample(draws, _no_channels(model, draws, observed, weights))
        if check:
            errors[model.label] = _error(check.result().conversions, draws.conversions[1 : 1 + len(drawn)])
    ends = {"estimates": (0, 1), "draws": (1, 1 + len(drawn)), "jackknife": (1 + len(drawn), len(weights))}
    cut = {name: {label: sample.rows(slice(*at)) for label, sample in found.items()} for name, at in ends.items()}
    by: By = "buckets" if dealing.singles is None else "customers"
    return Resamples(
        tuple(found),
        models[0].channels_,
        options,
        by=by,
        linearisation=errors,
        dealing=dealing,
        buckets=observed.labels,
        weights=drawn,
        left_out=left_out,
        **cut,
    )


def solved(solve: Callable[..., Draws], label: str, own: Buckets, observed: Buckets, weights: Floats) -> Draws:
    """Credit of re-weighted buckets, as `Machinery.redraw` gives it; a draw that holds too little is refused."""
    try:
        return solve(own, observed, weights)
    except InputError as error:
        raise InputError(
            f"model {label!r} cannot be solved for every draw, because some draws hold too little",
            given=str(error).partition(" Hint: ")[0].rstrip("."),
            hint="give more of the customers that are lacking there, or leave out [resampling] or this model",
        ) from error


def _no_channels(model: AttributionModel, draws: Draws, observed: Buckets, weights: Floats) -> dict[str, Floats]:
    """(draws,) conversions in each row of the model's credit that is no channel."""
    total, bare = ((weights @ observed.totals(name, 1).T)[:, 0] for name in ("conversions", "unattributed_conversions"))
    rows = {UNATTRIBUTED: bare}
    if model.credit_.baseline is not None:
        rows[BASELINE] = total - bare - draws.conversions.sum(axis=1)
    return rows


def draw_weights(labels: NDArray[np.int64], draws: int, seed: int) -> Floats:
    """(draws, buckets) how often each bucket is drawn; ``labels`` (buckets,) are theirs.

    A fixed number of buckets is drawn: were it left to chance, totals would vary by one over the square root of the
    number of buckets, whatever the number of customers. Customers who are drawn one by one vary as they should.
    """
    single = are_single(labels)
    weights = np.empty((draws, len(labels)))
    weights[:, ~single] = multinomial_weights(draws, int((~single).sum()), seed)
    weights[:, single] = poisson_weights(draws, labels[single].view(np.uint64), seed)
    return weights


def _without_each(observed: Buckets) -> Floats:
    """(buckets, buckets) weights with one bucket left out, the others making up for it."""
    size = observed.size
    return (1.0 - np.eye(size)) * (size / max(size - 1, 1))


def _error(exact: Floats, linear: Floats) -> float:
    """Largest difference of a share, in standard deviations of that share."""
    a, b = _shares(exact), _shares(linear)
    spread = b.std(axis=0)
    differs = np.abs(a - b[: len(a)]).max(axis=0)
    return float(np.divide(differs, spread, out=np.zeros_like(spread), where=spread > 0).max(initial=0.0))


def _shares(credit: Floats) -> Floats:
    total = credit.sum(axis=1, keepdims=True)
    result: Floats = np.divide(credit, total, out=np.zeros_like(credit), where=total != 0)
    return result
