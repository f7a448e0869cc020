"""Commands with a module of their own; `attribution.cli.main` registers them."""
