"""``attribution compare``: finished runs side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_json, print_page, progress, records
from attribution.errors import InputError
from attribution.schema.names import named_folder


def compare(
    references: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN…", help="Output folders or MLflow run ids. The others are compared with the first."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder. Default: runs/FIRST-comparison. An earlier result in it is replaced."),
    ] = None,
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI. Default: that of the first run.")
    ] = None,
    track: Annotated[
        bool, typer.Option("--track/--no-track", help="Log to MLflow if the first run was logged.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Show what differs between runs: settings, data, and the ROI and rank of each channel under each model."""
    from attribution.cli.commands.saved_runs import Made, open_runs, write_outputs
    from attribution.cli.commands.written_runs import tracking_store
    from attribution.decisions.comparison import compare_runs
    from attribution.pipeline.stores import choose_store
    from attribution.reporting.report.pages import comparison_page

    twice = [reference for reference, times in Counter(references).items() if times > 1]
    if twice:
        raise InputError("a run appears twice", given=twice[0])
    with progress() as say:
        say("reading runs")
        with open_runs(references, Path(), store=choose_store(uri)) as runs:
            pass
        names = [run.name for run in runs]
        runs_by_name = {
            name if names.count(name) == 1 else at: run for name, at, run in zip(names, references, runs, strict=True)
        }
        compared = compare_runs(runs_by_name, runs[0].name)
        out = out or named_folder("runs", f"{runs[0].name}-comparison")
        say("writing tables and page")
        page = comparison_page(compared)
        tags = {f"attribution.run_{number}": at for number, at in enumerate(references, start=1)}
        made = Made(runs[0].name, "comparison", compared.tables, compared.metrics, tags, page)
        store = tracking_store(runs[0].experiment.tracking, uri) if track else None
        tracked = write_outputs(made, out, [Path(reference) for reference in references], store)
    if as_json:
        head = {
            "out": str(out),
            **tracked.document,
            "findings": list(compared.findings),
            "notes": list(compared.notes),
        }
        print_json(head | {name: records(table) for name, table in compared.tables.items()})
    else:
        print_page(page)
        where = f"Tables, comparison.md and comparison.html are in {out}"
        typer.echo(f"\n{where}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure
