"""``attribution forget``: one customer deleted from scores and daily summaries, with a receipt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Covers, days_covered
from attribution.cli.console import print_json
from attribution.errors import InputError


def forget(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id, as in the scores.")],
    folders: Annotated[
        list[Path], typer.Option("--in", metavar="DIR", help="Folder of scores or summaries. Can be repeated.")
    ],
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="EXPERIMENT.toml",
            help="For daily summaries: the experiment they are of. Its days are summed up again without the customer.",
        ),
    ] = None,
    covers: Covers = None,
    receipt: Annotated[Path | None, typer.Option(help="Write the receipt to this file as well.")] = None,
) -> None:
    """Delete one customer from scores and daily summaries. The receipt has a hash instead of the id."""
    from attribution.pipeline.sections import read_experiment
    from attribution.production.forget import forget as forget_customer

    if receipt is not None and not receipt.parent.is_dir():
        raise InputError("the folder of --receipt does not exist", given=str(receipt.parent))
    experiment = None if tables is None else read_experiment(tables)
    receipt_document = forget_customer(customer, folders, experiment, days_covered(covers))
    if receipt is not None:
        receipt.write_text(json.dumps(receipt_document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print_json(receipt_document)
