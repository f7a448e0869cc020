"""Drift: what moved further than stretches of the training window lie apart, and far enough to matter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from attribution.amounts import pluralise
from attribution.errors import InputError
from attribution.journeys import Buckets
from attribution.kernels.statistics.distribution_shift import psi_terms, stretch_weights, to_shares
from attribution.models import AttributionModel
from attribution.models.machinery import get_machinery
from attribution.models.resampling import solve_draws
from attribution.production.monitoring.windows import Windows
from attribution.production.refit import Window, refit
from attribution.production.refit.window import Part
from attribution.schema.tables.drift import DRIFT

Floats = NDArray[np.float64]
Row = dict[str, Any]

FEWEST_DAYS = 14
"""Stretches of a shorter training window are not different enough to tell what is usual."""

_LENGTHS = np.array([1, 2, 3, 4, 5, 10])
_LAGS = np.array([1, 2, 7, 14, 30])
_USUAL = "usual"
"""Key of a tested row under which its distances in stretches of the training window wait to be judged."""

_OUTCOMES = ("converted", "not_converted")


@dataclass(frozen=True)
class DriftOptions:
    """When something has drifted.

    Attributes
    ----------
    psi : a distribution must move by more; 0.1 is what the literature calls moderate
    change : a rate or a return must change by more, as a share
    level : and in so few stretches of the training window anything at all may lie as far off
    draws, seed : of such stretches
    block : days that stay together in them; a week keeps weekdays in proportion
    """

    psi: float = 0.1
    change: float = 0.1
    level: float = 0.01
    draws: int = 199
    block: int = 7
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

    Each measure of the recent days is held against the same measure of stretches of the training window that are as
    long: their distances to the whole window, which the recent days' distance must exceed, are made larger by what
    the recent days vary more because they are no part of it. Among dozens of measures some are always unusual, so what
    counts is how unlikely the most unusual one is: all measures are taken of the same stretches, and a distance is
    compared with the largest of each stretch [1]_.

    Parameters
    ----------
    windows : what is compared
    models : of the days' definition, in its order; not changed
    options : when something has drifted

    Raises
    ------
    InputError
        If the training window is too short, or a model cannot be solved for either.

    References
    ----------
    .. [1] P. H. Westfall, S. S. Young, "Resampling-Based Multiple Testing", Wiley 1993 (single-step maxT).
    """
    comparison = _Comparison(windows, options or DriftOptions())
    with threadpool_limits(1):
        rows = [
            *comparison.mix(),
            *comparison.histogram("path_length", _LENGTHS),
            *comparison.histogram("time_lag_days", _LAGS),
            *comparison.rates(),
            *(row for index, model in enumerate(models) for row in comparison.credit(index, model)),
        ]
    _judge(rows, comparison.options)
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


def drift_sentences(drift: pd.DataFrame) -> list[str]:
    """What has drifted, one sentence each, or that nothing has."""
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
    return sentences or [f"No drift in {pluralise(tested, 'measure')}."]


class _Comparison:
    """Two windows, and stretches of the first."""

    def __init__(self, windows: Windows, options: DriftOptions) -> None:
        self.windows, self.options = windows, options
        self.training, self.recent = windows.training, windows.recent
        days, length = self.training.days, self.recent.days
        if days < max(FEWEST_DAYS, 2 * length):
            raise InputError(
                "the training window is too short to show what is usual",
                given=f"{days} training days for {length} recent days",
                allowed=f"at least {max(FEWEST_DAYS, 2 * length)} days",
            )
        weights = stretch_weights(options.draws, days, length, block=options.block, seed=options.seed)
        # Days without a journey are in no table.
        self.weights = weights[:, self.training.observed[1].labels - self.training.first]
        # A stretch is part of the window it is compared with, and recent days are not.
        self.apart = 1.0 + length / days

    # ------------------------------------------------------------ distributions

    def mix(self) -> list[Row]:
        """Touchpoints by channel."""
        names = [f"touchpoints/{outcome}" for outcome in _OUTCOMES]
        size = len(self.training.channels)
        before, after = (_sums(window.profile, names, size) for window in (self.training, self.recent))
        draws = self.weights @ _by_day(self.training.profile[1], names, size).T
        return self._distribution("channel_mix", None, (before, after, draws), self.training.channels)

    def histogram(self, measure: str, edges: NDArray[np.int64]) -> list[Row]:
        """Journeys by a number, in bins that begin at 0 and at ``edges``; training and recent are means."""
        names = [f"{measure}/{outcome}" for outcome in _OUTCOMES]
        tables = [window.profile[0].tables for window in (self.training, self.recent)]
        size = 1 + max((int(of[name].keys.max(initial=0)) for of in tables for name in names if name in of), default=0)
        bins = np.searchsorted(edges, np.arange(size), side="right")
        into = np.zeros((size, len(edges) + 1))
        into[np.arange(size), bins] = 1.0
        before, after = (_sums(window.profile, names, size) for window in (self.training, self.recent))
        draws = self.weights @ (_by_day(self.training.profile[1], names, size).T @ into)
        (row,) = self._distribution(measure, None, (before @ into, after @ into, draws), ())
        means = [float(to_shares(each) @ np.arange(size)) for each in (before, after)]
        return [row | {"training": means[0], "recent": means[1], "change": _change(*means)}]

    def _distribution(
        self,
        measure: str,
        model: str | None,
        amounts: tuple[Floats, Floats, Floats],
        channels: Sequence[str],
    ) -> list[Row]:
        """One row of the whole, and one per channel that says what it adds; amounts before, after, and of draws."""
        before, after, draws = amounts
        terms = psi_terms(after, before)
        usual = psi_terms(draws, before).sum(axis=-1) * self.apart
        whole = _row(measure, model, None, psi=float(terms.sum()), limit=self.options.psi) | {_USUAL: usual}
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

        daily = [_by_day(self.training.observed[1], names, 1)[0] for names in (of, per)]
        draws = [self.weights @ each for each in daily]
        was, is_now = (_ratio(amount(of, each), amount(per, each)) for each in (self.training, self.recent))
        usual = np.divide(draws[0], draws[1], out=np.full(len(draws[0]), np.nan), where=draws[1] > 0)
        return self._compare(measure, None, None, was, is_now, usual)

    def credit(self, index: int, model: AttributionModel) -> list[Row]:
        """How a model divides conversions, and what a channel returns under it."""
        fitted = [self._fit_window(index, model, window) for window in (self.training, self.recent)]
        before, after = (each.credit_ for each in fitted)
        machinery = get_machinery(fitted[0])
        solve: Callable[..., Any] = machinery.solve_again if machinery.is_linearised else machinery.redraw
        own, observed = self.training.models[index][1], self.training.observed[1]
        draws = solve_draws(solve, model.label, own, observed, self.weights)
        channels = self.training.channels
        amounts = before.conversions[:-1], after.conversions[:-1]
        rows: list[Row] = []
        # Shares of what is below nothing are none.
        if min(each.min(initial=0.0) for each in amounts) >= 0:
            usual = np.maximum(draws.conversions, 0.0)
            rows += self._distribution("credit", model.label, (*amounts, usual), channels)
        value = before.value, after.value, draws.value
        return rows + [row for at, name in enumerate(channels) for row in self._roi(model.label, at, name, value)]

    def _roi(self, model: str, at: int, channel: str, value: tuple[Floats, Floats, Floats]) -> list[Row]:
        spent = [spend.get(channel, 0.0) for spend in self.windows.spend]
        if min(spent) <= 0:
            return []
        # Spend of a stretch is that of the window, in proportion: what a day costs is decided, not sampled.
        was, is_now = value[0][at] / spent[0], value[1][at] / spent[1]
        row = self._compare("roi", model, channel, was, is_now, value[2][:, at] / spent[0])
        return [row | {"training": was - 1, "recent": is_now - 1}]

    def _fit_window(self, index: int, model: AttributionModel, window: Window) -> AttributionModel:
        again = copy.copy(model)
        refit(Window(**{**vars(window), "models": (window.models[index],)}), [again])
        return again

    def _compare(
        self, measure: str, model: str | None, channel: str | None, was: float, is_now: float, usual: Floats
    ) -> Row:
        change = _change(was, is_now)
        if change is None:
            return _row(measure, model, channel, training=was, recent=is_now)
        off = np.abs(usual / was - 1.0) * np.sqrt(self.apart)
        numbers = {"training": was, "recent": is_now, "change": change, "limit": self.options.change}
        return _row(measure, model, channel, **numbers) | {_USUAL: off}


def _row(measure: str, model: str | None, channel: str | None, **numbers: float | None) -> Row:
    names = {"measure": measure, "model": model, "channel": channel, "drifted": False}
    return dict.fromkeys(DRIFT.column_names) | names | numbers


def _judge(rows: Sequence[Row], options: DriftOptions) -> None:
    """Fill in how likely each tested distance is, by itself and as the largest of all, and what follows."""
    tested = [row for row in rows if _USUAL in row]
    usual = np.array([row.pop(_USUAL) for row in tested])
    sizes = np.array([abs(row["change"] if row["psi"] is None else row["psi"]) for row in tested])
    # A stretch in which nothing converted has no rate.
    usual = np.nan_to_num(usual, nan=0.0, posinf=0.0)
    scale = np.sqrt((usual**2).mean(axis=1))
    # What never varies is beyond comparison once it does.
    scaled = np.divide(usual, scale[:, None], out=np.zeros_like(usual), where=scale[:, None] > 0)
    distance = np.divide(sizes, scale, out=np.where(sizes > 0, np.inf, 0.0), where=scale > 0)
    for row, own, size, in_scale in zip(tested, usual, sizes, distance, strict=True):
        row["p_value"], row["p_adjusted"] = _likelihood(size, own), _likelihood(in_scale, scaled.max(axis=0))
        row["drifted"] = bool(size > row["limit"] and row["p_adjusted"] <= options.level)


def _sums(part: Part, names: Sequence[str], size: int) -> Floats:
    result: Floats = np.sum([part[0].dense(name, size) for name in names], axis=0)
    return result


def _by_day(buckets: Buckets, names: Sequence[str], size: int) -> Floats:
    """(size, days) sums."""
    result: Floats = np.sum([buckets.totals(name, size) for name in names], axis=0)
    return result


def _ratio(amount: float, per: float) -> float:
    return amount / per if per > 0 else np.nan


def _change(was: float, is_now: float) -> float | None:
    return is_now / was - 1.0 if was > 0 and np.isfinite(is_now) else None


def _likelihood(size: float, usual: Floats) -> float:
    """Share of what is ``usual`` that is as large as ``size``, which counts among them."""
    return float((1 + np.count_nonzero(usual >= size)) / (1 + len(usual)))
