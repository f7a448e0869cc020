"""What lift tests measured: one row per test and measure, in the days of the test and in the period of the log."""

from __future__ import annotations

import pandas as pd

PERIOD_COLUMNS = ("test", "channel", "estimand", "measure", "effect", "standard_error", "low", "high", "level")
"""What calibration needs of a reading."""


def period_readings(readings: pd.DataFrame) -> pd.DataFrame:
    """The readings that credit is calibrated by, brought to the period of the log.

    Parameters
    ----------
    readings : the table ``lift_readings`` of a run

    Returns
    -------
    DataFrame
        `PERIOD_COLUMNS`: effects, errors and intervals are those of the log's period. Sorted by test and measure.
    """
    rows = readings[readings["calibrates"].astype(bool) & readings["period_standard_error"].notna()]
    in_test = ["effect", "standard_error", "low", "high"]
    rows = rows.drop(columns=in_test).rename(columns={f"period_{name}": name for name in in_test})
    return rows.sort_values(["test", "measure"], ignore_index=True)[list(PERIOD_COLUMNS)]
