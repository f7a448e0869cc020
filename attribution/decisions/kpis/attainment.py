"""Targets against a run: reached or not, how surely, and against the baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments
from attribution.decisions.kpis.kpis_declared import DECISIONS, KPI_HISTORY, KPIS
from attribution.decisions.kpis.metrics import ALL, COUNTED, METRICS, Answer, measure
from attribution.decisions.kpis.runs import Run
from attribution.decisions.kpis.targets import Scoped, Target, Targets
from attribution.errors import InputError


@check_arguments
def check_targets(targets: Targets, run: Run, baseline: Run | None = None) -> pd.DataFrame:
    """The ``kpis`` table: every target against a run.

    With an interval, a target is attained or missed only where the interval lies on one side of it; otherwise it is
    undecided. What adds up over days is compared with the part of the target that is due by the last day of the run,
    and is then on pace or behind it.

    Parameters
    ----------
    targets : what `read_targets` returned
    run : the run that they are held against, see `read_run` and `run_of`
    baseline : an earlier run that the same metrics are shown of

    Returns
    -------
    DataFrame
        One row per target: its value with an interval where the run has one, and whether it is attained.

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
    >>> kpis[["metric", "wanted", "value"]].values.tolist()
    [['conversions', 3.0, 2.0]]
    """
    rows = [_row(number, target, targets, run, baseline) for number, target in enumerate(targets.targets, start=1)]
    table = pd.DataFrame(rows, columns=list(KPIS.column_names))
    return table.assign(wanted_inside=table["wanted_inside"].astype("boolean"))


def kpi_history(targets: Targets, runs: Sequence[Run], baseline: Run | None = None) -> pd.DataFrame:
    """The ``kpi_history`` table: every target's metric over runs, oldest first."""
    every = [*([] if baseline is None else [(baseline, True)]), *((run, False) for run in runs)]
    every.sort(key=lambda pair: (_dates(pair[0]), pair[0].name, not pair[1]))
    rows = []
    for number, target in enumerate(targets.targets, start=1):
        for run, pinned in every:
            found, start, end = answer(target, targets, run, strict=False), *_dates(run)
            rows.append(
                (
                    number,
                    target.metric,
                    scope_of(target),
                    target.unit,
                    run.name,
                    pinned,
                    start or None,
                    end or None,
                    *(target.scale * part for part in found[:3]),
                    float(target.target),
                )
            )
    return pd.DataFrame(rows, columns=list(KPI_HISTORY.column_names))


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
        wanted = float(decision.expected)
        achieved = (now - was) / (wanted - was) if wanted != was else np.nan
        last = run.period
        if np.isnan(achieved):
            status = "unknown"
        elif achieved >= 1:
            status = "reached"
        else:
            status = "not_reached" if last is not None and last[1] >= decision.due else "open"
        days = decision.decided_on.isoformat(), decision.due.isoformat()
        who = (days[0], decision.what, decision.owner, days[1], basis.name, decision.metric, scope_of(decision))
        rows.append((*who, was, wanted, now, achieved, status))
    return pd.DataFrame(rows, columns=list(DECISIONS.column_names))


def answer(asked: Scoped, targets: Targets, run: Run, *, strict: bool = True) -> Answer:
    """What a run says of a target; with ``strict``, what it cannot know of it is an error."""
    terms = {
        "model": asked.model or targets.model,
        "basis": asked.basis,
        "cost_basis": asked.cost_basis,
        "stage": asked.funnel_stage,
    }
    try:
        return measure(run, asked.metric, targets.channels_of(asked), **terms)
    except InputError as error:
        if strict:
            raise
        return Answer(np.nan, why=str(error))


def target_findings(table: pd.DataFrame) -> list[str]:
    """A sentence for each target of the ``kpis`` table."""
    said = []
    for row in table.itertuples():
        ends = "" if row.low != row.low else f" ({row.low:,.4g} … {row.high:,.4g})"
        is_unknown = row.value != row.value
        value = (row.note or "It is unknown") if is_unknown else f"It is {row.value:,.4g}{ends}"
        # What is counted is the same under every model.
        under = "" if str(row.note).startswith(COUNTED) else f" under {row.model}"
        wanted = f"{row.direction.replace('_', ' ')} {row.wanted:,.4g} {row.unit} until {row.period_end}"
        verdict = row.verdict.replace("_", " ")
        said.append(
            f"{row.metric} of {row.scope}{under}: {verdict}. {value}; wanted: {wanted}; {row.owner} answers for it."
        )
    return said


def model_note(targets: Targets, run: Run) -> str | None:
    """Which model judges where nobody has named one and there are several; None otherwise."""
    if targets.model is not None or len(run.models) == 1 or all(target.model for target in targets.targets):
        return None
    first, *others = run.models
    return (
        f"Targets that name no model are judged by {first}, the first of the run. The run has {', '.join(others)} too: "
        'name one with model = "…" in the file of targets.'
    )


def target_metrics(table: pd.DataFrame) -> dict[str, float]:
    """The numbers of the ``kpis`` table by name, as they are tracked."""
    metrics: dict[str, float] = {}
    for row in table.itertuples():
        for what in ("value", "low", "high", "attainment", "probability", "wanted"):
            metrics[f"{what}/{row.target} {row.metric} {row.scope}"] = float(getattr(row, what))
    return metrics | {f"targets_{verdict}": float(n) for verdict, n in table["verdict"].value_counts().items()}


def scope_of(asked: Scoped) -> str:
    """Of whom something is asked, in a word."""
    return asked.channel or asked.role or ALL


def _dates(run: Run) -> tuple[str, str]:
    return ("", "") if run.period is None else (run.period[0].isoformat(), run.period[1].isoformat())


def _row(number: int, target: Target, targets: Targets, run: Run, baseline: Run | None) -> dict[str, Any]:
    covered = _covered(number, target, run)
    found = answer(target, targets, run)
    value, low, high = (target.scale * part for part in found[:3])
    wanted, metric = float(target.target), METRICS[target.metric]
    least = (target.direction or metric.direction) == "at_least"
    pinned = np.nan if baseline is None else target.scale * answer(target, targets, baseline, strict=False).value
    due = wanted * covered if metric.adds_up and covered is not None else np.nan
    inside = None if np.isnan([low, high]).any() else bool(low <= wanted <= high)
    met = np.nan
    if found.draws is not None:
        scaled = target.scale * found.draws
        met = float((scaled >= wanted).mean() if least else (scaled <= wanted).mean())
    basis, cost_basis = run.terms
    return {
        "target": number,
        "metric": target.metric,
        "scope": scope_of(target),
        "role": target.role,
        "stage": target.stage,
        "funnel_stage": target.funnel_stage,
        "unit": target.unit,
        "owner": target.owner,
        "period_start": target.period[0].isoformat(),
        "period_end": target.period[1].isoformat(),
        "covered": covered,
        "direction": "at_least" if least else "at_most",
        "wanted": wanted,
        "value": value,
        "low": low,
        "high": high,
        "wanted_inside": inside,
        "probability": met,
        "attainment": _attainment(value, wanted, least=least),
        "due_by_now": due,
        "verdict": _verdict(value, wanted, least=least, inside=inside, due=due, covered=covered),
        "baseline": pinned,
        "change": value - pinned,
        "model": target.model or targets.model or run.models[0],
        "basis": target.basis or basis,
        "cost_basis": target.cost_basis or cost_basis,
        "note": found.why,
    }


def _covered(number: int, target: Target, run: Run) -> float | None:
    """Share of the target's days that the run covers."""
    if run.period is None:
        return None
    (start, end), (first, last) = target.period, run.period
    if first < start or last > end:
        raise InputError(
            f"target {number} ({target.metric}): run {run.name!r} counts days outside the target's period",
            given=f"{first} … {last}",
            allowed=f"{start} … {end}",
            hint="run the experiment again with this period",
        )
    return ((last - first) + dt.timedelta(days=1)) / ((end - start) + dt.timedelta(days=1))


def _attainment(value: float, wanted: float, *, least: bool) -> float:
    top, bottom = (value, wanted) if least else (wanted, value)
    return top / bottom if bottom > 0 else np.nan


def _verdict(
    value: float, wanted: float, *, least: bool, inside: bool | None, due: float, covered: float | None
) -> str:
    if np.isnan(value):
        return "unknown"
    if not np.isnan(due) and covered is not None and covered < 1:
        if least:
            return "attained" if value >= wanted else "on_pace" if value >= due else "behind_pace"
        return "missed" if value > wanted else "on_pace" if value <= due else "behind_pace"
    if inside:
        return "undecided"
    return "attained" if (value >= wanted) == least or value == wanted else "missed"
