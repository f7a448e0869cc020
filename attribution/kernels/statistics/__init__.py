"""Sums, draws, intervals and agreement."""
