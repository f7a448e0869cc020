"""``attribution track``: a finished run logged later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_json, progress


def track(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run or of a comparison.")],
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI. Default: that of the experiment.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Log a finished run to MLflow, for example if the server was not available during the run."""
    from attribution.cli.commands.written_runs import track_folder

    with progress() as say:
        say("logging to MLflow")
        run_id = track_folder(folder, uri)
    if as_json:
        print_json({"folder": str(folder), "mlflow_run": run_id})
    else:
        typer.echo(f"{folder} is MLflow run {run_id}.")
