"""What an engine must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import pyarrow as pa

from attribution.data.engine.remote import RemotePath

Result = TypeVar("Result")


@dataclass(frozen=True)
class Files:
    """Files of one format and layout.

    ``columns`` and ``delimiter`` are those of a CSV's header, which stands below ``skip_rows`` lines; ``encoding`` is
    that of a CSV or JSON, where it is not UTF-8; ``is_array`` says that a JSON file is one array, not a row a line.
    """

    paths: tuple[Path | RemotePath, ...]
    format: Literal["csv", "parquet", "json"]
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    skip_rows: int = 0
    encoding: str | None = None
    is_array: bool = False


@dataclass(frozen=True)
class Events:
    """Touchpoints and conversions as one stream.

    ``sql`` selects ``customer_id``, ``happened_at`` (int64), ``ref`` (integer: code of a touchpoint, −1 − row of a
    conversion) and, where ``has_cost``, ``cost`` (float64, of a touchpoint): every column more makes the sort
    dearer, so the value of a conversion is looked up afterwards. ``rows`` is how many events there are.
    """

    sql: str
    rows: int
    has_cost: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return ("customer_id", "happened_at", "ref", *(["cost"] if self.has_cost else []))


class Engine(Protocol):
    """Reads tables under a name, answers SQL about them, and hands over sorted partitions of customers.

    ``batch_rows`` is how many events the journey kernel should take at once.
    """

    batch_rows: int

    def claim(self) -> None:
        """Say that this engine now holds the tables of one run.

        Raises
        ------
        InputError
            If it holds those of another: tables go by name, and would be overwritten.
        """

    def register_files(self, name: str, groups: Sequence[Files], *, where: str | None = None) -> None:
        """Make files readable as ``raw_NAME``; groups of different layout are joined by column name.

        With ``where`` all rows are readable as ``every_NAME``.
        """

    def register_arrow(self, name: str, table: pa.Table, *, where: str | None = None) -> None:
        """Make an Arrow table readable as ``raw_NAME``; with ``where`` all its rows as ``every_NAME``."""

    def register_query(self, name: str, sql: str, folder: Path) -> None:
        """Make the result of one SELECT readable as ``raw_NAME``; relative paths in it start at ``folder``."""

    def view(self, name: str, sql: str) -> None:
        """Make ``sql`` readable as ``name``, computed anew each time."""

    def define(self, name: str, sql: str) -> None:
        """Compute ``sql`` once and keep the result as ``name``."""

    def number_rows(self, name: str, table: str) -> None:
        """Keep ``table`` as ``name``, with the place of each row among those delivered as ``delivered``."""

    def create_enum(self, name: str, values: Sequence[str]) -> None:
        """Make ``values``, in this order, a type whose ``enum_code`` is their position."""

    def schema(self, name: str) -> pa.Schema:
        """Columns and types of ``name``."""

    def query(self, sql: str, *, table: str | None = None) -> pa.Table:
        """The whole result of ``sql``; an error names ``table``."""

    def rules_out(self, name: str, test: str) -> bool:
        """Whether the statistics that its files keep tell that ``test`` holds in no row of the raw table ``name``.

        False where they do not tell.
        """

    def streams(self, events: Events) -> bool:
        """Whether there are too many ``events`` to hold their journeys: they are then made anew for every pass."""

    def map_partitions(self, events: Events, function: Callable[[Iterator[pa.RecordBatch]], Result]) -> list[Result]:
        """Apply ``function`` to each partition of ``events``.

        A partition holds whole customers, one after the other, each sorted by happened_at; the batches within it do
        not: a customer's events may go on in the next batch.
        """


def quote(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """An SQL text literal."""
    return "'" + value.replace("'", "''") + "'"
