"""Customers who live through a world, as arrays."""
