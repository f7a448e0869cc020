"""Customers, sessions of them and journeys, as arrays."""
