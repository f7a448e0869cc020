"""The adapters that come with the package: one TOML file a product, read when first asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from attribution.errors import InputError, did_you_mean

_PACKAGE = "attribution.data.adapters"


@dataclass(frozen=True)
class Export:
    """One raw table of a product, and how it becomes one of ours.

    Attributes
    ----------
    export : the raw table, by the product's own name for it
    columns : canonical name → SQL template over the raw table, see `attribution.data.adapters.template`
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
            others = [name for name in adapter_names() if table in read_adapter(name).tables]
            raise InputError(
                f"table {table!r}: adapter {self.name!r} ({self.title}) cannot feed it",
                given=f"adapter = {self.name!r}",
                allowed=f"{', '.join(self.tables)} from this adapter",
                hint=f"adapters for {table!r} are {', '.join(others)}" if others else None,
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
