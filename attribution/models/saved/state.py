"""A fitted model as data that JSON and Parquet can hold, and the model restored from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.models import AttributionModel, shipped_models
from attribution.models.base import Assumptions
from attribution.models.credit import ChannelTotals
from attribution.models.machinery import get_machinery
from attribution.models.named_code import load_by_path
from attribution.models.saved.own_code import refuse_own_code

Floats = NDArray[np.float64]

NO_WEIGHT = -1e300
"""Logarithm of the weight of a channel about which nothing was learned."""

NAMELESS = "is defined where no other process can import it"
"""Part of the message for a class or function that no file can name."""

_OF_EVERY_MODEL = {"credit_", "channels_", "summary_", "observed_"}


@dataclass(frozen=True)
class ModelState:
    """What scoring needs of a fitted model.

    Attributes
    ----------
    kind : name of a shipped class, or ``package.module:Class``
    parameters : arguments of its constructor, as JSON has them
    label : its name in tables
    estimand : ``allocated`` or ``incremental``
    assumptions : what it assumes, for its card
    channels : names, in the model's order
    knows_channels : whether its weights depend on what it learned of each channel
    unattributed, baseline : conversions and value beside those of channels; no baseline for allocated models
    arrays : (channels,) floats each; ``conversions`` and ``value`` always
    learned : what else it learned, as JSON has it
    """

    kind: str
    parameters: Mapping[str, Any]
    label: str
    estimand: str
    assumptions: Assumptions
    channels: tuple[str, ...]
    knows_channels: bool
    unattributed: tuple[float, float]
    baseline: tuple[float, float] | None
    arrays: Mapping[str, Floats]
    learned: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, model: AttributionModel) -> ModelState:
        """The state of a fitted model.

        Raises
        ------
        InputError
            If it is not fitted, or a parameter or learned value cannot be saved.
        """
        if not hasattr(model, "credit_"):
            raise InputError(f"model {model.label!r} is not fitted", hint="fit it on journeys first")
        _check_learned(model)
        credit, learned = model.credit_, model.learned()
        size = len(model.channels_)
        arrays = {name: value for name, value in learned.items() if _is_array(value) and value.shape == (size,)}
        arrays = {"conversions": credit.conversions[:-1], "value": credit.value[:-1], **arrays}
        rest = {name: value for name, value in learned.items() if name not in arrays}
        for name, value in rest.items():
            _check_plain(model, name, value)
        return cls(
            kind=_kind(model),
            parameters={name: _to_json(model, name, value) for name, value in model.get_params().items()},
            label=model.label,
            estimand=model.estimand,
            assumptions=model.assumptions,
            channels=model.channels_,
            knows_channels=get_machinery(model).knows_channels,
            unattributed=(float(credit.conversions[-1]), float(credit.value[-1])),
            baseline=None if credit.baseline is None else (float(credit.baseline[0]), float(credit.baseline[1])),
            arrays={name: np.asarray(value, dtype=np.float64) for name, value in arrays.items()},
            learned=rest,
        )

    def model(self, further: Sequence[str] = ()) -> AttributionModel:
        """The fitted model, able to weigh; it gets the names of ``further`` channels it has learned nothing about.

        Raises
        ------
        InputError
            If its class cannot be loaded, or does not accept these parameters.
        """
        kind = _load_class(self.kind)
        try:
            model = kind(**self.parameters)
        except TypeError as error:
            raise InputError(f"model {self.kind!r} does not accept these settings: {error}") from None
        model.set_params(name=self.label)
        model.validate()
        self._check_restored(model)
        arrays = {name: _pad(name, values, len(further)) for name, values in self.arrays.items()}
        model.channels_ = (*self.channels, *further)
        conversions = np.append(arrays.pop("conversions"), self.unattributed[0])
        value = np.append(arrays.pop("value"), self.unattributed[1])
        model.credit_ = ChannelTotals(model.channels_, conversions, value, self.baseline)
        model.restore({**self.learned, **arrays})
        return model

    def refuse_own_code(self, origin: str) -> None:
        """Raise `InputError` if the state names code that is not part of this package, before importing any.

        Raises
        ------
        InputError
            Naming the class or function and its ``origin``.
        """
        refuse_own_code(self.kind, self.parameters, origin)

    def _check_restored(self, model: AttributionModel) -> None:
        """Raise `InputError` if a learned value would replace a setting or a method."""
        members = {*model.get_params(), *(name for name in dir(type(model)) if _is_behaviour(type(model), name))}
        wrong = sorted({*self.learned, *self.arrays} & members)
        if wrong:
            raise InputError(
                f"model {self.label!r}: {wrong[0]} is a setting or method of {self.kind}, and not a learned value",
                hint="the file was changed after the export, or is not a saved model: export it again",
            )


def _is_behaviour(kind: type, name: str) -> bool:
    value = getattr(kind, name, None)
    return callable(value) or isinstance(value, property)


def _pad(name: str, values: Floats, further: int) -> Floats:
    return np.append(values, np.full(further, NO_WEIGHT if name == "log_weights" else 0.0))


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def _check_learned(model: AttributionModel) -> None:
    """Raise `InputError` if a model of your own learned something but has no `learned`."""
    if model._overrides("learned"):
        return
    further = sorted(name for name in vars(model) if name.endswith("_") and name not in _OF_EVERY_MODEL)
    if further:
        raise InputError(
            f"model {model.label!r} learned {', '.join(further)}, but its class does not define learned()",
            hint="let learned() return the attributes that weigh needs, by name, or an empty dict if it needs none",
        )


def _kind(model: AttributionModel) -> str:
    kind = type(model)
    if shipped_models().get(kind.__name__) is kind:
        return kind.__name__
    # A class that is typed in or executed as text is in no module that another process could import.
    if kind.__module__ in ("__main__", "builtins") or "<locals>" in kind.__qualname__:
        raise InputError(
            f"model {model.label!r} cannot be saved: its class {NAMELESS}",
            given=f"{kind.__module__}.{kind.__qualname__}",
            hint="move the class into a module of its own",
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def _load_class(kind: str) -> type[AttributionModel]:
    if ":" not in kind:
        loaded: Any = shipped_models().get(kind)
    else:
        try:
            loaded = load_by_path(kind)
        except Exception as error:  # whatever the user's own module raises
            raise InputError(
                f"model {kind!r} cannot be loaded: {type(error).__name__}: {error}",
                hint="put its module on Python's import path, for example by setting PYTHONPATH",
            ) from None
    if not (isinstance(loaded, type) and issubclass(loaded, AttributionModel)):
        raise InputError(
            f"model {kind!r} is not a model of this version", hint="fit and export it again with this version"
        )
    return loaded


def _to_json(model: AttributionModel, name: str, value: object) -> Any:
    """A parameter as JSON has it; a function or class as its import path."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if callable(value):
        path = f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', None)}"
        if "<" in path or path.startswith(("None:", "__main__:")) or path.endswith(":None"):
            raise InputError(
                f"model {model.label!r} cannot be saved: {name} {NAMELESS}",
                given=repr(value),
                hint=f'move it into a module, and name it there: {name} = "package.module:name"',
            )
        return path
    _check_plain(model, name, value)
    return json.loads(json.dumps(value))


def _check_plain(model: AttributionModel, name: str, value: object) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise InputError(
            f"model {model.label!r} cannot be saved: JSON cannot hold {name}",
            given=repr(value),
            allowed="numbers, texts, lists and dicts",
        ) from None
