"""Arguments that several commands take, and the exit code of those that judge."""

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
AllowOwnCode = Annotated[
    bool,
    typer.Option(
        "--allow-own-code",
        help="Let a model name classes and functions that this package does not ship; they are run.",
    ),
]
DAY = ["%Y-%m-%d"]
"""How days are written."""
NEGATIVE_VERDICT = 3
"""Exit code: it ran, and what it says is no."""
