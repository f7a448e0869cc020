"""``python -m attribution``."""

from attribution.cli import command

command()
