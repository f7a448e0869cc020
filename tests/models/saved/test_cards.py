"""What a card tells of a model, and intervals as an earlier version wrote them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models.saved import Definition, Scorer, Training
from attribution.models.saved.card import card_text
from attribution.models.saved.definition import PastTraining
from attribution.models.saved.earlier import add_ends, merge_intervals
from attribution.models.saved.folder import _check_file, read_manifest, seal
from attribution.models.saved.own_code import refuse_own_code
from attribution.models.saved.state import ModelState, _pad


def log() -> at.Sources:
    touchpoints = pd.DataFrame(
        {"customer_id": ["a", "a"], "touched_at": ["2024-03-01", "2024-03-02"], "channel": ["mail", "search"]}
    )
    conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-03-03"], "value": [1234.5]})
    return at.load_sources(touchpoints, conversions)


def scorer_of(sources: at.Sources) -> Scorer:
    journeys = at.build_journeys(sources)
    definition = Definition(training=Training.of(sources, journeys))
    return Scorer.of(at.Linear().fit(journeys), name="shop", definition=definition)


def test_the_card_tells_the_days_and_the_sums_of_the_log() -> None:
    lines = card_text(scorer_of(log())).splitlines()
    assert "* window: 2024-03-01T00:00:00.000000 to 2024-03-03T00:00:00.000000" in lines
    assert "* journeys: 1" in lines
    assert "* conversions: 1" in lines
    assert "* value: 1,234.50" in lines
    assert "* settings: none" in lines
    assert "* settings: the defaults" in lines
    assert not [line for line in lines if line.startswith("## Earlier versions")]
    of_paths = at.load_sources(paths=pd.DataFrame({"path": ["mail > search"], "conversions": [3]}))
    assert "* window: aggregated paths" in card_text(scorer_of(of_paths)).splitlines()
    nothing = Scorer.of(at.Linear().fit(at.build_journeys(log())), name="shop")
    assert "Not recorded." in card_text(nothing).splitlines()


NO_RESAMPLING = "There are none, because the run had no resampling. The uncertainty of its credit is unknown."
OF_DAYS = "There are none, because daily summaries do not give them. The uncertainty of its credit is unknown."


@pytest.mark.parametrize(
    ("lows", "has_history", "says"),
    [
        (None, False, NO_RESAMPLING),
        (None, True, OF_DAYS),
        ([np.nan, np.nan], False, NO_RESAMPLING),
        ([np.nan, np.nan], True, OF_DAYS),
        ([1.0, np.nan], False, "| mail | 2.0 | 1.0 | 4.0 |"),
        ([1.0, np.nan], True, "| mail | 2.0 | 1.0 | 4.0 |"),
    ],
)
def test_intervals_are_listed_where_a_channel_has_one(lows: Any, has_history: bool, says: str) -> None:
    scorer = scorer_of(log())
    reference = {}
    if lows is not None:
        columns = {"conversions": 2.0, "conversions_low": lows, "conversions_high": 4.0}
        reference["credit"] = pd.DataFrame({"channel": ["mail", "search"], **columns})
    past = PastTraining("7f", None, None, None)
    lines = card_text(replace(scorer, reference=reference, history=(past,) if has_history else ())).splitlines()
    assert says in lines
    assert ("## Earlier versions" in lines) is has_history
    assert ("| 7f | not recorded | not recorded |" in lines) is has_history
    refit = "This version was refitted on daily summaries, which do not give returns and a placebo test."
    assert (refit in lines) is has_history
    dated = replace(scorer, history=(replace(past, first="2024-01-01", last="2024-01-31", written_on="2024-02-01"),))
    assert "| 7f | 2024-02-01 | 2024-01-01 to 2024-01-31 |" in card_text(dated).splitlines()


# ------------------------------------------------------------ as version 0.1.0 wrote intervals

KEYS = {"model": ["linear", "linear"], "channel": ["mail", "search"]}


def intervals(measure: str, estimates: list[float]) -> pd.DataFrame:
    return pd.DataFrame({**KEYS, "measure": measure, "estimate": estimates, "low": [1.0, 2.0], "high": [8.0, 9.0]})


@pytest.mark.parametrize(
    ("measure", "estimates", "of_intervals", "low"),
    [
        ("value", [5.0, 6.0], [5.0, 6.0], [1.0, 2.0]),
        ("value", [5.0, 6.0], [5.0, 7.0], [1.0, None]),
        ("value", [5.0, 6.0], [5.0 * (1 + 9e-7), 6.0 * (1 + 3e-6)], [1.0, None]),
        ("value", [0.0, 6.0], [9e-13, 6.0], [1.0, 2.0]),
        ("value", [0.0, 6.0], [3e-12, 6.0], [None, 2.0]),
        ("value", [np.nan, np.nan], [5.0, 6.0], [None, None]),
        # Where nothing was spent ranks have no estimate, and belong all the same.
        ("rank", [np.nan, np.nan], [1.0, 2.0], [1.0, 2.0]),
        ("rank", [1.0, np.nan], [1.0, 2.0], [1.0, None]),
        ("rank", [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]),
    ],
)
def test_an_interval_belongs_to_the_row_whose_estimate_it_has(
    measure: str, estimates: list[float], of_intervals: list[float], low: list[float | None]
) -> None:
    table = pd.DataFrame({**KEYS, measure: estimates})
    filled = add_ends(table, intervals(measure, of_intervals), [measure])
    expected = [np.nan if end is None else end for end in low]
    np.testing.assert_array_equal(filled[f"{measure}_low"], expected)
    np.testing.assert_array_equal(filled[f"{measure}_high"], [end + 7 for end in expected])


def test_ends_that_are_there_stay_and_others_are_filled() -> None:
    table = pd.DataFrame({**KEYS, "value": [5.0, 6.0], "value_low": [4.0, np.nan], "value_high": [np.nan, 7.0]})
    filled = add_ends(table, intervals("value", [5.0, 6.0]), ["value"])
    assert filled[["value_low", "value_high"]].to_numpy().tolist() == [[4.0, 8.0], [2.0, 7.0]]
    assert add_ends(table.iloc[:, :3], None, ["value"])["value_low"].isna().all()
    credit = pd.DataFrame({**KEYS, "conversions": 1.0, "value": [5.0, 6.0], "share": 0.5})
    merged = merge_intervals({"credit": credit, "quality": credit, "intervals": intervals("value", [5.0, 6.0])})
    assert sorted(merged) == ["credit", "quality"]
    assert merged["quality"] is credit
    assert merged["credit"]["value_low"].tolist() == [1.0, 2.0]
    today = credit.assign(value_low=3.0)
    assert merge_intervals({"credit": today, "intervals": intervals("value", [5.0, 6.0])})["credit"] is today


# ------------------------------------------------------------ folders and states


def test_a_folder_is_of_the_first_format_and_a_later_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("a card", encoding="utf-8")
    version = seal(tmp_path, {"name": "shop"}, {"written_at": "today"})
    manifest = read_manifest(tmp_path)
    assert (manifest["schema_version"], manifest["version"], len(version)) == (1, version, 16)
    assert sorted(manifest["files"]) == ["card.md"]
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 2}), encoding="utf-8")
    with pytest.raises(InputError, match=r"Given: format 2\. Allowed: format 1"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "inside"),
    [("card.md", True), ("a/card.md", True), ("../card.md", False), ("a/b/card.md", False), ("/card.md", False)],
)
def test_files_lie_in_the_folder_or_one_below(tmp_path: Path, name: str, inside: bool) -> None:
    with pytest.raises(InputError, match="is missing" if inside else "names a file outside the folder"):
        _check_file(tmp_path, name, "")


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("Linear", {}, None),
        ("Shapley", {"classifier": "sklearn.linear_model:LogisticRegression"}, None),
        ("Shapley", {"classifier": None}, None),
        ("Shapley", {"classifier": "os:system"}, "the classifier 'os:system'"),
        ("mine:Model", {}, "the model class 'mine:Model'"),
    ],
)
def test_code_that_is_not_of_the_package_is_refused(kind: str, settings: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        refuse_own_code(kind, settings, "a folder")
    else:
        with pytest.raises(InputError, match=f"a folder names code that is not part of this package: {problem}"):
            refuse_own_code(kind, settings, "a folder")


def test_a_new_channel_has_learned_nothing() -> None:
    assert _pad("conversions", np.array([3.0]), 2).tolist() == [3.0, 0.0, 0.0]
    assert np.exp(_pad("log_weights", np.array([3.0]), 1)[1]) == 0.0
    state = ModelState.of(at.Linear().fit(at.build_journeys(log())))
    credit = state.model(["tv"]).credit_
    assert credit.channels == ("mail", "search", "tv")
    assert credit.conversions.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert credit.value.tolist() == [617.25, 617.25, 0.0, 0.0]
