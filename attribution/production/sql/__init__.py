"""A fitted model as one plain SELECT, for databases in which nothing of this package can run."""

from attribution.production.sql.dialects import DIALECTS
from attribution.production.sql.select import SqlTables, build_select, is_select

__all__ = ["DIALECTS", "SqlTables", "build_select", "is_select"]
