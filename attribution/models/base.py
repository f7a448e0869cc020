"""The contract of a model."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.journeys import Buckets, JourneyChunk, Journeys, Reader, Summary, observe
from attribution.journeys.buckets import Bucketwise, of_whole
from attribution.journeys.structure import number
from attribution.kernels.statistics.sums import sum_by_key, sums_by_pair
from attribution.models.credit import ChannelTotals, check_totals, hand_out, journey_credit

_ROUNDING = 1e-12


class Draws(NamedTuple):
    """Credit of re-weighted journeys.

    ``conversions``, ``value`` (draws, channels); ``effects`` (draws, channels, 2) removal effects, None for models
    without.
    """

    conversions: NDArray[np.float64]
    value: NDArray[np.float64]
    effects: NDArray[np.float64] | None = None


class AttributionModel:
    """Base of every model. A rule overrides `weigh` only; others `summarise` and `solve` as well.

    The constructor of a subclass only assigns its arguments. `fit` sets attributes that end in an underscore.

    Attributes
    ----------
    needs_times : whether days between touchpoints matter to this model
    credit_ : channel totals, once fitted
    channels_ : channel names, once fitted
    summary_, observed_ : what was summed up so far, by the model and for all models alike, once fitted
    """

    needs_times: ClassVar[bool] = False

    credit_: ChannelTotals
    channels_: tuple[str, ...]
    summary_: Summary
    observed_: Summary

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name

    # ------------------------------------------------------------ what a model says

    @property
    def estimand(self) -> str:
        """``allocated`` (divides observed conversions) or ``incremental`` (estimates what ads caused)."""
        return "allocated"

    @property
    def told(self) -> str:
        """What a model was told of effects, in words: it did not learn it from these data. Empty where nothing."""
        return ""

    @property
    def negative_is_zero(self) -> bool:
        """Whether shares count credit below 0 as none; unless asked for, such credit has no shares."""
        return False

    @property
    def needs_untouched(self) -> bool:
        """Whether customers matter who were never touched."""
        return False

    def findings(self) -> list[Finding]:
        """What to know before believing this fitted model, as rows of the quality table."""
        without = self.summary_.number("zero_weights")
        if not without:
            return []
        message = f"journeys in which {self.label} gives every touchpoint 0: shared equally"
        return [count_finding("zero_weights", "journeys", without, message)]

    def validate(self) -> None:
        """Raise `InputError` if a parameter is impossible."""

    def summarise(self, chunk: JourneyChunk) -> Summary:
        """What one chunk of journeys contributes."""
        laid_out, shares, without = hand_out(self, chunk)
        journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
        keys = laid_out.channel.astype(np.int64)[:, None]
        return Summary(
            {
                "conversions": sum_by_key(keys, shares * laid_out.conversions[journey]),
                "value": sum_by_key(keys, shares * laid_out.value[journey]),
                "zero_weights": number(np.array([float(without)])),
            }
        )

    def summarise_buckets(self, chunk: JourneyChunk) -> Summary:
        """What `summarise` of a rule gives for each bucket, at once; see `Bucketwise`."""
        laid_out, shares, without = hand_out(self, chunk)
        assert laid_out.bucket is not None
        journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
        terms = {what: shares * getattr(laid_out, what)[journey] for what in ("conversions", "value")}
        sums = sums_by_pair(laid_out.bucket[journey], laid_out.channel.astype(np.int64), terms)
        return Summary({**sums, "zero_weights": of_whole(chunk, without)})

    def solve(self, summary: Summary) -> None:
        """Set ``credit_`` and what else was learned, from the sum of all contributions."""
        channels = len(self.channels_)
        self.publish(summary.dense("conversions", channels), summary.dense("value", channels))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """One non-negative weight per touchpoint of ``chunk``, whose journeys lie end to end.

        Journey j is touchpoints ``chunk.offsets[j]`` … ``chunk.offsets[j + 1] − 1``; none is empty.
        """
        raise NotImplementedError(f"{type(self).__name__} must override weigh")

    @property
    def knows_channels(self) -> bool:
        """Whether `weigh` goes by what was learned of each channel: it then knows nothing of a new one."""
        return bool(self.learned())

    def learned(self) -> dict[str, Any]:
        """What `weigh` needs besides parameters, ``channels_`` and ``credit_``, by attribute, for a `Scorer`.

        Values are (channels,) floats, or whatever JSON can hold.
        """
        return {}

    def restore(self, learned: Mapping[str, Any]) -> None:
        """Take over what `learned` gave; ``channels_`` and ``credit_`` are set already."""
        vars(self).update(learned)

    @property
    def is_linearised(self) -> bool:
        """Whether `redraw` goes by influences instead of solving again."""
        return False

    @property
    def buckets_reader(self) -> Reader | Bucketwise:
        """What reads the journeys of many buckets, for `redraw`."""
        if type(self).summarise is AttributionModel.summarise:
            return Bucketwise(self.summarise_buckets)
        return self.summarise

    def summarise_undrawn(self, chunk: JourneyChunk) -> Summary:
        """Tables of `summarise` that `redraw` does without, and `buckets_reader` therefore leaves out."""
        return Summary({})

    def redraw(self, own: Buckets, observed: Buckets, weights: NDArray[np.float64]) -> Draws:
        """Credit of this fitted model, had bucket b been counted ``weights[d, b]`` times, for each draw d.

        Parameters
        ----------
        own, observed : what `summarise` and `attribution.journeys.observe` give for each bucket
        weights : (draws, buckets) floats ≥ 0
        """
        if type(self).solve is AttributionModel.solve:
            channels = len(self.channels_)
            return Draws(*(weights @ own.totals(what, channels).T for what in ("conversions", "value")))
        return self.solve_again(own, observed, weights)

    def solve_again(self, own: Buckets, observed: Buckets, weights: NDArray[np.float64]) -> Draws:
        """What `redraw` gives, by solving every draw."""
        solved = []
        for row in weights:
            again = copy.copy(self)
            again.summary_, again.observed_ = own.weighted(row), observed.weighted(row)
            again.solve(again.summary_)
            solved.append(again)
        conversions, value = (
            np.array([getattr(again.credit_, what)[:-1] for again in solved]) for what in ("conversions", "value")
        )
        if not hasattr(self, "removal_effects_"):
            return Draws(conversions, value)
        return Draws(conversions, value, np.array([vars(again)["removal_effects_"] for again in solved]))

    # ------------------------------------------------------------ what the base does for all

    def fit(self, journeys: Journeys) -> Self:
        """Learn from ``journeys`` and set ``credit_``; returns the model itself."""
        self.prepare(journeys)
        own, observed = journeys.read(self.summarise, observe)
        self.settle(own + self.summarise_untouched(journeys), observed)
        return self

    def partial_fit(self, journeys: Journeys) -> Self:
        """Learn from further journeys of the same channels, as if they had been there from the start.

        Customers who were never touched are those of the first part: give each part the same ``customers``.
        """
        if not hasattr(self, "summary_"):
            return self.fit(journeys)
        if journeys.channels != self.channels_:
            raise InputError(
                f"model {self.label!r} was fitted on other channels",
                given=list(journeys.channels),
                allowed=list(self.channels_),
                hint="fit on all journeys at once",
            )
        self.prepare(journeys)
        own, observed = journeys.read(self.summarise, observe)
        self.settle(self.summary_ + own, self.observed_ + observed)
        return self

    def summarise_untouched(self, journeys: Journeys) -> Summary:
        """What customers contribute who were never touched; nothing to a model that they do not matter to."""
        chunk = journeys.untouched() if self.needs_untouched else None
        return Summary({}) if chunk is None else self.summarise(chunk)

    def prepare(self, journeys: Journeys) -> None:
        """Check that ``journeys`` can be learned from, and note their channels."""
        self.validate()
        if self.needs_times and not journeys.has_times:
            raise InputError(
                f"model {self.label!r} needs times, and these journeys have only an order",
                hint="leave the model out, or give touchpoints with timestamps",
            )
        self.channels_ = journeys.channels

    def settle(self, summary: Summary, observed: Summary) -> None:
        """Solve, given what all journeys contribute and what was observed, and check that credit adds up."""
        totals = {what: observed.number(what) for what in ("conversions", "value")}
        for what, total in totals.items():
            if not np.isfinite(total):
                raise InputError(f"the sum of all {what} is larger than any float", hint="use a larger unit of money")
        self.summary_, self.observed_ = summary, observed
        self.solve(summary)
        check_totals(self, **totals)

    def attribute(self, journeys: Journeys) -> pd.DataFrame:
        """The ``journey_credit`` table of ``journeys``, see `attribution.schema.tables`."""
        return journey_credit(journeys, [self])

    def publish(self, conversions: NDArray[np.float64], value: NDArray[np.float64]) -> None:
        """Set ``credit_`` from channel totals (channels,), adding what no channel can have.

        The baseline of an incremental model is what its channels leave of the observed totals.
        """
        bare = [self.observed_.number(f"unattributed_{what}") for what in ("conversions", "value")]
        baseline = None
        if self.estimand == "incremental":
            baseline = self._left("conversions", conversions), self._left("value", value)
        by_channel = np.append(conversions, bare[0]), np.append(value, bare[1])
        self.credit_ = ChannelTotals(self.channels_, *by_channel, baseline)

    def _left(self, what: Literal["conversions", "value"], credited: NDArray[np.float64]) -> float:
        """What channels leave of the total; nothing where only rounding is left, which might be below 0."""
        total = self.attributable(what)
        left = float(total - credited.sum())
        return 0.0 if abs(left) <= _ROUNDING * total else left

    def attributable(self, what: Literal["conversions", "value"]) -> float:
        """The observed total without what no channel can have."""
        return self.observed_.number(what) - self.observed_.number(f"unattributed_{what}")

    @property
    def label(self) -> str:
        """The name given, or the class in snake case with its non-default parameters."""
        return self.name if self.name is not None else _label(self)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in _parameters(type(self))}

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments; unknown ones are refused."""
        known = _parameters(type(self))
        for name, value in params.items():
            if name not in known:
                raise InputError(
                    f"{type(self).__name__} has no parameter {name!r}",
                    allowed=list(known),
                    hint=did_you_mean(name, known),
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in _changed(self).items())
        return f"{type(self).__name__}({shown})"


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind).parameters


def _changed(model: AttributionModel) -> dict[str, Any]:
    defaults = {name: parameter.default for name, parameter in _parameters(type(model)).items()}
    params = model.get_params()
    # A list in a file and a tuple in code say the same.
    plain = {name: tuple(value) if isinstance(value, list | np.ndarray) else value for name, value in params.items()}
    return {name: value for name, value in plain.items() if value != defaults[name]}


def _label(model: AttributionModel) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(model).__name__).lower()
    values = [value for name, value in _changed(model).items() if name != "name"]
    return "_".join([snake, *(_shown(value) for value in values)])


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Mapping):
        return "-".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "-".join(_shown(item) for item in value)
    return str(value)
