"""``attribution glossary``: the words of the field, in English and Chinese."""

from __future__ import annotations

from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json
from attribution.cli.console import print_json, print_terms


def glossary(
    term: Annotated[
        str | None,
        typer.Argument(metavar="TERM", help="The term to explain, in English or Chinese. Default: all terms."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain the words used in reports and tables, in English and Chinese."""
    from attribution.schema.glossary import find_term, read_terms

    terms = read_terms() if term is None else (find_term(term),)
    if as_json:
        keys = ("en", "zh", "means", "means_zh", "measure", "formula")
        print_json([{key: getattr(each, key) for key in keys} for each in terms])
    else:
        print_terms(terms)
