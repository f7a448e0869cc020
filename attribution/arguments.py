"""Arguments of public functions, checked against their annotations before the function runs."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from attribution.errors import InputError, did_you_mean, shorten

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")

_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    NoneType: "None",
    dt.date: "a date",
}

# By name, so that nothing must be imported.
_ORIGINS = {
    "AttributionModel": "write the model itself, such as at.LastTouch() or [at.Linear(), at.Markov()]",
    "Credit": "at.attribute(journeys, models) returns it",
    "Experiment": 'at.read_experiment("experiment.toml") returns it',
    "Journeys": "at.build_journeys(sources) returns it",
    "Outcome": 'at.run_experiment("experiment.toml") returns it',
    "Run": 'at.read_run("runs/NAME") returns it',
    "Sources": "at.load_sources(touchpoints=…, conversions=…) returns it",
    "Targets": 'at.read_targets("targets.toml") returns it',
}


class _RefusedError(Exception):
    def __init__(self, value: object) -> None:
        self.value = value


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse arguments that do not fit the annotations of ``function``, before it runs.

    A single text in place of a list becomes a list of one; an iterator is read once, into a tuple. Missing and unknown
    arguments raise Python's own `TypeError`.

    Examples
    --------
    >>> @check_arguments
    ... def repeat(words: Sequence[str], times: int = 1) -> list[str]:
    ...     return list(words) * times
    >>> repeat("mail", 2)
    ['mail', 'mail']
    >>> repeat("mail", "twice")
    Traceback (most recent call last):
    attribution.errors.InputError: repeat: times must be a whole number. Given: 'twice'.
    """
    signature = inspect.signature(function)
    where = function.__qualname__.removesuffix(".__init__")
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}

    @cache
    def hints() -> dict[str, Any]:
        type_hints = get_type_hints(function)
        return {
            name: type_hints[name] for name, kind in kinds.items() if name in type_hints and kind != kind.VAR_KEYWORD
        }

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)
        for name, hint in hints().items():
            if name in bound.arguments:
                value = bound.arguments[name]
                several = value if kinds[name] == inspect.Parameter.VAR_POSITIONAL else [value]
                accepted = tuple(accept(where, name, each, hint) for each in several)
                bound.arguments[name] = accepted if several is value else accepted[0]
        return function(*bound.args, **bound.kwargs)

    return call


def check_fields(record: Any) -> None:
    """Check the fields of a frozen dataclass against their annotations; for its ``__post_init__``."""
    kind = type(record)
    for name, hint in get_type_hints(kind).items():
        object.__setattr__(record, name, accept(kind.__name__, name, getattr(record, name), hint))


def accept(where: str, name: str, value: object, hint: Any) -> Any:
    """``value`` as ``hint`` takes it; an `InputError` that names ``name`` of ``where`` if it does not."""
    try:
        return _convert(hint, value)
    except _RefusedError as refused:
        description = describe(value)
        if refused.value is not value:
            description = f"{describe(refused.value)} in {description}"
        hint_text = _advice(hint, refused.value)
        raise InputError(f"{where}: {name} must be {_describe_hint(hint)}", given=description, hint=hint_text) from None


def check_columns(where: str, name: str, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise `InputError` unless ``table``, the argument ``name`` of ``where``, has all ``columns``."""
    existing = [str(column) for column in table.columns]
    for column in columns:
        if column not in existing:
            hint = did_you_mean(column, existing)
            raise InputError(
                f"{where}: {name} has no column {column!r}", given=f"columns {', '.join(existing)}", hint=hint
            )


def describe(value: object) -> str:
    """A short description of ``value``.

    Examples
    --------
    >>> describe("search"), describe([1, 2]), describe({}), describe(Path)
    ("'search'", 'a list of 2', 'an empty dict', 'the class Path')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, str | bytes | Real | dt.date | Path):
        return shorten(str(value) if isinstance(value, Path | dt.date) else repr(value), most=80)
    name = type(value).__name__
    if isinstance(value, list | tuple | set | dict):
        return f"a {name} of {len(value)}" if value else f"an empty {name}"
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def _convert(hint: Any, value: Any) -> Any:
    """``value`` as ``hint`` takes it; raises `_RefusedError` with the part that is wrong."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any or hint is object or isinstance(hint, TypeVar):
        return value
    if origin in (Union, UnionType):
        return _convert_to_any(parts, value)
    if origin is Literal:
        fits = any(type(value) is type(part) and value == part for part in parts)
    elif origin is not None and issubclass(origin, tuple):
        return _convert_items(parts, value)
    elif origin is not None and issubclass(origin, Mapping):
        fits = isinstance(value, Mapping)
        if fits and len(value) and isinstance(value, dict):
            for key, item in value.items():
                _convert(parts[0], key), _convert(parts[1], item)
    elif origin is not None and origin is not Callable and issubclass(origin, Iterable) and len(parts) == 1:
        return _convert_items((parts[0], ...), value)
    elif origin is Callable:
        fits = callable(value) and not isinstance(value, type)
    else:
        fits = _is_a(origin or hint, value)
    if not fits:
        raise _RefusedError(value)
    return value


def _convert_to_any(parts: tuple[Any, ...], value: Any) -> Any:
    refused = _RefusedError(value)
    for part in parts:
        try:
            return _convert(part, value)
        except _RefusedError as error:
            # Of several alternatives, report the one that came further.
            refused = refused if error.value is value else error
    raise refused


def _convert_items(parts: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """Several values as a tuple: a list, an array, a series, or what can be read once."""
    if isinstance(value, str):
        items: tuple[Any, ...] = (value,)
    elif (isinstance(value, Sequence | Iterator) and not isinstance(value, bytes)) or getattr(value, "ndim", 0) == 1:
        items = tuple(value)
    else:
        raise _RefusedError(value)
    hints = (parts[0],) * len(items) if parts[-1] is ... else parts
    if len(hints) != len(items):
        raise _RefusedError(value)
    try:
        return tuple(_convert(hint, item) for hint, item in zip(hints, items, strict=True))
    except _RefusedError as refused:
        raise _RefusedError(value if isinstance(value, str) else refused.value) from None


def _is_a(kind: Any, value: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool) or type(value).__name__ == "bool"
    if kind in (int, float):
        is_number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return is_number and value == value  # which NaN is not
    if getattr(kind, "_is_protocol", False):
        # Names of attributes that are only there once a model is fitted end in an underscore.
        members = {name for name in vars(kind) if not name.startswith("_") and not name.endswith("_")}
        return not isinstance(value, type) and members <= set(dir(value))
    return isinstance(value, kind)


def _describe_hint(hint: Any) -> str:
    """What ``hint`` accepts, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        alternatives = list(dict.fromkeys(_describe_hint(part) for part in parts))
        return alternatives[0] if len(alternatives) == 1 else f"{', '.join(alternatives[:-1])} or {alternatives[-1]}"
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is not None and origin is not Callable and issubclass(origin, Iterable) and parts:
        if issubclass(origin, Mapping):
            return "a dict"
        if issubclass(origin, tuple) and parts[-1] is not ...:
            return f"a tuple of {len(parts)}"
        return (
            f"a list, each item {_describe_hint(parts[0])}"
            if parts[0] in _WORDS
            else f"a list of {_describe_hint(parts[0])}"
        )
    if origin is Callable:
        return "a function"
    return str(getattr(origin or hint, "__name__", hint))


def _advice(hint: Any, value: object) -> str | None:
    """How to get a value that fits."""
    classes = list(_classes(hint))
    if isinstance(value, type):
        fits = any(issubclass(value, kind) for kind in classes if not getattr(kind, "_is_protocol", False))
        return f"{value.__name__} is a class: write {value.__name__}()" if fits else None
    return next((_ORIGINS[kind.__name__] for kind in classes if kind.__name__ in _ORIGINS), None)


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for part in get_args(hint):
        yield from _classes(part)
