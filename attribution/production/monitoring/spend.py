"""What channels cost in a window, from the costs table alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from attribution.data.loading import Sources, load_sources
from attribution.production.refit import day_name, day_number
from attribution.returns import check_days_of_costs, read_costs
from attribution.schema.experiment import Period, ReturnsOptions


def read_spend(
    costs: Any,
    *spans: tuple[int, int],
    options: ReturnsOptions | None = None,
    folder: Path = Path(),
    rates: Any = None,
    touchpoints: Sequence[Mapping[str, float]] = (),
) -> list[dict[str, float]]:
    """Spend by channel in each of ``spans``, numbers of first and last days, on one cost basis.

    On ``media``, which counts unless ``options`` say otherwise, it is media spend alone: no fees, no other types and
    nothing that is shared. On ``loaded`` it is every cost of the channel as a run counts it: fees by ``fee_rate``, all
    types, and its part of what channels share. On both, a cost of several days, or one that is amortised, counts with
    the days that lie in the span, and money is in the currency of values. Channels without a cost of their own are
    absent, as they have no ROI.

    Parameters
    ----------
    costs : a table as `attribution.load_sources` takes it
    options : cost basis, currencies, fees, and what costs are shared by
    folder : where relative paths start
    rates : of currencies from day to day, a table as ``costs`` is
    touchpoints : per span, touchpoints by channel, for costs that are shared by them

    Raises
    ------
    InputError
        If the table cannot be read as costs, a cost that counts has no day, or costs are shared by credit.

    Examples
    --------
    >>> import pandas as pd
    >>> costs = pd.DataFrame({"channel": ["mail", "mail"], "amount": [3.0, 4.0], "day": ["1970-01-02", "1970-01-03"]})
    >>> read_spend(costs, (1, 1), (1, 2))
    [{'mail': 3.0}, {'mail': 7.0}]
    >>> read_spend(costs, (1, 2), options=ReturnsOptions(fee_rate=0.5, cost_basis="loaded"))
    [{'mail': 10.5}]
    """
    options = options or ReturnsOptions()
    if options.cost_basis == "media":
        # Of what channels share nothing counts, whatever it is shared by.
        options = options.model_copy(update={"shared_by": "spend"})
    sources = _with_costs(costs, folder, rates)
    check_days_of_costs(sources, options.cost_basis)
    result = []
    for position, (first, last) in enumerate(spans):
        counts = touchpoints[position] if touchpoints else {}
        period = Period(start=_date(first), end=_date(last))
        booked = read_costs(sources, options, period=period, touchpoints=counts)
        result.append(booked.fixed_spend(options.cost_basis, counts))
    return result


def last_cost_day(costs: Any, folder: Path = Path()) -> int | None:
    """Number of the last day that media costs tell of, or all costs where none is of media; None without days.

    Media come every day: costs of another type that go on for longer do not make up for media that stopped.

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
    for table in ("media_costs", "costs"):
        (row,) = sources.engine.query(f"select max({column}) as last from {table}").to_pylist()
        if row["last"] is not None:
            return day_number(row["last"])
    return None


def _with_costs(costs: Any, folder: Path, rates: Any = None) -> Sources:
    # Sources are of journeys, and costs come beside them: of none, then.
    nobody = pa.table({"path": pa.array([""]), "conversions": pa.array([0.0])})
    return load_sources(paths=nobody, costs=costs, rates=rates, folder=folder)


def _date(day: int) -> dt.date:
    return dt.date.fromisoformat(day_name(day))
