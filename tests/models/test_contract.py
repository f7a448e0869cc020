"""What a stranger must know of a model, and that everything else follows from it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlglot

import attribution as at
from attribution import models as shipped
from attribution.errors import InputError, LawError
from attribution.models.base import FINAL, OVERRIDABLE, AttributionModel
from attribution.models.overview import models_table, shipped_models
from attribution.models.resampling import fit_and_resample
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.sql import DIALECTS, build_select
from attribution.schema.experiment import ResamplingOptions
from attribution.testing import judge_model
from tests.production.sql.test_sql import in_duckdb, mapped, random_log, same

ROOT = Path(__file__).resolve().parents[2]

MIDDLE = '''
import numpy as np

from attribution.models.base import Assumptions, AttributionModel


class MiddleTouch(AttributionModel):
    """The touchpoint in the middle of a journey gets the whole conversion."""

    assumptions = Assumptions("What stands in the middle decides.", "Overstates channels in the middle.")
    weight_sql = "case when position = floor(length / 2) + 1 then 1 else 0 end"

    def weigh(self, chunk):
        weights = np.zeros(len(chunk.channel))
        weights[(chunk.offsets[:-1] + chunk.offsets[1:]) // 2] = 1.0
        return weights
'''


@pytest.fixture
def middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[AttributionModel]]:
    """A rule in a file of its own, and the line that exports it."""
    (tmp_path / "middle_rule.py").write_text(MIDDLE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    kind = importlib.import_module("middle_rule").MiddleTouch
    monkeypatch.setattr(shipped, "MiddleTouch", kind, raising=False)
    monkeypatch.setattr(shipped, "__all__", [*shipped.__all__, "MiddleTouch"])
    yield kind
    del sys.modules["middle_rule"]


# ---------------------------------------------------------------- the members


def test_a_model_has_thirteen_members_to_override_and_six_that_are_final() -> None:
    public = {name for name in dir(AttributionModel) if not name.startswith("_")}
    assert public == {*OVERRIDABLE, *FINAL} - {"name"}
    assert len(OVERRIDABLE) == 13
    for name in public - set(OVERRIDABLE):
        member = vars(AttributionModel)[name]
        assert getattr(member, "fget", member).__final__, name


@pytest.mark.parametrize("kind", shipped_models())
def test_shipped_models_keep_to_the_contract(kind: type[AttributionModel]) -> None:
    for ancestor in kind.__mro__[: kind.__mro__.index(AttributionModel)]:
        assert not set(FINAL) & set(vars(ancestor))
    said = kind().assumptions
    for sentence in (said.premise, said.bias):
        assert sentence.endswith(".")
        assert 20 < len(sentence) < 130


@pytest.mark.parametrize("name", FINAL)
def test_what_is_final_cannot_be_overridden(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"class Own overrides {name}, which subclasses cannot change\. Allowed: estimand, .*weigh"
    ):
        type("Own", (at.Linear,), {name: property(lambda self: "mine")})


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "got NoneType"),
        (np.ones(5), "got ndarray"),
        ((np.ones(5),), "got tuple"),
        ((np.ones(5), np.ones(4)), r"shapes \(5,\) and \(4,\) for 5 channels"),
        ((1.0, 2.0), r"shapes \(\) and \(\)"),
    ],
)
def test_what_solve_must_return_is_said(returned: object, said: str) -> None:
    class Odd(at.Linear):
        def solve(self, summary: at.Summary) -> object:
            return returned

    verdicts = {verdict.law: verdict.reason for verdict in judge_model(Odd())}
    assert "solve must return two arrays, the conversions and the value of each channel" in str(
        verdicts["credit_adds_up"]
    )
    with pytest.raises(LawError, match=said):
        at.check_model(Odd())


def test_other_weights_say_nothing_of_those_of_the_class_they_come_from() -> None:
    class Louder(at.Linear):
        def weigh(self, chunk: at.JourneyChunk) -> np.ndarray:
            return 1.0 + chunk.channel

    class Renamed(at.Linear):
        """Weighs as its parent does."""

    assert Louder().weight_sql is None
    assert "did not state" in Louder().assumptions.premise
    assert (Renamed().weight_sql, Renamed().assumptions) == (at.Linear().weight_sql, at.Linear().assumptions)


# ---------------------------------------------------------------- one file and its export line


def test_a_rule_in_one_file_has_everything(middle: type[AttributionModel], tmp_path: Path) -> None:
    at.check_model(middle())
    log = random_log(0, 150)
    sources = at.load_sources(mapped(log[0]), log[1])
    journeys = at.build_journeys(sources)
    model = middle().fit(journeys)
    scorer = Scorer.of(model, definition=Definition(training=Training.of(sources, journeys)))
    saved = scorer.save(tmp_path / "model")
    assert saved.state.kind == "MiddleTouch"
    card = (tmp_path / "model" / "card.md").read_text()
    assert "* What stands in the middle decides.\n" in card
    assert "* MiddleTouch: Overstates channels in the middle.\n" in card
    other = random_log(9, 150)
    for policy in ("like_known", "zero"):
        made = replace(scorer.with_policy(policy), version="0123456789abcdef")
        same(in_duckdb(build_select(made, "duckdb"), *other), made, *other)
        for dialect in DIALECTS:
            tree = sqlglot.parse_one(build_select(made, dialect), read=dialect)
            assert {"position", "credit"} <= {column.alias_or_name for column in tree.selects}
    _, resamples = fit_and_resample([middle()], journeys, ResamplingOptions(draws=50))
    draws = resamples.draws["middle_touch"].channels.conversions
    assert draws.shape == (50, len(journeys.channels))
    assert draws.std(axis=0).max() > 0
    np.testing.assert_allclose(
        resamples.estimates["middle_touch"].channels.conversions[0], model.credit_.conversions[:-1]
    )
    cells = ["`MiddleTouch`", "allocated", "no", "yes", *model.assumptions[:2]]
    assert f"| {' | '.join(cells)} |" in models_table().splitlines()


def test_a_folder_that_says_no_assumptions_takes_those_of_its_class(tmp_path: Path) -> None:
    """As folders of earlier versions are."""
    from attribution.models.saved.scorer import _assumptions

    assert _assumptions({"class": "Linear", "parameters": {}}) == at.Linear().assumptions
    assert _assumptions({"class": "mine:Own", "parameters": {}}) == AttributionModel().assumptions


# ---------------------------------------------------------------- the docs


def test_the_table_of_models_in_the_docs_is_what_models_say() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert models_table() in text, f"put this table into docs/models.md:\n\n{models_table()}"


def test_the_worked_example_names_public_things_only() -> None:
    lines = (ROOT / "experiments" / "own_models.py").read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from ")) and "attribution" in line]
    assert imports == ["import attribution as at"]
    used = {
        word for line in lines for word in line.replace("(", " ").replace("[", " ").split() if word.startswith("at.")
    }
    assert {word.split(".")[1].strip(",:)]") for word in used} <= set(at.__all__)
