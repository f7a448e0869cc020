"""The words of the field as this package uses them, in English and Chinese."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from attribution.errors import InputError, did_you_mean
from attribution.schema.tables import FORMULAS

__all__ = ["Term", "find_term", "read_terms"]


@dataclass(frozen=True)
class Term:
    """One word.

    Attributes
    ----------
    en, zh : the word
    means, means_zh : what it says, in a sentence or two
    measure : the column that holds it, where it is a metric with a formula
    """

    en: str
    zh: str
    means: str
    means_zh: str
    measure: str | None = None

    @property
    def formula(self) -> str | None:
        """How the metric is worked out, in the words of the tables."""
        return None if self.measure is None else FORMULAS[self.measure]

    @property
    def anchor(self) -> str:
        """Where it stands in a page.

        Examples
        --------
        >>> find_term("LTV/CAC").anchor
        'term-ltv-cac'
        """
        return "term-" + re.sub(r"[^a-z]+", "-", self.en.lower()).strip("-")


@cache
def read_terms() -> tuple[Term, ...]:
    """Every term, in the order in which an analyst meets them."""
    text = files("attribution.schema.glossary").joinpath("terms.toml").read_text(encoding="utf-8")
    return tuple(Term(**each) for each in tomllib.loads(text)["terms"])


def find_term(word: str) -> Term:
    """The term that is called ``word`` in English or Chinese, or by the name of its column.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> find_term("roas").zh, find_term("移除效应").en, find_term("Lookback Window").zh
    ('广告支出回报率', 'removal effect', '回溯期')
    """
    terms = {name.casefold(): term for term in reversed(read_terms()) for name in _names(term)}
    key = " ".join(word.split()).casefold()
    if key not in terms:
        english = [term.en for term in read_terms()]
        hint = did_you_mean(key, terms) or "attribution glossary"
        raise InputError("the glossary has no such term", given=repr(word), allowed=english, hint=hint)
    return terms[key]


def _names(term: Term) -> list[str]:
    """What a term may be asked for by; of "转化路径（客户旅程）" both parts too."""
    parts = [part for part in re.split(r"[（）]", term.zh) if part]
    return [term.en, term.zh, *parts, *([term.measure] if term.measure else [])]
