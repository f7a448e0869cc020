"""What moved by more than it should have between two runs, and which channels may take the place of one that fell."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attribution.amounts import format_amount, format_roi, percent
from attribution.decisions.comparison.comparison_declared import ALERTS
from attribution.decisions.kpis import Run
from attribution.errors import InputError
from attribution.schema.tables import NO_CHANNELS, RESERVED
from attribution.uncertainty.model_checks import reliable

_WORSE = {"pass": 0, "warn": 1, "fail": 2}
_MOST_SUBSTITUTES = 3

SUBSTITUTE = "substitute"
"""The kind of rows that are no alerts."""

_ROLES = {
    "substitute": "{other} stands in for {channel}",
    "similar": "{other} stands where {channel} stood in journeys",
    "complement": "{other} works together with {channel}",
}
"""What another channel is to one that declined, the best substitute first."""

_TELLING = {"shapley_interaction": -1, "second_order_removal": 1}
"""The sign that a model must find of some pair for its interactions to tell anything.

Those of the closed game of sets are never below 0, and those of removal to null never above it.
"""


@dataclass(frozen=True)
class Thresholds:
    """What an alert takes.

    Attributes
    ----------
    decline : share by which credited conversions (per day), or the return on each unit of cost, must fall
    drift : share of all credit that must have moved between channels
    fewest : a channel with fewer credited conversions before is passed over: its change is mostly chance
    """

    decline: float = 0.2
    drift: float = 0.1
    fewest: float = 10.0

    def __post_init__(self) -> None:
        for name in ("decline", "drift"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(
                    f"threshold {name} must be a share", given=getattr(self, name), allowed="numbers between 0 and 1"
                )
        if not 0 <= self.fewest < np.inf:
            raise InputError("threshold fewest", given=self.fewest, allowed="numbers ≥ 0")


def find_alerts(before: Run, after: Run, *, model: str, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """The ``alerts`` table: declines of channels, drift of credit, checks of the data that got worse; and substitutes.

    A change whose intervals overlap is named all the same: the column ``beyond_sampling`` says so.
    """
    limits = thresholds or Thresholds()
    start, end = _Half(before, model), _Half(after, model)
    alerts = [
        *_declines(start, end, limits),
        *_drift(start.channels, end.channels, limits),
        *_worse_checks(before, after),
    ]
    names = ("kind", "subject", "measure", "before", "after", "change", "threshold", "beyond_sampling", "message")
    declined = dict.fromkeys(subject for kind, subject, *_ in alerts if kind in ("decline", "roi_decline"))
    rows = [dict(zip(names, alert, strict=True)) for alert in alerts]
    rows += [row for channel in declined for row in _substitutes(start, end, channel, fell=set(declined))]
    table = pd.DataFrame(rows, columns=list(ALERTS.column_names))
    of_model = [None if kind == "quality" else model for kind in table["kind"]]
    return table.assign(beyond_sampling=table["beyond_sampling"].astype("boolean"), model=of_model)


def without_substitutes(alerts: pd.DataFrame) -> pd.DataFrame:
    """The alerts of a table ``alerts``, without the substitutes below them."""
    return alerts[alerts["kind"] != SUBSTITUTE]


@dataclass(frozen=True)
class _Half:
    """One of the two runs, under one model."""

    run: Run
    model: str

    @property
    def channels(self) -> pd.DataFrame:
        rows = self.run.returns(self.model)
        return rows[~rows.index.isin(NO_CHANNELS)]

    def interval(self, channel: str, measure: str) -> tuple[float, float] | None:
        rows = self.channels
        if channel not in rows.index:
            return None
        low, high = (float(rows[f"{measure}_{end}"][channel]) for end in ("low", "high"))
        return None if np.isnan([low, high]).any() else (low, high)


def _substitutes(start: _Half, end: _Half, channel: str, *, fell: Collection[str]) -> Iterable[dict[str, Any]]:
    """Who stands at the place of a channel that declined, the likeliest first.

    Likeness is that of their steps in and out in the journey graph of the earlier run, beyond chance. Where that run
    has a table of interactions, channels that stand in for each other (interaction below 0) come first and complements
    last. Both say where customers could be met instead, not that they will come.
    """
    steps = start.run.tables.get("transitions")
    if steps is None or steps.empty:
        return
    was, now = start.channels, end.channels
    candidates = [
        {"other": other, "similarity": alike, **_interaction(start.run, channel, other)}
        for other, alike in _likeness(steps, channel).items()
        if other in now.index
    ]
    order = list(_ROLES)
    # One that declined too takes nobody's place.
    candidates.sort(key=lambda row: (row["other"] in fell, order.index(row["role"]), -row["similarity"], row["other"]))
    for position, row in enumerate(candidates[:_MOST_SUBSTITUTES], start=1):
        other = row["other"]
        had, has = (float(side["conversions"].get(other, 0.0)) for side in (was, now))
        says = _ROLES[row["role"]].format(other=other, channel=channel)
        yield row | {
            "kind": SUBSTITUTE,
            "subject": channel,
            "measure": "conversions",
            "before": had,
            "after": has,
            "change": has / had - 1 if had > 0 else np.nan,
            "message": f"{says}; its credited conversions: {had:.4g} → {has:.4g}",
            "rank": position,
            "roi_after": float(now["roi"].get(other, np.nan)),
        }


def _declines(start: _Half, end: _Half, thresholds: Thresholds) -> Iterable[tuple[Any, ...]]:
    was, now, days = start.channels, end.channels, (start.run.days, end.run.days)
    per_day = None not in days and days[0] != days[1]
    scale = (float(days[0] or 1), float(days[1] or 1)) if per_day else (1.0, 1.0)
    measure = "conversions per day" if per_day else "conversions"
    for channel in was.index:
        had, has = float(was["conversions"][channel]), float(now["conversions"].get(channel, 0.0))
        if had < thresholds.fewest:
            continue
        pair = had / scale[0], has / scale[1]
        change = pair[1] / pair[0] - 1
        if change < -thresholds.decline:
            apart = _apart(start, end, channel, "conversions", scale)
            message = (
                f"{channel} has {percent(-change)} fewer credited {measure}: {format_amount(pair[0])} → "
                f"{format_amount(pair[1])}"
            )
            yield "decline", channel, measure, *pair, change, -thresholds.decline, apart, message + _how_sure(apart)
        roi = float(was["roi"][channel]), float(now["roi"].get(channel, np.nan))
        if np.isnan(roi).any() or roi[0] <= -1:
            continue
        change = (1 + roi[1]) / (1 + roi[0]) - 1
        if change < -thresholds.decline:
            apart = _apart(start, end, channel, "roi", (1.0, 1.0))
            message = (
                f"{channel} returns {percent(-change)} less per unit of cost: ROI {format_roi(roi[0])} → "
                f"{format_roi(roi[1])}"
            )
            ends, message = (1 + roi[0], 1 + roi[1]), message + _how_sure(apart)
            yield "roi_decline", channel, "roi + 1", *ends, change, -thresholds.decline, apart, message


def _how_sure(apart: bool | None) -> str:
    """What intervals say against a decline, if they do; without any the notes of the review say so once."""
    return "; the intervals overlap, so it may be chance" if apart is False else ""


def _apart(start: _Half, end: _Half, channel: str, measure: str, scale: tuple[float, float]) -> bool | None:
    """Whether the intervals of a channel lie apart; None where one of the runs has none."""
    was, now = start.interval(channel, measure), end.interval(channel, measure)
    if was is None or now is None:
        return None
    return was[1] / scale[0] < now[0] / scale[1] or now[1] / scale[1] < was[0] / scale[0]


def _drift(start: pd.DataFrame, end: pd.DataFrame, thresholds: Thresholds) -> Iterable[tuple[Any, ...]]:
    """Total variation distance of credit: the share of it that has moved between channels."""
    names = start.index.union(end.index)
    was, now = (rows["conversions"].reindex(names).fillna(0.0).clip(lower=0.0) for rows in (start, end))
    if not (was.sum() > 0 and now.sum() > 0):
        return
    moves = now / now.sum() - was / was.sum()
    moved = 0.5 * float(moves.abs().sum())
    if moved > thresholds.drift:
        message = f"{percent(moved)} of credit moved between channels, mostly from {moves.idxmin()} to {moves.idxmax()}"
        yield "credit_drift", "(all)", "share of conversions", np.nan, np.nan, moved, thresholds.drift, None, message


def _worse_checks(before: Run, after: Run) -> Iterable[tuple[Any, ...]]:
    tables = before.tables.get("quality"), after.tables.get("quality")
    levels = [_levels(table) for table in tables if table is not None]
    if len(levels) < 2:
        return
    (old, _), (new, rated) = levels
    for key, level in new.items():
        earlier = old.get(key, 0)
        if level > earlier:
            table, check = key
            rows = rated[(rated["table"] == table) & (rated["check"] == check)]
            message = rows.loc[rows["level"].idxmax(), "message"]
            ends = float(earlier), float(level)
            yield "quality", f"{check} of {table}", "0 pass, 1 warn, 2 fail", *ends, np.nan, np.nan, None, message


def _levels(quality: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """The worst status of each check as a number, and the table with them."""
    rated = quality.assign(level=quality["status"].map(_WORSE))
    return rated.groupby(["table", "check"], sort=False)["level"].max(), rated


def _likeness(steps: pd.DataFrame, channel: str) -> dict[str, float]:
    """Cosine between a channel's steps in and out and those of each other one, beyond what chance would bring.

    Steps are counted as Pearson residuals of the table of states × states: most journeys start and end alike, and that
    would make every channel like every other. Steps between the two and from each to itself are left out.
    """
    states = sorted(set(steps["from_state"]) | set(steps["to_state"]))
    if channel not in states:
        return {}
    counts = steps.pivot_table(index="from_state", columns="to_state", values="count", aggfunc="sum")
    counts = counts.reindex(index=states, columns=states).fillna(0.0).to_numpy(float)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    beyond = np.divide(counts - expected, np.sqrt(expected), out=np.zeros_like(counts), where=expected > 0)
    alike = {}
    own = states.index(channel)
    for position, other in enumerate(states):
        if position == own or other in RESERVED:
            continue
        rest = [state for state in range(len(states)) if state not in (own, position)]
        a, b = (np.concatenate([beyond[state, rest], beyond[rest, state]]) for state in (own, position))
        norms = float(np.linalg.norm(a) * np.linalg.norm(b))
        alike[other] = float(a @ b) / norms if norms > 0 else 0.0
    return alike


def _interaction(run: Run, channel: str, other: str) -> dict[str, Any]:
    """What the pair is worth beyond the sum of both; Shapley's index first, then removal.

    Models that fail a check tell nothing.
    """
    unknown = {"role": "similar", "interaction": np.nan, "interaction_from": None}
    table = run.tables.get("interactions")
    if table is None:
        return unknown
    table = reliable(table, run.tables)
    if table.empty:
        return unknown
    pair = {channel, other}
    rows = table[[{a, b} == pair for a, b in zip(table["channel_a"], table["channel_b"], strict=True)]]
    for measure, sign in _TELLING.items():
        models = table[(table["measure"] == measure) & (np.sign(table["interaction"]) == sign)]["model"].unique()
        matches = rows[(rows["measure"] == measure) & rows["model"].isin(models)]
        if len(matches):
            row = matches.iloc[0]
            role = {-1: "substitute", 1: "complement"}.get(int(np.sign(row["interaction"])), "similar")
            source = f"{row['model']}: {measure}"
            return {"role": role, "interaction": float(row["interaction"]), "interaction_from": source}
    return unknown
