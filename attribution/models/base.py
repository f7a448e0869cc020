"""The contract of a model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.credit import ChannelTotals, check_totals, hand_out, journey_credit
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk, Journeys
from attribution.kernels.sums import KeyedSums, merge_keyed, sum_by_key, to_float


@dataclass(frozen=True)
class Summary:
    """What a model needs to know of some journeys: named tables of exact sums. Summaries add up."""

    tables: Mapping[str, KeyedSums]

    def __add__(self, other: Summary) -> Summary:
        merged = dict(self.tables)
        for name, table in other.tables.items():
            merged[name] = merge_keyed(merged[name], table) if name in merged else table
        return Summary(merged)

    def dense(self, name: str, size: int) -> NDArray[np.float64]:
        """(size,) sums of a table whose keys are 0 … size − 1; 0 where a key is absent."""
        result = np.zeros(size)
        table = self.tables[name]
        result[table.keys[:, 0]] = to_float(table.sums)
        return result


class AttributionModel:
    """Base of every model. A rule overrides `weigh` only; others `summarise` and `solve` as well.

    The constructor of a subclass only assigns its arguments. `fit` sets attributes that end in an underscore.

    Attributes
    ----------
    estimand : ``allocated`` (divides observed conversions) or ``incremental`` (estimates what ads caused)
    needs_times : whether days between touchpoints matter to this model
    credit_ : channel totals, once fitted
    channels_ : channel names, once fitted
    summary_ : what was summed up so far, once fitted
    """

    estimand: ClassVar[str] = "allocated"
    needs_times: ClassVar[bool] = False

    credit_: ChannelTotals
    channels_: tuple[str, ...]
    summary_: Summary

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name

    # ------------------------------------------------------------ what a model says

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
                "zero_weights": sum_by_key(np.zeros((1, 1), np.int64), np.array([float(without)])),
            }
        )

    def solve(self, summary: Summary) -> None:
        """Set ``credit_`` and what else was learned, from the sum of all contributions."""
        channels = len(self.channels_)
        self.publish(summary, summary.dense("conversions", channels), summary.dense("value", channels))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """One non-negative weight per touchpoint of ``chunk``, whose journeys lie end to end.

        Journey j is touchpoints ``chunk.offsets[j]`` … ``chunk.offsets[j + 1] − 1``; none is empty.
        """
        raise NotImplementedError(f"{type(self).__name__} must override weigh")

    # ------------------------------------------------------------ what the base does for all

    def fit(self, journeys: Journeys) -> Self:
        """Learn from ``journeys`` and set ``credit_``; returns the model itself."""
        self._check(journeys)
        self.channels_ = journeys.channels
        return self._settle(self._summarise_all(journeys))

    def partial_fit(self, journeys: Journeys) -> Self:
        """Learn from further journeys of the same channels, as if they had been there from the start."""
        if not hasattr(self, "summary_"):
            return self.fit(journeys)
        self._check(journeys)
        if journeys.channels != self.channels_:
            raise InputError(
                f"model {self.label!r} was fitted on other channels",
                given=list(journeys.channels),
                allowed=list(self.channels_),
                hint="fit on all journeys at once",
            )
        return self._settle(self.summary_ + self._summarise_all(journeys))

    def attribute(self, journeys: Journeys) -> pd.DataFrame:
        """The ``journey_credit`` table of ``journeys``, see `attribution.tables`."""
        return journey_credit(journeys, [self])

    def publish(self, summary: Summary, conversions: NDArray[np.float64], value: NDArray[np.float64]) -> None:
        """Set ``credit_`` from channel totals (channels,), adding what no channel can have."""
        bare = [summary.dense(f"unattributed_{what}", 1) for what in ("conversions", "value")]
        self.credit_ = ChannelTotals(
            self.channels_, np.concatenate([conversions, bare[0]]), np.concatenate([value, bare[1]])
        )

    @property
    def has_zero_weights(self) -> bool:
        """Whether in some journey every weight was zero, so that its touchpoints counted as equal."""
        counted = "zero_weights" in self.summary_.tables
        return counted and bool(self.summary_.dense("zero_weights", 1)[0])

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

    def _check(self, journeys: Journeys) -> None:
        self.validate()
        if self.needs_times and not journeys.has_times:
            raise InputError(
                f"model {self.label!r} needs times, and these journeys have only an order",
                hint="leave the model out, or give touchpoints with timestamps",
            )

    def _summarise_all(self, journeys: Journeys) -> Summary:
        pieces = (piece for chunk in journeys for piece in chunk.pieces())
        return reduce(Summary.__add__, (self.summarise(piece) + _observed(piece) for piece in pieces), _nothing())

    def _settle(self, summary: Summary) -> Self:
        observed = {what: float(summary.dense(f"observed_{what}", 1)[0]) for what in ("conversions", "value")}
        for what, total in observed.items():
            if not np.isfinite(total):
                raise InputError(f"the sum of all {what} is larger than any float", hint="use a larger unit of money")
        self.summary_ = summary
        self.solve(summary)
        check_totals(self, **observed)
        return self


def check_fitted(model: AttributionModel) -> None:
    """Raise `InputError` unless ``model`` has been fitted."""
    if not hasattr(model, "credit_"):
        raise InputError(f"model {model.label!r} is not fitted", hint="call fit(journeys) first")


def _observed(chunk: JourneyChunk) -> Summary:
    """Totals that no model may change, and the part that no channel can have."""
    bare = chunk.lengths == 0
    one = np.zeros((len(chunk), 1), np.int64)
    tables = {}
    for what in ("conversions", "value"):
        terms = getattr(chunk, what).astype(np.float64)
        tables[f"observed_{what}"] = sum_by_key(one, terms)
        tables[f"unattributed_{what}"] = sum_by_key(one[bare], terms[bare])
    return Summary(tables)


def _nothing() -> Summary:
    """The summary of no journeys, where every total is there and zero."""
    empty = sum_by_key(np.zeros((0, 1), np.int64), np.zeros(0))
    names = ("conversions", "value")
    return Summary({f"{part}_{what}": empty for part in ("observed", "unattributed") for what in names})


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    signature = inspect.signature(kind.__init__)  # type: ignore[misc]
    return {name: parameter for name, parameter in signature.parameters.items() if name != "self"}


def _changed(model: AttributionModel) -> dict[str, Any]:
    defaults = {name: parameter.default for name, parameter in _parameters(type(model)).items()}
    params = model.get_params()
    # A list in a file and a tuple in code say the same.
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}
    return {name: value for name, value in plain.items() if value != defaults[name]}


def _label(model: AttributionModel) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(model).__name__).lower()
    values = [value for name, value in _changed(model).items() if name != "name"]
    return "_".join([snake, *(_shown(value) for value in values)])


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | tuple):
        return "-".join(_shown(item) for item in value)
    return str(value)
