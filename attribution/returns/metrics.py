"""Numbers of money for the tracker: ROI on every basis, what a customer costs, and the bounds of costs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from attribution.returns.table import main_basis
from attribution.schema.tables import NO_CHANNELS

_UNIT = ("cpa", "cac", "ltv_to_cac", "payback")


def returns_metrics(tables: Mapping[str, pd.DataFrame], label: str) -> dict[str, float]:
    """Metrics of one model beyond the ROI that channels are ranked by; null where a ratio is.

    Parameters
    ----------
    tables : of a run
    label : of the model

    Returns
    -------
    ``what/channel`` to number: ``roi_margin_loaded/mail``, with the ends of its interval where there is one,
    ``cac/mail``, ``roi_at_highest_cost/mail``.
    """
    metrics: dict[str, float] = {}
    returns = tables["returns"]
    others = returns[(returns["model"] == label) & ~returns["channel"].isin(NO_CHANNELS)]
    others = others.drop(main_basis(returns).index, errors="ignore")
    for row in others.to_dict("records"):
        for end in ("", "_low", "_high"):
            metrics[f"roi_{row['basis']}_{row['cost_basis']}{end}/{row['channel']}"] = float(row[f"roi{end}"])
    if "unit_economics" in tables:
        table = tables["unit_economics"]
        for row in table[table["model"] == label].to_dict("records"):
            for name in _UNIT:
                metrics[f"{name}_{row['cost_basis']}/{row['channel']}"] = float(row[name])
    if "cost_bounds" in tables:
        table = main_basis(tables["cost_bounds"])
        for row in table[table["model"] == label].to_dict("records"):
            metrics[f"roi_at_highest_cost/{row['channel']}"] = float(row["roi_low"])
            metrics[f"roi_at_lowest_cost/{row['channel']}"] = float(row["roi_high"])
    return metrics
