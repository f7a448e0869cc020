"""``attribution forget``: one customer deleted from scores, with a receipt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.console import print_json
from attribution.errors import InputError


def forget(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id, as in the scores.")],
    folders: Annotated[
        list[Path], typer.Option("--in", metavar="DIR", help="Folder of scores or summaries. Can be repeated.")
    ],
    receipt: Annotated[Path | None, typer.Option(help="Write the receipt to this file as well.")] = None,
) -> None:
    """Delete one customer from scores, and say what summaries need. The receipt has a hash instead of the id."""
    from attribution.production.scoring.forget import forget as forget_customer

    if receipt is not None and not receipt.parent.is_dir():
        raise InputError("the folder of --receipt does not exist", given=str(receipt.parent))
    receipt_document = forget_customer(customer, folders)
    if receipt is not None:
        receipt.write_text(json.dumps(receipt_document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print_json(receipt_document)
