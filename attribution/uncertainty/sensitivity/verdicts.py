"""The ``verdicts`` table: grow, keep, cut or not enough evidence, and how little would change that."""

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
from attribution.uncertainty.sensitivity.rules import CUT, GROW, KEEP, UNCLEAR, Range, Rule
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

_WINDOWS = 1
"""Axis of a `Grid` along which windows lie."""


def verdict_table(grid: Grid, options: SensitivityOptions, maturity: Mapping[str, float]) -> pd.DataFrame:
    """The ``verdicts`` table of the models in ``grid``, which estimate the same.

    Parameters
    ----------
    grid : returns and spend under every specification
    options : hurdle, incremental share, elasticity, level
    maturity : per channel, the share of its conversions that have come; channels that are absent are mature

    Notes
    -----
    A verdict is given where it holds under every specification with probability (1 + level) / 2: the chance that it
    is wrong by the sampling of customers is at most half of what the level leaves. How far credit may be from what
    was caused is an assumption, ``incremental_share``, and no sampling tells it. Draws of customers of whom none
    converted know nothing but 0, so that a channel is taken to bring at least as much as −ln((1 − level) / 2)
    conversions are worth, of which none may be seen with that chance.
    """
    rule, assumptions = Rule.of(options, grid.estimands[0]), "; ".join(filter(None, grid.assumptions)) or None
    caveat = NOT_INCREMENTAL if grid.estimands[0] == "allocated" else ""
    rows = []
    for index in range(len(grid.channels)):
        evidence = Evidence.of(grid, index, options.level, maturity)
        row = _row(evidence, options, rule) | {"estimand": grid.estimands[0], "assumptions": assumptions}
        rows.append(row | {"says": _says(row, evidence, options, rule) + caveat})
    return pd.DataFrame(rows, columns=list(VERDICTS.column_names))


@dataclass(frozen=True)
class Evidence:
    """What there is on one channel.

    ``roas`` (models, windows, policies, cost bases, draws) return ÷ spend; ``low``, ``high`` (models, windows,
    policies, cost bases) ends of its interval, and ``spend`` as these; ``estimate`` mean of all data over
    specifications; ``none_seen`` the return of as many conversions as there may be and none be seen; ``maturity`` NaN
    where it cannot be told; ``margin`` of its return in revenue; ``days`` the windows, the run's own at ``own``;
    ``has_touchpoints`` whether there is any touchpoint of it.
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

    @classmethod
    def of(cls, grid: Grid, index: int, level: float, maturity: Mapping[str, float]) -> Evidence:
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
        )
        return cls(*every)

    @property
    def maturity_divisor(self) -> float:
        """What returns are divided by before a channel is said to fail: some of them have not come yet."""
        return 1.0 if np.isnan(self.maturity) else max(self.maturity, 1e-6)

    @property
    def highest(self) -> Floats:
        """The most (models, windows, policies, cost bases) that returns may be, even if no conversion was seen."""
        return np.maximum(self.high, self.none_seen / self.spend)

    @property
    def range(self) -> Range:
        """Over all specifications."""
        return Range(float(np.nanmin(self.low)), float(np.nanmax(self.highest)) / self.maturity_divisor)

    def range_at(self, window: int) -> Range:
        """Over the specifications with one window."""
        low, high = (np.take(of, window, axis=_WINDOWS) for of in (self.low, self.highest))
        return Range(float(np.nanmin(low)), float(np.nanmax(high)) / self.maturity_divisor)


def _row(evidence: Evidence, options: SensitivityOptions, rule: Rule) -> dict[str, Any]:
    # A channel whose touchpoints nobody recorded cannot have earned credit: that is no evidence against it.
    verdict = rule.verdict(evidence.range) if evidence.has_touchpoints else UNCLEAR
    roas = evidence.roas[np.isfinite(evidence.spend)] if evidence.has_touchpoints else np.full((1, 1), np.nan)
    claims = {GROW: roas > rule.grows, KEEP: roas > rule.pays, CUT: roas / evidence.maturity_divisor < rule.fails}
    chance = {claim: float(holds.mean()) for claim, holds in claims.items()}
    claim = max(chance, key=chance.__getitem__) if verdict == UNCLEAR else verdict
    break_even = (1 + options.hurdle_roi) / evidence.estimate if evidence.estimate > 0 else np.nan
    return {
        "channel": evidence.channel,
        "verdict": verdict,
        "probability": chance[claim],
        "probability_least": float(claims[claim].mean(axis=-1).min()),
        **{f"probability_{name}": of for name, of in chance.items()},
        "spend": float(np.nanmean(evidence.spend)),
        "roi": evidence.estimate - 1,
        "roi_low": float(np.nanmin(evidence.low)) - 1,
        "roi_high": float(np.nanmax(evidence.high)) - 1,
        "money_at_stake": _stake(evidence, verdict, options, rule),
        **_flips(evidence, rule),
        "share_to_break_even": break_even,
        "maturity": evidence.maturity,
    }


def _stake(evidence: Evidence, verdict: str, options: SensitivityOptions, rule: Rule) -> float:
    """What is gained by a step more, earned, lost, or the larger of what may be earned and what may be lost."""
    needed = 1 + options.hurdle_roi
    least, most = needed / rule.pays, needed / rule.fails
    spend, returns, mean = float(np.nanmean(evidence.spend)), evidence.range, evidence.estimate
    per_unit = {
        GROW: least * mean * ((1 + options.step) ** options.elasticity - 1) - options.step * needed,
        KEEP: least * mean - needed,
        CUT: needed - most * mean / evidence.maturity_divisor,
        UNCLEAR: max(most * returns.high - needed, needed - least * returns.low),
    }
    result: float = spend * per_unit[verdict]
    return result


def _flips(evidence: Evidence, rule: Rule) -> dict[str, float]:
    """The smallest change of each kind with another verdict; NaN where none is enough."""
    if not evidence.has_touchpoints:
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
    if verdict == CUT:
        return np.nan
    if verdict == UNCLEAR:
        return float(np.nanmax(evidence.spend * (evidence.highest / evidence.maturity_divisor / rule.fails - 1)))
    bound = rule.grows if verdict == GROW else rule.pays
    return float(np.nanmin(evidence.spend * (evidence.low / bound - 1)))


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
    head = f"{row['channel']}: {row['verdict']} – "
    if not evidence.has_touchpoints:
        return f"{head}it has no touchpoint in the data, so whether its spend pays back is unknown."
    if row["verdict"] == UNCLEAR and float(np.nanmax(evidence.high)) / evidence.maturity_divisor < rule.fails:
        return (
            f"{head}its spend is small compared with the value of one conversion, so a single unobserved conversion "
            "could pay for it."
        )
    if row["verdict"] == UNCLEAR:
        head = head.removesuffix(" – ") + ". "
    return head + _sentence(row, options)


def _sentence(row: Mapping[str, Any], options: SensitivityOptions) -> str:
    if row["estimand"] == "allocated":
        least, most = (percent(share) if share != 1 else "all" for share in options.incremental_share)
        of_least, of_most = (f"even if it caused only {least} of its credit", f"even if it caused {most} of its credit")
        unclear = f"If it caused only {least} of its credit, its spend pays back in"
        unclear_most = f"; if it caused {most} of it, in"
    else:
        condition = "" if row["assumptions"] is None else f", which assumes {row['assumptions']}"
        of_least = of_most = f"if the model is right about what it caused{condition}"
        unclear, unclear_most = "Its spend pays back in", " and does not in"
    sure = (
        f"in {percent(row['probability'])} of resamples, at least {percent(row['probability_least'])} in each "
        "specification"
    )
    if row["verdict"] == UNCLEAR:
        most_share = 1 - row["probability_cut"] if row["estimand"] == "allocated" else row["probability_cut"]
        return f"{unclear} {percent(row['probability_keep'])} of resamples{unclear_most} {percent(most_share)}."
    claims = {
        GROW: f"spending more pays back, {of_least}",
        KEEP: f"its spend pays back, {of_least}, but it is not shown that spending more does",
        CUT: f"its spend does not pay back, {of_most}",
    }
    return f"{claims[row['verdict']]} ({sure})."
