"""``attribution forget``: one customer taken out of scores and summaries, with a receipt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.console import print_json
from attribution.errors import InputError


def forget(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Id of the customer, as in the scores.")],
    folders: Annotated[
        list[Path], typer.Option("--in", metavar="DIR", help="Folder of scores or summaries; may be given repeatedly.")
    ],
    receipt: Annotated[Path | None, typer.Option(help="Also write the receipt to this file.")] = None,
) -> None:
    """Take one customer out of scores and summaries, and print a receipt with a hash in place of the id."""
    from attribution.production.scoring.forget import forget as forget_customer

    if receipt is not None and not receipt.parent.is_dir():
        raise InputError("--receipt names a file in a folder that does not exist", given=str(receipt.parent))
    receipt_document = forget_customer(customer, folders)
    if receipt is not None:
        receipt.write_text(json.dumps(receipt_document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print_json(receipt_document)
