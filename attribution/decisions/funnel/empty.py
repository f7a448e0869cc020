"""Tables of a funnel in which nothing happened."""

from __future__ import annotations

import pandas as pd

from attribution.schema.tables import Table


def empty_table(table: Table) -> pd.DataFrame:
    """No rows, in the columns and types of ``table``.

    Examples
    --------
    >>> from attribution.schema.tables import PIPELINE
    >>> str(empty_table(PIPELINE)["open"].dtype)
    'float64'
    """
    kinds = {"text": object, "flag": bool, "integer": "int64"}
    return pd.DataFrame({column.name: pd.Series(dtype=kinds.get(column.type, "float64")) for column in table.columns})
