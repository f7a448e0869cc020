"""Small inputs with what is right beside them, run where they lie.

They are not shipped: they lie in ``shared/cases`` beside the project's folder, or where the environment variable
``ATTRIBUTION_CASES`` says. Without them, or without one of them, what needs it is skipped. Their scripts use names that
have changed since; these are replaced as they are copied, by `RENAMED` and by the project's own table of renames.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attribution.schema.renames import RENAMED as NAMES
from tests import warm_commands

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    "attribution.sources.channels.rules": "attribution.data.channels",
    "attribution.experiment": "attribution.schema.experiment",
    "attribution.monitoring": "attribution.production.monitoring",
    "attribution.summaries": "attribution.production.refit",
    "attribution.scoring": "attribution.models.saved",
}
"""Modules that scripts import, and where they have moved."""


def cases_folder() -> Path | None:
    """Where the cases lie, or None."""
    given = os.environ.get("ATTRIBUTION_CASES")
    beside_data = os.environ.get("ATTRIBUTION_DATA")
    folder = Path(given or (Path(beside_data).parent / "cases" if beside_data else ROOT.parent / "shared" / "cases"))
    return folder.resolve() if folder.is_dir() else None


def case(name: str, to: Path) -> Path:
    """A copy of a case, under the names of today."""
    folder = cases_folder()
    if folder is None or not (folder / name).is_dir():
        pytest.skip(f"case {name} is not here")
    copy = to / name
    copy.mkdir()
    for file in (folder / name).iterdir():
        content = file.read_bytes()
        if file.suffix in (".py", ".sh", ".toml"):
            content = renamed(content.decode()).encode()
        (copy / file.name).write_bytes(content)
    return copy


def renamed(text: str) -> str:
    """A script or an experiment of before, under the names of today."""
    for before, now in MODULES.items():
        text = text.replace(before, now)
    for command in (name for name in NAMES if name.startswith("command ")):
        for before, now in NAMES[command].items():
            of = command.removeprefix("command ")
            text = re.sub(rf"(\b{of} [^\n]*?){before}(?=[ =])", rf"\1{now}", text)
    for before, now in NAMES["Experiment"].items():
        text = re.sub(rf"^\[{before}([.\]])", rf"[{now}\1", text, flags=re.MULTILINE)
    return text


Ran = Callable[..., str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """What a command prints, run in a folder of a case; ``attribution`` and ``python`` are those of this project."""
    bin_folder = tmp_path_factory.mktemp("bin")
    # An address of a socket is short.
    with tempfile.TemporaryDirectory() as short, warm_commands.warm(Path(short)) as attribution:
        for name, words in (("attribution", attribution), ("python", [sys.executable])):
            script = bin_folder / name
            script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            script.chmod(0o755)

        def ran(folder: Path, *command: object, code: int | None = 0) -> str:
            done = subprocess.run(
                [str(part) for part in command],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert code is None or done.returncode == code, done.stderr
            return done.stdout + done.stderr

        yield ran


@pytest.fixture(scope="module")
def model(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported model of a small log."""
    folder = tmp_path_factory.mktemp("model")
    ran(folder, "attribution", "simulate", "default", "--customers", "400", "--out", "shop")
    tables = "".join(f'[tables.{name}]\nsource = "shop/{name}.parquet"\n' for name in ("touchpoints", "conversions"))
    text = f'name = "shop"\n{tables}[tracking]\nenabled = false\n[[models]]\nmodel = "Linear"\n'
    (folder / "shop.toml").write_text(text)
    ran(folder, "attribution", "run", "shop.toml", "--out", "run")
    ran(folder, "attribution", "export", "run", "--model", "linear", "--to", "model")
    return folder / "model"


@pytest.mark.slow
def test_quality_counts_are_those_without_resampling(ran: Ran, tmp_path: Path) -> None:
    printed = ran(case("quality_counts", tmp_path), "python", "reproduce.py")
    parts = re.split(r"^customers (\d+) draws (\d+)$", printed, flags=re.MULTILINE)[1:]
    tables = {(int(parts[at]), int(parts[at + 1])): parts[at + 2].strip() for at in range(0, len(parts), 3)}
    assert len(tables) == 4
    for customers in {customers for customers, _ in tables}:
        # Without the row of the table, which findings on draws may move.
        plain, drawn = ([row.split()[1:] for row in tables[customers, draws].splitlines()[1:]] for draws in (0, 50))
        assert plain == drawn
        assert len(plain) > 4


@pytest.mark.slow
def test_runs_are_compared_by_all_that_differs_and_models_with_identities_are_monitored(
    ran: Ran, tmp_path: Path
) -> None:
    folder = case("compare_monitor", tmp_path)
    script = folder / "reproduce.sh"
    # Its own folder is kept, to look into, and the tables of the last line are given as an experiment has them.
    text = script.read_text().replace('cd "$(mktemp -d)"', "mkdir made; cd made")
    script.write_text(text.replace("--customers 20000", "--customers 4000"))
    first, second, third = re.split(r"^== \d$", ran(folder, "bash", script, code=None), flags=re.MULTILINE)[1:]
    assert "the same settings" not in first
    made = folder / "made"

    def compared(*runs: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(ran(made, "attribution", "compare", *runs, "--json"))
        return document

    (note,) = compared("runs/a", "runs/b")["notes"]
    assert "period.start: not set → 2024-01-08" in note
    assert any("ranked by different things" in sentence for sentence in compared("runs/a", "runs/c")["findings"])
    assert "Largest change" not in second
    assert "no such" not in third.lower()
    (made / "e.toml").write_text((made / "d.toml").read_text())
    options = ("--tables", "e.toml", "--recent-days", "7", "--training-days", "14")
    said = ran(made, "attribution", "monitor", "m", *options, code=None)
    assert "No such option" not in said
    assert "was fitted with a table" not in said


@pytest.mark.slow
def test_what_is_taken_back_is_counted_once(ran: Ran, tmp_path: Path, model: Path) -> None:
    printed = ran(case("score_takes_back", tmp_path), "bash", "reproduce.sh", model)
    lines = [line for line in printed.splitlines() if line.startswith(("dup ", "moved "))]
    of_days = {
        (words[0], line.split("[")[0].split(" ", 1)[1].strip()): line[line.index("[") :]
        for line in lines
        for words in [line.split()]
    }
    assert len(of_days) == 4
    for what in ("dup", "moved"):
        incremental = next(of for (kind, how), of in of_days.items() if kind == what and how == "incremental")
        scratch = next(of for (kind, how), of in of_days.items() if kind == what and how != "incremental")
        assert incremental == scratch


@pytest.mark.slow
def test_a_model_folder_runs_nothing(ran: Ran, tmp_path: Path, model: Path) -> None:
    folder = case("model_folder_runs_code", tmp_path)
    ran(folder, "python", "reproduce.py", model, "copy")
    log = ("--touchpoints", model.parent / "shop/touchpoints.parquet")
    log = (*log, "--conversions", model.parent / "shop/conversions.parquet")
    said = ran(folder, "attribution", "score", "copy", *log, "--out", "scores", "--dry-run", code=2)
    assert "subprocess" in said
    assert not (folder / "ran_by_model").exists()


@pytest.mark.slow
def test_a_review_counts_journeys_when_they_were_last_touched(ran: Ran, tmp_path: Path) -> None:
    folder = case("money_review_lag", tmp_path)
    for month in ("jan", "feb"):
        ran(folder, "attribution", "run", f"{month}.toml", "--out", month)
    review = json.loads(ran(folder, "attribution", "review", "jan", "feb", "--out", "review", "--json", code=3))
    parts = {row["part"]: row for row in review["roi_parts"] if row["slice"] == "a"}
    sides = {part: (parts[part]["reference"], parts[part]["here"], parts[part]["roi_gap"]) for part in parts}
    assert sides["volume"] == pytest.approx((40, 48, 0.75))
    assert sides["rate"] == pytest.approx((0.5, 0.25, -2.75))
    assert not [note for note in review["notes"] if note.startswith("The log of run")]


@pytest.mark.slow
def test_a_query_writes_no_file(ran: Ran, tmp_path: Path) -> None:
    folder = case("query_writes_files", tmp_path)
    said = ran(folder, "python", "reproduce.py", code=1)
    assert "InputError" in said
    assert (folder / "keep.txt").read_text() == "precious"


@pytest.mark.slow
def test_two_first_runs_at_once_are_both_logged(ran: Ran, tmp_path: Path) -> None:
    folder = case("99_conc", tmp_path)
    both = "attribution run experiment.toml --out a & one=$!; attribution run experiment.toml --out b & two=$!; "
    said = ran(folder, "bash", "-c", f"{both}wait $one && wait $two")
    assert said.count("MLflow run") == 2


@pytest.mark.slow
def test_a_target_part_way_is_judged_by_what_is_due_by_now(ran: Ran, tmp_path: Path) -> None:
    folder = case("money_targets", tmp_path)
    ran(folder, "attribution", "run", "shop.toml", "--out", "runs/shop")
    file = folder / "targets.toml"
    file.write_text(file.read_text() + "[tracking]\nenabled = false\n")
    said = ran(folder, "attribution", "kpis", "targets.toml", "--out", "kpis", "--json", code=3)
    rows = json.loads(said[: said.rindex("}") + 1])["kpis"]

    def row(metric: str, scope: str, goal: float) -> dict[str, Any]:
        (only,) = (row for row in rows if (row["metric"], row["scope"], row["goal"]) == (metric, scope, goal))
        return dict(only)

    first = row("conversions", "search", 20.0)
    assert (first["value"], first["low"], first["high"]) == (8.0, 3.0, 14.0)
    assert first["threshold"] == first["due_by_now"] == pytest.approx(20 * 31 / 91)
    assert (first["verdict"], first["threshold_in_interval"]) == ("undecided", True)
    second = row("conversions", "search", 8.0)
    assert (second["verdict"], second["threshold_in_interval"]) == ("on_pace", False)
    # Both ask how likely it is that what is due by now is met: 6.8 orders, and 2.7.
    assert 0.4 < first["probability"] < 0.9 < second["probability"]
    over = row("spend", "search", 1_000.0)
    # 400 of media, and of 200 for tools, which are shared by touchpoints, what 8 of 21 of them bear.
    assert over["value"] == pytest.approx(400 + 200 * 8 / 21)
    assert over["value"] > over["due_by_now"] == pytest.approx(1_000 * 31 / 91)
    assert over["verdict"] == "over_pace"
    assert row("spend", "(all)", 1_400.0)["verdict"] == "attained"
    for each in rows:
        if each["low"] is not None and each["high"] is not None:
            assert (each["verdict"] == "undecided") == (each["low"] <= each["threshold"] <= each["high"])
    assert "above what is due by now" in (folder / "kpis" / "kpis.md").read_text()


@pytest.mark.nightly
@pytest.mark.slow
def test_monitor_cries_wolf_no_more_often_than_it_says(ran: Ran, tmp_path: Path) -> None:
    """As few training days as are accepted, days of one law; the script promises 1 in T, the docs 1 in 100."""
    folder = case("alarms", tmp_path)
    script = (folder / "monitor.py").read_text(encoding="utf-8")
    few = script.replace("for T in (14,21,28,56,90):", "for T in (14,21):").replace("R=60 if T<90 else 40", "R=20")
    assert few.count("R=20") == 1
    (folder / "few.py").write_text(few, encoding="utf-8")
    found = re.findall(r"^T (\d+) alarms of (\d+) \[ *(\d+) +(\d+)\]", ran(folder, "python", "few.py"), re.MULTILINE)
    assert [(int(days), int(runs)) for days, runs, *_ in found] == [(14, 20), (21, 20)]
    assert all(int(alarms) <= 2 for *_, usual, any_size in found for alarms in (usual, any_size))
