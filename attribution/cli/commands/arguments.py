"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml", help="The experiment file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the file, e.g. journeys.lookback_days=14."),
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")]
DAY = ["%Y-%m-%d"]
"""How days are written."""
Covers = Annotated[
    str | None,
    typer.Option(metavar="FROM..TO", help="Days that the tables tell all of; first to last conversion unless given."),
]
MaxGapDays = Annotated[int, typer.Option(min=1, help="A row further than this from all others is refused.")]
