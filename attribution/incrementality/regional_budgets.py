"""Budgets that chance moved between regions: what channels caused there, as readings beside those of tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.engine import quote
from attribution.data.loading import Finding, Sources, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.incrementality.lift_readings import LEVEL, LogPeriod, Scaling, in_period, ratios
from attribution.incrementality.log_period import period_bounds
from attribution.journeys.refine import DAY
from attribution.kernels.incremental.lift_effects import Estimate, interval
from attribution.kernels.incremental.regional_effects import RegionalEffects, regional_effects
from attribution.sections import RunContext

Floats = NDArray[np.float64]

DESIGN = "regional_variation"

FEW_REGIONS = 12
"""With fewer, errors that are clustered by region are too small."""

VARIES = 0.05
"""Share of the variance of exposure that must be a channel's own between regions on a day."""

BURN_IN = 10
"""Days at the start of the log, before which nobody knows what was shown."""

RETENTIONS = (0.0, 0.5, 0.8, 0.9)
"""Shares of exposure that may be left a day later: half is gone after no time, one, three or seven days."""

CAUTION = 1.3
"""How many times its error counts for: what is measured so has been more sure than right."""


class RegionalLog(NamedTuple):
    """What was shown and bought, by region and day of the period.

    Attributes
    ----------
    channels : that money is spent on
    conversions, at_risk : first conversions, and customers without one at the start of the day, (regions, days)
    touches : (channels, regions, days)
    heads : customers by region
    nowhere : customers without a region
    """

    channels: tuple[str, ...]
    conversions: Floats
    at_risk: Floats
    touches: Floats
    heads: Floats
    nowhere: float


class RegionalBudgets(NamedTuple):
    """Rows of ``lift_readings``, and what to know of them."""

    rows: Sequence[dict[str, Any]]
    findings: Sequence[Finding]


def read_regional_budgets(context: RunContext, log: LogPeriod) -> RegionalBudgets:
    """What channels caused where chance moved budgets; nothing unless that is declared.

    Raises
    ------
    InputError
        If there are too few regions or days, or nothing was spent.
    """
    column = context.experiment.incrementality.region
    if column is None:
        return RegionalBudgets([], [])
    counts = _read_counts(context, column)
    of = (counts.conversions, counts.at_risk, counts.touches, counts.heads)
    effects = regional_effects(*of, retentions=RETENTIONS, burn_in=BURN_IN)
    is_read = effects.varies >= VARIES
    rows = [row for channel in np.flatnonzero(is_read).tolist() for row in _rows(channel, counts, effects, log)]
    unread = [name for name, read in zip(counts.channels, is_read, strict=True) if not read]
    return RegionalBudgets(
        rows,
        [
            count_finding(
                "regional_budgets",
                "customers",
                len(unread),
                "channels whose exposure hardly differs between regions on a day, so nothing is read of them: let "
                "chance move their budgets between regions, or test them",
                total=len(counts.channels),
                example=", ".join(unread[:3]),
            ),
            count_finding(
                "customers_without_region",
                "customers",
                counts.nowhere,
                "customers without a region, who are left out of what regions say: fill in the column",
                total=counts.nowhere + counts.heads.sum(),
            ),
        ],
    )


def _rows(channel: int, counts: RegionalLog, effects: RegionalEffects, log: LogPeriod) -> list[dict[str, Any]]:
    name = counts.channels[channel]
    effect, error = effects.effects[channel], CAUTION * effects.standard_errors[channel]
    rows = []
    for measure, worth in (("conversions", 1.0), ("value", log.mean_value)):
        if not np.isfinite(worth):
            continue
        estimate = Estimate(float(effect * worth), float(error * worth), effects.degrees)
        ends = interval(estimate, LEVEL)
        notes = [
            f"{len(counts.heads)} regions whose budgets were declared to be moved by chance, t with "
            f"{effects.degrees:g} degrees of freedom",
            "first conversions of customers",
            *(["value is conversions × the mean value of the log"] if measure == "value" else []),
        ]
        row = {
            "test": f"regional budgets of {name}",
            "channel": name,
            "design": DESIGN,
            "estimand": "incremental",
            "measure": measure,
            "first_day": str(log.first),
            "last_day": str(log.last),
            "customers": counts.heads.sum(),
            "effect": estimate.effect,
            "standard_error": estimate.standard_error,
            "low": ends.low,
            "high": ends.high,
            "level": LEVEL,
            "effect_per_day": estimate.effect / log.days,
            "scope": "whole",
            "calibrates": True,
            "note": "; ".join(notes),
        }
        spent = ratios(measure, estimate, log.spend.get(name, np.nan), LEVEL)
        rows.append(row | spent | in_period(estimate, Scaling(1.0, "none"), LEVEL))
    return rows


def _read_counts(context: RunContext, column: str) -> RegionalLog:
    sources, bounds = context.sources, period_bounds(context)
    channels = tuple(sorted(name for name, amount in context.terms.costs.media.items() if amount))
    if bounds is None or not channels or not sources.has("touchpoints"):
        raise InputError(
            "randomised budgets are read from touchpoints, days and spend, of which the log lacks one",
            hint="give touchpoints with times and costs, or leave incrementality.budgets out",
        )
    regions, nowhere = _read_regions(sources, column)
    days = bounds[1] // DAY - bounds[0] // DAY + 1
    if len(regions) < max(FEW_REGIONS, len(channels) + 2):
        raise InputError(
            "randomised budgets are in too few regions to read",
            given=f"{len(regions)} regions, {len(channels)} channels with spend",
            allowed=f"{FEW_REGIONS} regions or more, and two more than channels",
            hint="test by customers instead, or leave incrementality.budgets out",
        )
    if days < 2 * BURN_IN:
        raise InputError(
            "randomised budgets are read over days, and the log has too few",
            given=f"{days} days",
            allowed=f"{2 * BURN_IN} or more, of which the first {BURN_IN} are not compared",
        )
    shape = len(regions), days
    where = _regions_of(column)
    within = f"between {bounds[0]} and {bounds[1]}"
    shown = sources.engine.query(
        f"select t.channel, c.region, t.touched_at as at from touchpoints t join ({where}) c "
        f"on t.customer_id = c.customer_id where t.channel is not null and t.touched_at {within}"
    ).to_pandas()
    # Who bought before the period is no longer at risk in it.
    bought = sources.engine.query(
        f"select c.region, min(v.converted_at) as at from {sources.conversions_view} v join ({where}) c "
        f"on v.customer_id = c.customer_id where v.converted_at <= {bounds[1]} group by c.region, v.customer_id"
    ).to_pandas()
    heads = regions.to_numpy(dtype=float)
    is_before = (bought["at"] < bounds[0]).to_numpy()
    before = bought[is_before].groupby("region").size().reindex(regions.index, fill_value=0).to_numpy(dtype=float)
    conversions = _count_rows(bought[~is_before], regions.index, shape, bounds[0])
    earlier = np.cumsum(conversions, axis=1) - conversions
    of_channels = [_count_rows(shown[shown["channel"] == name], regions.index, shape, bounds[0]) for name in channels]
    at_risk = heads[:, None] - before[:, None] - earlier
    return RegionalLog(channels, conversions, at_risk, np.array(of_channels), heads, nowhere)


def _read_regions(sources: Sources, column: str) -> tuple[pd.Series, float]:
    """Customers by region, and how many have none."""
    if not sources.has("customers", column):
        columns = list(sources.tables["customers"].columns)
        raise InputError(
            f"the region column {column!r} is not in the customers table",
            given=columns,
            hint=did_you_mean(column, columns),
        )
    sizes = sources.engine.query(
        f"select region, count(*)::double as heads from ({_regions_of(column)}) c group by region order by region"
    ).to_pandas()
    is_somewhere = sizes["region"].notna()
    return sizes[is_somewhere].set_index("region")["heads"], float(sizes.loc[~is_somewhere, "heads"].sum())


def _regions_of(column: str) -> str:
    return (
        f"select customer_id, min({quote(column)})::varchar as region from customers where customer_id is not null "
        "group by customer_id"
    )


def _count_rows(rows: pd.DataFrame, regions: pd.Index, shape: tuple[int, int], first: int) -> Floats:
    """Rows by region and day."""
    position = regions.get_indexer(rows["region"])
    day = rows["at"].to_numpy(dtype=np.int64) // DAY - first // DAY
    counts = np.zeros(shape)
    is_counted = position >= 0
    np.add.at(counts, (position[is_counted], day[is_counted]), 1.0)
    return counts
