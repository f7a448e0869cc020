"""A folder of a model is data: it runs nothing that the package does not ship, unless its reader says so."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models import shipped_models
from attribution.models.named_code import CLASSIFIERS, NAMED_CODE
from attribution.models.saved import Scorer, load_saved_scorer
from attribution.models.saved import folder as folders
from tests.cli.test_cli import call

ROOT = Path(__file__).resolve().parents[3]
MINE = """
from pathlib import Path
import numpy as np
import attribution as at

Path("imported").touch()

class Evenly(at.Linear):
    def __init__(self, *, name=None):
        Path("constructed").touch()
        super().__init__(name=name)

class Coin:
    def __init__(self, path="constructed"):
        Path(path).touch()
    def predict_proba(self, rows):
        return np.full((len(rows), 2), 0.5)

def evenly(*, position, **_):
    return np.ones(len(position))
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module of one's own, where Python finds it; importing it leaves a file behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corner_shop_models.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield "corner_shop_models"
    sys.modules.pop("corner_shop_models", None)


def write_log(folder: Path) -> tuple[Path, Path]:
    days = pd.date_range("2024-05-01", periods=24)
    touchpoints = pd.DataFrame(
        {
            "customer_id": np.repeat([f"k{i}" for i in range(12)], 2),
            "touched_at": days,
            "channel": ["letter", "fair"] * 12,
        }
    )
    conversions = pd.DataFrame(
        {"customer_id": [f"k{i}" for i in range(12)], "converted_at": days[1::2], "value": 20.0}
    ).iloc[::2]
    paths = folder / "touches.csv", folder / "orders.csv"
    for frame, path in zip((touchpoints, conversions), paths, strict=True):
        frame.to_csv(path, index=False)
    return paths


def write_model(folder: Path, model: Mapping[str, Any], **document: Any) -> Path:
    """The folder of a linear model, rewritten to say something else, with a manifest that fits."""
    Scorer.of(at.Linear().fit(at.build_journeys(at.load_sources(*map(str, write_log(folder)))))).save(folder / "model")
    path = folder / "model" / "model.json"
    held = json.loads(path.read_text(encoding="utf-8"))
    held["model"] |= model
    path.write_text(json.dumps(held | document), encoding="utf-8")
    folders.seal(folder / "model", {"name": held["name"]}, {})
    return folder / "model"


def left_behind(folder: Path) -> list[str]:
    return sorted(name for name in ("imported", "constructed", "ran") if (folder / name).exists())


FOREIGN: list[Mapping[str, Any]] = [
    {"class": "{mine}:Evenly", "parameters": {}},
    {"class": "attribution.models.rules:Linear", "parameters": {}},
    {"class": "Shapley", "parameters": {"game": "classifier", "classifier": "{mine}:Coin"}},
    {"class": "Shapley", "parameters": {"game": "classifier", "classifier": "{mine}"}},
    {"class": "Shapley", "parameters": {"classifier": "{mine}:Coin"}},
    {
        "class": "Shapley",
        "parameters": {
            "game": "classifier",
            "classifier": "subprocess:Popen",
            "classifier_settings": {"args": ["touch", "ran"]},
        },
    },
    {"class": "Shapley", "parameters": {"game": "classifier", "classifier": "sklearn.pipeline:Pipeline"}},
    {"class": "Shapley", "parameters": {"game": "classifier", "classifier": "sklearn.ensemble._forest:os"}},
    {"class": "CustomWeights", "parameters": {"function": "{mine}:evenly"}},
    {"class": "CustomWeights", "parameters": {"function": "os:abort", "weights": [1]}},
]


def named(model: Mapping[str, Any], mine: str) -> Mapping[str, Any]:
    return json.loads(json.dumps(model).replace("{mine}", mine))


@pytest.mark.parametrize("model", FOREIGN, ids=lambda model: str(list(model["parameters"].values()) or model["class"]))
def test_nothing_of_somebody_elses_is_imported(mine: str, tmp_path: Path, model: Mapping[str, Any]) -> None:
    folder = write_model(tmp_path, named(model, mine))
    with pytest.raises(InputError, match=r"names code that is not part of .* --allow-own-code"):
        Scorer.load(folder)
    assert left_behind(tmp_path) == []
    assert mine not in sys.modules


@pytest.mark.parametrize(
    "model",
    [
        {"class": "CustomWeights", "parameters": {"weights": [1.0]}, "learned": {"function": "{mine}:evenly"}},
        {"class": "CustomWeights", "parameters": {"weights": [1.0]}, "learned": {"weights": None}},
        {"class": "Linear", "parameters": {}, "learned": {"weigh": "{mine}:evenly"}},
    ],
    ids=lambda model: next(iter(model["learned"])),
)
def test_what_was_learned_takes_no_settings_place(mine: str, tmp_path: Path, model: Mapping[str, Any]) -> None:
    scorer = Scorer.load(write_model(tmp_path, named(model, mine)))
    with pytest.raises(InputError, match="and not a learned value"):
        scorer.score(*map(str, write_log(tmp_path)))
    assert left_behind(tmp_path) == []


def test_a_filter_in_a_folder_reads_no_other_table(tmp_path: Path) -> None:
    told = {"touchpoints": {"where": "customer_id not in (select line from read_csv('/etc/hostname'))"}}
    folder = write_model(tmp_path, {}, reading=told)
    with pytest.raises(InputError, match=r"filters the table touchpoints by a query, which.*--allow-own-code"):
        Scorer.load(folder)
    Scorer.load(folder, allow_own_code=True)
    folder = write_model(tmp_path, {}, reading={"touchpoints": {"where": "customer_id <> 'k3'"}})
    assert Scorer.load(folder).definition.reading["touchpoints"]["where"] == "customer_id <> 'k3'"


@pytest.mark.parametrize(
    "model", [FOREIGN[0], FOREIGN[8] | {"learned": {"has_times_": True}}], ids=["class", "function"]
)
def test_a_reader_may_allow_it(mine: str, tmp_path: Path, model: Mapping[str, Any]) -> None:
    folder = write_model(tmp_path, named(model, mine))
    scorer = Scorer.load(folder, allow_own_code=True)
    credit = scorer.score(*map(str, write_log(tmp_path)))
    assert credit.groupby("conversion_id")["credit"].sum().tolist() == [1.0] * 6
    assert "imported" in left_behind(tmp_path)


def test_every_command_that_opens_a_model_asks(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path, named(FOREIGN[0], mine))
    logs = ("--touchpoints", tmp_path / "touches.csv", "--conversions", tmp_path / "orders.csv")
    shutil.copytree(folder, tmp_path / "run" / "models" / "01_evenly")
    with pytest.raises(InputError, match="is not part of this package"):
        load_saved_scorer(tmp_path / "run")
    asked: list[tuple[object, ...]] = [
        ("score", folder, *logs, "--out", "scores"),
        ("score", folder, *logs, "--out", "scores", "--dry-run"),
        ("monitor", folder, *logs),
        ("export", folder, "--sql", "duckdb"),
    ]
    for command in asked:
        assert call(monkeypatch, *command) == 2, command
        assert "names code that is not part of this package" in capsys.readouterr().err, command
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "scores").exists()
    assert call(monkeypatch, *asked[0], "--allow-own-code") == 0
    assert "imported" in left_behind(tmp_path)


def test_a_run_with_a_model_of_ones_own_and_its_summaries_are_data_to_others(
    mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(tmp_path)
    (tmp_path / "shop.toml").write_text(
        '[tables]\ntouchpoints = { source = "touches.csv" }\nconversions = { source = "orders.csv" }\n'
        f'[[models]]\nmodel = "{mine}:Evenly"\nname = "evenly"\n[tracking]\nenabled = false\n'
    )
    assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0  # code of its author
    assert call(monkeypatch, "summarise", "shop.toml", "--to", "days") == 0
    capsys.readouterr()
    for command in (
        ("export", "run", "--to", "again"),
        ("refit", "days"),
        ("monitor", "days", "--recent-days", "5", "--training-days", "14"),
    ):
        assert call(monkeypatch, *command) == 2, command
        assert "--allow-own-code" in capsys.readouterr().err, command
    assert not (tmp_path / "again").exists()
    assert call(monkeypatch, "export", "run", "--to", "again", "--allow-own-code") == 0
    assert call(monkeypatch, "refit", "days", "--out", "refitted", "--allow-own-code") == 0


@pytest.mark.parametrize("place", CLASSIFIERS)
def test_classifiers_that_data_may_name_are_fitted_and_scored(place: str, tmp_path: Path) -> None:
    """Each takes weights of journeys and gives probabilities; a list that names another is of no use."""
    rng = np.random.default_rng(3)
    touchpoints = pd.DataFrame(
        {
            "customer_id": [f"k{i}" for i in rng.integers(0, 60, 200)],
            "touched_at": pd.Timestamp("2024-05-01") + pd.to_timedelta(rng.integers(0, 480, 200), "h"),
            "channel": rng.choice(["fair", "letter", "phone"], 200),
        }
    )
    conversions = pd.DataFrame({"customer_id": [f"k{i}" for i in range(25)], "converted_at": "2024-05-22"})
    settings = {"n_estimators": 3} if "ensemble" in place and "Hist" not in place else {}
    model = at.Shapley(game="classifier", classifier=place, classifier_settings=settings, negative="zero")
    model.fit(at.build_journeys(at.load_sources(touchpoints, conversions)))
    Scorer.of(model).save(tmp_path / "model")
    scored = Scorer.load(tmp_path / "model").score(touchpoints, conversions)
    np.testing.assert_allclose(scored.groupby("conversion_id")["credit"].sum(), 1.0, rtol=1e-12)


def test_code_is_imported_by_name_in_one_place() -> None:
    """Whatever else imports what a text names would have to be asked too."""
    found = set()
    for path in (ROOT / "attribution").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "attr", getattr(called, "id", None))
            if name in ("import_module", "__import__", "eval", "exec", "loads", "load_pickle", "read_pickle"):
                found.add((path.relative_to(ROOT / "attribution").as_posix(), name))
    imports = {path for path, name in found if name not in ("loads",)}
    # The package loads its public names when they are used, and charts are drawn by name of code, not of data.
    assert imports == {"__init__.py", "models/named_code.py", "reporting/charts/__init__.py"}
    for path in (ROOT / "attribution").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "joblib" not in text, path
        if "spark" not in path.parts:
            assert "pickle.load" not in text, path


def test_settings_that_name_code_are_listed() -> None:
    """A shipped model whose settings may be a place in code, and that nobody listed, would be a way in."""
    for name, kind in shipped_models().items():
        module = (ROOT / Path(*kind.__module__.split("."))).with_suffix(".py").read_text(encoding="utf-8")
        if "load_by_path" in module or "make_classifier" in module:
            assert set(kind().get_params()) & set(NAMED_CODE), name
