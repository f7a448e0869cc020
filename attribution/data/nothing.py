"""Texts that mean nothing, by what they are said of (data in ``nothing.toml``)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Subject = Literal["ids", "accounts", "channels", "names", "tags"]

ZERO = "0"
"""Nobody's id, but where ids are numbers that count from it."""


def texts_of(subject: Subject) -> frozenset[str]:
    """What says nothing of ``subject``, in lower case.

    Examples
    --------
    >>> "unknown" in texts_of("ids"), "unknown" in texts_of("channels"), "na" in texts_of("names")
    (True, False, False)
    """
    document = _read()
    texts = {text.lower() for group in document["texts"] if subject in group["in"] for text in group["texts"]}
    return frozenset({*texts, ZERO, *document["zero_ids"]["texts"]} if subject == "ids" else texts)


def free_mail() -> frozenset[str]:
    """Domains of addresses that anybody can have; they tell no company.

    Examples
    --------
    >>> "gmail.com" in free_mail()
    True
    """
    return frozenset(_read()["free_mail"]["domains"])


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("nothing.toml").read_text(encoding="utf-8"))
