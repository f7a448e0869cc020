"""Arguments that several commands take, and the exit code of those that judge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.errors import InputError

if TYPE_CHECKING:
    from attribution.production.guards import GuardResult, Thresholds

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

Due = Annotated[
    str | None,
    typer.Option(
        "--due",
        metavar="DAY",
        help="Day that every table must have rows of. Default: the day before the newest row, and yesterday in a "
        "folder that is given new rows every day.",
    ),
]
ThresholdsFile = Annotated[
    Path | None,
    typer.Option("--thresholds", help="TOML file of thresholds of the guards. Default: those of this package."),
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


def check_order(first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """The days of ``--from`` and ``--through``, refused if they are in the wrong order."""
    if first is not None and last is not None and first > last:
        from attribution.production.scoring.days import day_name

        raise InputError(
            "--from is after --through",
            given=f"--from {day_name(first)} --through {day_name(last)}",
            allowed="a first day that is not after the last one",
        )
    return first, last


def report_guards(results: Sequence[GuardResult], thresholds: Thresholds, *, written: str | None = None) -> bool:
    """Say which guards do not hold, and what was written all the same; whether all hold.

    Parameters
    ----------
    results : what guards say
    thresholds : of the guards
    written : what the job has written in spite of them; None if nothing
    """
    from attribution.cli.console import warn
    from attribution.production.guards import guard_sentences, guards_hold

    holds = guards_hold(results)
    all_the_same = [] if written is None or holds else [f"The {written} were written all the same."]
    warn([*guard_sentences(results, thresholds), *all_the_same])
    return holds
