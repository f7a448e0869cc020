"""Which types of cost are known of each channel, and whose ROI is therefore overstated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attribution.data.loading import Finding, Sources, count_finding
from attribution.returns.ledger import MEDIA, overlapping
from attribution.returns.spend import Costs
from attribution.schema.tables import COST_COVERAGE


def cost_coverage(costs: Costs, channels: Sequence[str]) -> pd.DataFrame:
    """The ``cost_coverage`` table: every channel with every type of cost that is told of any.

    Parameters
    ----------
    costs : all costs
    channels : those that have credit; channels with costs are added
    """
    kinds = [MEDIA, *sorted(({kind for _, kind in costs.amounts} | set(costs.shared)) - {MEDIA})]
    rows: list[tuple[str | None, str, float]] = [
        (channel, kind, costs.amounts.get((channel, kind), np.nan))
        for channel in sorted(costs.channels | set(channels))
        for kind in kinds
    ]
    rows += [(None, kind, costs.shared.get(kind, np.nan)) for kind in kinds if costs.shared]
    table = pd.DataFrame(rows, columns=["channel", "cost_type", "amount"])
    whole = table.groupby("channel", dropna=False)["amount"].transform("sum")
    table["share"] = table["amount"] / whole.where(whole > 0)
    table["is_known"] = table["amount"].notna()
    return table[list(COST_COVERAGE.column_names)]


def overlap_findings(sources: Sources) -> list[Finding]:
    """Periods of a costs table without types that overlap; nothing is said where none does."""
    if not sources.has("costs", "period_start") or sources.has("costs", "cost_type"):
        return []
    rows = overlapping(sources.engine.query("select * from costs").to_pandas())
    if rows.empty:
        return []
    total = sources.tables["costs"].rows
    message = "periods that overlap an earlier one of their channel, and are added up: is a cost booked twice?"
    return [count_finding("overlapping_periods", "costs", len(rows), message, total=total, example=rows.iloc[0, 0])]


def coverage_findings(costs: Costs, channels: Sequence[str]) -> list[Finding]:
    """Channels whose costs are known in part or not at all, where cost types are told: their ROI says too much."""
    if not costs.is_ledger:
        return []
    media, owned = set(costs.media), {channel for channel, kind in costs.amounts if kind != MEDIA}
    every = sorted(set(channels) | costs.channels)
    groups = {
        "no_cost": (
            [name for name in every if name not in media | owned],
            "channels with credit and no cost of their own: no ROI and no rank, even where they share in others",
        ),
        "media_cost_only": (
            [name for name in every if name in media - owned],
            "channels with media cost and no other of their own: their ROI is overstated beside that of the others",
        ),
        "no_media_cost": (
            [name for name in every if name in owned - media],
            "channels with costs, none of them media: no ROI and no rank unless returns.cost_basis is 'loaded'",
        ),
    }
    return [
        count_finding(check, "costs", len(names), message, total=len(every), example=", ".join(names[:5]))
        for check, (names, message) in groups.items()
    ]
