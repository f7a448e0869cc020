"""What a table is, and the names that mean something to the toolkit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["id", "time", "day", "text", "number", "money", "count", "integer", "flag"]
"""What a column may hold.

``id`` text or integer · ``time`` a timestamp, or an integer where a log has only an order · ``day`` a
calendar day · ``money`` and ``count`` finite numbers ≥ 0 · ``number`` any finite number · ``flag`` true/false.
"""

UNATTRIBUTED = "(unattributed)"
"""The row that takes conversions without a touchpoint, so that totals equal what was observed."""

BASELINE = "(baseline)"
"""The row of an incremental model that takes what would have happened without any channel."""

NO_CHANNELS = (UNATTRIBUTED, BASELINE)
"""Rows of credit that are no channels."""

PLACEBO_CHANNEL = "(placebo)"
"""A channel that does nothing, put among the events to see what a model credits it with."""

START, CONVERSION, NULL = "(start)", "(conversion)", "(null)"
"""States of the journey graph that are no channels."""

TOTAL = "(total)"
"""The row of all channels with spend together, where one table holds both."""

CAUSED = "additive_hazard"
"""Label of the model that says what channels caused, beside the models of an experiment that names none such."""

RESERVED = (START, CONVERSION, NULL, *NO_CHANNELS, PLACEBO_CHANNEL, TOTAL)
"""Names that no channel may have."""


@dataclass(frozen=True)
class Column:
    """One column: ``required`` must be there, ``nullable`` may hold nulls.

    ``unit`` only where it is another than that of the word, see `attribution.schema.tables.measures`.
    """

    name: str
    type: ColumnType
    meaning: str
    required: bool = True
    nullable: bool = False
    unit: str | None = None


@dataclass(frozen=True)
class Table:
    """One table. ``question`` is what it answers and no other does; ``extensible`` tables keep further text columns."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    extensible: bool = False
    question: str = ""

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


def optional(name: str, type: ColumnType, meaning: str) -> Column:
    """A column that need not be there, and may hold nulls."""
    return Column(name, type, meaning, required=False, nullable=True)


def null(name: str, type: ColumnType, meaning: str, unit: str | None = None) -> Column:
    """A column that is there and may hold nulls."""
    return Column(name, type, meaning, nullable=True, unit=unit)
