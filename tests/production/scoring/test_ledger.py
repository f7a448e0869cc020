"""The output folder of a scoring job: what is read, refused, moved into place, made sure of and left behind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from attribution.errors import InputError
from attribution.production.scoring import ledger as ledgers
from attribution.production.scoring.ledger import Ledger, opened_ledger

MARCH = "journey_credit/day=2024-03-01/journey_credit.parquet"
APRIL = "journey_credit/day=2024-04-01/journey_credit.parquet"
MINE: Mapping[str, Any] = {"schema_version": 2, "model": "shop", "days": {}}


def committed(out: Path, manifest: Mapping[str, Any] = MINE, **places: str) -> Ledger:
    """A folder whose last job put these texts into the files of March and April."""
    out.mkdir(exist_ok=True)
    ledger = Ledger(out)
    targets = {{"march": MARCH, "april": APRIL}[name]: text for name, text in places.items()}
    for target, text in targets.items():
        ledger.stage(target).write_text(text)
    ledger.commit(manifest, places=list(targets))
    return ledger


def files(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def edited(out: Path, **changed: Any) -> None:
    path = out / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


# ------------------------------------------------------------ the manifest


def test_a_new_folder_has_no_manifest(tmp_path: Path) -> None:
    assert Ledger(tmp_path).read() is None


def test_what_was_committed_is_read(tmp_path: Path) -> None:
    ledger = committed(tmp_path, {**MINE, "name": "Ö"})
    assert ledger.read() == {**MINE, "name": "Ö"}
    lines = (tmp_path / "manifest.json").read_text(encoding="utf-8").splitlines()
    assert lines[:5] == ["{", ' "schema_version": 2,', ' "model": "shop",', ' "days": {},', ' "name": "Ö",']


def test_a_manifest_that_was_edited_is_refused_but_for_its_time(tmp_path: Path) -> None:
    ledger = committed(tmp_path, {**MINE, "scored_at": "2024-05-01"})
    edited(tmp_path, scored_at="2024-05-02")
    assert ledger.read() == {**MINE, "scored_at": "2024-05-02"}
    edited(tmp_path, model="other")
    with pytest.raises(InputError, match="was changed or cut off after a scoring job wrote it"):
        ledger.read()


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema_version": "2"}', '{"schema_version": 2, "model": "shop"}'])
def test_what_no_job_wrote_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="was changed or cut off"):
        Ledger(tmp_path).read()


def test_the_first_format_had_no_digest_and_later_ones_are_refused_by_their_number(tmp_path: Path) -> None:
    path, ledger = tmp_path / "manifest.json", Ledger(tmp_path)
    for version in (1, 3):
        path.write_text(json.dumps({**MINE, "schema_version": version}))
        assert ledger.read() == {**MINE, "schema_version": version}
    with pytest.raises(InputError, match="3"):
        ledger.check("shop")
    path.write_text(json.dumps({**MINE, "schema_version": 1}))
    ledger.check("shop")


def test_folders_of_another_model_or_of_something_else_are_refused(tmp_path: Path) -> None:
    ledger = committed(tmp_path)
    ledger.check("shop")
    with pytest.raises(InputError, match=r"another model\. Given: bag\. Allowed: shop"):
        ledger.check("bag")
    other = committed(tmp_path / "other", {"schema_version": 2, "model": "shop"})
    with pytest.raises(InputError, match="output of another model"):
        other.check("shop")


def test_up_to_five_files_that_are_in_the_way_are_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in (".lock", *"gfedcba"):
        (tmp_path / name).touch()
    (tmp_path / ".scoring").mkdir()
    with pytest.raises(InputError, match=r"no scoring job wrote\. Given: \['a', 'b', 'c', 'd', 'e'\]\. Hint"):
        ledger.check("shop")
    for name in "gfedcba":
        (tmp_path / name).unlink()
    ledger.check("shop")


# ------------------------------------------------------------ files of days


def test_a_file_is_damaged_that_is_not_what_the_manifest_tells(tmp_path: Path) -> None:
    ledger = committed(tmp_path, march="credit")
    entry = {"bytes": 6, "sha256": hashlib.sha256(b"credit").hexdigest()}
    assert ledger.day_path("2024-03-01") == tmp_path / MARCH
    assert not ledger.is_damaged("2024-03-01", entry)
    assert ledger.is_damaged("2024-03-01", {**entry, "bytes": 7})
    assert ledger.is_damaged("2024-03-01", {**entry, "sha256": "0"})
    assert ledger.is_damaged("2024-04-01", entry)


def test_files_are_put_in_place_and_taken_away_together(tmp_path: Path) -> None:
    ledger = committed(tmp_path, march="old")
    ledger.stage(APRIL).write_text("new")
    assert ledger.is_unfinished
    assert files(tmp_path) == [f".scoring/new/{APRIL}", MARCH, "manifest.json"]
    ledger.commit(MINE, places=[APRIL], removed=[MARCH])
    assert not ledger.is_unfinished
    assert files(tmp_path) == [APRIL, "manifest.json"]
    assert not (tmp_path / MARCH).parent.exists()


def test_the_disk_has_every_folder_that_changed_before_the_plan_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = committed(tmp_path, march="old")
    synced: list[tuple[str, bool]] = []

    def sync(folder: Path) -> None:
        is_planned = (tmp_path / ".scoring/plan.json").exists()
        synced.append((folder.relative_to(tmp_path).as_posix() if folder != tmp_path.parent else "..", is_planned))

    monkeypatch.setattr(ledgers, "sync", sync)
    monkeypatch.setattr(ledgers, "sync_tree", sync)
    ledger.stage(APRIL).write_text("new")
    ledger.commit(MINE, places=[APRIL], removed=[MARCH])
    assert synced == [
        (".scoring/new", False),
        *[(name, True) for name in (".scoring", ".", "..")],
        *[(name, True) for name in ("journey_credit/day=2024-04-01", "journey_credit", ".")],
        (".scoring", False),
    ]


def planned(out: Path, places: list[str], removed: list[str]) -> None:
    (out / ".scoring" / "plan.json").write_text(json.dumps({"places": places, "removed": removed}))


def test_a_plan_is_carried_out_by_the_next_job(tmp_path: Path) -> None:
    ledger = committed(tmp_path, march="old")
    ledger.stage(APRIL).write_text("new")
    # March has gone already, and one file was moved before the job ended.
    planned(tmp_path, places=[APRIL, MARCH], removed=["journey_credit/day=2024-02-01/journey_credit.parquet"])
    ledger.finish()
    assert files(tmp_path) == [MARCH, APRIL, "manifest.json"]
    assert not ledger.is_unfinished


def test_without_a_plan_what_was_set_aside_is_nothing(tmp_path: Path) -> None:
    ledger = committed(tmp_path, march="old")
    ledger.stage(APRIL).write_text("new")
    ledger.finish()
    assert files(tmp_path) == [MARCH, "manifest.json"]
    assert not (tmp_path / ".scoring").exists()


@pytest.mark.parametrize("field", ["places", "removed"])
def test_a_plan_that_leads_out_of_the_folder_is_refused(tmp_path: Path, field: str) -> None:
    out = tmp_path / "out"
    ledger = committed(out, march="old")
    (tmp_path / "mine").write_text("precious")
    ledger.stage(APRIL).write_text("new")
    planned(out, **{"places": [], "removed": [], field: ["../mine"]})
    with pytest.raises(InputError, match="outside of that folder"):
        ledger.finish()
    assert (tmp_path / "mine").read_text() == "precious"


# ------------------------------------------------------------ one job at a time


def test_a_job_that_writes_nothing_leaves_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with opened_ledger(out, "shop") as ledger:
        assert ledger.is_locked
        assert not ledger.is_unfinished
        assert ledger.staging == out / ".scoring"
        assert ledger.is_unfinished
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_fails_leaves_the_files_of_the_one_before(tmp_path: Path) -> None:
    committed(tmp_path, march="old")

    def fail() -> None:
        with opened_ledger(tmp_path, "shop") as ledger:
            ledger.stage(APRIL).write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [name for name in files(tmp_path) if name != ".lock"] == [MARCH, "manifest.json"]
    assert not Ledger(tmp_path).is_locked


def test_a_folder_that_was_there_stays_though_nothing_is_in_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with opened_ledger(out, "shop"):
        pass
    assert list(tmp_path.iterdir()) == [out]
    assert list(out.iterdir()) == []


def test_a_plan_that_could_not_be_carried_out_waits_for_the_next_job(tmp_path: Path) -> None:
    committed(tmp_path, march="old")
    with opened_ledger(tmp_path, "shop") as ledger:
        ledger.stage(APRIL).write_text("new")
        planned(tmp_path, places=[APRIL], removed=[])
    assert ledger.is_unfinished
    with opened_ledger(tmp_path, "shop"):
        assert (tmp_path / APRIL).read_text() == "new"
        assert not ledger.is_unfinished
    with pytest.raises(InputError, match="another model"), opened_ledger(tmp_path, "bag"):
        pass
