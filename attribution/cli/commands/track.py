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
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI. Default: that of the run.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Log a finished run to MLflow, for example if the server was not available during the run."""
    from attribution.cli.commands.saved_runs import Tracked
    from attribution.cli.commands.written_runs import log_folder, own_address
    from attribution.pipeline.stores import choose_store

    store = choose_store(uri, own_address(folder))
    with progress() as say:
        say(f"logging to MLflow, {store}")
        tracked = Tracked(log_folder(folder, store), store)
    if as_json:
        print_json({"folder": str(folder)} | tracked.document)
    else:
        typer.echo(f"{folder} is MLflow run {tracked.run_id} in {tracked.store}.")
