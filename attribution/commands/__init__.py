"""Commands with a module of their own; `attribution.cli` registers them."""
