"""The dictionary that lies beside every table: what each column means, in which unit, by which formula.

It is made of the declarations in this folder, and nobody writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attribution.schema.tables.definition import Column, Table, null
from attribution.schema.tables.inputs import TRUTH
from attribution.schema.tables.measures import formula_of, unit_of
from attribution.schema.tables.outputs import OUTPUTS

DICTIONARY = Table(
    "dictionary",
    "table × column written in this folder",
    (
        Column("table", "text", "name of the table, and of its files"),
        Column("grain", "text", "what one row of the table is"),
        Column("question", "text", "what the table answers and no other does"),
        Column("column", "text", "name of the column"),
        Column("type", "text", "id, time, day, text, number, money, count, integer or flag"),
        null("unit", "text", "what its numbers count; null where it holds none"),
        Column("may_be_null", "flag", "whether it may hold nulls"),
        Column("meaning", "text", "what it says"),
        null("formula", "text", "how a metric is worked out; null for what is none"),
    ),
    question="What does each column of these files mean?",
)

_KNOWN = {**OUTPUTS, TRUTH.name: TRUTH, DICTIONARY.name: DICTIONARY}


def dictionary_rows(
    written: Mapping[str, Iterable[str] | None], declared: Mapping[str, Table] | None = None
) -> list[dict[str, str | bool | None]]:
    """Rows of `DICTIONARY`, tables and columns in the order of their declarations.

    Parameters
    ----------
    written : the tables that are there, by name, with the columns that were written; all of them where None
    declared : tables that are not declared in this folder

    Examples
    --------
    >>> (row,) = dictionary_rows({"credit": ["share"]})
    >>> row["grain"], row["type"], row["unit"]
    ('model × channel', 'number', 'share (0 … 1)')
    """
    rows: list[dict[str, str | bool | None]] = []
    tables = _KNOWN if declared is None else {**_KNOWN, **declared}
    for name, columns in written.items():
        table = tables[name]
        names = table.column_names if columns is None else set(columns)
        rows += [_row(table, column) for column in table.columns if column.name in names]
    return rows


def _row(table: Table, column: Column) -> dict[str, str | bool | None]:
    return {
        "table": table.name,
        "grain": table.grain,
        "question": table.question,
        "column": column.name,
        "type": column.type,
        "unit": unit_of(column),
        "may_be_null": column.nullable,
        "meaning": column.meaning,
        "formula": formula_of(column),
    }
