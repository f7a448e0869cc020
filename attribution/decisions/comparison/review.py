"""The review of two runs: what changed, why ROI moved, what declined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from attribution.amounts import format_roi
from attribution.arguments import check_arguments
from attribution.decisions.comparison.alerts import Thresholds, find_alerts, without_substitutes
from attribution.decisions.comparison.log_ends import say_log_ends
from attribution.decisions.comparison.roi_change import (
    PARTS,
    check_terms,
    counts_by_last_touch,
    split_roi_change,
)
from attribution.decisions.comparison.side_by_side import check_one_business, lay_side_by_side
from attribution.decisions.kpis import Run, SettingDifference, read_run, settings_that_differ
from attribution.errors import InputError
from attribution.schema.tables import TOTAL


@dataclass(frozen=True)
class Review:
    """What two runs say when they are laid side by side.

    Attributes
    ----------
    before, after : names of the runs, which are their specifications in ``comparison``
    tables : ``comparison``, ``roi_parts`` and ``alerts``
    notes : what to know before the numbers are read, in sentences
    """

    before: str
    after: str
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = field(default=())

    @property
    def findings(self) -> list[str]:
        """How total ROI moved under each model, by which part and which channel most, and every alert."""
        sentences = [_sentence(*self.total_roi(model), self.tables["roi_parts"], model) for model in self.models]
        alerts = without_substitutes(self.tables["alerts"])
        return sentences + ([f"Alert: {message}" for message in alerts["message"]] or ["No alerts."])

    @property
    def models(self) -> list[str]:
        """Labels of the models of the later run."""
        return list(dict.fromkeys(self._later["model"]))

    @property
    def _later(self) -> pd.DataFrame:
        table = self.tables["comparison"]
        return table[table["specification"] == self.after]

    def total_roi(self, model: str) -> tuple[float, float]:
        """ROI of all channels with spend in the earlier and in the later run, under a model of the later one."""
        whole = self.tables["comparison"].query("channel == @TOTAL", local_dict={"TOTAL": TOTAL})
        whole = whole.set_index(["specification", "model"])
        after = whole.loc[(self.after, model)]
        return float(whole.loc[(self.before, after["counterpart"]), "roi"]), float(after["roi"])

    @property
    def metrics(self) -> dict[str, float]:
        """Its numbers by name, as they are tracked."""
        changes = self.tables["roi_parts"]
        metrics = {f"roi_change/{row.model} {row.channel}": row.roi_change for row in self._later.itertuples()}
        whole = changes[changes["slice"] == TOTAL]
        metrics |= {f"roi_change_{row.part}/{row.model}": row.roi_gap for row in whole.itertuples()}
        metrics["alerts"] = len(without_substitutes(self.tables["alerts"]))
        return {name: float(value) for name, value in metrics.items()}


@check_arguments
def review_runs(
    before: Run | str | Path,
    after: Run | str | Path,
    *,
    model: str | None = None,
    model_before: str | None = None,
    thresholds: Thresholds | None = None,
) -> Review:
    """Compare two runs, and split the change of ROI between them.

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
    >>> print(at.review_runs(before, after).findings[0].replace(": ", ":\\n"))
    Under linear, total ROI went from +200 % to +250 % (+50 points):
    value +50. The largest part comes from mail (+50).
    """
    was, now = (run if isinstance(run, Run) else read_run(run) for run in (before, after))
    check_one_business({f"{was.name} (before)": was, f"{now.name} (after)": now})
    check_terms(was, now)
    pairs = _pairs(was, now, model, model_before)
    changes = [split_roi_change(was, now, model=label, model_before=earlier) for earlier, label in pairs]
    names = (was.name, now.name) if was.name != now.name else (f"{was.name} (before)", f"{now.name} (after)")
    sides = ({earlier: earlier for earlier, _ in pairs}, {label: earlier for earlier, label in pairs})
    leading = pairs[0]
    # Another model would look like a decline: alerts are of one model in both runs.
    watched = leading[1] if leading[1] in was.models else leading[0]
    tables = {
        "comparison": lay_side_by_side(dict(zip(names, (was, now), strict=True)), dict(zip(names, sides, strict=True))),
        "roi_parts": pd.concat(changes, ignore_index=True),
        "alerts": find_alerts(was, now, model=watched, thresholds=thresholds or Thresholds()),
    }
    return Review(*names, tables, tuple(_notes(was, now, leading)))


def _pairs(before: Run, after: Run, model: str | None, model_before: str | None) -> list[tuple[str, str]]:
    if model is not None or model_before is not None:
        now = model or str(model_before)
        return [(model_before or now, now)]
    shared = [label for label in after.models if label in before.models]
    if not shared:
        raise InputError(
            "the runs have no model in common",
            given=f"{', '.join(before.models)}; {', '.join(after.models)}",
            hint="choose a model of the later run and one of the earlier run; one of the runs must have both",
        )
    return [(label, label) for label in shared]


def _notes(before: Run, after: Run, pair: tuple[str, str]) -> list[str]:
    notes = [
        "Parts are Shapley values of the factors of (volume · rate · value) ÷ (spend · cost) and add up exactly. They "
        "describe the change, not its cause: the part rate shows that credited conversions per journey changed.",
        "Credit divides the observed conversions; it is not incremental (docs/credit-is-not-cause.md).",
    ]
    if before.days is not None and after.days is not None and before.days != after.days:
        notes.append(
            f"The runs cover {before.days} and {after.days} days: spend and volume also change with the length of "
            "the period."
        )
    if (before.days is None) != (after.days is None):
        short = before if before.days is None else after
        notes.append(f"The number of days of run {short.name!r} is unknown, so both runs are treated as equally long.")
    notes += _notes_on_journeys(before, after)
    if pair[0] != pair[1]:
        notes.append(
            f"The model changed from {pair[0]} to {pair[1]}. The part model is the effect of that change alone on ROI."
        )
    notes += _notes_on_settings(settings_that_differ(before, after))
    if "roi_low" not in after.returns(pair[1]) or after.returns(pair[1])["roi_low"].isna().all():
        notes.append("The later run has no intervals, so small changes may be chance. Set resampling.")
    return notes


def _notes_on_journeys(before: Run, after: Run) -> list[str]:
    """Which journeys are counted, and what nobody can know of them."""
    runs = (before, after)
    without_profile = [run.name for run in runs if "journey_profile" not in run.tables]
    if without_profile:
        return [f"Run {without_profile[0]!r} has no journey_profile, so the part rate includes volume."]
    outdated = [run.name for run in runs if not counts_by_last_touch(run)]
    if outdated:
        return [
            f"Run {outdated[0]!r} was written by a version that counts failed journeys when they close, one lookback "
            "window late, so the part rate includes volume. Run it again to separate them."
        ]
    return [sentence for run in runs for sentence in say_log_ends(run)]


def _notes_on_settings(differing: Sequence[SettingDifference]) -> list[str]:
    """Other days are what a review is about; whatever else decides credit is within the parts."""
    sentences = {
        "The periods of the runs differ: {}.": [each for each in differing if each.part == "period"],
        "The settings of the runs differ, and the effect on ROI is included in the other parts: {}. "
        "Run one of them again with the same settings to separate it.": [
            each for each in differing if each.decides_credit and each.part != "period"
        ],
        "The runs also differ in settings that change no ROI, only intervals, verdicts or plans: {}.": [
            each for each in differing if not each.decides_credit
        ],
    }
    return [sentence.format("; ".join(map(str, of))) for sentence, of in sentences.items() if of]


def _points(change: float) -> str:
    return f"{100 * change:+z,.0f}"


def _sentence(was: float, now: float, changes: pd.DataFrame, model: str) -> str:
    if np.isnan(was) or np.isnan(now):
        return f"Under {model}, one of the runs has no channel with spend, so ROI cannot be compared."
    changes = changes[changes["model"] == model]
    total = changes[changes["slice"] == TOTAL].set_index("part")["total_change"].reindex(list(PARTS))
    shown = ", ".join(f"{part} {_points(change)}" for part, change in total.items() if abs(change) >= 0.005)
    by_channel = changes[changes["slice"] != TOTAL].groupby("slice")["total_change"].sum()
    text = f"Under {model}, total ROI went from {format_roi(was)} to {format_roi(now)} ({_points(now - was)} points)"
    if not shown:
        return f"{text}. No part changed by a whole point."
    widest = by_channel.abs().idxmax()
    return f"{text}: {shown}. The largest part comes from {widest} ({_points(by_channel[widest])})."
