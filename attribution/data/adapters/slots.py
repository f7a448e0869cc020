"""SQL with slots: an adapter's expression names source columns, and becomes SQL once the columns are known.

A slot is ``{name}``. ``{a|b}`` takes the first of several columns that is there, ``{name?}`` becomes ``null``
where there is none. ``{struct.field}`` reaches into a nested column, ``{list[]}`` asks for a list of structs.
``{amount*}`` finds a column whose name begins so, and ``{amount*#}`` is that name as text. Names match whatever their
case, underscores and blanks: ``close_date`` finds ``CloseDate``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from attribution.data.engine import quote, text

_SLOT = re.compile(r"\{([^{}]+)\}")

Columns = Mapping[str, pa.DataType]
"""Source columns and their types."""


class NotNestedError(Exception):
    """A source column is plain where an adapter reaches into it."""

    def __init__(self, column: str, kind: pa.DataType) -> None:
        super().__init__(column)
        self.column, self.kind = column, kind


@dataclass(frozen=True)
class Slot:
    """One place of a template: the names that may fill it, and whether it may stay empty."""

    names: tuple[str, ...]
    optional: bool = False


def slots(template: str) -> tuple[Slot, ...]:
    """The slots of ``template``, in order.

    Examples
    --------
    >>> slots("coalesce({visitor|device}, {user?})")
    (Slot(names=('visitor', 'device'), optional=False), Slot(names=('user',), optional=True))
    """
    return tuple(_slot(written) for written in _SLOT.findall(template))


def missing_slots(templates: Iterable[str], columns: Columns) -> list[Slot]:
    """The slots of ``templates`` that must be filled and cannot be, each once."""
    return [slot for slot in _distinct(templates) if not slot.optional and _find_column(slot, columns) is None]


def filled_slots(templates: Iterable[str], columns: Columns) -> list[Slot]:
    """The slots of ``templates`` that can be filled, each once."""
    return [slot for slot in _distinct(templates) if _find_column(slot, columns) is not None]


def is_empty(template: str, columns: Columns) -> bool:
    """Whether ``template`` has slots and not one of them can be filled.

    Examples
    --------
    >>> is_empty("lower({referrer?})", {"url": pa.string()})
    True
    >>> is_empty("'click'", {"url": pa.string()})
    False
    """
    matches = [_find_column(slot, columns) for slot in slots(template)]
    return bool(matches) and not any(matches)


def fill(template: str, columns: Columns) -> str:
    """``template`` as SQL on ``columns``.

    Raises
    ------
    NotNestedError
        If a slot reaches into a column that is no struct or list of structs.

    Examples
    --------
    >>> columns = {"Visitor": pa.string(), "page": pa.struct([("url", pa.string())])}
    >>> fill("coalesce({visitor}, {user?})", columns)
    'coalesce("Visitor", null)'
    >>> fill("lower({page.url})", columns)
    'lower("page"."url")'
    """
    return _SLOT.sub(lambda match: _find_column(_slot(match[1]), columns) or "null", template)


def _distinct(templates: Iterable[str]) -> list[Slot]:
    return list(dict.fromkeys(slot for template in templates for slot in slots(template)))


def _slot(written: str) -> Slot:
    return Slot(tuple(written.removesuffix("?").split("|")), written.endswith("?"))


def _find_column(slot: Slot, columns: Columns) -> str | None:
    """SQL of the first name that is there."""
    return next((sql for name in slot.names if (sql := _path(name, columns)) is not None), None)


def _path(name: str, columns: Columns) -> str | None:
    first, *fields = name.removesuffix("[]").removesuffix("#").split(".")
    column = _match(first, columns)
    if column is None:
        return None
    if name.endswith("#"):
        return text(column)
    kind, path = columns[column], quote(column)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if name.endswith("[]") and not (is_list and pa.types.is_struct(kind.value_type)):
        raise NotNestedError(column, kind)
    for field in fields:
        if not pa.types.is_struct(kind):
            raise NotNestedError(column, kind)
        inner = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
        match = _match(field, inner)
        if match is None:
            return None
        kind, path = inner[match], f"{path}.{quote(match)}"
    return path


def _match(name: str, names: Iterable[str]) -> str | None:
    names = list(names)
    if name in names:
        return name
    if name.endswith("*"):
        return next((other for other in names if _plain(other).startswith(_plain(name[:-1]))), None)
    return next((other for other in names if _plain(other) == _plain(name)), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_]", "", name).lower()
