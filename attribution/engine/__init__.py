"""Who reads, joins, partitions and sorts. Databases are imported here and nowhere else."""

from attribution.engine.base import Engine, Events, Files, quote, text
from attribution.engine.duckdb import DuckDBEngine

__all__ = ["DuckDBEngine", "Engine", "Events", "Files", "quote", "text"]
