"""The ``funnel`` of all arrivals: what happens from stage to stage, and where one point more is worth most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.decisions.funnel.funnel_declared import FUNNEL
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import Progress, belonging, ends_of, incidences, rates_of
from attribution.kernels.statistics.incidence import LOST, MOVED, STILL_OPEN, Incidence

Floats = NDArray[np.float64]

POINT = 0.01
"""One percentage point."""

GAINS = ("wins_through", "elasticity", "wins_per_point")
"""What a higher rate brings, of a stage as a whole and of a part of its arrivals alike."""


@dataclass(frozen=True)
class Wins:
    """Wins by the stages that their cases passed through.

    Attributes
    ----------
    passed : (ways, stages before the win) which stages a case passed through
    count : (ways,) wins that came that way
    moved : (stages before the win,) share of arrivals that moved on; NaN without arrivals
    arrivals : (stages before the win,) how many there are
    next_rate : (stages before the win,) share of the arrivals in the stage right after that are won; NaN without any
    of_arrival : (arrivals,) wins of each arrival's case, by row of `Progress.table`; shared where a case arrived twice
    """

    passed: NDArray[np.bool_]
    count: Floats
    moved: Floats
    arrivals: Floats
    next_rate: Floats
    of_arrival: pd.Series

    def total(self, moved: Floats | None = None) -> float:
        """Wins, had shares ``moved`` of arrivals moved on; who moves on fares like those who do now, see `per_case`."""
        scale, first = np.ones(len(self.moved)), 0.0
        if moved is not None:
            np.divide(moved, self.moved, out=scale, where=self.moved > 0)
            nobody_yet = (self.moved == 0) & (moved > 0)
            first = float((self.arrivals * moved * self.next_rate)[nobody_yet].sum())
        return float((self.count * np.where(self.passed, scale, 1.0).prod(axis=1)).sum()) + first

    @property
    def through(self) -> Floats:
        """(stages before the win,) wins that passed through each."""
        return np.asarray(self.count @ self.passed)

    @property
    def per_case(self) -> Floats:
        """(stages before the win,) wins of one case more that moves on: as many as of those that do.

        Where none does, nothing is known but how arrivals in the stage right after fare; NaN where there are none.
        """
        moved_on = self.arrivals * self.moved
        return np.divide(self.through, moved_on, out=self.next_rate.copy(), where=moved_on > 0)

    def per_point(self) -> Floats:
        """(stages before the win,) wins gained by one point more of each rate; NaN where there is no rate."""
        return np.asarray(POINT * np.where(self.arrivals > 0, self.arrivals, np.nan) * self.per_case)

    def elasticity(self, through: Floats | float) -> Floats | float:
        """Per cent of all wins gained by one per cent more of a rate that ``through`` wins passed; NaN without wins."""
        total = self.total()
        return through / total if total > 0 else through * np.nan

    def gains_of(self, stage: int, credit: float, rate: float, through: float) -> dict[str, float]:
        """What a higher rate of a part of the arrivals in one stage brings; NaN from the win on.

        Where none of the part moves on, those that would fare as all others that do, see `per_case`.

        Parameters
        ----------
        stage : position of the stage
        credit : arrivals in the part
        rate : share of them that moved on
        through : wins that passed through them
        """
        if stage >= len(self.moved):
            return dict.fromkeys(GAINS, np.nan)
        as_all_others = credit * float(self.per_case[stage]) if credit > 0 else np.nan
        per_point = POINT * (through / rate if rate > 0 else as_all_others)
        return dict(zip(GAINS, (through, float(self.elasticity(through)), per_point), strict=True))


def wins_of(progress: Progress) -> Wins:
    """Counted from all arrivals.

    A case that was recorded in a stage after the win, and never in the win itself, is won too.
    """
    table, before = progress.table, progress.won_at
    is_win = (table["stage"] == before) | ((table["stage"] > before) & (table["from_stage"] < before))
    earlier = table[table["stage"] < before]
    pairs = belonging(earlier, table[is_win])
    positions = pd.Series(np.arange(int(is_win.sum())), index=table.index[is_win])
    passed = np.zeros((len(positions), before), bool)
    passed[positions[pairs["row"]].to_numpy(), pairs["stage_of"].to_numpy()] = True
    ways, count = np.unique(passed, axis=0, return_counts=True)
    shared = 1.0 / pairs.groupby(["row", "stage_of"])["row_of"].transform("size")
    own = shared.groupby(pairs["row_of"]).sum().reindex(table.index).fillna(0.0)
    moved = (earlier["outcome"] == MOVED).groupby(earlier["stage"]).mean().reindex(range(before)).to_numpy(float)
    arrivals = np.bincount(earlier["stage"], minlength=before).astype(float)
    won = table.groupby("stage")["is_won"].mean().reindex(range(1, before)).to_numpy(float)
    # A win is won, whether or not any was recorded.
    return Wins(ways, count.astype(float), moved, arrivals, np.append(won, 1.0), own)


def average_win(progress: Progress) -> float:
    """Average amount of a win, of those with one; NaN where none is known."""
    return float(progress.of(progress.won_at)["amount"].mean())


@dataclass(frozen=True)
class Chances:
    """How likely an arrival, or an open case of some age, is to be won.

    Attributes
    ----------
    arrival : (stages,) of an arrival in each stage; 1 from the win on, NaN where nothing is known
    after : (stages,) of an arrival that moves on
    incidences : how cases of each stage but the last move on with age
    assumed : probabilities that were said and not learned
    """

    arrival: Floats
    after: Floats
    incidences: list[Incidence]
    assumed: dict[int, float]

    def of_open(self, stage: int, ages: Floats) -> Floats:
        """(n,) probability of open cases of ``ages`` (n,) days: what has waited long is less likely to move on."""
        if stage in self.assumed:
            return np.full(len(ages), self.assumed[stage])
        result: Floats = self.incidences[stage].still_to_move(ages) * self.after[stage]
        return result


def learn_chances(progress: Progress, options: FunnelOptions) -> Chances:
    """Matured rates, stage after stage, to where those who moved on went."""
    size, curves = len(progress.stages), incidences(progress)
    assumed = {progress.stages.index(name): float(share) for name, share in options.probabilities.items()}
    arrival, after = np.full(size, np.nan), np.full(size, np.nan)
    arrival[progress.won_at :] = 1.0
    for stage in range(progress.won_at - 1, -1, -1):
        ahead = np.bincount(
            progress.of(stage).loc[lambda rows: rows["next_stage"] >= 0, "next_stage"], minlength=size
        ).astype(float)
        # Nobody has moved on: nothing is known of what comes after, and nothing of it counts.
        reached = ahead > 0
        after[stage] = float((ahead[reached] * arrival[reached]).sum() / ahead.sum()) if reached.any() else 0.0
        has_arrivals = len(progress.of(stage)) > 0
        arrival[stage] = assumed.get(stage, curves[stage].final * after[stage] if has_arrivals else np.nan)
    return Chances(arrival, after, curves, assumed)


def funnel_table(progress: Progress, chances: Chances, options: FunnelOptions) -> pd.DataFrame:
    """The ``funnel`` table.

    Wins are counted by the stages that they passed through. A rate that rises brings more of the cases that move on
    now, and they fare as these do: all other rates stay as they are. Where nobody moves on yet, they fare as arrivals
    in the stage right after do.
    """
    win, wins = average_win(progress), wins_of(progress)
    rows = [_row(progress, stage, chances.arrival[stage], win, options.level) for stage in range(len(progress.stages))]
    table = pd.DataFrame(rows)
    gains = (wins.through, wins.elasticity(wins.through), wins.per_point())
    for name, of_stages in zip(GAINS, gains, strict=True):
        # There is nothing to win from the win on: these stages have none, and stay null.
        table[name] = pd.Series(of_stages)
    table["value_per_point"] = table["wins_per_point"] * win
    most = table["wins_per_point"].max()
    # Where nothing is won whatever one rate is, none of them is what holds wins back.
    table["is_bottleneck"] = (table["wins_per_point"] == most) & (most > 0)
    return table[list(FUNNEL.column_names)]


def _row(progress: Progress, stage: int, chance: float, win: float, level: float) -> dict[str, object]:
    rows, table = progress.of(stage), progress.table
    counts = {name: int((rows["outcome"] == code).sum()) for name, code in _OUTCOMES.items()}
    if stage == progress.last:
        counts = dict.fromkeys(counts, 0)
    return {
        "position": stage,
        "stage": progress.stages[stage],
        "arrivals": len(rows),
        "customers": rows["customer"].nunique(),
        **counts,
        **rates_of(progress, rows),
        **ends_of(progress, rows, np.ones(len(rows)), level),
        "win_rate_matured": chance if stage < progress.won_at else np.nan,
        "value": rows["amount"].sum(min_count=1),
        "value_per_arrival": chance * win if stage < progress.won_at else np.nan,
        "skipped": int(((table["stage"] > stage) & (table["from_stage"] < stage)).sum()),
        "out_of_order": int(rows["is_out_of_order"].sum()),
    }


_OUTCOMES = {"moved_on": MOVED, "lost": LOST, "open": STILL_OPEN}
