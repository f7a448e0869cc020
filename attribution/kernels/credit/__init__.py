"""Weights, shares and their reconciliation with totals."""
