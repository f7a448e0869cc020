"""The rows of a comparison: every channel under every model of every run, and what changed against the first run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.decisions.comparison.comparison_declared import COMPARISON
from attribution.decisions.comparison.roi_change import side_of
from attribution.decisions.kpis import Run
from attribution.errors import InputError
from attribution.returns.ranking import compare_rankings, measure_agreement
from attribution.schema.tables import NO_CHANNELS, TOTAL

Counterparts = Mapping[str, str | None]
"""For each model of a run that is compared, the label of the same model in the first run; None if it has none."""

_KEYS = ["specification", "model"]
_OF_THE_RUN = ["spend", "conversions", "value", "roi", "roi_low", "roi_high"]


def lay_side_by_side(runs: Mapping[str, Run], counterparts: Mapping[str, Counterparts]) -> pd.DataFrame:
    """The ``comparison`` table of runs, by the name of their specification; changes are against the first.

    A channel that a run does not have is credited with nothing there; (total) is of the run's channels with spend.
    """
    by = ranked_by(runs)
    models = [run.returns(model) for name, run in runs.items() for model in counterparts[name]]
    channels = sorted(set().union(*(rows.index for rows in models)) - set(NO_CHANNELS))
    parts = [_rows_of(name, run, counterparts[name], channels, by=by) for name, run in runs.items()]
    table = pd.concat(parts, ignore_index=True)
    start = table[table["specification"] == next(iter(runs))].set_index(["model", "channel"])
    start = start[["roi", "roi_low", "roi_high", "rank"]].reindex(
        pd.MultiIndex.from_arrays([table["counterpart"], table["channel"]])
    )
    return table.assign(
        roi_change=table["roi"].to_numpy(float) - start["roi"].to_numpy(float),
        rank_change=table["rank"].to_numpy(float) - start["rank"].to_numpy(float),
        beyond_sampling=pd.Series(intervals_apart(start, table, "roi"), dtype="boolean"),
    )[list(COMPARISON.column_names)]


def channels_of(run: Run) -> set[str]:
    """The channels of a run."""
    return set(run.tables["returns"]["channel"]) - set(NO_CHANNELS)


def check_one_business(runs: Mapping[str, Run]) -> None:
    """Refuse runs whose money is in two currencies, or that have no channel in common.

    Raises
    ------
    InputError
        If a run differs so from the first.
    """
    (name, first), *further = runs.items()
    for other, run in further:
        pair = f"runs {name!r} and {other!r}"
        currencies = first.experiment.returns.currency, run.experiment.returns.currency
        if None not in currencies and currencies[0] != currencies[1]:
            raise InputError(
                f"{pair} are in two currencies, so their numbers cannot be compared",
                given=", ".join(map(str, currencies)),
                hint="run one of them again in the currency of the other",
            )
        ends = channels_of(first), channels_of(run)
        if all(ends) and not ends[0] & ends[1]:
            raise InputError(
                f"{pair} have no channel in common, so they seem to be of two businesses",
                given="; ".join(", ".join(sorted(names)[:5]) for names in ends),
                hint="compare runs of one business, or call the same channels alike with channel rules",
            )


def ranked_by(runs: Mapping[str, Run]) -> str:
    """What channels are ranked by: ``roi`` if every run knows one, ``conversions`` otherwise."""
    return "roi" if all(run.tables["returns"]["roi"].notna().any() for run in runs.values()) else "conversions"


def baseline_of(run: Run) -> str:
    """Label of the model that others are held against: last touch where there is one, the first model otherwise."""
    classes = [spec.model for spec in run.experiment.models]
    return run.models[classes.index("LastTouch")] if "LastTouch" in classes else run.models[0]


def intervals_apart(before: pd.DataFrame, after: pd.DataFrame, measure: str) -> list[bool | None]:
    """Whether the intervals of a measure in both runs lie apart, row by row; None where one is not known."""
    low, high = f"{measure}_low", f"{measure}_high"
    ends = zip(before[low], before[high], after[low], after[high], strict=True)
    return [None if np.isnan([a, b, c, d]).any() else bool(b < c or d < a) for a, b, c, d in ends]


def agreement_of(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The ``agreement`` table of a ``comparison``, each pair once, on ``roi`` or ``conversions``."""
    ranked = table[table["channel"] != TOTAL]
    scores = ranked.assign(score=ranked[by].where(ranked["rank"].notna()))
    scores = scores.pivot(index="channel", columns=_KEYS, values="score")
    keys = list(table[_KEYS].drop_duplicates().itertuples(index=False, name=None))
    return measure_agreement(scores[keys], keys, itertools.combinations(range(len(keys)), 2))


def _rows_of(name: str, run: Run, counterparts: Counterparts, channels: list[str], *, by: str) -> pd.DataFrame:
    """Rows of one run, without what changed."""
    returns = run.tables["returns"]
    ranks = compare_rankings(returns if by == "roi" else returns.assign(roi=np.nan)).ranks.reindex(channels)
    baseline = baseline_of(run)
    basis, cost_basis = run.terms
    keys = {"specification": name, "basis": basis, "cost_basis": cost_basis}
    parts = []
    for model, counterpart in counterparts.items():
        credited = run.returns(model)
        rows = credited.reindex(channels)[_OF_THE_RUN].fillna({"conversions": 0.0, "value": 0.0})
        rows = rows.assign(rank=ranks[model], rank_change_from_baseline=ranks[model] - ranks[baseline])
        total = _total(run, model, channels)
        columns = {column: [*rows[column], total.get(column, np.nan)] for column in rows}
        own = {"model": model, "counterpart": counterpart, "estimand": credited["estimand"].iloc[0]}
        parts.append(pd.DataFrame({"channel": [*channels, TOTAL], **columns}).assign(**keys, **own))
    return pd.concat(parts, ignore_index=True)


def _total(run: Run, model: str, channels: list[str]) -> dict[str, float]:
    """All channels with spend together; they have no interval and no rank."""
    paid = side_of(run, model, channels)
    cost, earned = float(paid.costs.sum()), float(paid.returns.sum())
    roi = (earned - cost) / cost if cost > 0 else np.nan
    return {"spend": cost, "conversions": float(paid.conversions.sum()), "value": earned, "roi": roi}
