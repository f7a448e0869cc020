"""``attribution check-model``: the laws that any model must obey, proven on one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, Json
from attribution.cli.console import print_json, print_verdicts, progress


def check_model(
    model: Annotated[
        str, typer.Argument(metavar="PACKAGE.MODULE:CLASS", help="The model class: your own, or one of this package.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            metavar="KEY=VALUE",
            help="An argument of the constructor, e.g. half_life_days=14. Can be repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the laws that every model must obey. Exit code 3: the model breaks one."""
    from attribution.pipeline.builders import make_model
    from attribution.schema.experiment import ModelSpec, checked, read_setting
    from attribution.testing import judge_model

    parameters = dict(read_setting(text, "half_life_days=14") for text in settings or ())
    made = make_model(checked(ModelSpec, {"model": model, **parameters}, origin="check-model"), Path())
    with progress() as say:
        say(f"checking {model}")
        verdicts = list(judge_model(made))
    holds = all(verdict.holds for verdict in verdicts)
    if as_json:
        print_json(
            {
                "model": model,
                "settings": list(settings or ()),
                "holds": holds,
                "laws": [asdict(each) for each in verdicts],
            }
        )
    else:
        print_verdicts(verdicts)
    if not holds:
        raise typer.Exit(NEGATIVE_VERDICT)
