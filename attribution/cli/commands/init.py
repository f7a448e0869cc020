"""``attribution init``: an experiment file and targets to begin with, or an empty table of lift tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_json
from attribution.errors import InputError


def init(
    profile: Annotated[
        str | None,
        typer.Argument(
            metavar="PROFILE", help="Kind of business: shop, subscription, b2b, … Leave it out to list all."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="File to write. Default: PROFILE.toml, or lift_tests.csv. An existing file is never overwritten."
        ),
    ] = None,
    lift_tests: Annotated[
        bool,
        typer.Option("--lift-tests", help="Write an empty table of lift tests instead, with comments on every column."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write an experiment file and a targets file for your kind of business, ready to edit."""
    if lift_tests:
        _write_lift_tests(profile, to, as_json=as_json)
        return
    from attribution.schema.experiment.profiles import read_profiles, write_profile

    if profile is None:
        profiles = read_profiles()
        if as_json:
            print_json(profiles)
        else:
            for name, meaning in profiles.items():
                typer.echo(f"{name:<16} {meaning}")
        return
    experiment, targets = write_profile(profile, to or Path(f"{profile}.toml"))
    if as_json:
        print_json({"profile": profile, "experiment": str(experiment), "targets": str(targets)})
        return
    typer.echo(f"Wrote {experiment} and {targets}. Their values are starting points: edit them.")
    typer.echo(
        f"Then run: attribution validate {experiment}, attribution run {experiment}, attribution kpis {targets}."
    )


def _write_lift_tests(profile: str | None, to: Path | None, *, as_json: bool) -> None:
    from attribution.incrementality.empty_lift_tests import write_empty_tests

    if profile is not None:
        raise InputError(
            "--lift-tests writes a table of lift tests and no profile", given=profile, hint="leave one out"
        )
    path = write_empty_tests(to or Path("lift_tests.csv"))
    if as_json:
        print_json({"lift_tests": str(path)})
    else:
        typer.echo(f"Wrote {path}. Add your tests below its comments. Then run: attribution lift {path}.")
