"""One SELECT in DuckDB's SQL, translated for other databases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from attribution.errors import InputError, did_you_mean
from attribution.production.sql.times import MICROS, MOMENT, micros_sql, moment_sql

DIALECTS = {
    "duckdb": "DuckDB 2",
    "spark": "Spark 4",
    "bigquery": "BigQuery; the SQL is not tested on it",
    "snowflake": "Snowflake; the SQL is not tested on it",
    "postgres": "PostgreSQL 14 and later; the database is encoded in UTF-8",
}

ORDERED = "by_code_point"
"""Function of a text: the same, compared code point by code point."""

_PLAIN = re.compile("[a-z_][a-z0-9_]*")


def _nulls_first(dialect: str, descending: bool) -> bool:
    """Whether nulls come first by default."""
    return {"duckdb": False, "spark": not descending, "bigquery": not descending}.get(dialect, descending)


def check_dialect(dialect: str) -> None:
    """Raise `InputError` unless there is such a dialect."""
    if dialect not in DIALECTS:
        raise InputError(
            "there is no such SQL dialect",
            given=repr(dialect),
            allowed=list(DIALECTS),
            hint=did_you_mean(dialect, DIALECTS),
        )


def translate(sql: str, dialect: str, tables: Mapping[str, str] | None = None) -> str:
    """``sql`` in ``dialect``, formatted over several lines.

    Parameters
    ----------
    sql : one SELECT of DuckDB, with `ORDERED` and the functions of `attribution.production.sql.times`
    dialect : one of `DIALECTS`
    tables : names of tables in ``sql``, and their names in the database

    Raises
    ------
    InputError
        If there is no such dialect, ``sql`` cannot be read, or sqlglot is not installed.

    Examples
    --------
    >>> print(translate("select by_code_point(a) as c, instant_us(b) as t from x", "bigquery", {"x": "log.clicks"}))
    SELECT
      a AS c,
      unix_micros(CAST(b AS TIMESTAMP)) AS t
    FROM log.clicks
    """
    check_dialect(dialect)
    sqlglot = _sqlglot()
    exp = sqlglot.exp

    def in_dialect(node: Any) -> Any:
        if isinstance(node, exp.Ordered):
            # No key is null, so that the order of nulls does not matter.
            node.set("nulls_first", _nulls_first(dialect, bool(node.args.get("desc"))))
        if isinstance(node, exp.Identifier) and dialect == "snowflake" and _PLAIN.fullmatch(node.name):
            # Names are in upper case there, unless they are quoted.
            node.set("quoted", False)
        if isinstance(node, exp.Table) and not node.db and node.name in (tables or {}):
            table = exp.to_table((tables or {})[node.name], dialect=dialect)
            return exp.alias_(table, node.alias, table=True) if node.alias else table
        if not isinstance(node, exp.Anonymous) or node.name not in (MICROS, MOMENT, ORDERED):
            return node
        inner: Any = node.expressions[0].transform(in_dialect)
        if node.name == MICROS:
            zone = node.expressions[1].name if len(node.expressions) > 1 else None
            return sqlglot.parse_one(micros_sql(dialect, inner.sql(dialect=dialect), zone), read=dialect)
        if node.name == MOMENT:
            return sqlglot.parse_one(moment_sql(dialect, inner.sql(dialect=dialect)), read=dialect)
        if dialect != "postgres":
            return inner
        # Other databases compare code points anyway; this one follows its locale.
        return exp.Collate(this=inner, expression=exp.to_identifier("C", quoted=True))

    try:
        tree = sqlglot.parse_one(sql, read="duckdb").transform(in_dialect)
    except sqlglot.errors.SqlglotError as error:
        raise InputError(f"this cannot be exported to SQL: {str(error).splitlines()[0]}") from None
    return str(tree.sql(dialect=dialect, pretty=True))


class BoundExpression(NamedTuple):
    """An expression in terms of the columns of a SELECT, and the names it used for them."""

    sql: str
    names: frozenset[str]


JOURNEY = "journey"
"""The key by which a window of a model's expression is partitioned."""


def bind_columns(expression: str, columns: Mapping[str, str], journey: tuple[str, ...]) -> BoundExpression:
    """A model's ``weight_sql`` in terms of the columns of a SELECT.

    Parameters
    ----------
    expression : see `attribution.AttributionModel.weight_sql`
    columns : the column of the SELECT for each name in it; ``table.name`` for a name of a table
    journey : columns of the SELECT that identify a journey

    Raises
    ------
    InputError
        If it is not an expression, or names a column that does not exist.

    Examples
    --------
    >>> bind_columns("0.5 / count(*) over (partition by journey)", {}, ("customer_id", "nth")).sql
    "CAST('0.5' AS DOUBLE) / COUNT(*) OVER (PARTITION BY customer_id, nth)"
    """
    sqlglot = _sqlglot()
    exp = sqlglot.exp
    names: set[str] = set()

    def column(node: Any) -> Any:
        table = f"{node.table.lower()}." if node.table else ""
        name = f"{table}{node.name}"
        if name not in columns:
            name = f"{table}{node.name.lower()}"
        if name not in columns:
            raise InputError(
                f"weight_sql names the column {node.sql(dialect='duckdb')}, which does not exist",
                given=expression,
                allowed=[JOURNEY, *columns],
                hint=did_you_mean(name, columns),
            )
        names.add(name)
        return exp.column(exp.to_identifier(columns[name], quoted=not _PLAIN.fullmatch(columns[name])))

    def in_columns(node: Any) -> Any:
        if isinstance(node, exp.Window):
            keys = node.args.get("partition_by") or []
            by_journey = [key for key in keys if isinstance(key, exp.Column) and key.sql().lower() == JOURNEY]
            if not by_journey:
                raise InputError(
                    "weight_sql has a window over more than one journey",
                    given=node.sql(dialect="duckdb"),
                    allowed="over (partition by journey …)",
                )
            further = [key for key in keys if key not in by_journey]
            node.set("partition_by", [*(exp.column(name, table=_OURS) for name in journey), *further])
        if isinstance(node, exp.Column):
            return exp.column(node.name) if node.table == _OURS else column(node)
        if isinstance(node, exp.Literal) and not node.is_string and not node.name.isdigit():
            # To the last bit in every database.
            return sqlglot.parse_one(f"cast('{float(node.name)!r}' as double)", read="duckdb")
        return node

    problem = "weight_sql must be one SQL expression in DuckDB's dialect"
    try:
        tree = sqlglot.parse_one(f"select ({expression})", read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise InputError(problem, given=expression, hint=str(error).splitlines()[0]) from None
    alone = isinstance(tree, exp.Select) and len(tree.expressions) == 1 and isinstance(tree.expressions[0], exp.Paren)
    if not alone or len(list(tree.find_all(exp.Query, exp.Table, exp.Star))) > 1 + len(list(tree.find_all(exp.Count))):
        raise InputError(problem, given=expression, allowed="an expression without SELECT and tables")
    inner = tree.expressions[0].this
    if isinstance(inner, exp.Predicate | exp.Connector | exp.Not):
        raise InputError(
            "weight_sql must be a number, not a condition",
            given=expression,
            hint="write: case when … then 1 else 0 end",
        )
    return BoundExpression(str(inner.transform(in_columns).sql(dialect="duckdb")), frozenset(names))


_OURS = "journey_of_select"
"""Marks columns that stand for a journey already."""


def _sqlglot() -> ModuleType:
    try:
        import sqlglot
    except ImportError:
        raise InputError(
            "the SQL export needs the package sqlglot, which is not installed",
            hint="pip install 'journey-attribution[sql]'",
        ) from None
    return sqlglot
