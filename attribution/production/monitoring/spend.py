"""What channels cost in a window, from the costs table alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa

from attribution.data.loading import Sources, load_sources
from attribution.production.refit import day_name, day_number
from attribution.returns import read_costs
from attribution.schema.experiment import Period, ReturnsOptions


def read_spend(
    costs: Any, *spans: tuple[int, int], options: ReturnsOptions | None = None, folder: Path = Path()
) -> list[dict[str, float]]:
    """Media spend by channel in each of ``spans``, numbers of first and last days.

    Parameters
    ----------
    costs : a table as `attribution.load_sources` takes it
    options : currencies and fees
    folder : where relative paths start

    Raises
    ------
    InputError
        If the table cannot be read as costs.

    Examples
    --------
    >>> import pandas as pd
    >>> costs = pd.DataFrame({"channel": ["mail", "mail"], "amount": [3.0, 4.0], "day": ["1970-01-02", "1970-01-03"]})
    >>> read_spend(costs, (1, 1), (1, 2))
    [{'mail': 3.0}, {'mail': 7.0}]
    """
    sources = _with_costs(costs, folder)
    periods = [Period(start=_date(first), end=_date(last)) for first, last in spans]
    return [dict(read_costs(sources, options, period=period).media) for period in periods]


def last_cost_day(costs: Any, folder: Path = Path()) -> int | None:
    """Number of the last day that has a cost, or that a cost is of; None where costs have no days.

    Examples
    --------
    >>> import pandas as pd
    >>> costs = pd.DataFrame({"channel": ["mail", "mail"], "amount": [3.0, 4.0], "day": ["1970-01-02", "1970-01-03"]})
    >>> last_cost_day(costs)
    2
    """
    sources = _with_costs(costs, folder)
    column = next((name for name in ("day", "period_end") if sources.has("costs", name)), None)
    if column is None:
        return None
    (row,) = sources.engine.query(f"select max({column}) as last from costs", table="costs").to_pylist()
    return None if row["last"] is None else day_number(row["last"])


def _with_costs(costs: Any, folder: Path) -> Sources:
    # Sources are of journeys, and costs come beside them: of none, then.
    nobody = pa.table({"path": pa.array([""]), "conversions": pa.array([0.0])})
    return load_sources(paths=nobody, costs=costs, folder=folder)


def _date(day: int) -> dt.date:
    return dt.date.fromisoformat(day_name(day))
