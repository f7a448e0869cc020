"""Excel files as tables: a sheet's rows below its header, every column of one type where its cells are."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pyarrow as pa

from attribution.data.engine import RemotePath, open_file
from attribution.data.loading.schema_drift import Layout, kind_of
from attribution.errors import InputError, did_you_mean

_EXTRA = "pip install 'journey-attribution[excel]', or save the sheet as CSV"


def read_workbooks(
    table: str, paths: Sequence[Path | RemotePath], *, sheet: str | None = None, skip_rows: int = 0
) -> tuple[pa.Table, list[Layout]]:
    """The rows of one sheet of every file, and the layout of each.

    Parameters
    ----------
    table : name of the table, for messages
    paths : the files, with the ending ``.xlsx`` or ``.xlsm``
    sheet : name of the sheet; the first unless given
    skip_rows : rows above the header

    Raises
    ------
    InputError
        If a file cannot be read, has no such sheet or no header, or openpyxl is not installed.
    """
    tables = [_read_workbook(table, path, sheet, skip_rows) for path in paths]
    layouts = [
        Layout(path, {field.name: kind_of(field.type) for field in of.schema})
        for path, of in zip(paths, tables, strict=True)
    ]
    try:
        return pa.concat_tables(tables, promote_options="permissive"), layouts
    except pa.ArrowException:
        # Numbers in one file and texts in another: as texts they are of one kind, as those of CSV files are.
        return pa.concat_tables([_as_texts(of) for of in tables], promote_options="default"), layouts


def _read_workbook(table: str, path: Path | RemotePath, sheet: str | None, skip_rows: int) -> pa.Table:
    try:
        import openpyxl
    except ImportError:
        raise InputError(f"table {table!r}: Excel files need openpyxl", given=path.name, hint=_EXTRA) from None
    try:
        workbook = openpyxl.load_workbook(open_file(path), read_only=True, data_only=True)
    except (OSError, BadZipFile, KeyError, ValueError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise InputError(f"table {table!r}: {path} is not a readable Excel file: {error}") from None
    try:
        names = workbook.sheetnames
        if sheet is not None and sheet not in names:
            raise InputError(
                f"table {table!r}: {path} has no sheet {sheet!r}", allowed=names, hint=did_you_mean(sheet, names)
            )
        cells = workbook[names[0] if sheet is None else sheet].iter_rows(min_row=skip_rows + 1, values_only=True)
        return _to_table(table, path, cells, skip_rows)
    finally:
        workbook.close()


def _to_table(table: str, path: Path | RemotePath, cells: Iterator[tuple[Any, ...]], skip_rows: int) -> pa.Table:
    header, *rows = [_without_end(row) for row in cells] or [()]
    names = [f"column{index}" if name is None else str(name) for index, name in enumerate(header)]
    if not names or max(map(len, rows), default=0) > len(names):
        raise InputError(
            f"table {table!r}: row {skip_rows + 1} of the sheet in {path} is no header",
            given=names,
            hint="set skip_rows to the number of rows above the header",
        )
    if len({name.lower() for name in names}) < len(names):
        raise InputError(f"table {table!r}: {path} names a column twice", given=names)
    whole = [(*row, *[None] * (len(names) - len(row))) for row in rows if row]
    return pa.table([_to_array([row[index] for row in whole]) for index in range(len(names))], names=names)


def _without_end(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row without the empty cells at its end."""
    while row and row[-1] is None:
        row = row[:-1]
    return row


def _to_array(values: list[Any]) -> pa.Array:
    """Cells of one column: numbers, times, flags, or else texts as a CSV has them."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pa.array(values, pa.float64() if float in kinds else pa.int64() if kinds else pa.null())
    if kinds in ({dt.datetime}, {dt.date}, {bool}):
        return pa.array(values)
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ") if value.time() != dt.time() else value.date().isoformat()
    return "" if isinstance(value, float) and math.isnan(value) else str(value)


def _as_texts(table: pa.Table) -> pa.Table:
    columns = [pa.array([None if v is None else _text(v) for v in column.to_pylist()]) for column in table.columns]
    return pa.table([column.cast(pa.string()) for column in columns], names=table.column_names)
