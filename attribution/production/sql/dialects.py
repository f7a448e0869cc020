"""One SELECT, written in DuckDB's SQL, in the words of other databases."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attribution.errors import InputError, did_you_mean

DIALECTS = {
    "duckdb": "DuckDB 2",
    "spark": "Spark 4; TIMESTAMP columns, or TIMESTAMP_NTZ where the session's time zone is UTC",
    "bigquery": "BigQuery; not tested there",
    "snowflake": "Snowflake; not tested there",
    "postgres": "PostgreSQL 14 and later; the database is encoded in UTF-8",
}

MICROS = "instant_us"
"""Function of a time: microseconds since 1970 in UTC."""

ORDERED = "by_code_point"
"""Function of a text: the same, compared code point by code point."""

_MICROS = {
    "duckdb": "epoch_us({})",
    "spark": "unix_micros(cast({} as timestamp))",
    "bigquery": "unix_micros(cast({} as timestamp))",
    "snowflake": "date_part(epoch_microsecond, {})",
    "postgres": "cast(extract(epoch from {}) * 1000000 as bigint)",
}


_PLAIN = re.compile("[a-z_][a-z0-9_]*")


def _nulls_first(dialect: str, descending: bool) -> bool:
    """Where nulls stand unless something is said."""
    return {"duckdb": False, "spark": not descending, "bigquery": not descending}.get(dialect, descending)


def check_dialect(dialect: str) -> None:
    """Raise `InputError` unless there is such a dialect."""
    if dialect not in DIALECTS:
        raise InputError(
            "--sql: unknown dialect", given=repr(dialect), allowed=list(DIALECTS), hint=did_you_mean(dialect, DIALECTS)
        )


def written(sql: str, dialect: str, tables: Mapping[str, str] | None = None) -> str:
    """``sql`` in ``dialect``, laid out over several lines.

    Parameters
    ----------
    sql : one SELECT of DuckDB, with the two functions named above
    dialect : one of `DIALECTS`
    tables : names of tables in ``sql``, and what they are called in the database

    Raises
    ------
    InputError
        If there is no such dialect, ``sql`` cannot be read, or sqlglot is not installed.

    Examples
    --------
    >>> print(written("select by_code_point(a) as c, instant_us(b) as t from x", "postgres", {"x": "log.clicks"}))
    SELECT
      a COLLATE "C" AS c,
      CAST(EXTRACT(EPOCH FROM b) * 1000000 AS BIGINT) AS t
    FROM log.clicks
    """
    check_dialect(dialect)
    try:
        import sqlglot
        from sqlglot import exp
    except ImportError:
        raise InputError(
            "--sql needs the package sqlglot, and it is not installed", hint="pip install 'journey-attribution[sql]'"
        ) from None

    def in_dialect(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Ordered):
            # No key is null, so that nothing need be said of nulls.
            node.set("nulls_first", _nulls_first(dialect, bool(node.args.get("desc"))))
        if isinstance(node, exp.Identifier) and dialect == "snowflake" and _PLAIN.fullmatch(node.name):
            # Names are in upper case there, unless they are quoted.
            node.set("quoted", False)
        if isinstance(node, exp.Table) and not node.db and node.name in (tables or {}):
            table = exp.to_table((tables or {})[node.name], dialect=dialect)
            return exp.alias_(table, node.alias, table=True) if node.alias else table
        if not isinstance(node, exp.Anonymous) or node.name not in (MICROS, ORDERED):
            return node
        inner: exp.Expr = node.expressions[0].transform(in_dialect)
        if node.name == MICROS:
            return sqlglot.parse_one(_MICROS[dialect].format(inner.sql(dialect=dialect)), read=dialect)
        if dialect != "postgres":
            return inner
        # Elsewhere texts are compared so anyway; here as the language of the database has it.
        return exp.Collate(this=inner, expression=exp.to_identifier("C", quoted=True))

    try:
        tree = sqlglot.parse_one(sql, read="duckdb").transform(in_dialect)
    except sqlglot.errors.SqlglotError as error:
        raise InputError(f"this cannot be said in SQL: {str(error).splitlines()[0]}") from None
    return str(tree.sql(dialect=dialect, pretty=True))
