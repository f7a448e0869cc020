"""The glossary: both languages, the words of the code, and formulas that are those of the tables."""

from __future__ import annotations

import json
import re

import pytest

from attribution.schema.glossary import find_term, read_terms
from attribution.schema.tables import FORMULAS
from tests.cli.test_cli import call
from tests.reporting.drawn import page_of

NEEDED = """
touchpoint, channel, campaign, conversion, value, journey, path, lookback window, half-life, weight, credit,
removal effect, transition matrix, absorption, coalition, characteristic function, Shapley value, spend, ROAS, ROI,
CPA, CAC, LTV, payback, baseline, incremental, allocated
"""
HAN = re.compile(r"[一-鿿]")


def test_every_word_of_the_field_is_there_in_both_languages() -> None:
    terms = read_terms()
    assert {term.en for term in terms} >= {word.strip() for word in NEEDED.split(",")}
    for term in terms:
        assert HAN.search(term.zh) or term.zh.isupper(), term
        assert HAN.search(term.means_zh)
        assert not HAN.search(term.means)
        assert term.means.endswith(".")
        assert term.means_zh.endswith("。")
    for names in ([term.en.casefold() for term in terms], [term.zh for term in terms], [term.anchor for term in terms]):
        assert len(set(names)) == len(names)


def test_the_chinese_words_are_those_that_were_asked_for() -> None:
    asked = {
        "触点": "touchpoint",
        "转化": "conversion",
        "转化路径": "journey",
        "客户旅程": "journey",
        "回溯期": "lookback window",
        "移除效应": "removal effect",
        "沙普利值": "Shapley value",
    }
    assert {word: find_term(word).en for word in asked} == asked


def test_one_word_per_thing() -> None:
    """The other words of the field are not used for what has a word here."""
    text = " ".join(f"{term.en} {term.means}" for term in read_terms()).casefold()
    for other in ("touch point", "look-back", "hit", "event", "session", "attribution window", "cost per acquisition"):
        assert not re.search(rf"\b{other}s?\b", text), other


def test_formulas_are_those_of_the_tables() -> None:
    measured = {term.measure: term.formula for term in read_terms() if term.measure is not None}
    assert measured == {name: FORMULAS[name] for name in measured}
    assert {"roas", "roi", "cpa", "cac", "ltv_to_cac", "payback", "break_even_roas", "break_even_cpa"} <= set(measured)


def test_five_to_one_is_a_roas_and_a_profit_of_half_at_thirty_per_cent() -> None:
    value, margin, spend = 5.0, 0.3, 1.0
    assert (value / spend, (margin * value - spend) / spend) == (5.0, 0.5)
    for said in (find_term("roas").means, find_term("roas").means_zh):
        assert all(number in said for number in ("5:1", "30 %", "50 %")), said
    assert "does not say" not in find_term("incremental").means
    assert "does not say what would have been lost" in find_term("allocated").means


def test_a_term_is_found_or_the_nearest_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "glossary", "Removal  effect", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["zh"], found["measure"]) == ("移除效应", "removal_effect")
    assert call(monkeypatch, "glossary") == 0
    printed = capsys.readouterr().out
    assert "沙普利值" in printed
    assert "= value ÷ spend" in printed
    assert call(monkeypatch, "glossary", "shaply value") == 2
    assert "did you mean 'shapley value'?" in capsys.readouterr().err


def test_the_report_explains_its_words() -> None:
    page = page_of("spring", {}, [], {})
    assert page.count('<tr id="term-') == len(read_terms())
    assert '<tr id="term-roas">' in page
    assert find_term("回溯期").means_zh in page
    assert 'href="#dictionary"' not in page, "there are no tables to explain"
