"""Finished runs side by side: every channel under every model and specification, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from attribution.decisions.comparison.comparison_declared import COMPARISON, COMPARISON_AGREEMENT, COMPARISON_VERDICTS
from attribution.decisions.kpis import Run
from attribution.decisions.kpis.setting_differences import counterparts, settings_that_differ
from attribution.errors import InputError
from attribution.kernels.statistics import agreement as kernel
from attribution.returns.ranking import compare_rankings
from attribution.schema.tables import NO_CHANNELS

ALWAYS, NEVER, DEPENDS = "pays under every", "pays under none", "depends"

_CLAIMS = {
    ALWAYS: "Spend comes back under all {tried} models and specifications",
    NEVER: "Spend comes back under none of {tried} models and specifications",
    DEPENDS: "Whether spend comes back depends on model or settings",
}
_KEYS = ["specification", "model"]
_BY = {"roi": "ROI", "conversions": "credited conversions"}


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    name : of what is compared
    specifications : names of the runs, the first being what others are held against
    tables : ``comparison``, ``comparison_agreement`` and, where there is ROI, ``comparison_verdicts``
    findings : the headline, in sentences
    notes : what the runs count differently
    metrics : the numbers of the whole
    """

    name: str
    specifications: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def compare_runs(runs: Mapping[str, Run], name: str = "comparison") -> Comparison:
    """Put finished runs side by side, whatever models and settings they have.

    Parameters
    ----------
    runs : by the name of their specification; the first is what others are held against
    name : of what is compared

    Raises
    ------
    InputError
        If there are fewer than two runs, or the runs rank channels on different terms.

    Notes
    -----
    A model is the same in two runs if its label is; where the first run has no such label, the model at the same place
    counts if it is of the same class, such as a half-life that was swept.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs two runs or more", given=len(runs))
    first = next(iter(runs.values()))
    for specification, run in runs.items():
        if run.terms != first.terms:
            raise InputError(
                f"run {specification!r} ranks channels on other terms than the first",
                given=" on ".join(run.terms),
                allowed=" on ".join(first.terms),
                hint="run one of them again with the returns.basis and returns.cost_basis of the other",
            )
    ranked_by = {specification: compare_rankings(run.tables["returns"]).by for specification, run in runs.items()}
    by = "roi" if set(ranked_by.values()) == {"roi"} else "conversions"
    sides = pd.concat([_side(specification, run) for specification, run in runs.items()], ignore_index=True)
    table = _against_first(sides, runs, ranked_by)
    tables = {"comparison": table[list(COMPARISON.column_names)], "comparison_agreement": agreement_of(table, by)}
    if by == "roi":
        tables["comparison_verdicts"] = verdicts_of(table)
    notes = _notes(runs)
    findings = [*_ranked_apart(runs, ranked_by), *_findings(tables, by)]
    return Comparison(name, tuple(runs), tables, tuple(findings), notes, _metrics(tables))


def agreement_of(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The ``comparison_agreement`` table of a ``comparison``, on ``roi`` or ``conversions``."""
    scores = table.pivot(index="channel", columns=_KEYS, values=by)
    scores = scores[list(table[_KEYS].drop_duplicates().itertuples(index=False, name=None))]
    rows = []
    for place, a in enumerate(scores.columns):
        for b in scores.columns[place + 1 :]:
            both = scores[[a, b]].dropna()
            x, y = (np.ascontiguousarray(both[side], dtype=float) for side in (a, b))
            measures = (
                kernel.kendall_tau(x, y),
                kernel.spearman(x, y),
                kernel.rank_biased_overlap(x, y),
                kernel.top_overlap(x, y),
                kernel.largest_move(x, y),
            )
            rows.append((*a, *b, len(both), *measures))
    return pd.DataFrame(rows, columns=list(COMPARISON_AGREEMENT.column_names))


def verdicts_of(table: pd.DataFrame) -> pd.DataFrame:
    """The ``comparison_verdicts`` table of a ``comparison``.

    Examples
    --------
    >>> table = pd.DataFrame({"specification": ["a", "b"], "model": "m", "estimand": "allocated", "channel": "x",
    ...                       "roi": [-0.5, 1.0], "rank": [1.0, 1.0]})
    >>> verdicts_of(table)[["verdict", "pays", "moved_by_settings"]].values.tolist()
    [['depends', 0.5, 1.5]]
    """
    rows = []
    known = table[table["roi"].notna()]
    for (estimand, channel), of in known.groupby(["estimand", "channel"]):
        pays = float((of["roi"] > 0).mean())
        rows.append(
            {
                "estimand": estimand,
                "channel": channel,
                "verdict": ALWAYS if pays == 1 else NEVER if pays == 0 else DEPENDS,
                "tried": len(of),
                "pays": pays,
                "roi_least": of["roi"].min(),
                "roi_most": of["roi"].max(),
                "rank_best": of["rank"].min(),
                "rank_worst": of["rank"].max(),
                "moved_by_model": _mean_range(of, "specification"),
                "moved_by_settings": _mean_range(of.assign(same=of.get("counterpart", of["model"])), "same"),
            }
        )
    return pd.DataFrame(rows, columns=list(COMPARISON_VERDICTS.column_names))


def _mean_range(rows: pd.DataFrame, within: str) -> float:
    return float(rows.groupby(within)["roi"].agg(lambda roi: roi.max() - roi.min()).mean())


def _side(specification: str, run: Run) -> pd.DataFrame:
    """Rows of ``comparison`` of one run, without what is held against the first."""
    ranks = compare_rankings(run.tables["returns"]).ranks
    baseline = baseline_of(run)
    parts = []
    for model in run.models:
        rows = run.returns(model).drop(index=list(NO_CHANNELS), errors="ignore")
        kept = rows[["estimand", "spend", "conversions", "value", "roi", "roi_low", "roi_high"]].reset_index()
        rank = ranks[model].reindex(kept["channel"]).to_numpy(float)
        change = rank - ranks[baseline].reindex(kept["channel"]).to_numpy(float)
        keys = {"specification": specification, "model": model}
        parts.append(kept.assign(**keys, rank=rank, rank_change_from_baseline=change))
    return pd.concat(parts, ignore_index=True)


def baseline_of(run: Run) -> str:
    """Label of the model that others are held against: last touch where there is one, the first model otherwise."""
    asked = [spec.model for spec in run.experiment.models]
    return run.models[asked.index("LastTouch")] if "LastTouch" in asked else run.models[0]


def _against_first(sides: pd.DataFrame, runs: Mapping[str, Run], ranked_by: Mapping[str, str]) -> pd.DataFrame:
    specification, first = next(iter(runs.items()))
    named = {name: counterparts(run, first) for name, run in runs.items()}
    pairs = zip(sides["specification"], sides["model"], strict=True)
    counterpart = [named[name].get(model, model) for name, model in pairs]
    start = sides[sides["specification"] == specification].set_index(["model", "channel"])[["roi", "rank"]]
    before = start.reindex(pd.MultiIndex.from_arrays([counterpart, sides["channel"]]))
    rank_change = sides["rank"].to_numpy(float) - before["rank"].to_numpy(float)
    is_comparable = sides["specification"].map(ranked_by).eq(ranked_by[specification])
    return sides.assign(
        counterpart=counterpart,
        roi_change=sides["roi"].to_numpy(float) - before["roi"].to_numpy(float),
        # A rank by ROI and a rank by conversions are places in different races.
        rank_change=np.where(is_comparable, rank_change, np.nan),
    )


def _ranked_apart(runs: Mapping[str, Run], ranked_by: Mapping[str, str]) -> list[str]:
    """What keeps the ranks of a run from being held against those of the first."""
    name, first = next(iter(runs.items()))
    shown = {
        "roi": f"ROI on {' and '.join(first.terms)} costs",
        "conversions": "credited conversions (no spend is known)",
    }
    said = []
    if len(set(ranked_by.values())) > 1:
        by = "; ".join(f"{specification} by {shown[how]}" for specification, how in ranked_by.items())
        said.append(
            f"The runs are ranked by different things ({by}), so ranks by one are not held against ranks by the other. "
            "Give every run a costs table to compare ROI."
        )
    for specification, run in list(runs.items())[1:]:
        if not counterparts(run, first):
            said.append(
                f"{specification} is ranked by other models than {name} ({', '.join(run.models)}; "
                f"{', '.join(first.models)}), so no rank is held against another. Run both with one model in common."
            )
    return said


def _notes(runs: Mapping[str, Run]) -> tuple[str, ...]:
    """What each run counts differently from the first: settings, data, models."""
    notes = []
    name, first = next(iter(runs.items()))
    for specification, run in list(runs.items())[1:]:
        differ = [str(each) for each in settings_that_differ(first, run)]
        if first.digests and run.digests and dict(first.digests) != dict(run.digests):
            changed = sorted(
                table for table in {*first.digests, *run.digests} if first.digests.get(table) != run.digests.get(table)
            )
            differ.append(f"other data in {', '.join(changed)}")
        elif not (first.digests and run.digests):
            differ.append("whether the data are the same is not known")
        same = counterparts(run, first)
        gone = [model for model in first.models if model not in same.values()]
        differ += [f"model {model} only in {name}" for model in gone]
        differ += [f"model {model} only in {specification}" for model in run.models if model not in same]
        notes.append(f"{specification}: {'; '.join(differ) or 'the same settings and data'}")
    return tuple(notes)


def _findings(tables: Mapping[str, pd.DataFrame], by: str) -> list[str]:
    table = tables["comparison"]
    tried = len(table[_KEYS].drop_duplicates())
    said = []
    if by == "roi":
        verdicts = tables["comparison_verdicts"]
        for verdict in (ALWAYS, NEVER, DEPENDS):
            channels = verdicts.loc[verdicts["verdict"] == verdict, "channel"].tolist()
            if channels:
                said.append(f"{_CLAIMS[verdict].format(tried=tried)}: {', '.join(channels)}.")
    moves = table[table["rank_change"].abs() > 0]
    if len(moves):
        row = moves.loc[moves["rank_change"].abs().idxmax()]
        said.append(
            f"Largest move from the first specification: {row['channel']} from rank "
            f"{row['rank'] - row['rank_change']:g} to {row['rank']:g} under {row['model']} in {row['specification']}."
        )
    elif _held_against(table):
        said.append("No channel changes its rank between specifications.")
    pairs = tables["comparison_agreement"].dropna(subset=["kendall_tau"])
    if len(pairs):
        row = pairs.loc[pairs["kendall_tau"].idxmin()]
        said.append(
            f"Least agreement: {row['model_a']} in {row['specification_a']} and {row['model_b']} in "
            f"{row['specification_b']}, Kendall tau {row['kendall_tau']:.2f} on {_BY[by]}."
        )
    return said


def _held_against(table: pd.DataFrame) -> bool:
    """Whether any rank of a later specification is held against one of the first."""
    later = table["specification"] != table["specification"].iloc[0]
    return bool(table.loc[later, "rank_change"].notna().any())


def _metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    table, pairs = tables["comparison"], tables["comparison_agreement"]
    metrics = {
        "specifications": float(table["specification"].nunique()),
        "lowest_kendall_tau": float(pairs["kendall_tau"].min()),
        "largest_move": float(pairs["largest_move"].max()),
        "largest_rank_change": float(table["rank_change"].abs().max()),
    }
    if "comparison_verdicts" in tables:
        verdicts = tables["comparison_verdicts"]
        metrics |= {
            f"channels_{name}": float((verdicts["verdict"] == verdict).sum())
            for name, verdict in (("that_pay", ALWAYS), ("that_do_not_pay", NEVER), ("that_depend", DEPENDS))
        }
    return metrics
