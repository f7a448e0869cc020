"""A rule of your own: weights by position, or a function of the fields of a touchpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.journeys import DAY, JourneyChunk, Journeys
from attribution.kernels.credit import rule_weights as kernel
from attribution.models.base import Assumptions, AttributionModel
from attribution.models.machinery import Machinery
from attribution.models.named_code import load_by_path


class CustomWeights(AttributionModel):
    """Your own rule: weights by position in the journey, or a function.

    ``weights`` are those of the first touchpoint, the second, and so on. Touchpoints beyond the end of the list
    weigh as its last entry; of a shorter journey only the first entries count. So ``[1, 0]`` is first touch,
    ``[1]`` is linear, and ``[0.5, 0.3, 0.2]`` divides two touchpoints 5 : 3 and four 5 : 3 : 2 : 2.

    ``function`` is called with keywords and returns one weight per touchpoint, (touchpoints,) ≥ 0::

        function(*, position, length, age_days, kind, stage)

    All arguments are arrays over the touchpoints of many journeys, one after the other: ``position`` (int64,
    from 1) and ``length`` (int64) of its journey; ``age_days`` (float64, ≥ 0) before the conversion; ``kind``
    and ``stage`` (texts, None where there is no value). ``age_days`` is None for journeys without times, and
    ``kind`` and ``stage`` are None for logs without such a column. A function that does not need all of them
    takes the rest as ``**_``. A touchpoint's weight may depend on its own entries only: which journeys come together
    in one call depends on the machine.

    Weights are divided by their sum over a journey; where all of them are 0 they count as equal, and
    the quality table says how often.

    Parameters
    ----------
    weights : list of numbers ≥ 0, not all 0
    function : a function, or its name as ``package.module:function``; instead of ``weights``
    column : column of touchpoints that ``function`` gets as ``stage``
    name : label in tables; the class in snake case with its non-default parameters unless given

    Raises
    ------
    InputError
        By `fit`, if neither or both are given, if ``weights`` are negative, not finite or all 0, and if
        ``function`` cannot be found, fails, or returns anything but such weights.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > shop"], "conversions": [10]})))
    >>> at.CustomWeights(weights=[0.5, 0.3, 0.2]).fit(journeys).credit_.conversions.tolist()
    [5.0, 3.0, 2.0, 0.0]
    >>> def later_counts_more(*, position, **_):
    ...     return np.minimum(position, 3)
    >>> at.CustomWeights(function=later_counts_more).fit(journeys).credit_.conversions.round(6).tolist()
    [1.666667, 3.333333, 5.0, 0.0]
    """

    ignores_channels = True

    has_times_: bool

    def __init__(
        self,
        *,
        weights: Sequence[float] | None = None,
        function: Callable[..., Any] | str | None = None,
        column: str = "stage",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.weights = weights
        self.function = function
        self.column = column

    @property
    def assumptions(self) -> Assumptions:
        return Assumptions(
            "The weights that its author chose say what a touchpoint is worth.",
            "As biased as its author's weights are.",
        )

    @property
    def _machinery(self) -> Machinery:
        return _CustomMachinery(self)

    def validate(self) -> None:
        if (self.weights is None) == (self.function is None):
            count = "neither" if self.weights is None else "both"
            raise InputError("CustomWeights needs either weights or a function", given=count, allowed="one of them")
        if not isinstance(self.column, str):
            raise InputError("CustomWeights: column must be the name of a column", given=repr(self.column))
        if self.weights is not None:
            _check_list(self.weights)
            if self.column != "stage":
                raise InputError(
                    "CustomWeights: column has no effect beside weights", given=repr(self.column), hint="leave it out"
                )
        else:
            self._load_function()

    def learned(self) -> dict[str, Any]:
        return {"has_times_": self.has_times_}

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if self.weights is not None:
            return kernel.weights_by_position(chunk.offsets, np.array(self.weights, dtype=np.float64))
        fields = self._touchpoint_fields(chunk)
        try:
            returned = self._load_function()(**fields)
        except Exception as error:  # whatever the user's own function raises
            raise InputError(
                f"CustomWeights: function {self._title} failed: {type(error).__name__}: {error}",
                hint=f"it is called with the keywords {', '.join(fields)}; add **_ for those it does not need",
            ) from error
        return self._check_weights(returned, len(chunk.channel))

    @property
    def weight_sql(self) -> str | None:
        if self.weights is None:
            return None
        *first, rest = (repr(float(weight)) for weight in self.weights)
        whens = " ".join(f"when {position} then {weight}" for position, weight in enumerate(first, start=1))
        return f"case position {whens} else {rest} end" if whens else rest

    def _touchpoint_fields(self, chunk: JourneyChunk) -> dict[str, NDArray[Any] | None]:
        """The arguments of the function."""
        age_days = None
        if self.has_times_ and chunk.ended_at is not None and chunk.touched_at is not None:
            age_days = (np.repeat(chunk.ended_at, chunk.lengths) - chunk.touched_at) / DAY
        code = chunk.code.astype(np.int64)
        decoded = {
            argument: chunk.dimensions.decode(code, column) if column in chunk.dimensions.names else None
            for argument, column in (("kind", "kind"), ("stage", self.column))
        }
        return {
            "position": kernel.positions(chunk.offsets),
            "length": np.repeat(chunk.lengths, chunk.lengths),
            "age_days": age_days,
            **decoded,
        }

    def _check_weights(self, returned: object, touchpoints: int) -> NDArray[np.float64]:
        problem = f"CustomWeights: function {self._title} must return one weight ≥ 0 per touchpoint"
        try:
            values = np.asarray(returned)
        except ValueError as error:  # lists of lists of different lengths
            raise InputError(problem, given=str(error), allowed=f"an array of shape ({touchpoints},)") from None
        if values.shape != (touchpoints,):
            raise InputError(
                problem,
                given=f"{type(returned).__name__} of shape {values.shape} for {touchpoints} touchpoints",
                allowed=f"an array of shape ({touchpoints},)",
                hint="all arguments are arrays, so use np.where instead of if; kind and stage are None where the log "
                "has no such column, and age_days is None where it has no times",
            )
        if values.dtype.kind not in "biuf":
            raise InputError(problem, given=f"an array of {values.dtype}", allowed="numbers")
        weights = values.astype(np.float64)
        wrong = ~(np.isfinite(weights) & (weights >= 0))
        if wrong.any():
            raise InputError(
                problem,
                given=f"{weights[wrong][0]} for {int(wrong.sum())} of {touchpoints} touchpoints",
                allowed="finite numbers ≥ 0",
            )
        return weights

    def _load_function(self) -> Callable[..., Any]:
        function = self.function
        if isinstance(function, str):
            if not all(function.partition(":")):
                allowed = "a function, or its name as package.module:function"
                raise InputError(
                    "CustomWeights: function does not name a function", given=repr(function), allowed=allowed
                )
            try:
                function = load_by_path(function)
            except Exception as error:  # whatever the user's own module raises
                raise InputError(
                    f"CustomWeights: function {self._title} cannot be loaded: {type(error).__name__}: {error}",
                    hint="put its module on Python's import path, for example by setting PYTHONPATH",
                ) from None
        if not callable(function):
            raise InputError("CustomWeights: function cannot be called", given=f"{self.function!r}: {function!r}")
        return function

    @property
    def _title(self) -> str:
        if callable(self.function):
            return str(getattr(self.function, "__name__", type(self.function).__name__))
        return repr(self.function)


class _CustomMachinery(Machinery):
    """Notes whether there are times, which functions need; learns nothing about channels."""

    model: CustomWeights

    def prepare(self, journeys: Journeys) -> None:
        super().prepare(journeys)
        self.model.has_times_ = journeys.has_times

    @property
    def knows_channels(self) -> bool:
        return False


def _check_list(weights: object) -> None:
    """Raise `InputError` unless ``weights`` is a list of weights."""
    if not isinstance(weights, list | tuple) or not weights:
        raise InputError(
            "CustomWeights: weights must be a list with one weight per position",
            given=repr(weights),
            allowed="a list of numbers ≥ 0, such as [0.5, 0.3, 0.2]",
            hint="convert the array with .tolist()" if isinstance(weights, np.ndarray) else None,
        )
    for weight in weights:
        is_number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < float("inf"):
            raise InputError("CustomWeights: a weight must be a number ≥ 0", given=f"{weight!r} in {list(weights)!r}")
    if not any(weights):
        raise InputError("CustomWeights: all weights are 0", given=repr(list(weights)), allowed="at least one above 0")
