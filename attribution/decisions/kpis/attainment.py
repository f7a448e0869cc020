"""Targets against a run: reached or not, how surely, and against the baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution.amounts import format_amount
from attribution.arguments import check_arguments
from attribution.decisions.kpis.comparable import answer_like, currency_of, day_ratio
from attribution.decisions.kpis.kpis_declared import DECISIONS, KPIS
from attribution.decisions.kpis.metrics import ALL, COUNTED, METRICS, Answer, measure, spell_metric
from attribution.decisions.kpis.runs import Run
from attribution.decisions.kpis.targets import Scoped, Target, Targets
from attribution.errors import InputError
from attribution.uncertainty.model_checks import failed_checks

NOW, BASELINE, EARLIER = "now", "baseline", "earlier"
"""When a run was: the one held against the targets, the pinned one, and others."""

NOT_BEGUN, OVER = "not_begun", "over"
"""Verdicts on targets whose period has no day of the run."""

SHORT_OF = ("missed", "behind_pace", "over_pace")
"""Verdicts that call for something to be done."""


@check_arguments
def check_targets(
    targets: Targets, run: Run, baseline: Run | None = None, *, earlier: Sequence[Run] = ()
) -> pd.DataFrame:
    """The ``kpis`` table: every target against a run, and its metric in other runs.

    A value is compared with a threshold: the goal, or part way through the period, for what adds up over days, the
    part of it that is due by the last day of the run. Where the interval holds the threshold, the target is undecided;
    ``probability`` is of the same threshold. A target whose period has not begun, or was over before, has no value.

    Another run is asked on the terms of ``run``: its model, basis and costs. Money in another currency is not compared,
    and the sums of a baseline of other days only in proportion to its days; ``note`` says so.

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
        If ``run`` counts days within a target's period and outside of it, counts money in another currency than a
        target, or lacks a model or channel that a target names.

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
        _value(number, target, targets, other, answer_like(target, targets, other, run)) | {"when": when}
        for number, target in numbered
        for other, when in other_runs
    ]
    table = pd.DataFrame(rows, columns=list(KPIS.column_names))
    return table.assign(threshold_in_interval=table["threshold_in_interval"].astype("boolean"))


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
        answers = [answer_like(decision, targets, each, run) for each in (basis, run)]
        ratio, days_differ = day_ratio(decision, basis, run)
        was, now = (each.value for each in answers)
        expected = float(decision.expected)
        is_known = ratio == 1 and expected != was
        achieved = (now - was) / (expected - was) if is_known else np.nan
        last = run.period
        if np.isnan(achieved):
            status = "unknown"
        elif achieved >= 1:
            status = "reached"
        else:
            status = "not_reached" if last is not None and last[1] >= decision.due else "open"
        unknown = [each.why for each in answers if np.isnan(each.value)]
        note = "; ".join(dict.fromkeys(text for text in (*unknown, days_differ) if text))
        days = decision.decided_on.isoformat(), decision.due.isoformat()
        who = (days[0], decision.what, decision.owner, days[1], basis.name, decision.metric, scope_of(decision))
        rows.append((*who, was, expected, now, achieved, status, note))
    return pd.DataFrame(rows, columns=list(DECISIONS.column_names))


def answer(scoped: Scoped, targets: Targets, run: Run) -> Answer:
    """What the run of today says of a target.

    Raises
    ------
    InputError
        If it has no such model, channel, stage or terms.
    """
    return measure(
        run,
        scoped.metric,
        targets.channels_of(scoped),
        model=scoped.model or targets.model,
        basis=scoped.basis,
        cost_basis=scoped.cost_basis,
        stage=scoped.funnel_stage,
    )


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
    return [_target_sentence(row) for row in today(table).itertuples()]


def _target_sentence(row: Any) -> str:
    subject = spell_metric(row.metric) + ("" if row.scope == ALL else f" of {row.scope}")
    target = f"{row.direction.replace('_', ' ')} {_with_unit(row.goal, row.unit)}"
    if row.verdict in (NOT_BEGUN, OVER):
        return f"{subject[:1].upper()}{subject[1:]} is not judged: {row.note}. Target: {target}. Owner: {row.owner}."
    # What is counted is the same under every model.
    subject += "" if str(row.note).startswith(COUNTED) else f" under {row.model}"
    if row.value != row.value:
        value = f"unknown: {row.note.rstrip('.') or 'the run does not have it'}"
    else:
        value = _with_unit(row.value, row.unit) + _interval_text(row.low, row.high)
    return (
        f"{subject[:1].upper()}{subject[1:]} is {value}. The target, {target} until {row.period_end}, "
        f"{_verdict_text(row)}. Owner: {row.owner}."
    )


def _interval_text(low: float, high: float) -> str:
    if low != low:
        return ""
    if high != high:
        return f" (from {format_amount(low)}, without an upper end)"
    return f" ({format_amount(low)} to {format_amount(high)})"


def _verdict_text(row: Any) -> str:
    is_part = row.covered == row.covered and row.covered is not None and row.covered < 1
    due = f"{_with_unit(row.threshold, row.unit)} is due by now"
    if row.verdict == "undecided":
        what = "it" if row.threshold == row.goal else f"the {_with_unit(row.threshold, row.unit)} due by now"
        return f"is undecided, because the interval contains {what}"
    texts = {
        "attained": "is met so far" if is_part and row.due_by_now != row.due_by_now else "is met",
        "missed": "is missed" if row.direction == "at_least" else "is exceeded",
        "on_pace": f"is on schedule: {due}" if row.direction == "at_least" else f"is on schedule: at most {due}",
        "behind_pace": f"is behind schedule: {due}",
        "over_pace": f"is at risk: the value is above what is due by now, {_with_unit(row.threshold, row.unit)}",
        "unknown": "cannot be judged",
    }
    return texts[row.verdict]


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


def check_notes(table: pd.DataFrame, run: Run) -> list[str]:
    """What is to be known of models that judge a target of ``kpis`` and fail a check."""
    judging = set(today(table)["model"].dropna())
    return [
        f"Do not act on targets under {model}, because it fails a check. {says}"
        for model, says in failed_checks(run.tables).items()
        if model in judging
    ]


def target_metrics(table: pd.DataFrame) -> dict[str, float]:
    """The numbers of the ``kpis`` table by name, as they are tracked."""
    metrics: dict[str, float] = {}
    current = today(table)
    for row in current.itertuples():
        for what in ("value", "low", "high", "attainment", "probability", "goal", "threshold"):
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
    # No table holds an infinite number: a lower end alone says that there is no upper one.
    high = np.nan if np.isinf(high) else high
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
        "empty_draws": result.empty,
        "note": result.why,
    }


def _row(number: int, target: Target, targets: Targets, run: Run, baseline: Run | None) -> dict[str, Any]:
    """A target held against the run of today."""
    _check_currency(number, target, run)
    result = answer(target, targets, run)
    outside = _outside(target, run)
    if outside is not None:
        row = _value(number, target, targets, run, Answer(np.nan, why=outside[1]))
        return row | {"when": NOW, "covered": 0.0, "verdict": outside[0]}
    covered = _share_covered(number, target, run)
    row = _value(number, target, targets, run, result)
    value, goal, least = float(row["value"]), float(row["goal"]), row["direction"] == "at_least"
    due = goal * covered if METRICS[target.metric].adds_up and covered is not None else np.nan
    is_part = covered is not None and covered < 1 and not np.isnan(due)
    threshold = due if is_part else goal
    ends = (target.scale * result.low, target.scale * result.high)
    inside = None if np.isnan(ends).any() else bool(ends[0] <= threshold <= ends[1])
    against, note = _against_baseline(target, targets, run, baseline)
    return row | {
        "when": NOW,
        "covered": covered,
        "threshold": threshold,
        "threshold_in_interval": inside,
        "probability": _probability(target, result, threshold, least=least),
        "attainment": _attainment(value, goal, least=least),
        "due_by_now": due,
        "verdict": _verdict(value, ends, goal, threshold, least=least, is_part=is_part),
        "baseline": against[0],
        "change": value - against[0] * against[1],
        "note": "; ".join(text for text in (result.why, note) if text),
    }


def baseline_notes(targets: Targets, run: Run, baseline: Run | None) -> list[str]:
    """What to know of the baseline, a sentence each, once: other days, another currency, terms that it lacks."""
    notes = (_against_baseline(target, targets, run, baseline)[1] for target in targets.targets)
    return [f"{note[:1].upper()}{note[1:]}." for note in dict.fromkeys(notes) if note]


def _against_baseline(
    target: Target, targets: Targets, run: Run, baseline: Run | None
) -> tuple[tuple[float, float], str]:
    """The metric in the baseline, what it is multiplied with to be compared, and a sentence on that."""
    if baseline is None or _outside(target, run) is not None:
        return (np.nan, 1.0), ""
    pinned = answer_like(target, targets, baseline, run)
    if np.isnan(pinned.value):
        return (np.nan, 1.0), f"baseline: {pinned.why.rstrip('.')}" if pinned.why else ""
    ratio, days = day_ratio(target, baseline, run)
    note = f"baseline: {days}" if days else ""
    note += "" if not days or np.isnan(ratio) else ", so change is against the baseline in proportion to its days"
    return (target.scale * pinned.value, ratio), note


def _check_currency(number: int, target: Target, run: Run) -> None:
    """Refuse a target for money that is in another currency than the run."""
    currency, unit = currency_of(run), target.unit.strip()
    is_code = len(unit) == 3 and unit.isascii() and unit.isalpha() and unit.isupper()
    if METRICS[target.metric].is_money and is_code and currency is not None and unit != currency:
        raise InputError(
            f"target {number} ({target.metric}) is in {unit}, but run {run.name!r} counts money in {currency}",
            given=f'unit = "{unit}"',
            allowed=f'unit = "{currency}"',
            hint="convert the target, or run the experiment with this currency",
        )


def _outside(target: Target, run: Run) -> tuple[str, str] | None:
    """Verdict and sentence where the target's period has not begun when the run ends, or was over before it."""
    if run.period is None:
        return None
    (start, end), (first, last) = target.period, run.period
    if last < start:
        return NOT_BEGUN, f"its period, {start} … {end}, has not begun on {last}, the last day of run {run.name!r}"
    if end < first:
        return OVER, f"its period, {start} … {end}, was over before {first}, the first day of run {run.name!r}"
    return None


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


def _probability(target: Target, result: Answer, threshold: float, *, least: bool) -> float:
    """Share of draws on the right side of what the value is compared with; a draw without a value is on none."""
    if result.draws is None:
        return np.nan
    scaled = target.scale * result.draws
    return float((scaled >= threshold).mean() if least else (scaled <= threshold).mean())


def _verdict(
    value: float, ends: tuple[float, float], goal: float, threshold: float, *, least: bool, is_part: bool
) -> str:
    """The verdict; ``ends`` of the interval are NaN where there is none, and the value stands for both."""
    if np.isnan(value):
        return "unknown"
    has_interval = not np.isnan(ends).any()
    low, high = ends if has_interval else (value, value)
    if has_interval and low <= threshold <= high:
        return "undecided"
    if not is_part:
        return "attained" if (low >= threshold if least else high <= threshold) else "missed"
    if least:
        return "attained" if low >= goal else "on_pace" if low >= threshold else "behind_pace"
    return "on_pace" if high <= threshold else "missed" if low > goal else "over_pace"
