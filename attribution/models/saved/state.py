"""A fitted model as data: what JSON and Parquet can hold, and a model made of it again."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution import models as shipped
from attribution.errors import InputError
from attribution.models import AttributionModel
from attribution.models.base import Assumptions
from attribution.models.credit import ChannelTotals
from attribution.models.machinery import machinery_of

Floats = NDArray[np.float64]

NO_WEIGHT = -1e300
"""Logarithm of the weight of a channel that nothing was learned of."""

NAMELESS = "lies where no other process finds it"
"""Said of a class or function that no file can name."""

_STANDING = {"credit_", "channels_", "summary_", "observed_"}


@dataclass(frozen=True)
class ModelState:
    """What handing out needs of a fitted model.

    Attributes
    ----------
    kind : name of a shipped class, or ``package.module:Class``
    parameters : arguments of its constructor, as JSON has them
    label : by which its rows are called
    estimand : ``allocated`` or ``incremental``
    assumptions : what it takes for granted, for its card
    channels : names, in the model's order
    knows_channels : whether it goes by what it learned of each channel
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
        """Of a fitted model.

        Raises
        ------
        InputError
            If it is not fitted, or holds what cannot be written down.
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
            kind=_kind_of(model),
            parameters={name: _portable(model, name, value) for name, value in model.get_params().items()},
            label=model.label,
            estimand=model.estimand,
            assumptions=model.assumptions,
            channels=model.channels_,
            knows_channels=machinery_of(model).knows_channels,
            unattributed=(float(credit.conversions[-1]), float(credit.value[-1])),
            baseline=None if credit.baseline is None else (float(credit.baseline[0]), float(credit.baseline[1])),
            arrays={name: np.asarray(value, dtype=np.float64) for name, value in arrays.items()},
            learned=rest,
        )

    def model(self, further: Sequence[str] = ()) -> AttributionModel:
        """The fitted model, able to weigh; ``further`` are channels that it is to know by name, and nothing else of.

        Raises
        ------
        InputError
            If its class cannot be loaded, or does not take these parameters.
        """
        kind = _class_of(self.kind)
        try:
            model = kind(**self.parameters)
        except TypeError as error:
            raise InputError(f"model {self.kind!r} does not take these settings: {error}") from None
        model.set_params(name=self.label)
        model.validate()
        arrays = {name: _padded(name, values, len(further)) for name, values in self.arrays.items()}
        model.channels_ = (*self.channels, *further)
        conversions = np.append(arrays.pop("conversions"), self.unattributed[0])
        value = np.append(arrays.pop("value"), self.unattributed[1])
        model.credit_ = ChannelTotals(model.channels_, conversions, value, self.baseline)
        model.restore({**self.learned, **arrays})
        return model


def _padded(name: str, values: Floats, further: int) -> Floats:
    return np.append(values, np.full(further, NO_WEIGHT if name == "log_weights" else 0.0))


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def _check_learned(model: AttributionModel) -> None:
    """Refuse a model of one's own that learned something and does not say whether scoring needs it."""
    if model._overrides("learned"):
        return
    further = sorted(name for name in vars(model) if name.endswith("_") and name not in _STANDING)
    if further:
        raise InputError(
            f"model {model.label!r} learned {', '.join(further)}, and does not say what scoring needs of it",
            hint="let its method learned() return it by attribute, or an empty mapping if weigh does without",
        )


def _kind_of(model: AttributionModel) -> str:
    kind = type(model)
    if getattr(shipped, kind.__name__, None) is kind:
        result: str = kind.__name__
        return result
    # What is typed in or executed as text is in no module that another process could import.
    if kind.__module__ in ("__main__", "builtins") or "<locals>" in kind.__qualname__:
        raise InputError(
            f"model {model.label!r} cannot be saved: its class {NAMELESS}",
            given=f"{kind.__module__}.{kind.__qualname__}",
            hint="put the class into a module of its own",
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(kind: str) -> type[AttributionModel]:
    module, colon, name = kind.partition(":")
    if not colon:
        found = getattr(shipped, kind, None) if kind in shipped.__all__ else None
    else:
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:  # whatever the user's own module raises
            raise InputError(
                f"model {kind!r} cannot be loaded: {type(error).__name__}: {error}",
                hint="its module must be where Python imports from",
            ) from None
    if not (isinstance(found, type) and issubclass(found, AttributionModel)):
        raise InputError(f"model {kind!r} is not known here", hint="it was saved by another version, or is no model")
    return found


def _portable(model: AttributionModel, name: str, value: object) -> Any:
    """A parameter as JSON has it; a function or class as its place."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if callable(value):
        place = f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', None)}"
        if "<" in place or place.startswith(("None:", "__main__:")) or place.endswith(":None"):
            raise InputError(
                f"model {model.label!r} cannot be saved: {name} {NAMELESS}",
                given=repr(value),
                hint=f'name it in a module of its own: {name} = "package.module:name"',
            )
        return place
    _check_plain(model, name, value)
    return json.loads(json.dumps(value))


def _check_plain(model: AttributionModel, name: str, value: object) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise InputError(
            f"model {model.label!r} cannot be saved: {name} is nothing that JSON can hold", given=repr(value)
        ) from None
