"""Arguments that several commands take, and the exit code of those that judge."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from attribution.errors import InputError

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml", help="The experiment file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the file, e.g. journeys.lookback_days=14. Can be repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, but write nothing.")]
AllowOwnCode = Annotated[
    bool,
    typer.Option(
        "--allow-own-code",
        help="Allow a saved model to run classes and functions from outside this package.",
    ),
]
Restate = Annotated[
    str | None,
    typer.Option(
        metavar="FROM",
        help="First day on which the new version is in effect: `attribution score` restates the days since. "
        "Default: today (UTC).",
    ),
]
DAY = ["%Y-%m-%d"]
"""How days are written."""
NEGATIVE_VERDICT = 3
"""Exit code: it ran, and what it says is no."""
Covers = Annotated[
    str | None,
    typer.Option(
        metavar="FROM..TO",
        help="Days that the tables cover completely. Default: from the first to the last conversion.",
    ),
]
MaxGapDays = Annotated[
    int,
    typer.Option(
        min=1, help="Refuse rows that are more than this many days from all others: their times are probably wrong."
    ),
]


def parse_day(text: str | None, option: str) -> int | None:
    """The number of a day that an option names."""
    if text is None:
        return None
    from attribution.production.scoring.days import day_number

    try:
        return day_number(dt.date.fromisoformat(text).isoformat())
    except ValueError:
        raise InputError(f"{option} must be a day", given=repr(text), allowed="days such as 2024-04-03") from None


def days_covered(text: str | None) -> tuple[int, int] | None:
    """The days of ``--covers``."""
    if text is None:
        return None
    first, dots, last = text.partition("..")
    allowed = "first and last day, such as 2024-03-01..2024-03-31"
    if not dots:
        raise InputError("--covers must be a first and a last day", given=repr(text), allowed=allowed)
    days = [parse_day(part.strip(), "--covers") for part in (first, last)]
    if days[0] is None or days[1] is None or days[0] > days[1]:
        raise InputError("the last day of --covers is before the first", given=repr(text), allowed=allowed)
    return days[0], days[1]
