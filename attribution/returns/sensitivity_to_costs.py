"""What costs do to ROI: type by type, and within the bounds that some are known in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.returns.channel_costs import CostBasis, Costs
from attribution.returns.cost_ledger import ALL_TYPES, MEDIA
from attribution.returns.returns_declared import COST_SENSITIVITY
from attribution.returns.returns_tables import is_known, main_basis, with_idle_channels
from attribution.returns.terms import Basis, Terms
from attribution.schema.tables import NO_CHANNELS

Floats = NDArray[np.float64]

DEARER = 0.1
"""By how much a type of cost rises, to see what that does."""


def cost_sensitivity(credit: pd.DataFrame, returns: pd.DataFrame, terms: Terms) -> pd.DataFrame | None:
    """The ``cost_sensitivity`` table; None where no cost says of what type it is and all are known exactly.

    A type that is 10 % dearer for everyone leaves what costs are shared by as it was, so that ROI goes from
    R ÷ C − 1 to R ÷ (C + 0.1 a) − 1, where the channel bears a of that type. Fees that `returns.fee_rate` makes of
    media spend are a type of their own, and stay where media alone is dearer.

    Where some costs are known in bounds only, rows of the type ``(all)`` hold what these allow each channel, whatever
    the costs of the others. Two channels overlap where their ROI may be the same; the rank of a channel that overlaps
    with none is sure, as far as costs go.

    Parameters
    ----------
    credit : the ``credit`` table with its measures
    returns : the ``returns`` table
    terms : all costs
    """
    parts = [*(_typed_parts(returns, terms) if terms.costs.is_ledger else ()), *_bounded_parts(credit, terms)]
    if not parts:
        return None
    columns = list(COST_SENSITIVITY.column_names)
    return pd.concat([part.reindex(columns=columns) for part in parts], ignore_index=True)


# ---------------------------------------------------------------- the rows that a question is about


def own_costs(sensitivity: pd.DataFrame) -> pd.DataFrame:
    """What is known of each channel's own costs by type, and of what is shared; the same under every model."""
    rows = sensitivity[sensitivity["cost_type"] != ALL_TYPES].drop_duplicates(["channel", "cost_type"])
    columns = {"own": "amount", "own_share": "share"}
    return rows[["channel", "cost_type", *columns, "is_known"]].rename(columns=columns).reset_index(drop=True)


def booked_costs(tables: Mapping[str, pd.DataFrame], cost_basis: str) -> float:
    """All costs that were booked, shared ones included, whoever gets credit; NaN where there are none.

    Parameters
    ----------
    tables : of a run: ``returns``, and ``cost_sensitivity`` where costs have types
    cost_basis : ``media`` for the cost of media alone, ``loaded`` for all

    Examples
    --------
    >>> returns = pd.DataFrame({"model": ["a", "a"], "channel": ["mail", "seo"], "cost_basis": "media",
    ...     "spend": [50.0, None], "basis": "revenue"})
    >>> booked_costs({"returns": returns}, "media")
    50.0
    """
    own = own_costs(tables["cost_sensitivity"]) if "cost_sensitivity" in tables else pd.DataFrame()
    if len(own):
        return float(own.loc[(cost_basis == "loaded") | (own["cost_type"] == MEDIA), "amount"].sum(min_count=1))
    rows = tables["returns"]
    rows = rows[rows["cost_basis"] == cost_basis].drop_duplicates("channel")
    return float(rows["spend"].sum(min_count=1))


def borne_costs(sensitivity: pd.DataFrame) -> pd.DataFrame:
    """What each channel with an ROI on all its costs bears of each type, under each model."""
    borne = sensitivity["roi"].notna() & (sensitivity["amount"] > 0)
    return sensitivity[borne & (sensitivity["cost_type"] != ALL_TYPES)]


def bounded_costs(sensitivity: pd.DataFrame) -> pd.DataFrame:
    """Bounds of each channel with an ROI, on what channels are ranked by; empty where all costs are known exactly."""
    return main_basis(sensitivity[sensitivity["cost_type"] == ALL_TYPES])


def bounds_findings(sensitivity: pd.DataFrame | None) -> list[Finding]:
    """Channels whose place in the ranking hangs on costs that are known in bounds only."""
    if sensitivity is None:
        return []
    ranked = bounded_costs(sensitivity)
    if ranked.empty:
        return []
    unsure = sorted(set(ranked.loc[ranked["overlaps"].notna(), "channel"]))
    message = "channels whose ROI overlaps that of others within the bounds of costs: narrow the bounds to rank them"
    total = ranked["channel"].nunique()
    return [count_finding("cost_bounds", "costs", len(unsure), message, total=total, example=", ".join(unsure[:5]))]


# ---------------------------------------------------------------- type by type


def _typed_parts(returns: pd.DataFrame, terms: Terms) -> list[pd.DataFrame]:
    """The rows of each model, channel by channel, what is shared last."""
    loaded = returns[(returns["cost_basis"] == "loaded") & (returns["basis"] == terms.options.basis)]
    loaded = loaded[~loaded["channel"].isin(NO_CHANNELS)]
    return [_typed_rows(rows, terms) for _, rows in loaded.groupby("model", sort=False)]


def _typed_rows(rows: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    costs, channels = terms.costs, list(rows["channel"])
    types = [MEDIA, *sorted(({kind for _, kind in costs.amounts} | set(costs.shared)) - {MEDIA})]
    own, amount = _by_type(costs, channels, types, rows["conversions"].to_numpy(float))
    table = rows.iloc[np.repeat(np.arange(len(rows)), len(types))].reset_index(drop=True)
    table = table.assign(cost_type=types * len(rows), own=own.ravel(), amount=amount.ravel())
    spend, value = (table[name].to_numpy(float) for name in ("spend", "value"))
    table["share"] = table["amount"] / table["spend"].where(spend > 0)
    with_roi = np.where(table["roi"].notna(), spend, np.nan)
    left = with_roi - table["amount"].to_numpy(float)
    # What is left of a sum after its only term is rounding.
    has_more = left > 1e-12 * with_roi
    table["roi_without"] = np.divide(value, left, out=np.full(len(table), np.nan), where=has_more) - 1
    table["roi_change"] = value / (with_roi + DEARER * table["amount"]) - value / with_roi
    if costs.shared:
        shared = table.loc[: len(types) - 1, ["model", "estimand", "basis", "cost_basis", "cost_type"]]
        shared = shared.assign(own=[costs.shared.get(kind, np.nan) for kind in types])
        table = pd.concat([table, shared])
    table["is_known"] = table["own"].notna()
    whole = table.groupby("channel", dropna=False)["own"].transform("sum")
    table["own_share"] = table["own"] / whole.where(whole > 0)
    # Intervals by sampling stand in returns; here they are bounds of costs, which a single type has none of.
    return table.drop(columns=["roi_low", "roi_high", "rank_low", "rank_high"]).assign(overlaps=None)


def _by_type(costs: Costs, channels: Sequence[str], types: Sequence[str], conversions: Floats) -> tuple[Floats, Floats]:
    """(channels, types) costs of each channel's own, and what it bears; null where none is known."""
    own = np.array([[costs.amounts.get((channel, kind), np.nan) for kind in types] for channel in channels])
    part = np.zeros_like(own)
    for column, kind in enumerate(types):
        if costs.shared.get(kind):
            part[:, column] = costs.shared[kind] * costs.shares(kind, channels, conversions)
    return own, np.where(np.isnan(own) & (part == 0), np.nan, np.nan_to_num(own) + part)


# ---------------------------------------------------------------- where costs are known in bounds only


def _bounded_parts(credit: pd.DataFrame, terms: Terms) -> list[pd.DataFrame]:
    """The rows of each basis, cost basis and model; none where all costs are known exactly."""
    if terms.costs.bounds is None:
        return []
    table = with_idle_channels(credit, terms)
    table = table[~table["channel"].isin(NO_CHANNELS)]
    return [
        _bounded_rows(part, terms, basis, cost_basis)
        for basis, cost_basis in terms.combinations
        for _, part in table[is_known(table)].groupby("model", sort=False)
    ]


def _bounded_rows(part: pd.DataFrame, terms: Terms, basis: Basis, cost_basis: CostBasis) -> pd.DataFrame:
    channels = list(part["channel"])
    amounts = {name: part[name].to_numpy(float)[None] for name in ("conversions", "value", *terms.measures)}
    earned = terms.earned(basis, amounts)[0]
    spend = terms.costs.spend(cost_basis, channels, amounts["conversions"])[0]
    low, high = (of[0] for of in terms.costs.spend_bounds(cost_basis, channels, amounts["conversions"]))
    with np.errstate(divide="ignore", invalid="ignore"):
        # What loses money whatever it costs loses less by share where it costs more.
        ends = np.sort(
            np.stack([np.where(of > 0, earned / of, np.inf * np.sign(earned)) - 1 for of in (low, high)]), axis=0
        )
        roi = np.where(spend > 0, earned / spend - 1, np.nan)
    is_bounded = (
        terms.costs.has_own(cost_basis, channels) & np.isfinite(high) & (high > 0) & ~np.isnan(ends).any(axis=0)
    )
    worst, best = ends[:, is_bounded]
    names = np.array(channels, dtype=object)[is_bounded]
    rows = part[["model", "estimand", "channel"]][is_bounded].assign(basis=basis, cost_basis=cost_basis, is_known=True)
    rows = rows.assign(
        cost_type=ALL_TYPES, amount=spend[is_bounded], amount_low=low[is_bounded], amount_high=high[is_bounded]
    )
    rows = rows.assign(share=rows["amount"] / rows["amount"].where(rows["amount"] > 0))
    rows = rows.assign(roi_low=_finite(worst), roi=roi[is_bounded], roi_high=_finite(best))
    rows["rank_low"] = 1.0 + (worst[None, :] > best[:, None]).sum(axis=1)
    rows["rank_high"] = float(len(names)) - (best[None, :] < worst[:, None]).sum(axis=1)
    meet = (worst[None, :] <= best[:, None]) & (best[None, :] >= worst[:, None]) & ~np.eye(len(names), dtype=bool)
    rows["overlaps"] = [", ".join(names[overlap]) or None for overlap in meet]
    return rows


def _finite(ends: Floats) -> Floats:
    return np.where(np.isfinite(ends), ends, np.nan)
