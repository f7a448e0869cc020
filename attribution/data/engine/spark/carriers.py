"""What Spark holds a DuckDB type as."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from attribution.data.engine.base import quote
from attribution.data.engine.duckdb import DuckDBEngine


@dataclass(frozen=True)
class Carrier:
    """How Spark holds values of one DuckDB type.

    Attributes
    ----------
    type : the DuckDB type
    spark : the Spark type
    kind : what expressions that Spark may compute itself are told apart by; None where it may not
    storing, restoring : DuckDB SQL from a value to what Spark holds and back, ``{}`` for the value
    """

    type: str
    spark: str
    kind: str | None
    storing: str = "{}"
    restoring: str = "{}"

    def store(self, sql: str) -> str:
        """DuckDB SQL for what Spark holds in place of ``sql``."""
        return self.storing.format(sql)

    def restore(self, sql: str) -> str:
        """DuckDB SQL for the value that ``sql`` stands for."""
        return self.restoring.format(sql)


_SAME = {
    "BOOLEAN": ("boolean", "boolean"),
    "TINYINT": ("tinyint", "integer"),
    "SMALLINT": ("smallint", "integer"),
    "INTEGER": ("int", "integer"),
    "BIGINT": ("bigint", "integer"),
    "FLOAT": ("float", None),
    "DOUBLE": ("double", "double"),
    "VARCHAR": ("string", "text"),
    "DATE": ("date", "date"),
    "TIMESTAMP": ("timestamp_ntz", "timestamp"),
    "TIMESTAMP WITH TIME ZONE": ("timestamp", "timestamptz"),
    "BLOB": ("binary", None),
}
_WIDER = {
    "UTINYINT": "smallint",
    "USMALLINT": "int",
    "UINTEGER": "bigint",
    "UBIGINT": "decimal(20,0)",
    "HUGEINT": "decimal(38,0)",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def carrier(type: str) -> Carrier:
    """How Spark holds a DuckDB type; as text where it has nothing like it.

    Parameters
    ----------
    type : as DuckDB's ``describe`` spells it

    Examples
    --------
    >>> carrier("UBIGINT").spark, carrier("TIMESTAMP_NS").spark, carrier("VARCHAR[]").spark, carrier("TIME").spark
    ('decimal(20,0)', 'bigint', 'array<string>', 'string')
    >>> carrier("TIMESTAMP_NS").store("x"), carrier("TIMESTAMP_NS").restore("x")
    ('epoch_ns(x)', 'make_timestamp_ns(x)')
    """
    if type in _SAME:
        spark, kind = _SAME[type]
        return Carrier(type, spark, kind)
    if type in _WIDER:
        return Carrier(type, _WIDER[type], "wide", f"{{}}::{_duckdb(_WIDER[type])}", f"{{}}::{type}")
    if _DECIMAL.fullmatch(type):
        return Carrier(type, type.lower(), None)
    if type.endswith("[]") and type[:-2] in _SAME:
        return Carrier(type, f"array<{_SAME[type[:-2]][0]}>", None)
    if type == "TIMESTAMP_NS":
        return Carrier(type, "bigint", None, "epoch_ns({})", "make_timestamp_ns({})")
    if type in ("TIMESTAMP_S", "TIMESTAMP_MS"):
        return Carrier(type, "timestamp_ntz", None, "{}::TIMESTAMP", f"{{}}::{type}")
    if type == '"NULL"':
        return Carrier(type, "string", "null", "{}::VARCHAR", "null")
    if type.startswith("ENUM("):
        return Carrier(type, "string", "text", "{}::VARCHAR")
    # Braces of a type's own would be taken for the place of the value.
    name = type.replace("{", "{{").replace("}", "}}")
    return Carrier(type, "string", None, "{}::VARCHAR", f"{{}}::{name}")


def _duckdb(spark: str) -> str:
    return {"tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER"}.get(spark, spark.upper())


Columns = dict[str, Carrier]
"""The columns of a table by name, in their order."""


def store_list(columns: Columns) -> str:
    """DuckDB's select list for what Spark holds of ``columns``."""
    return ", ".join(f"{held.store(quote(name))} as {quote(name)}" for name, held in columns.items())


def restore_list(columns: Columns) -> str:
    """DuckDB's select list from what Spark holds to ``columns`` themselves."""
    return ", ".join(f"{held.restore(quote(name))} as {quote(name)}" for name, held in columns.items())


def describe_columns(engine: DuckDBEngine, sql: str, *, table: str | None = None) -> Columns:
    """Columns of a select, as a DuckDB engine sees them."""
    columns = engine.query(f"select column_name, column_type from (describe {sql})", table=table)
    return {row["column_name"]: carrier(row["column_type"]) for row in columns.to_pylist()}


def spark_name(name: str) -> str:
    """An identifier in Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def spark_schema(columns: Columns) -> str:
    """The columns as Spark's DDL."""
    return ", ".join(f"{spark_name(name)} {held.spark}" for name, held in columns.items())


def arrow_type(held: Carrier) -> pa.DataType:
    """The Arrow type that Spark exchanges a column as."""
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import DataType

    return to_arrow_type(DataType.fromDDL(held.spark), timezone="UTC")


def arrow_schema(columns: Columns) -> pa.Schema:
    """The Arrow schema that Spark exchanges the columns as."""
    return pa.schema([(name, arrow_type(held)) for name, held in columns.items()])
