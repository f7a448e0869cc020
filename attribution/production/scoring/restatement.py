"""What scoring a day again has changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from attribution.schema.tables.scoring import RESTATEMENT

_NOTHING = 1e-12


def restated(before: pa.Table, after: pa.Table, *, day: str, revision: int) -> pd.DataFrame:
    """The ``restatement`` rows of one day.

    Parameters
    ----------
    before, after : its credit, see `attribution.schema.tables.scoring.SCORED`
    day, revision : for the columns of these names
    """
    both = [_by_conversion(table) for table in (before, after)]
    merged = both[0].merge(both[1], how="outer", on=["conversion_id", "channel"], suffixes=("_before", "_after"))
    numbers = [f"{what}_{when}" for what in ("credit", "credited_value") for when in ("before", "after")]
    merged[numbers] = merged[numbers].fillna(0.0)
    moved = (merged["credit_after"] - merged["credit_before"]).abs() > _NOTHING
    worth = merged["credited_value_before"].abs().clip(lower=1.0)
    moved |= (merged["credited_value_after"] - merged["credited_value_before"]).abs() > _NOTHING * worth
    merged["conversions_changed"] = moved.astype(np.int64)
    totals = merged.groupby("channel", sort=True)[[*numbers, "conversions_changed"]].sum().reset_index()
    totals = totals[totals["conversions_changed"] > 0]
    totals = totals.rename(
        columns=lambda name: name.replace("credited_value", "value").replace("credit", "conversions")
    )
    totals.insert(0, "revision", revision)
    totals.insert(1, "day", day)
    return totals[list(RESTATEMENT.column_names)].reset_index(drop=True)


def _by_conversion(table: pa.Table) -> pd.DataFrame:
    frame = table.select(["conversion_id", "channel", "credit", "credited_value"]).to_pandas()
    return frame.groupby(["conversion_id", "channel"], sort=True, as_index=False).sum()
