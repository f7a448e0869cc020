"""Finished runs side by side: every channel under every model and specification, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from attribution.decisions.comparison.side_by_side import agreement_of, lay_side_by_side, ranked_by
from attribution.decisions.kpis import Run, counterparts, settings_that_differ
from attribution.errors import InputError
from attribution.schema.tables import TOTAL

ALWAYS, NEVER, DEPENDS = "pays under every", "pays under none", "depends"

_CLAIMS = {
    ALWAYS: "Spend pays back under all {tried} combinations of model and specification",
    NEVER: "Spend pays back under none of {tried} combinations of model and specification",
    DEPENDS: "Whether spend pays back depends on the model or the settings",
}

_BY = {"roi": "ROI", "conversions": "credited conversions"}


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    name : of what is compared
    specifications : names of the runs, the first being what others are held against
    tables : ``comparison`` and ``agreement``
    findings : the headline, in sentences
    notes : what the runs count differently
    metrics : the numbers of the whole
    verdicts : whether spend of each channel pays back, see `verdicts_of`; None unless every run has spend
    """

    name: str
    specifications: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    verdicts: pd.DataFrame | None = None


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
        raise InputError("a comparison needs at least two runs", given=len(runs))
    first = next(iter(runs.values()))
    for specification, run in runs.items():
        if run.terms != first.terms:
            raise InputError(
                f"run {specification!r} ranks channels by another return or cost than the first",
                given=" on ".join(run.terms),
                allowed=" on ".join(first.terms),
                hint="run one of them again with the returns.basis and returns.cost_basis of the other",
            )
    same_models = {specification: counterparts(run, first) for specification, run in runs.items()}
    sides = {name: {model: same_models[name].get(model) for model in run.models} for name, run in runs.items()}
    by, table = ranked_by(runs), lay_side_by_side(runs, sides)
    tables = {"comparison": table, "agreement": agreement_of(table, by)}
    verdicts = verdicts_of(table) if by == "roi" else None
    findings = (*_ranking_differences(runs), *_findings(tables, verdicts, by))
    return Comparison(name, tuple(runs), tables, findings, _notes(runs), _metrics(tables, verdicts), verdicts)


def verdicts_of(table: pd.DataFrame) -> pd.DataFrame:
    """Whether spend of each channel pays back, whatever the model and settings: a ``comparison``, counted.

    Returns
    -------
    One row per estimand and channel with spend: ``verdict``; ``tried``, the models × specifications that give it an
    ROI; ``pays``, the share of them in which that is above 0; the least and the most of ROI, the best and the worst
    rank; and how far ROI moves with the model (mean over specifications) and with the settings (mean over models).

    Examples
    --------
    >>> table = pd.DataFrame({"specification": ["a", "b"], "model": "m", "counterpart": "m", "estimand": "allocated",
    ...                       "channel": "x", "roi": [-0.5, 1.0], "rank": [1.0, 1.0]})
    >>> verdicts_of(table)[["verdict", "pays", "moved_by_settings"]].values.tolist()
    [['depends', 0.5, 1.5]]
    """
    rows = []
    same = table["counterpart"].fillna(table["model"])
    compared = table.assign(same=same)[table["roi"].notna() & (table["channel"] != TOTAL)]
    for (estimand, channel), of in compared.groupby(["estimand", "channel"]):
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
                "moved_by_settings": _mean_range(of, "same"),
            }
        )
    return pd.DataFrame(rows)


def _mean_range(rows: pd.DataFrame, within: str) -> float:
    return float(rows.groupby(within)["roi"].agg(lambda roi: roi.max() - roi.min()).mean())


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
        differ += [f"only {name} has model {model}" for model in gone]
        differ += [f"only {specification} has model {model}" for model in run.models if model not in same]
        notes.append(f"{specification}: {'; '.join(differ) or 'the same settings and data'}")
    return tuple(notes)


def _ranking_differences(runs: Mapping[str, Run]) -> list[str]:
    """What the ranks of the runs have not in common."""
    name, first = next(iter(runs.items()))
    by = {specification: ranked_by({specification: run}) for specification, run in runs.items()}
    sentences = []
    if len(set(by.values())) > 1:
        shown = {"roi": f"ROI on {' and '.join(first.terms)} cost", "conversions": "credited conversions"}
        each = "; ".join(f"{specification} by {shown[how]}" for specification, how in by.items())
        sentences.append(
            f"The runs are ranked by different things ({each}), so all are compared by credited conversions here. "
            "Add a costs table to every run to compare ROI."
        )
    for specification, run in list(runs.items())[1:]:
        if not counterparts(run, first):
            sentences.append(
                f"{specification} is ranked by other models than {name} ({', '.join(run.models)}; "
                f"{', '.join(first.models)}), so no rank is held against another. Run both with one model in common."
            )
    return sentences


def _findings(tables: Mapping[str, pd.DataFrame], verdicts: pd.DataFrame | None, by: str) -> list[str]:
    table = tables["comparison"]
    tried = len(table[["specification", "model"]].drop_duplicates())
    sentences = []
    if verdicts is not None:
        for verdict in (ALWAYS, NEVER, DEPENDS):
            channels = verdicts.loc[verdicts["verdict"] == verdict, "channel"].tolist()
            if channels:
                sentences.append(f"{_CLAIMS[verdict].format(tried=tried)}: {', '.join(channels)}.")
    moves = table[table["rank_change"].abs() > 0]
    if len(moves):
        row = moves.loc[moves["rank_change"].abs().idxmax()]
        sentences.append(
            f"Largest change from the first specification: {row['channel']} moves from rank "
            f"{row['rank'] - row['rank_change']:g} to {row['rank']:g} under {row['model']} in {row['specification']}."
        )
    elif table.loc[table["specification"] != table["specification"].iloc[0], "rank_change"].notna().any():
        sentences.append("No channel changes its rank between specifications.")
    pairs = tables["agreement"].dropna(subset=["kendall_tau"])
    if len(pairs):
        row = pairs.loc[pairs["kendall_tau"].idxmin()]
        sentences.append(
            f"The rankings that differ most are {row['model_a']} in {row['specification_a']} and {row['model_b']} in "
            f"{row['specification_b']} (Kendall tau {row['kendall_tau']:.2f}, on {_BY[by]})."
        )
    return sentences


def _metrics(tables: Mapping[str, pd.DataFrame], verdicts: pd.DataFrame | None) -> dict[str, float]:
    table, pairs = tables["comparison"], tables["agreement"]
    metrics = {
        "specifications": float(table["specification"].nunique()),
        "lowest_kendall_tau": float(pairs["kendall_tau"].min()),
        "largest_move": float(pairs["largest_move"].max()),
        "largest_rank_change": float(table["rank_change"].abs().max()),
    }
    if verdicts is not None:
        metrics |= {
            f"channels_{name}": float((verdicts["verdict"] == verdict).sum())
            for name, verdict in (("that_pay", ALWAYS), ("that_do_not_pay", NEVER), ("that_depend", DEPENDS))
        }
    return metrics
