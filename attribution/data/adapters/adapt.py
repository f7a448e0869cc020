"""From a product's raw table to SQL that gives one of ours, by the adapters that come with the package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import pyarrow as pa

from attribution.data.adapters.slots import Columns, NotNestedError, fill, filled_slots, is_empty, missing_slots
from attribution.data.engine import quote
from attribution.errors import InputError, did_you_mean
from attribution.schema.tables import INPUTS

# ---------------------------------------------------------------- the adapters, one TOML file a product

_PACKAGE = "attribution.data.adapters"


@dataclass(frozen=True)
class Export:
    """One raw table of a product, and how it becomes one of ours.

    Attributes
    ----------
    export : the raw table, by the product's own name for it
    columns : canonical name → SQL template over the raw table, see `attribution.data.adapters.slots`
    where : template of the row filter
    time_format, time_zone : how times are written, as in `attribution.schema.experiment.TableSpec`
    note : what to know before relying on it
    """

    export: str
    columns: Mapping[str, str]
    where: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    note: str = ""

    @property
    def templates(self) -> tuple[str, ...]:
        return (*self.columns.values(), *([] if self.where is None else [self.where]))


@dataclass(frozen=True)
class Adapter:
    """One product: where its schema is documented, and the tables that its exports can feed."""

    name: str
    title: str
    schema: str
    tables: Mapping[str, tuple[Export, ...]]

    def exports(self, table: str) -> tuple[Export, ...]:
        """The exports that can feed ``table``, the first that fits is taken.

        Raises
        ------
        InputError
            If there is none.
        """
        if table not in self.tables:
            adapters = [name for name in adapter_names() if table in read_adapter(name).tables]
            raise InputError(
                f"table {table!r}: adapter {self.name!r} ({self.title}) has no such table",
                given=f"adapter = {self.name!r}",
                allowed=f"{', '.join(self.tables)} from this adapter",
                hint=f"adapters for {table!r} are {', '.join(adapters)}" if adapters else None,
            )
        return self.tables[table]


@cache
def adapter_names() -> tuple[str, ...]:
    """Names that ``adapter = "…"`` may have, in alphabetical order.

    Examples
    --------
    >>> "snowplow" in adapter_names()
    True
    """
    entries = (entry.name for entry in files(_PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


@cache
def read_adapter(name: str) -> Adapter:
    """One adapter.

    Raises
    ------
    InputError
        If there is none of this name.

    Examples
    --------
    >>> list(read_adapter("google_ads").tables)
    ['costs']
    """
    if name not in adapter_names():
        raise InputError(
            "unknown adapter", given=repr(name), allowed=adapter_names(), hint=did_you_mean(name, adapter_names())
        )
    document = tomllib.loads((files(_PACKAGE) / f"{name}.toml").read_text(encoding="utf-8"))
    title, schema = document.pop("title"), document.pop("schema")
    tables = {table: tuple(Export(**export) for export in exports) for table, exports in document.items()}
    return Adapter(name, title, schema, tables)


# ---------------------------------------------------------------- one of them applied


@dataclass(frozen=True)
class AdaptedTable:
    """How to read one raw table as one of ours.

    Attributes
    ----------
    expressions : canonical name → SQL over the raw table
    where : the adapter's row filter over the raw table
    time_format, time_zone : how its times are to be read, see `attribution.schema.experiment.TableSpec`
    """

    expressions: Mapping[str, str]
    where: str | None = None
    time_format: str | None = None
    time_zone: str | None = None

    def select(self, raw: str) -> str:
        """The adapted rows of the table or view ``raw``, as SQL."""
        columns = ", ".join(f"{sql} as {quote(name)}" for name, sql in self.expressions.items())
        rows = "" if self.where is None else f" where {self.where}"
        return f"select {columns} from {quote(raw)}{rows}"


def adapt(adapter: str, table: str, schema: pa.Schema, *, columns: Mapping[str, str] | None = None) -> AdaptedTable:
    """SQL that turns a raw export of a product into one of the canonical tables.

    Parameters
    ----------
    adapter : name of the product, see `adapter_names`
    table : the canonical table to feed
    schema : columns and types of the raw table
    columns : the user's own canonical name → source column; they take the place of the adapter's, and a column of
        times that of what the adapter says about times

    Raises
    ------
    InputError
        If there is no such adapter, it cannot feed ``table``, or source columns that it needs are missing.

    Examples
    --------
    >>> schema = pa.schema({"date": pa.string(), "campaign_name": pa.string(), "spend": pa.string()})
    >>> print(adapt("meta_ads", "costs", schema).select("raw_costs"))
    select 'Paid Social' as "channel", "campaign_name" as "campaign", "date" as "day", "spend" as "amount" \
from "raw_costs"
    """
    present = {field.name: field.type for field in schema}
    own = _own_columns(table, columns or {}, present)
    exports = [_without(export, own) for export in read_adapter(adapter).exports(table)]
    try:
        fitting = [export for export in exports if not missing_slots(export.templates, present)]
        if not fitting:
            raise _refusal(adapter, table, exports, present)
        return _fill(table, fitting[0], own, present)
    except NotNestedError as error:
        raise InputError(
            f"table {table!r}, adapter {adapter!r}: source column {error.column!r} must be nested",
            given=str(error.kind),
            allowed="nested columns, as in Parquet files",
            hint="read files of other formats with a query, such as select * from read_json('events.json')",
        ) from None


def _own_columns(table: str, columns: Mapping[str, str], present: Columns) -> dict[str, str]:
    for name, source in columns.items():
        if source not in present:
            raise InputError(
                f"table {table!r}: source column {source!r} (for {name!r}) is missing",
                given=list(present),
                hint=did_you_mean(source, present),
            )
    return {name: quote(source) for name, source in columns.items()}


def _without(export: Export, own: Mapping[str, str]) -> Export:
    return replace(export, columns={name: sql for name, sql in export.columns.items() if name not in own})


def _fill(table: str, export: Export, own: Mapping[str, str], present: Columns) -> AdaptedTable:
    """``export`` as SQL; a column that a table can do without is left out where nothing could fill it."""
    contract = INPUTS.get(table)
    required = contract.required if contract else ()
    expressions = {
        name: fill(template, present)
        for name, template in export.columns.items()
        if name in required or not is_empty(template, present)
    }
    has_filter = export.where is not None and not is_empty(export.where, present)
    where = fill(str(export.where), present) if has_filter else None
    adapted = AdaptedTable({**expressions, **own}, where, export.time_format, export.time_zone)
    own_times = contract is not None and any(
        column.type == "time" and column.name in own for column in contract.columns
    )
    return replace(adapted, time_format=None, time_zone=None) if own_times else adapted


def _refusal(adapter: str, table: str, exports: list[Export], present: Columns) -> InputError:
    """What the export that most of the columns belong to lacks."""
    nearest = max(exports, key=lambda export: len(filled_slots(export.templates, present)))
    slot = missing_slots(nearest.templates, present)[0]
    names = [name.removesuffix("[]") for name in slot.names]
    hints = [hint for name in names if (hint := did_you_mean(name, present))]
    return InputError(
        f"table {table!r}, adapter {adapter!r}: source column {' or '.join(map(repr, names))} is missing",
        given=list(present),
        allowed="; ".join(export.export for export in exports),
        hint=hints[0] if hints else "if it has another name: columns = { canonical = 'source' }",
    )
