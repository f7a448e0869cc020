"""Who reads, joins, partitions and sorts. Databases are imported here and nowhere else."""

from attribution.data.engine.base import Engine, Events, Files, quote, text
from attribution.data.engine.duckdb import DuckDBEngine
from attribution.data.engine.read_only import check_condition, check_expression, reads_tables
from attribution.data.engine.remote import RemotePath, check_local, find_remote, is_remote, open_file, open_stream

__all__ = [
    "DuckDBEngine",
    "Engine",
    "Events",
    "Files",
    "RemotePath",
    "check_condition",
    "check_expression",
    "check_local",
    "find_remote",
    "is_remote",
    "open_file",
    "open_stream",
    "quote",
    "reads_tables",
    "text",
]
