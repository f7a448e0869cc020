"""From credit to money: costs and returns per channel under every model."""

from attribution.returns.channel_costs import (
    CostBasis,
    Costs,
    check_days_of_costs,
    coverage_findings,
    overlap_findings,
    read_costs,
    spend_by_channel,
)
from attribution.returns.cost_ledger import ALL_TYPES, MEDIA
from attribution.returns.lifetime import lifetime_value, payback_period
from attribution.returns.returns_tables import (
    compute_returns,
    credit_of_channels,
    is_known,
    main_basis,
    platform_claims,
    returns_table,
    unit_economics,
    whole_channels,
    with_worth,
)
from attribution.returns.sensitivity_to_costs import (
    booked_costs,
    borne_costs,
    bounded_costs,
    bounds_findings,
    cost_sensitivity,
    own_costs,
)
from attribution.returns.terms import Basis, Terms, known_measures
from attribution.returns.worth import Worth, check_worth, read_worth

__all__ = [
    "ALL_TYPES",
    "MEDIA",
    "Basis",
    "CostBasis",
    "Costs",
    "Terms",
    "Worth",
    "booked_costs",
    "borne_costs",
    "bounded_costs",
    "bounds_findings",
    "check_days_of_costs",
    "check_worth",
    "compute_returns",
    "cost_sensitivity",
    "coverage_findings",
    "credit_of_channels",
    "is_known",
    "known_measures",
    "lifetime_value",
    "main_basis",
    "overlap_findings",
    "own_costs",
    "payback_period",
    "platform_claims",
    "read_costs",
    "read_worth",
    "returns_table",
    "spend_by_channel",
    "unit_economics",
    "whole_channels",
    "with_worth",
]
