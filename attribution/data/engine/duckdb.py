"""DuckDB, embedded: the default engine."""

from __future__ import annotations

import contextlib
import io
import queue
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType

from attribution.arguments import check_arguments
from attribution.data.engine.base import Events, Files, Result, quote, text
from attribution.data.engine.read_only import SETTINGS, add_condition, check_condition, check_query
from attribution.data.engine.remote import attach, open_stream, schemes_in, schemes_of
from attribution.errors import InputError, UnavailableError, shorten
from attribution.folders import spill_folder
from attribution.kernels.journeys.batches import id_changes
from attribution.kernels.journeys.ids import uuid_words

# ---------------------------------------------------------------- text ids while they are partitioned and sorted


class SharedKeyError(Exception):
    """Two customers have one key, so that their events may be mixed."""


class Packing:
    """The numbers of ids, as a function of an engine's SQL; ``refused`` tells that some id was no UUID."""

    def __init__(self) -> None:
        self.refused = False

    def __call__(self, ids: pa.ChunkedArray) -> pa.Array:
        words = uuid_words(ids.combine_chunks())
        if words is None:
            self.refused = True
            raise ValueError("not all ids are UUIDs")
        return words


def without_key(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches without their ``customer_key``.

    Raises
    ------
    SharedKeyError
        Where one key stands for two customers.
    """
    last: tuple[int, object] | None = None
    for batch in batches:
        if len(batch) == 0:
            continue
        key, ids = batch.column("customer_key").to_numpy(), batch.column("customer_id")
        goes_on = last is not None and last[0] == key[0]
        if (id_changes(ids) & (key[1:] == key[:-1])).any() or (goes_on and last != (key[0], ids[0].as_py())):
            raise SharedKeyError
        last = int(key[-1]), ids[-1].as_py()
        yield batch.drop_columns("customer_key")


# ---------------------------------------------------------------- the engine

BATCH_ROWS = 1_000_000
HELD_ROWS = 40_000_000
"""Beyond this many events they are partitioned to disk by customer, and each partition is sorted by itself."""

_HELD_BYTES = 200
"""What an event takes at the peak of building, with text ids, when journeys are held."""

_SORTED_BYTES, _SORTED_NUMBER_BYTES = 120, 50
"""What an event takes while its partition is sorted, with text ids and with integers."""

_SMALLEST_LIMIT = 1_000_000_000
CUSTOMER_KEY = "hash(customer_id)"
"""A number for a customer whose id is a text; two that share one are noticed."""

_COPIED = 1 << 20
"""Characters that are decoded at a time."""

_WORKING_DIRECTORY = threading.Lock()


class DuckDBEngine:
    """DuckDB in this process.

    Parameters
    ----------
    threads : threads DuckDB may use; all cores unless set
    batch_rows : rows per batch handed to the journey kernel
    partitions : how often to cut the customers; by the number of events unless set
    memory_limit : bytes the whole process should keep to; more goes through the disk

    None of the four changes a result.

    Raises
    ------
    InputError
        If the limit is less than the process needs for anything.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> engine = at.DuckDBEngine(threads=2, memory_limit=4_000_000_000)
    >>> sources = at.load_sources(paths=pd.DataFrame({"path": ["mail"], "conversions": [2]}), engine=engine)
    >>> engine.query("select sum(conversions) as n from paths")["n"].to_pylist()
    [2.0]
    """

    @check_arguments
    def __init__(
        self,
        *,
        threads: int | None = None,
        batch_rows: int = BATCH_ROWS,
        partitions: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        for name, number in (("threads", threads), ("batch_rows", batch_rows), ("partitions", partitions)):
            if number is not None and number < 1:
                raise InputError(f"DuckDBEngine: {name} must be at least 1", given=number)
        if memory_limit is not None and memory_limit < _SMALLEST_LIMIT:
            raise InputError("memory_limit is too low", given=f"{memory_limit:,} bytes", allowed="1 GB or more")
        self._connection = duckdb.connect()
        self._connection.execute("set enable_progress_bar = false; set timezone = 'UTC'")
        # Without this a query could read a Python variable that happens to have a table's name.
        self._connection.execute("set python_enable_replacements = false; set preserve_insertion_order = false")
        if threads is not None:
            self._connection.execute(f"set threads = {int(threads)}")
        self._spill, remove = spill_folder()
        weakref.finalize(self, remove)
        self._connection.execute(f"set temp_directory = {text(str(self._spill))}")
        # The rest is for Python, numba and the batches that are being worked on.
        own = (memory_limit or 0) // 2
        if own:
            self._connection.execute(f"set memory_limit = '{own // 1_000_000}MB'")
        self._connection.execute(SETTINGS)
        self._held_rows = memory_limit // _HELD_BYTES if memory_limit else HELD_ROWS
        self._sorting = own // 2
        self.batch_rows, self._partitions = batch_rows, partitions
        self._claimed = False
        self._parquet: set[str] = set()
        self._schemas: dict[str, pa.Schema] = {}  # of tables and views, until anything is defined anew
        self._arrow: dict[str, pa.Table] = {}  # a view on an Arrow table lives only as long as the table

    def claim(self) -> None:
        if self._claimed:
            raise InputError(
                "this engine already holds the tables of another run", hint="create a new engine for each run"
            )
        self._claimed = True

    def register_files(self, name: str, groups: Sequence[Files], *, where: str | None = None) -> None:
        groups = [files if files.encoding is None else self._in_utf8(name, files) for files in groups]
        attach(self._connection, schemes_of(path for files in groups for path in files.paths))
        sql = " union all by name ".join(f"select * from {_reader(files)}" for files in groups)
        if groups[0].format == "json":
            sql = self._json(name, f"({sql})")
        if all(files.format == "parquet" for files in groups):
            self._parquet.add(f"raw_{name}")
        self._register(name, f"select * from ({sql})", where)

    def register_arrow(self, name: str, table: pa.Table, *, where: str | None = None) -> None:
        self._arrow[name] = table
        try:
            self._connection.register(f"arrow_{name}", table)
        except duckdb.Error as error:
            raise InputError(f"table {name!r} cannot be read: {_reason(error)}") from None
        self._register(name, f"select * from {quote(f'arrow_{name}')}", where)

    def register_query(self, name: str, sql: str, folder: Path) -> None:
        check_query(name, sql)
        attach(self._connection, schemes_in(sql))
        # DuckDB looks for relative paths in the working directory first, whatever its search path says.
        with _WORKING_DIRECTORY, contextlib.chdir(folder):
            self._run(name, f"create or replace temp table {quote(f'raw_{name}')} as {sql}")

    def _in_utf8(self, name: str, files: Files) -> Files:
        """Copies of files in UTF-8, which is all that is read otherwise."""
        paths: list[Path] = []
        for path in files.paths:
            copy = self._spill / "decoded" / name / str(len(paths)) / re.sub(r"\.(gz|zst)$", "", path.name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open_stream(path) as packed, copy.open("w", encoding="utf-8", newline="") as plain:
                    shutil.copyfileobj(io.TextIOWrapper(packed, files.encoding, newline=""), plain, _COPIED)
            except UnicodeError as error:
                raise InputError(
                    f"table {name!r}: {path} cannot be read: {shorten(str(error), 200)}",
                    given=f"encoding = {files.encoding!r}",
                    hint="set encoding to that of the file, such as utf-16, latin-1 or cp1252",
                ) from None
            paths.append(copy)
        return replace(files, paths=tuple(paths), encoding=None)

    def _json(self, name: str, reader: str) -> str:
        """JSON with every value as text or list of texts: guessed types change ids and channel names."""
        columns = self.query(f"select * from {reader} limit 0", table=name).schema.names
        tests = ", ".join(f"bool_and(json_type({quote(c)}) in ('ARRAY', 'NULL'))" for c in columns)
        has_list = self.query(f"select {tests} from {reader}", table=name).to_pylist()[0].values()
        texts = ", ".join(
            f"from_json({quote(c)}, '[\"VARCHAR\"]') as {quote(c)}" if is_list else f"{quote(c)} ->> '$' as {quote(c)}"
            for c, is_list in zip(columns, has_list, strict=True)
        )
        return f"select {texts} from {reader}"

    def _register(self, name: str, sql: str, where: str | None) -> None:
        if where is not None:
            check_condition(name, where)
            self._run(name, f"create or replace temp view {quote(f'every_{name}')} as {sql}")
            sql = add_condition(f"select * from {quote(f'every_{name}')}", where)
        self._run(name, f"create or replace temp view {quote(f'raw_{name}')} as {sql}")

    def view(self, name: str, sql: str) -> None:
        self._run(name, f"create or replace temp view {quote(name)} as {sql}")

    def define(self, name: str, sql: str) -> None:
        self._run(name, f"create or replace temp table {quote(name)} as {sql}")

    def number_rows(self, name: str, table: str) -> None:
        self._connection.execute("set preserve_insertion_order = true")
        try:
            self.define(name, f"select *, row_number() over () as delivered from {quote(table)}")
        finally:
            self._connection.execute("set preserve_insertion_order = false")

    def create_enum(self, name: str, values: Sequence[str]) -> None:
        listed = ", ".join(text(value) for value in values)
        self._connection.execute(
            f"drop type if exists {quote(name)}; create temp type {quote(name)} as enum ({listed})"
        )

    def schema(self, name: str) -> pa.Schema:
        if name not in self._schemas:
            self._schemas[name] = self.query(f"select * from {quote(name)} limit 0").schema
        return self._schemas[name]

    @check_arguments
    def query(self, sql: str, *, table: str | None = None) -> pa.Table:
        if not sql.strip():
            raise InputError("query: sql is empty", allowed="a SELECT")
        attach(self._connection, schemes_in(sql))
        try:
            return self._connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise _refusal(table, error) from None

    def rules_out(self, name: str, test: str) -> bool:
        if name not in self._parquet:
            return False
        try:
            # Row groups whose smallest and largest value rule it out are not read.
            return not self.query(f"select count(*) as n from {quote(name)} where {test}")["n"][0].as_py()
        except InputError:
            return False  # what is wrong with the file is said where it is read

    def streams(self, events: Events) -> bool:
        return events.rows > self._held_rows

    def map_partitions(self, events: Events, function: Callable[[Iterator[pa.RecordBatch]], Result]) -> list[Result]:
        each = _SORTED_NUMBER_BYTES if self._has_integer_ids(events.sql) else _SORTED_BYTES
        most = self._sorting // each if self._sorting else HELD_ROWS
        partitions = self._partitions or -(-max(events.rows, 1) // most)
        if partitions == 1:
            return [self._sort(events.sql, events, function)]
        folder = self._spill / "events"
        try:
            self._write_partitions(events.sql, int(partitions), folder)
            return [
                self._sort(f"select * from read_parquet({text(f'{path}/*.parquet')})", events, function)
                for path in sorted(folder.glob("part=*"))
            ]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _write_partitions(self, sql: str, partitions: int, folder: Path) -> None:
        """Write events by customer; where all ids are UUIDs, as two numbers each, which takes half the room."""
        if self._has_integer_ids(sql):
            self._copy(sql, partitions, folder)
            return
        packing = Packing()
        packed = "struct(high bigint, low bigint)"
        self._connection.create_function("pack", packing, ["varchar"], packed, type=PythonUDFType.ARROW)
        try:
            self._copy(f"select * replace (pack(customer_id) as customer_id) from ({sql})", partitions, folder)
        except InputError:
            if not packing.refused:
                raise
            shutil.rmtree(folder, ignore_errors=True)
            self._copy(sql, partitions, folder)
        finally:
            self._connection.remove_function("pack")

    def _copy(self, sql: str, partitions: int, folder: Path) -> None:
        # Dictionaries of what rarely repeats are not worth their time.
        self._run(
            None,
            f"copy (select *, hash(customer_id) % {partitions} as part from ({sql})) to {text(str(folder))} "
            "(format parquet, compression 'uncompressed', dictionary_size_limit 1, partition_by (part))",
        )

    def _has_integer_ids(self, sql: str) -> bool:
        result: bool = pa.types.is_integer(self.query(f"select customer_id from ({sql}) limit 0").schema.field(0).type)
        return result

    def _sort(self, sql: str, events: Events, function: Callable[[Iterator[pa.RecordBatch]], Result]) -> Result:
        """``function`` of these events, customer by customer, each in order of time."""
        columns = ", ".join(events.columns)
        in_order = f"select {columns} from ({sql}) order by customer_id, happened_at"
        if self._has_integer_ids(sql):
            return function(self._batches(in_order))
        # Customers may come in any order, and texts sort at half the speed of numbers.
        by_key = f"select {CUSTOMER_KEY} as customer_key, {columns} from ({sql}) order by customer_key, happened_at"
        try:
            with contextlib.closing(self._batches(by_key)) as batches:
                return function(without_key(batches))
        except SharedKeyError:
            return function(self._batches(in_order))

    def _batches(self, sql: str) -> Generator[pa.RecordBatch, None, None]:
        """Batches of a query, the next one fetched while the last one is worked on."""
        try:
            reader = self._connection.sql(sql).to_arrow_reader(self.batch_rows)
        except duckdb.Error as error:
            raise _refusal(None, error) from None
        ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(maxsize=1)
        has_room = threading.Event()
        has_room.set()

        def fetch() -> None:
            try:
                for batch in reader:
                    ready.put(batch)
                    if not has_room.is_set():
                        return
                ready.put(None)
            except BaseException as error:  # handed to the reading thread, which raises it
                ready.put(error)

        thread = threading.Thread(target=fetch, daemon=True)
        thread.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, duckdb.Error):
                    raise _refusal(None, item) from None
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            has_room.clear()
            while thread.is_alive():
                try:
                    ready.get(timeout=0.01)
                except queue.Empty:
                    continue
            thread.join()
            # An open result would keep the connection from the next query.
            reader.close()

    def _run(self, table: str | None, sql: str) -> None:
        self._schemas.clear()
        try:
            self._connection.execute(sql)
        except duckdb.Error as error:
            raise _refusal(table, error) from None


def _reader(files: Files) -> str:
    paths = "[" + ", ".join(text(str(path)) for path in files.paths) + "]"
    if files.format == "parquet":
        # By name: one file's integers may be narrower than another's. Some writers leave the mark of texts out.
        by_name = str(len(files.paths) > 1).lower()
        return f"read_parquet({paths}, union_by_name = {by_name}, binary_as_string = true)"
    if files.format == "json":
        return (
            f"read_json({paths}, format = {text(json_format(files))}, records = true, maximum_depth = 1, "
            "sample_size = -1, union_by_name = true)"
        )
    # The dialect is given, not guessed: a guess turns a cut-off file into one with fewer columns.
    columns = ", ".join(f"{text(column)}: 'VARCHAR'" for column in files.columns)
    return (
        f"read_csv({paths}, auto_detect = false, header = true, strict_mode = true, "
        f"skip = {files.skip_rows}, delim = {text(files.delimiter)}, quote = '\"', escape = '\"', "
        f"columns = {{{columns}}})"
    )


def json_format(files: Files) -> str:
    """How DuckDB calls the layout of JSON files."""
    return "array" if files.is_array else "newline_delimited"


def _refusal(table: str | None, error: Exception) -> InputError:
    what = "the data" if table is None else f"table {table!r}"
    is_full = isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error)
    long = re.search("maximum_object_size|Parallel CSV Reader|maximum line size", str(error), re.IGNORECASE)
    if long is not None:
        why = "look for a quotation mark that is never closed, or shorten the line"
        return InputError(f"{what} cannot be read: a line is too long", given=_reason(error), hint=why)
    hint = f"free disk space under {tempfile.gettempdir()}, or raise memory_limit" if is_full else None
    if re.search("not (valid )?utf-?8|invalid (unicode|utf-?8)", str(error), re.IGNORECASE):
        hint = "set encoding to that of the file, such as encoding = 'cp1252'"
    # More memory must be allowed by somebody; a disk that is full may have room tomorrow.
    kind = UnavailableError if "No space left" in str(error) else InputError
    return kind(f"{what} cannot be read: {_reason(error)}", hint=hint)


def _reason(error: Exception) -> str:
    """What DuckDB says is wrong, without the SQL that we wrote around the user's."""
    file = re.search(r"^\s*file = ?(.+)$", str(error), re.MULTILINE)
    message = re.split(r"LINE 1:|Possible fixes:|Possible Solution:", str(error))[0]
    reason = shorten(" ".join(message.split()), 500).rstrip(" .")
    return f"{file[1]}: {reason}" if file else reason
