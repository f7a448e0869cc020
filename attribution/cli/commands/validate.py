"""``attribution validate``: the data of an experiment checked, and nothing fitted."""

from __future__ import annotations

from typing import Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, ExperimentFile, Json, Overrides
from attribution.cli.console import print_json, print_quality, progress, records
from attribution.errors import InputError


def validate(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 3 if there are warnings.")] = False,
    as_json: Json = False,
) -> None:
    """Check the data of an experiment without fitting a model."""
    from attribution.pipeline.pipeline import check_quality
    from attribution.pipeline.sections import read_experiment

    settings = read_experiment(experiment, overrides or ())
    with progress() as say:
        say("checking the data")
        quality = check_quality(settings)
    worst = "fail" if (quality["status"] == "fail").any() else "warn" if (quality["status"] == "warn").any() else "pass"
    if as_json:
        print_json({"status": worst, "checks": records(quality)})
    else:
        print_quality(quality)
    if worst == "fail":
        raise typer.Exit(InputError.exit_code)
    if worst == "warn" and strict:
        raise typer.Exit(NEGATIVE_VERDICT)
