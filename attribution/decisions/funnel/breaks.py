"""Where the funnel breaks: arrivals that stop moving on, more than before or more than their peers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.decisions.funnel.funnel_declared import FUNNEL_BREAKS
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import Progress
from attribution.journeys import DAY
from attribution.kernels.statistics.incidence import MOVED
from attribution.kernels.statistics.intervals import difference_interval

FEW_CASES = 30
"""With fewer on either side nothing is compared."""


def break_table(
    progress: Progress, last_channel: Mapping[int, pd.Series], end: int, options: FunnelOptions
) -> pd.DataFrame:
    """The ``funnel_breaks`` table.

    Only arrivals older than ``break_days`` are looked at, so that all had the same time to move on. Those of the last
    ``recent_days`` before the youngest of them are held against all before, and each channel against the others.
    Intervals are Newcombe's; their level is raised for the number of comparisons (Bonferroni), so that anything is
    called a break with a probability of at most about ``1 − level`` where nothing broke.

    Parameters
    ----------
    progress : all arrivals
    last_channel : per stage, the channel of the last touchpoint before each arrival, by row of `Progress.table`
    end : last instant of the data
    options : how long is looked, and how recent is recent
    """
    rows = [
        row
        for stage in range(progress.last)
        for row in _comparisons(progress.of(stage), last_channel.get(stage), end, options)
    ]
    table = pd.DataFrame(rows, columns=["stage", "channel", "compared_with", "drops", "cases", "others", "of_others"])
    table["stage"] = np.array(progress.stages, dtype=object)[table["stage"].to_numpy(np.int64)]
    counts = [table[name].to_numpy(float) for name in ("drops", "cases", "others", "of_others")]
    compared = (counts[1] >= FEW_CASES) & (counts[3] >= FEW_CASES)
    level = 1 - (1 - options.level) / max(int(compared.sum()), 1)
    low, high = difference_interval(counts[0], counts[1], counts[2], counts[3], level)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["drop"], table["reference_drop"] = counts[0] / counts[1], counts[2] / counts[3]
    table["excess"] = table["drop"] - table["reference_drop"]
    table["excess_low"], table["excess_high"] = (np.where(compared, bound, np.nan) for bound in (low, high))
    table["is_break"] = table["excess_low"] > 0
    table["reference_cases"] = table["of_others"]
    return table[list(FUNNEL_BREAKS.column_names)]


def _comparisons(
    arrivals: pd.DataFrame, last_channel: pd.Series | None, end: int, options: FunnelOptions
) -> list[tuple[object, ...]]:
    grown_up = arrivals[arrivals["at"] <= end - options.break_days * DAY]
    if grown_up.empty:
        return []
    stage = int(grown_up["stage"].iloc[0])
    # Where dates run backwards it has moved on, whenever that was.
    in_time = ~(grown_up["days_to_next"] > options.break_days) & (grown_up["outcome"] == MOVED)
    dropped = ~in_time
    recent = grown_up["at"] > grown_up["at"].max() - options.recent_days * DAY
    rows: list[tuple[object, ...]] = [(stage, None, "history", *_count_cells(dropped, recent, ~recent))]
    if last_channel is None:
        return rows
    channel = last_channel.reindex(grown_up.index)
    for name in sorted(channel.dropna().unique()):
        own = channel == name
        rows.append((stage, name, "history", *_count_cells(dropped, own & recent, own & ~recent)))
        rows.append((stage, name, "peers", *_count_cells(dropped, own, channel.notna() & ~own)))
    return rows


def _count_cells(dropped: pd.Series, some: pd.Series, reference: pd.Series) -> tuple[int, int, int, int]:
    return int((dropped & some).sum()), int(some.sum()), int((dropped & reference).sum()), int(reference.sum())
