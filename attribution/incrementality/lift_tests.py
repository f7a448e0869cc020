"""Lift tests as they were declared: rows of a table or of a file, one test at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.engine import DuckDBEngine
from attribution.data.loading import Sources, read_table
from attribution.errors import InputError
from attribution.incrementality.lift_checks import check_rows
from attribution.schema.experiment import LiftTest, checked, read_toml
from attribution.schema.tables import LIFT_TESTS

Floats = NDArray[np.float64]

ARMS = ("test", "control")
COUNTS = ("customers", "exposed", "conversions", "conversions_of_exposed", "value", "spend")
"""Columns that add up over segments."""

OF_EXPOSED = ("ghost_ads", "psa")
"""Designs that compare customers who are exposed with those who would have been."""

REPORTED = ("reported", "on_off")
"""Designs without arms: somebody else has measured the effect."""

_COMMENT = "#"
_WORDS = ("design", "arm", "phase")
_DAYS = ("first_day", "last_day", "outcome_until")


@dataclass(frozen=True)
class DeclaredTest:
    """One test.

    Attributes
    ----------
    name, design, channel, campaign, what : what was tested, and how
    first_day, last_day, outcome_until : of treatment, and the last whose conversions count; None where the effect is
        of the log's period
    planned_share, scale : as declared; NaN where not
    rows : all of the test, with every column of ``lift_tests``
    """

    name: str
    design: str
    channel: str | None
    campaign: str | None
    what: str | None
    first_day: dt.date | None
    last_day: dt.date | None
    outcome_until: dt.date | None
    planned_share: float
    scale: float
    rows: pd.DataFrame

    @property
    def days(self) -> int | None:
        """How long treatment lasted."""
        return None if self.first_day is None or self.last_day is None else (self.last_day - self.first_day).days + 1

    @property
    def segments(self) -> list[str]:
        """Segments of customers, by name."""
        return sorted(set(self.rows["segment"].dropna()))

    @property
    def is_of_part(self) -> bool:
        """Whether it is of one campaign or one segment alone."""
        return self.campaign is not None or len(self.segments) == 1

    @property
    def compares_exposed(self) -> bool:
        """Whether exposed customers are compared with those who would have been."""
        return self.design in OF_EXPOSED

    def arms(self, segment: str | None = None) -> dict[str, Floats]:
        """By column, of test and control: counts, added up over segments unless one is named; NaN where not given."""
        rows = self.rows if segment is None else self.rows[self.rows["segment"] == segment]
        if self.design == "geo":
            rows = rows[rows["phase"] == "during"]
        groups = rows.groupby("arm")
        sums = groups[list(COUNTS)].sum(min_count=1).reindex(ARMS)
        result = {name: sums[name].to_numpy(dtype=np.float64) for name in COUNTS}
        return result | {"value_sd": np.array([self._deviation(rows[rows["arm"] == arm]) for arm in ARMS])}

    def _deviation(self, rows: pd.DataFrame) -> float:
        """Standard deviation of value per counted customer, of all rows together."""
        n = rows["exposed" if self.compares_exposed else "customers"].to_numpy(dtype=np.float64)
        means, deviations = rows["value"].to_numpy(dtype=np.float64) / n, rows["value_sd"].to_numpy(dtype=np.float64)
        weights = n / n.sum()
        return float(np.sqrt((weights * (deviations**2 + means**2)).sum() - (weights * means).sum() ** 2))

    @property
    def count_columns(self) -> tuple[str, str]:
        """Columns of the customers who are compared, and of their conversions."""
        return ("exposed", "conversions_of_exposed") if self.compares_exposed else ("customers", "conversions")


def read_lift_tests(source: Any, folder: Path = Path()) -> list[DeclaredTest]:
    """The tests of a file or table alone.

    Parameters
    ----------
    source : path of a CSV, Parquet, JSON, Excel or TOML file, the latter with ``[[lift_tests]]``; a DataFrame; or a
        `TableSpec` for column maps and filters
    folder : where relative paths start

    Raises
    ------
    InputError
        If it cannot be read, or a test is none that can be trusted.
    """
    if isinstance(source, str | Path) and Path(source).suffix == ".toml":
        frame = rows_frame(toml_rows(folder / source))
    else:
        frame = read_table(DuckDBEngine(), LIFT_TESTS.name, source, folder)
    return _without_overlaps(declare_tests([frame]))


def tests_of_experiment(rows: Sequence[LiftTest], sources: Sources) -> list[DeclaredTest]:
    """The tests that an experiment names, in its input table and in ``[[lift_tests]]``."""
    frames = [rows_frame(rows)] if rows else []
    if sources.has(LIFT_TESTS.name):
        frames.insert(0, sources.engine.query(f"select * from {LIFT_TESTS.name}").to_pandas())
    return _without_overlaps(declare_tests(frames)) if frames else []


def toml_rows(path: Path) -> list[LiftTest]:
    """The rows of ``[[lift_tests]]`` in a TOML file of them alone."""
    document = read_toml(path)[1]
    unknown = sorted(set(document) - {LIFT_TESTS.name})
    if unknown or not isinstance(document.get(LIFT_TESTS.name), list):
        raise InputError(
            f"{path}: a file of lift tests has [[lift_tests]] and nothing else", given=", ".join(unknown) or "none"
        )
    return check_each(document[LIFT_TESTS.name], str(path))


def check_each(rows: Iterable[Mapping[str, Any]], origin: str) -> list[LiftTest]:
    """Rows as they were written, checked one by one."""
    return [checked(LiftTest, row, origin=origin, within=LIFT_TESTS.name) for row in rows]


def written_rows(source: str | Path, folder: Path) -> list[dict[str, Any]]:
    """Rows of a CSV, Parquet, JSON or Excel file, without nulls and comments."""
    table = _normalise(read_table(DuckDBEngine(), LIFT_TESTS.name, str(source), folder))
    return [{str(name): of for name, of in row.items() if pd.notna(of)} for row in table.to_dict("records")]


def rows_frame(rows: Iterable[LiftTest]) -> pd.DataFrame:
    """Rows of a file as a table."""
    return pd.DataFrame([row.model_dump() for row in rows], columns=list(LIFT_TESTS.column_names))


def declare_tests(frames: Sequence[pd.DataFrame]) -> list[DeclaredTest]:
    """Every test of these tables, in order of name.

    Raises
    ------
    InputError
        If a row contradicts its design, or a test is none that can be trusted.
    """
    rows = pd.concat([_normalise(frame) for frame in frames], ignore_index=True)
    if rows.empty:
        raise InputError(
            "table 'lift_tests' has no tests",
            hint="fill it in: its comments say what each design needs (attribution init --lift-tests writes them)",
        )
    return [_declare(str(name), of_test) for name, of_test in rows.groupby("test", sort=True)]


def _without_overlaps(tests: list[DeclaredTest]) -> list[DeclaredTest]:
    """The tests, refused where two of one channel share days and perhaps customers: each then spoils the other."""
    dated = [test for test in tests if test.channel is not None and test.design != "on_off" and test.first_day]
    for one, other in combinations(dated, 2):
        parts = {one.campaign, other.campaign}
        apart = (
            one.channel != other.channel
            or (len(parts) == 2 and None not in parts)
            or bool(one.segments and other.segments and not set(one.segments) & set(other.segments))
            or "ab" in (one.design, other.design)
        )
        if not apart and _share_days(one, other):
            raise InputError(
                f"lift tests {one.name!r} and {other.name!r} of channel {one.channel!r} overlap, so that each changes "
                "what the other measures",
                given=f"{one.first_day} to {one.outcome_until}, and {other.first_day} to {other.outcome_until}",
                allowed="tests of one channel on different days or different customers",
                hint="leave one out; if they are of different customers, say of which in segment",
            )
    return tests


def _share_days(one: DeclaredTest, other: DeclaredTest) -> bool:
    if one.first_day is None or one.outcome_until is None or other.first_day is None or other.outcome_until is None:
        return False
    return one.first_day <= other.outcome_until and other.first_day <= one.outcome_until


def _normalise(frame: pd.DataFrame) -> pd.DataFrame:
    """All columns, texts without blanks and days as such; rows of comments are left out."""
    columns = {}
    for column in LIFT_TESTS.columns:
        values = frame[column.name] if column.name in frame else pd.Series(None, index=frame.index, dtype=object)
        if column.name in _DAYS:
            columns[column.name] = pd.Series([_day(each) for each in values], index=frame.index, dtype=object)
        elif column.type == "text":
            texts = [None if pd.isna(each) else str(each).strip() or None for each in values]
            if column.name in _WORDS:
                texts = [each if each is None else "_".join(each.lower().replace("-", " ").split()) for each in texts]
            columns[column.name] = pd.Series(texts, index=frame.index, dtype=object)
        else:
            columns[column.name] = pd.to_numeric(values).astype(np.float64)
    table = pd.DataFrame(columns)
    return table[~table["test"].str.startswith(_COMMENT)]


def _day(value: Any) -> dt.date | None:
    return None if pd.isna(value) else pd.Timestamp(value).date()


def _declare(name: str, rows: pd.DataFrame) -> DeclaredTest:
    one = check_rows(name, rows)
    last = one["last_day"]
    return DeclaredTest(
        name,
        str(one["design"]),
        one["channel"],
        one["campaign"],
        one["what"],
        one["first_day"],
        last,
        one["outcome_until"] or last,
        np.nan if one["planned_share"] is None else float(one["planned_share"]),
        np.nan if one["scale"] is None else float(one["scale"]),
        # So that sums do not depend on the order in which rows were written.
        rows.sort_values(["segment", "region", "phase", "arm"], ignore_index=True),
    )
