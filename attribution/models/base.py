"""The contract of a model: what somebody who writes one must know, and nothing else.

How models are fitted, drawn again and described lies beside it, in `attribution.models.machinery`.
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
    """What a model takes for granted, for its card and the table of models.

    Attributes
    ----------
    premise : one sentence: what it assumes
    bias : one sentence: which way its credit is off where that does not hold
    effects : what it was told of effects and did not learn from these data; empty where nothing

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
    `assumptions`, `needs_times`, `validate`, `summarise`, `solve`, `weigh`, `learned`, `restore` and `weight_sql`; all
    others are final.

    Parameters
    ----------
    name : label in tables; the class in snake case with its non-default parameters unless given

    Attributes
    ----------
    needs_times : whether days between touchpoints matter to this model
    name : the label that was given; None for one that is made of class and settings
    credit_ : channel totals, once fitted
    channels_ : channel names, once fitted
    summary_, observed_ : what was summed up so far, by the model and for all models alike, once fitted

    Examples
    --------
    A rule of one's own: every touchpoint counts by its position, so that later ones get more.

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
                f"model class {cls.__name__} overrides {', '.join(taken)}, and that is final",
                allowed=list(OVERRIDABLE),
                hint="weigh says how a journey is divided, summarise and solve what is learned; the rest follows",
            )
        if "weigh" in vars(cls):
            # What was said of the weights of another class does not hold for these.
            for said in ("assumptions", "weight_sql"):
                if said not in vars(cls):
                    setattr(cls, said, vars(AttributionModel)[said])

    # ------------------------------------------------------------ what a model says

    @property
    def estimand(self) -> str:
        """``allocated`` (divides observed conversions) or ``incremental`` (estimates what ads caused)."""
        return "allocated"

    @property
    def assumptions(self) -> Assumptions:
        """What the model assumes and which way it is biased."""
        return Assumptions("Its author did not say what it assumes.", "Nothing is known of its bias.")

    def validate(self) -> None:
        """Raise `InputError` if a parameter is impossible."""

    def summarise(self, chunk: JourneyChunk) -> Summary:
        """What one chunk of journeys contributes, in tables of exact sums."""
        return share_sums(self, chunk)

    def solve(self, summary: Summary) -> Totals:
        """Conversions and value of each channel, (channels,) floats each, from the sum of all contributions.

        What else was learned is set here, as attributes that end in an underscore. An allocated model's totals add up
        to what was observed in journeys with a touchpoint; what an incremental model leaves of it is its baseline.
        """
        channels = len(self.channels_)
        return summary.dense("conversions", channels), summary.dense("value", channels)

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        """One non-negative weight per touchpoint of ``chunk``, whose journeys lie end to end.

        Journey j is touchpoints ``chunk.offsets[j]`` … ``chunk.offsets[j + 1] − 1``; none is empty.
        """
        raise NotImplementedError(f"{type(self).__name__} must override weigh")

    def learned(self) -> dict[str, Any]:
        """What `weigh` needs besides parameters, ``channels_`` and ``credit_``, by attribute, for a `Scorer`.

        Values are (channels,) floats, or whatever JSON can hold.
        """
        return {}

    def restore(self, learned: Mapping[str, Any]) -> None:
        """Take over what `learned` gave; ``channels_`` and ``credit_`` are set already."""
        vars(self).update(learned)

    @property
    def weight_sql(self) -> str | None:
        """What `weigh` gives a touchpoint, as an SQL expression in DuckDB's words; None where it cannot be said.

        It may use ``position`` (from 1) and ``length`` of the journey, ``channel``, ``kind`` and whatever further
        columns of touchpoints were read, ``age_days`` before the conversion, ``factor`` (what a view counts),
        ``learned.NAME`` for each array over channels in `learned`, with ``learned.conversions`` and ``learned.value``
        for the channel's credit, and window functions over ``(partition by journey)``. ``touchpoint.NAME`` is a column
        of touchpoints that is called like one of these.
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
                hint="fit on all journeys at once",
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

    @property
    def _machinery(self) -> Machinery:
        """How it is fitted, drawn again and described. Models of this package that know more have one of their own."""
        return Machinery(self)

    def _overrides(self, member: str) -> bool:
        """Whether the class says something else of ``member`` than the base."""
        return getattr(type(self), member) is not getattr(AttributionModel, member)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_quoted(value)}" for name, value in _changed(self).items())
        return f"{type(self).__name__}({shown})"


OVERRIDABLE = (
    "estimand", "assumptions", "needs_times", "validate", "summarise", "solve", "weigh", "learned", "restore",
    "weight_sql",
)  # fmt: skip
"""Members that a subclass may override."""

FINAL = ("fit", "partial_fit", "credit_journeys", "get_params", "set_params", "name", "label")


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
    return _titled(value) if callable(value) else str(value)


def _quoted(value: object) -> str:
    return _titled(value) if callable(value) else repr(value)


def _titled(function: object) -> str:
    """The name of a function: as text it is an address, another one in every run."""
    return str(getattr(function, "__name__", type(function).__name__))
