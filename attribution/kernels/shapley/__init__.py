"""Cooperative games between channels."""
