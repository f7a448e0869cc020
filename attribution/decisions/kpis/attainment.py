"""Targets against a run: reached or not, how surely, and against the baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution.amounts import format_amount
from attribution.arguments import check_arguments
from attribution.decisions.kpis.kpis_declared import DECISIONS, KPIS
from attribution.decisions.kpis.metrics import ALL, COUNTED, METRICS, Answer, measure, spell_metric
from attribution.decisions.kpis.runs import Run
from attribution.decisions.kpis.targets import Scoped, Target, Targets
from attribution.errors import InputError

NOW, BASELINE, EARLIER = "now", "baseline", "earlier"
"""When a run was: the one held against the targets, the pinned one, and others."""


@check_arguments
def check_targets(
    targets: Targets, run: Run, baseline: Run | None = None, *, earlier: Sequence[Run] = ()
) -> pd.DataFrame:
    """The ``kpis`` table: every target against a run, and its metric in other runs.

    With an interval, a target is attained or missed only where the interval lies on one side of it; otherwise it is
    undecided. What adds up over days is compared with the part of the target that is due by the last day of the run,
    and is then on pace or behind it.

    Parameters
    ----------
    targets : what `read_targets` returned
    run : the run that they are held against, see `read_run` and `run_of`
    baseline : an earlier run that the same metrics are shown of
    earlier : further runs that they are shown of

    Returns
    -------
    DataFrame
        First one row per target (``when`` is now): its value with an interval where the run has one, and whether it is
        attained. Then, by target, a row for the baseline and each earlier run, the oldest first: no verdicts.

    Raises
    ------
    InputError
        If a run counts days outside a target's period, or lacks a model or channel that a target names.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import attribution as at
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "targets.toml").write_text('''
    ... experiment = "shop.toml"
    ... [[targets]]
    ... metric = "conversions"
    ... unit = "1"
    ... target = 3
    ... period = "2024"
    ... owner = "Ann"
    ... ''')
    >>> targets = at.read_targets(folder / "targets.toml")
    >>> experiment = at.Experiment(name="shop", models=[{"model": "Linear"}], tables={
    ...     "touchpoints": pd.DataFrame({"customer_id": [1, 2], "touched_at": "2024-03-01", "channel": "mail"}),
    ...     "conversions": pd.DataFrame({"customer_id": [1, 2], "converted_at": "2024-03-02"}),
    ... })
    >>> kpis = at.check_targets(targets, at.run_of(at.run_experiment(experiment)))
    >>> kpis[["metric", "goal", "value"]].values.tolist()
    [['conversions', 3.0, 2.0]]
    """
    other_runs = [*([] if baseline is None else [(baseline, BASELINE)]), *((other, EARLIER) for other in earlier)]
    other_runs.sort(key=lambda pair: (_dates(pair[0]), pair[0].name, pair[1] != BASELINE))
    numbered = list(enumerate(targets.targets, start=1))
    rows = [_row(number, target, targets, run, baseline) for number, target in numbered]
    rows += [
        _value(number, target, targets, other, answer(target, targets, other, strict=False)) | {"when": when}
        for number, target in numbered
        for other, when in other_runs
    ]
    table = pd.DataFrame(rows, columns=list(KPIS.column_names))
    return table.assign(goal_in_interval=table["goal_in_interval"].astype("boolean"))


def score_decisions(targets: Targets, run: Run, evidence: Sequence[Run]) -> pd.DataFrame:
    """The ``decisions`` table: what was expected of each decision, and what came of it so far.

    Parameters
    ----------
    targets : their decisions
    run : the run of today
    evidence : the run that each decision rests on
    """
    rows = []
    for decision, basis in zip(targets.decisions, evidence, strict=True):
        was, now = (answer(decision, targets, each, strict=False).value for each in (basis, run))
        expected = float(decision.expected)
        achieved = (now - was) / (expected - was) if expected != was else np.nan
        last = run.period
        if np.isnan(achieved):
            status = "unknown"
        elif achieved >= 1:
            status = "reached"
        else:
            status = "not_reached" if last is not None and last[1] >= decision.due else "open"
        days = decision.decided_on.isoformat(), decision.due.isoformat()
        who = (days[0], decision.what, decision.owner, days[1], basis.name, decision.metric, scope_of(decision))
        rows.append((*who, was, expected, now, achieved, status))
    return pd.DataFrame(rows, columns=list(DECISIONS.column_names))


def answer(scoped: Scoped, targets: Targets, run: Run, *, strict: bool = True) -> Answer:
    """What a run says of a target; with ``strict``, what it cannot know of it is an error."""
    terms = {
        "model": scoped.model or targets.model,
        "basis": scoped.basis,
        "cost_basis": scoped.cost_basis,
        "stage": scoped.funnel_stage,
    }
    try:
        return measure(run, scoped.metric, targets.channels_of(scoped), **terms)
    except InputError as error:
        if strict:
            raise
        return Answer(np.nan, why=str(error))


def today(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the ``kpis`` table on the run that is held against the targets, one for each."""
    return table[table["when"] == NOW]


def history(table: pd.DataFrame) -> pd.DataFrame:
    """Every target's metric over runs, the oldest first: the ``kpis`` table as it is read as history."""
    columns = [
        "target",
        "metric",
        "scope",
        "unit",
        "run",
        "when",
        "run_start",
        "run_end",
        "value",
        "low",
        "high",
        "goal",
    ]
    keys = table[["run_start", "run_end"]].fillna("").assign(target=table["target"], run=table["run"])
    order = keys.sort_values(["target", "run_start", "run_end", "run"], kind="stable").index
    return table.loc[order, columns]


def target_findings(table: pd.DataFrame) -> list[str]:
    """A sentence for each target of the ``kpis`` table."""
    sentences = []
    for row in today(table).itertuples():
        subject = spell_metric(row.metric) + ("" if row.scope == ALL else f" of {row.scope}")
        # What is counted is the same under every model.
        subject += "" if str(row.note).startswith(COUNTED) else f" under {row.model}"
        target = f"{row.direction.replace('_', ' ')} {_with_unit(row.goal, row.unit)} until {row.period_end}"
        if row.value != row.value:
            value = f"unknown: {row.note.rstrip('.') or 'the run does not have it'}"
        else:
            value = _with_unit(row.value, row.unit)
            value += "" if row.low != row.low else f" ({format_amount(row.low)} to {format_amount(row.high)})"
        sentences.append(
            f"{subject[:1].upper()}{subject[1:]} is {value}. The target, {target}, {_VERDICTS[row.verdict]}. "
            f"Owner: {row.owner}."
        )
    return sentences


_VERDICTS = {
    "attained": "is met",
    "missed": "is missed",
    "undecided": "is undecided, because the interval contains it",
    "on_pace": "is on schedule",
    "behind_pace": "is behind schedule",
    "unknown": "cannot be judged",
}


def _with_unit(number: float, unit: str) -> str:
    return format_amount(number) if unit in ("1", "ratio") else f"{format_amount(number)} {unit}"


def model_note(targets: Targets, run: Run) -> str | None:
    """Which model judges where nobody has named one and there are several; None otherwise."""
    if targets.model is not None or len(run.models) == 1 or all(target.model for target in targets.targets):
        return None
    first, *further = run.models
    return (
        f"Targets that name no model are judged by {first}, the first of the run. The run has {', '.join(further)} "
        'too: name one with model = "…" in the file of targets.'
    )


def target_metrics(table: pd.DataFrame) -> dict[str, float]:
    """The numbers of the ``kpis`` table by name, as they are tracked."""
    metrics: dict[str, float] = {}
    current = today(table)
    for row in current.itertuples():
        for what in ("value", "low", "high", "attainment", "probability", "goal"):
            metrics[f"{what}/{row.target} {row.metric} {row.scope}"] = float(getattr(row, what))
    return metrics | {f"targets_{verdict}": float(n) for verdict, n in current["verdict"].value_counts().items()}


def scope_of(scoped: Scoped) -> str:
    """Of whom something is asked, in a word."""
    return scoped.channel or scoped.role or ALL


def _dates(run: Run) -> tuple[str, str]:
    return ("", "") if run.period is None else (run.period[0].isoformat(), run.period[1].isoformat())


def _value(number: int, target: Target, targets: Targets, run: Run, result: Answer) -> dict[str, Any]:
    """What is asked of a target, and what a run says of its metric."""
    value, low, high = (target.scale * part for part in result[:3])
    least = (target.direction or METRICS[target.metric].direction) == "at_least"
    start, end = _dates(run)
    basis, cost_basis = run.terms
    return {
        "target": number,
        "run": run.name,
        "run_start": start or None,
        "run_end": end or None,
        "metric": target.metric,
        "scope": scope_of(target),
        "role": target.role,
        "stage": target.stage,
        "funnel_stage": target.funnel_stage,
        "unit": target.unit,
        "owner": target.owner,
        "period_start": target.period[0].isoformat(),
        "period_end": target.period[1].isoformat(),
        "direction": "at_least" if least else "at_most",
        "goal": float(target.target),
        "value": value,
        "low": low,
        "high": high,
        "model": target.model or targets.model or run.models[0],
        "basis": target.basis or basis,
        "cost_basis": target.cost_basis or cost_basis,
        "note": result.why,
    }


def _row(number: int, target: Target, targets: Targets, run: Run, baseline: Run | None) -> dict[str, Any]:
    """A target held against the run of today."""
    covered = _share_covered(number, target, run)
    result = answer(target, targets, run)
    row = _value(number, target, targets, run, result)
    value, low, high, goal = (float(row[name]) for name in ("value", "low", "high", "goal"))
    least = row["direction"] == "at_least"
    pinned = np.nan if baseline is None else target.scale * answer(target, targets, baseline, strict=False).value
    due = goal * covered if METRICS[target.metric].adds_up and covered is not None else np.nan
    inside = None if np.isnan([low, high]).any() else bool(low <= goal <= high)
    met = np.nan
    if result.draws is not None:
        scaled = target.scale * result.draws
        met = float((scaled >= goal).mean() if least else (scaled <= goal).mean())
    return row | {
        "when": NOW,
        "covered": covered,
        "goal_in_interval": inside,
        "probability": met,
        "attainment": _attainment(value, goal, least=least),
        "due_by_now": due,
        "verdict": _verdict(value, goal, least=least, inside=inside, due=due, covered=covered),
        "baseline": pinned,
        "change": value - pinned,
    }


def _share_covered(number: int, target: Target, run: Run) -> float | None:
    """Share of the target's days that the run covers."""
    if run.period is None:
        return None
    (start, end), (first, last) = target.period, run.period
    if first < start or last > end:
        raise InputError(
            f"target {number} ({target.metric}): run {run.name!r} has days outside the target's period",
            given=f"{first} … {last}",
            allowed=f"{start} … {end}",
            hint="run the experiment again with this period",
        )
    return ((last - first) + dt.timedelta(days=1)) / ((end - start) + dt.timedelta(days=1))


def _attainment(value: float, goal: float, *, least: bool) -> float:
    top, bottom = (value, goal) if least else (goal, value)
    return top / bottom if bottom > 0 else np.nan


def _verdict(value: float, goal: float, *, least: bool, inside: bool | None, due: float, covered: float | None) -> str:
    if np.isnan(value):
        return "unknown"
    if not np.isnan(due) and covered is not None and covered < 1:
        if least:
            return "attained" if value >= goal else "on_pace" if value >= due else "behind_pace"
        return "missed" if value > goal else "on_pace" if value <= due else "behind_pace"
    if inside:
        return "undecided"
    return "attained" if (value >= goal) == least or value == goal else "missed"
