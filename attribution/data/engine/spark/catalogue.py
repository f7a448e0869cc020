"""What the engine's tables are like, told by a DuckDB without rows, and the functions that Spark has from us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from attribution.data.engine.base import quote
from attribution.data.engine.duckdb import DuckDBEngine
from attribution.data.engine.spark import tasks
from attribution.data.engine.spark.carriers import Columns, arrow_type, describe_columns, restore_list
from attribution.data.engine.spark.dialect import parse, reads_tables, to_spark
from attribution.data.engine.spark.session import without_notices

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Catalogue:
    """Every table of the engine, empty, in DuckDB.

    DuckDB binds each statement before Spark sees it: names that are not there are refused in its words, and its
    types are those that results get.
    """

    def __init__(self, session: SparkSession) -> None:
        self.empty = DuckDBEngine(threads=1)
        self._session = session
        self._plain: dict[str, str] = {}
        self._enums: dict[str, tuple[str, ...]] = {}
        self._columns: dict[str, Columns] = {}
        self._functions: dict[tuple[object, ...], str] = {}

    def columns(self, sql: str, *, table: str | None = None) -> Columns:
        """Columns of a select in DuckDB's SQL."""
        if sql not in self._columns:
            self._columns[sql] = describe_columns(self.empty, sql, table=table)
        return self._columns[sql]

    def add_table(self, name: str, columns: Columns) -> None:
        """Make a table known by its columns."""
        nulls = ", ".join(f"null::{held.type} as {quote(column)}" for column, held in columns.items())
        self._columns.clear()
        self.empty.view(name, f"select {nulls} where false")

    def add_enum(self, name: str, values: Sequence[str]) -> None:
        """Make an enum known."""
        self._columns.clear()
        # The translation cannot read every name that may be quoted.
        plain = self._plain.setdefault(name, f"enum_{len(self._plain)}")
        self.empty.create_enum(name, values)
        self.empty.create_enum(plain, values)
        self._enums[plain] = tuple(values)

    def enum(self, plain: str) -> tuple[str, ...]:
        """Values of an enum by its plain name."""
        return self._enums[plain]

    def to_spark(self, sql: str) -> str | None:
        """A select in DuckDB's SQL, which it has bound without an error, in Spark's; None if it reads no table."""
        for name, plain in self._plain.items():
            sql = sql.replace(f"as {quote(name)})", f"as {plain})")
        tree = parse(sql)
        return to_spark(tree, self) if reads_tables(tree) else None

    def function_name(self, sql: str, columns: Columns) -> str:
        """Name of a Spark function that computes DuckDB's expression ``sql`` of the columns ``columns``."""
        nulls = ", ".join(f"null::{held.type} as {quote(name)}" for name, held in columns.items()) or "1"
        (result,) = self.columns(f"select {sql} as value from (select {nulls})").values()
        source = f"(select {restore_list(columns)} from batch)" if columns else "batch"
        select = f"select {result.store('value')} from (select {sql} as value from {source})"
        key = (select, *((name, held.type) for name, held in columns.items()))
        if key not in self._functions:
            function = tasks.build_compute(select, list(columns) or ["nothing"], arrow_type(result))
            self._functions[key] = self._register(function, result.spark)
        return self._functions[key]

    def position(self, values: tuple[str, ...]) -> str:
        """Name of a Spark function that gives the place of a text among ``values``, null if it is not there."""
        if values not in self._functions:
            self._functions[values] = self._register(tasks.position(values), "int")
        return self._functions[values]

    def _register(self, function: Callable[..., pa.Array], result: str) -> str:
        from pyspark.sql.pandas.functions import arrow_udf

        name = f"duckdb_{len(self._functions)}"
        of_arrow: Any = arrow_udf  # typed for functions whose kind is told beside them
        with without_notices():
            self._session.udf.register(name, of_arrow(function, result))
        return name
