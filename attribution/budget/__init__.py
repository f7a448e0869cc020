"""From returns to a budget: who should get how much, within which limits, and how far that can be trusted."""

from attribution.budget.evidence import ground_has_moved
from attribution.budget.metrics import budget_metrics
from attribution.budget.proposal import BudgetPlan, propose_budget

__all__ = ["BudgetPlan", "budget_metrics", "ground_has_moved", "propose_budget"]
