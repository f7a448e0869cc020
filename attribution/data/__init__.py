"""From raw exports to canonical tables."""
