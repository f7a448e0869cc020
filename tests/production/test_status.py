"""What output folders hold, and what in them needs attention."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attribution.folders import lock_or_refuse
from attribution.production.refit import SummaryStore
from attribution.production.status import read_status
from tests.cli.test_cli import call
from tests.daily_logs import log_of

TOML = (
    'name = "shop"\n[tables.touchpoints]\nsource = "t.parquet"\n[tables.conversions]\nsource = "c.parquet"\n'
    '[journeys]\nlookback_days = 5\n[[models]]\nmodel = "Linear"\n[tracking]\nenabled = false\n'
)
SCORE = ("score", "model", "--touchpoints", "t.parquet", "--conversions", "c.parquet", "--out", "scores")
Asked = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each kind."""
    here = tmp_path_factory.mktemp("shop")
    touchpoints, conversions = log_of(40, customers=150)
    touchpoints.to_parquet(here / "t.parquet")
    conversions.to_parquet(here / "c.parquet")
    (here / "shop.toml").write_text(TOML, encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(here)
        assert call(monkeypatch, "run", "shop.toml", "--out", "run") == 0
        assert call(monkeypatch, "export", "run", "--to", "model") == 0
        assert call(monkeypatch, *SCORE) == 0
        assert call(monkeypatch, "summarise", "shop.toml", "--to", "summaries") == 0
        assert call(monkeypatch, "refit", "summaries", "--out", "refit") == 0
        monitored = ("monitor", "summaries", "--training-days", "28", "--psi", "0.0001", "--change", "0.0001")
        assert call(monkeypatch, *monitored, "--significance", "0.99", "--out", "drifted") == 3
        assert call(monkeypatch, "monitor", "summaries", "--training-days", "28", "--psi", "9", "--out", "steady") == 0
    return here


@pytest.fixture
def shop(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(written, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def asked(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Exit code, and what is said of one folder."""

    def ask(folder: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = call(monkeypatch, "status", folder, "--json")
        (document,) = json.loads(capsys.readouterr().out)["folders"]
        assert document["needs_attention"] == (code == 3)
        return code, document

    return ask


def test_scores(asked: Asked, shop: Path) -> None:
    code, document = asked("scores")
    credit = pd.read_parquet(shop / "scores" / "journey_credit")
    manifest = json.loads((shop / "scores" / "manifest.json").read_text(encoding="utf-8"))
    days = sorted(credit["day"].astype(str).unique())
    assert (code, document["kind"], document["name"]) == (0, "scores", "model")
    assert document["version"] == credit["model_version"].unique().item()
    assert (document["first_day"], document["last_day"], document["days"]) == (days[0], days[-1], len(days))
    assert (document["rows"], document["conversions"]) == (len(credit), credit["conversion_id"].nunique())
    assert document["written_at"] == manifest["scored_at"]
    assert (document["days_outdated"], document["days_damaged"], document["job"]) == ([], [], "none")


def test_summaries(asked: Asked, shop: Path) -> None:
    code, document = asked("summaries")
    store = SummaryStore.open(shop / "summaries")
    names = sorted(path.parent.name.removeprefix("day=") for path in (shop / "summaries").glob("day=*/summary.parquet"))
    assert (code, document["kind"], document["name"]) == (0, "summaries", "shop")
    assert document["version"] == store.definition.digest
    assert (document["first_day"], document["last_day"], document["days"]) == (names[0], names[-1], len(names))


@pytest.mark.parametrize(
    ("folder", "code", "drifted"), [("run", 0, None), ("refit", 0, None), ("steady", 0, 0), ("drifted", 3, "some")]
)
def test_folders_that_are_replaced_whole(asked: Asked, shop: Path, folder: str, code: int, drifted: object) -> None:
    found, document = asked(folder)
    kind = {"steady": "monitor", "drifted": "monitor"}.get(folder, folder)
    assert (found, document["kind"], document["name"]) == (code, kind, "shop")
    assert document["package"] == "0.1.0"
    written_at = json.loads((shop / folder / "manifest.json").read_text(encoding="utf-8"))["written_at"]
    assert document["written_at"] == written_at
    assert pd.Timestamp.now(tz="UTC") - pd.Timestamp(written_at) < pd.Timedelta(hours=1)
    if drifted == "some":
        drifted = int(pd.read_csv(shop / folder / "drift.csv")["drifted"].sum())
        assert drifted > 0
    assert document["measures_drifted"] == drifted


def test_days_of_a_run_a_refit_and_what_is_monitored(asked: Asked, shop: Path) -> None:
    touchpoints, conversions = pd.read_parquet(shop / "t.parquet"), pd.read_parquet(shop / "c.parquet")
    times = pd.concat([touchpoints["touched_at"], conversions["converted_at"]])
    whole = [times.min().date().isoformat(), times.max().date().isoformat()]
    last = (times.max() - pd.Timedelta(days=1)).date().isoformat()
    for folder, ends in (("run", whole), ("model", whole), ("refit", [whole[0], last])):
        document = asked(folder)[1]
        assert [document["first_day"], document["last_day"]] == ends
    assert asked("steady")[1]["last_day"] == last
    assert asked("model")[1]["kind"] == "model"


def test_a_table_that_was_changed_is_damaged(asked: Asked, shop: Path) -> None:
    (shop / "run" / "returns.parquet").write_bytes(b"nothing")
    (shop / "run" / "credit.parquet").unlink()
    code, document = asked("run")
    assert (code, sorted(document["days_damaged"])) == (3, ["credit", "returns"])
    (shop / "model" / "channels.parquet").write_bytes(b"nothing")
    code, document = asked("model")
    assert (code, "channels.parquet" in document["fault"]) == (3, True)


@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_day_of_scores_is_named_until_it_is_scored_again(
    asked: Asked, shop: Path, damage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted((shop / "scores").glob("journey_credit/day=*/*.parquet"))[3]
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "cut" else content[:-9] + b"x" + content[-8:])
    code, document = asked("scores")
    day = path.parent.name.removeprefix("day=")
    assert (code, document["days_damaged"]) == (3, [day])
    assert call(monkeypatch, "status", "scores") == 3
    assert "scores: 1 day not as written: run the job on tables that have these days" in capsys.readouterr().out
    assert call(monkeypatch, *SCORE) == 0
    assert asked("scores")[0] == 0
    assert path.read_bytes() == content


def test_outdated_and_deferred_days_are_those_that_the_job_named(
    asked: Asked, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conversions = pd.read_parquet(shop / "c.parquet")
    at = conversions["converted_at"]
    first, last = (at.sort_values().iloc[place].date().isoformat() for place in (0, -1))
    conversions.assign(value=conversions["value"] + 1).to_parquet(shop / "c.parquet")
    capsys.readouterr()
    assert call(monkeypatch, *SCORE, "--from", last, "--json") == 0
    deferred = json.loads(capsys.readouterr().out)["days_deferred"]
    code, document = asked("scores")
    assert (code, document["days_deferred"]) == (0, deferred)
    assert first in deferred
    # Without the touchpoints before them, days cannot be corrected.
    touchpoints = pd.read_parquet(shop / "t.parquet")
    middle = at.sort_values().iloc[len(at) // 2].normalize()
    touchpoints[touchpoints["touched_at"] >= middle].to_parquet(shop / "t.parquet")
    later = conversions[at >= middle]
    later.assign(value=later["value"] + 2).to_parquet(shop / "c.parquet")
    moved = conversions[at < middle].tail(1).assign(converted_at=at.max())
    assert len(moved) == 1
    assert call(monkeypatch, *SCORE, "--json") in (0, 3)
    outdated = sorted(json.loads(capsys.readouterr().out)["conversions_outdated"])
    code, document = asked("scores")
    assert document["days_outdated"] == outdated
    assert (code == 3) == bool(outdated)
    assert outdated


def test_a_changed_manifest_is_a_fault(asked: Asked, shop: Path) -> None:
    path = shop / "scores" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8")[:-50], encoding="utf-8")
    code, document = asked("scores")
    assert (code, document["kind"]) == (3, "scores")
    assert "was changed or cut off" in document["fault"] or "cannot be read" in document["fault"]
    (shop / "summaries" / "inputs.json").write_text("{}", encoding="utf-8")
    code, document = asked("summaries")
    assert (code, "inputs.json was changed" in document["fault"]) == (3, True)


def test_damaged_and_missing_days_of_summaries(asked: Asked, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = sorted((shop / "summaries").glob("day=*"))
    shutil.rmtree(days[4])
    (days[7] / "summary.parquet").write_bytes(b"nothing")
    code, document = asked("summaries")
    names = [days[place].name.removeprefix("day=") for place in (4, 7)]
    assert (code, document["days_missing"], document["days_damaged"]) == (3, names[:1], names[1:])
    first = days[0].name.removeprefix("day=")
    assert call(monkeypatch, "summarise", "shop.toml", "--to", "summaries", "--from", first) == 0
    assert asked("summaries")[0] == 0


def test_stale_days_of_summaries(asked: Asked, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions = pd.read_parquet(shop / "c.parquet")
    middle = conversions["converted_at"].sort_values().iloc[len(conversions) // 2].normalize()
    touchpoints = pd.read_parquet(shop / "t.parquet")
    touchpoints[touchpoints["touched_at"] >= middle].iloc[1:].to_parquet(shop / "t.parquet")
    conversions[conversions["converted_at"] >= middle].to_parquet(shop / "c.parquet")
    assert call(monkeypatch, "summarise", "shop.toml", "--to", "summaries") == 3
    code, document = asked("summaries")
    stale = json.loads((shop / "summaries" / "inputs.json").read_text(encoding="utf-8"))["stale"]
    assert (code, document["days_outdated"]) == (3, stale)
    assert stale


def test_a_job_that_was_killed_while_it_wrote_summaries(
    asked: Asked, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = SummaryStore.write, 0

    def die(self: SummaryStore, *arguments: Any) -> bool:
        nonlocal count
        count += 1
        if count == 3:
            assert read_status(shop / "new").job == "at work"
            raise KeyboardInterrupt
        return write(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(SummaryStore, "write", die)
        assert call(patched, "summarise", "shop.toml", "--to", "new") == 130
    code, document = asked("new")
    assert (code, document["job"], document["days"]) == (3, "died", 2)
    assert call(monkeypatch, "summarise", "shop.toml", "--to", "new") == 0
    assert asked("new")[0] == 0
    # Before the first day, too: the next job is not refused.
    shutil.rmtree(shop / "new")
    (shop / "new").mkdir()
    for name in (".lock", ".unfinished"):
        (shop / "new" / name).touch()
    assert asked("new")[1]["job"] == "died"
    assert call(monkeypatch, "summarise", "shop.toml", "--to", "new") == 0


def test_jobs_that_score(asked: Asked, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "scores" / ".scoring").mkdir()
    assert asked("scores")[1]["job"] == "died"
    with lock_or_refuse(shop / "scores" / ".lock", "in use"):
        code, document = asked("scores")
        assert (code, document["job"]) == (0, "at work")
    assert call(monkeypatch, *SCORE) == 0
    assert asked("scores")[1]["job"] == "none"
    # The first job of a folder.
    (shop / "first" / ".scoring").mkdir(parents=True)
    code, document = asked("first")
    assert (code, document["kind"], document["days"], document["job"]) == (3, "scores", 0, "died")


def test_jobs_that_replace_a_folder(asked: Asked, shop: Path) -> None:
    (shop / ".refit.new").mkdir()
    code, document = asked("refit")
    assert (code, document["job"], document["kind"]) == (3, "died", "refit")
    with lock_or_refuse(shop / ".refit.lock", "in use"):
        assert asked("refit")[0] == 0
    # Killed between the steps, the folder is beside.
    (shop / "refit").rename(shop / ".refit.old")
    assert asked("refit")[1]["last_day"] is not None
    (shop / ".none.new").mkdir()
    code, document = asked("none")
    assert (code, document["kind"], document["job"]) == (3, "nothing yet", "died")


@pytest.mark.parametrize("folder", ["nothing", "theirs", "t.parquet", "empty"])
def test_what_is_not_ours_is_refused(
    shop: Path, folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "empty").mkdir()
    (shop / "theirs").mkdir()
    (shop / "theirs" / "manifest.json").write_text('{"kind": "cake"}', encoding="utf-8")
    before = sorted(path for path in shop.rglob("*"))
    assert call(monkeypatch, "status", "scores", folder, "--openmetrics", "out.prom") == 2
    assert folder in capsys.readouterr().err
    assert sorted(path for path in shop.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_of_somebody_else_is_said_to_be(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted((shop / "scores").glob("journey_credit/day=*/*.parquet"))[0]
    path.chmod(0)
    assert call(monkeypatch, "status", "scores") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_nothing_is_changed_and_everything_is_said(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in shop.rglob("*")}
    capsys.readouterr()
    assert call(monkeypatch, "status", "scores", "summaries", "run", "model", "scores") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {path: path.stat().st_mtime_ns for path in shop.rglob("*")} == before
    heads = [line for line in lines if not line.startswith(" ")]
    version = json.loads((shop / "model" / "manifest.json").read_text(encoding="utf-8"))["version"]
    assert heads[0] == f"scores: scores of model model, version {version}"
    assert [head.split(":")[0] for head in heads] == ["scores", "summaries", "run", "model", "Nothing needs attention."]
