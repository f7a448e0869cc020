"""From credit to money: costs and returns per channel under every model."""

from attribution.returns.bounds import bounds_findings, cost_bounds
from attribution.returns.channels import credit_of_channels, whole_channels
from attribution.returns.claims import platform_claims
from attribution.returns.coverage import cost_coverage, coverage_findings, overlap_findings
from attribution.returns.economics import unit_economics
from attribution.returns.ledger import MEDIA
from attribution.returns.lifetime import lifetime_value, payback_period
from attribution.returns.spend import CostBasis, Costs, read_costs, spend_by_channel
from attribution.returns.table import compute_returns, main_basis, returns_table, with_worth
from attribution.returns.terms import Basis, Terms, known_measures
from attribution.returns.worth import Worth, read_worth

__all__ = [
    "MEDIA",
    "Basis",
    "CostBasis",
    "Costs",
    "Terms",
    "Worth",
    "bounds_findings",
    "compute_returns",
    "cost_bounds",
    "cost_coverage",
    "coverage_findings",
    "credit_of_channels",
    "known_measures",
    "lifetime_value",
    "main_basis",
    "overlap_findings",
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
