"""Drift: what moved further than days of one law lie apart by chance, and far enough to matter."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from attribution.amounts import pluralise
from attribution.errors import InputError
from attribution.journeys import Buckets
from attribution.kernels.statistics.distribution_shift import (
    count_splits,
    draw_splits,
    psi_terms,
    rank_extremes,
    relative_difference,
    to_shares,
)
from attribution.models import AttributionModel
from attribution.models.machinery import get_machinery
from attribution.models.resampling import solve_draws
from attribution.production.monitoring.windows import Windows
from attribution.production.refit import Window, join_windows, refit
from attribution.production.refit.window import Part
from attribution.schema.tables import BASELINE
from attribution.schema.tables.drift import DRIFT

Floats = NDArray[np.float64]
Row = dict[str, Any]

FEWEST_DAYS = 14
"""Every weekday twice: from a shorter training window nobody knows what is usual."""

WEEK = 7
"""Days of one weekday may change places, and others may not: a Sunday says little of what is usual on Mondays."""

_FIRST_DRAWS = 199
"""Splits after which most nights are known to be quiet; only where something may have drifted are there more."""

_MOST_DAYS = 1_000
"""Where more days than these would be needed, longer windows of recent days are the way."""

_LENGTHS = np.array([1, 2, 3, 4, 5, 10])
_LAGS = np.array([1, 2, 7, 14, 30])
_DISTANCES = "distances"
"""Key of a tested row under which its distances wait to be judged: that of the recent days, then of other splits."""

_OUTCOMES = ("converted", "not_converted")


@dataclass(frozen=True)
class DriftOptions:
    """When something has drifted.

    Attributes
    ----------
    psi : a distribution must move by more; 0.1 is what the literature calls moderate
    change : a rate or a return must change by more, as a share
    level : and in so few ways to call other days recent may anything at all lie as far off
    draws, seed : of such ways
    """

    psi: float = 0.1
    change: float = 0.1
    level: float = 0.01
    draws: int = 4_999
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("psi", "change"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"monitor: {name} must be above 0", given=getattr(self, name))
        if not 0 < self.level < 1:
            allowed = "a probability above 0 and below 1, such as 0.01"
            raise InputError("monitor: the significance level is no probability", given=self.level, allowed=allowed)
        if self.level * (self.draws + 1) < 1:
            fewest = f"at least {1 / (self.draws + 1):.3g}"
            raise InputError(
                "monitor: the significance level is too small for this number of draws",
                given=self.level,
                allowed=fewest,
            )


def find_drift(
    windows: Windows, models: Sequence[AttributionModel], options: DriftOptions | None = None
) -> pd.DataFrame:
    """The ``drift`` table, see `attribution.schema.tables`.

    Each measure of the recent days is held against the same measure of the training days. The days of both are split
    anew, weekday by weekday, as if other days had been the recent ones: were all drawn from one law, independently,
    the true split would be as likely as any other, so that what it is judged by holds for few days, too [1]_. Among
    dozens of measures some are always unusual, so what counts is how unlikely the most unusual one is: all measures
    are taken of the same splits, and a distance is compared with the largest of each split [2]_.

    Parameters
    ----------
    windows : what is compared
    models : of the days' definition, in its order; not changed
    options : when something has drifted

    Raises
    ------
    InputError
        If there are too few days for the level, or a model cannot be solved for either window.

    References
    ----------
    .. [1] E. J. G. Pitman, "Significance tests which may be applied to samples from any populations", Supplement to
       the Journal of the Royal Statistical Society 4(1), 1937.
    .. [2] P. H. Westfall, S. S. Young, "Resampling-Based Multiple Testing", Wiley 1993 (single-step maxT).
    """
    options = options or DriftOptions()
    few = min(_FIRST_DRAWS, options.draws)
    with threadpool_limits(1):
        rows = _compare(windows, models, options, few)
        if few < options.draws and any(_may_have_drifted(row, options.level, few) for row in rows):
            rows = _compare(windows, models, options, options.draws)
    frame = pd.DataFrame(rows, columns=list(DRIFT.column_names))
    numbers = [column.name for column in DRIFT.columns if column.type == "number"]
    return frame.astype(dict.fromkeys(numbers, "float64") | {"drifted": bool})


def drift_metrics(drift: pd.DataFrame) -> dict[str, float]:
    """What a tracking server plots over time: every tested row's psi or change, and how many have drifted.

    Examples
    --------
    >>> row = {"measure": "credit", "model": "linear", "channel": None, "psi": 0.2, "change": None, "p_value": 0.01}
    >>> drift_metrics(pd.DataFrame([{**row, "drifted": True}]))
    {'drifted': 1.0, 'credit.linear.psi': 0.2}
    """
    metrics = {"drifted": float(drift["drifted"].sum())}
    for row in drift[drift["p_value"].notna()].to_dict("records"):
        what = "psi" if pd.notna(row["psi"]) else "change"
        parts = [row["measure"], row["model"], row["channel"], what]
        if pd.notna(row[what]):
            metrics[".".join(part for part in parts if isinstance(part, str))] = float(row[what])
    return metrics


def drift_sentences(drift: pd.DataFrame, models: Sequence[AttributionModel] = ()) -> list[str]:
    """What has drifted, one sentence each, or that nothing has; and which of the ``models`` have no credit in it."""
    sentences = []
    for row in drift[drift["drifted"]].to_dict("records"):
        of = [f"of {row['model']}"] if isinstance(row["model"], str) else []
        of += [f"for {row['channel']}"] if isinstance(row["channel"], str) else []
        moved = f"PSI {row['psi']:.3f}" if pd.notna(row["psi"]) else f"change {row['change']:+z.1%}"
        subject = " ".join([row["measure"].replace("_", " "), *of])
        sentences.append(
            f"{subject[:1].upper()}{subject[1:]} has drifted: {moved} (limit {row['limit']:g}, p = "
            f"{row['p_adjusted']:.3g})."
        )
    tested = int(drift["p_value"].notna().sum())
    sentences = sentences or [f"No drift in {pluralise(tested, 'measure')}."]
    left_out = [model.label for model in models if model not in comparable_models(models)]
    if left_out:
        names = ", ".join(left_out)
        sentences.append(f"Credit of {names} is not compared, because a few days do not tell what channels caused.")
    return sentences


def comparable_models(models: Sequence[AttributionModel]) -> list[AttributionModel]:
    """Those whose credit of a few days says something."""
    return [model for model in models if get_machinery(model).is_comparable]


def check_days(training: int, recent: int, level: float, *, between: int = 0) -> None:
    """Raise `InputError` if so many days cannot show what is usual.

    Parameters
    ----------
    training, recent : how many days, the recent ones after the others
    level : that an unlikely split must reach
    between : how many days lie between them
    """
    fewest = max(FEWEST_DAYS, recent)
    both = f"{pluralise(training, 'training day')} for {pluralise(recent, 'recent day')}"
    if training < fewest:
        raise InputError(
            "the training window is too short to show what is usual", given=both, allowed=f"at least {fewest} days"
        )

    def is_enough(training: int, recent: int) -> bool:
        is_recent = np.arange(training + recent) >= training
        days = np.arange(training + recent) + between * is_recent
        return count_splits(days % WEEK, is_recent) * level >= 1

    if is_enough(training, recent):
        return
    hints = []
    if (more := next((n for n in range(recent, training + 1) if is_enough(training, n)), None)) is not None:
        hints.append(f"compare {more} recent days (--recent-days {more})")
    if (longer := next((n for n in range(training, _MOST_DAYS) if is_enough(n, recent)), None)) is not None:
        hints.append(f"compare them with {longer} training days (--training-days {longer})")
    raise InputError(
        f"too few days of the same weekdays to find a change at significance level {level:g}",
        given=both,
        hint=", or ".join(hints) or "compare more days",
    )


def _compare(windows: Windows, models: Sequence[AttributionModel], options: DriftOptions, draws: int) -> list[Row]:
    comparison = _Comparison(windows, options, draws)
    rows = [
        *comparison.mix(),
        *comparison.histogram("path_length", _LENGTHS),
        *comparison.histogram("time_lag_days", _LAGS),
        *comparison.rates(),
        *(row for model in comparable_models(models) for row in comparison.credit(models.index(model), model)),
    ]
    _judge(rows, options)
    return rows


def _may_have_drifted(row: Row, level: float, draws: int) -> bool:
    """Whether more splits may tell. To ask again only here makes alarms rarer, never more frequent.

    A small level is out of reach of few splits: the rarest that they can show is then reason enough to ask again.
    """
    return _is_beyond_limit(row) and row["p_value"] <= 3 * max(level, 1 / (1 + draws))


def _is_beyond_limit(row: Row) -> bool:
    return row["limit"] is not None and abs(row["change"] if row["psi"] is None else row["psi"]) > row["limit"]


class _Comparison:
    """Two windows, and other ways to split their days."""

    def __init__(self, windows: Windows, options: DriftOptions, draws: int) -> None:
        self.windows, self.options = windows, options
        self.training, self.recent = windows.training, windows.recent
        between = self.recent.first - self.training.last - 1
        check_days(self.training.days, self.recent.days, options.level, between=between)
        self.both = join_windows(self.training, self.recent)
        days = np.concatenate([np.arange(of.first, of.last + 1) for of in (self.training, self.recent)])
        is_recent = days >= self.recent.first
        splits = draw_splits(days % WEEK, is_recent, draws, options.seed)
        # Days without a journey are in no table, and count as days all the same.
        chosen = splits[:, np.searchsorted(days, self.both.observed[1].labels)]
        # Models that follow influences are told of as many days as both windows have.
        self.times = len(days) / self.training.days, len(days) / self.recent.days
        self.sides = np.where(chosen, 0.0, self.times[0]), np.where(chosen, self.times[1], 0.0)
        # How many training days each split calls recent; as many recent ones it does not.
        self.swapped = splits[:, ~is_recent].sum(axis=1)

    # ------------------------------------------------------------ distributions

    def mix(self) -> list[Row]:
        """Touchpoints by channel."""
        names = [f"touchpoints/{outcome}" for outcome in _OUTCOMES]
        size = len(self.training.channels)
        before, after = (_sums(window.profile, names, size) for window in (self.training, self.recent))
        splits = self._sums_of_splits(self.both.profile[1], names, size)
        return self._distribution("channel_mix", None, (before, after), splits, self.training.channels)

    def histogram(self, measure: str, edges: NDArray[np.int64]) -> list[Row]:
        """Journeys by a number, in bins that begin at 0 and at ``edges``; training and recent are means."""
        names = [f"{measure}/{outcome}" for outcome in _OUTCOMES]
        tables = [window.profile[0].tables for window in (self.training, self.recent)]
        size = 1 + max((int(of[name].keys.max(initial=0)) for of in tables for name in names if name in of), default=0)
        bins = np.searchsorted(edges, np.arange(size), side="right")
        into = np.zeros((size, len(edges) + 1))
        into[np.arange(size), bins] = 1.0
        before, after = (_sums(window.profile, names, size) for window in (self.training, self.recent))
        splits = [of @ into for of in self._sums_of_splits(self.both.profile[1], names, size)]
        (row,) = self._distribution(measure, None, (before @ into, after @ into), splits, ())
        means = [float(to_shares(each) @ np.arange(size)) for each in (before, after)]
        return [row | {"training": means[0], "recent": means[1], "change": _change(*means)}]

    def _sums_of_splits(self, buckets: Buckets, names: Sequence[str], size: int) -> list[Floats]:
        """(splits, size) sums over the days that a split calls training days, and over those that it calls recent."""
        by_day: Floats = np.sum([buckets.totals(name, size) for name in names], axis=0)
        return [weights @ by_day.T for weights in self.sides]

    def _distribution(
        self,
        measure: str,
        model: str | None,
        amounts: tuple[Floats, Floats],
        splits: Sequence[Floats],
        channels: Sequence[str],
    ) -> list[Row]:
        """One row of the whole, and one per channel that says what it adds; amounts before and after, and of splits."""
        before, after = amounts
        terms = psi_terms(after, before)
        # The root of what is a sum of squares is nearly normal, as rates are, so that both can be compared.
        distances = np.sqrt(psi_terms(splits[1], splits[0]).sum(axis=-1))
        whole = _row(measure, model, None, psi=float(terms.sum()), limit=self.options.psi) | {_DISTANCES: distances}
        shares = zip(channels, to_shares(before).tolist(), to_shares(after).tolist(), terms.tolist(), strict=False)
        parts = [
            _row(measure, model, name, training=was, recent=is_now, change=_change(was, is_now), psi=added)
            for name, was, is_now, added in shares
        ]
        return [whole, *parts]

    # ------------------------------------------------------------ rates and returns

    def rates(self) -> list[Row]:
        """Conversions per journey, and value per conversion."""
        return [
            self._rate("conversion_rate", ("conversions",), ("conversions", "nulls")),
            self._rate("value_per_conversion", ("value",), ("conversions",)),
        ]

    def _rate(self, measure: str, of: Sequence[str], per: Sequence[str]) -> Row:
        def amount(names: Sequence[str], window: Window) -> float:
            return sum(window.observed[0].number(name) for name in names)

        totals = [self._sums_of_splits(self.both.observed[1], names, 1) for names in (of, per)]
        was, is_now = (_ratio(amount(of, each), amount(per, each)) for each in (self.training, self.recent))
        rates = [
            np.divide(count[:, 0], of_all[:, 0], out=np.zeros(len(count)), where=of_all[:, 0] > 0)
            for count, of_all in zip(*totals, strict=True)
        ]
        return self._compare(measure, None, None, was, is_now, rates)

    def credit(self, index: int, model: AttributionModel) -> list[Row]:
        """How a model divides conversions, and what a channel returns under it."""
        fitted = [self._fit_window(index, model, window) for window in (self.training, self.recent)]
        before, after = (each.credit_ for each in fitted)
        # Influences are those of all days, so that no split is nearer to the fit than another.
        machinery = get_machinery(self._fit_window(index, model, self.both))
        own, observed = self.both.models[index][1], self.both.observed[1]
        splits = [solve_draws(machinery.redraw, model.label, own, observed, weights) for weights in self.sides]
        channels = self.training.channels
        amounts, names, usual = (before.divided, after.divided), channels, [of.conversions for of in splits]
        if before.baseline is not None:
            names, left = (*channels, BASELINE), self._attributable()
            usual = [np.column_stack([of, all_of - of.sum(axis=1)]) for of, all_of in zip(usual, left, strict=True)]
        rows: list[Row] = []
        # Shares of what is below nothing are none.
        if min(each.min(initial=0.0) for each in amounts) >= 0:
            rows += self._distribution("credit", model.label, amounts, [np.maximum(of, 0.0) for of in usual], names)
        value = before.value, after.value, [of.value / times for of, times in zip(splits, self.times, strict=True)]
        return rows + [row for at, name in enumerate(channels) for row in self._roi(model.label, at, name, value)]

    def _roi(self, model: str, at: int, channel: str, value: tuple[Floats, Floats, Sequence[Floats]]) -> list[Row]:
        spent = [spend.get(channel, 0.0) for spend in self.windows.spend]
        if min(spent) <= 0:
            return []
        was, is_now = value[0][at] / spent[0], value[1][at] / spent[1]
        # A day costs what the days of its window cost on average: what they cost is decided, not sampled.
        moved = self.swapped * (spent[0] / self.training.days - spent[1] / self.recent.days)
        costs = spent[0] - moved, spent[1] + moved
        returns = [of[:, at] / cost for of, cost in zip(value[2], costs, strict=True)]
        row = self._compare("roi", model, channel, was, is_now, returns)
        return [row | {"training": was - 1, "recent": is_now - 1}]

    def _attributable(self) -> list[Floats]:
        """(splits,) conversions with touchpoints on the days that a split calls training days, and on the others."""
        every, without = (
            self._sums_of_splits(self.both.observed[1], [name], 1)
            for name in ("conversions", "unattributed_conversions")
        )
        return [(of - none)[:, 0] for of, none in zip(every, without, strict=True)]

    def _fit_window(self, index: int, model: AttributionModel, window: Window) -> AttributionModel:
        again = copy.copy(model)
        refit(Window(**{**vars(window), "models": (window.models[index],)}), [again])
        return again

    def _compare(
        self, measure: str, model: str | None, channel: str | None, was: float, is_now: float, splits: Sequence[Floats]
    ) -> Row:
        change = _change(was, is_now)
        numbers = {"training": was, "recent": is_now}
        if change is None:
            return _row(measure, model, channel, **numbers)
        tested = {"change": change, "limit": self.options.change}
        distances = {_DISTANCES: relative_difference(splits[1], splits[0])}
        return _row(measure, model, channel, **numbers, **tested) | distances


def _row(measure: str, model: str | None, channel: str | None, **numbers: float | None) -> Row:
    names = {"measure": measure, "model": model, "channel": channel, "drifted": False}
    return dict.fromkeys(DRIFT.column_names) | names | numbers


def _judge(rows: Sequence[Row], options: DriftOptions) -> None:
    """Fill in how likely each tested distance is, by itself and as the largest of all, and what follows."""
    tested = [row for row in rows if _DISTANCES in row]
    if not tested:
        return
    distances = np.array([row.pop(_DISTANCES) for row in tested])
    extremes = rank_extremes(distances, np.array([row["psi"] is None for row in tested]))
    largest = extremes.max(axis=0)
    for row, own in zip(tested, extremes, strict=True):
        row["p_value"], row["p_adjusted"] = (float(np.mean(of >= own[0])) for of in (own, largest))
        row["drifted"] = _is_beyond_limit(row) and row["p_adjusted"] <= options.level


def _sums(part: Part, names: Sequence[str], size: int) -> Floats:
    result: Floats = np.sum([part[0].dense(name, size) for name in names], axis=0)
    return result


def _ratio(amount: float, per: float) -> float:
    return amount / per if per > 0 else np.nan


def _change(was: float, is_now: float) -> float | None:
    return is_now / was - 1.0 if was > 0 and np.isfinite(is_now) else None
