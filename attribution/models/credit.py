"""From weights to credit: shares of journeys, totals of channels, and the tables of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError, LawError
from attribution.journeys import JourneyChunk, Journeys, Summary, observe
from attribution.journeys.buckets import of_whole
from attribution.journeys.structure import number
from attribution.kernels.credit import rule_weights as kernel
from attribution.kernels.credit.rescaling import rescale
from attribution.kernels.statistics.sums import KeyedSums, distinct_rows, exact_sums, sums_by_pair
from attribution.schema.tables import BASELINE, CREDIT, JOURNEY_CREDIT, UNATTRIBUTED

TOLERANCE = 1e-9
"""Relative difference between credit and what was observed, above which it is an error."""

_LEAST_PART = 1e-15
"""Of the baseline, which channels that are credited nothing have together: next to nothing."""

Totals = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Conversions and value of each channel, (channels,) floats each."""


@dataclass(frozen=True)
class ChannelTotals:
    """Credit per channel: ``conversions`` and ``value`` (channels + 1,), the last for `UNATTRIBUTED`.

    ``baseline``: conversions and value that would have happened without any channel; None for a model that
    divides all of them. ``negative_is_zero``: whether shares count negative credit as 0; else there are no shares.
    ``is_known``: (channels,) whether the model can tell the effect of a channel; None where it can tell all.
    """

    channels: tuple[str, ...]
    conversions: NDArray[np.float64]
    value: NDArray[np.float64]
    baseline: tuple[float, float] | None = None
    negative_is_zero: bool = False
    is_known: NDArray[np.bool_] | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per channel, then `UNATTRIBUTED`, and `BASELINE` where there is one."""
        baseline = [] if self.baseline is None else [self.baseline]
        return pd.DataFrame(
            {
                "channel": [*self.channels, UNATTRIBUTED, *(BASELINE for _ in baseline)],
                "conversions": np.append(self.conversions, [conversions for conversions, _ in baseline]),
                "value": np.append(self.value, [value for _, value in baseline]),
            }
        )

    def known_rows(self) -> NDArray[np.bool_]:
        """Of each row of `to_frame` whether it can be read as what it stands for.

        The baseline is what channels leave: it is known where the credit of all channels is.
        """
        is_known = np.ones(len(self.channels), bool) if self.is_known is None else self.is_known
        leaves_all = bool((is_known | (self.conversions[:-1] == 0)).all())
        return np.append(is_known, [True, *([] if self.baseline is None else [leaves_all])])

    @property
    def divided(self) -> NDArray[np.float64]:
        """Conversions that journeys can be divided into: of channels, and of the baseline after them.

        With a baseline, less than nothing counts as nothing.
        """
        conversions = self.conversions[:-1]
        return conversions if self.baseline is None else np.maximum(np.append(conversions, self.baseline[0]), 0.0)

    @property
    def baseline_odds(self) -> float:
        """Conversions of the baseline for one of the channels, where less than nothing counts as nothing."""
        baseline = 0.0 if self.baseline is None else max(self.baseline[0], 0.0)
        credited = float(np.maximum(self.conversions[:-1], 0.0).sum())
        return baseline / max(credited, _LEAST_PART * baseline) if baseline > 0 else 0.0

    def total(self, what: Literal["conversions", "value"]) -> float:
        """The sum over channels, `UNATTRIBUTED` and `BASELINE`."""
        return float(self.to_frame()[what].sum())


class Model(Protocol):
    """What credit needs of a model; `attribution.models.base` says what a model is."""

    @property
    def credit_(self) -> ChannelTotals: ...

    @property
    def estimand(self) -> str: ...

    @property
    def label(self) -> str: ...

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]: ...

    def weigh_baseline(self, chunk: JourneyChunk) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Credit:
    """Fitted models and their ``credit`` table.

    Parameters
    ----------
    models : the fitted models, in the order of the table
    table : the ``credit`` table, one row per model and channel: ``model``, ``estimand``, ``channel``, ``conversions``,
        ``value`` (money), ``share`` (0 … 1), and the ends of the interval of each, ``conversions_low`` and so on; with
        chance also ``chance_conversions``, ``chance_value`` and ``beyond_conversions``, see
        `attribution.models.chance`; and ``is_known``, false where a model cannot tell the effect of a channel

    Examples
    --------
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search", "search"], "conversions": [2, 1]})))
    >>> credit = at.attribute(journeys, [at.FirstTouch(), at.LastTouch()])
    >>> credit.table.pivot(index="channel", columns="model", values="conversions").loc["mail"].to_dict()
    {'first_touch': 2.0, 'last_touch': 0.0}
    """

    models: tuple[Model, ...]
    table: pd.DataFrame

    @classmethod
    @check_arguments
    def of(cls, models: Sequence[Model]) -> Credit:
        """The credit of models that are fitted already."""
        for model in models:
            if not hasattr(model, "credit_"):
                raise InputError(f"model {model.label!r} is not fitted", hint="fit it on journeys first")
        check_labels(models)
        return cls(
            tuple(models),
            pd.concat([credit_rows(model.label, model.estimand, model.credit_) for model in models], ignore_index=True),
        )


def check_labels(models: Sequence[Model]) -> None:
    """Raise `InputError` if there is no model, or two go by one label."""
    labels = [model.label for model in models]
    if not models:
        raise InputError("no model is given", allowed="at least one model")
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(
                f"two models have the label {label!r}", hint='give one of them another name, as in name="…"'
            )


def credit_rows(label: str, estimand: str, totals: ChannelTotals) -> pd.DataFrame:
    """The rows of one model in the ``credit`` table."""
    rows = totals.to_frame()
    rows["model"], rows["estimand"] = label, estimand
    shared = rows["conversions"].clip(lower=0) if totals.negative_is_zero else rows["conversions"]
    has_shares = bool((shared >= 0).all())  # of nothing at all there are none either: 0 / 0 is null
    rows["share"] = shared / shared.sum() if has_shares else np.nan
    rows["is_known"] = totals.known_rows()
    return rows.reindex(columns=list(CREDIT.column_names))


class Allocation(NamedTuple):
    """How the conversions of a chunk are divided, each of them once.

    Attributes
    ----------
    chunk : the converting journeys that have touchpoints, end to end
    shares : (touchpoints,) share of its journey for each
    baseline : (journeys,) the share of the baseline; None for a model that divides all among touchpoints
    without : journeys whose weights were all zero, which count as equal; with a baseline it gets these, and none count
    """

    chunk: JourneyChunk
    shares: NDArray[np.float64]
    baseline: NDArray[np.float64] | None
    without: int


def allocate(model: Model, chunk: JourneyChunk, *, leaves_baseline: bool = True) -> Allocation:
    """Share of its journey for each touchpoint of the converting journeys of ``chunk``, and for their baseline.

    Without ``leaves_baseline`` all is divided among touchpoints, as long as nobody knows what the baseline is.
    """
    flattened = chunk.allocated
    has_baseline = leaves_baseline and model.estimand == "incremental"
    if len(flattened) == 0:
        return Allocation(flattened, np.zeros(0), np.zeros(0) if has_baseline else None, 0)
    weights = _checked(model, "per touchpoint", model.weigh(flattened), int(flattened.offsets[-1]))
    if flattened.factor is not None:
        weights = weights * flattened.factor
    if not has_baseline:
        shares, without = kernel.shares(flattened.offsets, weights)
        return Allocation(flattened, shares, None, int(without))
    baseline = _checked(model, "of the baseline per journey", model.weigh_baseline(flattened), len(flattened))
    return Allocation(flattened, *_divide(flattened.offsets, weights, baseline), 0)


def _checked(model: Model, per: str, weighed: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    weights = np.ascontiguousarray(weighed, dtype=np.float64)
    if weights.shape != (size,):
        raise LawError(f"model {model.label!r}: one weight {per} is needed, got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise LawError(f"model {model.label!r}: weights must be finite and not negative")
    return weights


def _divide(
    offsets: NDArray[np.int64], weights: NDArray[np.float64], baseline: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of touchpoints and of the baseline, which has all where nothing weighs anything."""
    is_nothing = np.maximum(np.maximum.reduceat(weights, offsets[:-1]), baseline) == 0
    ends = offsets + np.arange(len(offsets))
    every = np.insert(weights, offsets[1:], np.where(is_nothing, 1.0, baseline))
    shares, _ = kernel.shares(ends, every)
    last = ends[1:] - 1
    return np.delete(shares, last), shares[last]


def reconcile_with_totals(allocations: Sequence[Allocation], credit: ChannelTotals) -> list[Allocation]:
    """All conversions of a fit, divided so that channels get their credit, and the baseline the rest.

    Negative credit counts as 0. A channel gets at most the conversions in which it has a part.
    """
    size = len(credit.channels)
    sizes = np.array([len(each.chunk) for each in allocations], dtype=np.int64)
    firsts = np.cumsum(sizes) - sizes
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for first, each in zip(firsts, allocations, strict=True):
        assert each.baseline is not None
        journey = first + np.arange(len(each.chunk))
        entries.append((np.repeat(journey, each.chunk.lengths), each.chunk.channel.astype(np.int64), each.shares))
        entries.append((journey, np.full(len(journey), size), each.baseline))
    conversion, column, parts = (np.concatenate(of) for of in zip(*entries, strict=True))
    multiples = rescale(conversion, column, parts, np.maximum(credit.conversions[:-1], 0.0))
    return [_rescaled(each, multiples) for each in allocations]


def _rescaled(each: Allocation, multiples: NDArray[np.float64]) -> Allocation:
    if len(each.chunk) == 0:
        return each
    assert each.baseline is not None
    weights = each.shares * multiples[each.chunk.channel]
    shares, baseline = _divide(each.chunk.offsets, weights, each.baseline * multiples[-1])
    return each._replace(shares=shares, baseline=baseline)


def share_sums(model: Model, chunk: JourneyChunk) -> Summary:
    """What each channel gets from the journeys of a chunk, before a baseline: ``conversions`` and ``value``.

    ``zero_weights`` counts the journeys whose weights were all zero.
    """
    flattened, shares, _, without = allocate(model, chunk, leaves_baseline=False)
    journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
    keys, position = distinct_rows(flattened.channel.astype(np.int64)[:, None])
    sums = {
        what: KeyedSums(keys, exact_sums(position, shares * getattr(flattened, what)[journey], len(keys)))
        for what in ("conversions", "value")
    }
    return Summary({**sums, "zero_weights": number(np.array([float(without)]))})


def share_sums_by_bucket(model: Model, chunk: JourneyChunk) -> Summary:
    """`share_sums` for each bucket, at once; see `attribution.journeys.buckets.Bucketwise`."""
    flattened, shares, _, without = allocate(model, chunk, leaves_baseline=False)
    assert flattened.bucket is not None
    journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
    terms = {what: shares * getattr(flattened, what)[journey] for what in ("conversions", "value")}
    sums = sums_by_pair(flattened.bucket[journey], flattened.channel.astype(np.int64), terms)
    return Summary({**sums, "zero_weights": of_whole(chunk, without)})


def check_totals(model: Model, conversions: float, value: float) -> None:
    """Raise `LawError` unless a model's credit, its baseline included, adds up to what was observed."""
    observed: dict[Literal["conversions", "value"], float] = {"conversions": conversions, "value": value}
    for what, total in observed.items():
        credited = model.credit_.total(what)
        if not abs(credited - total) <= TOLERANCE * max(1.0, total):
            raise LawError(f"model {model.label!r}: credit of {what} adds up to {credited!r} instead of {total!r}")


@check_arguments
def journey_credit(journeys: Journeys, models: Model | Iterable[Model]) -> pd.DataFrame:
    """The ``journey_credit`` table: every model divides every conversion among its touchpoints.

    A model of what channels caused leaves a part of each conversion to the baseline. On the journeys that it was fitted
    on, the parts of channels add up to their credit, 0 where that is negative and at most the conversions that a
    channel took part in, and those of the baseline to the rest; other journeys are divided by the weights as they are.

    Parameters
    ----------
    journeys : from touchpoints and conversions; aggregated paths have no customers
    models : fitted, one or several

    Returns
    -------
    DataFrame
        One row per model, conversion and touchpoint: ``model``, ``conversion_id``, ``customer_id``, ``touched_at``,
        ``channel``, ``campaign``, ``position`` (from 1), ``credit`` (adds up to 1 per conversion), ``credited_value``
        (money), ``converted_at``, ``click_id``, ``click_id_kind``. A conversion without a touchpoint has a row
        ``(unattributed)``, one with touchpoints a row ``(baseline)`` where the model has a baseline.

    Raises
    ------
    InputError
        If the journeys come from aggregated paths, or a model is not fitted or was fitted on other channels.

    Examples
    --------
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({"customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-05"],
    ...                             "channel": ["mail", "search"]})
    >>> conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-06"], "value": [100.0]})
    >>> journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
    >>> credit = at.journey_credit(journeys, at.Linear().fit(journeys))
    >>> credit[["channel", "position", "credit", "credited_value"]].values.tolist()
    [['mail', 1, 0.5, 50.0], ['search', 2, 0.5, 50.0]]
    """
    if journeys.integer_times is None:
        raise InputError(
            "aggregated paths have no customers, so there is no credit per journey",
            hint="give touchpoints and conversions instead of paths, or use the credit of channels",
        )
    models = list(models) if isinstance(models, Iterable) else [models]
    for model in models:
        _check_fitted(model, journeys)
    ids = journeys.conversion_ids()
    parts = [rows for model in models for rows in _journey_rows(journeys, model, ids)]
    if not parts:
        return pd.DataFrame(columns=list(JOURNEY_CREDIT.column_names))
    table = pd.concat(parts, ignore_index=True)
    order = {model.label: index for index, model in enumerate(models)}
    table["_model"] = table["model"].map(order)
    table = table.sort_values(["_model", "customer_id", "_ended_at", "_row", "position"], kind="stable")
    return table[list(JOURNEY_CREDIT.column_names)].reset_index(drop=True)


def _check_fitted(model: Model, journeys: Journeys) -> None:
    """Raise `InputError` unless ``model`` was fitted on the channels of ``journeys``, in the same order."""
    if not hasattr(model, "credit_"):
        raise InputError(f"model {model.label!r} is not fitted", hint="fit it on journeys first")
    if model.credit_.channels != journeys.channels:
        raise InputError(
            f"model {model.label!r} was fitted on other channels",
            given=list(journeys.channels),
            allowed=list(model.credit_.channels),
        )


def _is_fitted_on(model: Model, journeys: Journeys) -> bool:
    """Whether these are the journeys that ``model`` was fitted on, as far as sums tell."""
    fitted: Summary | None = getattr(model, "observed_", None)
    if fitted is None:
        return False
    (here,) = journeys.read(observe)
    return all(fitted.number(name) == here.number(name) for name in _SUMS)


_SUMS = ("journeys", "conversions", "value", "unattributed_conversions", "unattributed_value")


def _journey_rows(journeys: Journeys, model: Model, ids: NDArray[np.object_]) -> Iterator[pd.DataFrame]:
    divided: Iterable[tuple[JourneyChunk, Allocation]]
    divided = ((batch, allocate(model, batch)) for chunk in journeys for batch in chunk.batches())
    if model.estimand == "incremental" and _is_fitted_on(model, journeys):
        batches, allocations = zip(*divided, strict=True)
        divided = zip(batches, reconcile_with_totals(allocations, model.credit_), strict=True)
    for batch, (flattened, shares, baseline, _) in divided:
        untouched = batch.flatten(batch.converting & (batch.lengths == 0))
        tables = [
            _table(journeys, untouched, np.ones(len(untouched)), UNATTRIBUTED),
            _table(journeys, flattened, shares),
            *([] if baseline is None else [_table(journeys, flattened, baseline, BASELINE)]),
        ]
        for rows in tables:
            if len(rows):
                rows["model"], rows["conversion_id"] = model.label, ids[rows["_row"]]
                yield rows


def _table(
    journeys: Journeys, chunk: JourneyChunk, credit: NDArray[np.float64], instead: str | None = None
) -> pd.DataFrame:
    """Rows of one flattened chunk: one per touchpoint, or per conversion with a name ``instead`` of channels."""
    assert chunk.ended_at is not None
    assert chunk.customer_ids is not None
    repeats = chunk.lengths if instead is None else np.ones(len(chunk), np.int64)
    journey = np.repeat(np.arange(len(chunk)), repeats)
    customers = np.asarray(chunk.customer_ids.to_numpy(zero_copy_only=False))
    empty = np.full(len(journey), None, dtype=object)
    touched = chunk.touched_at if instead is None else None
    position = np.arange(len(journey)) - np.repeat(np.cumsum(repeats) - repeats, repeats) + 1
    return pd.DataFrame(
        {
            "customer_id": customers[chunk.customer[journey]],
            "touched_at": _no_times(journeys, len(journey)) if touched is None else _times(journeys, touched),
            "channel": np.array(journeys.channels, dtype=object)[chunk.channel] if instead is None else instead,
            "campaign": journeys.dimensions.decode(chunk.code, "campaign") if instead is None else empty,
            "position": pd.array(position if instead is None else [pd.NA] * len(journey), dtype="Int64"),
            "credit": credit,
            "credited_value": credit * chunk.value[journey],
            "converted_at": _times(journeys, chunk.ended_at[journey]),
            **{
                name: journeys.dimensions.decode(chunk.code, name) if instead is None else empty
                for name in ("click_id", "click_id_kind")
            },
            "_ended_at": chunk.ended_at[journey],
            "_row": chunk.conversion[journey],
        }
    )


def _times(journeys: Journeys, times: NDArray[np.int64]) -> Any:
    return pd.array(times, dtype="Int64") if journeys.integer_times else times.astype("datetime64[us]")


def _no_times(journeys: Journeys, rows: int) -> Any:
    if journeys.integer_times:
        return pd.array([pd.NA] * rows, dtype="Int64")
    return np.full(rows, np.datetime64("NaT", "us"))
