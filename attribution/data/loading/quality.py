"""What was found in the data, as rows of the ``quality`` table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Literal

import pandas as pd

from attribution.schema.tables import QUALITY

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
