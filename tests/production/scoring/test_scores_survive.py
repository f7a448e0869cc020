"""What happens to the disk under a scoring job: damaged files, an edited manifest, a host that loses its power."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from attribution.errors import InputError
from tests.cli.test_cli import call
from tests.killed_jobs import content
from tests.production.scoring.test_scoring_job import day_files, fitted, log, score, write


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "shop"
    fitted(log(customers=30), lookback_days=10.0).save(path)
    return path


class PowerFailure(BaseException):
    """The host is gone."""


class Disk:
    """What is on the disk for certain: the content of files and the names in folders that were fsynced.

    It begins with all there is below a folder; ``fail_at`` counts fsyncs until the power fails.
    """

    def __init__(self, root: Path, fail_at: int) -> None:
        self.root, self.fail_at, self.count = root.stat().st_ino, fail_at, 0
        self.files: dict[int, bytes] = {}
        self.folders: dict[int, dict[str, tuple[int, bool]]] = {}
        self._fsync = os.fsync
        self._held: dict[int, int] = {}
        for path in (root, *root.rglob("*")):
            self._keep(path)

    def fsync(self, descriptor: int) -> None:
        if self.count >= self.fail_at:
            raise PowerFailure
        self._fsync(descriptor)
        self._keep(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        self.count += 1

    def _keep(self, path: Path) -> None:
        node = path.stat().st_ino
        # The number of what was removed would be given to something new, which would look as if it had its content.
        if node not in self._held:
            self._held[node] = os.open(path, os.O_RDONLY)
        if path.is_dir():
            self.folders[node] = {found.name: (found.stat().st_ino, found.is_dir()) for found in path.iterdir()}
        else:
            self.files[node] = path.read_bytes()

    def close(self) -> None:
        """Let go of what was removed."""
        for descriptor in self._held.values():
            os.close(descriptor)

    def restore(self, path: Path, node: int | None = None) -> None:
        """What a host finds that comes up again: names without content are empty files, or folders without names."""
        path.mkdir()
        for name, (inner, is_folder) in self.folders.get(self.root if node is None else node, {}).items():
            if is_folder:
                self.restore(path / name, inner)
            else:
                (path / name).write_bytes(self.files.get(inner, b""))


def differing(out: Path, expected: dict[str, object]) -> list[str]:
    """Files that are not as they should be."""
    found = content(out)
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))


def nights(model: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A shop, and the same with late and moved rows."""
    touchpoints, conversions = log(customers=30, days=20)
    yield write(folder / "early", (touchpoints[:-20], conversions[:-4]))
    conversions.loc[0, "converted_at"] += pd.Timedelta(days=2)
    yield write(folder / "late", (touchpoints, conversions[conversions.index != 3]))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to know which file a descriptor is of")
def test_what_a_job_has_not_on_the_disk_when_the_power_fails_the_next_one_makes_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = nights(model, tmp_path)
    score(model, early, tmp_path / "before")
    shutil.copytree(tmp_path / "before", tmp_path / "undisturbed")
    disk = Disk(tmp_path / "undisturbed", fail_at=10**6)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    score(model, late, tmp_path / "undisturbed")
    expected, steps = content(tmp_path / "undisturbed"), disk.count
    disk.restore(tmp_path / "restored")
    disk.close()
    left = differing(tmp_path / "restored", expected)
    assert all(name.startswith(".scoring/") for name in left), "the next job clears what it was made of"
    failures = sorted({0, 1, steps // 3, *range(steps - 12, steps)})
    for fail_at in failures:
        live, found = tmp_path / f"live {fail_at}", tmp_path / f"found {fail_at}"
        shutil.copytree(tmp_path / "before", live)
        monkeypatch.undo()
        disk = Disk(live, fail_at)
        monkeypatch.setattr(os, "fsync", disk.fsync)
        with pytest.raises(PowerFailure):
            score(model, late, live)
        monkeypatch.undo()
        disk.restore(found)
        disk.close()
        score(model, late, found)
        assert differing(found, expected) == [], fail_at


def test_a_damaged_day_is_found_by_its_checksum_and_made_again(model: Path, tmp_path: Path) -> None:
    _, late = nights(model, tmp_path)
    score(model, late, tmp_path / "out")
    before = day_files(tmp_path / "out")
    day = sorted(before)[4]
    path = tmp_path / "out" / "journey_credit" / day / "journey_credit.parquet"
    changed = bytearray(before[day])
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    scored = score(model, late, tmp_path / "out")
    assert scored.written == (day.removeprefix("day="),)
    assert not len(scored.restatement)
    assert day_files(tmp_path / "out") == before


def test_a_damaged_day_that_cannot_be_made_again_is_named(model: Path, tmp_path: Path) -> None:
    touchpoints, conversions = log(customers=30, days=40)
    score(model, write(tmp_path / "all", (touchpoints, conversions)), tmp_path / "out")
    day = sorted(day_files(tmp_path / "out"))[0]
    (tmp_path / "out" / "journey_credit" / day / "journey_credit.parquet").write_bytes(b"PAR1")
    since = touchpoints["touched_at"].min() + pd.Timedelta(days=8)
    late = (touchpoints[touchpoints["touched_at"] > since], conversions[conversions["converted_at"] > since])
    scored = score(model, write(tmp_path / "late", late), tmp_path / "out")
    assert scored.damaged == (day.removeprefix("day="),)


@pytest.mark.parametrize("damage", ["empty", "edited", "no JSON", "a list"])
def test_a_manifest_that_no_job_wrote_is_refused_with_a_way_out(
    damage: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, late = nights(model, tmp_path)
    score(model, late, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["days"][sorted(manifest["days"])[0]]
    text = {"empty": "", "edited": json.dumps(manifest), "no JSON": "{", "a list": "[]"}[damage]
    path.write_text(text, encoding="utf-8")
    before = day_files(tmp_path / "out")
    files = ("--touchpoints", late["touchpoints"], "--conversions", late["conversions"])
    assert call(monkeypatch, "score", model, *files, "--out", tmp_path / "out") == 2
    assert "restore manifest.json from a copy" in capsys.readouterr().err
    assert day_files(tmp_path / "out") == before
    with pytest.raises(InputError, match=r"manifest\.json"):
        score(model, late, tmp_path / "out")
