"""The contract of a model: what somebody who writes one must know, and nothing else.

How models are fitted, redrawn and described is in `attribution.models.machinery`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError, did_you_mean
from attribution.journeys import JourneyChunk, Journeys, Summary, observe
from attribution.models.credit import ChannelTotals, Totals, journey_credit, share_sums
from attribution.models.machinery import Machinery


class Assumptions(NamedTuple):
    """What a model assumes, for its card and the table of models.

    Attributes
    ----------
    premise : one sentence: what it assumes
    bias : one sentence: which way its credit is wrong where the premise does not hold
    effects : what its author set about effects, not learned from these data; empty where nothing was set

    Examples
    --------
    >>> Assumptions("Only the touchpoint in the middle matters.", "Overstates channels in the middle.").effects
    ''
    """

    premise: str
    bias: str
    effects: str = ""


class AttributionModel:
    """Base of every model. A rule overrides `weigh` only; one that learns overrides `summarise` and `solve` as well.

    The constructor of a subclass only assigns its arguments. Of the members below it may override `estimand`,
    `assumptions`, `needs_times`, `ignores_channels`, `validate`, `summarise`, `solve`, `weigh`, `weigh_baseline`,
    `learned`, `restore`, `weight_sql` and `baseline_sql`; all others are final.

    Parameters
    ----------
    name : label in tables; the class in snake case with its non-default parameters unless given

    Attributes
    ----------
    needs_times : whether days between touchpoints matter to this model
    ignores_channels : whether `weigh` looks at positions, times and kinds alone, and never at channels
    name : the label that was given; None where the label is made of class and settings
    credit_ : channel totals, once fitted
    channels_ : channel names, once fitted
    summary_, observed_ : sums so far, of this model and those that all models share, once fitted

    Examples
    --------
    A rule of your own: a touchpoint weighs as much as its position, so that later ones get more.

    >>> import attribution as at
    >>> class Later(at.AttributionModel):
    ...     def weigh(self, chunk):
    ...         first = np.repeat(chunk.offsets[:-1], chunk.lengths)
    ...         return np.arange(len(chunk.channel)) - first + 1.0
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search"], "conversions": [3]})))
    >>> Later().fit(journeys).credit_.conversions.tolist()
    [1.0, 2.0, 0.0]
    """

    needs_times: ClassVar[bool] = False
    ignores_channels: ClassVar[bool] = False

    credit_: ChannelTotals
    channels_: tuple[str, ...]
    summary_: Summary
    observed_: Summary

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        taken = [name for name in FINAL if name in vars(cls)]
        if taken:
            raise InputError(
                f"model class {cls.__name__} overrides {', '.join(taken)}, which subclasses cannot change",
                allowed=list(OVERRIDABLE),
                hint="override weigh to say how a journey is divided, and summarise and solve to learn from data",
            )
        if "weigh" in vars(cls):
            # Statements about the weights of another class do not hold for these.
            cls._forget("assumptions", "ignores_channels", "weight_sql", "weigh_baseline", "baseline_sql")
        elif "weigh_baseline" in vars(cls):
            cls._forget("baseline_sql")

    @classmethod
    def _forget(cls, *members: str) -> None:
        """Put the base's members in the place of those that another class has."""
        for member in members:
            if member not in vars(cls):
                setattr(cls, member, vars(AttributionModel)[member])

    # ------------------------------------------------------------ what a model may override

    @property
    def estimand(self) -> str:
        """``allocated`` (divides observed conversions) or ``incremental`` (estimates what ads caused)."""
        return "allocated"

    @property
    def assumptions(self) -> Assumptions:
        """What the model assumes and which way it is biased."""
        return Assumptions("Its author did not state what it assumes.", "Its bias is not known.")

    def validate(self) -> None:
        """Raise `InputError` if a parameter is impossible."""

    def summarise(self, chunk: JourneyChunk) -> Summary:
        """What one chunk of journeys contributes, in tables of exact sums.

        Unless overridden, what `weigh` gives each channel; of an incremental model that is all, baseline included.
        """
        return share_sums(self, chunk)

    def solve(self, summary: Summary) -> Totals:
        """Conversions and value of each channel, (channels,) floats each, from the sum of all contributions.

        Set here, as attributes that end in an underscore, whatever else is learned. The totals of an allocated model
        add up to what was observed in journeys with a touchpoint. What an incremental model leaves is its baseline.
        """
        channels = len(self.channels_)
        return summary.dense("conversions", channels), summary.dense("value", channels)

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """One non-negative weight per touchpoint of ``chunk``, whose journeys follow one another without gaps.

        Journey j is touchpoints ``chunk.offsets[j]`` … ``chunk.offsets[j + 1] − 1``; none is empty.
        """
        raise NotImplementedError(f"{type(self).__name__} must override weigh")

    def weigh_baseline(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """What the baseline weighs beside the touchpoints of each journey of ``chunk``, (journeys,) not negative.

        Only an incremental model is asked. Each conversion is divided by these weights and those of `weigh`, and is
        the baseline's where nothing weighs anything. Unless overridden, the baseline has the same share of every
        conversion: that of its total, beside what channels are credited, 0 where that is negative.
        """
        weights = np.asarray(self.weigh(chunk), dtype=np.float64)
        if chunk.factor is not None:
            weights = weights * chunk.factor
        return np.asarray(self.credit_.baseline_odds * np.add.reduceat(weights, chunk.offsets[:-1]))

    def learned(self) -> dict[str, Any]:
        """What weights need besides parameters, ``channels_`` and ``credit_``, by attribute, for a `Scorer`.

        Values are (channels,) floats, or anything that JSON can hold.
        """
        return {}

    def restore(self, learned: Mapping[str, Any]) -> None:
        """Set what `learned` returned; ``channels_`` and ``credit_`` are set already."""
        vars(self).update(learned)

    @property
    def weight_sql(self) -> str | None:
        """The weight of a touchpoint as an SQL expression in DuckDB's dialect; None where SQL cannot express it.

        It may use ``position`` (from 1) and ``length`` of the journey, ``channel``, ``kind`` and whatever further
        columns of touchpoints were read, ``age_days`` before the conversion, ``factor`` (the weight of a view),
        ``learned.NAME`` for each array over channels in `learned`, with ``learned.conversions`` and ``learned.value``
        for the channel's credit, and window functions over ``(partition by journey)``. ``touchpoint.NAME`` is a column
        of touchpoints whose name is one of these.
        """
        return None

    @property
    def baseline_sql(self) -> str | None:
        """`weigh_baseline` as an SQL expression of the words of `weight_sql`, alike for all touchpoints of a journey.

        None where SQL cannot express it; what the base says of the baseline needs none.
        """
        return None

    # ------------------------------------------------------------ what the base does for all

    @final
    @check_arguments
    def fit(self, journeys: Journeys) -> Self:
        """Learn from ``journeys`` and set ``credit_``; returns the model itself."""
        machinery = self._machinery
        machinery.prepare(journeys)
        own, observed = journeys.read(self.summarise, observe)
        machinery.finish_fit(own + machinery.summarise_untouched(journeys), observed)
        return self

    @final
    @check_arguments
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
                hint="fit it on all journeys at once",
            )
        machinery = self._machinery
        machinery.prepare(journeys)
        own, observed = journeys.read(self.summarise, observe)
        machinery.finish_fit(self.summary_ + own, self.observed_ + observed)
        return self

    @final
    def credit_journeys(self, journeys: Journeys) -> pd.DataFrame:
        """The ``journey_credit`` table of ``journeys``, see `attribution.schema.tables`."""
        return journey_credit(journeys, [self])

    @property
    @final
    def label(self) -> str:
        """The name given, or the class in snake case with its non-default parameters."""
        return self.name if self.name is not None else _label(self)

    @final
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in _parameters(type(self))}

    @final
    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments; unknown ones are refused."""
        parameters = _parameters(type(self))
        for name, value in params.items():
            if name not in parameters:
                raise InputError(
                    f"{type(self).__name__} has no parameter {name!r}",
                    allowed=list(parameters),
                    hint=did_you_mean(name, parameters),
                )
            setattr(self, name, value)
        return self

    @property
    def _machinery(self) -> Machinery:
        """How it is fitted, redrawn and described. Some models of this package have a machinery of their own."""
        return Machinery(self)

    def _overrides(self, member: str) -> bool:
        """Whether the class has a ``member`` of its own."""
        return getattr(type(self), member) is not getattr(AttributionModel, member)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_code_text(value)}" for name, value in _non_default_parameters(self).items())
        return f"{type(self).__name__}({shown})"


OVERRIDABLE = (
    "estimand", "assumptions", "needs_times", "ignores_channels", "validate", "summarise", "solve", "weigh",
    "weigh_baseline", "learned", "restore", "weight_sql", "baseline_sql",
)  # fmt: skip
"""Members that a subclass may override."""

FINAL = ("fit", "partial_fit", "credit_journeys", "get_params", "set_params", "name", "label")


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind).parameters


def _non_default_parameters(model: AttributionModel) -> dict[str, Any]:
    defaults = {name: parameter.default for name, parameter in _parameters(type(model)).items()}
    params = model.get_params()
    # A list in a file and a tuple in code mean the same.
    plain = {name: tuple(value) if isinstance(value, list | np.ndarray) else value for name, value in params.items()}
    return {name: value for name, value in plain.items() if value != defaults[name]}


def _label(model: AttributionModel) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(model).__name__).lower()
    values = [value for name, value in _non_default_parameters(model).items() if name != "name"]
    return "_".join([snake, *(_format_value(value) for value in values)])


def _format_value(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Mapping):
        return "-".join(f"{key}={_format_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "-".join(_format_value(item) for item in value)
    return _function_name(value) if callable(value) else str(value)


def _code_text(value: object) -> str:
    return _function_name(value) if callable(value) else repr(value)


def _function_name(function: object) -> str:
    """The name of a function: as text it is an address, another one in every run."""
    return str(getattr(function, "__name__", type(function).__name__))
