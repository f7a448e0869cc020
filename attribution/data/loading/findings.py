"""What was found in the data, as rows of the ``quality`` table, and how numbers and moments are written there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from attribution.schema.tables import QUALITY

# ---------------------------------------------------------------- rows of the quality table

Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One check of one table, see ``tables.QUALITY``."""

    check: str
    table: str
    status: Status
    count: float
    total: float | None
    example: str | None
    message: str


def count_finding(
    check: str, table: str, count: float, message: str, *, total: float | None = None, example: object = None
) -> Finding:
    """A finding that warns if ``count`` is not zero and passes otherwise."""
    shown = None if example is None or not count else str(example)
    return Finding(check, table, "warn" if count else "pass", count, total, shown, message)


def quality_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The ``quality`` table, in the order of the checks."""
    findings = list(findings)
    frame = pd.DataFrame([astuple(finding) for finding in findings], columns=list(QUALITY.column_names))
    frame["example"] = pd.Series([finding.example for finding in findings], dtype=object)
    return frame.astype({"count": "float64", "total": "float64"})


# ---------------------------------------------------------------- how numbers and moments are written

_NAMED = 3


def on_day(moment: int) -> str:
    """The day (UTC) of a moment in microseconds since 1970.

    Examples
    --------
    >>> on_day(1_704_067_200_000_000)
    '2024-01-01'
    """
    return str(np.datetime64(int(moment), "us").astype("datetime64[D]"))


def hours(number: float) -> str:
    """A duration in hours.

    Examples
    --------
    >>> hours(1), hours(5.5), hours(-2.0)
    ('1 hour', '5.5 hours', '2 hours')
    """
    return f"{abs(number):g} hour{'' if abs(number) == 1 else 's'}"


def listed(names: Sequence[object]) -> str:
    """The first few of ``names``, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b"]), listed(range(5))
    ('a, b', '0, 1, 2 and 2 more')
    """
    more = len(names) - _NAMED
    return ", ".join(str(name) for name in names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
