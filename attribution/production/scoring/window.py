"""An engine that hands over the events of some days only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pyarrow as pa

from attribution.data.engine import Engine, Events

Result = TypeVar("Result")


class Window:
    """An engine whose events are those between two instants, and are never held all at once.

    Parameters
    ----------
    engine : the engine
    between : first and last instant in microseconds, both inclusive; all events if None
    """

    def __init__(self, engine: Engine, between: tuple[int, int] | None) -> None:
        self._engine, self._between = engine, between

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def streams(self, events: Events) -> bool:
        """Always: scores are written as journeys are made."""
        return True

    def map_partitions(self, events: Events, function: Callable[[Iterator[pa.RecordBatch]], Result]) -> list[Result]:
        """`Engine.map_partitions` of the events in the window."""
        if self._between is not None:
            first, last = self._between
            sql = f"select * from ({events.sql}) where happened_at between {first} and {last}"
            rows = int(self._engine.query(f"select count(*) as n from ({sql})")["n"][0].as_py())
            events = Events(sql, rows, events.has_cost)
        return self._engine.map_partitions(events, function)
