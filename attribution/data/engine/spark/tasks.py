"""What runs in Spark's tasks: DuckDB on one batch or one file, and the caller's function on one partition.

Everything here must be importable where executors run, so that this package is installed there as well.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from attribution.data.engine.base import Result
from attribution.data.engine.duckdb import _reason
from attribution.data.engine.read_only import SETTINGS
from attribution.data.engine.remote import attach, schemes_in
from attribution.errors import InputError

PIECE_BYTES = 1 << 26
"""A result travels in pieces: no value of a batch may have more than 2 GB, and Spark copies each several times."""

_SAID = re.compile(r"attribution-task-error (\[(?:true|false), \"(?:[^\"\\]|\\.)*\"\])")


class Said(NamedTuple):
    """What a task has to say to the user; ``is_whole`` if nothing is to be put before it."""

    is_whole: bool
    text: str


class TaskError(Exception):
    """What a task has to say, in a form that survives Spark's wrapping it in a traceback."""

    def __init__(self, text: str, *, is_whole: bool = False) -> None:
        super().__init__(f"attribution-task-error {json.dumps([is_whole, text])}")


def task_message(error: str) -> Said | None:
    """What a `TaskError` said, from the text of the error that Spark made of it.

    Examples
    --------
    >>> task_message(f"Job aborted. Traceback … {TaskError('file.csv: line 2 is cut off')} at org.apache…")
    Said(is_whole=False, text='file.csv: line 2 is cut off')
    """
    match = _SAID.search(error)
    return None if match is None else Said(*json.loads(match[1]))


@functools.cache
def connection() -> duckdb.DuckDBPyConnection:
    """DuckDB in this process, on one thread: tasks are many already, and rows keep their order."""
    opened = duckdb.connect()
    for setting in (
        "threads = 1",
        "preserve_insertion_order = true",
        "timezone = 'UTC'",
        "enable_progress_bar = false",
        "python_enable_replacements = false",
    ):
        opened.execute(f"set {setting}")
    opened.execute(SETTINGS)
    return opened


@contextlib.contextmanager
def _pass_on_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise TaskError(_reason(error)) from None
    except InputError as error:
        raise TaskError(str(error), is_whole=True) from None


def over_table(table: pa.Table, sql: str) -> pa.Table:
    """Rows of DuckDB's select ``sql`` over ``table``, which it calls ``batch``."""
    opened = connection()
    opened.register("batch", table)
    try:
        return opened.sql(sql).to_arrow_table()
    finally:
        opened.unregister("batch")


def build_compute(sql: str, names: Sequence[str], result: pa.DataType) -> Callable[..., pa.Array]:
    """A function of arrays that gives the one column of DuckDB's select ``sql`` over them, row by row."""

    def compute(*arrays: pa.Array) -> pa.Array:
        with _pass_on_errors():
            column = over_table(pa.table(list(arrays), names=list(names)), sql).column(0)
        if len(column) != len(arrays[0]):
            raise TaskError(f"the SQL gives {len(column)} rows for {len(arrays[0])}: {sql}")
        return column.cast(result).combine_chunks()

    return compute


def position(values: Sequence[str]) -> Callable[[pa.Array], pa.Array]:
    """A function that gives the index of every text of an array among ``values``, null where it is not there."""
    value_set = pa.array(values, pa.string())

    def index_texts(texts: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        return pc.index_in(texts.cast(pa.string()), value_set=value_set, skip_nulls=True).cast(pa.int32())

    return index_texts


Batches = Iterator[pa.RecordBatch]


def build_reader(selects: Sequence[str], schema: pa.Schema, rows: int) -> Callable[[Batches], Batches]:
    """A function that answers numbers of ``selects`` with the rows of DuckDB's answer to each."""

    def read(batches: Batches) -> Batches:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                with _pass_on_errors():
                    attach(connection(), schemes_in(selects[number]))
                    answer = connection().sql(selects[number]).to_arrow_reader(rows)
                    for answered in answer:
                        yield answered.cast(schema)

    return read


PIECES = "partition int, piece int, data binary"


def build_applier(function: Callable[[Batches], Result]) -> Callable[[Batches], Batches]:
    """A function that gives what ``function`` makes of a partition, pickled, in pieces."""

    def apply(batches: Batches) -> Batches:
        from pyspark import TaskContext, cloudpickle

        dumps: Any = cloudpickle.dumps  # which has no types

        full = (batch for batch in batches if len(batch))
        first = next(full, None)
        if first is None:
            return
        with _pass_on_errors():
            data = dumps(function(chain([first], full)))
        context = TaskContext.get()
        partition = context.partitionId() if context else 0
        for piece, start in enumerate(range(0, len(data), PIECE_BYTES)):
            yield pa.record_batch(
                {
                    "partition": pa.array([partition], pa.int32()),
                    "piece": pa.array([piece], pa.int32()),
                    "data": pa.array([data[start : start + PIECE_BYTES]], pa.binary()),
                }
            )

    return apply


def unpickle(cut: pa.Table) -> list[Any]:
    """The results that `build_applier` cut into pieces, by partition."""
    from pyspark import cloudpickle

    texts: dict[int, list[bytes]] = {}
    for row in cut.sort_by([("partition", "ascending"), ("piece", "ascending")]).to_pylist():
        texts.setdefault(row["partition"], []).append(row["data"])
    return [cloudpickle.loads(b"".join(mine)) for mine in texts.values()]
