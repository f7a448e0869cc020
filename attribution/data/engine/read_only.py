"""What SQL of a user may do: read. No file is written, no extension installed, no address reached but a documented one.

The statement is judged by DuckDB's own parser, as the tree that it makes of it: a statement's kind alone does not tell,
since a common table expression may hold an INSERT or a COPY. The connection is closed against the rest by its settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from attribution.data.engine.remote import STORES
from attribution.errors import InputError, did_you_mean, shorten

SETTINGS = (
    "set autoinstall_known_extensions = false; set autoload_known_extensions = false; "
    "set allow_community_extensions = false; set allow_persistent_secrets = false; "
    # Whether rows keep the order of their file says nothing of what may be read, and is asked for now and then.
    "set allowed_configs = ['preserve_insertion_order']; set lock_configuration = true"
)
"""Close a connection: what is not built in is not loaded, so no address is known but those shown to it as files."""

_READS = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")

_READERS = (
    *("read_csv", "read_csv_auto", "sniff_csv", "read_parquet", "parquet_scan", "parquet_schema", "parquet_metadata"),
    *("read_json", "read_json_auto", "read_json_objects", "read_json_objects_auto", "json_each", "json_tree"),
    *("read_ndjson", "read_ndjson_auto", "read_ndjson_objects", "read_text", "read_blob", "glob"),
    *("unnest", "range", "generate_series", "repeat", "repeat_row", "pg_timezone_names"),
)
"""Table functions that read or count; others write, run SQL of their own, or look into the process."""

_REFUSED_FUNCTIONS = ("write_log", "nextval", "setval", "setseed", "sleep_ms", "getenv", "current_setting")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def check_query(name: str, sql: str) -> None:
    """Refuse what is not one SELECT that only reads.

    Raises
    ------
    InputError
        Naming the table ``name`` and what is wrong.
    """
    _check(f"table {name!r}, query", sql, _tree(f"table {name!r}, query", sql, sql))


def check_condition(name: str, where: str) -> None:
    """Refuse what is not one condition on rows that only reads.

    Raises
    ------
    InputError
        Naming the table ``name`` and what is wrong.
    """
    origin = f"table {name!r}, where"
    tree, always_true = (_tree(origin, where, add_condition("select 1", each)) for each in (where, "true"))
    _check(origin, where, tree)
    if not where.strip() or _without_condition(tree) != _without_condition(always_true):
        raise InputError(
            f"{origin}: exactly one condition is needed", given=repr(where), hint="for example: channel <> 'test'"
        )


def check_expression(name: str, column: str, expression: str) -> None:
    """Refuse what is not one expression on the columns of a row that only reads.

    Raises
    ------
    InputError
        Naming the table ``name``, the ``column`` that it is for, and what is wrong.
    """
    origin = f"table {name!r}, columns.{column}"
    tree, a_number = (_tree(origin, expression, f"select (\n{each}\n) from t") for each in (expression, "1"))
    _check(origin, expression, tree)
    listed, frame = _split_selected(tree)
    if len(listed) != 1 or listed[0].get("class") == "STAR" or frame != _split_selected(a_number)[1]:
        raise InputError(
            f"{origin}: exactly one expression is needed", given=repr(expression), hint="for example: cost / 100"
        )


def add_condition(sql: str, where: str) -> str:
    """The select ``sql`` with a condition, which may end in a comment."""
    return f"{sql} where (\n{where}\n)"


def reads_tables(where: str) -> bool:
    """Whether a condition reads any table besides the one whose rows it filters.

    Examples
    --------
    >>> reads_tables("channel <> 'test'"), reads_tables("user_id not in (select id from 'robots.csv')")
    (False, True)
    """
    tree = _tree("where", where, add_condition("select 1", where))
    return any(node.get("type") in ("BASE_TABLE", "TABLE_FUNCTION", "SHOW_REF") for node in _nodes(tree))


def _tree(origin: str, text: str, sql: str) -> Any:
    """What DuckDB's parser makes of one SELECT."""
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{origin}: the text has an incomplete character, so it is not valid UTF-8", given=ascii(text)
        ) from None
    connection = duckdb.connect()
    try:
        kinds = [statement.type for statement in connection.extract_statements(sql)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise InputError(f"{origin}: exactly one SELECT is needed", given=repr(text))
        (written,) = connection.execute("select json_serialize_sql($1)", [sql]).fetchone() or ("",)
        parsed = json.loads(written)
    except duckdb.Error as error:
        reason = " ".join(re.split(r"LINE \d+:", str(error))[0].split())
        raise InputError(f"{origin}: {shorten(reason, 500)}", given=repr(text)) from None
    except RecursionError:
        raise InputError(f"{origin}: expressions are nested too deeply", given=repr(text)) from None
    finally:
        connection.close()
    if parsed["error"]:
        raise InputError(f"{origin}: {parsed['error_message']}", given=repr(text))
    return parsed["statements"]


def _check(origin: str, sql: str, tree: Any) -> None:
    """Refuse a tree in which anything does more than read."""
    for node in _nodes(tree):
        kind = str(node.get("type"))
        if kind.endswith("_NODE") and kind not in _READS:
            problem = f"{origin}: {kind.split('_')[0]} is not allowed: use only SELECT, also inside WITH"
            raise InputError(problem, given=repr(sql))
        if kind == "BASE_TABLE":
            _check_address(origin, str(node.get("table_name")))
        if kind == "TABLE_FUNCTION":
            called = str(node["function"]["function_name"]).lower()
            if called not in _READERS:
                hint = did_you_mean(called, _READERS)
                raise InputError(
                    f"{origin}: table function {called} is not allowed: only functions that read files are",
                    allowed=_READERS,
                    hint=hint,
                )
            for inner in _nodes(node["function"]):
                for value in inner.values():
                    _check_address(origin, str(value))
        if kind == "FUNCTION" and str(node.get("function_name")).lower() in _REFUSED_FUNCTIONS:
            raise InputError(
                f"{origin}: function {node['function_name']} is not allowed: it does more than compute a value",
                given=repr(sql),
            )


def _check_address(origin: str, address: str) -> None:
    match = _SCHEME.match(address)
    if match is not None and match[1].lower() not in (*STORES, "file"):
        raise InputError(
            f"{origin}: addresses of this kind cannot be read",
            given=repr(address),
            allowed=[f"{scheme}://" for scheme in STORES],
            hint="download the file first, and give its path",
        )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a tree, however deep."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _split_selected(tree: Any) -> tuple[list[dict[str, Any]], Any]:
    """What a select lists, and all the rest of it."""
    (statement,) = tree
    rest = {name: part for name, part in statement["node"].items() if name not in ("select_list", "from_table")}
    source = {name: part for name, part in statement["node"]["from_table"].items() if not name.startswith("query_loc")}
    return statement["node"]["select_list"], (rest, source)


def _without_condition(tree: Any) -> Any:
    """The select around a condition."""
    (statement,) = tree
    return {name: part for name, part in statement["node"].items() if name not in ("where_clause", "query_location")}
