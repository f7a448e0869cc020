"""Folders that are replaced whole are those that such a command wrote; anything else stays, and what is beside too."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.folders import check_inside
from attribution.pipeline.output import is_replaceable, without_formulas
from attribution.schema.names import encode_name, named_folder, problem_of
from tests.cli.test_cli import call
from tests.cli.test_refusals import snapshot

EXPERIMENT = """
name = "florist"
[tables]
touchpoints = { source = "log/touchpoints.parquet" }
conversions = { source = "log/conversions.parquet" }
costs = { source = "log/costs.parquet" }
[[models]]
model = "LastTouch"
[budget]
total = 1000
[output]
journey_credit = true
[tracking]
enabled = false
"""
TARGETS = """
name = "florist"
run = "first"
[[targets]]
metric = "roas"
target = 1.0
unit = "x"
period = { start = 2024-01-01, end = 2024-03-31 }
owner = "florist"
[tracking]
enabled = false
"""


@pytest.fixture(scope="module")
def florist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with two runs and daily summaries."""
    folder = tmp_path_factory.mktemp("florist")
    (folder / "shop.toml").write_text(EXPERIMENT)
    (folder / "targets.toml").write_text(TARGETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(patch, "simulate", "default", "--customers", 600, "--out", "log") == 0
        assert call(patch, "run", "shop.toml", "--out", "first") == 0
        assert call(patch, "run", "shop.toml", "--out", "second", "--set", "journeys.lookback_days=7") == 0
        assert call(patch, "summarise", "shop.toml", "--to", "days") == 0
        assert call(patch, "export", "first", "--to", "model") == 0
    return folder


COMMANDS = [
    ("run", "shop.toml"),
    ("demo", "--customers", 300, "--set", "tracking.enabled=false"),
    ("simulate", "default", "--customers", 100),
    ("budget", "shop.toml"),
    ("compare", "first", "second"),
    ("review", "first", "second"),
    ("kpis", "targets.toml"),
    ("refit", "days"),
    ("monitor", "days", "--recent-days", 7, "--training-days", 14),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_folder_of_somebody_elses_is_not_replaced(
    florist: Path, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(florist)
    theirs = florist / f"of_{command[0]}"
    (theirs / "photos").mkdir(parents=True)
    (theirs / "photos" / "wedding.jpg").write_bytes(b"once")
    (florist / f"beside_{command[0]}").write_text("beside")
    for held in (None, '{"name": "holiday"}', "[]", "no json", '{"kind": "photos"}'):
        if held is not None:
            (theirs / "manifest.json").write_text(held)
        before = snapshot(florist)
        assert call(monkeypatch, *command, "--out", theirs) == 2
        assert "has files that this command did not write" in capsys.readouterr().err
        assert snapshot(florist) == before


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_ones_own_folder_is_replaced(
    florist: Path, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(florist)
    out = florist / f"mine_{command[0]}"
    out.mkdir()
    for _ in range(2):
        assert call(monkeypatch, *command, "--out", out) in (0, 3)
        assert json.loads((out / "manifest.json").read_text())["kind"]
        (out / "left over").touch()
    assert is_replaceable(out)


@pytest.mark.parametrize("folder", ["model", "days"])
def test_models_and_summaries_are_not_replaced_by_runs(
    florist: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(florist)
    before = snapshot(florist / folder)
    assert call(monkeypatch, "run", "shop.toml", "--out", folder) == 2
    assert snapshot(florist / folder) == before


@pytest.mark.parametrize(
    ("command", "name"),
    [(("export", "first", "--sql", "duckdb"), "credit.sql"), (("export-conversions", "first"), "credit.csv")],
    ids=["sql", "conversions"],
)
def test_a_file_of_somebody_elses_is_not_replaced(
    florist: Path,
    command: tuple[object, ...],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(florist)
    to = florist / name
    to.write_text("select 1 as my_own_work;\n")
    assert call(monkeypatch, *command, "--to", to) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert to.read_text() == "select 1 as my_own_work;\n"
    to.unlink()
    for _ in range(2):
        assert call(monkeypatch, *command, "--to", to) == 0
    assert not list(florist.glob(f".{name}*"))


# ---------------------------------------------------------------- names and places


@pytest.mark.parametrize(
    "name",
    [
        *("", "-rf", ".hidden", "~", "a/b", "..", "a\\b", "nul", "COM1.toml", "a\x00b", "a\nb", "a\x1b[31m", "x" * 201),
        *("花" * 67, "a\u202etxt", "ends.", " blank", "a:b", "what?", "\ud800"),
    ],
)
def test_names_that_no_folder_should_have(name: str, florist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problem_of(name) is not None
    with pytest.raises(InputError, match=r"no folder can have this name.*--out"):
        named_folder("runs", name)
    made = encode_name(name)
    assert problem_of(made) is None
    assert len(made.encode()) <= 80


@pytest.mark.parametrize("name", ["florist", "花店 2024", "spring=1,brand=2", "گل\u200cفروش", "a.b", "B & Co"])
def test_names_that_folders_have(name: str) -> None:
    assert problem_of(name) is None


def test_an_experiment_with_such_a_name_is_refused(
    florist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(florist)
    for name in ("-rf", "aux", "a/../../b"):
        assert call(monkeypatch, "run", "shop.toml", "--set", f"name={name}") == 2
        assert "its output folder cannot have this name" in capsys.readouterr().err
    assert not (florist / "runs").exists()


def test_models_are_kept_under_names_that_every_file_system_takes(
    florist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(florist)
    odd = EXPERIMENT.replace('model = "LastTouch"', 'model = "LastTouch"\nname = "../花/\U00020000\\u0007"').replace(
        "\U00020000", "\U00020000" * 90
    )
    (florist / "odd.toml").write_text(odd, encoding="utf-8")
    assert call(monkeypatch, "run", "odd.toml", "--out", "odd") == 0
    (kept,) = (florist / "odd" / "models").iterdir()
    assert len(kept.name.encode()) <= 83
    assert (kept / "model.json").is_file()
    assert call(monkeypatch, "export", "odd") == 2  # models/NAME cannot be


@pytest.mark.parametrize("place", ["../away", "/etc/away", "a/../../away", "", "C:\\away", "..\\away", "out/link/away"])
def test_a_plan_cannot_leave_its_folder(place: str, tmp_path: Path) -> None:
    (tmp_path / "scores" / "out").mkdir(parents=True)
    (tmp_path / "scores" / "out" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="names a file outside of that folder"):
        check_inside(tmp_path / "scores", place)
    check_inside(tmp_path / "scores", "journey_credit/day=2024-01-01/journey_credit.parquet")


def test_a_forged_plan_moves_and_removes_nothing(
    florist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(florist)
    given = ("--touchpoints", "log/touchpoints.parquet", "--conversions", "log/conversions.parquet", "--out", "scores")
    assert call(monkeypatch, "score", "model", *given) == 0
    waiting = florist / "scores" / ".scoring" / "new"
    waiting.mkdir(parents=True)
    (florist / "precious.txt").write_text("precious")
    for plan in ({"places": [], "removed": ["../precious.txt"]}, {"places": ["../moved.txt"], "removed": []}):
        (florist / "scores" / ".scoring" / "plan.json").write_text(json.dumps(plan))
        (florist / "scores" / ".scoring" / "moved.txt").write_text("from a plan")
        assert call(monkeypatch, "score", "model", *given) == 2
        assert "outside of that folder" in capsys.readouterr().err
    assert (florist / "precious.txt").read_text() == "precious"
    assert not (florist / "moved.txt").exists()


# ---------------------------------------------------------------- formulas

ODD = ["=HYPERLINK(1)", "+1", "-2+3", "@SUM(1)", "\tmail", "\rmail"]


def test_texts_of_csv_files_are_no_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    channels = [*ODD[:4], "mail"]
    touchpoints = pd.DataFrame(
        {"customer_id": [f"k{i}" for i in range(5)], "touched_at": "2024-02-01", "channel": channels}
    )
    touchpoints.to_parquet("t.parquet")
    pd.DataFrame({"customer_id": touchpoints["customer_id"], "converted_at": "2024-02-02", "value": 3.0}).to_parquet(
        "c.parquet"
    )
    (tmp_path / "shop.toml").write_text(
        '[tables]\ntouchpoints = { source = "t.parquet" }\nconversions = { source = "c.parquet" }\n'
        '[[models]]\nmodel = "Linear"\n[tracking]\nenabled = false\n'
    )
    assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0
    shown = pd.read_csv("run/credit.csv")
    assert set(channels) <= set(pd.read_parquet("run/credit.parquet")["channel"])
    assert {"'=HYPERLINK(1)", "'+1", "'-2+3", "'@SUM(1)", "mail"} <= set(shown["channel"])
    assert shown.loc[shown["channel"] == "mail", "value"].tolist() == [3.0]
    for path in (tmp_path / "run").glob("*.csv"):
        for column in pd.read_csv(path, dtype=str, keep_default_na=False).items():
            for value in column[1]:
                assert not value.startswith(("=", "+", "@", "\t")), (path, value)
                assert not value.startswith("-") or pd.notna(pd.to_numeric(value, errors="coerce")), (path, value)


def test_tables_keep_their_numbers_and_gaps() -> None:
    frame = pd.DataFrame({"a": pd.Series([*ODD, None, "x"], dtype="string"), "b": range(8), "c": [-1.5] * 8})
    shown = without_formulas(frame)
    assert shown["a"].tolist()[:6] == [f"'{value}" for value in ODD]
    assert pd.isna(shown["a"][6])
    pd.testing.assert_frame_equal(shown[["b", "c"]], frame[["b", "c"]])
    assert without_formulas(frame, but=("a",)) is not frame
    pd.testing.assert_frame_equal(without_formulas(frame, but=("a",)), frame)


def test_ids_for_ad_systems_are_never_altered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    clicks = ["EAIa-1_x", "-dash_x9", "=cmd|' /C calc'!A0", "@SUM(A1)", None]
    pd.DataFrame(
        {
            "customer_id": [f"k{i}" for i in range(5)],
            "touched_at": "2024-02-01",
            "channel": ["search", "search", "search", "=1+1", "mail"],
            "click_id": clicks,
        }
    ).to_parquet("t.parquet")
    pd.DataFrame(
        {
            "customer_id": [f"k{i}" for i in range(5)],
            "converted_at": "2024-02-02",
            "value": 3.0,
            "conversion_id": ["order-1", "=2+2", "o3", "o4", "o5"],
        }
    ).to_parquet("c.parquet")
    (tmp_path / "shop.toml").write_text(
        '[tables]\nconversions = { source = "c.parquet" }\n[tables.touchpoints]\nsource = "t.parquet"\ncolumns = '
        '{ customer_id = "customer_id", touched_at = "touched_at", channel = "channel", click_id = "click_id" }\n'
        '[[models]]\nmodel = "Linear"\n[output]\njourney_credit = true\n[tracking]\nenabled = false\n'
    )
    assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0
    capsys.readouterr()
    assert call(monkeypatch, "export-conversions", "run", "--to", "ads.csv") == 0
    said = capsys.readouterr().out
    assert "2 click ids look like spreadsheet formulas, so their credit is summed by day" in said
    assert "1 conversion ids look like spreadsheet formulas, so digests replace them" in said
    table = pd.read_csv("ads.csv")
    assert set(table["click_id"].dropna()) == {"EAIa-1_x", "-dash_x9"}
    assert "order-1" in set(table["conversion_id"])
    assert not table["conversion_id"].dropna().str.startswith("=").any()
    assert "'=1+1" in set(table["channel"])
    assert table["conversions"].sum() == pytest.approx(5)
    assert call(monkeypatch, "export-conversions", "run", "--to", "ads.csv", "--name", "=1") == 2
