"""How one input table is read: the ``[tables.NAME]`` parts of an experiment."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from attribution.schema.experiment.settings import Settings


class NullTexts(Settings):
    """Which texts of a table are read as null, beside those of the list that the package has.

    Parameters
    ----------
    keep : list of texts
        Of that list, but names here: a campaign that is called None.
    add : list of texts
        Of your own, such as ``test``. In any case of letters.
    """

    keep: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    add: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class TableSpec(Settings):
    """Where one input table comes from and how its columns are named.

    Parameters
    ----------
    adapter : str
        The product whose export this is, such as ``ga4``; it knows the columns, times and units.
    source : path, glob, list of paths, DataFrame or Arrow table
        CSV, Parquet, JSON (lines, or one array) or Excel, by ending.
    query : str
        A DuckDB query in place of ``source``.
    columns : mapping
        Canonical name = source column, or SQL on source columns (``"cost / 100"``); with it, only the mapped columns
        are read. Several source columns (``["channel", "chan"]``) mean the first of those present that is not null;
        files may lack some of them.
    where : str
        Row filter, SQL on the source's own column names.
    time_format : str
        How to read text times (strptime), or ``epoch_s``, ``epoch_ms``, ``epoch_us`` for integers that count
        from 1970.
    time_zone : str
        IANA zone of times without an offset; UTC unless set.
    separator : str
        Between the channels of a path (paths table only).
    null_texts : NullTexts
        Which texts are read as null: ``keep`` those that are names here, ``add`` your own.
    decimal : ``.`` or ``,``
        The decimal mark of numbers written as text; a point unless ``thousands`` is one.
    thousands : ``,``, ``.``, ``'`` or a blank
        What separates thousands in numbers written as text; nothing unless set.
    skip_rows : int ≥ 1
        Lines above the header, such as the title of a downloaded report (CSV and Excel).
    encoding : str
        Of CSV and JSON files, such as ``utf-16``, ``latin-1``, ``cp1252``; UTF-8 unless set.
    sheet : str
        Which sheet of an Excel file; the first unless set.
    same_day : ``counts``
        Of conversions and stages with a day in place of a time: touchpoints of that day come before. Such a day
        counts as its last moment.
    same_id : ``earliest`` or ``sum``
        Of conversions with one ``conversion_id``: the earliest is kept, which is said where nothing is set; or they
        are items of one order, whose values add up.
    negative : ``net``
        Negative values are refunds of an earlier conversion; negative amounts of costs reduce the other costs of their
        channel. Both are refused unless this is set.

    Raises
    ------
    InputError
        If neither ``source`` nor ``query`` is given, or both, or keys contradict each other.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> orders = pd.DataFrame({"user": ["a", "b"], "paid": ["03/01/2024", "04/01/2024"], "state": ["ok", "refunded"]})
    >>> spec = at.TableSpec(source=orders, columns={"customer_id": "user", "converted_at": "paid"},
    ...                     where="state = 'ok'", time_format="%d/%m/%Y")
    >>> at.load_sources(conversions=spec).tables["conversions"].rows
    1
    """

    adapter: str | None = None
    source: Any = None
    query: str | None = None
    columns: dict[str, str | tuple[str, ...]] | None = None
    where: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    separator: str = Field(default=">", min_length=1)
    null_texts: NullTexts = NullTexts()
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", " ", "'"] | None = None
    skip_rows: Annotated[int, Field(ge=1, strict=True)] | None = None
    encoding: str | None = None
    sheet: Annotated[str, Field(min_length=1)] | None = None
    same_day: Literal["counts"] | None = None
    same_id: Literal["earliest", "sum"] | None = None
    negative: Literal["net"] | None = None

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            is_text = value is None or codecs.lookup(value)._is_text_encoding
        except LookupError:
            is_text = False
        if not is_text:
            raise ValueError("must be an encoding such as utf-16, latin-1, cp1252, gbk or shift_jis")
        return value

    @field_validator("columns")
    @classmethod
    def _names_once(cls, value: dict[str, str | tuple[str, ...]] | None) -> dict[str, str | tuple[str, ...]] | None:
        for name, source in (value or {}).items():
            if not isinstance(source, str) and (not source or len(set(source)) < len(source)):
                raise ValueError(f"{name} needs one or more different source columns")
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> TableSpec:
        if (self.source is None) == (self.query is None):
            raise ValueError("needs either 'source' or 'query', and not both")
        if self.query is not None and self.adapter is None and (self.columns or self.where):
            raise ValueError("a query names its columns and filters its rows itself: drop 'columns' and 'where'")
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> TableSpec:
        if self.decimal is not None and self.thousands == self.decimal:
            raise ValueError("decimal and thousands must be different marks")
        return self

    @property
    def decimal_mark(self) -> str:
        """What ``decimal`` says, or follows from ``thousands``."""
        return self.decimal or ("," if self.thousands == "." else ".")

    @property
    def single_columns(self) -> dict[str, str]:
        """``columns`` with one source column each: all of them, once several have been merged."""
        return {name: source for name, source in (self.columns or {}).items() if isinstance(source, str)}
