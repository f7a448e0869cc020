"""What is wrong with a part of an experiment, in words for whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from attribution.arguments import describe
from attribution.errors import InputError, did_you_mean
from attribution.schema.renames import new_name

_KIND = re.compile(r"(function-\w+|literal|dict|list|tuple|constrained-\w+)\[")

_TEXTS = {
    "missing": "is required",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a dict",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "list_type": "must be a list",
    "path_type": "must be a path",
    "string_type": "must be a text",
    "string_pattern_mismatch": "must be a name without / and \\ that does not begin with a dot",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
}
"""By pydantic's kind of error; the others say it well once `_BEGINNING` is cut."""

_BEGINNING = re.compile(r"(Input|Value|Tuple|List|Dictionary|String) should (be|have) ")


def refusal(error: ValidationError, part: type[BaseModel], origin: str, within: tuple[str, ...] = ()) -> InputError:
    """The first thing that is wrong with a document, as an `InputError` that names its key.

    Parameters
    ----------
    error : what pydantic found
    part : what the document should have been
    origin : where it was written
    within : the keys that it stands under
    """
    first, *rest = error.errors()
    if isinstance(first["input"], dict) and first["type"] in ("float_type", "literal_error"):
        # A mapping where a word or a number might have stood as well: what is wrong lies inside of it.
        first = next((other for other in rest if len(other["loc"]) > len(first["loc"])), first)
    # Where a part may be one of several kinds, pydantic names the kind that it tried; nobody wrote that.
    path = [str(name) for name in first["loc"] if not _KIND.match(str(name))]
    where = ".".join((*within, *path))
    if first["type"] == "extra_forbidden":
        kind, key = _part_at(part, path[:-1]), path[-1]
        allowed, renamed = keys_of(kind), new_name(kind.__name__, key)
        hint = did_you_mean(key, allowed) if renamed is None else f"it is called {renamed} now"
        return InputError(f"{origin}: unknown key {where!r}", allowed=allowed, hint=hint)
    value = None if first["type"] == "missing" or isinstance(first["input"], dict) else _format_value(first["input"])
    return InputError(": ".join(filter(None, (origin, where, _describe_problem(dict(first))))), given=value)


def keys_of(part: type[BaseModel]) -> list[str]:
    """The keys that may be written in ``part``."""
    return [name for name in part.model_fields if name not in ("folder", "text")]


def _describe_problem(error: dict[str, Any]) -> str:
    if error["type"] in ("model_type", "model_attributes_type"):
        return f"must be a dict or {error['ctx']['class_name']}"
    text = _TEXTS.get(error["type"], error["msg"].removeprefix("Value error, "))
    return _BEGINNING.sub(lambda match: f"must {match[2]} ", text).replace(" after validation", "")


def _format_value(value: object) -> str:
    plain = value is None or isinstance(value, str | int | float | list | tuple)
    return repr(value) if plain and len(repr(value)) < 400 else describe(value)


def _part_at(part: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """The part that lies at ``path`` within ``part``; keys of mappings and numbers of items are no fields."""
    for name in path:
        field = part.model_fields.get(name)
        part = part if field is None else next(_parts_in(field.annotation), part)
    return part


def _parts_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _parts_in(each)
