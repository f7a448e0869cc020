"""Intervals for everything: re-weight buckets of customers, solve again.

An interval covers sampling: what another sample of customers from the same world would have given. It never covers
bias: touchpoints that were not recorded, customers who would have bought anyway, or the choice of a model.
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
from attribution.models.machinery import Draws, get_machinery
from attribution.models.trial import Trial, attempt, is_left_out
from attribution.schema.experiment import ResamplingOptions
from attribution.schema.tables import BASELINE, UNATTRIBUTED

FEW_CONVERSIONS = 1_024
"""Below this, four per bucket, converting customers are drawn one by one."""

EXACT_DRAWS = 3
"""Draws solved exactly to check those that are approximated by influences."""

Floats = NDArray[np.float64]
By = Literal["buckets", "customers"]


@dataclass(frozen=True)
class Sample:
    """Credit of one model under some weights.

    ``channels`` as `Machinery.redraw` gives it; ``other_rows`` the conversions (draws,) of rows of its credit that
    are no channels.
    """

    channels: Draws
    other_rows: Mapping[str, Floats]

    def rows(self, rows: slice) -> Sample:
        """Some of the draws."""
        conversions, value, effects = self.channels
        channels = Draws(conversions[rows], value[rows], None if effects is None else effects[rows])
        return Sample(channels, {name: values[rows] for name, values in self.other_rows.items()})


@dataclass(frozen=True)
class Resamples:
    """Credit of all models under the same draws, so that differences between models have draws of their own.

    Attributes
    ----------
    labels, channels : of the models, and of the columns
    estimates, draws, jackknife : per model, credit of all data, of each draw, and with one bucket left out at a
        time; the last is empty unless BCa was asked for
    by : ``buckets``, or ``customers`` where converting customers were drawn one by one
    linearisation : per model that is approximated by influences, the largest error of a share against some exact
        draws, in standard deviations of that share
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
        """(2, …) ends of the interval of a measure with ``draws`` (draws, …), ``estimate`` (1, …) and ``jackknife``."""
        if self.options.method == "percentile":
            return percentile(draws, self.options.level)
        return bca(draws, estimate[0], jackknife, self.options.level)

    def findings(self) -> list[Finding]:
        """Findings about these intervals, as rows of the quality table."""
        covers = "Intervals cover the sampling of customers, never bias"
        how = {
            "buckets": "draws of re-weighted buckets of customers",
            "customers": f"draws of single customers, since fewer than {FEW_CONVERSIONS:,} converted",
        }[self.by]
        summary = Finding("resampling", "credit", "pass", self.options.draws, None, None, f"{how}. {covers}")
        findings = [summary]
        for label, error in self.linearisation.items():
            message = (
                f"largest error of a share of {label} in its approximated draws, in standard deviations of that share, "
                f"against {EXACT_DRAWS} exact draws"
            )
            if error > 0.25:
                message += ": do not rely on the ends of its intervals"
            status: Literal["pass", "warn"] = "warn" if error > 0.25 else "pass"
            findings.append(Finding("linearisation", "credit", status, round(error, 4), None, None, message))
        return findings


def fit_and_resample(
    models: Sequence[AttributionModel],
    journeys: Journeys,
    options: ResamplingOptions,
    *readers: Reader,
    trial: Trial | None = None,
) -> tuple[list[Summary], Resamples]:
    """Fit all models in one pass over the journeys, and draw their credit again and again.

    Parameters
    ----------
    models : fitted in place
    journeys : what to attribute
    options : how many draws, and of which kind
    readers : read in the same pass
    trial : of one of the models, which then has no draws where it is left out

    Returns
    -------
    summaries : what `observe` and then ``readers`` summed up
    resamples : the draws

    Raises
    ------
    InputError
        If there is no conversion.
    """
    for model in models:
        get_machinery(model).prepare(journeys)
    dealing = Dealing()
    undrawn = [get_machinery(model).summarise_undrawn for model in models]
    by_bucket, *summaries = journeys.read(models_by_bucket(models, dealing), *undrawn, *readers)
    parts = split_models(by_bucket, models, journeys, dealing)
    observed = parts[0][0]
    for model, (whole, _), more in zip(models, parts[1:], summaries, strict=False):
        with attempt(model, trial):
            get_machinery(model).finish_fit(whole + more, observed)
    conversions = observed.number("conversions")
    check_drawable(conversions)
    if conversions < FEW_CONVERSIONS:
        dealing = single_customer_dealing(journeys)
        (by_bucket,) = journeys.read(models_by_bucket(models, dealing))
        parts = split_models(by_bucket, models, journeys, dealing)
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        resamples = _resamples(models, [buckets for _, buckets in parts], options, dealing, trial)
    return [observed, *summaries[len(models) :]], resamples


def check_drawable(conversions: float) -> None:
    """Raise `InputError` if nothing converted, so that there is nothing to draw."""
    if conversions == 0:
        raise InputError(
            "there is no conversion, so there is nothing to resample", hint="leave resampling out of the experiment"
        )


def models_by_bucket(models: Sequence[AttributionModel], dealing: Dealing) -> Reader:
    """What sums up, bucket by bucket, what was observed and what each of ``models`` needs, for `split_models`."""
    return bucket_reader(
        [Bucketwise(observe_buckets), *(get_machinery(model).buckets_reader for model in models)], dealing
    )


def split_models(
    by_bucket: Summary, models: Sequence[AttributionModel], journeys: Journeys, dealing: Dealing
) -> list[tuple[Summary, Buckets]]:
    """What was observed, and then what each model needs: of all customers, and bucket by bucket."""
    return split_buckets(by_bucket + _summarise_untouched(models, journeys, dealing), 1 + len(models))


def _summarise_untouched(models: Sequence[AttributionModel], journeys: Journeys, dealing: Dealing) -> Summary:
    """Contributions of customers who were never touched, by bucket, to the models that need them."""
    chunk = journeys.untouched() if any(get_machinery(model).needs_untouched for model in models) else None
    if chunk is None:
        return Summary({})
    own = [each.buckets_reader if each.needs_untouched else _read_nothing for each in map(get_machinery, models)]
    return bucket_reader([_read_nothing, *own], dealing)(chunk)


def _read_nothing(_: JourneyChunk) -> Summary:
    return Summary({})


def single_customer_dealing(journeys: Journeys) -> Dealing:
    """Every converting customer in a bucket of its own, the others as before."""
    if journeys.integer_times is None:
        return Dealing(singles=np.zeros(0, np.uint64))
    words = journeys.read(converting_customers)[0].tables
    keys = words["words"].keys[:, 0].copy() if "words" in words else np.zeros(0, np.int64)
    return Dealing(singles=np.sort(keys.view(np.uint64)))


def _resamples(
    models: Sequence[AttributionModel],
    parts: Sequence[Buckets],
    options: ResamplingOptions,
    dealing: Dealing,
    trial: Trial | None,
) -> Resamples:
    observed, *own = parts
    drawn_weights = draw_weights(observed.labels, options.draws, options.seed)
    left_out = _without_each(observed) if options.method == "bca" else drawn_weights[:0]
    weights = np.concatenate([np.ones((1, observed.size)), drawn_weights, left_out])
    samples, errors = {}, {}
    for model, buckets in zip(models, own, strict=True):
        if is_left_out(model, trial):
            continue
        machinery, arguments = get_machinery(model), (model.label, buckets, observed)
        # The draws and their check are two long computations that share nothing: one for each core.
        with attempt(model, trial), ThreadPoolExecutor(max_workers=1) as beside:
            check = machinery.is_linearised and beside.submit(
                solve_draws, machinery.solve_again, *arguments, drawn_weights[:EXACT_DRAWS]
            )
            draws = solve_draws(machinery.redraw, *arguments, weights)
            samples[model.label] = Sample(draws, _no_channels(model, draws, observed, weights))
            if check:
                errors[model.label] = _linearisation_error(
                    check.result().conversions, draws.conversions[1 : 1 + len(drawn_weights)]
                )
    ends = {
        "estimates": (0, 1),
        "draws": (1, 1 + len(drawn_weights)),
        "jackknife": (1 + len(drawn_weights), len(weights)),
    }
    cut = {name: {label: sample.rows(slice(*at)) for label, sample in samples.items()} for name, at in ends.items()}
    by: By = "buckets" if dealing.singles is None else "customers"
    return Resamples(
        tuple(samples),
        models[0].channels_,
        options,
        by=by,
        linearisation=errors,
        dealing=dealing,
        buckets=observed.labels,
        weights=drawn_weights,
        left_out=left_out,
        **cut,
    )


def solve_draws(solve: Callable[..., Draws], label: str, own: Buckets, observed: Buckets, weights: Floats) -> Draws:
    """Credit of re-weighted buckets, as `Machinery.redraw` gives it; a draw with too few customers is refused."""
    try:
        return solve(own, observed, weights)
    except InputError as error:
        raise InputError(
            f"model {label!r} cannot be solved for every draw, because some draws have too few customers",
            given=str(error).partition(" Hint: ")[0].rstrip("."),
            hint="add more customers of that kind, or leave this model or resampling out of the experiment",
        ) from error


def _no_channels(model: AttributionModel, draws: Draws, observed: Buckets, weights: Floats) -> dict[str, Floats]:
    """(draws,) conversions in each row of the model's credit that is not a channel."""
    total, untouched = (
        (weights @ observed.totals(name, 1).T)[:, 0] for name in ("conversions", "unattributed_conversions")
    )
    rows = {UNATTRIBUTED: untouched}
    if model.credit_.baseline is not None:
        rows[BASELINE] = total - untouched - draws.conversions.sum(axis=1)
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


def _linearisation_error(exact: Floats, linear: Floats) -> float:
    """Largest difference of a share, in standard deviations of that share."""
    a, b = _shares(exact), _shares(linear)
    spread = b.std(axis=0)
    differs = np.abs(a - b[: len(a)]).max(axis=0)
    return float(np.divide(differs, spread, out=np.zeros_like(spread), where=spread > 0).max(initial=0.0))


def _shares(credit: Floats) -> Floats:
    total = credit.sum(axis=1, keepdims=True)
    result: Floats = np.divide(credit, total, out=np.zeros_like(credit), where=total != 0)
    return result
