"""What a customer costs and is worth: CPA, CAC, LTV ÷ CAC, and where spend breaks even."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attribution.returns.lifetime import payback
from attribution.returns.spend import CostBasis
from attribution.returns.table import paid_of, ratio, spend_of, with_idle_channels
from attribution.returns.terms import COST_BASES, Terms
from attribution.schema.tables import NO_CHANNELS, UNIT_ECONOMICS


def unit_economics(credit: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """The ``unit_economics`` table of a ``credit`` table with its measures.

    With a margin of g, spend breaks even at a ROAS of 1 ÷ g, and at a CPA of g times the average value of a
    conversion.
    """
    table = with_idle_channels(credit, terms)
    table = table[~table["channel"].isin(NO_CHANNELS)].reset_index(drop=True)
    cost_bases = COST_BASES if terms.costs.is_ledger else COST_BASES[:1]
    parts = [_rows(table, terms, cost_basis) for cost_basis in cost_bases]
    return pd.concat(parts, ignore_index=True)[list(UNIT_ECONOMICS.column_names)]


def _rows(credit: pd.DataFrame, terms: Terms, cost_basis: CostBasis) -> pd.DataFrame:
    table = credit.assign(cost_basis=cost_basis, spend=spend_of(credit, terms, cost_basis))
    paid = paid_of(table, terms, cost_basis)
    table["average_value"] = ratio(table["value"], table["conversions"])
    if "margin" in terms.measures:
        table["margin"] = ratio(credit["margin"], credit["value"])
    else:
        table["margin"] = np.nan if terms.options.margin is None else terms.options.margin
    table["new_customers"] = credit["new_customers"]
    lifetime = terms.options.margin * credit["ltv"] if "ltv" in terms.measures else credit["value"] * np.nan
    table["lifetime_margin"] = ratio(lifetime, table["new_customers"])
    table["cpa"] = ratio(paid, table["conversions"])
    table["cac"] = ratio(paid, table["new_customers"])
    table["ltv_to_cac"] = ratio(table["lifetime_margin"], table["cac"])
    course = terms.options.lifetime
    paid_back = table["cac"] * np.nan
    if course is not None:
        paid_back[:] = payback(table["lifetime_margin"].to_numpy(float), table["cac"].to_numpy(float), course)
    table["payback"] = paid_back
    table["break_even_roas"] = ratio(table["margin"] * 0 + 1, table["margin"])
    table["break_even_cpa"] = table["margin"] * table["average_value"]
    table[[f"{name}_{end}" for name in ("cpa", "cac", "ltv_to_cac") for end in ("low", "high")]] = np.nan
    return table
