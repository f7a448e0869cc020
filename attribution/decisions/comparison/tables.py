"""Finished runs side by side: every channel under every model and specification, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from attribution.decisions.comparison.side_by_side import (
    agreement_of,
    channels_of,
    check_one_business,
    lay_side_by_side,
    ranked_by,
)
from attribution.decisions.kpis import Run, counterparts, settings_that_differ
from attribution.errors import InputError
from attribution.schema.tables import TOTAL
from attribution.uncertainty.model_checks import failed_checks

ABOVE, BELOW, DEPENDS, UNSURE = "credit above spend", "credit below spend", "depends", "no intervals"
"""What the intervals of a channel say under all models and settings together; credit is not what was caused."""

_CLAIMS = {
    ABOVE: "More is credited than spent, by every interval of {tried} combinations of model and specification",
    BELOW: "Less is credited than spent, by every interval of {tried} combinations of model and specification",
    DEPENDS: "Whether more is credited than spent depends on the sample, the model or the settings",
    UNSURE: "Whether more is credited than spent is not known without intervals (set resampling)",
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
    verdicts : whether each channel is credited with more than its spend, see `verdicts_of`; None unless every run has
        spend
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
        If there are fewer than two runs, they are of two businesses, or they rank channels on different terms.

    Notes
    -----
    A model is the same in two runs if its label is; where the first run has no such label, the model at the same place
    counts if it is of the same class, such as a half-life that was swept.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs at least two runs", given=len(runs))
    first = next(iter(runs.values()))
    check_one_business(runs)
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
    failed = {(name, model) for name, run in runs.items() for model in failed_checks(run.tables)}
    passes = [key not in failed for key in zip(table["specification"], table["model"], strict=True)]
    verdicts = verdicts_of(table[passes]) if by == "roi" else None
    findings = (*_ranking_differences(runs), *_findings(tables, verdicts, by))
    return Comparison(name, tuple(runs), tables, findings, _notes(runs), _metrics(tables, verdicts), verdicts)


def verdicts_of(table: pd.DataFrame) -> pd.DataFrame:
    """Whether each channel is credited with more than its spend, whatever the model and settings, by its intervals.

    Returns
    -------
    One row per estimand and channel with spend: ``verdict``; ``tried``, the models × specifications that give it an
    ROI; ``above``, the share of them in which that is above 0 at the estimate; the least and the most of ROI, the best
    and the worst rank; and how far ROI moves with the model (mean over specifications) and with the settings (mean
    over models).

    Examples
    --------
    >>> table = pd.DataFrame({"specification": ["a", "b"], "model": "m", "counterpart": "m", "estimand": "allocated",
    ...                       "channel": "x", "roi": [-0.5, 1.0], "roi_low": [-0.7, 0.1], "roi_high": [-0.1, 1.4],
    ...                       "rank": [1.0, 1.0]})
    >>> verdicts_of(table)[["verdict", "above", "moved_by_settings"]].values.tolist()
    [['depends', 0.5, 1.5]]
    """
    rows = []
    same = table["counterpart"].fillna(table["model"])
    compared = table.assign(same=same)[table["roi"].notna() & (table["channel"] != TOTAL)]
    for (estimand, channel), of in compared.groupby(["estimand", "channel"]):
        rows.append(
            {
                "estimand": estimand,
                "channel": channel,
                "verdict": _by_intervals(of),
                "tried": len(of),
                "above": float((of["roi"] > 0).mean()),
                "roi_least": of["roi"].min(),
                "roi_most": of["roi"].max(),
                "rank_best": of["rank"].min(),
                "rank_worst": of["rank"].max(),
                "moved_by_model": _mean_range(of, "specification"),
                "moved_by_settings": _mean_range(of, "same"),
            }
        )
    return pd.DataFrame(rows)


def _by_intervals(rows: pd.DataFrame) -> str:
    low, high = rows["roi_low"], rows["roi_high"]
    if low.isna().any():
        return UNSURE
    return ABOVE if (low > 0).all() else BELOW if (high < 0).all() else DEPENDS


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
        shared, every = (len(names) for names in _channels(first, run))
        if 2 * shared < every:
            differ.append(f"only {shared} of {every} channels are in both, so they may be of two businesses")
        if first.digests and run.digests and not set(first.digests) & set(run.digests):
            differ.append("they have no kind of table in common, so they may be of two businesses")
        notes.append(f"{specification}: {'; '.join(differ) or 'the same settings and data'}")
    return tuple(notes)


def _channels(*runs: Run) -> tuple[set[str], set[str]]:
    """Channels that all runs have, and those that any has."""
    each = [channels_of(run) for run in runs]
    return set.intersection(*each), set.union(*each)


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
        for verdict in _CLAIMS:
            rows = verdicts[verdicts["verdict"] == verdict] if len(verdicts) else verdicts
            channels = [
                row.channel if row.estimand == "allocated" else f"{row.channel} ({row.estimand})"
                for row in rows.itertuples(index=False)
            ]
            if channels:
                sentences.append(f"{_CLAIMS[verdict].format(tried=tried)}: {', '.join(channels)}.")
    moves = table[table["rank_change"].abs() > 0]
    if len(moves):
        row = moves.loc[moves["rank_change"].abs().idxmax()]
        sentences.append(
            f"Largest change from the first specification: {row['channel']} moves from rank "
            f"{row['rank'] - row['rank_change']:g} to {row['rank']:g} under {row['model']} in {row['specification']}"
            f"{_how_sure(row['beyond_sampling'])}."
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


def _how_sure(beyond_sampling: object) -> str:
    if pd.isna(beyond_sampling):
        return "; there are no intervals, so this may be chance"
    return "" if beyond_sampling else "; its intervals overlap, so this may be chance"


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
            f"channels_{name}": float((verdicts["verdict"] == verdict).sum()) if len(verdicts) else 0.0
            for name, verdict in (("above_spend", ABOVE), ("below_spend", BELOW), ("that_depend", DEPENDS))
        }
    return metrics
