"""``attribution lift``: what lift tests and A/B tests measured, from a file of them alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_json, print_lift, progress, records


def lift(
    tests: Annotated[
        Path, typer.Argument(metavar="TESTS", help="File of lift tests: CSV, Parquet, JSON, Excel or TOML.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder for the table and a page. Nothing is written unless it is given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read lift tests and A/B tests: effect, interval, cost per incremental conversion. Needs no log."""
    from attribution.incrementality.lift_readings import readings_table
    from attribution.incrementality.lift_sentences import lift_sentences
    from attribution.incrementality.lift_tests import read_lift_tests
    from attribution.incrementality.lift_warnings import lift_findings

    with progress() as say:
        say("reading tests")
        declared = read_lift_tests(tests)
        readings = readings_table(declared)
        sentences = lift_sentences(readings)
        warnings = [finding for finding in lift_findings(declared, readings) if finding.status == "warn"]
        notes = [f"{finding.message} ({finding.example})." for finding in warnings]
        if out is not None:
            from attribution.cli.commands.saved_runs import Made, write_made
            from attribution.reporting.report.pages import lift_page

            page = lift_page(tests.stem, readings, sentences, notes)
            write_made(Made(tests.stem, "lift", {"lift_readings": readings}, {}, {}, page), out, [tests])
    if as_json:
        head = {"out": None if out is None else str(out), "findings": sentences, "notes": notes}
        print_json(head | {"lift_readings": records(readings)})
        return
    print_lift(readings, sentences, notes)
    if out is not None:
        typer.echo(f"\nThe table, lift.md and lift.html are in {out}.")
