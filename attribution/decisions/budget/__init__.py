"""From returns to a budget: who should get how much, within which limits, and how far that can be trusted."""

from attribution.decisions.budget.budget_options import BudgetOptions
from attribution.decisions.budget.budget_section import BudgetSection, budget_metrics
from attribution.decisions.budget.evidence import ground_has_moved
from attribution.decisions.budget.proposal import BudgetPlan, propose_budget

__all__ = [
    "BudgetOptions",
    "BudgetPlan",
    "BudgetSection",
    "budget_metrics",
    "ground_has_moved",
    "propose_budget",
]
