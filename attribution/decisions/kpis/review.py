"""The review of two runs: what changed, why ROI moved, what declined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments
from attribution.decisions.kpis.alerts import Thresholds, find_alerts, find_substitutes
from attribution.decisions.kpis.kpis_declared import REVIEW
from attribution.decisions.kpis.roi_change import PARTS, TOTAL, check_terms, side_of, split_roi_change
from attribution.decisions.kpis.runs import Run, read_run
from attribution.decisions.kpis.setting_differences import settings_that_differ
from attribution.errors import InputError
from attribution.schema.tables import NO_CHANNELS


@dataclass(frozen=True)
class Review:
    """What two runs say when they are laid side by side.

    Attributes
    ----------
    before, after : names of the runs
    tables : ``review``, ``roi_changes``, ``alerts`` and ``substitutes``
    notes : what to know before the numbers are read, in sentences
    """

    before: str
    after: str
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = field(default=())

    @property
    def findings(self) -> list[str]:
        """How total ROI moved under each model, by which part and which channel most, and every alert."""
        said = [_sentence(self.tables, model) for model in dict.fromkeys(self.tables["review"]["model"])]
        alerts = self.tables["alerts"]
        return said + ([f"Alert: {message}" for message in alerts["message"]] or ["No alerts."])

    @property
    def metrics(self) -> dict[str, float]:
        """Its numbers by name, as they are tracked."""
        review, changes = self.tables["review"], self.tables["roi_changes"]
        named = {f"roi_change/{row.model} {row.channel}": row.roi_change for row in review.itertuples()}
        whole = changes[changes["channel"] == TOTAL]
        named |= {f"roi_change_{row.part}/{row.model}": row.roi_change for row in whole.itertuples()}
        return {name: float(value) for name, value in named.items()} | {"alerts": float(len(self.tables["alerts"]))}


@check_arguments
def review_runs(
    before: Run | str | Path,
    after: Run | str | Path,
    *,
    model: str | None = None,
    model_before: str | None = None,
    thresholds: Thresholds | None = None,
) -> Review:
    """Lay two runs side by side.

    Parameters
    ----------
    before, after : output folders of runs, or runs that were read
    model : label of the model of the later run; every model that both have unless given
    model_before : label of the model of the earlier run, where it was another
    thresholds : what an alert takes

    Returns
    -------
    Review
        Its ``tables`` and ``findings``, the latter as sentences.

    Raises
    ------
    InputError
        If a folder is not that of a run, or the runs cannot be compared.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> def run(value):
    ...     return at.run_of(at.run_experiment(at.Experiment(
    ...         name="shop",
    ...         tables={"paths": pd.DataFrame({"path": ["mail", "search"], "conversions": [10, 20], "value": value}),
    ...                 "costs": pd.DataFrame({"channel": ["mail", "search"], "amount": [50.0, 50.0]})},
    ...         models=[{"model": "Linear"}],
    ...     )))
    >>> before, after = run([100.0, 200.0]), run([150.0, 200.0])
    >>> at.review_runs(before, after).findings[0]
    'Under linear, total ROI went from 2.00 to 2.50 (+0.50): value +0.50; mail adds most to it (+0.50).'
    """
    was, now = (run if isinstance(run, Run) else read_run(run) for run in (before, after))
    check_terms(was, now)
    pairs = _pairs(was, now, model, model_before)
    changes = [split_roi_change(was, now, model=label, model_before=earlier) for earlier, label in pairs]
    reviews = [_review(was, now, earlier, label) for earlier, label in pairs]
    leading = pairs[0]
    # Another model would look like a decline: alerts are of one model in both runs.
    watched = leading[1] if leading[1] in was.models else leading[0]
    alerts = find_alerts(was, now, model=watched, thresholds=thresholds or Thresholds())
    tables = {
        "review": pd.concat(reviews, ignore_index=True),
        "roi_changes": pd.concat(changes, ignore_index=True),
        "alerts": alerts,
        "substitutes": find_substitutes(was, now, alerts, model=watched),
    }
    return Review(was.name, now.name, tables, tuple(_notes(was, now, leading)))


def _pairs(before: Run, after: Run, model: str | None, model_before: str | None) -> list[tuple[str, str]]:
    if model is not None or model_before is not None:
        now = model or str(model_before)
        return [(model_before or now, now)]
    shared = [label for label in after.models if label in before.models]
    if not shared:
        raise InputError(
            "the runs have no model in common",
            given=f"{', '.join(before.models)}; {', '.join(after.models)}",
            hint="name a model of the later run and one of the earlier run; one of the runs must have both",
        )
    return [(label, label) for label in shared]


def _review(before: Run, after: Run, was: str, model: str) -> pd.DataFrame:
    start, end = before.returns(was), after.returns(model)
    channels = sorted((set(start.index) | set(end.index)) - set(NO_CHANNELS))
    parts = {"channel": [*channels, TOTAL]}
    for when, run, label, rows in (("before", before, was, start), ("after", after, model, end)):
        rows = rows.reindex(channels)
        paid = side_of(run, label, channels)
        cost, earned = paid.costs.sum(), paid.returns.sum()
        parts[f"spend_{when}"] = [*rows["spend"], cost]
        parts[f"conversions_{when}"] = [*rows["conversions"].fillna(0.0), paid.conversions.sum()]
        parts[f"return_{when}"] = [*rows["value"].fillna(0.0), earned]
        parts[f"roi_{when}"] = [*rows["roi"], (earned - cost) / cost if cost > 0 else np.nan]
        parts[f"rank_{when}"] = [*rows["rank"], np.nan]
    table = pd.DataFrame(parts)
    table["roi_change"] = table["roi_after"] - table["roi_before"]
    apart = intervals_apart(start.reindex(channels), end.reindex(channels), "roi")
    table["beyond_sampling"] = pd.Series([*apart, None], dtype="boolean")
    basis, cost_basis = after.terms
    table = table.assign(model=model, model_before=was, basis=basis, cost_basis=cost_basis)
    return table[list(REVIEW.column_names)]


def intervals_apart(before: pd.DataFrame, after: pd.DataFrame, measure: str) -> list[bool | None]:
    """Whether the intervals of a measure in both runs lie apart, row by row; None where one is not known."""
    low, high = f"{measure}_low", f"{measure}_high"
    ends = zip(before[low], before[high], after[low], after[high], strict=True)
    return [None if np.isnan([a, b, c, d]).any() else bool(b < c or d < a) for a, b, c, d in ends]


def _notes(before: Run, after: Run, pair: tuple[str, str]) -> list[str]:
    notes = [
        "Parts are Shapley values of the factors of (volume · rate · value) ÷ (spend · cost); they add up exactly. "
        "They describe: a part named rate says that credited conversions per journey rose, not what raised them.",
        "Allocated is not incremental: credit divides observed conversions.",
    ]
    if before.days is not None and after.days is not None and before.days != after.days:
        notes.append(
            f"The runs cover {before.days} and {after.days} days: spend and volume move with the length of the period."
        )
    if (before.days is None) != (after.days is None):
        short = before if before.days is None else after
        notes.append(f"How many days run {short.name!r} covers is not known: the runs are taken to be equally long.")
    lacking = [run.name for run in (before, after) if "journey_profile" not in run.tables]
    if lacking:
        notes.append(f"Run {lacking[0]!r} has no journey_profile: part rate is that of conversions, volume and all.")
    if pair[0] != pair[1]:
        notes.append(f"The model changed from {pair[0]} to {pair[1]}; part model is what that alone does to ROI.")
    notes += _notes_on_settings(before, after)
    if "roi_low" not in after.returns(pair[1]) or after.returns(pair[1])["roi_low"].isna().all():
        notes.append("The later run has no intervals: small changes may be chance.")
    return notes


def _notes_on_settings(before: Run, after: Run) -> list[str]:
    """Other days are what a review is about; whatever else decides credit is within the parts."""
    differing = settings_that_differ(before, after)
    said = {
        "The runs count other days: {}.": [each for each in differing if each.part == "period"],
        "The runs count differently, and what that does to ROI is within the other parts: {}. "
        "Run one of them again to tell it apart.": [
            each for each in differing if each.decides_credit and each.part != "period"
        ],
        "The runs differ in settings that move no ROI, but intervals, verdicts or plans: {}.": [
            each for each in differing if not each.decides_credit
        ],
    }
    return [sentence.format("; ".join(map(str, of))) for sentence, of in said.items() if of]


def _sentence(tables: Mapping[str, pd.DataFrame], model: str) -> str:
    whole = tables["review"].query("model == @model and channel == @TOTAL", local_dict={"model": model, "TOTAL": TOTAL})
    was, now = float(whole["roi_before"].iloc[0]), float(whole["roi_after"].iloc[0])
    if np.isnan(was) or np.isnan(now):
        return f"Under {model}, one of the runs has no channel with spend, so ROI cannot be compared."
    changes = tables["roi_changes"]
    changes = changes[changes["model"] == model]
    total = changes[changes["channel"] == TOTAL].set_index("part")["total_change"].reindex(list(PARTS))
    shown = ", ".join(f"{part} {change:+.2f}" for part, change in total.items() if abs(change) >= 0.005)
    by_channel = changes[changes["channel"] != TOTAL].groupby("channel")["total_change"].sum()
    text = f"Under {model}, total ROI went from {was:.2f} to {now:.2f} ({now - was:+.2f})"
    if not shown:
        return f"{text}; no part of it moved by 0.01."
    widest = by_channel.abs().idxmax()
    return f"{text}: {shown}; {widest} adds most to it ({by_channel[widest]:+.2f})."
