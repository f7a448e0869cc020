"""``python -m attribution``."""

from attribution.cli.main import command

command()
