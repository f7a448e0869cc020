"""Which columns files have, and which are renamed, missing or of another type in some files of one table."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.data.engine import Files, RemotePath, open_file, open_stream
from attribution.data.loading.findings import Finding, listed
from attribution.errors import InputError

# ---------------------------------------------------------------- which columns a file has

_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1 << 20
_JSON_LINES = 1_000
_BETWEEN = (" ", "\t", "\r", "\n", ",")
"""What may stand between two values of a JSON array."""

_TITLES = 20
"""Lines at the beginning of a CSV among which its header is looked for."""


@dataclass(frozen=True)
class Layout:
    """The columns of one file in their order, and what kind of value each holds.

    A kind is ``number``, ``text``, ``flag``, ``day``, ``time``, ``time with zone`` or another word for a type
    that no column can use; it is empty where the file does not say, as in CSV. ``rare`` are keys of JSON that
    fewer than half of the lines have: another file may lack them by chance.
    """

    path: Path | RemotePath
    columns: Mapping[str, str]
    delimiter: str = ","
    rare: frozenset[str] = frozenset()


def read_layouts(table: str, files: Iterable[Files]) -> list[Layout]:
    """The layout of every file, in the order given.

    Raises
    ------
    InputError
        If a file cannot be read as what its ending says.
    """
    readers = {"csv": _csv_layout, "parquet": _parquet_layout, "json": _json_layout}
    return [readers[group.format](table, replace(group, paths=(path,))) for group in files for path in group.paths]


def _csv_layout(table: str, files: Files) -> Layout:
    (path,) = files.paths
    start = _read_start(table, files, path)
    for _ in range(files.skip_rows):
        start = start.partition("\n")[2]
    if not start.strip():
        below = f" below the {files.skip_rows} lines of skip_rows" if files.skip_rows else ""
        raise InputError(f"table {table!r}: {path} is empty{below}; a header line is needed")
    # Marks inside quotes are part of a name.
    lines = re.sub(r'"[^"]*"', "", start).splitlines()
    delimiter = max(_DELIMITERS, key=lines[0].count) if lines else ","
    _refuse_titles(table, path, lines, delimiter, files.skip_rows)
    try:
        names = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"table {table!r}: the header line of {path} cannot be read: {error}") from None
    if any("\x00" in name for name in names):
        raise InputError(f"table {table!r}: {path} is not a text file", given=names[0])
    columns = [name or f"column{index}" for index, name in enumerate(names)]
    if len({name.lower() for name in columns}) < len(columns):
        raise InputError(f"table {table!r}: {path} names a column twice", given=columns)
    return Layout(path, dict.fromkeys(columns, ""), delimiter)


def _read_start(table: str, files: Files, path: Path | RemotePath) -> str:
    """The first characters of a text file."""
    try:
        with open_stream(path) as file:
            start = file.read(_HEADER_BYTES)
        # Incrementally: the last character may be cut in two.
        return codecs.getincrementaldecoder(files.encoding or "utf-8-sig")().decode(start).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        is_utf_16 = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if is_utf_16 else "cp1252" if files.encoding is None else "that of the file"
        raise InputError(
            f"table {table!r}: {path} cannot be read: {error}",
            hint=f"set encoding to that of the file, probably encoding = {encoding!r}",
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"table {table!r}: {path} cannot be read: {error}") from None


def _refuse_titles(table: str, path: Path | RemotePath, lines: Sequence[str], delimiter: str, skipped: int) -> None:
    """Refuse lines above the header, as downloaded reports have them: they have fewer fields than what follows."""
    first = lines[:_TITLES]
    if _is_usual(first[0].count(delimiter), [line.count(delimiter) for line in first]):
        return
    mark = max(_DELIMITERS, key=lambda mark: max(line.count(mark) for line in first))
    fields = [line.count(mark) for line in first]
    header = fields.index(max(fields))
    if header and len(fields) > header + 1 and _is_usual(fields[header], fields[header:]):
        raise InputError(
            f"table {table!r}: the header of {path} seems to stand in line {skipped + header + 1}, below a title",
            given=repr(lines[0][:80]),
            hint=f"set skip_rows = {skipped + header}; if there are rows of totals below, leave them out with where",
        )


def _is_usual(number: int, fields: Sequence[int]) -> bool:
    """Whether most lines have so many fields, which are several."""
    return number > 0 and 3 * fields.count(number) >= 2 * len(fields)


def _parquet_layout(table: str, files: Files) -> Layout:
    (path,) = files.paths
    try:
        with pq.ParquetFile(open_file(path)) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"table {table!r}: {path} is not a readable Parquet file: {error}") from None
    empty = _null_columns(metadata)
    return Layout(path, {field.name: "" if field.name in empty else kind_of(field.type) for field in schema})


def _null_columns(metadata: pq.FileMetaData) -> set[str]:
    """Columns without a value: pandas writes texts that are all missing as numbers."""
    null_in_all: set[str] | None = None
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(index) for index in range(group.num_columns)]
        nulls = {
            chunk.path_in_schema
            for chunk in chunks
            if chunk.statistics is not None
            and chunk.statistics.has_null_count
            and chunk.statistics.null_count == chunk.num_values
        }
        null_in_all = nulls if null_in_all is None else null_in_all & nulls
    return null_in_all or set()


def kind_of(type: pa.DataType) -> str:
    """What kind of value a column holds, in the words of `Layout`."""
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "number"
    if pa.types.is_timestamp(type):
        return "time" if type.tz is None else "time with zone"
    tests = {
        "": pa.types.is_null,
        "text": is_text_like,
        "flag": pa.types.is_boolean,
        "day": pa.types.is_date,
        "list": lambda of: pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of),
    }
    return next((name for name, test in tests.items() if test(type)), str(type))


def is_text_like(type: pa.DataType) -> bool:
    """Whether a column holds texts; some writers of Parquet do not mark theirs, and they look like mere bytes."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, *_BYTES)
    return any(test(type) for test in tests)


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


def is_json_array(table: str, files: Files, path: Path | RemotePath) -> bool:
    """Whether a JSON file is one array of rows, not a row in each line."""
    return _read_start(table, files, path).lstrip()[:1] == "["


def _json_layout(table: str, files: Files) -> Layout:
    """Keys of the first rows; a row that is no object is the reader's to refuse."""
    (path,) = files.paths
    columns: dict[str, str] = {}
    rows_with: Counter[str] = Counter()
    looked_at = 0
    start = _read_start(table, files, path)
    for row in islice(_json_rows(start, is_array=files.is_array), _JSON_LINES):
        looked_at += 1
        rows_with.update(row.keys())
        columns |= {name: columns.get(name) or _json_kind(value) for name, value in row.items()}
    rare = frozenset(name for name, rows in rows_with.items() if 2 * rows < looked_at)
    return Layout(path, columns, rare=rare)


def _json_rows(start: str, *, is_array: bool) -> Iterator[dict[str, Any]]:
    """Rows at the beginning of a JSON file, up to what is cut off; what is no object has no keys."""
    values = _array_values(start) if is_array else map(_json_value, start.split("\n"))
    return (value if isinstance(value, dict) else {} for value in values)


def _json_value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _array_values(start: str) -> Iterator[Any]:
    decoder, begin = json.JSONDecoder(), start.index("[") + 1
    while True:
        while start[begin : begin + 1] in _BETWEEN:
            begin += 1
        try:
            value, begin = decoder.raw_decode(start, begin)
        except (ValueError, RecursionError):
            return  # the end of the array, or of what was read of it
        yield value


def _json_kind(value: object) -> str:
    # Numbers and flags are read as the texts they are written as.
    kinds = {list: "list", dict: "object", type(None): ""}
    return kinds.get(type(value), "text")


# ---------------------------------------------------------------- where files of one table differ

_ALIKE = 0.5
"""Two names at least this similar (0 … 1) may be one column although they stand at different places."""

_SAME_PLACE = 0.5
"""Added to the similarity of two names that stand at the same place: a renamed column seldom moves."""

_TIMES = {"day", "time"}


@dataclass(frozen=True)
class Drift:
    """A column that some files have and others lack.

    ``renamed`` is the column that those others are likely to have in its stead, which is in ``replaced_in``.
    """

    column: str
    present_in: tuple[str, ...]
    missing_in: tuple[str, ...]
    renamed: str | None = None
    replaced_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        there = f"{self.column!r} is in {listed(self.present_in)} and not in {listed(self.missing_in)}"
        return (
            there
            if self.renamed is None
            else f"{there}; {self.renamed!r} is in {listed(self.replaced_in)}: probably renamed"
        )


def find_drift(layouts: Sequence[Layout]) -> list[Drift]:
    """Columns that are not in every file, in the order in which they are first met.

    Two columns that never come together in a file may be one that was renamed: likeliest are those that
    complement each other, stand at the same place and have similar names.

    Examples
    --------
    >>> from pathlib import Path
    >>> january = Layout(Path("january.csv"), {"day": "", "channel": "", "cost": ""})
    >>> february = Layout(Path("february.csv"), {"day": "", "chan": "", "cost": ""})
    >>> [(drift.column, drift.renamed) for drift in find_drift([january, february])]
    [('channel', 'chan'), ('chan', 'channel')]
    """
    names = _file_names(layouts)
    columns = list(dict.fromkeys(name for layout in layouts for name in layout.columns))
    where = {name: frozenset(i for i, layout in enumerate(layouts) if name in layout.columns) for name in columns}
    drifted = [name for name in columns if len(where[name]) < len(layouts) and not _is_rare(name, layouts)]
    drifts = []
    for column in drifted:
        partner = _partner(column, drifted, where, layouts)
        missing = [i for i in range(len(layouts)) if i not in where[column]]
        drifts.append(
            Drift(
                column,
                tuple(names[i] for i in sorted(where[column])),
                tuple(names[i] for i in missing),
                partner,
                () if partner is None else tuple(names[i] for i in sorted(where[partner])),
            )
        )
    return drifts


def find_type_drift(layouts: Sequence[Layout]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Columns whose values are of different kinds in different files: column → kind → files."""
    names = _file_names(layouts)
    by_column: dict[str, dict[str, tuple[str, ...]]] = {}
    for column in dict.fromkeys(name for layout in layouts for name in layout.columns):
        kinds: dict[str, tuple[str, ...]] = {}
        for name, layout in zip(names, layouts, strict=True):
            kind = layout.columns.get(column)
            if kind:
                kinds[kind] = (*kinds.get(kind, ()), name)
        # A day is a time like any other.
        if len(kinds) > 1 and not set(kinds) <= _TIMES:
            by_column[column] = kinds
    return by_column


def drift_findings(table: str, layouts: Sequence[Layout]) -> list[Finding]:
    """Whether the files of one table have the same columns, of the same types."""
    columns = len({name for layout in layouts for name in layout.columns})
    drifts, kinds = find_drift(layouts), find_type_drift(layouts)
    alone = "the table is one file" if len(layouts) == 1 else None
    # Of a pair, one sentence says it all.
    distinct = [drift for i, drift in enumerate(drifts) if not any(_same(drift, other) for other in drifts[:i])]
    texts_by_check = {
        "schema_drift": [str(drift) for drift in distinct],
        "type_drift": [_describe_kinds(column, of_kind) for column, of_kind in kinds.items()],
    }
    examples = {"schema_drift": drifts[0].column if drifts else None, "type_drift": next(iter(kinds), None)}
    counts = {"schema_drift": len(drifts), "type_drift": len(kinds)}
    return [
        Finding(
            check,
            table,
            "warn" if counts[check] else "pass",
            counts[check],
            columns,
            examples[check],
            "; ".join([*texts, _REMEDY])
            if texts
            else alone or f"all {len(layouts)} files have the same {_SUBJECTS[check]}",
        )
        for check, texts in texts_by_check.items()
    ]


_REMEDY = "give all files the same columns, or read them with a query that does"
_SUBJECTS = {"schema_drift": "columns", "type_drift": "column types"}


def refuse_drift(
    table: str, layouts: Sequence[Layout], needed: Mapping[str, Sequence[str]], *, required: Collection[str] = ()
) -> None:
    """Refuse files of which some lack a column that is to be read, or hold another type in it.

    Parameters
    ----------
    table : name of the table, for messages
    layouts : the layouts of its files
    needed : canonical name → source columns of which every file must have at least one, if any file has
    required : canonical names without which the table is of no use

    Raises
    ------
    InputError
        Naming the column, the files, the column they are likely to have in its stead, and what resolves it.
    """
    drifts = {drift.column: drift for drift in find_drift(layouts)}
    for canonical, sources in needed.items():
        without = sum(not any(name in layout.columns for name in sources) for layout in layouts)
        drift = next((drifts[name] for name in sources if name in drifts), None)
        if not without or drift is None:
            continue  # a column that no file has is missing in the table, which its contract says better
        missing = f"{' or '.join(map(repr, sources))} is missing in {without} of {len(layouts)} files"
        raise InputError(
            f"table {table!r}: the files differ in columns {[*drifts]}: {missing}",
            given=drift,
            hint=_remedy(canonical, sources, drift.renamed, is_required=canonical in required),
        )
    kinds = find_type_drift(layouts)
    for column in (name for sources in needed.values() for name in sources if name in kinds):
        raise InputError(
            f"table {table!r}: the files differ in the type of a column: {_describe_kinds(column, kinds[column])}",
            hint="rewrite the files, or cast the column in a query",
        )


def _remedy(canonical: str, sources: Sequence[str], renamed: str | None, *, is_required: bool) -> str:
    if renamed is None and is_required:
        return "leave those files out, or fill the column in a query"
    likely = dict.fromkeys((*sources, *([] if renamed is None else [renamed])))
    mapped = f"columns = {{ {_key(canonical)} = [{', '.join(map(_quote, likely))}] }}"
    means = (
        "sets it to null where it is missing"
        if renamed is None
        else "reads the first of these columns that is not null"
    )
    return f"{mapped} {means}; map the other columns as well"


def _partner(
    column: str, drifted: Sequence[str], where: Mapping[str, frozenset[int]], layouts: Sequence[Layout]
) -> str | None:
    """The drifted column that is likeliest to be ``column`` under another name."""
    best, best_score = None, 0.0
    for other in drifted:
        if other == column or where[other] & where[column]:
            continue
        kinds = {layout.columns[name] for layout in layouts for name in (column, other) if layout.columns.get(name)}
        if len(kinds) > 1 and not kinds <= _TIMES:
            continue
        likeness, moved = _likeness(column, other), not _positions(column, layouts) & _positions(other, layouts)
        if moved and likeness < _ALIKE:
            continue
        complete = len(where[other]) + len(where[column]) == len(layouts)
        score = likeness + complete + (0 if moved else _SAME_PLACE)
        if score > best_score:
            best, best_score = other, score
    return best


def _is_rare(column: str, layouts: Sequence[Layout]) -> bool:
    return all(column in layout.rare for layout in layouts if column in layout.columns)


def _likeness(one: str, other: str) -> float:
    # In one order, for the ratio depends on it.
    first, second = sorted("".join(filter(str.isalnum, name.casefold())) or name for name in (one, other))
    return SequenceMatcher(None, first, second).ratio()


def _positions(column: str, layouts: Sequence[Layout]) -> set[int]:
    return {[*layout.columns].index(column) for layout in layouts if column in layout.columns}


def _file_names(layouts: Sequence[Layout]) -> list[str]:
    """Names of the files; with their folders where one name is there twice."""
    short = [layout.path.name for layout in layouts]
    return short if len(set(short)) == len(short) else [str(layout.path) for layout in layouts]


def _same(one: Drift, other: Drift) -> bool:
    return other.renamed == one.column and one.renamed == other.column


def _describe_kinds(column: str, kinds: Mapping[str, Sequence[str]]) -> str:
    return f"{column!r} is " + ", ".join(f"{kind} in {listed(files)}" for kind, files in kinds.items())


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _quote(name)


def _quote(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
