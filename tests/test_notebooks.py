"""The notebooks run from top to bottom, and what their texts say in numbers is what their code finds."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
FROM_DATA = FOLDER / "from_data_to_verdict.py"
FROM_TESTS = FOLDER / "from_tests_to_a_decision.py"


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path not in (FROM_DATA, FROM_TESTS)], ids=lambda path: path.stem
)
def test_notebook_runs(path: Path) -> None:
    assert "returns" in runpy.run_path(str(path))


@pytest.mark.parametrize(("path", "least"), [(FROM_DATA, 11), (FROM_TESTS, 8)], ids=lambda of: getattr(of, "stem", ""))
def test_numbers_of_the_text_are_asserted_by_the_code_below(path: Path, least: int) -> None:
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    texts = [place for place, cell in enumerate(cells) if cell.startswith(" [markdown]")]
    assert len(texts) >= least
    for place in texts:
        code = cells[place + 1]
        assert not code.startswith(" [markdown]"), f"no code follows {cells[place]!r}"
        said = re.findall(r"\d[\d,.]*\d|\d", re.sub(r"^# #.*$", "", cells[place], flags=re.MULTILINE))
        assert not said or "assert " in code, f"nothing asserts {said}"


@pytest.mark.slow
def test_from_data_to_verdict_finds_what_it_says() -> None:
    """Its own assertions hold, and so do the lessons at its end, worked out anew from its tables."""
    found: dict[str, Any] = runpy.run_path(str(FROM_DATA))
    returns, verdicts, specifications = found["returns"], found["verdicts"], found["specifications"]
    truth, margin = found["shop"].truth.set_index("channel"), found["MARGIN"]

    # Everything earned is credited, under every model.
    ranked = returns[(returns["basis"] == "margin") & (returns["cost_basis"] == "loaded")]
    earned = ranked.groupby("model")["value"].sum()
    assert earned.to_numpy() == pytest.approx(margin * found["conversions"]["value"].sum())

    # All that was paid is in the loaded spend, and only media in the other.
    for basis, paid in (("loaded", found["costs"]), ("media", found["shop"].costs)):
        spend = (
            returns[(returns["basis"] == "margin") & (returns["cost_basis"] == basis)].groupby("model")["spend"].sum()
        )
        assert spend.to_numpy() == pytest.approx(paid["amount"].sum())

    # The one that does not pay is the channel that would not if it had caused 1.35 times its credit, anywhere.
    highest = 1.35 * (1 + specifications.groupby("channel")["roi_high"].max())
    fails = verdicts.index[verdicts["verdict"] == "does_not_pay"].tolist()
    assert fails == highest.index[highest < 1].tolist() == ["video"]

    # What the models could not know: a plan that all of them recommend loses money.
    caused = margin * truth["incremental_value"] / ranked[ranked["model"] == "shapley"].set_index("channel")["value"]
    assert caused["affiliate"] < 0.01
    assert caused["generic_search"] > 1.9
    assert (found["expected"]["gain_low"] > 0).all()
    assert (found["true_gain"] < -2_000).all()
    assert found["informed"]["margin"] > found["informed"]["media"] > 0


@pytest.mark.slow
def test_from_tests_to_a_decision_decides_what_the_truth_says() -> None:
    """Its own assertions hold; its intervals bear out its decision, and credit alone would have decided otherwise."""
    found: dict[str, Any] = runpy.run_path(str(FROM_TESTS))
    before, after, margin = found["before"], found["after"], found["MARGIN"]
    truth, spend = found["shop"].truth.set_index("channel"), found["returns"]["spend"]

    # Nothing was decided before, either way; both are decided now.
    tested = ["affiliate", "generic_search"]
    assert before.loc[tested, "probability_pays"].between(0.05, 0.95).all()
    assert after.loc["affiliate", "high"] < after.loc["affiliate", "needed"]
    assert after.loc["generic_search", "low"] > after.loc["generic_search", "needed"]
    assert after.index[after["tests"] > 0].tolist() == tested

    # In truth one loses and the other gains, and last touch has it the other way round.
    gains = margin * truth["incremental_value"] - spend
    assert gains["affiliate"] < 0 < gains["generic_search"]
    assert found["returns"].loc["affiliate", "roi"] > 0 > found["returns"].loc["generic_search", "roi"]
