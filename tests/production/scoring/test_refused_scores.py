"""What a scoring job refuses: one line that says why, exit code 2, and the output of the night before untouched."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.models.saved import Scorer, Training
from attribution.production.scoring import ledger, publication
from tests.cli.test_cli import call
from tests.production.scoring.test_scoring_job import fitted, log, write

DAMAGED = "models/damaged"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a log, what was scored of it, and a log with late rows to be scored."""
    folder, patch = tmp_path_factory.mktemp("night"), pytest.MonkeyPatch()
    data = log(customers=40)
    sources = at.load_sources(*data)
    trained = Training.of(sources, at.build_journeys(sources, lookback_days=10.0))
    scorer = fitted(data, lookback_days=10.0)
    replace(scorer, definition=replace(scorer.definition, training=trained)).save(folder / "models" / "shop")
    tables = write(folder / "before", (data[0].iloc[::2], data[1].iloc[::2]))
    write(folder / "late", data)
    with patch.context() as context:
        files = ("--touchpoints", tables["touchpoints"], "--conversions", tables["conversions"])
        assert call(context, "score", folder / "models" / "shop", *files, "--out", folder / "out") == 0
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def damaged(change: Callable[[Path], object]) -> Callable[[Path], dict[str, str]]:
    """A copy of the model that something happened to."""

    def prepare(folder: Path) -> dict[str, str]:
        shutil.copytree(folder / "models" / "shop", folder / DAMAGED)
        change(folder / DAMAGED)
        return {"model": DAMAGED}

    return prepare


def newer(model: Path) -> None:
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    (model / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}), encoding="utf-8")


def with_touchpoints(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], dict[str, str]]:
    def prepare(folder: Path) -> dict[str, str]:
        change(pd.read_parquet(folder / "late" / "touchpoints.parquet")).to_parquet(folder / "t.parquet", index=False)
        return {"touchpoints": "t.parquet"}

    return prepare


def other_model(folder: Path) -> dict[str, str]:
    scorer = Scorer.load(folder / "models" / "shop")
    Scorer.of(scorer.state.model(), name="other", definition=scorer.definition).save(folder / "models" / "other")
    return {"model": "models/other"}


def in_paris(folder: Path) -> dict[str, str]:
    """The same log, by a system that tells where its clock hangs."""
    for table, column in (("touchpoints", "touched_at"), ("conversions", "converted_at")):
        frame = pd.read_parquet(folder / "late" / f"{table}.parquet")
        frame[column] = frame[column].dt.tz_localize("Europe/Paris")
        frame.to_parquet(folder / f"{table}.parquet", index=False)
    return {"touchpoints": "touchpoints.parquet", "conversions": "conversions.parquet"}


CASES: dict[str, tuple[Callable[[Path], dict[str, str]], str]] = {
    "no model": (lambda _: {"model": "models/none"}, "model folder models/none does not exist"),
    "half copied": (damaged(lambda model: (model / "channels.parquet").unlink()), "copy the folder again"),
    "no manifest": (damaged(lambda model: (model / "manifest.json").unlink()), "not all of it was copied"),
    "checksum": (damaged(lambda model: (model / "card.md").write_text("better")), "its checksum differs"),
    "schema newer": (damaged(newer), "update the package"),
    "no channel": (with_touchpoints(lambda frame: frame.drop(columns="channel")), "column 'channel' is missing"),
    "time zone": (in_paris, "timestamps without a time zone, read as UTC"),
    "no log": (lambda _: {"touchpoints": "nowhere/*.parquet"}, "nowhere/*.parquet"),
    "another model's output": (other_model, "has the output of another model"),
}


@contextmanager
def another_job(folder: Path) -> Iterator[None]:
    with (folder / "out" / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def refused(
    folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, code: int = 2, **asked: str
) -> str:
    patch.chdir(folder)
    usual = {"touchpoints": "late/touchpoints.parquet", "conversions": "late/conversions.parquet"}
    given = {"model": "models/shop", **usual, **asked}
    before = content(folder)
    files = ("--touchpoints", given["touchpoints"], "--conversions", given["conversions"])
    assert call(patch, "score", given["model"], *files, "--out", "out") == code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert content(folder) == before
    assert not (folder / "out" / ".scoring").exists()
    return said.err


@pytest.fixture
def folder(night: Path, tmp_path: Path) -> Path:
    return shutil.copytree(night, tmp_path / "night")


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_and_nothing_is_touched(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, message = CASES[name]
    assert message in refused(folder, monkeypatch, capsys, **prepare(folder))


def test_two_jobs_on_the_same_day_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with another_job(folder):
        assert "another scoring job is using" in refused(folder, monkeypatch, capsys, code=4)


@pytest.mark.parametrize("target", ["parts", "days", "manifest"])
def test_a_disk_that_fills_up_at_any_stage(
    target: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    places = {
        "parts": (pa.ipc, "new_file"),
        "days": (publication.pq, "write_table"),
        "manifest": (ledger.os, "fsync"),
    }
    with monkeypatch.context() as context:
        context.setattr(*places[target], full)
        said = refused(folder, context, capsys, code=4)
    assert "no space is left on the disk" in said
    assert "the earlier files are unchanged" in said


def test_the_same_job_succeeds_where_nothing_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused above would otherwise have changed the output."""
    monkeypatch.chdir(folder)
    before = content(folder / "out")
    # Half of the rows are late.
    (folder / "guards.toml").write_text("restated_days = 60\n")
    files = ("--touchpoints", "late/touchpoints.parquet", "--conversions", "late/conversions.parquet")
    assert call(monkeypatch, "score", "models/shop", *files, "--out", "out", "--thresholds", "guards.toml") == 0
    assert content(folder / "out") != before
