"""The ``verdicts`` table of models: likely pays, does not pay or unknown, and how little would change that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.kernels.statistics.intervals import percentile
from attribution.uncertainty.sensitivity.grid import Grid
from attribution.uncertainty.sensitivity.rules import (
    BOUND,
    DOES_NOT_PAY,
    ESTIMATE,
    LIKELY_PAYS,
    TESTED,
    UNKNOWN,
    Range,
    Rule,
)
from attribution.uncertainty.sensitivity.sensitivity_declared import VERDICTS
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions

Floats = NDArray[np.float64]

_FLIPS = (
    "days_to_flip",
    "margin_points_to_flip",
    "cost_to_flip",
    "lost_touchpoints_to_flip",
    "others_lost_to_flip",
)
NOT_INCREMENTAL = " Credit is allocated, not incremental."
"""What every verdict on allocated credit ends with, so that it can be read alone; a page says it once for all."""

AS_IF_RANDOM = "if touches are as good as random"
"""What every probability of an estimate on customers at risk is conditional on."""

ONE_SIDED = 1.64
"""Standard errors that 95 of 100 estimates are not further above the truth."""

SURELY = 4.0
"""Standard deviations that returns must lie above nothing before spend is said to pay, however cheap it is."""

_WINDOWS = 1
"""Axis of a `Grid` along which windows lie."""


def verdict_table(
    grid: Grid, options: SensitivityOptions, maturity: Mapping[str, float], most: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """The ``verdicts`` table of the models in ``grid``, which estimate the same.

    Parameters
    ----------
    grid : returns and spend under every specification
    options : hurdle, incremental share, level
    maturity : per channel, the share of its conversions that have come; channels that are absent are mature
    most : per channel, the most that it may return per unit of spend, see `most_returned`

    Notes
    -----
    A verdict is given where it holds under every specification with probability (1 + level) / 2: the chance that it is
    wrong by the sampling of customers is at most half of what the level leaves. Spend is said to pay only where its
    returns also lie `SURELY` standard deviations above nothing. Credit that is divided is no measure of what was
    caused: it supports `does_not_pay` alone, where even the highest ``incremental_share`` of it would not pay back. A
    channel with an estimate does not pay either where the most that it may have caused would not pay back. A channel
    that is seen to follow customers is unknown, whatever its numbers. Models that fail a check support no verdict.
    Draws of customers of whom none converted know nothing but 0, so that a channel is taken to bring at least as much
    as −ln((1 − level) / 2) conversions are worth, of which none may be seen with that chance.
    """
    estimand, judged = grid.estimands[0], grid.reliable
    basis = BOUND if estimand == "allocated" else ESTIMATE
    rule, assumptions = Rule.of(options, basis), "; ".join(filter(None, judged.assumptions)) or None
    is_failed = set(judged.models) <= set(judged.failed)
    caveat = NOT_INCREMENTAL if basis == BOUND else ""
    premise = AS_IF_RANDOM if judged.at_risk else "if the model is right about what it caused"
    rows = []
    for index, channel in enumerate(judged.channels):
        common = {"estimand": estimand, "basis": basis, "assumptions": assumptions}
        reason = judged.reason(channel)
        if reason and not np.isfinite(judged.returned[..., index]).any():
            rows.append(common | _unknown_row(judged, index, maturity, reason))
            continue
        evidence = Evidence.of(judged, index, options.level, maturity, is_failed=is_failed, unknown=reason)
        row = _row(evidence, options, rule, basis) | common | {"premise": premise}
        bound = np.inf if is_failed or reason else (most or {}).get(channel, np.inf)
        if row["verdict"] == UNKNOWN and bound < 1 + options.hurdle_roi:
            row |= _bounded(row, bound, options)
        rows.append(row | {"says": _says(row, evidence, options, rule) + caveat})
    return pd.DataFrame(rows, columns=list(VERDICTS.column_names))


@dataclass(frozen=True)
class Evidence:
    """What there is on one channel.

    ``roas`` (models, windows, policies, cost bases, draws) return ÷ spend; ``low``, ``high`` (models, windows,
    policies, cost bases) ends of its interval, and ``spend`` as these; ``estimate`` mean of all data over
    specifications; ``none_seen`` the return of as many conversions as there may be and none be seen; ``maturity`` NaN
    where it cannot be told; ``margin`` of its return in revenue; ``days`` the windows, the run's own at ``own``;
    ``has_touchpoints`` whether there is any touchpoint of it; ``is_failed`` whether all models fail a check;
    ``unknown`` why nothing can be said of it, whatever its numbers, empty where something can.
    """

    channel: str
    roas: Floats
    low: Floats
    high: Floats
    spend: Floats
    estimate: float
    none_seen: float
    maturity: float
    margin: float
    days: tuple[float | None, ...]
    own: int
    has_touchpoints: bool
    is_failed: bool
    unknown: str

    @classmethod
    def of(
        cls,
        grid: Grid,
        index: int,
        level: float,
        maturity: Mapping[str, float],
        *,
        is_failed: bool = False,
        unknown: str = "",
    ) -> Evidence:
        """The evidence on the channel at ``index`` of a grid."""
        roas, spend = grid.roas[..., index], grid.spend[..., 0, index]
        low, high = percentile(np.moveaxis(roas[..., 1:], -1, 0), level)
        channel, margin = grid.channels[index], float(grid.margin[index])
        estimate = float(np.nanmean(roas[..., 0]))
        own_maturity = maturity.get(channel, np.nan)
        days = grid.choices.lookback_days
        none_seen, has_touchpoints = -np.log((1 - level) / 2) * grid.average, channel not in grid.unseen
        every = (
            channel,
            roas[..., 1:],
            low,
            high,
            spend,
            estimate,
            none_seen,
            own_maturity,
            margin,
            days,
            grid.own[0],
            has_touchpoints,
            is_failed,
            unknown,
        )
        return cls(*every)

    @property
    def supports_verdicts(self) -> bool:
        """A channel whose touchpoints nobody recorded cannot have earned credit: that is no evidence against it."""
        return self.has_touchpoints and not self.is_failed and not self.unknown

    @property
    def maturity_divisor(self) -> float:
        """What returns are divided by before a channel is said to fail: some of them have not come yet."""
        return 1.0 if np.isnan(self.maturity) else max(self.maturity, 1e-6)

    @property
    def highest(self) -> Floats:
        """The most (models, windows, policies, cost bases) that returns may be, even if no conversion was seen."""
        return np.maximum(self.high, self.none_seen / self.spend)

    @property
    def least(self) -> Floats:
        """The least (models, windows, policies, cost bases) that returns may be: nothing, unless they surely are more.

        Where no channel does anything one in twenty has an interval above nothing, and cheap spend would pay.
        """
        is_sure = self.roas.mean(axis=-1) > SURELY * self.roas.std(axis=-1, ddof=1)
        return np.where(is_sure, self.low, np.minimum(self.low, 0.0))

    @property
    def range(self) -> Range:
        """Over all specifications."""
        return Range(float(np.nanmin(self.least)), float(np.nanmax(self.highest)) / self.maturity_divisor)

    def range_at(self, window: int) -> Range:
        """Over the specifications with one window."""
        low, high = (np.take(of, window, axis=_WINDOWS) for of in (self.least, self.highest))
        return Range(float(np.nanmin(low)), float(np.nanmax(high)) / self.maturity_divisor)


def _row(evidence: Evidence, options: SensitivityOptions, rule: Rule, basis: str) -> dict[str, Any]:
    verdict = rule.verdict(evidence.range) if evidence.supports_verdicts else UNKNOWN
    least, most = options.incremental_share if basis == BOUND else (1.0, 1.0)
    needed = 1 + options.hurdle_roi
    break_even = needed / evidence.estimate if evidence.estimate > 0 else np.nan
    chances = [np.nan, np.nan, np.nan]
    if evidence.supports_verdicts:
        roas = evidence.roas[np.isfinite(evidence.spend)]
        at_least, at_most = least * roas >= needed, most * roas / evidence.maturity_divisor >= needed
        chances = [float(at_least.mean()), float(at_most.mean()), float(at_most.mean(axis=-1).max())]
    return {
        "channel": evidence.channel,
        "verdict": verdict,
        "probability_pays_low": chances[0],
        "probability_pays_high": chances[1],
        "probability_pays_most": chances[2],
        "spend": float(np.nanmean(evidence.spend)),
        "roi": evidence.estimate - 1,
        "roi_low": float(np.nanmin(evidence.low)) - 1,
        "roi_high": float(np.nanmax(evidence.high)) - 1,
        "money_at_stake": _stake(evidence, verdict, needed, (least, most)),
        **_flips(evidence, rule),
        "share_to_break_even": break_even,
        "maturity": evidence.maturity,
    }


def _unknown_row(grid: Grid, index: int, maturity: Mapping[str, float], reason: str) -> dict[str, Any]:
    """A channel of which nothing can be said but why: its number stands for nothing."""
    channel, spend = grid.channels[index], grid.spend[..., 0, index]
    return {
        "channel": channel,
        "verdict": UNKNOWN,
        "spend": float(np.nanmean(spend)),
        "maturity": maturity.get(channel, np.nan),
        "says": f"{channel}: {UNKNOWN}. {_cannot_tell(reason)}",
    }


def _cannot_tell(reason: str) -> str:
    because = reason.removeprefix(f"{UNKNOWN}: ")
    return f"What it caused cannot be told from these data ({because}); a test would tell."


def _bounded(row: Mapping[str, Any], most: float, options: SensitivityOptions) -> dict[str, Any]:
    """What changes in a row where not even the most that a channel may have caused pays back."""
    loss = row["spend"] * (1 + options.hurdle_roi - most)
    return {"verdict": DOES_NOT_PAY, "basis": BOUND, "money_at_stake": loss, **dict.fromkeys(_FLIPS, np.nan)}


def most_returned(grid: Grid, last_touch: str | None, touched: Mapping[str, float]) -> dict[str, float]:
    """Per channel, the most that it may return per unit of spend, whatever was assumed before any test.

    That is the larger of its last-touch credit and of what it caused at the upper end of its interval, and never more
    than the conversions that it touched.

    Parameters
    ----------
    grid : every model and specification
    last_touch : label of the model that credits the last touchpoint; None where there is none, and so no bound
    touched : conversions that each channel touched, in the widest window

    Returns
    -------
    dict
        By channel; those that no model of customers at risk can tell the effect of are not in it.
    """
    hazards = [model for model in grid.models if model in grid.unknown]
    if last_touch not in grid.models or not hazards:
        return {}
    caused = grid.returned[[grid.models.index(model) for model in hazards]]
    upper = caused[..., 0, :] + ONE_SIDED * caused[..., 1:, :].std(axis=-2)
    divided = grid.returned[[grid.models.index(last_touch)]][..., 0, :]
    bounds = {}
    for index, channel in enumerate(grid.channels):
        ends = np.append(upper[..., index].ravel(), divided[..., index].ravel())
        if channel in touched and np.isfinite(ends).all():
            returned = min(float(ends.max()), touched[channel] * grid.average)
            bounds[channel] = returned / float(np.nanmin(grid.spend[..., 0, index]))
    return bounds


def one_per_channel(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One verdict of each channel: a tested one, else one that says something, an estimate before a bound."""
    order = np.lexsort((verdicts["basis"] != ESTIMATE, verdicts["verdict"] == UNKNOWN, verdicts["basis"] != TESTED))
    return verdicts.iloc[order].drop_duplicates("channel").sort_index()


def _stake(evidence: Evidence, verdict: str, needed: float, share: tuple[float, float]) -> float:
    """What spend earns, loses, or the larger of what it may earn and what it may lose."""
    spend, returns, mean = float(np.nanmean(evidence.spend)), evidence.range, evidence.estimate
    least, most = share
    per_unit = {
        LIKELY_PAYS: least * mean - needed,
        DOES_NOT_PAY: needed - most * mean / evidence.maturity_divisor,
        UNKNOWN: max(most * returns.high - needed, needed - least * returns.low),
    }
    result: float = spend * per_unit[verdict]
    return result


def _flips(evidence: Evidence, rule: Rule) -> dict[str, float]:
    """The smallest change of each kind with another verdict; NaN where none is enough."""
    if not evidence.supports_verdicts:
        return dict.fromkeys(_FLIPS, np.nan)
    less, more = rule.factors(evidence.range)
    return {
        "days_to_flip": _days(evidence, rule),
        "margin_points_to_flip": _margin_points(evidence.margin, less, more),
        "cost_to_flip": _cost(evidence, rule),
        # Credit is taken to go along with the touchpoints that are seen.
        "lost_touchpoints_to_flip": np.nan if more is None else 1 - 1 / more,
        "others_lost_to_flip": np.nan if less is None else 1 - less,
    }


def _margin_points(margin: float, less: float | None, more: float | None) -> float:
    """A margin is a share of revenue and cannot rise above 1; that of sales at a loss is no lever of this kind."""
    if not margin > 0:
        return np.nan
    changes = [margin * (factor - 1) for factor in (less, more) if factor is not None and margin * factor <= 1]
    return 100 * min(changes, key=abs) if changes else np.nan


def _cost(evidence: Evidence, rule: Rule) -> float:
    """Costs that nobody booked can only make a channel look better than it is."""
    verdict = rule.verdict(evidence.range)
    if verdict == DOES_NOT_PAY:
        return np.nan
    if verdict == UNKNOWN:
        return float(np.nanmax(evidence.spend * (evidence.highest / evidence.maturity_divisor / rule.fails - 1)))
    return float(np.nanmin(evidence.spend * (evidence.low / rule.pays - 1)))


def _days(evidence: Evidence, rule: Rule) -> float:
    """From the run's own window, by windows alone; between two that were tried, along a straight line."""
    changes: list[float] = []
    for step in (-1, 1):
        window = evidence.own
        while 0 <= window + step < len(evidence.days):
            crossing = rule.crossing(evidence.range_at(window), evidence.range_at(window + step))
            near, far, own = (evidence.days[index] for index in (window, window + step, evidence.own))
            assert near is not None
            assert far is not None
            assert own is not None
            if crossing is not None:
                changes.append(near + crossing * (far - near) - own)
                break
            window += step
    return min(changes, key=abs) if changes else np.nan


def _says(row: Mapping[str, Any], evidence: Evidence, options: SensitivityOptions, rule: Rule) -> str:
    head = f"{row['channel']}: {row['verdict'].replace('_', ' ')}. "
    if not evidence.has_touchpoints:
        return f"{head}It has no touchpoint in the data."
    if evidence.is_failed:
        return f"{head}All models that it could rest on fail a check."
    if evidence.unknown:
        return head + _cannot_tell(evidence.unknown)
    if row["basis"] == BOUND and row["estimand"] == "incremental":
        return f"{head}Its spend would not pay back even if it caused the most that these data leave possible."
    if row["verdict"] == UNKNOWN and float(np.nanmax(evidence.high)) / evidence.maturity_divisor < rule.fails:
        return (
            f"{head}Its spend is small compared with the value of one conversion, so a single unobserved conversion "
            "could pay for it."
        )
    return head + _sentence(row, options)


def _sentence(row: Mapping[str, Any], options: SensitivityOptions) -> str:
    pays, most = row["probability_pays_high"], row["probability_pays_most"]
    if row["basis"] == BOUND:
        share = percent(options.incremental_share[1])
        if row["verdict"] == DOES_NOT_PAY:
            return (
                f"Its spend would not pay back even if it caused {share} of its credit (in {percent(1 - pays)} of "
                f"resamples, at least {percent(1 - most)} in each specification)."
            )
        needed = row["share_to_break_even"]
        if needed > options.incremental_share[1]:
            return f"Even {share} of its credit would pay for its spend in no more than {percent(most)} of resamples."
        return f"Its spend pays back if it caused at least {percent(needed)} of its credit, and only a test tells."
    condition = row["premise"] + ("" if row["assumptions"] is None else f", which assumes {row['assumptions']}")
    if row["verdict"] == UNKNOWN:
        return f"Its spend pays back in {percent(pays)} of resamples, {condition}."
    claim, chance = ("pays back", pays) if row["verdict"] == LIKELY_PAYS else ("does not pay back", 1 - pays)
    return f"Its spend {claim} in {percent(chance)} of resamples, {condition}; it was never tested."
