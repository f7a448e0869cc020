"""``attribution export-conversions``: credit of a finished run, as systems that bid import it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.amounts import pluralise
from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_credited, print_json, progress, records
from attribution.errors import InputError


def export_conversions(
    reference: Annotated[
        str, typer.Argument(metavar="RUN", help="Output folder of a run or of a scoring job, or an MLflow run id.")
    ],
    model: Annotated[str | None, typer.Option(help="Label of the model. Not needed if the run has only one.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="CSV file to write or replace. Without it, only the totals are shown.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of this conversion in the bidding system.")] = "conversion",
    currency: Annotated[
        str | None, typer.Option(help="Currency of the values, such as EUR. Default: that of the run.")
    ] = None,
    uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="MLflow tracking URI, if RUN is an MLflow run id.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write credited conversions for bidding systems: by click id, else by day and campaign."""
    from attribution.cli.commands.saved_runs import open_run_folder, replace_file
    from attribution.pipeline.output import without_formulas
    from attribution.pipeline.stores import choose_store
    from attribution.production.conversion_export import credited_conversions

    if to is not None and (to.is_dir() or to.suffix.lower() != ".csv"):
        raise InputError("--to must be a CSV file", given=f"--to {to}", hint="--to conversions.csv")
    with progress() as say, open_run_folder(reference, Path(), store=choose_store(uri)) as folder:
        say("reading credit")
        credited = credited_conversions(folder, model, name=name, currency=currency or _run_currency(folder))
    if to is not None:
        text = without_formulas(credited.conversions, but=("click_id", "conversion_id")).to_csv(
            index=False, lineterminator="\n"
        )
        head = text.partition("\n")[0]
        replace_file(to, text, is_own=lambda first: first == head)
    if as_json:
        head = {"file": None if to is None else str(to), "model": credited.model, "rows": len(credited.conversions)}
        print_json({**head, "notes": credited.notes, "campaigns": records(credited.campaigns)})
        return
    print_credited(credited)
    typer.echo(
        f"\n{pluralise(len(credited.conversions), 'row')} "
        + (f"written to {to}." if to else "can be exported: choose a file with --to.")
    )


def _run_currency(folder: Path) -> str | None:
    """The currency that a run was told; None where it was told none, or the folder is that of a scoring job."""
    if not (folder / "returns.parquet").is_file():
        return None
    from attribution.decisions.kpis import read_run

    return read_run(folder).experiment.returns.currency
