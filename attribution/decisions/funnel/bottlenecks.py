"""Where one point more is worth most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attribution.decisions.funnel.credit import StageCredit
from attribution.decisions.funnel.funnel_declared import BOTTLENECKS
from attribution.decisions.funnel.progress import Progress
from attribution.decisions.funnel.stages import POINT, Wins, average_win, wins_of
from attribution.kernels.statistics.incidence import MOVED
from attribution.schema.tables import NO_CHANNELS


def bottleneck_table(progress: Progress, credited: Sequence[StageCredit]) -> pd.DataFrame:
    """The ``bottlenecks`` table.

    Wins are counted by the stages that they passed through. A rate that rises brings more of the cases that move on
    now, and they fare as these do: all other rates stay as they are. Where nobody moves on yet, they fare as arrivals
    in the stage right after do. A channel's row is the same for the arrivals that the model credits it with; where none
    of these moves on, those that would fare as all others that do.
    """
    wins, win = wins_of(progress), average_win(progress)
    total, gained = wins.total(), wins.per_point()
    whole = pd.DataFrame(
        {
            "stage": progress.stages[: progress.won_at],
            "model": None,
            "channel": None,
            "rate_to_next": wins.moved,
            "wins_through": wins.through,
            "elasticity": wins.through / total if total > 0 else np.nan,
            "wins_per_point": gained,
            "value_per_point": gained * win,
        }
    )
    most = np.nanmax(gained) if np.isfinite(gained).any() else np.nan
    # Where nothing is won whatever one rate is, none of them is what holds wins back.
    whole["is_bottleneck"] = (gained == most) & (most > 0)
    parts = [
        _of_channels(progress, stage, wins, win)
        for stage in credited
        if stage.stage < progress.won_at and stage.allocated
    ]
    table = pd.concat([whole.astype({"model": object, "channel": object}), *parts], ignore_index=True)
    return table[list(BOTTLENECKS.column_names)]


def _of_channels(progress: Progress, credited: StageCredit, wins: Wins, win: float) -> pd.DataFrame:
    total = wins.total()
    parts = []
    for label, handed in credited.allocated.items():
        moved = (progress.table["outcome"] == MOVED).reindex(handed["arrival"]).to_numpy()
        through = wins.of_arrival.reindex(handed["arrival"]).to_numpy() * handed["credit"]
        sums = pd.DataFrame(
            {
                "channel": handed["channel"],
                "_last": handed["channel"].isin(NO_CHANNELS),
                "credit": handed["credit"],
                "moved": handed["credit"] * moved,
                "wins_through": through,
            }
        )
        parts.append(sums.groupby(["_last", "channel"], as_index=False).sum().assign(model=label))
    table = pd.concat(parts, ignore_index=True)
    rate = table["moved"] / table["credit"].where(table["credit"] > 0)
    as_others = POINT * table["credit"].where(table["credit"] > 0) * wins.per_case[credited.stage]
    gained = (POINT * table["wins_through"] / rate.where(rate > 0)).where(rate > 0, as_others)
    return table.assign(
        stage=progress.stages[credited.stage],
        rate_to_next=rate,
        elasticity=table["wins_through"] / total if total > 0 else np.nan,
        wins_per_point=gained,
        value_per_point=gained * win,
        is_bottleneck=False,
    )
