"""``attribution init``: an experiment file and targets to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_json


def init(
    profile: Annotated[
        str | None,
        typer.Argument(
            metavar="PROFILE", help="Kind of business: shop, subscription, b2b, … Leave it out to list all."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Experiment file to write. Default: PROFILE.toml. An existing file is never overwritten."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an experiment file and a targets file for your kind of business, ready to edit."""
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
