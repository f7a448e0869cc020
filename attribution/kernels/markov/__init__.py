"""Chains of steps and their absorption."""
