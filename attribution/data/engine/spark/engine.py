"""Spark: the engine for what one machine cannot hold."""

from __future__ import annotations

import contextlib
import logging
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from attribution.arguments import check_arguments
from attribution.data.engine.base import Events, Files, Result, quote
from attribution.data.engine.duckdb import BATCH_ROWS, DuckDBEngine
from attribution.data.engine.read_only import add_condition
from attribution.data.engine.spark import tasks
from attribution.data.engine.spark.carriers import (
    arrow_schema,
    describe_columns,
    restore_list,
    spark_name,
    spark_schema,
    store_list,
)
from attribution.data.engine.spark.session import check_packages, open_session, without_notices
from attribution.data.engine.spark.spark_files import read_files
from attribution.errors import InputError, shorten

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attribution.data.engine.spark.carriers import Columns

HELD_ROWS = 5_000_000
"""With more events, their journeys stay where they are made: the driver's memory is not what Spark is there for."""

PARTITION_ROWS = 4_000_000
"""At most about so many events in a partition, which is sorted in the memory of one task."""

LEAST_ROWS = 50_000
"""Fewer events are not worth another partition."""

_LIMIT = "raise both spark.driver.maxResultSize and spark.driver.memory"
_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


class SparkEngine:
    """Spark, in the active session or else in a new one.

    Spark reads Parquet, joins, partitions and sorts; text files, and every expression that Spark might take
    otherwise than DuckDB, are computed by DuckDB in Spark's tasks, so that both engines give the same result. The
    package is to be installed wherever executors run, and files must have the same path there.

    Parameters
    ----------
    master : where Spark is to be started, such as ``local[2]`` or ``spark://host:7077``; all cores of this machine
        unless set. With a session active already, that one is used, and this and ``config`` are refused.
    batch_rows : rows per group of batches handed to the journey kernel
    partitions : how often to cut the customers; by the number of events and cores unless set
    config : further settings of Spark, such as ``{"spark.executor.memory": "8g"}``. What a partition's function
        returns is collected on the driver, which ``spark.driver.maxResultSize`` limits.

    None of them changes a result.

    Raises
    ------
    InputError
        If PySpark or Java is missing, or Spark does not start.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> engine = at.SparkEngine()
    >>> sources = at.load_sources(paths=pd.DataFrame({"path": ["mail"], "conversions": [2]}), engine=engine)
    >>> sources.tables["paths"].rows
    1
    >>> engine.close()
    """

    @check_arguments
    def __init__(
        self,
        *,
        master: str | None = None,
        batch_rows: int = BATCH_ROWS,
        partitions: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        for name, number in (("batch_rows", batch_rows), ("partitions", partitions)):
            if number is not None and number < 1:
                raise InputError(f"SparkEngine: {name} must be at least 1", given=number)
        check_packages()
        from attribution.data.engine.spark.catalogue import Catalogue

        with without_notices():
            self._session, self._own = open_session(master, config or {})
        self._catalogue = Catalogue(self._session)
        self.batch_rows = batch_rows
        self._partitions = partitions
        self._claimed = False
        self._kept: dict[str, DataFrame] = {}
        self._sorted_sql: str | None = None
        self._release = weakref.finalize(self, _release, self._kept)
        self._release.atexit = False  # Spark may be gone by then

    def claim(self) -> None:
        if self._claimed:
            raise InputError(
                "this engine already holds the tables of another run", hint="create a new engine for each run"
            )
        self._claimed = True

    def close(self) -> None:
        """Let go of what is kept in Spark, and stop it if it was started for this engine."""
        self._release()
        if self._own:
            self._session.sparkContext.stop()

    def register_files(self, name: str, groups: Sequence[Files], *, where: str | None = None) -> None:
        if any(files.encoding is not None for files in groups):
            # Tasks may run where no copy in UTF-8 lies.
            engine = DuckDBEngine()
            engine.register_files(name, groups)
            self._take_over(name, engine)
            self._filter(name, where)
            return
        with _translate_errors(f"table {name!r}"):
            frame, columns = read_files(self._session, name, groups, keep=partial(self._keep, f"files of {name}"))
            self._catalogue.add_table(f"raw_{name}", columns)
            frame.createOrReplaceTempView(f"raw_{name}")
        self._filter(name, where)

    def register_arrow(self, name: str, table: pa.Table, *, where: str | None = None) -> None:
        engine = DuckDBEngine()
        engine.register_arrow(name, table)
        self._take_over(name, engine)
        self._filter(name, where)

    def register_query(self, name: str, sql: str, folder: Path) -> None:
        engine = DuckDBEngine()
        engine.register_query(name, sql, folder)
        self._take_over(name, engine)

    def _take_over(self, name: str, engine: DuckDBEngine) -> None:
        """Hand a raw table over from DuckDB."""
        raw = quote(f"raw_{name}")
        columns = describe_columns(engine, f"select * from {raw}", table=name)
        table = engine.query(f"select {store_list(columns)} from {raw}", table=name)
        self._catalogue.add_table(f"raw_{name}", columns)
        with _translate_errors(f"table {name!r}"):
            frame = self._session.createDataFrame(table.cast(arrow_schema(columns)), schema=spark_schema(columns))
            frame.createOrReplaceTempView(f"raw_{name}")

    def _filter(self, name: str, where: str | None) -> None:
        """Leave only rows of a raw table that a condition holds in."""
        if where is None:
            return
        # One condition that DuckDB can read: over a table without rows, its engine refuses any other.
        empty = self._catalogue.empty.schema(f"raw_{name}").empty_table()
        DuckDBEngine(threads=1).register_arrow(name, empty, where=where)
        self.view(f"every_{name}", f"select * from {quote(f'raw_{name}')}")
        selected = self._select(add_condition(f"select * from {quote(f'every_{name}')}", where), name)
        selected.createOrReplaceTempView(f"raw_{name}")

    def view(self, name: str, sql: str) -> None:
        frame = self._select(sql, name)
        self._catalogue.add_table(name, self._catalogue.columns(sql))
        frame.createOrReplaceTempView(name)

    def define(self, name: str, sql: str) -> None:
        frame = self._select(sql, name)
        self._catalogue.add_table(name, self._catalogue.columns(sql))
        with _translate_errors(f"table {name!r}"):
            self._keep(f"table {name}", frame).count()
        frame.createOrReplaceTempView(name)

    def number_rows(self, name: str, table: str) -> None:
        from pyspark.sql import Window
        from pyspark.sql import functions as f

        # File by file, as they are named; what has no file keeps the order of its partitions.
        order = Window.orderBy(f.input_file_name(), f.input_file_block_start(), f.monotonically_increasing_id())
        frame = self._select(f"select * from {quote(table)}", name).withColumn(
            "delivered", f.row_number().over(order).cast("bigint")
        )
        self._catalogue.add_table(
            name, self._catalogue.columns(f"select *, 1::bigint as delivered from {quote(table)}")
        )
        with _translate_errors(f"table {name!r}"):
            self._keep(f"table {name}", frame).count()
        frame.createOrReplaceTempView(name)

    def create_enum(self, name: str, values: Sequence[str]) -> None:
        self._catalogue.add_enum(name, values)

    def schema(self, name: str) -> pa.Schema:
        return self._catalogue.empty.schema(name)

    @check_arguments
    def query(self, sql: str, *, table: str | None = None) -> pa.Table:
        columns = self._catalogue.columns(sql, table=table)
        translated = self._catalogue.to_spark(sql)
        if translated is None:
            return self._catalogue.empty.query(sql, table=table)
        with _translate_errors(_label(table)):
            held = self._frame(translated, columns).toArrow()
        return tasks.over_table(held, f"select {restore_list(columns)} from batch")

    def rules_out(self, name: str, test: str) -> bool:
        return False  # it would take a job to find out

    def streams(self, events: Events) -> bool:
        return events.rows > HELD_ROWS

    def map_partitions(self, events: Events, function: Callable[[Iterator[pa.RecordBatch]], Result]) -> list[Result]:
        with _translate_errors("the data"):
            partitions = self._sort(events).mapInArrow(tasks.build_applier(function), tasks.PIECES)
            return tasks.unpickle(partitions.toArrow())

    def _sort(self, events: Events) -> DataFrame:
        """Partitions of whole customers, sorted; kept in Spark if they are to be read again."""
        if self._sorted_sql == events.sql:
            return self._kept["sorted events"]
        frame = self._select(events.sql, None).select(list(events.columns))
        frame = frame.repartition(self._number(events.rows), "customer_id")
        frame = frame.sortWithinPartitions("customer_id", "happened_at")
        if self.streams(events):
            self._keep("sorted events", frame)
            self._sorted_sql = events.sql
        return frame

    def _number(self, rows: int) -> int:
        """How many partitions so many events are cut into: all cores have equally many."""
        cores = self._session.sparkContext.defaultParallelism
        if rows < cores * LEAST_ROWS:
            return self._partitions or max(1, rows // LEAST_ROWS)
        return self._partitions or cores * -(-rows // (cores * PARTITION_ROWS))

    def _keep(self, name: str, frame: DataFrame) -> DataFrame:
        before = self._kept.pop(name, None)
        if before is not None:
            before.unpersist()
        self._kept[name] = frame.persist()
        return frame

    def _select(self, sql: str, table: str | None) -> DataFrame:
        """The rows of a select in DuckDB's SQL."""
        columns = self._catalogue.columns(sql, table=table)
        translated = self._catalogue.to_spark(sql)
        if translated is None:
            held = self._catalogue.empty.query(f"select {store_list(columns)} from ({sql})", table=table)
            return self._session.createDataFrame(held.cast(arrow_schema(columns)), schema=spark_schema(columns))
        with _translate_errors(_label(table)):
            return self._frame(translated, columns)

    def _frame(self, sql: str, columns: Columns) -> DataFrame:
        """The rows of Spark's ``sql``, with names and types as DuckDB has them."""
        from pyspark.sql import functions

        frame = self._session.sql(sql).toDF(*columns)
        held = zip(columns.items(), frame.schema.fields, strict=True)
        return frame.select(
            [
                spark_name(name)
                if field.dataType.simpleString() == carried.spark
                else functions.col(spark_name(name)).cast(carried.spark).alias(name)
                for (name, carried), field in held
            ]
        )


def _label(table: str | None) -> str:
    return "the data" if table is None else f"table {table!r}"


def _release(frames: dict[str, Any]) -> None:
    for frame in frames.values():
        with contextlib.suppress(Exception):  # Spark may have been stopped
            frame.unpersist()
    frames.clear()


@contextlib.contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Turn Spark's errors into ours, and keep them off the terminal."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException, PythonException

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with without_notices():
            yield
    except (PySparkException, Py4JError) as error:
        message = tasks.task_message(str(error))
        if message is not None:
            raise InputError(message.text if message.is_whole else f"{what} cannot be read: {message.text}") from None
        if isinstance(error, PythonException):
            raise  # no doing of the data
        reason, *_ = re.split(r"JVM stacktrace|== SQL|SQLSTATE", str(error))
        hint = _LIMIT if "maxResultSize" in reason else None
        raise InputError(f"{what} cannot be read: {shorten(' '.join(reason.split()), 500)}", hint=hint) from None
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
