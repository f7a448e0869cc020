"""One column under several names: the first that is not null becomes the canonical one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from attribution.data.engine import quote
from attribution.data.loading.contract import is_integer_like
from attribution.errors import InputError, did_you_mean


def merge_columns(
    table: str, schema: pa.Schema, columns: Mapping[str, str | Sequence[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Give each canonical column one source column.

    Parameters
    ----------
    table : name of the table, for messages
    schema : columns and types of the raw table
    columns : canonical name → source column, or several, of which those that are there are merged

    Returns
    -------
    (columns, added)
        Canonical name → its one source column; name → SQL of the columns that the raw table needs for it.

    Raises
    ------
    InputError
        If none of several source columns is there, or they hold values of different kinds.

    Examples
    --------
    >>> schema = pa.schema({"channel": pa.int32(), "chan": pa.int64()})
    >>> merge_columns("touchpoints", schema, {"channel": ["channel", "chan", "kanal"], "cost": ["cost", "channel"]})
    ({'channel': 'channel or chan', 'cost': 'channel'}, {'channel or chan': 'coalesce("channel", "chan")'})
    """
    single: dict[str, str] = {}
    added: dict[str, str] = {}
    for name, sources in columns.items():
        if isinstance(sources, str):
            single[name] = sources
            continue
        present = [source for source in sources if source in schema.names]
        if not present:
            raise InputError(
                f"table {table!r}: none of the source columns {list(sources)} (for {name!r}) is there",
                given=schema.names,
                hint=did_you_mean(sources[0], schema.names),
            )
        single[name] = present[0]
        if len(present) > 1:
            single[name] = _unused(" or ".join(present), schema.names)
            added[single[name]] = _first_known(table, name, {part: schema.field(part).type for part in present})
    return single, added


def _first_known(table: str, name: str, kinds: Mapping[str, pa.DataType]) -> str:
    """SQL for the first value that is not null; a blank text is none."""
    families = {_family(kind) for kind in kinds.values()} - {"null"}
    if len(families) > 1:
        raise InputError(
            f"table {table!r}: the source columns of {name!r} hold different kinds of values",
            given=", ".join(f"{source!r} ({kind})" for source, kind in kinds.items()),
            hint="cast one of them in a query",
        )
    values = [quote(source) for source in kinds]
    if families == {"text"}:
        values = [f"case when trim({value}) <> '' then {value} end" for value in values]
    return f"coalesce({', '.join(values)})"


def _family(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "number" if is_integer_like(kind) or pa.types.is_decimal(kind) else str(kind)


def _unused(name: str, present: Sequence[str]) -> str:
    while name in present:
        name += "'"
    return name
