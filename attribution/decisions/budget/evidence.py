"""What a proposal rests on, and whether the ground under an earlier one has moved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from attribution.decisions.budget.budget_declared import BUDGET, BUDGET_SCENARIOS, PLAN
from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.cases import Case, Row
from attribution.decisions.budget.response import Response
from attribution.decisions.migration import migrate_tables
from attribution.errors import InputError
from attribution.kernels.budget.curves import build_curves
from attribution.kernels.statistics.adjustment import adjust_holm


@dataclass(frozen=True)
class Ground:
    """The run that returns come from.

    Attributes
    ----------
    run : its fingerprint
    start, end : first and last day of the data; None where they have no dates
    level : coverage of intervals
    """

    run: str = ""
    start: dt.date | None = None
    end: dt.date | None = None
    level: float = 0.9

    @property
    def days(self) -> int | None:
        """How many days the data span."""
        return None if self.start is None or self.end is None else (self.end - self.start).days + 1

    def valid_until(self, options: BudgetOptions) -> str | None:
        """Last day of a proposal made of these data."""
        return None if self.end is None else str(self.end + dt.timedelta(days=options.valid_days))


@dataclass(frozen=True)
class Earlier:
    """An earlier proposal: the rows of its plan in ``budget`` and in ``budget_scenarios``."""

    plan: pd.DataFrame
    evidence: pd.DataFrame

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame]) -> Earlier:
        """That of the tables of a proposal."""
        budget, scenarios = tables["budget"], tables["budget_scenarios"]
        return cls(budget[budget["scenario"] == PLAN], scenarios[scenarios["kind"] == PLAN])


def evidence_columns(case: Case, response: Response, ground: Ground, options: BudgetOptions) -> Row:
    """Columns of ``budget_scenarios`` that say what the scenarios of one model rest on, the same in each of them."""
    fitted = sum(origin.startswith("fitted") for origin in response.origins)
    return {
        "run": ground.run,
        "data_start": None if ground.start is None else str(ground.start),
        "data_end": None if ground.end is None else str(ground.end),
        "valid_until": ground.valid_until(options),
        "level": np.nan if case.draws is None else case.level,
        "draws": 0 if case.draws is None else len(case.draws),
        "curves_fitted": fitted,
        "curves_assumed": len(response.origins) - fitted,
    }


def read_earlier(folder: Path) -> Earlier:
    """An earlier proposal from its output folder.

    Raises
    ------
    InputError
        If the folder holds none.
    """
    tables = {}
    for table in (BUDGET, BUDGET_SCENARIOS):
        path = folder / f"{table.name}.parquet"
        if not path.exists():
            raise InputError(
                f"budget.previous: {folder} is not the folder of an earlier budget: it has no {path.name}",
                hint="give the output folder of `attribution budget`",
            )
        tables[table.name] = _read(path)
    if (folder / "budget_evidence.parquet").exists():
        tables = migrate_tables(tables | {"budget_evidence": _read(folder / "budget_evidence.parquet")})
    for table in (BUDGET, BUDGET_SCENARIOS):
        missing = [name for name in table.column_names if name not in tables[table.name]]
        if missing:
            path = folder / f"{table.name}.parquet"
            raise InputError(f"budget.previous: file {path} has no column {missing[0]!r}")
    return Earlier.of(tables)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:  # whatever readers raise of files that are something else
        raise InputError(f"budget.previous: file {path} cannot be read: {error}") from None


_FOR = {"objective": "has another objective", "cost_basis": "has another cost basis"}

MOVED = ("above", "below", "new", "gone")
"""Statuses in ``drift`` that an earlier proposal does not account for."""


SIGNIFICANCE = 0.05
"""Of twenty proposals in an unchanged market at most one is said to have moved, however many channels and models."""


def ground_has_moved(drift: pd.DataFrame | None) -> bool:
    """Whether an earlier proposal expired, or something it rests on moved; False where none was held against it."""
    return drift is not None and bool(drift["status"].isin(MOVED).any() or drift["expired"].eq(True).any())


def drift_rows(
    cases: Sequence[Case], earlier: Earlier, ground: Ground, options: BudgetOptions, cost_basis: str
) -> list[Row]:
    """Rows of ``drift``: what channels return now against what the earlier curves say of the spend now.

    Models that the earlier proposal lacks have none. A channel is said to have moved where its p-value, adjusted for
    all channels and models that are compared, is at most `SIGNIFICANCE`.

    Raises
    ------
    InputError
        If the earlier proposal is about another return or other costs, or under other models only.
    """
    for name, mine in (("objective", options.objective), ("cost_basis", cost_basis)):
        if (earlier.evidence[name] != mine).any():
            raise InputError(
                f"budget.previous {_FOR[name]}",
                given=str(earlier.evidence[name].iloc[0]),
                allowed=[mine],
            )
    rows: list[Row] = []
    for case in cases:
        evidence = earlier.evidence[earlier.evidence["model"] == case.label]
        if len(evidence):
            plan = earlier.plan[earlier.plan["model"] == case.label].set_index("channel")
            rows += _model_drift(case, plan, evidence.iloc[0], ground)
    if not rows:
        raise InputError(
            "budget.previous has other models",
            given=", ".join(earlier.evidence["model"]),
            allowed=[case.label for case in cases],
        )
    return _judge(rows)


def _judge(rows: Sequence[Row]) -> list[Row]:
    """The rows with ``p_adjusted`` over all that are compared, ``status`` and ``drifted``."""
    tested = pd.DataFrame(rows, columns=["training", "recent", "p_value"]).to_numpy(float)
    judged: list[Row] = []
    for row, (expected, returned, p_value), adjusted in zip(rows, tested, adjust_holm(tested[:, 2]), strict=True):
        moved = "below" if returned < expected else "above"
        of_change = "unknown" if np.isnan(p_value) else moved if adjusted <= SIGNIFICANCE else "as expected"
        status = row.get("status", of_change)
        judged.append(row | {"p_adjusted": adjusted, "status": status, "drifted": status in MOVED})
    return judged


def _model_drift(case: Case, plan: pd.DataFrame, evidence: pd.Series, ground: Ground) -> list[Row]:
    scale, end = _days(evidence) / (ground.days or _days(evidence)), evidence["valid_until"]
    expired = None if end is None or ground.end is None else ground.end > dt.date.fromisoformat(end)
    head: Row = {"measure": "plan_return", "model": case.label, "valid_until": end, "expired": expired}
    unknown = np.full(len(case.channels), np.nan)
    deviation = unknown if case.draws is None else case.draws.std(axis=0, ddof=1) * scale
    draws = np.array([0 if case.draws is None else len(case.draws), int(evidence["draws"])])
    rows: list[Row] = []
    for index, channel in enumerate(case.channels):
        spend, returned = case.spend[index] * scale, case.returns[index] * scale
        row = head | {"channel": channel, "recent": returned, "spend": spend}
        if channel not in plan.index:
            rows.append(row | {"status": "new"})
            continue
        expected, its_error = _expect_return(plan.loc[channel], spend)
        errors = np.array([deviation[index], its_error])
        rows.append(
            row
            | {
                "training": expected,
                "change": returned / expected - 1 if expected > 0 else np.nan,
                "standard_error": float(np.hypot(*errors)),
                "p_value": compare(returned - expected, errors, draws),
            }
        )
    gone = [channel for channel in plan.index if channel not in case.channels]
    return rows + [head | {"channel": channel, "status": "gone"} for channel in gone]


def compare(difference: float, errors: NDArray[np.float64], draws: NDArray[np.int64]) -> float:
    """Chance of a difference as large from sampling alone; NaN without draws of both times.

    Standard errors are those of draws, and few draws leave them unsure: Student's t, with Welch's degrees of freedom.

    Parameters
    ----------
    difference : of two independent amounts
    errors : (2,) standard error of each
    draws : (2,) how many draws each error is from

    Examples
    --------
    Two errors that are surely known, and two that are from three draws each.

    >>> [round(compare(1.96, np.sqrt([0.5, 0.5]), np.array([draws, draws])), 2) for draws in (10**6, 3)]
    [0.05, 0.12]
    """
    if not (np.isfinite(errors).all() and (draws > 1).all()):
        return np.nan
    variances = np.square(errors)
    error = float(variances.sum())
    if error == 0:
        return float(difference == 0)
    shares = variances / error
    freedom = 1 / float((shares**2 / (draws - 1)).sum())
    return 2 * float(student.sf(abs(difference) / np.sqrt(error), freedom))


def _days(evidence: pd.Series) -> int:
    """Of the earlier data; 1 where they have no dates."""
    if evidence["data_start"] is None or evidence["data_end"] is None:
        return 1
    ends = (dt.date.fromisoformat(evidence[name]) for name in ("data_start", "data_end"))
    start, end = ends
    return (end - start).days + 1


def _expect_return(row: pd.Series, money: float) -> tuple[float, float]:
    """What a channel of the earlier proposal returns at other spend, and the standard error of that."""
    curve = build_curves([row["curve"]], [row["curvature"]], [row["spend_today"]], [row["steepness"]])
    expected = float(row["return_today"] * curve.growth(np.array([money]))[0])
    return expected, expected * row["return_sd"] / row["return"] if row["return"] else np.nan
